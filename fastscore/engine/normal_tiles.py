"""Tiles of independent normals: drawn, and their scores summed up in one pass.

Their parameters are loc, scale and unit, d doubles each, of which unit is the derivative of the
logarithm of the scale by its parameter.  With ``z = (x − loc)/scale`` the scores are ``z/scale``
and ``(z² − 1) unit``.
"""

from __future__ import annotations

from fastscore.engine.blocks import ACCUMULATE, ADD_WEIGHTED, SAMPLE
from fastscore.engine.jit import elementwise, reduction, tile_kernel
from fastscore.engine.memory import offset, vector
from fastscore.engine.normals import MULTIPLE, normals


@tile_kernel(SAMPLE)
def sample(params, stream, scratch, x, rows, d, stride):
    """Fill a tile."""
    loc, scale = params, offset(params, d)
    count = -(-rows // MULTIPLE) * MULTIPLE
    for k in range(d):
        normals(stream, scratch, offset(x, k * stride), count, loc[k], scale[k])


@tile_kernel(ACCUMULATE)
def accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    """Add up the five sums of each score."""
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
def add_weighted(params, x, weight, w, rows, d, stride, units, size):
    """Add weighted scores to those of their units."""
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


__all__ = ["accumulate", "add_weighted", "sample"]
