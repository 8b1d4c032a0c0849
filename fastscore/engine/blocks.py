"""One block: sample > f > centre > contract with the score > sums, tile by tile.

A block is driven by a `table` of integers, the addresses of its kernels and data and the shape of
the problem, so that one cached driver serves every family and every f: an indirect call per tile
is free, and the user pays only for compiling f.  A slot holds one block's sums: `HEADER` doubles,
then five rows of one double per score coordinate (see ``moments``).
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import register_jitable

from fastscore.engine import stages
from fastscore.engine.jit import plain, reduction, tile_kernel
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    as_words,
    caller,
    f8,
    floats,
    i8,
    integers,
    native_caller,
    offset,
    vector,
    words,
)
from fastscore.engine.normals import SCRATCH
from fastscore.engine.products import NO_PRODUCTS, add_products
from fastscore.engine.streams import STATE_WORDS, seed_stream
from fastscore.engine.structured import next_tile, set_kernels, set_points
from fastscore.engine.sweeps import add_expected_scores
from fastscore.engine.terms import (
    COLUMNS,
    ENTRIES_AT,
    NATURAL_AT,
    NO_STAGES,
    STAGES_AT,
    SWEEP_AT,
    TERMS,
    WEIGHTS,
    add_weighted_scores,
    evaluate_terms,
)

#: sample(params, stream, scratch, x, rows, d, stride): fill a tile.
SAMPLE = types.void(floats, words, floats, floats, i8, i8, i8)
#: score(params, x, rows, d, stride, index, s): add natural score column j to s[index[j]].
SCORE = types.void(floats, floats, i8, i8, i8, integers, floats)
#: log_probs(packed, columns, count, x, rows, d, stride, out): log-density of each sample under
#: ``count`` distributions of the family, given by the addresses of what they have packed, each into
#: its column of ``out``, with up to 15 rows more; minus infinity where x is not in the support.
LOG_PROBS = types.void(integers, integers, i8, floats, i8, i8, i8, floats)
#: accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size): the five sums.
ACCUMULATE = types.void(floats, floats, floats, floats, f8, f8, i8, i8, i8, floats, i8)
#: add_weighted(params, x, weight, w, rows, d, stride, units, size): add the columns ``W s`` and
#: ``W w s`` of a tile to those of its units, S before F.
ADD_WEIGHTED = types.void(floats, floats, floats, floats, i8, i8, i8, floats, i8)
#: finish(params, count, sum_w, sum_ww, sums, d, size): make the five sums of what a family's
#: `accumulate` has added up over a block in a form of its own.
FINISH = types.void(floats, f8, f8, f8, floats, i8, i8)
#: forward(params, z, rows, d, stride, x): what f sees of a tile z; x may be z.
FORWARD = types.void(floats, floats, i8, i8, i8, floats)
#: inverse(params, x, rows, d, stride, z, log_det): the tile of what f sees; adds log|dz/dx|, minus
#: infinity outside the image, where z is anything finite; z may be x.
INVERSE = types.void(floats, floats, i8, i8, i8, floats, floats)
#: f(x, out, rows, d, stride, args) and direct(x, out, rows, d, stride, args), jitted.
INTEGRAND = types.void(floats, floats, i8, i8, i8, integers)
#: run(table, workspace, reference, block, stop, slot, products): run a block; why it ended early,
#: or 0.  Called by address, so that each driver need not compile all that a block is made of.
RUN = i8(integers, floats, f8, i8, integers, floats, floats)

sample_tile = caller(SAMPLE)
score_tile = caller(SCORE)
log_probs_tile = caller(LOG_PROBS)
accumulate_tile = caller(ACCUMULATE)
_finish = caller(FINISH)
add_weighted_tile = caller(ADD_WEIGHTED)
forward_tile = caller(FORWARD)
inverse_tile = caller(INVERSE)
evaluate_tile = native_caller(INTEGRAND)
run_at = caller(RUN)

#: The table: addresses of kernels, addresses of data, key of the streams, shapes, policy, the
#: row of the workspace's columns at which the tile starts, which products to add up, the table of
#: the proposals (see ``units``), that of weights for each score column (see ``terms``), how many
#: columns either needs, and the table of the points that samples are made from (see
#: ``structured``), which of those columns is the first of the weights, what runs a block, and the
#: addresses of the kernels of words that are not random.
TABLE = 28
(SAMPLE_AT, F_AT, ACCUMULATE_AT, FINISH_AT, SCORE_AT, DIRECT_AT, PARAMS_AT, INDEX_AT, ARGS_AT,
 KEY_0, KEY_1, D, STRIDE, TILE, CHUNK, BLOCK, N, SIZE, POLICY, ROW,
 PRODUCTS, MIXTURE_AT, WEIGHTS_AT, MORE, POINTS_AT, TERMS_FIRST, RUN_AT,
 STRUCTURED_AT) = range(TABLE)  # fmt: skip
#: In place of an address: there is no such kernel; Python has put its result there; of a direct
#: term, that the columns are only those of weighted scores.
NONE, GIVEN, WEIGHTED = 0, -1, -2
#: What to do with a non-finite f.
RAISE, PROPAGATE, OMIT = range(3)

#: Header of a slot: samples, sum of w, sum of w², non-finite values, first of them, and the level
#: of its weights (see ``units``).
HEADER = 6
COUNT, SUM_W, SUM_WW, NONFINITE, FIRST, LEVEL = range(HEADER)

#: Why a run may end early: f raised, a stop was asked for, f was not finite.
RAISED, STOPPED, NOT_FINITE = 1, 2, 3

# A worker's workspace: stream, scratch, then columns: f (as w), w², the tile, scores, direct term;
# then panels, if products are wanted.
_SCRATCH = STATE_WORDS
COLUMNS_AT = _SCRATCH + SCRATCH


@register_jitable
def columns_of_workspace(d, size, has_scores):
    """Columns of a worker's workspace; scores and direct term only where they are used."""
    return 2 + d + 2 * size * has_scores


