"""Independent normals between fixed bounds."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from fastscore import checks
from fastscore.engine.jit import inlined
from fastscore.engine.truncated_normals import hat, truncated_normals
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive, real
from fastscore.families._quadrature import truncated

#: The least standard deviation, of the distance from 0, that float64 resolves well.
_FINEST = 2.0**-40
#: Of smaller variances, in units of scale, squares would underflow.
_LEAST = 1e-280


@inlined
def _score(x, mode, scale, slope, first, second, unit):
    v = (x - mode) / scale
    return (v - first) / scale, (v * (v + 2.0 * slope) - second) * unit


@inlined
def _log_density(x, mode, scale, slope, constant):
    v = (x - mode) / scale
    return constant - 0.5 * v * (v + 2.0 * slope)


class TruncatedNormal(
    Coordinates, scores=2, low="low", high="high",
    sample=truncated_normals, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent normals, given that they lie between fixed bounds.

    Parameters
    ----------
    loc : array_like
        Means of the normals, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Their standard deviations, positive, of the same shape or a scalar.
    low, high : array_like
        Bounds, of the same shape or scalars; infinite where there is none.  They are no
        parameters: the support moves with them.
    log_scale : array_like
        Logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        If a parameter is not finite, a scale is not positive, shapes differ, low is not below
        high, or the mass between them lies closer together than float64 resolves.

    Notes
    -----
    Density
        ``exp(−z²/2)/(scale √(2π) (Φ(β) − Φ(α)))`` on low ≤ x ≤ high, z being ``(x − loc)/scale``,
        and α and β that of the bounds.
    Score
        ``(z − E[z])/scale`` and ``(z² − E[z²])/scale``; by the logarithm ``z² − E[z²]``.
    Fisher information
        Of a coordinate ``Var[z]`` and ``Var[z²]``, and of both parameters ``Cov[z, z²]``; all over
        ``scale²``.
    Sampler
        Rejection, exactly, of exponentials on either side of the mode, which fit narrow intervals
        and far tails: 3 in 4 are taken, or more.
    Moments
        Mean ``loc + scale E[z]``, variance ``scale² Var[z]``; entropy ``log(scale √(2π) (Φ(β) −
        Φ(α))) + E[z²]/2``.  They are integrated from the mode, so that none cancels in narrow or
        distant intervals.
    """

    exponential_family = True
    #: A loc is far outside where the density falls, nearly exponentially, from a bound.
    floors: ClassVar = {"scale": 1, "loc": 100}
    moving = ("low", "high")

    def __init__(
        self, loc: Any, scale: Any = None, low: Any = -math.inf, high: Any = math.inf, *,
        log_scale: Any = None,
    ) -> None:  # fmt: skip
        low = checks.parameter("low", low, -math.inf)
        high = checks.parameter("high", high, math.inf)
        self.constants = MappingProxyType({"low": low, "high": high})
        (loc, _), self._scale = self._set(
            real("loc", loc), positive("TruncatedNormal", "scale", scale, log_scale)
        )
        self._low, self._high = (np.broadcast_to(end.ravel(), self.d) for end in (low, high))
        checks.require("low", self._low, self._low < self._high, "below high")
        mode = self._mode = np.clip(loc, self._low, self._high)
        scale = self._scale.value
        with np.errstate(over="ignore", invalid="ignore"):
            # Of minus the log-density at the mode, in units of scale; 0 inside the bounds.
            self._slope = (mode - loc) / scale
            # From the mode to the bounds.
            self._widths = (mode - self._low) / scale, (self._high - mode) / scale
            # Of the density by v, from the mode in units of scale, and of ``z² − z(mode)²``.
            self._integrals = truncated(self._slope, *self._widths)
            v, w, _ = self._integrals[3]
            resolved = np.sqrt(v) * scale >= _FINEST * np.abs(mode)
        checks.require(
            "loc", loc, resolved & (np.minimum(v, w) >= _LEAST),
            "where float64 resolves the mass between low and high, which is too narrow here",
        )  # fmt: skip

    def _record(self) -> dict[str, Any]:
        (scale, unit), (total, first, second, _) = self._scale, self._integrals
        return {
            "mode": self._mode, "scale": scale, "slope": self._slope, "first": first,
            "second": second, "unit": unit, "constant": -np.log(scale) - np.log(total),
            "low": self._low, "high": self._high, **hat(np.abs(self._slope), *self._widths),
        }  # fmt: skip

    def _information(self) -> Any:
        scale, unit = self._scale
        v, w, both = self._integrals[3]
        cross = both * unit / scale
        return [[v / scale**2, cross], [cross, w * unit**2]]

    def _moments(self) -> dict[str, Any]:
        scale, (total, first, second, (variance, _, _)) = self._scale.value, self._integrals
        return {
            "mean": self._mode + scale * first, "variance": scale**2 * variance,
            "entropy": np.log(scale) + np.log(total) + second / 2,
        }  # fmt: skip


__all__ = ["TruncatedNormal"]
