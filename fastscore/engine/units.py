"""One block of importance sampling, by units that hold each proposal in its exact proportion.

A *unit* is the smallest independent set of samples whose scores have mean zero: with several
proposals, ``m_j`` samples of each.  A tile has a row per unit and is filled once for each of a
unit's draws:

    sample > log-densities > log-weight > f > scores

after which ``W s`` and ``W (w s + direct)`` are added to the units' columns; once the units are
complete their columns are summed like any others.  So a unit's means F and S, FORMULAS §3, come
out whatever the proposals, and baselines and control variates need to know nothing of them.

Weights never overflow: ``W = exp(log W − level · STEP)``, where a slot's level follows the largest
weight that it has met.  Levels are powers of two, 256 bits apart, so that changing one is exact;
they are all 0 unless weights are extreme.
"""

from __future__ import annotations

import math

from numba import types

from fastscore.engine.alias import draw_classes
from fastscore.engine.blocks import (
    ARGS_AT,
    COUNT,
    DIRECT_AT,
    FIRST,
    GIVEN,
    HEADER,
    LEVEL,
    MIXTURE_AT,
    NONE,
    NONFINITE,
    PARAMS_AT,
    PRODUCTS,
    RAISED,
    ROW,
    SIZE,
    STRIDE,
    SUM_W,
    SUM_WW,
    TILE,
    D,
    add_tile_products,
    add_weighted_tile,
    bounds,
    clear,
    columns_of,
    direct_of,
    evaluate,
    evaluate_tile,
    five_sums,
    log_probs_tile,
    sample_tile,
    scores_of,
    scratch_of,
    start_stream,
    stream_of,
    w_of,
    write_scores,
    ww_of,
    x_of,
)
from fastscore.engine.jit import elementwise, plain, reduction
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    as_words,
    caller,
    floats,
    i8,
    offset,
    vector,
)
from fastscore.engine.normals import CHUNK
from fastscore.engine.products import NO_PRODUCTS
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.vecmath import exp

#: weigh(options, densities, count, own, rows, stride, out): log-weights of samples of proposal
#: ``own``, from ``count`` columns of log q, one of log p, and one to work in (see ``heuristics``).
WEIGH = types.void(floats, floats, i8, i8, i8, i8, floats)
_weigh = caller(WEIGH)

#: The mixture's table: draws of a unit and whose they are; whether instead each sample draws its
#: proposal, and by which alias table; samplers and parameters by proposal, and their number;
#: groups of one family each, with its kernel of log-densities; the heuristic and its options;
#: parts for which sums are kept apart; control columns, whether the weight is one more; doubles of
#: a slot; where the largest log-weights are kept, and how many; the family's kernel that adds
#: weighted scores to the units, if it has one; whether sums of scores are kept apart too.
MIXTURE = 19
(DRAWS, DRAWS_AT, RANDOM, ALIAS_AT, SAMPLERS_AT, PACKED_AT, PROPOSALS, GROUPS, GROUPS_AT,
 WEIGH_AT, OPTIONS_AT, PARTS, CONTROLS, TARGET, SLOT, TAIL_AT, TAIL, ADD_AT,
 DETAILS) = range(MIXTURE)  # fmt: skip
#: Of a group: its kernel, the parameters of its distributions, their columns, their number.
GROUP = 4
#: Options of the weights: log of the clip, then per proposal log mⱼ, then the heuristic's own.
CLIP = 0

#: Sums of a slot behind the score's: ΣW, ΣW² and ΣWV of units, V being ``Σ W w``; then, per part,
#: ΣW, ΣW², ΣV, ΣV² of samples and `SUMS` rows per score entry; then, per control column c, Σc,
#: Σcc', ΣcV, ΣcS, ΣcF.
EXTRAS = 3
WEIGHT, WEIGHT_SQUARED, WEIGHT_VALUE = range(EXTRAS)
PART = 4
#: Rows of sums of a part: S, F, S², F S, F² and W s².
SUMS = 6
#: Log-weights of one level: 256 bits.
STEP = 256 * math.log(2)
#: Of a slot that has met no weight yet: its sums are zero.
NO_LEVEL = -1e18

# Columns of a workspace behind those of the other runs: log q and log p, one to work in, the
# log-weight, the weight; then the units': S, F, V, W, controls.
_COLUMNS = 6