@plain
def stream_of(workspace):
    """State of the random stream."""
    return as_words(workspace)


@plain
def scratch_of(workspace):
    """Scratch of the samplers."""
    return offset(workspace, _SCRATCH)


@plain
def _column(table, workspace, i):
    return offset(workspace, COLUMNS_AT + i * table[STRIDE] + table[ROW])


@plain
def w_of(table, workspace):
    """Values of f, then ``w = f - reference``."""
    return _column(table, workspace, 0)


@plain
def ww_of(table, workspace):
    """``w²``."""
    return _column(table, workspace, 1)


@plain
def x_of(table, workspace):
    """The tile."""
    return _column(table, workspace, 2)


@plain
def scores_of(table, workspace):
    """Score columns."""
    return _column(table, workspace, 2 + table[D])


@plain
def direct_of(table, workspace):
    """Columns of the direct term."""
    return _column(table, workspace, 2 + table[D] + table[SIZE])


@plain
def columns_of(table):
    """Where the columns of proposals start in a workspace."""
    return COLUMNS_AT + columns_of_workspace(table[D], table[SIZE], True) * table[STRIDE]


@plain
def _panels_of(table, workspace):
    """Panels of scores and terms, in which products are formed."""
    return offset(workspace, columns_of(table) + table[MORE] * table[STRIDE])


@plain
def terms_of(table, workspace):
    """Columns of the terms behind a column to work in; behind them natural scores."""
    first = 1 + table[TERMS_FIRST]
    return offset(workspace, columns_of(table) + first * table[STRIDE] + table[ROW])


@plain
def start_stream(table, workspace, block):
    """Seed a worker's stream for a block."""
    stream = stream_of(workspace)
    seed_stream(stream, np.uint64(table[KEY_0]), np.uint64(table[KEY_1]), block)
    set_kernels(stream, table[STRUCTURED_AT])
    if table[POINTS_AT] != NONE and block >= 0:
        set_points(stream, table[POINTS_AT], block, table[BLOCK])


