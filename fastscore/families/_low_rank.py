"""Covariances ``Σ = W Wᵀ + diag D``, W of shape (d, r), and kernels of their normals: O(d r)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastscore.engine.blocks import ACCUMULATE, LOG_PROBS, SAMPLE, SCORE, five_sums
from fastscore.engine.far import discard_above, mark_nan
from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.memory import as_floats, line_of, offset, pointer, vector
from fastscore.engine.normals import MULTIPLE, normals
from fastscore.engine.pairs import SCRATCH, add_pair_score, add_pair_sums
from fastscore.engine.stages import CONTRACT
from fastscore.engine.structured import RANDOM, kind_of
from fastscore.engine.triangles import add_multiple, affine

#: Beyond, u and t count as overflown, and the density as 0.
_FARTHEST = 1e300


@dataclass(frozen=True)
class LowRank:
    """Σ, of W and D; by orthonormal columns of [W/√D, 1] ``Σ⁻¹ = (1 − Q Qᵀ)/√D√D``.

    Attributes
    ----------
    factor, solved : ndarray of shape (d, r)
        W and ``Σ⁻¹ W``.
    diagonal, root : ndarray of shape (d,)
        D and its root.
    columns : ndarray of shape (d, r)
        Q.
    log_det : float
        ``½ log|Σ|``.
    """

    factor: np.ndarray
    diagonal: np.ndarray
    root: np.ndarray
    columns: np.ndarray
    solved: np.ndarray
    log_det: float

    @classmethod
    def of(cls, factor: np.ndarray, diagonal: np.ndarray) -> LowRank:
        """Factor it, without squaring W."""
        root = np.sqrt(diagonal)
        scaled = np.vstack([factor / root[:, None], np.eye(factor.shape[1])])
        columns, triangle = np.linalg.qr(scaled)
        columns = columns[: len(root)]
        log_det = float(np.sum(np.log(root)) + np.sum(np.log(np.abs(np.diag(triangle)))))
        solved = np.linalg.solve(triangle, columns.T).T / root[:, None]
        return cls(factor, diagonal, root, columns, solved, log_det)

    def packed(self, loc: np.ndarray) -> np.ndarray:
        """What the kernels read."""
        d, rank = self.factor.shape
        constant = -self.log_det - d * math.log(2 * math.pi) / 2
        expected = (1 - np.sum(self.columns**2, axis=1)) / self.diagonal
        matrices = self.factor.ravel(), self.solved.ravel()
        vectors = loc, self.diagonal, self.root, expected
        return np.concatenate([[rank, constant], *matrices, [0.0], *vectors])

    def fisher_times(self, v: np.ndarray) -> np.ndarray:
        """Of changes of W and D, and thus dΣ: ``Σ⁻¹ dΣ Σ⁻¹ W`` and ``½ diag Σ⁻¹ dΣ Σ⁻¹``."""
        factor, diagonal, solved = self.factor, self.diagonal, self.solved
        d = len(diagonal)
        loc, by_factor, by_diagonal = np.split(v, [d, v.shape[-1] - d], axis=-1)
        change = by_factor.reshape(*v.shape[:-1], *factor.shape)
        moved = change @ (factor.T @ solved) + factor @ (change.swapaxes(-1, -2) @ solved)
        moved += by_diagonal[..., None] * solved
        basis = self.columns / self.root[:, None]
        inner = basis.T * by_diagonal[..., None, :] @ basis
        diagonals = np.sum(basis @ inner * basis + 2 * self.solve(change) * solved, axis=-1)
        diagonals += by_diagonal / diagonal * (1 / diagonal - 2 * np.sum(basis**2, axis=1))
        parts = [self.solve(loc[..., None]), self.solve(moved), diagonals / 2]
        return np.concatenate([part.reshape(*v.shape[:-1], -1) for part in parts], axis=-1)

    def solve(self, columns: np.ndarray) -> np.ndarray:
        """``Σ⁻¹`` times columns (..., d, k)."""
        scaled = columns / self.root[:, None]
        return (scaled - self.columns @ (self.columns.T @ scaled)) / self.root[:, None]


@plain
def _places(params, d):
    """r, and where `packed` has W, ``Σ⁻¹ W`` and the vectors."""
    r = int(params[0])
    factor = offset(params, 2)
    solved = offset(factor, d * r)
    loc = offset(solved, d * r + 1)  # pairs read a double more
    return r, factor, solved, loc, offset(loc, d), offset(loc, 2 * d), offset(loc, 3 * d)


@tile_kernel(SAMPLE)
def sample(params, stream, scratch, x, rows, d, stride):
    """x, from r + d normals each."""
    r, factor, _, loc, _, root, _ = _places(params, d)
    count = -(-rows // MULTIPLE) * MULTIPLE
    room = np.empty(r * count)
    common = pointer(room)
    if kind_of(stream) == RANDOM:
        normals(stream, scratch, common, r * count, 0.0, 1.0)
    else:  # whose words come coordinate by coordinate
        for k in range(r):
            normals(stream, scratch, offset(common, k * count), count, 0.0, 1.0)
    for i in range(d):
        column = offset(x, i * stride)
        normals(stream, scratch, column, count, loc[i], root[i])
        _add_multiples(offset(factor, i * r), 1, common, count, r, vector(column, rows), rows, 1.0)
    room[0] = 0.0  # kept alive till here


@plain
def _add_multiples(by, step, columns, stride, count, out, rows, sign):
    """Add multiples of columns; one step leads from a factor to the next."""
    for k in range(count):
        add_multiple(sign * by[k * step], vector(offset(columns, k * stride), rows), rows, out)


@plain
def _room(params, d, stride):
    """Doubles for t and u, from the start of a cache line."""
    return (int(params[0]) + d) * stride + 8


@plain
def _whitened(params, x, rows, d, stride, room):
    """``t = Wᵀ Σ⁻¹ y`` of ``y = x − loc``, and behind it ``u = Σ⁻¹ y = (y − W t)/D``."""
    r, factor, solved, loc, diagonal, _, _ = _places(params, d)
    t, u = room, offset(room, r * stride)
    for i in range(d):
        column = vector(offset(u, i * stride), rows)
        affine(-loc[i], 1.0, vector(offset(x, i * stride), rows), rows, column)
    for k in range(r):
        column = vector(offset(t, k * stride), rows)
        column[:] = 0.0
        _add_multiples(offset(solved, k), r, u, stride, d, column, rows, 1.0)
    for i in range(d):
        column = vector(offset(u, i * stride), rows)
        _add_multiples(offset(factor, i * r), 1, t, stride, r, column, rows, -1.0)
        affine(0.0, 1.0 / diagonal[i], column, rows, column)
    return t, u


@tile_kernel(LOG_PROBS)
def log_probs(packed, columns, count, x, rows, d, stride, out):
    """Log-densities under several parameters."""
    for j in range(count):
        params = as_floats(packed[j])
        r, diagonal = int(params[0]), _places(params, d)[4]
        room = np.empty(_room(params, d, stride))
        log_prob = offset(out, columns[j] * stride)
        total = vector(log_prob, rows)
        total[:] = params[1]
        mark_nan(x, d, rows, stride, log_prob)
        t, u = _whitened(params, x, rows, d, stride, line_of(pointer(room)))
        discard_above(_FARTHEST, t, r + d, rows, stride, log_prob)
        for k in range(r):
            _add_density(vector(offset(t, k * stride), rows), 1.0, rows, total)
        for i in range(d):
            _add_density(vector(offset(u, i * stride), rows), diagonal[i], rows, total)
        room[0] = 0.0  # kept alive till here


@elementwise
def _add_density(v, by, rows, total):
    for t in range(rows):
        total[t] -= 0.5 * (by * v[t]) * v[t]


@tile_kernel(SCORE)
def score(params, x, rows, d, stride, index, s):
    """Scores by loc, W and D."""
    r, _, solved, _, _, _, expected = _places(params, d)
    room, log_prob = np.empty(_room(params, d, stride)), np.zeros(rows)
    t, u = _whitened(params, x, rows, d, stride, line_of(pointer(room)))
    discard_above(_FARTHEST, t, r + d, rows, stride, pointer(log_prob))
    for i in range(d):
        column = vector(offset(u, i * stride), rows)
        add_multiple(1.0, column, rows, vector(offset(s, index[i] * stride), rows))
        for k in range(r):
            add_pair_score(
                column, vector(offset(t, k * stride), rows), solved[i * r + k], 1.0, rows,
                vector(offset(s, index[d + i * r + k] * stride), rows),
            )  # fmt: skip
        target = vector(offset(s, index[d + d * r + i] * stride), rows)
        add_pair_score(column, column, expected[i], 0.5, rows, target)
    room[0] = log_prob[0] = 0.0  # kept alive till here


@tile_kernel(CONTRACT)
def contract(own, params, x, slopes, rows, d, stride, index, out):
    """Along ``∂loc + ∂W t + ∂D u/2``: what e and ε do is averaged, given x.

    ``E[e | x] = t`` and ``E[ε | x] = √D u``.
    """
    r = int(params[0])
    room = np.empty(_room(params, d, stride))
    t, u = _whitened(params, x, rows, d, stride, line_of(pointer(room)))
    for i in range(d):
        column = vector(offset(slopes, i * stride), rows)
        add_multiple(1.0, column, rows, vector(offset(out, index[i] * stride), rows))
        for k in range(r):
            add_pair_score(
                column, vector(offset(t, k * stride), rows), 0.0, 1.0, rows,
                vector(offset(out, index[d + i * r + k] * stride), rows),
            )  # fmt: skip
        add_pair_score(
            column, vector(offset(u, i * stride), rows), 0.0, 0.5, rows,
            vector(offset(out, index[d + d * r + i] * stride), rows),
        )  # fmt: skip
    room[0] = 0.0  # kept alive till here


@tile_kernel(ACCUMULATE)
def accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    """Their sums, without a column for each."""
    r, _, solved, _, _, _, expected = _places(params, d)
    room, scratch, score = np.empty(_room(params, d, stride)), np.empty(SCRATCH), np.empty(rows)
    t, u = _whitened(params, x, rows, d, stride, line_of(pointer(room)))
    for i in range(d):
        column = vector(offset(u, i * stride), rows)
        five_sums(column, vector(w, rows), vector(ww, rows), rows, sums, size, i)
        score[:] = 0.0
        add_pair_score(column, column, expected[i], 0.5, rows, score)
        five_sums(score, vector(w, rows), vector(ww, rows), rows, sums, size, d + d * r + i)
    add_pair_sums(
        u, t, (d, r), False, solved, 1.0, 1.0, w, rows, stride,
        pointer(scratch), offset(sums, d), size,
    )  # fmt: skip
    room[0] = scratch[0] = 0.0  # kept alive till here
