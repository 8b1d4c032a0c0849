"""Independent normal coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.blocks import LOG_PROBS, SCORE
from fastscore.engine.jit import elementwise, tile_kernel
from fastscore.engine.memory import as_floats, offset, vector
from fastscore.engine.normal_tiles import accumulate, add_weighted, sample
from fastscore.engine.squares import sums_of_squares
from fastscore.families._family import Family
from fastscore.families._fitting import location_and_scale, moments
from fastscore.families._information import assembled
from fastscore.families._parameters import positive, real
from fastscore.families._path import Path, of_location_and_scale
from fastscore.families._support import Support, all_reals

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
#: Below this scale/|loc|, rounding x = loc + scale z would itself shift the second moments.
_FINEST = 2.0**-40


@tile_kernel(LOG_PROBS)
def _log_probs(packed, columns, count, x, rows, d, stride, out):
    sums_of_squares(packed, columns, count, 0, 3 * d, x, rows, d, stride, out)
    for j in range(count):
        constant = as_floats(packed[j])[4 * d]
        _finish_log_prob(vector(offset(out, columns[j] * stride), rows), rows, constant)


@elementwise
def _finish_log_prob(squares, rows, constant):
    """``Σ −z²/2 − log σ − log √(2π)``."""
    for t in range(rows):
        squares[t] = constant - 0.5 * squares[t]


@tile_kernel(SCORE)
def _score(params, x, rows, d, stride, index, s):
    loc, scale, unit = params, offset(params, d), offset(params, 2 * d)
    for k in range(d):
        _add_scores(
            vector(offset(x, k * stride), rows), rows, loc[k], scale[k], unit[k],
            vector(offset(s, index[k] * stride), rows),
            vector(offset(s, index[d + k] * stride), rows),
        )  # fmt: skip


@elementwise
def _add_scores(x, rows, loc, scale, unit, s_loc, s_scale):
    """∂_loc log p = z/σ;  ∂_η log p = (z² − 1) (dσ/dη)/σ, η being σ or log σ."""
    for t in range(rows):
        z = (x[t] - loc) / scale
        s_loc[t] += z / scale
        s_scale[t] += (z - 1.0) * (z + 1.0) * unit


class Normal(Family):
    """Independent normals, ``x_k = loc_k + scale_k z_k``.

    Parameters
    ----------
    loc : array_like
        Means, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Standard deviations, positive, of the same shape or a scalar.
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
        ``exp(−z²/2)/(scale √(2π))``, z being ``(x − loc)/scale``.
    Score
        ``z/scale`` and ``(z² − 1)/scale``; by the logarithm ``z² − 1``.
    Fisher information
        Diagonal, ``1/scale²`` and ``2/scale²``; by the logarithm 2.
    Sampler
        Box and Muller, in pairs.  Radii come from uniforms of 52 bits: the tails are right to
        2^-52, which is 8.5 scales out.
    Moments
        Mean ``loc``, variance ``scale²``; entropy ``log scale + ½ log 2πe``.
    """

    exponential_family = True
    by_inversion = True
    sample_kernel = sample
    score_kernel = _score
    log_probs_kernel = _log_probs
    accumulate_kernel = accumulate
    add_weighted_kernel = add_weighted

    def __init__(self, loc: Any, scale: Any = None, *, log_scale: Any = None) -> None:
        given = real("loc", loc), positive("Normal", "scale", scale, log_scale)
        (loc, _), self._scale = self._set(*given)
        scale, unit = self._scale
        _check_resolution(loc, scale)
        constant = -np.sum(np.log(scale) + _LOG_SQRT_2PI)
        self.packed = np.concatenate([loc, scale, unit, 1 / scale, [constant]])

    def fisher(self) -> Any:
        """Fisher information, (P, P): diagonal, summed over coordinates that share an entry.

        Sparse beyond 4,096 parameter entries.
        """
        scale, unit = self._scale
        blocks = [[1 / scale**2, 0], [0, 2 * unit**2]]
        return assembled(blocks, self.index.reshape(2, self.d), self.size)

    @property
    def centre(self) -> np.ndarray:
        """The means."""
        return self.packed[: self.d]

    @property
    def spread(self) -> np.ndarray:
        """The scales."""
        return self._scale.value

    @property
    def own_path(self) -> Path:
        """``∂x/∂loc = 1`` and ``∂x/∂scale = z``."""
        return of_location_and_scale(self.centre, self._scale.unit)

    def _moments(self) -> dict[str, Any]:
        mean, variance = self.packed[: self.d].copy(), self._scale.value**2
        return {"mean": mean, "variance": variance, "entropy": self.d / 2 - self.packed[-1]}

    @property
    def support_set(self) -> Support:
        """All reals."""
        return all_reals(self.d)

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        loc, given = self.parameters.values()
        floor = least * (self._scale.value if given.ndim else self._scale.value[0])
        loc, scale = location_and_scale(*moments(x, shares), floor, shared=not loc.ndim)
        if "log_scale" in self.parameters:
            return {"loc": loc, "log_scale": np.log(scale)}
        return {"loc": loc, "scale": scale}


def _check_resolution(loc: np.ndarray, scale: np.ndarray) -> None:
    coarse = np.flatnonzero(scale < _FINEST * np.abs(loc))
    if len(coarse):
        k = coarse[0]
        raise ValueError(
            f"scale = {float(scale[k])!r} at loc = {float(loc[k])!r} (coordinate {k}): float64 "
            "cannot resolve such a distribution, x = loc + scale*z would round to a few "
            "values. Give loc relative to an origin nearby, and shift x inside f"
        )
