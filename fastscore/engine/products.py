"""Products of scores: ``Σ s sᵀ``, ``Σ F sᵀ`` and ``Σ F Fᵀ``, of shape (P, P), for each fold.

Rows of scores s and of ``F = w s + direct`` are laid out in panels, whose products are added up
in blocks that live in registers.  Only blocks on or below the diagonal are computed: what is above
it follows by symmetry, of ``F sᵀ`` under a direct term from its transposed product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import (
    broadcast,
    copy_rows,
    counted_loop,
    floats,
    i8,
    lanes,
    offset,
    vector,
)

#: Rows of a panel: with them the panels of some hundred entries stay in the second cache.
PANEL = 128
#: Panels and products are padded to a multiple of this many entries.
_PADDING = 16

#: Entries of the score at most: products of more would take more than 5 GB.
LARGEST = 4096

#: The products of a fold; the third is computed under a direct term, the last if it is asked for.
SCORES, TERMS_SCORES, SCORES_TERMS, TERMS = range(4)
KINDS = 4
#: Which products to add up: none, those of the matrix baseline, or all, for a covariance.
NO_PRODUCTS, FOR_BASELINE, FOR_COVARIANCE = range(3)


@register_jitable
def padded(size):
    """Doubles from one row of a panel or product to the next."""
    return -(-size // _PADDING) * _PADDING


def panel_doubles(size: int) -> int:
    """Room for the panels of s and F."""
    return 2 * PANEL * padded(size)


@dataclass(frozen=True)
class Products:
    """Products by fold.

    Attributes
    ----------
    sums : ndarray of shape (folds, KINDS, P', P')
        Whole products; P' is P, or P padded.
    size : int
        P.
    wanted : int
        Which of them were added up.
    """

    sums: np.ndarray
    size: int
    wanted: int

    @property
    def scores(self) -> np.ndarray:
        """``Σ s sᵀ``, of shape (folds, P, P)."""
        return self._of(SCORES)

    @property
    def terms_scores(self) -> np.ndarray:
        """``Σ F sᵀ``."""
        return self._of(TERMS_SCORES)

    @property
    def terms(self) -> np.ndarray:
        """``Σ F Fᵀ``."""
        return self._of(TERMS)

    def _of(self, kind: int) -> np.ndarray:
        return self.sums[:, kind, : self.size, : self.size]


@intrinsic
def _block_sides(typingctx):
    """Rows and columns of a block of a product that fits the registers."""
    result = types.UniTuple(i8, 2)

    def codegen(context, builder, signature, args):
        side = lanes()
        sides = [context.get_constant(i8, count) for count in (side, 2 * side)]
        return context.make_tuple(builder, result, sides)

    return result(), codegen


@intrinsic
def _add_block(typingctx, a, b, width, rows, out):
    """Add ``Σ_t a[t, i] b[t, j]`` of one block to ``out``; row strides are ``width``."""

    def codegen(context, builder, signature, args):
        a, b, width, rows, out = args
        side = lanes()
        word, lane_type = ir.IntType(64), ir.VectorType(ir.DoubleType(), side)

        def at(base, row, column):
            index = builder.add(builder.mul(row, width), ir.Constant(word, column))
            return builder.gep(base, [index])

        def vectors(base, row):
            return [
                builder.bitcast(at(base, row, start), lane_type.as_pointer()) for start in (0, side)
            ]

        outs = [p for i in range(side) for p in vectors(out, ir.Constant(word, i))]

        def step(row: Any, sums: list[Any]) -> list[Any]:
            columns = [builder.load(p, align=8) for p in vectors(b, row)]
            added = []
            for i in range(side):
                factor = broadcast(builder, builder.load(at(a, row, i)), side)
                for j, column in enumerate(columns):
                    product = builder.fmul(factor, column, flags=("contract",))
                    added.append(builder.fadd(sums[2 * i + j], product, flags=("contract",)))
            return added

        following = counted_loop(builder, rows, [builder.load(p, align=8) for p in outs], step)
        for p, value in zip(outs, following, strict=True):
            builder.store(value, p, align=8)
        return context.get_dummy_value()

    return types.void(floats, floats, i8, i8, floats), codegen


@plain
def _add_product(a, b, rows, width, out):
    """Add ``aᵀ b`` to ``out``, as far as it is on or below the diagonal."""
    high, wide = _block_sides()
    for j in range(0, width, wide):
        for i in range(j // high * high, width, high):
            _add_block(offset(a, i), offset(b, j), width, rows, offset(out, i * width + j))


@elementwise
def _terms(w, direct, s, terms, rows, width):
    """``F = w s + direct``, of which ``terms`` holds the direct term."""
    for t in range(rows):
        value = w[t]
        row, out = vector(offset(s, t * width), width), vector(offset(terms, t * width), width)
        for j in range(width):
            out[j] = value * row[j] + (out[j] if direct else 0.0)


@plain
def add_products(wanted, w, s, direct, has_direct, rows, size, stride, panels, products):
    """Add the products of a tile, given by columns of scores and of the direct term."""
    width = padded(size)
    area = width * width
    terms = offset(panels, PANEL * width)
    for j in range(2 * PANEL * width):
        panels[j] = 0.0
    for start in range(0, rows, PANEL):
        count = min(PANEL, rows - start)
        copy_rows(s, start, count, size, stride, panels, width)
        if has_direct:
            copy_rows(direct, start, count, size, stride, terms, width)
        _terms(offset(w, start), has_direct, panels, terms, count, width)
        _add_product(panels, panels, count, width, offset(products, SCORES * area))
        _add_product(terms, panels, count, width, offset(products, TERMS_SCORES * area))
        if has_direct:
            _add_product(panels, terms, count, width, offset(products, SCORES_TERMS * area))
        if wanted == FOR_COVARIANCE:
            _add_product(terms, terms, count, width, offset(products, TERMS * area))


def require_room(size: int) -> None:
    """Raise a ValueError if products of so many entries would take the host's memory."""
    if size > LARGEST:
        raise ValueError(
            f"baseline='matrix' and covariance() add up P × P products for each fold, and "
            f"P = {size} would take {KINDS * 80 * size**2 / 1e9:.0f} GB: {LARGEST} is the most"
        )


