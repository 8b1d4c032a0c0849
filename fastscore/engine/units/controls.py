"""Control columns of units: their values, draw by draw, and their sums once units are complete.

Columns of means known to be zero: of proposals, ``q_j/q̄ − 1``; of the user's functions, ``h − E h``
and, where the gradient of the mean is known too, ``h s − ∇E h`` for each score entry.
"""

from __future__ import annotations

import math

from fastscore.engine.blocks import (
    FIRST,
    GIVEN,
    NONFINITE,
    RAISED,
    SIZE,
    STRIDE,
    D,
    evaluate_tile,
    scores_of,
    x_of,
)
from fastscore.engine.jit import elementwise, plain, reduction
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.triangles import add_product
from fastscore.engine.units.layout import (
    BY_SCORE,
    CONTROLS,
    FUNCTION,
    FUNCTIONS,
    FUNCTIONS_AT,
    GRADIENTS_AT,
    MEANS_AT,
    OPTIONS_AT,
    PROPOSALS,
    TARGET,
    VALUE_ROW,
    controls_of,
    densities_of,
    of_score_control,
    values_of,
)


@plain
def controls_at(table):
    """Which of the units' columns is the first control."""
    return 2 * table[SIZE] + 2


@plain
def clear_controls(table, mixture, units, rows):
    """Start the controls of a tile's units; the known means are taken off at once."""
    stride, size = table[STRIDE], table[SIZE]
    column = offset(units, controls_at(table) * stride)
    for _ in range(mixture[CONTROLS]):
        _fill(vector(column, rows), rows, -1.0)
        column = offset(column, stride)
    means, gradients = as_floats(mixture[MEANS_AT]), as_floats(mixture[GRADIENTS_AT])
    for j in range(mixture[FUNCTIONS]):
        _fill(vector(column, rows), rows, -means[j])
        column = offset(column, stride)
    for j in range(mixture[BY_SCORE] * size):
        _fill(vector(column, rows), rows, -gradients[j])
        column = offset(column, stride)


@plain
def count_nonfinite(w, rows, first, step, slot):
    """Count values of f that are not finite, at samples ``first``, ``first + step`` and so on."""
    for t in range(rows):
        if not math.isfinite(w[t]):
            if slot[NONFINITE] == 0:
                slot[FIRST] = first + t * step
            slot[NONFINITE] += 1


@elementwise
def _fill(column, rows, value):
    for t in range(rows):
        column[t] = value


@plain
def add_proposal_controls(table, mixture, workspace, units, rows):
    """``(q_j/q̄)/M`` of a draw."""
    if mixture[CONTROLS] == 0:
        return
    stride, first = table[STRIDE], controls_at(table)
    densities = densities_of(table, workspace)
    total = vector(offset(densities, (mixture[PROPOSALS] + 1) * stride), rows)
    _invert(total, rows)
    options = as_floats(mixture[OPTIONS_AT])
    for a in range(mixture[CONTROLS]):
        _add_share(
            vector(offset(densities, a * stride), rows), total,
            vector(offset(units, (first + a) * stride), rows), rows, math.exp(-options[1 + a]),
        )  # fmt: skip


@elementwise
def _add_share(share, inverse, unit, rows, factor):
    """From shares as the balance heuristic leaves them."""
    for t in range(rows):
        unit[t] += share[t] * inverse[t] * factor


@elementwise
def _invert(values, rows):
    for t in range(rows):
        values[t] = 1.0 / values[t]


@plain
def evaluate_functions(table, mixture, workspace, rows):
    """The control functions at a draw's samples, unless Python has given their values."""
    functions = as_integers(mixture[FUNCTIONS_AT])
    for j in range(mixture[FUNCTIONS]):
        address, args = functions[FUNCTION * j], functions[FUNCTION * j + 1]
        if address != GIVEN:
            out = offset(values_of(table, mixture, workspace), j * table[STRIDE])
            status = evaluate_tile(
                address,
                (x_of(table, workspace), out, rows, table[D], table[STRIDE], as_integers(args)),
            )
            if status != 0:
                return RAISED
    return 0


