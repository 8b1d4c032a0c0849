"""Draws of a unit that make up for each other: pairs, orthogonal sets, Latin hypercubes.

Each draw by itself is a sample of p.  What a pattern needs of the first draw for the others lies in
columns of its own.
"""

from __future__ import annotations

import math

from fastscore.engine.blocks import (
    PARAMS_AT,
    ROW,
    SAMPLE_AT,
    STRIDE,
    D,
    sample,
    sample_tile,
    scratch_of,
    stream_of,
    x_of,
)
from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import address_of, as_floats, as_words, offset, vector
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.structured import set_random, set_strata
from fastscore.engine.triangles import add_product, affine
from fastscore.engine.units.layout import (
    ANTITHETIC,
    CENTRE_AT,
    DRAWS,
    ORTHOGONAL,
    PATTERN,
    SPREAD_AT,
    STORE,
    STRATIFIED,
    store_of,
)


def orthogonal_columns(d: int) -> int:
    """Columns for d samples of an orthogonal set, their lengths, and one to work in."""
    return d * d + d + 1


@plain
def draw_pattern(table, mixture, workspace, draw, rows):
    """One draw of each unit of a tile."""
    if mixture[PATTERN] == ANTITHETIC and draw == 1:
        mirror(table, mixture, workspace, rows)
    elif mixture[PATTERN] == ORTHOGONAL:
        if draw == 0:
            _draw_orthogonal(table, mixture, workspace, rows)
        _take_orthogonal(table, mixture, workspace, draw, rows)
    elif mixture[PATTERN] == STRATIFIED:
        _draw_stratified(table, mixture, workspace, draw, rows)
    else:
        sample(table, workspace, rows)


@plain
def _sample(table, workspace, x, rows):
    sample_tile(
        table[SAMPLE_AT],
        (as_floats(table[PARAMS_AT]), stream_of(workspace), scratch_of(workspace), x, rows,
         table[D], table[STRIDE]),
    )  # fmt: skip


@plain
def mirror(table, mixture, workspace, rows):
    """``2 c − x`` of the first draw, which lies in the same rows, or in those before."""
    x, centre = x_of(table, workspace), as_floats(mixture[CENTRE_AT])
    first = offset(x, -min(table[ROW], rows))
    for k in range(table[D]):
        column, out = offset(first, k * table[STRIDE]), offset(x, k * table[STRIDE])
        affine(2.0 * centre[k], -1.0, vector(column, rows), rows, vector(out, rows))


@plain
def _draw_orthogonal(table, mixture, workspace, rows):
    """Directions of d independent Gaussian samples made orthogonal, by Gram and Schmidt.

    Of independent directions the result is uniform among all orthogonal ones (Haar).  Lengths do
    not depend on directions: each sample keeps its own.
    """
    d, stride = table[D], table[STRIDE]
    store = store_of(table, mixture, workspace)
    centre, spread = as_floats(mixture[CENTRE_AT]), as_floats(mixture[SPREAD_AT])
    lengths = offset(store, d * d * stride)
    work = vector(offset(lengths, d * stride), rows)
    for i in range(d):
        own = offset(store, i * d * stride)
        _sample(table, workspace, own, rows)
        for k in range(d):
            column = vector(offset(own, k * stride), rows)
            _standardise(column, rows, centre[k], 1.0 / spread[k])
        length = vector(offset(lengths, i * stride), rows)
        _inner(own, own, d, stride, rows, length)
        for j in range(i):
            other = offset(store, j * d * stride)
            _inner(own, other, d, stride, rows, work)
            for k in range(d):
                _subtract(
                    work, vector(offset(other, k * stride), rows),
                    vector(offset(own, k * stride), rows), rows,
                )  # fmt: skip
        _inner(own, own, d, stride, rows, work)
        _invert_root(work, rows)
        _root(length, rows)
        for k in range(d):
            _scale(vector(offset(own, k * stride), rows), work, rows)


@plain
def _take_orthogonal(table, mixture, workspace, draw, rows):
    """Sample ``draw`` of each set."""
    d, stride, x = table[D], table[STRIDE], x_of(table, workspace)
    store = store_of(table, mixture, workspace)
    centre, spread = as_floats(mixture[CENTRE_AT]), as_floats(mixture[SPREAD_AT])
    length = vector(offset(store, (d * d + draw) * stride), rows)
    for k in range(d):
        _place(
            vector(offset(store, (draw * d + k) * stride), rows), length,
            vector(offset(x, k * stride), rows), rows, centre[k], spread[k],
        )  # fmt: skip


@plain
def _draw_stratified(table, mixture, workspace, draw, rows):
    """Sample ``draw`` of each hypercube: in every coordinate from a stratum of its own.

    A random key for each unit and coordinate says which draw has which stratum.
    """
    stream, stride = stream_of(workspace), table[STRIDE]
    keys = as_words(store_of(table, mixture, workspace))
    if draw == 0:
        count = -(-rows // LANES) * LANES
        for k in range(mixture[STORE]):
            fill_words(stream, offset(keys, k * stride), count)
    set_strata(stream, address_of(keys), stride, _log2(mixture[DRAWS]), draw, rows)
    _sample(table, workspace, x_of(table, workspace), rows)
    set_random(stream)


@plain
def _log2(power):
    bits = 0
    while 1 << bits < power:
        bits += 1
    return bits


@plain
def _inner(a, b, d, stride, rows, out):
    """Inner product of each row's vectors."""
    for t in range(rows):
        out[t] = 0.0
    for k in range(d):
        add_product(
            vector(offset(a, k * stride), rows), vector(offset(b, k * stride), rows), rows, out
        )


@elementwise
def _subtract(part, other, own, rows):
    for t in range(rows):
        own[t] -= part[t] * other[t]


@elementwise
def _standardise(x, rows, loc, inverse):
    for t in range(rows):
        x[t] = (x[t] - loc) * inverse


@elementwise
def _scale(x, factor, rows):
    for t in range(rows):
        x[t] *= factor[t]


@elementwise
def _root(values, rows):
    for t in range(rows):
        values[t] = math.sqrt(values[t])


@elementwise
def _invert_root(values, rows):
    for t in range(rows):
        values[t] = 1.0 / math.sqrt(values[t])


@elementwise
def _place(direction, length, out, rows, loc, scale):
    for t in range(rows):
        out[t] = loc + scale * (length[t] * direction[t])
