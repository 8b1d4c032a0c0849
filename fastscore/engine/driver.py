"""What Python calls: runs of blocks, and the pieces of one for an f that Python evaluates."""

from __future__ import annotations

import numpy as np
from numba import prange

from fastscore.engine.blocks import (
    FIRST,
    LEVEL,
    MIXTURE_AT,
    NONE,
    NONFINITE,
    NOT_FINITE,
    POLICY,
    RAISE,
    ROW,
    RUN_AT,
    SCORE_AT,
    STOPPED,
    STRIDE,
    TILE,
    D,
    absorb_tile,
    bounds,
    evaluate,
    evaluate_tile,
    finish,
    forward_tile,
    inverse_tile,
    log_probs_tile,
    run_at,
    sample,
    score_tile,
    start_stream,
    w_of,
)
from fastscore.engine.jit import Entry, entry, plain
from fastscore.engine.memory import as_floats, as_integers, pointer, take_next
from fastscore.engine.units.absorb import absorb_draw, absorb_units, clear_units
from fastscore.engine.units.block import clear_slot
from fastscore.engine.units.layout import DRAWS
from fastscore.engine.units.levels import align, rescale
from fastscore.engine.units.propose import propose

#: What the driver tells Python: why the run ended early and in which block; blocks merged so
#: far; non-finite values in the failed block, and the first.
FLAGS = 5
STATUS, FAILED, MERGED, BAD_COUNT, BAD_FIRST = range(FLAGS)


#: Doubles whose merging is worth a parallel region of its own.
_WORTH_SHARING = 2**15


@plain
def _check(table, slot, status, block, flags):
    """Whether a block may be merged: what there is of it after a stop, but no failure."""
    if table[POLICY] == RAISE and slot[NONFINITE] > 0:
        status = NOT_FINITE
    if status != 0:
        flags[STATUS] = status
        flags[FAILED] = block
        flags[BAD_COUNT] = np.int64(slot[NONFINITE])
        flags[BAD_FIRST] = np.int64(slot[FIRST])
    return status == 0 or status == STOPPED


@plain
def _run_block(table, workspace, reference, block, stop, slot, products):
    arguments = table, workspace, reference, block, stop, slot, products
    return run_at(table[RUN_AT], arguments)


@plain
def _align(table, fold, slot):
    """Weights of both to one level, before they are added."""
    if table[MIXTURE_AT] != NONE:
        align(table, pointer(fold), pointer(slot))


@plain
def _add(fold, slot, first, last):
    """Add entries ``first`` to ``last`` of a slot to its fold."""
    for j in range(first, last):
        if j not in (FIRST, LEVEL):
            fold[j] += slot[j]


@plain
def _merge_one(table, slot, block, flags, fold):
    """Add a whole block to its fold; whether it could be."""
    if not _check(table, slot, 0, block, flags):
        return False
    _align(table, fold, slot)
    _add(fold, slot, 0, fold.size)
    flags[MERGED] = block + 1
    return True


