"""Independent Laplace (double exponential) coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.exponentials import laplaces
from fastscore.engine.jit import elementwise, inlined
from fastscore.families._coordinates import Coordinates
from fastscore.families._fitting import weighted_median
from fastscore.families._parameters import positive, real


@elementwise
def _sample(stream, scratch, x, count, loc, scale):
    laplaces(stream, scratch, x, count, loc, scale)


@inlined
def _score(x, loc, scale, unit):
    z = (x - loc) / scale
    over = (abs(x - loc) - scale) / scale  # near |z| = 1 the difference keeps its digits
    return (0.0 if z == 0.0 else math.copysign(1.0 / scale, z)), over * unit


@inlined
def _log_density(x, loc, scale, constant):
    return constant - abs((x - loc) / scale)


class Laplace(
    Coordinates, fields=("loc", "scale", "unit", "constant"), scores=2,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent Laplace distributions, of density ``exp(−|x − loc|/scale)/(2 scale)``.

    Parameters
    ----------
    loc : array_like
        Means, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Mean distances from them, positive, of the same shape or a scalar.
    log_scale : array_like
        Their logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        If a parameter is not finite, a scale is not positive, or shapes differ.

    Notes
    -----
    With ``z = (x − loc)/scale`` the score is ``∂_loc = sign(z)/scale``, 0 at z = 0,
    ``∂_scale = (|z| − 1)/scale``, ``∂_log_scale = |z| − 1``; the Fisher information is diagonal,
    ``1/scale²`` twice, and 1 by the logarithm.
    """

    def __init__(self, loc: Any, scale: Any = None, *, log_scale: Any = None) -> None:
        loc, self._scale = self._set(
            real("loc", loc), positive("Laplace", "scale", scale, log_scale)
        )
        self._loc = loc.value

    def _record(self) -> dict[str, Any]:
        scale, unit = self._scale
        return {"loc": self._loc, "scale": scale, "unit": unit, "constant": -np.log(2 * scale)}

    def _information(self) -> Any:
        scale, unit = self._scale
        return [[1 / scale**2, 0], [0, unit**2]]

    @property
    def mean(self) -> np.ndarray:
        """``loc``."""
        return self._loc

    @property
    def variance(self) -> np.ndarray:
        """``2 scale²``."""
        return 2 * self._scale.value**2

    def entropy(self) -> float:
        """``Σ 1 + log(2 scale)``."""
        return float(np.sum(1 + np.log(2 * self._scale.value)))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        """The median, and the mean distance from it."""
        (_, loc), (name, scale) = self.parameters.items()
        current = np.exp(scale.ravel()) if name == "log_scale" else scale.ravel()
        if loc.size < self.d and scale.size > 1:
            raise TypeError("a Laplace with one loc and several scales cannot be fitted to samples")
        if loc.size < self.d:
            pooled = weighted_median(x.ravel(), np.repeat(shares, self.d))
            loc = np.full(self.d, pooled)
        else:
            loc = np.array([weighted_median(column, shares) for column in x.T])
        distance = np.einsum("n,nk->k", shares, np.abs(x - loc))
        fitted = np.maximum(distance if scale.size == self.d else distance.mean(), least * current)
        found = np.log(fitted) if name == "log_scale" else fitted
        return {"loc": loc[: self.parameters["loc"].size], name: found}


__all__ = ["Laplace"]
