"""Triangular matrices, applied to the columns of a tile and solved for them.

A lower triangular matrix of d rows is packed as the kernels read it: the first ``d % 6`` rows one
by one, then blocks of six rows, each stored by columns up to its own square on the diagonal.  Six
rows of results for a few vectors of samples stay in registers while columns pass by.  An upper
triangular matrix is a lower one on columns in reverse order: give the last column and a negative
stride.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from fastscore.engine.jit import elementwise, plain
from fastscore.engine.lanes import Lanes, lane_count, loop_if_any, word
from fastscore.engine.memory import floats, i8, lanes, offset, vector

_SIDE = 6


def packed_triangle(matrix: np.ndarray) -> np.ndarray:
    """The lower triangle of a matrix as `multiply` takes it."""
    d = len(matrix)
    first, lower = d % _SIDE, np.tril(matrix)
    rows = [lower[i, : i + 1] for i in range(first)]
    blocks = [lower[i : i + _SIDE, : i + _SIDE].T.ravel() for i in range(first, d, _SIDE)]
    return np.concatenate(rows + blocks)


def packed_to_solve(matrix: np.ndarray) -> np.ndarray:
    """The same as `solve` takes it: what is to be added, and by what to multiply."""
    steps = -np.tril(matrix)
    np.fill_diagonal(steps, 1 / np.diag(matrix))
    return packed_triangle(steps)


@plain
def triangle_size(d):
    """Doubles of a packed matrix."""
    first, blocks = d % _SIDE, d // _SIDE
    return first * (first + 1) // 2 + _SIDE * blocks * (first + _SIDE * (blocks + 1) // 2)


def _six_rows(solve: bool, ragged: bool) -> Any:
    """Make an intrinsic: six columns of results from those before them and from themselves."""

    @intrinsic
    def emit(typingctx, m, loc, before, v, out, stride, rows):
        def codegen(context, builder, signature, args):
            m, loc, before, v, out, stride, rows = args
            use = Lanes(builder, rows if ragged else None)
            vectors = range(1 if ragged else lanes() // 2)

            def column(base: Any, k: Any) -> Any:
                return builder.gep(base, [builder.mul(k, stride)])

            def own(base: Any) -> list[Any]:
                return [column(base, builder.add(before, word(r))) for r in range(_SIDE)]

            def add(results: list[Any], coefficients: Any, first: int, values: list[Any]) -> None:
                """Add a column times its six coefficients, from the first on."""
                for r in range(first, _SIDE):
                    by = use.spread(coefficients, r)
                    results[r] = [
                        use.add_product(*each, by) for each in zip(results[r], values, strict=True)
                    ]

            def step(j: Any, flat: list[Any]) -> list[Any]:
                results = _cut(flat, len(vectors))
                source = column(out if solve else v, j)
                coefficients = builder.gep(m, [builder.mul(j, word(_SIDE))])
                add(results, coefficients, 0, [use.load(source, i) for i in vectors])
                return list(chain.from_iterable(results))

            given = [[use.load(place, i) for i in vectors] for place in own(v)]
            low = [use.spread(loc, r) for r in range(_SIDE)]
            start = [
                [builder.fsub(value, a) if solve else a for value in values]
                for values, a in zip(given, low, strict=True)
            ]
            flat = loop_if_any(builder, before, list(chain.from_iterable(start)), step)
            results = _cut(flat, len(vectors))
            square = builder.gep(m, [builder.mul(before, word(_SIDE))])
            for j in range(_SIDE):
                coefficients = builder.gep(square, [word(j * _SIDE)])
                if solve:
                    by = use.spread(coefficients, j)
                    results[j] = [builder.fmul(value, by) for value in results[j]]
                    add(results, coefficients, j + 1, results[j])
                else:
                    add(results, coefficients, j, given[j])
            for place, values in zip(own(out), results, strict=True):
                for i, value in enumerate(values):
                    use.store(value, place, i)
            return context.get_dummy_value()

        return types.void(floats, floats, i8, floats, floats, i8, i8), codegen

    return emit


def _cut(flat: list[Any], size: int) -> list[list[Any]]:
    return [flat[i : i + size] for i in range(0, len(flat), size)]


def _all_rows(solve: bool) -> Any:
    """Make a helper: six columns, of all rows."""
    whole, ragged = _six_rows(solve, False), _six_rows(solve, True)

    @plain
    def run(m, loc, before, v, rows, stride, out):
        step = lane_count() // 2 * lane_count()
        at_once = rows // step * step
        for t in range(0, at_once, step):
            whole(m, loc, before, offset(v, t), offset(out, t), stride, step)
        for t in range(at_once, rows, lane_count()):
            ragged(m, loc, before, offset(v, t), offset(out, t), stride, rows - t)

    return run


_multiply_six, _solve_six = _all_rows(False), _all_rows(True)


@plain
def multiply(m, loc, v, rows, d, stride, out):
    """``out = loc + M v``; out may be v."""
    at, first = triangle_size(d), d % _SIDE
    for i in range(d - _SIDE, first - 1, -_SIDE):
        at -= _SIDE * (i + _SIDE)
        _multiply_six(offset(m, at), offset(loc, i), i, v, rows, stride, out)
    for i in range(first - 1, -1, -1):
        at -= i + 1
        result = vector(offset(out, i * stride), rows)
        affine(loc[i], m[at + i], vector(offset(v, i * stride), rows), rows, result)
        for j in range(i):
            add_multiple(m[at + j], vector(offset(v, j * stride), rows), rows, result)


@plain
def solve(m, loc, v, rows, d, stride, out):
    """``out = M⁻¹ (v − loc)``, of what `packed_to_solve` made of M; out may be v."""
    at, first = 0, d % _SIDE
    for i in range(first):
        result = vector(offset(out, i * stride), rows)
        affine(-loc[i], 1.0, vector(offset(v, i * stride), rows), rows, result)
        for j in range(i):
            add_multiple(m[at + j], vector(offset(out, j * stride), rows), rows, result)
        affine(0.0, m[at + i], result, rows, result)
        at += i + 1
    for i in range(first, d, _SIDE):
        _solve_six(offset(m, at), offset(loc, i), i, v, rows, stride, out)
        at += _SIDE * (i + _SIDE)


@elementwise
def affine(a, b, v, rows, out):
    """``out = a + b v`` of one column; out may be v."""
    for t in range(rows):
        out[t] = a + b * v[t]


@elementwise
def add_product(a, b, rows, out):
    """``out += a b`` of columns."""
    for t in range(rows):
        out[t] += a[t] * b[t]


@elementwise
def add_multiple(by, v, rows, out):
    """``out += by v`` of one column."""
    for t in range(rows):
        out[t] += by * v[t]
