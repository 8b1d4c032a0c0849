"""Sums of one draw of each unit of a tile, and of units that are complete."""

from __future__ import annotations

import math

from fastscore.engine.blocks import (
    DIRECT_AT,
    HEADER,
    LEVEL,
    NONE,
    PARAMS_AT,
    PRODUCTS,
    RAISED,
    SIZE,
    STRIDE,
    D,
    add_tile_products,
    add_weighted_tile,
    clear,
    direct_of,
    five_sums_with_direct,
    scores_of,
    w_of,
    write_scores_and_direct,
    ww_of,
    x_of,
)
from fastscore.engine.jit import elementwise, plain, reduction
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    offset,
    vector,
)
from fastscore.engine.products import NO_PRODUCTS
from fastscore.engine.units.controls import (
    add_control_sums,
    add_functions,
    add_proposal_controls,
    clear_controls,
    controls_at,
    count_nonfinite,
    evaluate_functions,
)
from fastscore.engine.units.layout import (
    ADD_AT,
    BY_SCORE,
    CHOSEN,
    CHOSEN_AT,
    DETAILS,
    DRAWS,
    DRAWS_AT,
    EXTRAS,
    IMPORTANCE,
    PART,
    PARTS,
    PATTERN,
    RANDOM,
    STEP,
    TAIL,
    TAIL_AT,
    TERMS_TAIL,
    add_values,
    log_weight_of,
    mixture_of,
    part_size,
    units_of,
    weight_of,
)
from fastscore.engine.units.levels import rise
from fastscore.engine.units.samples import absorb_samples, are_plain
from fastscore.engine.units.tail import keep_largest
from fastscore.engine.vecmath import exp, log


@reduction
def _largest(values, rows):
    top = -math.inf
    for t in range(rows):
        top = values[t] if values[t] > top else top
    return top


@elementwise
def _weights(log_weight, weight, rows, shift):
    for t in range(rows):
        weight[t] = exp(log_weight[t] - shift)


@elementwise
def _equal_weights(weight, rows, share):
    for t in range(rows):
        weight[t] = share


@reduction
def _weigh_values(values, weight, weighted, rows, reference, unit_value, unit_weight):
    """Replace f by w = f - reference, store ``W w``; sums of W, W², W w and its square.

    Without a weight f does not count, finite or not.
    """
    a = b = c = e = 0.0
    for t in range(rows):
        w = values[t] - reference
        w = w if weight[t] > 0.0 else 0.0
        v = w * weight[t]
        values[t] = w
        weighted[t] = v
        unit_value[t] += v
        unit_weight[t] += weight[t]
        a += weight[t]
        b += weight[t] * weight[t]
        c += v
        e += v * v
    return a, b, c, e


@elementwise
def _add_draw(s, direct, weight, w, unit_s, unit_f, has_direct, rows):
    """``S = W s`` and ``F = w S + W direct`` of one column to the units', where W is not 0."""
    for t in range(rows):
        counts = weight[t] > 0.0
        score = weight[t] * s[t] if counts else 0.0
        unit_s[t] += score
        unit_f[t] += w[t] * score + (weight[t] * direct[t] if has_direct and counts else 0.0)


@reduction
def _add_details(s, direct, weight, w, has_direct, rows, sums, size, j):
    """Sums of S, F, S², F S, F² and W s² of one column."""
    a = b = c = e = g = h = 0.0
    for t in range(rows):
        counts = weight[t] > 0.0
        score = weight[t] * s[t] if counts else 0.0
        term = w[t] * score + (weight[t] * direct[t] if has_direct and counts else 0.0)
        a += score
        b += term
        c += score * score
        e += term * score
        g += term * term
        h += score * (s[t] if counts else 0.0)
    sums[j] += a
    sums[size + j] += b
    sums[2 * size + j] += c
    sums[3 * size + j] += e
    sums[4 * size + j] += g
    sums[5 * size + j] += h


@plain
def absorb_draw(table, workspace, draw, rows, first, reference, slot):
    """Add one draw of each unit of a tile, of which f is known."""
    mixture = mixture_of(table)
    if are_plain(table, mixture):
        done = absorb_samples(table, mixture, workspace, rows, first, reference, slot)
        return 0 if done else RAISED
    stride, size, draws = table[STRIDE], table[SIZE], mixture[DRAWS]
    log_weight = vector(log_weight_of(table, mixture, workspace), rows)
    weight = vector(weight_of(table, mixture, workspace), rows)
    units = units_of(table, mixture, workspace)
    if mixture[PATTERN] == IMPORTANCE:
        top = _largest(log_weight, rows)
        rise(table, mixture, workspace, rows, slot, top)
        keep_largest(log_weight, rows, top, offset(workspace, mixture[TAIL_AT]), mixture[TAIL])
        _weights(log_weight, weight, rows, max(slot[LEVEL], -1e300) * STEP)
    else:
        slot[LEVEL] = 0.0
        _equal_weights(weight, rows, 1.0 / draws)

    w = vector(w_of(table, workspace), rows)
    a, b, c, e = _weigh_values(
        w, weight, vector(ww_of(table, workspace), rows), rows, reference,
        vector(offset(units, 2 * size * stride), rows),
        vector(offset(units, (2 * size + 1) * stride), rows),
    )  # fmt: skip
    if not math.isfinite(e):
        count_nonfinite(w, rows, first * draws + draw, draws, slot)
    part = 0 if mixture[RANDOM] != 0 else as_integers(mixture[DRAWS_AT])[draw]
    sums = offset(slot, HEADER + 5 * size + EXTRAS + part * part_size(mixture, size))
    sums[0] += a
    sums[1] += b
    sums[2] += c
    sums[3] += e
    add_proposal_controls(table, mixture, workspace, units, rows)
    status = evaluate_functions(table, mixture, workspace, rows)
    if status == 0:
        status = _add_scores(table, mixture, workspace, weight, w, units, rows, offset(sums, PART))
    add_functions(table, mixture, workspace, weight, units, rows)
    return status


