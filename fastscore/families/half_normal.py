"""Independent half-normal coordinates: sizes of normals."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import vector
from fastscore.engine.normals import MULTIPLE, normals
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive


@elementwise
def _sample(stream, scratch, x, count, scale):
    normals(stream, scratch, x, -(-count // MULTIPLE) * MULTIPLE, 0.0, scale)
    column = vector(x, count)
    for t in range(count):
        column[t] = abs(column[t])


@inlined
def _score(x, scale, unit):
    over = (x - scale) / scale  # near x = scale it keeps its digits
    return (over * (x / scale + 1.0) * unit,)


@inlined
def _log_density(x, scale, constant):
    z = x / scale
    return constant - 0.5 * z * z


class HalfNormal(
    Coordinates, low=0.0,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent half-normal distributions, of |z| with z from Normal(0, scale).

    Parameters
    ----------
    scale : array_like
        Standard deviations of the normals, positive, of shape (d,), or a scalar for a single
        coordinate.
    log_scale : array_like
        Their logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        If a scale is not positive or not finite.

    Notes
    -----
    Density
        ``√(2/π)/scale exp(−x²/(2 scale²))`` on x ≥ 0.
    Score
        ``((x/scale)² − 1)/scale``; by the logarithm ``(x/scale)² − 1``.
    Fisher information
        Diagonal, ``2/scale²``; by the logarithm 2.
    Sampler
        The normals by Box and Muller (1958), without their signs.
    Moments
        Mean ``√(2/π) scale``, variance ``(1 − 2/π) scale²``.
    """

    exponential_family = True
    by_inversion = True
    floors: ClassVar = {"scale": 1}

    def __init__(self, scale: Any = None, *, log_scale: Any = None) -> None:
        (self._scale,) = self._set(positive("HalfNormal", "scale", scale, log_scale))

    def _record(self) -> dict[str, Any]:
        scale, unit = self._scale
        constant = 0.5 * math.log(2 / math.pi) - np.log(scale)
        return {"scale": scale, "unit": unit, "constant": constant}

    def _closed_paths(self) -> Any:
        """``∂x/∂scale = x/scale``."""
        return ((0, self._scale.unit),)

    def _information(self) -> Any:
        return [[2 * self._scale.unit**2]]

    def _moments(self) -> dict[str, Any]:
        scale = self._scale.value
        return {
            "mean": math.sqrt(2 / math.pi) * scale, "variance": (1 - 2 / math.pi) * scale**2,
            "entropy": 0.5 + 0.5 * math.log(math.pi / 2) + np.log(scale),
        }  # fmt: skip


__all__ = ["HalfNormal"]
