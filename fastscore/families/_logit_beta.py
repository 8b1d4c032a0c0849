"""Log-odds of betas: what `Beta` draws from where its own samples could round to 0 or 1."""

from __future__ import annotations

from typing import Any

from fastscore.engine.gammas import log_odds
from fastscore.engine.jit import inlined
from fastscore.engine.vecmath import exp_below, log1p
from fastscore.families._special import digamma_difference, log_beta
from fastscore.families.beta import Beta


@inlined
def _logarithms(y):
    """Logarithms of x and 1 − x."""
    closer = log1p(exp_below(-abs(y)))
    return min(y, 0.0) - closer, -max(y, 0.0) - closer


@inlined
def _score(y, step1, step0, by_1, by_0):
    one, zero = _logarithms(y)
    return (one + step1) * by_1, (zero + step0) * by_0


@inlined
def _log_density(y, concentration1, concentration0, constant):
    one, zero = _logarithms(y)
    return constant + concentration1 * one + concentration0 * zero


class LogitBeta(Beta, scores=2, sample=log_odds, score=_score, log_density=_log_density):
    """``y = log(x/(1 − x))`` of betas x; see `Beta`."""

    def _record(self) -> dict[str, Any]:
        (a, by_a), (b, by_b) = self._one, self._zero
        return {
            "concentration1": a, "step1": digamma_difference(a, b), "by_1": a * by_a,
            "concentration0": b, "step0": digamma_difference(b, a), "by_0": b * by_b,
            "constant": -log_beta(a, b),
        }  # fmt: skip


__all__ = ["LogitBeta"]