@plain
def sample(table, workspace, rows):
    """Fill the tile."""
    next_tile(stream_of(workspace), rows)
    sample_tile(
        table[SAMPLE_AT],
        (as_floats(table[PARAMS_AT]), stream_of(workspace), scratch_of(workspace),
         x_of(table, workspace), rows, table[D], table[STRIDE]),
    )  # fmt: skip
    if table[WEIGHTS_AT] != NONE and as_integers(table[WEIGHTS_AT])[STAGES_AT] != NO_STAGES:
        stages.prepare(
            as_integers(table[WEIGHTS_AT])[STAGES_AT], as_floats(table[PARAMS_AT]),
            stream_of(workspace), scratch_of(workspace), x_of(table, workspace), rows, table[D],
            table[STRIDE], terms_of(table, workspace),
        )  # fmt: skip


@plain
def bounds(table, block):
    """First sample of a block, and the one after its last."""
    first = block * table[BLOCK]
    return first, min(first + table[BLOCK], table[N])


@plain
def evaluate(table, workspace, rows, stop):
    """f of the tile, in chunks between which a slow f may be stopped.

    Returns the number of rows evaluated, and why not all were, or 0.
    """
    x, out = x_of(table, workspace), w_of(table, workspace)
    for start in range(0, rows, table[CHUNK]):
        if stop[0] != 0:
            return start, STOPPED
        count = min(table[CHUNK], rows - start)
        status = 0
        if table[F_AT] != NONE:
            status = evaluate_tile(
                table[F_AT],
                (offset(x, start), offset(out, start), count, table[D], table[STRIDE],
                 as_integers(table[ARGS_AT])),
            )  # fmt: skip
        if status == 0 and table[WEIGHTS_AT] != NONE:
            status = evaluate_terms(
                as_integers(table[WEIGHTS_AT]), table[F_AT], offset(x, start), offset(out, start),
                offset(terms_of(table, workspace), start), count, table[D], table[STRIDE],
                as_integers(table[ARGS_AT]),
            )  # fmt: skip
        if status != 0:
            return start, RAISED
    return rows, 0


@reduction
def centre(values, squares, rows, reference):
    """Replace f by w = f - reference, store w², return the sums of both."""
    sum_w = 0.0
    sum_ww = 0.0
    for t in range(rows):
        w = values[t] - reference
        ww = w * w
        values[t] = w
        squares[t] = ww
        sum_w += w
        sum_ww += ww
    return sum_w, sum_ww


@plain
def _screen(table, workspace, rows, first, slot):
    """Count the non-finite values of a tile; to omit them, close the gaps they leave."""
    stride = table[STRIDE]
    w, x, direct = w_of(table, workspace), x_of(table, workspace), direct_of(table, workspace)
    kept = 0
    for t in range(rows):
        finite = math.isfinite(w[t])
        if not finite:
            if slot[NONFINITE] == 0:
                slot[FIRST] = first + t
            slot[NONFINITE] += 1
        if finite or table[POLICY] != OMIT:
            if kept < t:
                w[kept] = w[t]
                _move(x, table[D], stride, t, kept)
                if table[DIRECT_AT] == GIVEN:
                    _move(direct, table[SIZE], stride, t, kept)
                if table[WEIGHTS_AT] != NONE:
                    terms = as_integers(table[WEIGHTS_AT])[TERMS]
                    _move(terms_of(table, workspace), terms, stride, t, kept)
            kept += 1
    return kept


@plain
def _move(columns, count, stride, source, target):
    for k in range(count):
        columns[k * stride + target] = columns[k * stride + source]


@reduction
def five_sums(s, w, ww, rows, sums, size, j):
    """Sums of s, w s, s², w s² and w² s² of one column."""
    a = b = c = e = g = 0.0
    for t in range(rows):
        score = s[t]
        square = score * score
        a += score
        b += w[t] * score
        c += square
        e += w[t] * square
        g += ww[t] * square
    sums[j] += a
    sums[size + j] += b
    sums[2 * size + j] += c
    sums[3 * size + j] += e
    sums[4 * size + j] += g


