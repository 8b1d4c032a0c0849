"""One block of importance sampling, by units that hold each proposal in its exact proportion.

A *unit* is the smallest independent set of samples whose scores have mean zero: with several
proposals, ``m_j`` samples of each.  A tile has a row per unit and is filled once for each of a
unit's draws:

    sample > log-densities > log-weight > f > scores

after which ``W s`` and ``W (w s + direct)`` are added to the units' columns; once the units are
complete their columns are summed like any others.  So a unit's means F and S come out
whatever the proposals, and baselines and control variates need to know nothing of them.
"""

from __future__ import annotations

from fastscore.engine.blocks import (
    LEVEL,
    RUN,
    TILE,
    bounds,
    evaluate,
    start_stream,
)
from fastscore.engine.jit import plain, tile_kernel
from fastscore.engine.units.absorb import absorb_draw, absorb_units, clear_units
from fastscore.engine.units.layout import DRAWS, NO_LEVEL, SLOT, mixture_of
from fastscore.engine.units.mirrored import are_mirrored, run_pairs
from fastscore.engine.units.propose import fill_weightless, propose


@tile_kernel(RUN)
def run_units(table, workspace, reference, block, stop, slot, products):
    """All units of one block into its slot, or those complete before a stop.

    Returns why not all, or 0.
    """
    mixture = mixture_of(table)
    clear_slot(table, slot)
    start_stream(table, workspace, block)
    first, last = bounds(table, block)
    status, pairs = 0, are_mirrored(table, mixture)
    for start in range(first, last, table[TILE]):
        rows = min(table[TILE], last - start)
        if pairs:
            status = run_pairs(table, mixture, workspace, rows, start, reference, stop, slot)
            if status != 0:
                break
            continue
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
    for j in range(mixture_of(table)[SLOT]):
        slot[j] = 0.0
    slot[LEVEL] = NO_LEVEL
