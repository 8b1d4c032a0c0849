"""Samples of a unit's proposals, and what they weigh."""

from __future__ import annotations

import math

from fastscore.engine.alias import fill_classes
from fastscore.engine.blocks import (
    STRIDE,
    D,
    log_probs_tile,
    sample_tile,
    scratch_of,
    stream_of,
    w_of,
    x_of,
)
from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    as_words,
    offset,
    vector,
)
from fastscore.engine.units.layout import (
    ALIAS_AT,
    CLIP,
    DRAWS_AT,
    GROUP,
    GROUPS,
    GROUPS_AT,
    IMPORTANCE,
    OPTIONS_AT,
    PACKED_AT,
    PATTERN,
    PROPOSALS,
    RANDOM,
    SAMPLERS_AT,
    WEIGH_AT,
    densities_of,
    log_weight_of,
    weigh_tile,
)
from fastscore.engine.units.patterns import draw_pattern


@plain
def propose(table, mixture, workspace, draw, rows):
    """One draw of each unit of a tile, and its log-weight if there are proposals."""
    if mixture[PATTERN] != IMPORTANCE:
        draw_pattern(table, mixture, workspace, draw, rows)
        return
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
    weigh_tile(
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
    classes = as_integers(w_of(table, workspace))
    fill_classes(
        stream_of(workspace), scratch_of(workspace), w_of(table, workspace), rows,
        as_words(mixture[ALIAS_AT]), mixture[PROPOSALS],
    )  # fmt: skip
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
    if mixture[PATTERN] != IMPORTANCE:
        return True
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