def _run(table, reference, first, last, stop, flags, workspaces, slots, statuses, sums):
    """Blocks ``first`` to ``last`` into the folds' sums, merged in block order.

    ``workspaces`` has a row per worker, ``slots`` one per block in flight.  Workers take blocks,
    and then columns to merge, as they come: neither changes the order of an addition.  When
    ``stop`` is set the blocks in flight are merged as far as they have come.
    """
    workers, folds = workspaces.shape[0], sums.shape[0]
    width = sums.shape[1]
    counter = np.zeros(1, np.int64)
    for begin in range(first, last, slots.shape[0]):
        count = min(last - begin, slots.shape[0])
        counter[0] = 0
        for worker in prange(workers):
            i = take_next(pointer(counter))
            while i < count:
                slot = pointer(slots[i])  # there are no products: it stands in for them
                statuses[i] = _run_block(
                    pointer(table),
                    pointer(workspaces[worker]),
                    reference,
                    begin + i,
                    pointer(stop),
                    slot,
                    slot,
                )
                i = take_next(pointer(counter))
        good = 0
        while good < count and _check(
            pointer(table), slots[good], statuses[good], begin + good, flags
        ):
            _align(pointer(table), sums[(begin + good) % folds], slots[good])
            good += 1
        for i in range(good):  # now that the folds are at their highest
            _align(pointer(table), sums[(begin + i) % folds], slots[i])
        shares = workers if width * good > _WORTH_SHARING else 1
        for share in prange(shares):
            for i in range(good):
                _add(sums[(begin + i) % folds], slots[i], width * share // shares,
                     width * (share + 1) // shares)  # fmt: skip
        flags[MERGED] = begin + good
        if good < count or stop[0] != 0:
            return


#: The driver on the calling thread alone; it holds no lock and starts no threads.
run_serial = Entry(_run)
#: The same under ``prange``.
run_parallel = Entry(_run, parallel=True)


def _run_folds(table, reference, first, last, folds, stop, flags, workspaces, slots, sums,
               products):  # fmt: skip
    """The same with products, which are too large for a slot per block.

    So a worker takes a fold, of those from ``folds[0]`` to ``folds[1]``, and runs its blocks in
    order.  ``flags`` has a row per fold.
    """
    workers, count = workspaces.shape[0], sums.shape[0]
    counter = np.zeros(1, np.int64)
    counter[0] = folds[0]
    for worker in prange(workers):
        fold = take_next(pointer(counter))
        while fold < folds[1]:
            flags[fold, MERGED] = last
            for block in range(first + (fold - first) % count, last, count):
                status = _run_block(
                    pointer(table), pointer(workspaces[worker]), reference, block, pointer(stop),
                    pointer(slots[worker]), pointer(products[fold]),
                )  # fmt: skip
                if not _check(pointer(table), slots[worker], status, block, flags[fold]):
                    break
                _align(pointer(table), sums[fold], slots[worker])
                _add(sums[fold], slots[worker], 0, sums.shape[1])
                if status != 0:
                    break
            fold = take_next(pointer(counter))


#: Folds on the calling thread alone.
run_folds_serial = Entry(_run_folds)
#: The same under ``prange``.
run_folds_parallel = Entry(_run_folds, parallel=True)


@entry
def forward(address, params, tile, rows, d, stride, out):
    """What f sees of a tile."""
    forward_tile(address, (as_floats(params), pointer(tile), rows, d, stride, pointer(out)))


@entry
def inverse(address, params, tile, rows, d, stride, log_det):
    """Replace what f sees by its tile; add the logarithm of the derivative."""
    x = pointer(tile)
    inverse_tile(address, (as_floats(params), x, rows, d, stride, x, pointer(log_det)))


@entry
def merge(table, rows, first, last, sums, flags):
    """Add the rows of blocks ``first`` to ``last``, computed apart, to their folds."""
    table = pointer(table)
    for block in range(first, last):
        _align(table, sums[block % sums.shape[0]], rows[block % rows.shape[0]])
        _add(sums[block % sums.shape[0]], rows[block % rows.shape[0]], 0, sums.shape[1])
    flags[MERGED] = last


@entry
def pilot(table, workspace, rows, stop):
    """f of a few samples from a stream of their own, that of block -1."""
    table, stop = pointer(table), pointer(stop)
    base = pointer(workspace)
    start_stream(table, base, -1)
    sample(table, base, rows)
    values = np.empty(rows)
    done, _ = evaluate(table, base, rows, stop)
    for t in range(rows):
        values[t] = w_of(table, base)[t] if t < done else np.nan
    return values


@entry
def draw(table, workspace, block, begin):
    """Sample one block into the workspace's columns, from row ``begin`` on.

    The last tile may write up to 15 rows beyond it.
    """
    table = pointer(table)
    base = pointer(workspace)
    start_stream(table, base, block)
    first, last = bounds(table, block)
    for start in range(first, last, table[TILE]):
        table[ROW] = begin + start - first
        sample(table, base, min(table[TILE], last - start))


@entry
def evaluate_given(table, workspace, rows, stop, flags):
    """f of a tile that Python has filled."""
    table, stop = pointer(table), pointer(stop)
    _, status = evaluate(table, pointer(workspace), rows, stop)
    flags[STATUS] = status


@entry
def values_of_blocks(table, workspace, first, last, stop, flags, out):
    """f of all samples of some blocks, without their sums; those not reached stay as they are."""
    table, stop = pointer(table), pointer(stop)
    base = pointer(workspace)
    for block in range(first, last):
        start_stream(table, base, block)
        begin, end = bounds(table, block)
        for start in range(begin, end, table[TILE]):
            rows = min(table[TILE], end - start)
            sample(table, base, rows)
            done, status = evaluate(table, base, rows, stop)
            for t in range(done):
                out[start + t] = w_of(table, base)[t]
            if status != 0:
                flags[STATUS] = status
                flags[FAILED] = block
                return


@entry
def write_terms(address, tile, out, rows, d, stride, args):
    """What a jitted function writes of a tile into columns; its status."""
    return evaluate_tile(address, (pointer(tile), pointer(out), rows, d, stride, pointer(args)))


@entry
def absorb(table, workspace, reference, block, begin, flags, slot, sums, products):
    """Add one block whose f, and direct term, Python has put into the workspace's columns."""
    table = pointer(table)
    base = pointer(workspace)
    slot[:] = 0.0
    first, last = bounds(table, block)
    for start in range(first, last, table[TILE]):
        table[ROW] = begin + start - first
        rows = min(table[TILE], last - start)
        absorb_tile(
            table, base, rows, start, reference, pointer(slot),
            pointer(products[block % sums.shape[0]]),
        )  # fmt: skip
    finish(table, pointer(slot))
    return _merge_one(table, slot, block, flags, sums[block % sums.shape[0]])


@entry
def draw_units(table, workspace, block, begin):
    """The same for the units of a block: tile by tile, in each draw by draw."""
    table = pointer(table)
    base, mixture = pointer(workspace), as_integers(table[MIXTURE_AT])
    start_stream(table, base, block)
    first, last = bounds(table, block)
    table[ROW] = begin
    for start in range(first, last, table[TILE]):
        rows = min(table[TILE], last - start)
        for i in range(mixture[DRAWS]):
            propose(table, mixture, base, i, rows)
            table[ROW] += rows


@entry
def absorb_block_of_units(table, workspace, reference, block, begin, flags, slot, sums, products):
    """The same as `absorb`, for the units of a block."""
    table = pointer(table)
    base, mixture, fold = pointer(workspace), as_integers(table[MIXTURE_AT]), block % sums.shape[0]
    clear_slot(table, pointer(slot))
    first, last = bounds(table, block)
    table[ROW] = begin
    for start in range(first, last, table[TILE]):
        rows = min(table[TILE], last - start)
        clear_units(table, base, rows)
        for i in range(mixture[DRAWS]):
            absorb_draw(table, base, i, rows, start, reference, pointer(slot))
            table[ROW] += rows
        table[ROW] -= rows
        absorb_units(table, base, rows, pointer(slot), pointer(products[fold]))
        table[ROW] += rows
    return _merge_one(table, slot, block, flags, sums[fold])


@entry
def level(table, sums):
    """Bring the sums of all folds to one level."""
    table = pointer(table)
    for fold in range(1, sums.shape[0]):
        _align(table, sums[0], sums[fold])
    for fold in range(1, sums.shape[0]):
        _align(table, sums[0], sums[fold])


@entry
def level_to_zero(table, sums):
    """Bring them to that of the weights themselves, which then may over- or underflow."""
    table = pointer(table)
    for fold in range(sums.shape[0]):
        rescale(table, pointer(sums[fold]), 0.0)


@entry
def scores(table, params, index, x, rows, out):
    """Score columns of a tile."""
    table = pointer(table)
    out[:] = 0.0
    score_tile(
        table[SCORE_AT],
        (pointer(params), pointer(x), rows, table[D], table[STRIDE], pointer(index), pointer(out)),
    )


@entry
def log_probs(address, packed, columns, x, rows, d, stride, out):
    """Log-density of each sample of a tile under each of some distributions."""
    log_probs_tile(
        address,
        (pointer(packed), pointer(columns), packed.size, pointer(x), rows, d, stride, pointer(out)),
    )
