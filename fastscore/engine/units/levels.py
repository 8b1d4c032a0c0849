"""Weights never overflow: ``W = exp(log W − level · STEP)``.

A slot's level follows the largest weight that it has met.  Levels are powers of two, 256 bits
apart, so that changing one is exact; they are all 0 unless weights are extreme.
"""

from __future__ import annotations

import math

from fastscore.engine.blocks import (
    HEADER,
    LEVEL,
    PRODUCTS,
    SIZE,
    STRIDE,
    SUM_W,
    SUM_WW,
)
from fastscore.engine.jit import plain
from fastscore.engine.memory import (
    offset,
)
from fastscore.engine.products import NO_PRODUCTS
from fastscore.engine.units.layout import (
    CONTROLS,
    DETAILS,
    EXTRAS,
    FUNCTIONS,
    NO_LEVEL,
    PART,
    PARTS,
    STEP,
    SUMS,
    TARGET,
    VALUE_ROW,
    WEIGHT,
    WEIGHT_SQUARED,
    WEIGHT_VALUE,
    mixture_of,
    part_size,
    units_of,
)


@plain
def _factor(old, new):
    """What takes weights from one level to another; beyond eight levels 0, or infinite."""
    return 2.0 ** (256.0 * min(max(old - new, -8.0), 8.0))


@plain
def rescale(table, slot, level):
    """Bring a slot's sums to another level: they are linear or quadratic in the weights."""
    mixture = mixture_of(table)
    factor = _factor(slot[LEVEL], level)
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
        sums = offset(parts, part * part_size(mixture, size))
        for i in range(PART):
            sums[i] *= square if i % 2 == 1 else factor
        if mixture[DETAILS] != 0:
            _scale_five(offset(sums, PART), size, factor)
            for j in range(5 * size, SUMS * size):
                sums[PART + j] *= factor
    weighted = 2 * size + 2
    if mixture[FUNCTIONS] != 0 or mixture[VALUE_ROW] != 0:
        return  # they keep to level 0, where all sums are as they should be
    width = 1 + weighted + mixture[CONTROLS]
    rows = offset(parts, mixture[PARTS] * part_size(mixture, size))
    for a in range(mixture[CONTROLS] + mixture[TARGET]):
        own = factor if a >= mixture[CONTROLS] else 1.0
        for i in range(width):
            rows[a * width + i] *= own * factor if 0 < i <= weighted else own


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
def rise(table, mixture, workspace, rows, slot, top):
    """Raise a slot's level, and that of the units begun, if a weight asks for it."""
    if not top > -math.inf:
        return
    # Neither products of scores nor control functions are rescaled: with them weights are taken as
    # they are.
    fixed = table[PRODUCTS] != NO_PRODUCTS or mixture[FUNCTIONS] != 0 or mixture[VALUE_ROW] != 0
    level = 0.0 if fixed else math.floor(top / STEP + 0.5)
    if level <= slot[LEVEL]:
        return
    if slot[LEVEL] > NO_LEVEL:
        factor = _factor(slot[LEVEL], level)
        units, stride = units_of(table, mixture, workspace), table[STRIDE]
        for j in range(2 * table[SIZE] + 2):
            for t in range(rows):
                units[j * stride + t] *= factor
        rescale(table, slot, level)
    slot[LEVEL] = level
