"""Independent normal coordinates."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from fastscore.engine.blocks import ACCUMULATE, ADD_WEIGHTED, LOG_PROBS, SAMPLE, SCORE
from fastscore.engine.jit import elementwise, reduction, tile_kernel
from fastscore.engine.memory import as_floats, offset, vector
from fastscore.engine.normals import MULTIPLE, normals
from fastscore.engine.squares import sums_of_squares
from fastscore.families._family import Family
from fastscore.families._fitting import location_and_scale, moments
from fastscore.families._information import assembled
from fastscore.families._parameters import positive, real
from fastscore.families._support import Support

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
#: Below this scale/|loc|, rounding x = loc + scale z would itself shift the second moments.
_FINEST = 2.0**-40


@tile_kernel(SAMPLE)
def _sample(params, stream, scratch, x, rows, d, stride):
    loc, scale = params, offset(params, d)
    count = -(-rows // MULTIPLE) * MULTIPLE
    for k in range(d):
        normals(stream, scratch, offset(x, k * stride), count, loc[k], scale[k])


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


@tile_kernel(ACCUMULATE)
def _accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    loc, scale, unit = params, offset(params, d), offset(params, 2 * d)
    f, ff = vector(w, rows), vector(ww, rows)
    for k in range(d):
        a = 1.0 / scale[k]
        b = unit[k]
        z, wz, u, wu, wwu, uu, wuu, wwuu = _eight_sums(
            vector(offset(x, k * stride), rows), f, ff, rows, loc[k], a
        )
        _add(sums, size, k, a, z, wz, u + rows, wu + sum_w, wwu + sum_ww)
        _add(sums, size, d + k, b, u, wu, uu, wuu, wwuu)


@tile_kernel(ADD_WEIGHTED)
def _add_weighted(params, x, weight, w, rows, d, stride, units, size):
    loc, scale, unit = params, offset(params, d), offset(params, 2 * d)
    for k in range(d):
        by_loc, by_scale = offset(units, k * stride), offset(units, (d + k) * stride)
        _add_weighted_scores(
            vector(offset(x, k * stride), rows), vector(weight, rows), vector(w, rows), rows,
            loc[k], 1.0 / scale[k], unit[k], vector(by_loc, rows), vector(by_scale, rows),
            vector(offset(by_loc, size * stride), rows),
            vector(offset(by_scale, size * stride), rows),
        )  # fmt: skip


@elementwise
def _add_weighted_scores(x, weight, w, rows, loc, inverse, unit, s_loc, s_scale, f_loc, f_scale):
    for t in range(rows):
        z = (x[t] - loc) * inverse
        z = z if weight[t] > 0.0 else 0.0
        by_loc = weight[t] * z * inverse
        by_scale = weight[t] * (z * z - 1.0) * unit
        s_loc[t] += by_loc
        s_scale[t] += by_scale
        f_loc[t] += w[t] * by_loc
        f_scale[t] += w[t] * by_scale


@reduction
def _eight_sums(x, w, ww, rows, loc, inverse):
    """Sums of z, u = z² − 1 and u² under weights 1, w and w²; z² itself is u + 1."""
    z = wz = u = wu = wwu = uu = wuu = wwuu = 0.0
    for t in range(rows):
        y = (x[t] - loc) * inverse
        v = y * y - 1.0
        vv = v * v
        z += y
        wz += w[t] * y
        u += v
        wu += w[t] * v
        wwu += ww[t] * v
        uu += vv
        wuu += w[t] * vv
        wwuu += ww[t] * vv
    return z, wz, u, wu, wwu, uu, wuu, wwuu


@elementwise
def _add(sums, size, j, factor, s, fs, ss, fss, ffss):
    """Add the five sums of a score column that is ``factor`` times a standardised one."""
    square = factor * factor
    sums[j] += factor * s
    sums[size + j] += factor * fs
    sums[2 * size + j] += square * ss
    sums[3 * size + j] += square * fss
    sums[4 * size + j] += square * ffss


@lru_cache(maxsize=64)
def _all_reals(d: int) -> Support:
    return Support.reals(d)


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
    """

    sample_kernel = _sample
    score_kernel = _score
    log_probs_kernel = _log_probs
    accumulate_kernel = _accumulate
    add_weighted_kernel = _add_weighted

    def __init__(self, loc: Any, scale: Any = None, *, log_scale: Any = None) -> None:
        (loc, _), (scale, unit) = self._set(
            real("loc", loc), positive("Normal", "scale", scale, log_scale)
        )
        self._check_resolution(loc, scale)
        constant = -np.sum(np.log(scale) + _LOG_SQRT_2PI)
        self.packed = np.concatenate([loc, scale, unit, 1 / scale, [constant]])

    @staticmethod
    def _check_resolution(loc: np.ndarray, scale: np.ndarray) -> None:
        coarse = scale < _FINEST * np.abs(loc)
        if coarse.any():
            k = int(np.argmax(coarse))
            raise ValueError(
                f"scale = {float(scale[k])!r} at loc = {float(loc[k])!r} (coordinate {k}): float64 "
                "cannot resolve such a distribution, x = loc + scale*z would round to a few "
                "values. Give loc relative to an origin nearby, and shift x inside f"
            )

    def fisher(self) -> Any:
        """Fisher information, (P, P): diagonal, summed over coordinates that share an entry.

        Sparse beyond 4,096 parameter entries.
        """
        scale, unit = self.packed[self.d : 2 * self.d], self.packed[2 * self.d : 3 * self.d]
        blocks = [[1 / scale**2, 0], [0, 2 * unit**2]]
        return assembled(blocks, self.index.reshape(2, self.d), self.size)

    @property
    def mean(self) -> np.ndarray:
        """``loc``."""
        return self.packed[: self.d].copy()

    @property
    def variance(self) -> np.ndarray:
        """``scale²``."""
        return self.packed[self.d : 2 * self.d] ** 2

    def entropy(self) -> float:
        """``Σ log scale + ½ log 2πe``."""
        return float(0.5 * self.d - self.packed[-1])

    @property
    def support_set(self) -> Support:
        """All reals."""
        return _all_reals(self.d)

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        loc, scale = self.parameters.values()
        if "log_scale" in self.parameters:
            scale = np.exp(scale)
        floor = least * (scale.ravel() if scale.ndim else scale)
        loc, scale = location_and_scale(*moments(x, shares), floor, shared=not loc.ndim)
        if "log_scale" in self.parameters:
            return {"loc": loc, "log_scale": np.log(scale)}
        return {"loc": loc, "scale": scale}
