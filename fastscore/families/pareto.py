"""Independent Pareto coordinates, from a known scale on."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from fastscore import checks
from fastscore.engine.exponentials import exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import vector
from fastscore.engine.special import log_of_ratio
from fastscore.engine.vecmath import exp
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive
from fastscore.families.bijection import map_of_columns

#: Of a smaller alpha a draw may overflow: the largest exponential is 36.04.
_FEWEST = 0.06


@elementwise
def _sample(stream, scratch, x, count, spread, scale):
    exponentials(stream, scratch, x, count, spread)
    _to_x(vector(x, count), vector(x, count), count, scale)


@inlined
def _score(x, alpha, unit, scale, log_scale):
    return ((1.0 - alpha * log_of_ratio(x, (x - scale) / scale, log_scale)) * unit,)


@inlined
def _log_density(x, alpha, scale, log_scale, constant):
    return constant - (alpha + 1.0) * log_of_ratio(x, (x - scale) / scale, log_scale)


@elementwise
def _to_x(y, x, count, scale):
    for t in range(count):
        x[t] = scale * exp(y[t])


@elementwise
def _slope(y, column, count, scale):
    for t in range(count):
        column[t] *= scale * exp(y[t])


_forward = map_of_columns(_to_x, "pareto", 1, _slope)


class Pareto(
    Coordinates, low="scale", sample=_sample, score=_score, log_density=_log_density
):  # fmt: skip
    """Independent Pareto distributions, whose tails are ``P(X > x) = (scale/x)^alpha``.

    Parameters
    ----------
    scale : array_like
        Where the supports begin, positive, of shape (d,) or a scalar.  It is no parameter: the
        support moves with it, so that there is no score of it.
    alpha : array_like
        Positive, of the same shape or a scalar.
    log_alpha : array_like
        Their logarithms, in place of ``alpha``.

    Raises
    ------
    ValueError
        If a scale or an alpha is not positive or not finite, or shapes differ.

    Notes
    -----
    Density
        ``alpha/x (scale/x)^alpha`` on x ≥ scale.
    Score
        ``1/alpha − log(x/scale)``; by the logarithm ``1 − alpha log(x/scale)``.
    Fisher information
        Diagonal, ``1/alpha²``; by the logarithm 1.
    Sampler
        log(x/scale) is drawn, an exponential, and kept: where x rounds to the scale or overflows, f
        sees that, and the score is exact.  The tail is right to 2^-52.
    Moments
        Mean ``alpha scale/(alpha − 1)``, infinite up to alpha = 1, variance
        ``alpha scale²/((alpha − 1)² (alpha − 2))``, infinite up to 2.
    """

    exponential_family = True
    by_inversion = True
    moving = ("scale",)
    #: A spread of log x, the inverse of an alpha, does not collapse.
    floors: ClassVar = {"alpha": -1}

    def __init__(self, scale: Any, alpha: Any = None, *, log_alpha: Any = None) -> None:
        given = checks.parameter("scale", scale)
        checks.require("scale", given, given > 0, "positive")
        self.constants = MappingProxyType({"scale": given})
        (self._alpha,) = self._set(positive("Pareto", "alpha", alpha, log_alpha))
        self._scale = np.broadcast_to(given.ravel(), self.d)

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """log(x/scale)."""
        from fastscore.families._log_pareto import LogPareto

        return LogPareto, _forward, np.array(self._scale)

    def _record(self) -> dict[str, Any]:
        (alpha, unit), scale = self._alpha, self._scale
        return {
            "alpha": alpha, "log_alpha": np.log(alpha), "spread": 1 / alpha, "unit": unit,
            "scale": scale, "log_scale": np.log(scale), "constant": np.log(alpha) - np.log(scale),
        }  # fmt: skip

    def _information(self) -> Any:
        return [[self._alpha.unit**2]]

    @property
    def underflows(self) -> bool:
        """Whether samples may overflow."""
        return bool(np.any(self._alpha.value < _FEWEST))

    def _moments(self) -> dict[str, Any]:
        scale, alpha = self._scale, self._alpha.value
        one, two = np.maximum(alpha, 1), np.maximum(alpha, 2)
        return {
            "mean": scale * (one / (one - 1)),
            "variance": (scale / (two - 1)) ** 2 * (two / (two - 2)),
            "entropy": np.log(scale) - np.log(alpha) + 1 + 1 / alpha,
        }  # fmt: skip


__all__ = ["Pareto"]