@plain
def add_functions(table, mixture, workspace, weight, units, rows):
    """Add ``W h`` of a draw, and ``W h s`` where the gradient of the mean is known.

    Scores are in their columns if some are multiplied by them.
    """
    stride, size = table[STRIDE], table[SIZE]
    values = values_of(table, mixture, workspace)
    column = offset(units, (controls_at(table) + mixture[CONTROLS]) * stride)
    for j in range(mixture[FUNCTIONS]):
        h = vector(offset(values, j * stride), rows)
        add_product(weight, h, rows, vector(offset(column, j * stride), rows))
    column = offset(column, mixture[FUNCTIONS] * stride)
    first = mixture[FUNCTIONS] - mixture[BY_SCORE]
    s = scores_of(table, workspace)
    for j in range(mixture[BY_SCORE]):
        h = vector(offset(values, (first + j) * stride), rows)
        _multiply(weight, h, rows)
        for k in range(size):
            score, out = offset(s, k * stride), offset(column, (j * size + k) * stride)
            add_product(vector(score, rows), h, rows, vector(out, rows))


@elementwise
def _multiply(weight, h, rows):
    for t in range(rows):
        h[t] = weight[t] * h[t]


@plain
def add_control_sums(table, mixture, units, rows, out):
    """Each control's sum, and its products with all columns of the units."""
    stride = table[STRIDE]
    first = controls_at(table)
    count = first + controls_of(mixture)
    for a in range(first, count):
        _add_row(offset(units, a * stride), units, count, stride, rows, out)
        out = offset(out, 1 + count)
    if mixture[TARGET] != 0:
        _add_row(offset(units, (first - 1) * stride), units, count, stride, rows, out)
        out = offset(out, 1 + count)
    if mixture[VALUE_ROW] != 0:
        _add_row(offset(units, (first - 2) * stride), units, count, stride, rows, out)
        out = offset(out, 1 + count)
    _add_score_control_sums(table, mixture, units, rows, out)


@plain
def _add_row(column, units, count, stride, rows, out):
    """A column's sum, and its products with the first columns of the units."""
    own = vector(column, rows)
    out[0] += _sum(own, rows)
    whole = count // 4 * 4
    for j in range(0, whole, 4):
        c, e, g, h = product_4(own, offset(units, j * stride), stride, rows)
        out[1 + j] += c
        out[2 + j] += e
        out[3 + j] += g
        out[4 + j] += h
    for j in range(whole, count):
        out[1 + j] += product(own, vector(offset(units, j * stride), rows), rows)


@plain
def _add_score_control_sums(table, mixture, units, rows, out):
    """Of each control times each score: its sum, and its products with S, F, W, controls and its
    likes of the same score entry."""
    stride, size, by_score = table[STRIDE], table[SIZE], mixture[BY_SCORE]
    first, controls = controls_at(table), controls_of(mixture)
    columns = offset(units, (first + controls) * stride)
    for j in range(by_score):
        for k in range(size):
            own = vector(offset(columns, (j * size + k) * stride), rows)
            out[k] += _sum(own, rows)
            out[size + k] += product(own, vector(offset(units, k * stride), rows), rows)
            f = vector(offset(units, (size + k) * stride), rows)
            out[2 * size + k] += product(own, f, rows)
            for a in range(1 + controls):
                other = vector(offset(units, (first - 1 + a) * stride), rows)
                out[(3 + a) * size + k] += product(own, other, rows)
            for i in range(by_score):
                other = vector(offset(columns, (i * size + k) * stride), rows)
                out[(4 + controls + i) * size + k] += product(own, other, rows)
        out = offset(out, of_score_control(controls, by_score) * size)


@reduction
def product(a, b, rows):
    """Sum of products."""
    total = 0.0
    for t in range(rows):
        total += a[t] * b[t]
    return total


@reduction
def product_4(a, b, stride, rows):
    """Products with four columns, for which a is read once."""
    b0, b1 = vector(b, rows), vector(offset(b, stride), rows)
    b2, b3 = vector(offset(b, 2 * stride), rows), vector(offset(b, 3 * stride), rows)
    c = e = g = h = 0.0
    for t in range(rows):
        own = a[t]
        c += own * b0[t]
        e += own * b1[t]
        g += own * b2[t]
        h += own * b3[t]
    return c, e, g, h


@reduction
def _sum(a, rows):
    total = 0.0
    for t in range(rows):
        total += a[t]
    return total
