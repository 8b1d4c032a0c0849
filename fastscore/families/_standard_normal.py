"""What a multivariate normal x = loc + L z is drawn from: z ~ N(0, I), with the scores of x; and
from one to the other."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore.engine.blocks import (
    ACCUMULATE,
    FORWARD,
    INVERSE,
    LOG_PROBS,
    SAMPLE,
    SCORE,
    five_sums,
)
from fastscore.engine.far import discard_above, mark_nan
from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.memory import as_floats, line_of, offset, pointer, vector
from fastscore.engine.normals import MULTIPLE, normals
from fastscore.engine.pairs import SCRATCH, add_pair_score, add_pair_sums
from fastscore.engine.stages import CONTRACT, DATA_AT
from fastscore.engine.triangles import add_multiple, affine, multiply, solve
from fastscore.families._family import Family
from fastscore.families._matrices import (
    BY_SCALE,
    DIAGONAL,
    INVERTED,
    LOG_DET,
    OFF_DIAGONAL,
    Matrix,
    matrix_of,
    places,
)
from fastscore.families._support import Support, all_reals

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
#: Beyond, the density is 0: z² overflows.
_FARTHEST = 1e154


@tile_kernel(SAMPLE)
def _sample(params, stream, scratch, z, rows, d, stride):
    count = -(-rows // MULTIPLE) * MULTIPLE
    for k in range(d):
        normals(stream, scratch, offset(z, k * stride), count, 0.0, 1.0)


@tile_kernel(LOG_PROBS)
def _log_probs(packed, columns, count, z, rows, d, stride, out):
    for j in range(count):
        total = vector(offset(out, columns[j] * stride), rows)
        total[:] = -d * _LOG_SQRT_2PI
        for k in range(d):
            _add_log_density(vector(offset(z, k * stride), rows), rows, total)


@elementwise
def _add_log_density(z, rows, total):
    for t in range(rows):
        total[t] -= 0.5 * z[t] * z[t]


@plain
def _room(d, stride):
    """Doubles for u and y, from the start of a cache line."""
    return 2 * d * stride + 8


@plain
def _columns(params, z, rows, d, stride, room):
    """``u = L⁻ᵀ z``, and a, b and c of the scores ``factor · (a_i b_j − c_ij)``."""
    _, zeros, _, to_solve, transpose, c = places(params, d)
    u, y, last = room, offset(room, d * stride), (d - 1) * stride
    # Lᵀ is upper triangular: columns in reverse order.
    if params[INVERTED] == 0.0:
        solve(transpose, zeros, offset(z, last), rows, d, -stride, offset(u, last))
        return u, u, (z if params[BY_SCALE] == 1.0 else u), c
    multiply(transpose, zeros, offset(z, last), rows, d, -stride, offset(u, last))
    solve(to_solve, zeros, z, rows, d, stride, y)
    return u, y, y, c


@tile_kernel(SCORE)
def _score(params, z, rows, d, stride, index, s):
    room = np.empty(_room(d, stride))
    u, a, b, c = _columns(params, z, rows, d, stride, line_of(pointer(room)))
    entry = d
    for i in range(d):
        column = vector(offset(u, i * stride), rows)
        add_multiple(1.0, column, rows, vector(offset(s, index[i] * stride), rows))
        for j in range(i + 1):
            add_pair_score(
                vector(offset(a, i * stride), rows), vector(offset(b, j * stride), rows),
                c[i * d + j], params[DIAGONAL if i == j else OFF_DIAGONAL], rows,
                vector(offset(s, index[entry] * stride), rows),
            )  # fmt: skip
            entry += 1
    room[0] = 0.0  # kept alive till here


@tile_kernel(CONTRACT)
def contract(own, params, z, slopes, rows, d, stride, index, out):
    """Slopes D by x, along ``∂loc + ∂L z``; by Σ along ``½ ∂Σ u``, by P along ``−½ Σ ∂P y``."""
    room = np.empty(_room(d, stride))
    _, _, b, _ = _columns(params, z, rows, d, stride, line_of(pointer(room)))
    for i in range(d):
        column = vector(offset(slopes, i * stride), rows)
        add_multiple(1.0, column, rows, vector(offset(out, index[i] * stride), rows))
    by_scale, left = params[BY_SCALE] == 1.0, np.empty(d * stride if params[INVERTED] else 1)
    if params[INVERTED] == 0.0:
        by = slopes
    else:
        by, covariance = pointer(left), as_floats(own[DATA_AT])
        for i in range(d):
            target = vector(offset(by, i * stride), rows)
            target[:] = 0.0
            for k in range(d):
                column = vector(offset(slopes, k * stride), rows)
                add_multiple(covariance[i * d + k], column, rows, target)
    # A symmetric entry off the diagonal moves both of its places.
    share = 1.0 if by_scale else (0.5 if params[INVERTED] == 0.0 else -0.5)
    entry = d
    for i in range(d):
        for j in range(i + 1):
            target = vector(offset(out, index[entry] * stride), rows)
            add_pair_score(
                vector(offset(by, i * stride), rows), vector(offset(b, j * stride), rows),
                0.0, share, rows, target,
            )  # fmt: skip
            if i != j and not by_scale:
                add_pair_score(
                    vector(offset(by, j * stride), rows), vector(offset(b, i * stride), rows),
                    0.0, share, rows, target,
                )  # fmt: skip
            entry += 1
    room[0] = left[0] = 0.0  # both live until here


@tile_kernel(ACCUMULATE)
def _accumulate(params, z, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    room, scratch = np.empty(_room(d, stride)), np.empty(SCRATCH)
    u, a, b, c = _columns(params, z, rows, d, stride, line_of(pointer(room)))
    for i in range(d):
        column = vector(offset(u, i * stride), rows)
        five_sums(column, vector(w, rows), vector(ww, rows), rows, sums, size, i)
    add_pair_sums(
        a, b, (d, d), True, c, params[OFF_DIAGONAL], params[DIAGONAL], w, rows, stride,
        pointer(scratch), offset(sums, d), size,
    )  # fmt: skip
    room[0] = scratch[0] = 0.0  # kept alive till here


@tile_kernel(FORWARD)
def forward(params, z, rows, d, stride, x):
    """x of z."""
    loc, zeros, factor, to_solve, _, _ = places(params, d)
    if params[INVERTED] == 0.0:
        multiply(factor, loc, z, rows, d, stride, x)
    else:
        solve(to_solve, zeros, z, rows, d, stride, x)
        for k in range(d):
            column = vector(offset(x, k * stride), rows)
            affine(loc[k], 1.0, column, rows, column)


@tile_kernel(INVERSE)
def inverse(params, x, rows, d, stride, z, log_det):
    """z of x, and ``log|dz/dx|``."""
    loc, zeros, factor, to_solve, _, _ = places(params, d)
    mark_nan(x, d, rows, stride, log_det)
    if params[INVERTED] == 0.0:
        solve(to_solve, loc, x, rows, d, stride, z)
    else:
        for k in range(d):
            target = vector(offset(z, k * stride), rows)
            affine(-loc[k], 1.0, vector(offset(x, k * stride), rows), rows, target)
        multiply(factor, zeros, z, rows, d, stride, z)
    discard_above(_FARTHEST, z, d, rows, stride, log_det)
    total = vector(log_det, rows)
    affine(params[LOG_DET], 1.0, total, rows, total)


class StandardNormal(Family):
    """Standard normals z, with the parameters and the scores of ``x = loc + L z``.

    Parameters
    ----------
    loc : ndarray of shape (d,)
        Mean of x.
    matrix : Matrix
        L, or its covariance or precision.
    """

    by_inversion = True
    sample_kernel = _sample
    score_kernel = _score
    log_probs_kernel = _log_probs
    accumulate_kernel = _accumulate

    def __init__(self, loc: np.ndarray, matrix: Matrix) -> None:
        self.matrix = matrix
        self.parameters = MappingProxyType({"loc": loc, matrix.name: matrix.given})
        self.d = len(loc)
        self.size = self.d + self.free(matrix.name)
        self.index = np.arange(self.size)
        self.packed = matrix.packed(loc)

    def free(self, name: str) -> int:
        """Number of free entries of a parameter."""
        return self.d if name == "loc" else self.d * (self.d + 1) // 2

    def shaped(self, name: str, values: np.ndarray, *, scaled: bool = True) -> np.ndarray:
        """Derivatives by the free entries of a parameter, in its shape, and their errors."""
        return values if name == "loc" else self.matrix.shaped(values, scaled=scaled)

    @property
    def centre(self) -> np.ndarray:
        """That of z, 0."""
        return np.zeros(self.d)

    @property
    def spread(self) -> np.ndarray:
        """Those of z, 1."""
        return np.ones(self.d)

    def fisher(self) -> Any:
        """Fisher information: ``Σ⁻¹`` by loc, and a block by the matrix."""
        precision, d = self.matrix.precision, self.d

        def times(v: np.ndarray) -> np.ndarray:
            by_matrix = self.matrix.fisher_times(v[..., d:])
            return np.concatenate([v[..., :d] @ precision, by_matrix], axis=-1)

        return matrix_of(times, self.size)

    @property
    def support_set(self) -> Support:
        """All reals."""
        return all_reals(self.d)
