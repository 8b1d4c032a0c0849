"""Independent Poisson counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.count_tables import CountTables
from fastscore.engine.counts import counts, surprise
from fastscore.engine.jit import inlined
from fastscore.families._coordinates import Coordinates
from fastscore.families._fitting import mean_above
from fastscore.families._parameters import FAINTEST, positive

#: Samples of larger rates may not fit into 2⁵¹.
_LARGEST = 1e15


@inlined
def _score(x, rate, unit):
    return ((x - rate) * unit,)


@inlined
def _log_density(x, rate, log_rate):
    return -surprise(x, rate, log_rate, x - rate)


class Poisson(
    Coordinates, low=0.0, discrete=True,
    sample=counts, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent Poisson counts, of mean ``rate``.

    Parameters
    ----------
    rate : array_like
        Means, positive and at most 1e15, of shape (d,), or a scalar for a single coordinate.
    log_rate : array_like
        Their logarithms, in place of ``rate``.

    Raises
    ------
    ValueError
        If a rate is not positive or too large.

    Notes
    -----
    Density
        ``rate^x exp(−rate)/x!``, x = 0, 1, 2, …
    Score
        ``x/rate − 1``; by the logarithm ``x − rate``.
    Fisher information
        Diagonal, ``1/rate``; by the logarithm ``rate``.
    Sampler
        The alias method over outcomes, or over bins of them with rejection inside, at one cost for
        all rates; exact to some 2^-52.
    Moments
        Mean and variance ``rate``.
    """

    exponential_family = True

    def __init__(self, rate: Any = None, *, log_rate: Any = None) -> None:
        (self._rate,) = self._set(positive("Poisson", "rate", rate, log_rate))
        ((name, given),) = self.parameters.items()
        most = _LARGEST if name == "rate" else math.log(_LARGEST)
        checks.require(name, given, given <= most, f"at most {most:.6g} for samples to fit")

    @cached
    def _tables(self) -> CountTables:
        rate = self._rate.value
        return CountTables(math.inf, rate, math.inf, self._log_rate, math.inf)

    @property
    def _log_rate(self) -> np.ndarray:
        given = self.parameters.get("log_rate")
        return np.log(self._rate.value) if given is None else np.broadcast_to(given.ravel(), self.d)

    def _record(self) -> dict[str, Any]:
        rate, unit = self._rate
        return {
            "rate": rate, "log_rate": self._log_rate, "unit": unit,
            "table": self._tables.addresses,
        }  # fmt: skip

    def require_score(self) -> None:
        """Raise a ValueError at a rate so small that the square of its score overflows."""
        if "rate" in self.parameters:
            rate = self.parameters["rate"]
            checks.require(
                "rate", rate, rate > FAINTEST,
                f"above {FAINTEST} for its score to exist (by log_rate it always does)",
            )  # fmt: skip

    def _information(self) -> Any:
        return [[self._rate.value * self._rate.unit**2]]

    def _moments(self) -> dict[str, Any]:
        return {"mean": self._rate.value, "variance": self._rate.value}

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        checks.require("x", x, x >= 0, "a count, not negative")
        ((name, given),) = self.parameters.items()
        rate = mean_above(x, shares, self._rate.value, least, given.size)
        return {name: rate if name == "rate" else np.log(rate)}


__all__ = ["Poisson"]