@plain
def _add_scores(table, mixture, workspace, weight, w, units, rows, sums):
    """Scores and direct term of a draw."""
    stride, size = table[STRIDE], table[SIZE]
    general = mixture[DETAILS] != 0 or mixture[BY_SCORE] != 0 or table[DIRECT_AT] != NONE
    if mixture[ADD_AT] != NONE and not general:
        add_weighted_tile(
            mixture[ADD_AT],
            (as_floats(table[PARAMS_AT]), x_of(table, workspace),
             weight_of(table, mixture, workspace), w_of(table, workspace), rows, table[D], stride,
             units, size),
        )  # fmt: skip
        return 0
    s, direct, has_direct = (
        scores_of(table, workspace), direct_of(table, workspace), table[DIRECT_AT] != NONE
    )  # fmt: skip
    if write_scores_and_direct(table, workspace, rows, sums) != 0:
        return RAISED
    for j in range(size):
        score, term = vector(offset(s, j * stride), rows), vector(offset(direct, j * stride), rows)
        _add_draw(
            score, term, weight, w, vector(offset(units, j * stride), rows),
            vector(offset(units, (size + j) * stride), rows), has_direct, rows,
        )  # fmt: skip
        if mixture[DETAILS] != 0:
            _add_details(score, term, weight, w, has_direct, rows, sums, size, j)
    return 0


@plain
def clear_units(table, workspace, rows):
    """Start the units of a tile."""
    mixture = mixture_of(table)
    if are_plain(table, mixture):
        return
    units = units_of(table, mixture, workspace)
    clear(units, controls_at(table), table[STRIDE], rows)
    clear_controls(table, mixture, units, rows)


@reduction
def _three_of_units(value, weight, rows):
    """Sums of V, V², W, W² and W V."""
    a = b = c = e = g = 0.0
    for t in range(rows):
        a += value[t]
        b += value[t] * value[t]
        c += weight[t]
        e += weight[t] * weight[t]
        g += weight[t] * value[t]
    return a, b, c, e, g


@plain
def absorb_units(table, workspace, rows, slot, products):
    """Add the complete units of a tile to a slot, and to the products of its fold."""
    mixture = mixture_of(table)
    if are_plain(table, mixture):
        return
    stride, size = table[STRIDE], table[SIZE]
    s = units_of(table, mixture, workspace)
    f = offset(s, size * stride)
    value, weight = offset(f, size * stride), offset(f, (size + 1) * stride)
    zeros = vector(w_of(table, workspace), rows)
    for t in range(rows):
        zeros[t] = 0.0
    for j in range(size):
        five_sums_with_direct(
            vector(offset(s, j * stride), rows), vector(offset(f, j * stride), rows), zeros, rows,
            offset(slot, HEADER), size, j,
        )  # fmt: skip
    a, b, c, e, g = _three_of_units(vector(value, rows), vector(weight, rows), rows)
    add_values(table, slot, rows, a, b, c, e, g)
    controls = offset(slot, HEADER + 5 * size + EXTRAS + mixture[PARTS] * part_size(mixture, size))
    add_control_sums(table, mixture, s, rows, controls)
    if mixture[PATTERN] == IMPORTANCE:
        _keep_largest_terms(table, mixture, workspace, f, rows, slot)
    if table[PRODUCTS] != NO_PRODUCTS:
        add_tile_products(table, workspace, w_of(table, workspace), s, f, True, rows, products)


@plain
def _keep_largest_terms(table, mixture, workspace, f, rows, slot):
    """Keep the units with the largest ``log ‖F‖``."""
    norm, stride = vector(ww_of(table, workspace), rows), table[STRIDE]
    for t in range(rows):
        norm[t] = 0.0
    chosen = as_integers(mixture[CHOSEN_AT])
    for i in range(mixture[CHOSEN]):
        _add_square(vector(offset(f, chosen[i] * stride), rows), norm, rows)
    _log_root(norm, rows, max(slot[LEVEL], -1e300) * STEP)
    tail = offset(workspace, mixture[TAIL_AT] + 1 + mixture[TAIL])
    keep_largest(norm, rows, _largest(norm, rows), tail, mixture[TERMS_TAIL])


@elementwise
def _add_square(values, out, rows):
    for t in range(rows):
        out[t] += values[t] * values[t]


@elementwise
def _log_root(values, rows, shift):
    for t in range(rows):
        values[t] = 0.5 * log(values[t]) + shift
