"""Where everything lies: the table of a mixture, columns of a workspace, sums of a slot."""

from __future__ import annotations

import math

from numba import types
from numba.extending import register_jitable

from fastscore.engine.blocks import (
    COUNT,
    HEADER,
    MIXTURE_AT,
    ROW,
    SIZE,
    STRIDE,
    SUM_W,
    SUM_WW,
    columns_of,
)
from fastscore.engine.jit import plain
from fastscore.engine.memory import (
    as_integers,
    caller,
    floats,
    i8,
    offset,
)

#: weigh(options, densities, count, own, rows, stride, out): log-weights of samples of proposal
#: ``own``, from ``count`` columns of log q, one of log p, and one to work in (see ``heuristics``).
WEIGH = types.void(floats, floats, i8, i8, i8, i8, floats)
weigh_tile = caller(WEIGH)

#: The mixture's table: draws of a unit and whose they are; whether instead each sample draws its
#: proposal, and by which alias table; samplers and parameters by proposal, and their number;
#: groups of one family each, with its kernel of log-densities; the heuristic and its options;
#: parts for which sums are kept apart; control columns, whether the weight is one more; doubles of
#: a slot; where the largest log-weights are kept, and how many; the family's kernel that adds
#: weighted scores to the units, if it has one; whether sums of scores are kept apart too; how many
#: of the units' largest terms are kept, behind the weights; the score entries that terms are made
#: of, and their number; the pattern of a unit's draws, columns that it needs, and the centre and
#: spread of the Gaussian or symmetric family; the control functions, how many of them, the last
#: ones, are multiplied by scores, their means and the gradients of these; whether the units' values
#: are a control column too; of pairs the family's kernel of five sums, if they may be summed by it,
#: and which score entries are odd.
MIXTURE = 34
(DRAWS, DRAWS_AT, RANDOM, ALIAS_AT, SAMPLERS_AT, PACKED_AT, PROPOSALS, GROUPS, GROUPS_AT,
 WEIGH_AT, OPTIONS_AT, PARTS, CONTROLS, TARGET, SLOT, TAIL_AT, TAIL, ADD_AT,
 DETAILS, TERMS_TAIL, CHOSEN_AT, CHOSEN, PATTERN, STORE, CENTRE_AT, SPREAD_AT,
 FUNCTIONS, FUNCTIONS_AT, BY_SCORE, MEANS_AT, GRADIENTS_AT, VALUE_ROW,
 ACCUMULATE_PAIR_AT, IS_ODD_AT) = range(MIXTURE)  # fmt: skip
#: Patterns of a unit's draws: those of proposals, weighted; or of p itself, independent, a sample
#: and its mirror image, orthogonal directions, a Latin hypercube.
IMPORTANCE, INDEPENDENT, ANTITHETIC, ORTHOGONAL, STRATIFIED = range(5)
#: Of a control function: its address, or `GIVEN`, and that of its arguments.
FUNCTION = 2
#: Of a group: its kernel, the parameters of its distributions, their columns, their number.
GROUP = 4
#: Options of the weights: log of the clip, then per proposal log mⱼ, then the heuristic's own.
CLIP = 0

#: Sums of a slot behind the score's: ΣW, ΣW² and ΣWV of units, V being ``Σ W w``; then, per part,
#: ΣW, ΣW², ΣV, ΣV² of samples and `SUMS` rows per score entry; then, per control column, its
#: sum and those of its products with all columns of the units: S, F, V, W, controls; then, per
#: control function multiplied by scores, `of_score_control` sums per score entry.
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
# log-weight, the weight, values of control functions, those of the pattern; then the units': S, F,
# V, W, controls, controls times scores.
_COLUMNS = 6


def unit_columns(proposals: int, size: int, controls: int, functions: int, by_score: int) -> int:
    """Columns that a workspace has for them, but for those of a pattern."""
    return proposals + _COLUMNS + (2 + by_score) * size + controls + 2 * functions


def unit_slot(parts: int, details: bool, size: int, controls: int, rows: int, by_score: int) -> int:
    """Doubles of a slot behind the score's sums.

    There are columns of ``controls``, and ``rows`` of these, weight and value have sums of
    their own.
    """
    part = PART + (SUMS * size if details else 0)
    score_controls = by_score * of_score_control(controls, by_score) * size
    return EXTRAS + parts * part + rows * (3 + 2 * size + controls) + score_controls


@register_jitable
def of_score_control(controls, by_score):
    """Sums of a control times a score: its own, its products with S, F, W, controls, its likes."""
    return 4 + controls + by_score


@plain
def part_size(mixture, size):
    """Doubles of a part's sums."""
    return PART + (SUMS * size if mixture[DETAILS] != 0 else 0)


@plain
def mixture_of(table):
    """The mixture's table."""
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
def weight_of(table, mixture, workspace):
    """Weights of the tile, at the slot's level."""
    return offset(log_weight_of(table, mixture, workspace), table[STRIDE])


@plain
def values_of(table, mixture, workspace):
    """Columns of the control functions' values."""
    return offset(weight_of(table, mixture, workspace), table[STRIDE])


@plain
def store_of(table, mixture, workspace):
    """Columns of the pattern, which start at the first row whatever the tile's."""
    values = values_of(table, mixture, workspace)
    return offset(values, mixture[FUNCTIONS] * table[STRIDE] - table[ROW])


@plain
def units_of(table, mixture, workspace):
    """Columns of the units, which do so too."""
    return offset(store_of(table, mixture, workspace), mixture[STORE] * table[STRIDE])


@plain
def add_values(table, slot, rows, v, vv, w, ww, wv):
    """Count units; add sums of their values V and weights W, and of V², W² and W V."""
    slot[COUNT] += rows
    slot[SUM_W] += v
    slot[SUM_WW] += vv
    extras = offset(slot, HEADER + 5 * table[SIZE])
    extras[WEIGHT] += w
    extras[WEIGHT_SQUARED] += ww
    extras[WEIGHT_VALUE] += wv


@plain
def controls_of(mixture):
    """Control columns of the units: of proposals, then functions."""
    return mixture[CONTROLS] + mixture[FUNCTIONS]