@reduction
def five_sums_with_direct(s, direct, w, rows, sums, size, j):
    """The same of S and F = w S + direct: sums of S, F, S², F S and F²."""
    a = b = c = e = g = 0.0
    for t in range(rows):
        score = s[t]
        product = w[t] * score + direct[t]
        a += score
        b += product
        c += score * score
        e += product * score
        g += product * product
    sums[j] += a
    sums[size + j] += b
    sums[2 * size + j] += c
    sums[3 * size + j] += e
    sums[4 * size + j] += g


@plain
def clear(columns, count, stride, rows):
    """Zero columns."""
    for k in range(count):
        for t in range(rows):
            columns[k * stride + t] = 0.0


@plain
def write_scores(table, workspace, rows):
    """Score columns of the tile."""
    stride, s = table[STRIDE], scores_of(table, workspace)
    clear(s, table[SIZE], stride, rows)
    score_tile(
        table[SCORE_AT],
        (as_floats(table[PARAMS_AT]), x_of(table, workspace), rows, table[D], stride,
         as_integers(table[INDEX_AT]), s),
    )  # fmt: skip


@plain
def write_scores_and_direct(table, workspace, rows, sums):
    """Score columns, and direct ones if there are any; whether that failed.

    Where the latter stand in place of w s, w becomes 0.
    """
    direct = direct_of(table, workspace)
    if table[WEIGHTS_AT] == NONE:
        write_scores(table, workspace, rows)
    if table[DIRECT_AT] == WEIGHTED:
        clear(direct, table[SIZE], table[STRIDE], rows)
    elif table[DIRECT_AT] not in (NONE, GIVEN):
        status = evaluate_tile(
            table[DIRECT_AT],
            (x_of(table, workspace), direct, rows, table[D], table[STRIDE],
             as_integers(table[ARGS_AT])),
        )  # fmt: skip
        if status != 0:
            return RAISED
    if table[WEIGHTS_AT] != NONE:
        _write_weighted(table, workspace, rows, sums)
    return 0


@plain
def _write_weighted(table, workspace, rows, sums):
    """Score columns, and, added to the direct ones, what is to stand for w s: so w becomes 0."""
    stride, size, weights = table[STRIDE], table[SIZE], as_integers(table[WEIGHTS_AT])
    s, terms = scores_of(table, workspace), terms_of(table, workspace)
    natural = offset(terms, weights[TERMS] * stride)
    if weights[NATURAL_AT] == NONE:
        write_scores(table, workspace, rows)
    else:
        clear(s, size, stride, rows)
        clear(natural, weights[COLUMNS], stride, rows)
        score_tile(
            table[SCORE_AT],
            (as_floats(table[PARAMS_AT]), x_of(table, workspace), rows, table[D], stride,
             as_integers(weights[NATURAL_AT]), natural),
        )  # fmt: skip
    if weights[STAGES_AT] != NO_STAGES:
        stages.contract(
            weights[STAGES_AT], as_floats(table[PARAMS_AT]), x_of(table, workspace), terms, rows,
            table[D], stride, as_integers(table[INDEX_AT]), direct_of(table, workspace),
        )  # fmt: skip
    elif weights[SWEEP_AT] != NONE:
        add_expected_scores(
            as_integers(weights[SWEEP_AT]), as_integers(weights[ENTRIES_AT]),
            w_of(table, workspace), terms, s, natural, direct_of(table, workspace), stride, rows,
        )  # fmt: skip
    else:
        add_weighted_scores(
            weights, offset(terms, -stride), terms, s, natural, direct_of(table, workspace),
            stride, rows, offset(sums, 5 * size),
        )  # fmt: skip
    clear(w_of(table, workspace), 1, stride, rows)