def mixture_columns(proposals: int, size: int, controls: int) -> int:
    """Columns that a workspace has for them."""
    return proposals + _COLUMNS + 2 * size + controls


def mixture_slot(parts: int, details: bool, size: int, controls: int) -> int:
    """Doubles of a slot behind the score's sums."""
    part = PART + (SUMS * size if details else 0)
    return EXTRAS + parts * part + controls * (2 + controls + 2 * size)


@plain
def _part_size(mixture, size):
    return PART + (SUMS * size if mixture[DETAILS] != 0 else 0)


@plain
def _mixture_of(table):
    return as_integers(table[MIXTURE_AT])


@plain
def densities_of(table, workspace):
    """Columns of log-densities: proposals, target, and one to work in."""
    return offset(workspace, columns_of(table) + table[ROW])


@plain
def log_weight_of(table, mixture, workspace):
    """Log-weights of the tile."""
    return offset(densities_of(table, workspace), (mixture[PROPOSALS] + 2) * table[STRIDE])


@plain
def _weight_of(table, mixture, workspace):
    return offset(log_weight_of(table, mixture, workspace), table[STRIDE])


@plain
def _units_of(table, mixture, workspace):
    """Columns of the units, which start at the first row whatever the tile's."""
    return offset(_weight_of(table, mixture, workspace), table[STRIDE] - table[ROW])


# --- proposing: samples and their weights ---


@plain
def propose(table, mixture, workspace, draw, rows):
    """One draw of each unit of a tile, and its log-weight."""
    if mixture[RANDOM] != 0:
        own = 0
        _sample_mixture(table, mixture, workspace, rows)
    else:
        own = as_integers(mixture[DRAWS_AT])[draw]
        _sample_from(table, mixture, workspace, own, 0, rows)
    densities, out = densities_of(table, workspace), log_weight_of(table, mixture, workspace)
    stride, groups = table[STRIDE], as_integers(mixture[GROUPS_AT])
    for g in range(mixture[GROUPS]):
        group = offset(groups, g * GROUP)
        log_probs_tile(
            group[0],
            (as_integers(group[1]), as_integers(group[2]), group[3], x_of(table, workspace), rows,
             table[D], stride, densities),
        )  # fmt: skip
    options = as_floats(mixture[OPTIONS_AT])
    _weigh(
        mixture[WEIGH_AT],
        (offset(options, 1), densities, mixture[PROPOSALS], own, rows, stride, out),
    )
    if options[CLIP] < math.inf:
        _clip(vector(out, rows), rows, options[CLIP])


@plain
def _sample_from(table, mixture, workspace, own, start, rows):
    """Fill rows of the tile from one proposal."""
    sample_tile(
        as_integers(mixture[SAMPLERS_AT])[own],
        (as_floats(as_integers(mixture[PACKED_AT])[own]), stream_of(workspace),
         scratch_of(workspace), offset(x_of(table, workspace), start), rows, table[D],
         table[STRIDE]),
    )  # fmt: skip


