"""Independent exponential waiting times."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.checks import require
from fastscore.engine.exponentials import exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.families._coordinates import Coordinates
from fastscore.families._fitting import mean_above
from fastscore.families._parameters import positive


@elementwise
def _sample(stream, scratch, x, count, scale):
    exponentials(stream, scratch, x, count, scale)


@inlined
def _score(x, rate, unit):
    return ((1.0 - rate * x) * unit,)


@inlined
def _log_density(x, rate, log_rate):
    return log_rate - rate * x


class Exponential(
    Coordinates, fields=("scale", "rate", "unit", "log_rate"), low=0.0,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent exponential distributions, of mean ``1/rate``.

    Parameters
    ----------
    rate : array_like
        Inverses of the means, positive, of shape (d,), or a scalar for a single coordinate.
    log_rate : array_like
        Their logarithms, in place of ``rate``.

    Raises
    ------
    ValueError
        If a rate is not positive or not finite.

    Notes
    -----
    Density
        ``rate exp(−rate x)`` on x ≥ 0.
    Score
        ``1/rate − x``; by the logarithm ``1 − rate x``.
    Fisher information
        Diagonal, ``1/rate²``; by the logarithm 1.
    Sampler
        Inversion of a uniform of 52 bits: the tail is right to 2^-52.
    """

    def __init__(self, rate: Any = None, *, log_rate: Any = None) -> None:
        (self._rate,) = self._set(positive("Exponential", "rate", rate, log_rate))

    def _record(self) -> dict[str, Any]:
        rate, unit = self._rate
        return {"scale": 1 / rate, "rate": rate, "unit": unit, "log_rate": np.log(rate)}

    def _information(self) -> Any:
        return [[self._rate.unit**2]]

    @property
    def mean(self) -> np.ndarray:
        """``1/rate``."""
        return 1 / self._rate.value

    @property
    def variance(self) -> np.ndarray:
        """``1/rate²``."""
        return self.mean**2

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        require("x", x, x >= 0, "a waiting time, not negative")
        ((name, given),) = self.parameters.items()
        rate = 1 / mean_above(x, shares, self.mean, least, given.size)
        return {name: rate if name == "rate" else np.log(rate)}

    def entropy(self) -> float:
        """``Σ 1 − log rate``."""
        return float(np.sum(1 - np.log(self._rate.value)))


__all__ = ["Exponential"]
