"""Control functions of independent samples: each is a unit, whose columns need not be written.

``S = s`` and ``F = w s``, so that all products with a control c are sums over one column of
scores under the weights c and ``c w``.
"""

from __future__ import annotations

import math

from fastscore.engine.blocks import (
    DIRECT_AT,
    HEADER,
    LEVEL,
    NONE,
    PRODUCTS,
    SIZE,
    STRIDE,
    centre,
    five_sums,
    scores_of,
    w_of,
    write_scores,
    ww_of,
)
from fastscore.engine.jit import plain, reduction
from fastscore.engine.memory import as_floats, offset, vector
from fastscore.engine.products import NO_PRODUCTS
from fastscore.engine.units.controls import (
    controls_at,
    count_nonfinite,
    evaluate_functions,
    product,
    product_4,
)
from fastscore.engine.units.layout import (
    BY_SCORE,
    EXTRAS,
    FUNCTIONS,
    INDEPENDENT,
    MEANS_AT,
    PARTS,
    PATTERN,
    VALUE_ROW,
    add_values,
    part_size,
    units_of,
    values_of,
)


@plain
def are_plain(table, mixture):
    """Whether units are samples with plain controls, few enough for the columns at hand."""
    return (
        mixture[PATTERN] == INDEPENDENT
        and mixture[BY_SCORE] == 0
        and mixture[VALUE_ROW] == 0
        and table[DIRECT_AT] == NONE
        and table[PRODUCTS] == NO_PRODUCTS
        and mixture[FUNCTIONS] <= controls_at(table)
    )


@plain
def absorb_samples(table, mixture, workspace, rows, first, reference, slot):
    """Add the samples of a tile, of which f is known, with their controls."""
    stride, size, count = table[STRIDE], table[SIZE], mixture[FUNCTIONS]
    w, ww = vector(w_of(table, workspace), rows), vector(ww_of(table, workspace), rows)
    sum_w, sum_ww = centre(w, ww, rows, reference)
    if not math.isfinite(sum_ww):
        count_nonfinite(w, rows, first, 1, slot)
    slot[LEVEL] = 0.0
    add_values(table, slot, rows, sum_w, sum_ww, rows, rows, sum_w)
    if evaluate_functions(table, mixture, workspace, rows) != 0:
        return False
    out = offset(slot, HEADER + 5 * size + EXTRAS + mixture[PARTS] * part_size(mixture, size))
    weights = units_of(table, mixture, workspace)
    _weigh(table, mixture, workspace, w, rows, weights, out)
    write_scores(table, workspace, rows)
    for k in range(size):
        s = vector(offset(scores_of(table, workspace), k * stride), rows)
        five_sums(s, w, ww, rows, offset(slot, HEADER), size, k)
        _add_products(s, weights, count, stride, rows, out, size, k)
    return True


@plain
def _weigh(table, mixture, workspace, w, rows, weights, out):
    """Write each c and ``c w``, and add their sums, and the products of controls."""
    stride, count, width = table[STRIDE], mixture[FUNCTIONS], _width(table, mixture)
    means = as_floats(mixture[MEANS_AT])
    values = values_of(table, mixture, workspace)
    after_scores = 1 + 2 * table[SIZE]
    for a in range(count):
        c = vector(offset(weights, a * stride), rows)
        cw = vector(offset(weights, (count + a) * stride), rows)
        h = vector(offset(values, a * stride), rows)
        sum_c, sum_cw = _centred_and_weighted(h, means[a], w, c, cw, rows)
        row = offset(out, a * width)
        row[0] += sum_c
        row[after_scores] += sum_cw
        row[after_scores + 1] += sum_c
        for b in range(a + 1):
            pair = product(c, vector(offset(weights, b * stride), rows), rows)
            row[after_scores + 2 + b] += pair
            if b < a:
                out[b * width + after_scores + 2 + a] += pair


@plain
def _width(table, mixture):
    """Sums of a control: its own, of its products with S, F, V, W and the controls."""
    return 3 + 2 * table[SIZE] + mixture[FUNCTIONS]


@reduction
def _centred_and_weighted(h, mean, w, c, cw, rows):
    total = weighted = 0.0
    for t in range(rows):
        centred = h[t] - mean
        c[t] = centred
        cw[t] = centred * w[t]
        total += centred
        weighted += centred * w[t]
    return total, weighted


@plain
def _add_products(s, weights, count, stride, rows, out, size, k):
    """Products of a score with all c, which belong to S, and all ``c w``, to F."""
    width, whole = 3 + 2 * size + count, 2 * count // 4 * 4
    for j in range(0, whole, 4):
        a, b, c, e = product_4(s, offset(weights, j * stride), stride, rows)
        _place(out, j, count, width, size, k, a)
        _place(out, j + 1, count, width, size, k, b)
        _place(out, j + 2, count, width, size, k, c)
        _place(out, j + 3, count, width, size, k, e)
    for j in range(whole, 2 * count):
        value = product(s, vector(offset(weights, j * stride), rows), rows)
        _place(out, j, count, width, size, k, value)


@plain
def _place(out, j, count, width, size, k, value):
    at = j * width + 1 + k if j < count else (j - count) * width + 1 + size + k
    out[at] += value