@plain
def _sample_mixture(table, mixture, workspace, rows):
    """Each row from a proposal of its own, drawn at random; the tile is sorted by proposal.

    What a sampler writes beyond its rows the next one overwrites.
    """
    words, classes = as_words(scratch_of(workspace)), as_integers(w_of(table, workspace))
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        fill_words(stream_of(workspace), words, -(-count // LANES) * LANES)
        draw_classes(
            words, as_words(mixture[ALIAS_AT]), mixture[PROPOSALS], count, offset(classes, start)
        )
    begin = 0
    for j in range(mixture[PROPOSALS]):
        count = 0
        for t in range(rows):
            count += 1 if classes[t] == j else 0
        if count > 0:
            _sample_from(table, mixture, workspace, j, begin, count)
        begin += count


@elementwise
def _clip(log_weight, rows, most):
    for t in range(rows):
        log_weight[t] = most if log_weight[t] > most else log_weight[t]


@plain
def fill_weightless(table, mixture, workspace, rows):
    """Put a sample that weighs something in place of those that do not.

    So f never sees an x outside the target's support.  Returns whether there is one at all.
    """
    log_weight, x = log_weight_of(table, mixture, workspace), x_of(table, workspace)
    good = 0
    while good < rows and not log_weight[good] > -math.inf:
        good += 1
    if good == rows:
        return False
    for t in range(rows):
        if not log_weight[t] > -math.inf:
            for k in range(table[D]):
                x[k * table[STRIDE] + t] = x[k * table[STRIDE] + good]
    return True


# --- levels ---


@plain
def rescale(table, slot, level):
    """Bring a slot's sums to another level: they are linear or quadratic in the weights."""
    mixture = _mixture_of(table)
    factor = 2.0 ** (256.0 * min(max(slot[LEVEL] - level, -8.0), 8.0))
    square, size = factor * factor, table[SIZE]
    slot[LEVEL] = level
    slot[SUM_W] *= factor
    slot[SUM_WW] *= square
    _scale_five(offset(slot, HEADER), size, factor)
    extras = offset(slot, HEADER + 5 * size)
    extras[WEIGHT] *= factor
    extras[WEIGHT_SQUARED] *= square
    extras[WEIGHT_VALUE] *= square
    parts = offset(extras, EXTRAS)
    for part in range(mixture[PARTS]):
        sums = offset(parts, part * _part_size(mixture, size))
        for i in range(PART):
            sums[i] *= square if i % 2 == 1 else factor
        if mixture[DETAILS] != 0:
            _scale_five(offset(sums, PART), size, factor)
            for j in range(5 * size, SUMS * size):
                sums[PART + j] *= factor
    controls = mixture[CONTROLS] + mixture[TARGET]
    width = 2 + controls + 2 * size
    rows = offset(parts, mixture[PARTS] * _part_size(mixture, size))
    for a in range(controls):
        own = factor if a >= mixture[CONTROLS] else 1.0
        for i in range(width):
            other = 1.0 if i <= mixture[CONTROLS] else factor
            rows[a * width + i] *= own * other


@plain
def _scale_five(sums, size, factor):
    for j in range(5 * size):
        sums[j] *= factor if j < 2 * size else factor * factor


@plain
def align(table, fold, slot):
    """Bring a fold's sums and those of a slot to one level."""
    if fold[LEVEL] == NO_LEVEL:
        fold[LEVEL] = slot[LEVEL]
    elif slot[LEVEL] == NO_LEVEL:
        slot[LEVEL] = fold[LEVEL]
    elif fold[LEVEL] < slot[LEVEL]:
        rescale(table, fold, slot[LEVEL])
    elif slot[LEVEL] < fold[LEVEL]:
        rescale(table, slot, fold[LEVEL])


@plain
def _rise(table, mixture, workspace, rows, slot, top):
    """Raise a slot's level, and that of the units begun, if a weight asks for it."""
    if not top > -math.inf:
        return
    level = math.floor(top / STEP + 0.5)
    if level <= slot[LEVEL]:
        return
    if slot[LEVEL] > NO_LEVEL:
        factor = 2.0 ** (256.0 * max(slot[LEVEL] - level, -8.0))
        units, stride = _units_of(table, mixture, workspace), table[STRIDE]
        for j in range(2 * table[SIZE] + 2):
            for t in range(rows):
                units[j * stride + t] *= factor
        rescale(table, slot, level)
    slot[LEVEL] = level


# --- absorbing: sums of a draw, and of complete units ---


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


@plain
def _count_nonfinite(table, w, rows, first, draws, slot):
    for t in range(rows):
        if not math.isfinite(w[t]):
            if slot[NONFINITE] == 0:
                slot[FIRST] = first + t * draws
            slot[NONFINITE] += 1


@elementwise
def _add_draw(s, direct, weight, w, unit_s, unit_f, has_direct, rows):
    """``S = W s`` and ``F = w S + W direct`` of one column to the units'."""
    for t in range(rows):
        score = weight[t] * s[t]
        unit_s[t] += score
        unit_f[t] += w[t] * score + (weight[t] * direct[t] if has_direct else 0.0)


@reduction
def _add_details(s, direct, weight, w, has_direct, rows, sums, size, j):
    """Sums of S, F, S², F S, F² and W s² of one column."""
    a = b = c = e = g = h = 0.0
    for t in range(rows):
        score = weight[t] * s[t]
        term = w[t] * score + (weight[t] * direct[t] if has_direct else 0.0)
        a += score
        b += term
        c += score * score
        e += term * score
        g += term * term
        h += score * s[t]
    sums[j] += a
    sums[size + j] += b
    sums[2 * size + j] += c
    sums[3 * size + j] += e
    sums[4 * size + j] += g
    sums[5 * size + j] += h


@elementwise
def _add_control(share, total, unit, rows, factor):
    """``(q_j/q̄)/M``, of which a unit has the mean; from shares as the balance heuristic leaves."""
    for t in range(rows):
        unit[t] += share[t] / total[t] * factor


@plain
def absorb_draw(table, workspace, draw, rows, first, reference, slot):
    """Add one draw of each unit of a tile, of which f is known."""
    mixture = _mixture_of(table)
    stride, size, draws = table[STRIDE], table[SIZE], mixture[DRAWS]
    log_weight = vector(log_weight_of(table, mixture, workspace), rows)
    weight = vector(_weight_of(table, mixture, workspace), rows)
    units = _units_of(table, mixture, workspace)
    top = _largest(log_weight, rows)
    _rise(table, mixture, workspace, rows, slot, top)
    _keep_largest(log_weight, rows, top, offset(workspace, mixture[TAIL_AT]), mixture[TAIL])
    _weights(log_weight, weight, rows, max(slot[LEVEL], -1e300) * STEP)

    w = vector(w_of(table, workspace), rows)
    a, b, c, e = _weigh_values(
        w, weight, vector(ww_of(table, workspace), rows), rows, reference,
        vector(offset(units, 2 * size * stride), rows),
        vector(offset(units, (2 * size + 1) * stride), rows),
    )  # fmt: skip
    if not math.isfinite(e):
        _count_nonfinite(table, w, rows, first * draws + draw, draws, slot)
    part = 0 if mixture[RANDOM] != 0 else as_integers(mixture[DRAWS_AT])[draw]
    sums = offset(slot, HEADER + 5 * size + EXTRAS + part * _part_size(mixture, size))
    sums[0] += a
    sums[1] += b
    sums[2] += c
    sums[3] += e
    _add_controls_of_draw(table, mixture, workspace, units, rows)
    return _add_scores(table, mixture, workspace, weight, w, units, rows, offset(sums, PART))


@plain
def _add_scores(table, mixture, workspace, weight, w, units, rows, sums):
    """Scores and direct term of a draw."""
    stride, size = table[STRIDE], table[SIZE]
    if mixture[ADD_AT] != NONE and mixture[DETAILS] == 0 and table[DIRECT_AT] == NONE:
        add_weighted_tile(
            mixture[ADD_AT],
            (as_floats(table[PARAMS_AT]), x_of(table, workspace),
             _weight_of(table, mixture, workspace), w_of(table, workspace), rows, table[D], stride,
             units, size),
        )  # fmt: skip
        return 0
    s, direct, has_direct = (
        scores_of(table, workspace), direct_of(table, workspace), table[DIRECT_AT] != NONE
    )  # fmt: skip
    write_scores(table, workspace, rows)
    if has_direct and table[DIRECT_AT] != GIVEN:
        clear(direct, size, stride, rows)
        status = evaluate_tile(
            table[DIRECT_AT],
            (x_of(table, workspace), direct, rows, table[D], stride, as_integers(table[ARGS_AT])),
        )
        if status != 0:
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
def _add_controls_of_draw(table, mixture, workspace, units, rows):
    """Control columns of a draw."""
    stride, first = table[STRIDE], 2 * table[SIZE] + 2
    densities = densities_of(table, workspace)
    total = vector(offset(densities, (mixture[PROPOSALS] + 1) * stride), rows)
    options = as_floats(mixture[OPTIONS_AT])
    for a in range(mixture[CONTROLS]):
        _add_control(
            vector(offset(densities, a * stride), rows), total,
            vector(offset(units, (first + a) * stride), rows), rows, math.exp(-options[1 + a]),
        )  # fmt: skip


@plain
def clear_units(table, workspace, rows):
    """Start the units of a tile; a control's mean, 1, is taken off at once."""
    mixture = _mixture_of(table)
    units, count = _units_of(table, mixture, workspace), 2 * table[SIZE] + 2
    for j in range(count + mixture[CONTROLS]):
        for t in range(rows):
            units[j * table[STRIDE] + t] = 0.0 if j < count else -1.0


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


@reduction
def _product(a, b, rows):
    total = 0.0
    for t in range(rows):
        total += a[t] * b[t]
    return total


@reduction
def _sum(a, rows):
    total = 0.0
    for t in range(rows):
        total += a[t]
    return total


@plain
def absorb_units(table, workspace, rows, slot, products):
    """Add the complete units of a tile to a slot, and to the products of its fold."""
    mixture = _mixture_of(table)
    stride, size = table[STRIDE], table[SIZE]
    s = _units_of(table, mixture, workspace)
    f = offset(s, size * stride)
    value, weight = offset(f, size * stride), offset(f, (size + 1) * stride)
    zeros = vector(w_of(table, workspace), rows)
    for t in range(rows):
        zeros[t] = 0.0
    for j in range(size):
        five_sums(
            vector(offset(s, j * stride), rows), vector(offset(f, j * stride), rows), zeros, rows,
            offset(slot, HEADER), size, j,
        )  # fmt: skip
    a, b, c, e, g = _three_of_units(vector(value, rows), vector(weight, rows), rows)
    slot[COUNT] += rows
    slot[SUM_W] += a
    slot[SUM_WW] += b
    extras = offset(slot, HEADER + 5 * size)
    extras[WEIGHT] += c
    extras[WEIGHT_SQUARED] += e
    extras[WEIGHT_VALUE] += g
    _add_controls(table, mixture, s, f, value, weight, rows, extras)
    if table[PRODUCTS] != NO_PRODUCTS:
        add_tile_products(table, workspace, w_of(table, workspace), s, f, True, rows, products)


@plain
def _add_controls(table, mixture, s, f, value, weight, rows, extras):
    """Each control's products with the others, with V, S and F."""
    stride, size = table[STRIDE], table[SIZE]
    controls = mixture[CONTROLS] + mixture[TARGET]
    first = offset(weight, stride)
    out = offset(extras, EXTRAS + mixture[PARTS] * _part_size(mixture, size))
    for a in range(controls):
        own = vector(weight if a == mixture[CONTROLS] else offset(first, a * stride), rows)
        out[0] += _sum(own, rows)
        for b in range(controls):
            other = weight if b == mixture[CONTROLS] else offset(first, b * stride)
            out[1 + b] += _product(own, vector(other, rows), rows)
        out[1 + controls] += _product(own, vector(value, rows), rows)
        for j in range(size):
            at = 2 + controls + j
            out[at] += _product(own, vector(offset(s, j * stride), rows), rows)
            out[at + size] += _product(own, vector(offset(f, j * stride), rows), rows)
        out = offset(out, 2 + controls + 2 * size)


# --- the largest weights ---


@plain
def _keep_largest(values, rows, top, tail, most):
    """Keep the ``most`` largest values that were met, as a heap: ``tail`` has their number, then
    them, the least first."""
    if int(tail[0]) == most and not top > tail[1]:
        return
    for t in range(rows):
        if int(tail[0]) < most:
            tail[0] += 1.0
            _sift_up(tail, int(tail[0]), values[t])
        elif values[t] > tail[1]:
            _sift_down(tail, most, values[t])


@plain
def _sift_up(tail, at, value):
    while at > 1 and tail[at // 2] > value:
        tail[at] = tail[at // 2]
        at //= 2
    tail[at] = value


@plain
def _sift_down(tail, count, value):
    at = 1
    while 2 * at <= count:
        child = 2 * at
        if child < count and tail[child + 1] < tail[child]:
            child += 1
        if not tail[child] < value:
            break
        tail[at] = tail[child]
        at = child
    tail[at] = value


# --- a block ---


@plain
def run_units(table, workspace, reference, block, stop, slot, products):
    """All units of one block into its slot, or those complete before a stop.

    Returns why not all, or 0.
    """
    mixture = _mixture_of(table)
    clear_slot(table, slot)
    start_stream(table, workspace, block)
    first, last = bounds(table, block)
    status = 0
    for start in range(first, last, table[TILE]):
        rows = min(table[TILE], last - start)
        clear_units(table, workspace, rows)
        for draw in range(mixture[DRAWS]):
            propose(table, mixture, workspace, draw, rows)
            if fill_weightless(table, mixture, workspace, rows):
                _, status = evaluate(table, workspace, rows, stop)
            if status == 0:
                status = absorb_draw(table, workspace, draw, rows, start, reference, slot)
            if status != 0:
                break
        if status != 0:
            break
        absorb_units(table, workspace, rows, slot, products)
    return status


@plain
def clear_slot(table, slot):
    """Empty a slot."""
    for j in range(_mixture_of(table)[SLOT]):
        slot[j] = 0.0
    slot[LEVEL] = NO_LEVEL
