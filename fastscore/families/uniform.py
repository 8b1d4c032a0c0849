"""Independent uniforms between fixed bounds."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.engine.exponentials import uniforms
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import vector
from fastscore.families._coordinates import Coordinates


@elementwise
def _sample(stream, scratch, x, count, low, width, high):
    uniforms(stream, scratch, x, count)
    column = vector(x, count)
    for t in range(count):
        column[t] = min(low + width * column[t], high)


@inlined
def _log_density(x, constant):
    return constant


class Uniform(
    Coordinates, scores=0, low="low", high="high",
    sample=_sample, log_density=_log_density,
):  # fmt: skip
    """Independent uniforms on low ≤ x ≤ high, with nothing to differentiate by.

    It is a part of a `Joint`, a component of a `Mixture`, or a proposal for another distribution
    between the same bounds.

    Parameters
    ----------
    low : array_like
        Lower bounds, of shape (d,), or a scalar shared by all coordinates: constants.
    high : array_like
        Upper bounds, of the same shape or a scalar: constants.

    Raises
    ------
    ValueError
        If low is not below high, bounds or their difference are not finite, or shapes differ.

    Notes
    -----
    Density
        ``1/(high − low)`` on low ≤ x ≤ high.
    Score
        None.  The support moves with its bounds: what they do to an expectation happens at the
        ends, where no score sees it.  For the derivative by a bound write x as
        ``low + (high − low) u``, u from ``fs.Uniform(0.0, 1.0)``, and average that of f.
    Fisher information
        None, of shape (0, 0).
    Sampler
        ``low + (high − low) u``, u of 52 random bits.
    Moments
        Mean ``(low + high)/2``, variance ``(high − low)²/12``; entropy ``log(high − low)``.
    """

    by_inversion = True
    moving = ("low", "high")

    def __init__(self, low: Any = 0.0, high: Any = 1.0) -> None:
        low, high = checks.parameter("low", low), checks.parameter("high", high)
        self.constants = MappingProxyType({"low": low, "high": high})
        self._set_parameters()
        self._low, self._high = (np.broadcast_to(end.ravel(), self.d) for end in (low, high))
        checks.require("low", self._low, self._low < self._high, "below high")
        with np.errstate(over="ignore"):
            self._width = self._high - self._low
        checks.require("high", self._high, np.isfinite(self._width), "nearer to low")

    def _record(self) -> dict[str, Any]:
        return {
            "low": self._low, "width": self._width, "high": self._high,
            "constant": -np.log(self._width),
        }  # fmt: skip

    def _information(self) -> Any:
        return []

    def _moments(self) -> dict[str, Any]:
        return {
            "mean": self._low / 2 + self._high / 2, "variance": self._width**2 / 12,
            "entropy": np.log(self._width),
        }  # fmt: skip

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:  # noqa: ARG002
        """There is nothing to fit."""
        return {}


__all__ = ["Uniform"]