@plain
def _contract(table, workspace, rows, sums):
    """The general way: score columns, direct columns if there are any, then five sums of each."""
    stride, size = table[STRIDE], table[SIZE]
    s, direct = scores_of(table, workspace), direct_of(table, workspace)
    if write_scores_and_direct(table, workspace, rows, sums) != 0:
        return RAISED
    w, ww = vector(w_of(table, workspace), rows), vector(ww_of(table, workspace), rows)
    if table[DIRECT_AT] == NONE:
        for j in range(size):
            five_sums(vector(offset(s, j * stride), rows), w, ww, rows, sums, size, j)
        return 0
    for j in range(size):
        five_sums_with_direct(
            vector(offset(s, j * stride), rows), vector(offset(direct, j * stride), rows),
            w, rows, sums, size, j,
        )  # fmt: skip
    return 0


@plain
def absorb_tile(table, workspace, rows, first, reference, slot, products):
    """Add one tile, of which f is known, to a slot, and to the products of its fold."""
    w, ww = vector(w_of(table, workspace), rows), vector(ww_of(table, workspace), rows)
    sum_w, sum_ww = centre(w, ww, rows, reference)
    if not math.isfinite(sum_ww):  # so a finite f costs no check of its own
        rows = _screen(table, workspace, rows, first, slot)
        sum_w, sum_ww = centre(w, ww, rows, 0.0)
    slot[COUNT] += rows
    slot[SUM_W] += sum_w
    slot[SUM_WW] += sum_ww
    status = _add_sums(table, workspace, rows, sum_w, sum_ww, offset(slot, HEADER))
    if status == 0 and table[PRODUCTS] != NO_PRODUCTS:
        if table[ACCUMULATE_AT] != NONE:
            write_scores(table, workspace, rows)
        add_tile_products(
            table, workspace, w_of(table, workspace), scores_of(table, workspace),
            direct_of(table, workspace), table[DIRECT_AT] != NONE, rows, products,
        )  # fmt: skip
    return status


@plain
def add_tile_products(table, workspace, w, s, direct, has_direct, rows, products):
    """Add the products of scores s and terms ``w s + direct`` of a tile to those of its fold."""
    add_products(
        table[PRODUCTS], w, s, direct, has_direct, rows, table[SIZE], table[STRIDE],
        _panels_of(table, workspace), products,
    )  # fmt: skip


@plain
def _add_sums(table, workspace, rows, sum_w, sum_ww, sums):
    """The five sums of a tile."""
    if table[ACCUMULATE_AT] == NONE:
        return _contract(table, workspace, rows, sums)
    accumulate_tile(
        table[ACCUMULATE_AT],
        (as_floats(table[PARAMS_AT]), x_of(table, workspace), w_of(table, workspace),
         ww_of(table, workspace), sum_w, sum_ww, rows, table[D], table[STRIDE], sums, table[SIZE]),
    )  # fmt: skip
    return 0


@plain
def finish(table, slot):
    """Complete the sums of a block."""
    if table[FINISH_AT] != NONE:
        _finish(
            table[FINISH_AT],
            (as_floats(table[PARAMS_AT]), slot[COUNT], slot[SUM_W], slot[SUM_WW],
             offset(slot, HEADER), table[D], table[SIZE]),
        )  # fmt: skip


@tile_kernel(RUN)
def run_block(table, workspace, reference, block, stop, slot, products):
    """All tiles of one block into its slot and its fold's products, or those before a stop.

    Returns why not all, or 0.
    """
    weights = 0 if table[WEIGHTS_AT] == NONE else as_integers(table[WEIGHTS_AT])[WEIGHTS]
    for j in range(HEADER + 5 * table[SIZE] + weights):
        slot[j] = 0.0
    start_stream(table, workspace, block)
    first, last = bounds(table, block)
    status = 0
    for start in range(first, last, table[TILE]):
        rows = min(table[TILE], last - start)
        sample(table, workspace, rows)
        done, status = evaluate(table, workspace, rows, stop)
        if status != RAISED:
            failed = absorb_tile(table, workspace, done, start, reference, slot, products)
            status = RAISED if failed != 0 else status
        if status != 0:
            break
    finish(table, slot)
    return status
