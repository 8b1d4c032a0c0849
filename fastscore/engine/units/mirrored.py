"""Pairs summed in one pass: of x and its mirror image a score is either odd or even.

Then ``F_u = w₋ s`` of an odd one, with half the difference ``w₋`` of both w, and ``F_u = w₊ s`` and
``S_u = s`` of an even one, with half their sum.  So the pair is as quick as one sample, by the
family's own sums under either weight.
"""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.blocks import (
    DIRECT_AT,
    HEADER,
    LEVEL,
    NONE,
    PARAMS_AT,
    PRODUCTS,
    SIZE,
    STRIDE,
    D,
    accumulate_tile,
    evaluate,
    sample,
    w_of,
    ww_of,
    x_of,
)
from fastscore.engine.jit import plain, reduction
from fastscore.engine.memory import as_floats, as_integers, offset, pointer, vector
from fastscore.engine.products import NO_PRODUCTS
from fastscore.engine.units.controls import count_nonfinite
from fastscore.engine.units.layout import (
    ACCUMULATE_PAIR_AT,
    FUNCTIONS,
    IS_ODD_AT,
    VALUE_ROW,
    add_values,
    densities_of,
    log_weight_of,
    weight_of,
)
from fastscore.engine.units.patterns import mirror


@plain
def are_mirrored(table, mixture):
    """Whether units are pairs of which nothing but their five sums is wanted."""
    return (
        mixture[ACCUMULATE_PAIR_AT] != NONE
        and mixture[FUNCTIONS] == 0
        and mixture[VALUE_ROW] == 0
        and table[DIRECT_AT] == NONE
        and table[PRODUCTS] == NO_PRODUCTS
    )


@plain
def run_pairs(table, mixture, workspace, rows, first, reference, stop, slot):
    """Draw a tile of pairs and add its sums; why not, or 0."""
    stride = table[STRIDE]
    sample(table, workspace, rows)
    _, status = evaluate(table, workspace, rows, stop)
    if status != 0:
        return status
    w = vector(w_of(table, workspace), rows)
    here = vector(weight_of(table, mixture, workspace), rows)
    here[:] = w
    mirror(table, mixture, workspace, rows)
    _, status = evaluate(table, workspace, rows, stop)
    if status != 0:
        return status
    spare = densities_of(table, workspace)
    even, even_square = vector(spare, rows), vector(offset(spare, stride), rows)
    odd = vector(log_weight_of(table, mixture, workspace), rows)
    odd_square = vector(ww_of(table, workspace), rows)
    sums = _halves(here, w, reference, even, even_square, odd, odd_square, rows)
    if not math.isfinite(sums[1] + sums[3]):
        count_nonfinite(here, rows, 2 * first, 2, slot)
        count_nonfinite(w, rows, 2 * first + 1, 2, slot)
    _add(table, mixture, workspace, even, even_square, odd, odd_square, sums, rows, slot)
    return 0


@reduction
def _halves(here, there, reference, even, even_square, odd, odd_square, rows):
    a = b = c = e = 0.0
    for t in range(rows):
        half_sum = 0.5 * (here[t] + there[t]) - reference
        half = 0.5 * (there[t] - here[t])  # the tile holds the mirror images
        even[t] = half_sum
        odd[t] = half
        even_square[t] = half_sum * half_sum
        odd_square[t] = half * half
        a += half_sum
        b += half_sum * half_sum
        c += half
        e += half * half
    return a, b, c, e


@plain
def _add(table, mixture, workspace, even, even_square, odd, odd_square, sums, rows, slot):
    """Add the five sums of all scores; of odd ones only those of F and F² are not 0."""
    size = table[SIZE]
    both = np.zeros(10 * size)
    by_even, by_odd = pointer(both), offset(pointer(both), 5 * size)
    _accumulate(table, mixture, workspace, even, even_square, sums[0], sums[1], rows, by_even)
    _accumulate(table, mixture, workspace, odd, odd_square, sums[2], sums[3], rows, by_odd)
    is_odd, five = as_integers(mixture[IS_ODD_AT]), offset(slot, HEADER)
    for k in range(size):
        if is_odd[k] != 0:
            five[size + k] += by_odd[size + k]
            five[4 * size + k] += by_odd[4 * size + k]
        else:
            for i in range(5):
                five[i * size + k] += by_even[i * size + k]
    both[0] = 0.0  # kept alive till here
    slot[LEVEL] = 0.0
    add_values(table, slot, rows, sums[0], sums[1], rows, rows, sums[0])


@plain
def _accumulate(table, mixture, workspace, w, ww, sum_w, sum_ww, rows, out):
    accumulate_tile(
        mixture[ACCUMULATE_PAIR_AT],
        (as_floats(table[PARAMS_AT]), x_of(table, workspace), pointer(w), pointer(ww), sum_w,
         sum_ww, rows, table[D], table[STRIDE], out, table[SIZE]),
    )  # fmt: skip
