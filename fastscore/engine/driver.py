"""What Python calls: runs of blocks, and the pieces of one for an f that Python evaluates."""

from __future__ import annotations

import numpy as np
from numba import prange

from fastscore.engine.blocks import (
    FIRST,
    HEADER,
    NONFINITE,
    NOT_FINITE,
    POLICY,
    RAISE,
    ROW,
    SCORE_AT,
    SIZE,
    STOPPED,
    STRIDE,
    TILE,
    D,
    absorb_tile,
    bounds,
    evaluate,
    log_prob_tile,
    run_block,
    sample,
    score_tile,
    start_stream,
    w_of,
)
from fastscore.engine.jit import Entry, entry, plain
from fastscore.engine.memory import pointer

#: What the driver tells Python: why the run ended early and in which block; blocks merged so
#: far; non-finite values in the failed block, and the first.
FLAGS = 5
STATUS, FAILED, MERGED, BAD_COUNT, BAD_FIRST = range(FLAGS)


@plain
def _merge(table, sums, slot, status, block, flags):
    """Add a slot to its fold, what there is of it after a stop; False at any other failure."""
    if table[POLICY] == RAISE and slot[NONFINITE] > 0:
        status = NOT_FINITE
    if status != 0:
        flags[STATUS] = status
        flags[FAILED] = block
        flags[BAD_COUNT] = np.int64(slot[NONFINITE])
        flags[BAD_FIRST] = np.int64(slot[FIRST])
        if status != STOPPED:
            return False
    fold = sums[block % sums.shape[0]]
    if slot[NONFINITE] > 0 and fold[NONFINITE] == 0:
        fold[FIRST] = slot[FIRST]
    for j in range(HEADER + 5 * table[SIZE]):
        if j != FIRST:
            fold[j] += slot[j]
    flags[MERGED] = block + 1
    return True


def _run(table, reference, first, last, stop, flags, workspaces, slots, statuses, sums):
    """Blocks ``first`` to ``last`` into the folds' sums, merged in block order.

    ``workspaces`` has a row per worker, ``slots`` one per block in flight.  When ``stop`` is set
    the blocks in flight are merged as far as they have come.
    """
    workers = workspaces.shape[0]
    for begin in range(first, last, slots.shape[0]):
        count = min(last - begin, slots.shape[0])
        for worker in prange(workers):
            workspace = pointer(workspaces[worker])
            for i in range(count * worker // workers, count * (worker + 1) // workers):
                statuses[i] = run_block(
                    table, workspace, reference, begin + i, stop, pointer(slots[i])
                )
        for i in range(count):
            if not _merge(table, sums, slots[i], statuses[i], begin + i, flags):
                return
        if stop[0] != 0:
            return


#: The driver on the calling thread alone; it holds no lock and starts no threads.
run_serial = Entry(_run)
#: The same under ``prange``.
run_parallel = Entry(_run, parallel=True)


@entry
def merge(table, rows, first, last, sums, flags):
    """Add the rows of blocks ``first`` to ``last``, computed apart, to their folds."""
    for block in range(first, last):
        _merge(table, sums, rows[block % rows.shape[0]], 0, block, flags)


@entry
def pilot(table, workspace, rows, stop):
    """f of a few samples from a stream of their own, that of block -1."""
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
    base = pointer(workspace)
    start_stream(table, base, block)
    first, last = bounds(table, block)
    for start in range(first, last, table[TILE]):
        table[ROW] = begin + start - first
        sample(table, base, min(table[TILE], last - start))


@entry
def absorb(table, workspace, reference, block, begin, flags, slot, sums):
    """Add one block whose f, and direct term, Python has put into the workspace's columns."""
    base = pointer(workspace)
    slot[:] = 0.0
    first, last = bounds(table, block)
    for start in range(first, last, table[TILE]):
        table[ROW] = begin + start - first
        rows = min(table[TILE], last - start)
        absorb_tile(table, base, rows, start, reference, pointer(slot))
    return _merge(table, sums, slot, 0, block, flags)


@entry
def scores(table, params, index, x, rows, out):
    """Score columns of a tile."""
    out[:] = 0.0
    score_tile(
        table[SCORE_AT],
        (pointer(params), pointer(x), rows, table[D], table[STRIDE], pointer(index), pointer(out)),
    )


@entry
def log_probs(address, params, x, rows, d, stride, out):
    """Log-density of each sample of a tile."""
    log_prob_tile(address, (pointer(params), pointer(x), rows, d, stride, pointer(out)))
