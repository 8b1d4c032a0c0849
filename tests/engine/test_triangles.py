"""Triangular matrices on columns, and sums of products of columns, held to NumPy."""

from __future__ import annotations

import platform
import re

import numpy as np
import pytest
from numba import config, njit

from fastscore.engine import pairs, triangles
from fastscore.engine.memory import aligned, offset, pointer

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

SIZES = (1, 2, 5, 6, 7, 12, 13, 50)
ROWS = (1, 7, 8, 9, 31, 32, 33, 100, 656)
UNTOUCHED = 77.0


@njit(error_model="numpy")
def multiply(m, loc, v, rows, d, stride, out):
    triangles.multiply(pointer(m), pointer(loc), pointer(v), rows, d, stride, pointer(out))


@njit(error_model="numpy")
def solve(m, loc, v, rows, d, stride, out):
    triangles.solve(pointer(m), pointer(loc), pointer(v), rows, d, stride, pointer(out))


@njit(error_model="numpy")
def solve_backwards(m, loc, v, rows, d, stride, out):
    last = (d - 1) * stride
    v, out = offset(pointer(v), last), offset(pointer(out), last)
    triangles.solve(pointer(m), pointer(loc), v, rows, d, -stride, out)


@njit(error_model="numpy")
def pair_sums(a, b, shape, triangular, c, factors, w, rows, stride, sums, size):
    scratch = np.empty(pairs.SCRATCH)
    pairs.add_pair_sums(
        pointer(a), pointer(b), shape, triangular, pointer(c), factors[0], factors[1],
        pointer(w), rows, stride, pointer(scratch), pointer(sums), size,
    )  # fmt: skip
    return scratch


def columns(rng, d, rows):
    """Columns, (d, stride), with NaN behind the rows."""
    out = aligned(d, rows + 17)
    out[:] = np.nan
    out[:, :rows] = rng.normal(size=(d, rows))
    return out


def lower(rng, d):
    return np.tril(rng.normal(size=(d, d))) / d + np.diag(rng.uniform(1, 2, d))


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("d", SIZES)
def test_products_and_solutions(d, rows):
    """Of all rows and no others, also in place."""
    rng = np.random.default_rng(d)
    matrix, loc, v = lower(rng, d), rng.normal(size=d), columns(rng, d, rows)
    stride, given = v.shape[1], v[:, :rows].copy()
    to_solve = triangles.packed_to_solve(matrix)
    backwards = triangles.packed_to_solve(matrix[::-1, ::-1].T)
    for kernel, packed, expected in (
        (multiply, triangles.packed_triangle(matrix), loc[:, None] + matrix @ given),
        (solve, to_solve, np.linalg.solve(matrix, given - loc[:, None])),
        (solve_backwards, backwards, np.linalg.solve(matrix.T, given - loc[::-1, None])),
    ):
        out, same = np.full_like(v, UNTOUCHED), v.copy()
        kernel(packed, loc, v.ravel(), rows, d, stride, out.ravel())
        close(out[:, :rows], expected)
        np.testing.assert_array_equal(out[:, rows:], UNTOUCHED)
        kernel(packed, loc, same.ravel(), rows, d, stride, same.ravel())
        np.testing.assert_array_equal(same[:, :rows], out[:, :rows])
        assert np.isnan(same[:, rows:]).all()


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("shape", [*[(d, d) for d in SIZES], (1, 3), (5, 2), (8, 3), (3, 9)])
def test_sums_of_pairs(shape, rows):
    rng = np.random.default_rng(sum(shape))
    a, b = (columns(rng, count, rows) for count in shape)
    w = columns(rng, 1, rows)[0]
    c = rng.normal(size=shape)
    products = a[:, None, :rows] * b[None, :, :rows] - c[:, :, None]
    for triangular in {False, shape[0] == shape[1]}:
        some = np.tril_indices(shape[0]) if triangular else np.indices(shape).reshape(2, -1)
        factor = np.where((some[0] == some[1]) & triangular, 0.5, -2.0)
        s = factor[:, None] * products[some[0], some[1]]
        f = w[:rows] * s
        expected = [(x * y).sum(axis=1) for x, y in ((s, 1), (f, 1), (s, s), (f, s), (f, f))]
        sums = np.ones((5, len(s) + 3))
        padded = np.append(c, np.nan)
        pair_sums(
            a.ravel(), b.ravel(), shape, triangular, padded, (-2.0, 0.5), w, rows, a.shape[1],
            sums.ravel(), sums.shape[1],
        )  # fmt: skip
        np.testing.assert_allclose(sums[:, :-3] - 1, expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_array_equal(sums[:, -3:], 1)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.parametrize("kernel", [multiply, solve, pair_sums], ids=["multiply", "solve", "pairs"])
def test_assembly(kernel):
    """Hot loops are fused multiply-adds of whole vectors, whose sums never leave the registers."""
    test_products_and_solutions(7, 32)
    test_sums_of_pairs((2, 2), 8)
    (code,) = kernel.inspect_asm().values()
    wide = "zmm" if "%zmm" in code else "ymm"
    loops = [
        body
        for label, body in re.findall(r"^(\.LBB\w+):\n(.*?)(?=^\.LBB)", code, re.S | re.M)
        if re.search(rf"\bj\w+\s+{re.escape(label)}\b", body)
    ]
    sums = [len(re.findall(rf"vfn?m(?:add|sub)\d+pd.*%{wide}", body)) for body in loops]
    hot = loops[int(np.argmax(sums))]
    assert max(sums) >= 8
    assert len(re.findall(rf"vmov[au]p[ds]\s+%{wide}\d+, .*\(%r", hot)) == 0
