"""Independent log-normal coordinates: exponentials of normals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import vector
from fastscore.engine.normals import MULTIPLE, normals
from fastscore.engine.vecmath import exp, log, log_minus
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive, real
from fastscore.families.bijection import EXP
from fastscore.families.normal import Normal


@elementwise
def _sample(stream, scratch, x, count, loc, scale):
    normals(stream, scratch, x, -(-count // MULTIPLE) * MULTIPLE, loc, scale)
    column = vector(x, count)
    for t in range(count):
        column[t] = exp(column[t])


@inlined
def _score(x, loc, scale, unit):
    z = log_minus(x, loc) / scale
    return z / scale, (z - 1.0) * (z + 1.0) * unit


@inlined
def _log_density(x, loc, scale, constant):
    z = log_minus(x, loc) / scale
    density = constant - 0.5 * z * z - log(x)
    return density if x > 0.0 else -math.inf


class LogNormal(
    Coordinates, scores=2, low=0.0, sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent log-normals, ``x_k = exp(loc_k + scale_k z_k)``.

    Parameters
    ----------
    loc : array_like
        Means of log x, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Standard deviations of log x, positive, of the same shape or a scalar.
    log_scale : array_like
        Their logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        If a parameter is not finite, a scale is not positive, shapes differ, or a scale lies
        below the spacing of float64 around its loc.

    Notes
    -----
    Density
        ``exp(−z²/2)/(x scale √(2π))`` on x > 0, z being ``(log x − loc)/scale``.
    Score
        ``z/scale`` and ``(z² − 1)/scale``; by the logarithm ``z² − 1``.
    Fisher information
        Diagonal, ``1/scale²`` and ``2/scale²``; by the logarithm 2.
    Sampler
        A normal log x is drawn, and kept: where x overflows or underflows, f sees infinity or 0,
        and the score is exact.
    Moments
        Mean ``exp(loc + scale²/2)``, variance ``(exp(scale²) − 1) mean²``; entropy
        ``loc + log scale + (1 + log 2π)/2``.
    """

    exponential_family = True
    by_inversion = True

    def __init__(self, loc: Any, scale: Any = None, *, log_scale: Any = None) -> None:
        (self._loc, _), self._scale = self._set(
            real("loc", loc), positive("LogNormal", "scale", scale, log_scale)
        )
        self._logarithms = self.source.family

    def _elsewhere(self) -> tuple[Any, ...]:
        return Normal, EXP.forward_kernel

    def _record(self) -> dict[str, Any]:
        scale, unit = self._scale
        constant = -np.log(scale) - 0.5 * math.log(2 * math.pi)
        return {"loc": self._loc, "scale": scale, "unit": unit, "constant": constant}

    def _information(self) -> Any:
        scale, unit = self._scale
        return [[1 / scale**2, 0], [0, 2 * unit**2]]

    def _moments(self) -> dict[str, Any]:
        loc, square = self._loc, self._scale.value**2
        return {
            "mean": np.exp(loc + square / 2),
            "variance": np.expm1(square) * np.exp(2 * loc + square),
            "entropy": loc + np.log(self._scale.value) + 0.5 * math.log(2 * math.pi * math.e),
        }

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        return dict(self._logarithms._fit(np.log(x), shares, least))


__all__ = ["LogNormal"]
