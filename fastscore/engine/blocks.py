"""The block driver: sample > f > centre > contract with the score > sums, tile by tile.

One cached driver serves every family and every f, through the addresses of their tile
kernels: an indirect call per tile is free, and the user pays only for compiling f.
A slot holds one block's sums: `HEADER` doubles, then five rows of one double per score
coordinate (see ``moments``).
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange, types

from fastscore.engine.jit import Entry, entry, plain, reduction
from fastscore.engine.memory import (
    caller,
    f8,
    floats,
    i8,
    integers,
    native_caller,
    offset,
    pointer,
    vector,
    words,
)
from fastscore.engine.streams import seed_stream

#: sample(params, stream, scratch, x, rows, d, stride): fill a tile.
SAMPLE = types.void(floats, words, floats, floats, i8, i8, i8)
#: score(params, x, rows, d, stride, index, s): add natural score column j to s[index[j]].
SCORE = types.void(floats, floats, i8, i8, i8, integers, floats)
#: log_prob(params, x, rows, d, stride, out): log-density of each sample.
LOG_PROB = types.void(floats, floats, i8, i8, i8, floats)
#: accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size): the five sums.
ACCUMULATE = types.void(floats, floats, floats, floats, f8, f8, i8, i8, i8, floats, i8)
#: f(x, out, rows, d, stride, args) and direct(x, out, rows, d, stride, args), jitted.
INTEGRAND = types.void(floats, floats, i8, i8, i8, integers)

_sample = caller(SAMPLE)
_score = caller(SCORE)
_log_prob = caller(LOG_PROB)
_accumulate = caller(ACCUMULATE)
_evaluate = native_caller(INTEGRAND)

#: Header of a slot: samples, sum of w, sum of w^2, non-finite values, first of them.
HEADER = 5
COUNT, SUM_W, SUM_WW, NONFINITE, FIRST = range(HEADER)

#: Kernels' addresses and the shape of the problem, as the driver takes them.
PROBLEM = 13
(SAMPLE_AT, F_AT, ACCUMULATE_AT, SCORE_AT, DIRECT_AT, D, STRIDE, TILE, CHUNK, BLOCK, N, SIZE,
 POLICY) = range(PROBLEM)  # fmt: skip

#: In place of an address: there is no such kernel; Python has put its result there.
NONE, GIVEN = 0, -1

#: What to do with a non-finite f.
RAISE, PROPAGATE, OMIT = range(3)

#: Flags shared by driver and Python: stop asked for, why the run ended early, in which block,
#: blocks merged so far, non-finite values in the failed block and the first of them.
FLAGS = 6
STOP, STATUS, FAILED, MERGED, BAD_COUNT, BAD_FIRST = range(FLAGS)
#: Why a run may end early: f raised, a stop was asked for, f was not finite.
RAISED, STOPPED, NOT_FINITE = 1, 2, 3


@reduction
def _centre(values, squares, rows, reference):
    """Replace f by w = f - reference, store w^2, return the sums of both."""
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
def _screen(problem, x, values, columns, rows, first, slot):
    """Count the non-finite values of a tile; to omit them, close the gaps they leave."""
    d, stride, size = problem[D], problem[STRIDE], problem[SIZE]
    omit = problem[POLICY] == OMIT
    kept = 0
    for t in range(rows):
        finite = math.isfinite(values[t])
        if not finite:
            if slot[NONFINITE] == 0:
                slot[FIRST] = first + t
            slot[NONFINITE] += 1
        if finite or not omit:
            if kept < t:
                values[kept] = values[t]
                for k in range(d):
                    x[k * stride + kept] = x[k * stride + t]
                if problem[DIRECT_AT] == GIVEN:
                    for j in range(size, 2 * size):
                        columns[j * stride + kept] = columns[j * stride + t]
            kept += 1
    return kept


@reduction
def _five_sums(s, direct, w, rows, sums, size, j):
    """Sums of S, F, S^2, F S and F^2 of one column, F = w S + direct."""
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
def _contract(problem, params, index, args, x, w, rows, columns, sums):
    """The general way: score columns, direct columns, then five sums of each."""
    d, stride, size = problem[D], problem[STRIDE], problem[SIZE]
    direct = offset(columns, size * stride)
    for i in range(size * stride):
        columns[i] = 0.0
    _score(problem[SCORE_AT], (params, x, rows, d, stride, index, columns))
    status = np.int64(0)
    if problem[DIRECT_AT] == NONE:
        for i in range(size * stride):
            direct[i] = 0.0
    elif problem[DIRECT_AT] != GIVEN:
        status = _evaluate(problem[DIRECT_AT], (x, direct, rows, d, stride, args))
    for j in range(size):
        _five_sums(
            vector(offset(columns, j * stride), rows), vector(offset(direct, j * stride), rows),
            w, rows, sums, size, j,
        )  # fmt: skip
    return RAISED if status != 0 else 0


@plain
def _absorb(problem, params, index, args, x, values, squares, columns, rows, first, reference, slot):
    """Add one tile, with f in ``values``, to a slot."""
    d, stride, size = problem[D], problem[STRIDE], problem[SIZE]
    f = vector(values, rows)
    sum_w, sum_ww = _centre(f, vector(squares, rows), rows, reference)
    if not math.isfinite(sum_ww):
        rows = _screen(problem, x, values, columns, rows, first, slot)
        sum_w, sum_ww = _centre(f, vector(squares, rows), rows, 0.0)
    slot[COUNT] += rows
    slot[SUM_W] += sum_w
    slot[SUM_WW] += sum_ww
    sums = offset(slot, HEADER)
    if problem[ACCUMULATE_AT] == NONE:
        return _contract(problem, params, index, args, x, f, rows, columns, sums)
    _accumulate(
        problem[ACCUMULATE_AT],
        (params, x, values, squares, sum_w, sum_ww, rows, d, stride, sums, size),
    )
    return 0


@plain
def _evaluate_tile(problem, args, x, values, rows, flags):
    """f of one tile, in chunks between which a slow f may be stopped."""
    chunk = problem[CHUNK]
    for start in range(0, rows, chunk):
        if flags[STOP] != 0:
            return STOPPED
        status = _evaluate(
            problem[F_AT],
            (offset(x, start), offset(values, start), min(chunk, rows - start),
             problem[D], problem[STRIDE], args),
        )  # fmt: skip
        if status != 0:
            return RAISED
    return 0


@plain
def _block(problem, params, index, args, key, reference, block, flags, stream, scratch, x, values,
           columns, slot):  # fmt: skip
    """All tiles of one block into its slot; returns the status of f."""
    squares = offset(values, problem[STRIDE])
    for j in range(HEADER + 5 * problem[SIZE]):
        slot[j] = 0.0
    seed_stream(stream, key[0], key[1], block)
    first = block * problem[BLOCK]
    last = min(first + problem[BLOCK], problem[N])
    for start in range(first, last, problem[TILE]):
        rows = min(problem[TILE], last - start)
        _sample(
            problem[SAMPLE_AT], (params, stream, scratch, x, rows, problem[D], problem[STRIDE])
        )
        status = _evaluate_tile(problem, args, x, values, rows, flags)
        if status == 0:
            status = _absorb(problem, params, index, args, x, values, squares, columns, rows,
                             start, reference, slot)  # fmt: skip
        if status != 0:
            return status
    return 0


@plain
def _merge(problem, sums, slot, status, block, flags):
    """Add a slot to its fold; False at a failure, which must not be merged."""
    if status == 0 and problem[POLICY] == RAISE and slot[NONFINITE] > 0:
        status = NOT_FINITE
    if status != 0:
        flags[STATUS] = status
        flags[FAILED] = block
        flags[BAD_COUNT] = np.int64(slot[NONFINITE])
        flags[BAD_FIRST] = np.int64(slot[FIRST])
        return False
    fold = sums[block % sums.shape[0]]
    if slot[NONFINITE] > 0 and fold[NONFINITE] == 0:
        fold[FIRST] = slot[FIRST]
    for j in range(HEADER + 5 * problem[SIZE]):
        if j != FIRST:
            fold[j] += slot[j]
    flags[MERGED] = block + 1
    return True


def _run(problem, params, index, args, key, reference, first, last, flags, streams, scratch, x,
         values, columns, slots, statuses, sums):  # fmt: skip
    """Blocks ``first`` to ``last`` into the folds' sums, merged in block order.

    One row of ``streams``, ``scratch``, ``x``, ``values`` and ``columns`` per worker, one row of
    ``slots`` per block in flight.
    """
    workers = x.shape[0]
    for begin in range(first, last, slots.shape[0]):
        count = min(last - begin, slots.shape[0])
        for worker in prange(workers):
            for i in range(count * worker // workers, count * (worker + 1) // workers):
                statuses[i] = _block(
                    problem, pointer(params), pointer(index), pointer(args), key, reference,
                    begin + i, flags, pointer(streams[worker]), pointer(scratch[worker]),
                    pointer(x[worker]), pointer(values[worker]), pointer(columns[worker]),
                    pointer(slots[i]),
                )  # fmt: skip
        for i in range(count):
            if not _merge(problem, sums, slots[i], statuses[i], begin + i, flags):
                return


#: The driver on the calling thread alone; it holds no lock and starts no threads.
run_serial = Entry(_run)
#: The same under ``prange``.
run_parallel = Entry(_run, parallel=True)


@entry
def draw(problem, params, key, block, stream, scratch, x, out, begin):
    """Sample one block into ``out``, of shape (d, rows), from column ``begin`` on."""
    state = pointer(stream)
    seed_stream(state, key[0], key[1], block)
    first = block * problem[BLOCK]
    last = min(first + problem[BLOCK], problem[N])
    for start in range(first, last, problem[TILE]):
        rows = min(problem[TILE], last - start)
        _sample(
            problem[SAMPLE_AT],
            (pointer(params), state, pointer(scratch), pointer(x), rows, problem[D],
             problem[STRIDE]),
        )  # fmt: skip
        for k in range(problem[D]):
            for t in range(rows):
                out[k, begin + start - first + t] = x[k * problem[STRIDE] + t]


@entry
def pilot(problem, params, args, key, stream, scratch, x, values, rows):
    """f of a few samples from a stream of their own, that of block -1; returns its status."""
    state, tile = pointer(stream), pointer(x)
    seed_stream(state, key[0], key[1], -1)
    _sample(
        problem[SAMPLE_AT],
        (pointer(params), state, pointer(scratch), tile, rows, problem[D], problem[STRIDE]),
    )
    return _evaluate(
        problem[F_AT],
        (tile, pointer(values), rows, problem[D], problem[STRIDE], pointer(args)),
    )


@entry
def absorb(problem, params, index, args, reference, block, samples, begin, f, direct, flags, x,
           values, columns, slot, sums):  # fmt: skip
    """Add one block whose f Python has computed: rows from ``begin`` of the three arrays.

    ``samples`` is (d, rows), ``f`` (rows,), ``direct`` (rows, size) or empty.
    """
    stride, size = problem[STRIDE], problem[SIZE]
    squares = offset(pointer(values), stride)
    slot[:] = 0.0
    first = block * problem[BLOCK]
    last = min(first + problem[BLOCK], problem[N])
    for start in range(first, last, problem[TILE]):
        rows = min(problem[TILE], last - start)
        row = begin + start - first
        for k in range(problem[D]):
            for t in range(rows):
                x[k * stride + t] = samples[k, row + t]
        for t in range(rows):
            values[t] = f[row + t]
            if problem[DIRECT_AT] == GIVEN:
                for j in range(size):
                    columns[(size + j) * stride + t] = direct[row + t, j]
        _absorb(problem, pointer(params), pointer(index), pointer(args), pointer(x),
                pointer(values), squares, pointer(columns), rows, start, reference,
                pointer(slot))  # fmt: skip
    return _merge(problem, sums, slot, 0, block, flags)


@entry
def merge(problem, rows, first, last, sums, flags):
    """Add the rows of blocks ``first`` to ``last``, computed apart, to their folds."""
    for block in range(first, last):
        _merge(problem, sums, rows[block % rows.shape[0]], 0, block, flags)


@entry
def scores(problem, params, index, x, rows, out):
    """Score columns of a tile."""
    out[:] = 0.0
    _score(
        problem[SCORE_AT],
        (pointer(params), pointer(x), rows, problem[D], problem[STRIDE], pointer(index),
         pointer(out)),
    )  # fmt: skip


@entry
def log_probs(address, params, x, rows, d, stride, out):
    """Log-density of each sample of a tile."""
    _log_prob(address, (pointer(params), pointer(x), rows, d, stride, pointer(out)))


