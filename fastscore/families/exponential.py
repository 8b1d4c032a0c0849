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


class Exponential(Coordinates, low=0.0, sample=_sample, score=_score, log_density=_log_density):
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
    Moments
        Mean ``1/rate``, variance ``1/rate²``; entropy ``1 − log rate``.
    """

    exponential_family = True
    by_inversion = True

    def __init__(self, rate: Any = None, *, log_rate: Any = None) -> None:
        (self._rate,) = self._set(positive("Exponential", "rate", rate, log_rate))

    def _record(self) -> dict[str, Any]:
        rate, unit = self._rate
        return {"scale": 1 / rate, "rate": rate, "unit": unit, "log_rate": np.log(rate)}

    def _closed_paths(self) -> Any:
        """``∂x/∂rate = −x/rate``."""
        return ((0, -self._rate.unit),)

    def _information(self) -> Any:
        return [[self._rate.unit**2]]

    def _moments(self) -> dict[str, Any]:
        mean = 1 / self._rate.value
        return {"mean": mean, "variance": mean**2, "entropy": 1 - np.log(self._rate.value)}

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        require("x", x, x >= 0, "a waiting time, not negative")
        ((name, given),) = self.parameters.items()
        rate = 1 / mean_above(x, shares, 1 / self._rate.value, least, given.size)
        return {name: rate if name == "rate" else np.log(rate)}


__all__ = ["Exponential"]