def empty_products(folds: int, size: int, wanted: int) -> np.ndarray:
    """Zeroed room for the products of each fold; none if none is wanted."""
    if wanted == NO_PRODUCTS:
        return np.zeros((folds, 1))
    require_room(size)
    return np.zeros((folds, KINDS * padded(size) ** 2))


def as_products(sums: np.ndarray, size: int, direct: bool, wanted: int) -> Products:
    """Whole products from the room they were added up in, below the diagonal."""
    whole = sums.reshape(len(sums), KINDS, padded(size), padded(size))
    for fold in whole:
        pairs = [(SCORES, SCORES), (TERMS_SCORES, SCORES_TERMS if direct else TERMS_SCORES)]
        if wanted == FOR_COVARIANCE:
            pairs.append((TERMS, TERMS))
        for below, above in pairs:
            fold[below] = np.tril(fold[below]) + np.tril(fold[above], -1).T
    return Products(whole, size, wanted)


def empty_rows(folds: int, size: int) -> np.ndarray:
    """Zeroed room for products of rows."""
    require_room(size)
    return np.zeros((folds, KINDS, size, size))


def add_rows(out: np.ndarray, counts: np.ndarray, s: np.ndarray, f: np.ndarray) -> None:
    """Add the products of rows of S and F (M, P), which came so many times, to those of a fold."""
    counted = counts[:, None] * f
    out[SCORES] += (counts[:, None] * s).T @ s
    out[TERMS_SCORES] += counted.T @ s
    out[TERMS] += counted.T @ f


def products_of_outcomes(scores: np.ndarray, w: np.ndarray, counts: np.ndarray) -> Products:
    """Products from the scores (M, P) of M outcomes, their w and their counts (folds, M)."""
    sums = empty_rows(len(counts), scores.shape[1])
    for out, times in zip(sums, counts, strict=True):
        add_rows(out, times, scores, w[:, None] * scores)
    return Products(sums, scores.shape[1], FOR_COVARIANCE)
