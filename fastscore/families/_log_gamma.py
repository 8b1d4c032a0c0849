"""Logarithms of gammas: what `Gamma` draws from where its own samples could underflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine.gammas import log_gammas
from fastscore.engine.jit import inlined
from fastscore.engine.vecmath import expm1
from fastscore.families._special import digamma_excess, stirling_error
from fastscore.families.gamma import Gamma


@inlined
def _score(y, concentration, log_mean, excess, by_concentration, by_rate):
    above = y - log_mean
    return (above - excess) * by_concentration, -concentration * expm1(above) * by_rate


@inlined
def log_density(y, concentration, log_mean, constant):
    """Relative to that at the mean of x."""
    above = y - log_mean
    return constant - concentration * (expm1(above) - above)


class LogGamma(Gamma, scores=2, sample=log_gammas, score=_score, log_density=log_density):
    """``y = log x`` of gammas x; see `Gamma`."""

    def _record(self) -> dict[str, Any]:
        (a, by_a), (rate, by_rate) = self._concentration, self._rate
        return {
            "concentration": a, "log_mean": np.log(a) - np.log(rate), "log_scale": -np.log(rate),
            "excess": digamma_excess(a), "by_concentration": a * by_a, "by_rate": by_rate,
            "constant": 0.5 * np.log(a / (2 * np.pi)) - stirling_error(a),
        }  # fmt: skip

    def _closed_paths(self) -> Any:
        """``∂y/∂rate = −1/rate``."""
        return None, (-self._rate.unit, 0)


__all__ = ["LogGamma"]
