"""Words that fill the unit cube evenly: Sobol' points, and strata in which each draw has one.

A sampler that makes each value from one word, and no value from two, is fed with them in place of
random ones: coordinate by coordinate, each in as many calls of `fill_words` as it likes.  Behind
its generator a stream's state therefore says what words it gives, and where they have come to; and
where the kernels are that make them, so that runs of random words compile none of it.
Every word is uniform by itself; what they are together only a structure in the words' *top* bits
shows, so that a value must be a smooth function of its word read as a fraction.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastscore.engine.inverse_normal import invert
from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.memory import (
    as_integers,
    as_words,
    broadcast,
    caller,
    counted_loop,
    i8,
    offset,
    u8,
    vector,
    words,
)

#: Words made at a time; a tile of structured words starts at a multiple of it.
LANES = 8
#: Where a state has what follows: behind eight lanes of four words of a generator.
_CONTROL = 4 * LANES
#: Kinds of words.
RANDOM, POINTS, STRATA = range(3)
#: Which of them are given; the coordinate, the place in its column and the rows of this; the number
#: of the first point, or of the draw; where a table is, how far its coordinates are apart, and how
#: many bits choose a stratum; where `kernels` are.  Two whole cache lines.
CONTROL_WORDS = 16
_KIND, _COLUMN, _PLACE, _ROWS, _FIRST, _TABLE_AT, _APART, _BITS, _KERNELS_AT = range(9)

#: fill(stream, words, count): write structured words, of strata over as many random ones.
FILL = types.void(words, words, i8)
_KERNELS = 2
_FILL, _INVERT = range(_KERNELS)
_fill_by = caller(FILL)
_invert_by = caller(invert.signature)

#: A table of points: replicates, words of one of them, words of a coordinate; then of each
#: coordinate of each replicate the shift, the direction numbers and a zero.
POINTS_HEADER = 3
_REPLICATES, _REPLICATE, _COORDINATE = range(POINTS_HEADER)

#: Bits that choose a stratum at most, and by their number an irreducible polynomial.
_MOST_BITS = 8
_MODULI = np.array(
    [1, 0b11, 0b111, 0b1011, 0b10011, 0b100101, 0b1000011, 0b10000011, 0b100011011], np.uint64
)
_0, _1, _32, _64 = (np.uint64(i) for i in (0, 1, 32, 64))
_LOW = np.uint64(2**32 - 1)


@plain
def _control(stream):
    return offset(as_integers(stream), _CONTROL)


@plain
def kind_of(stream):
    """What words a stream gives."""
    return _control(stream)[_KIND]


@plain
def set_random(stream):
    """Let a stream give random words."""
    control = _control(stream)
    control[_KIND] = RANDOM
    control[_FIRST] = control[_ROWS] = 0


@cache
def kernels() -> np.ndarray:
    """Addresses of what only structured words ask for."""
    return np.array([fill.address, invert.address])


@plain
def set_kernels(stream, at):
    """Say where the addresses of `kernels` are, before words that are not random."""
    _control(stream)[_KERNELS_AT] = at


@plain
def fill_structured(stream, out, count):
    """Write ``count`` words of one coordinate; of strata over as many random ones."""
    _fill_by(as_integers(_control(stream)[_KERNELS_AT])[_FILL], (stream, out, count))


@plain
def invert_structured(stream, words, scratch, out, count, loc, scale):
    """Normals, each of one word, see `inverse_normal.quantiles`."""
    address = as_integers(_control(stream)[_KERNELS_AT])[_INVERT]
    _invert_by(address, (words, scratch, out, count, loc, scale))


@plain
def set_points(stream, points_at, block, size):
    """Let it give the points of a block: blocks of ``size`` points belong to replicates in turn."""
    control, points = _control(stream), as_integers(points_at)
    replicates = points[_REPLICATES]
    control[_KIND] = POINTS
    control[_FIRST] = block // replicates * size
    control[_ROWS] = 0
    control[_APART] = points[_COORDINATE]
    control[_TABLE_AT] = points_at + 8 * (POINTS_HEADER + block % replicates * points[_REPLICATE])


@plain
def set_strata(stream, keys_at, stride, bits, draw, rows):
    """Let it give the words of one draw of a set, of ``2**bits``: row by row, all in other strata.

    ``keys_at`` is the address of a column of random words for each coordinate, kept for all draws
    of the set.
    """
    control = _control(stream)
    control[_KIND] = STRATA
    control[_TABLE_AT], control[_APART], control[_BITS] = keys_at, stride, bits
    control[_FIRST] = draw
    control[_COLUMN] = control[_PLACE] = 0
    control[_ROWS] = rows


@plain
def next_tile(stream, rows):
    """Go on to the next rows, at the first coordinate."""
    control = _control(stream)
    control[_FIRST] += control[_ROWS]
    control[_COLUMN] = control[_PLACE] = 0
    control[_ROWS] = rows


@tile_kernel(FILL)
def fill(stream, out, count):
    """The kernel of `fill_structured`."""
    control = _control(stream)
    place = control[_PLACE]
    table = as_words(control[_TABLE_AT] + 8 * control[_COLUMN] * control[_APART])
    if control[_KIND] == POINTS:
        _fill_points(table, control[_FIRST] + place, out, count)
    else:
        bits, draw = np.uint64(control[_BITS]), np.uint64(control[_FIRST])
        inside = min(count, control[_ROWS] - place)  # beyond, there are no keys
        _stratify(vector(offset(table, place), inside), vector(out, inside), inside, bits, draw)
    control[_PLACE] = place + count
    if place + count >= control[_ROWS]:
        control[_COLUMN] += 1
        control[_PLACE] = 0


@plain
def _fill_points(table, first, out, count):
    """Points ``first`` and following of a coordinate, in the order of the Gray code."""
    step = first // LANES
    base, gray, j = table[0], step ^ (step >> 1), 1 + 3
    while gray != 0:
        base ^= table[j] if gray & 1 else np.uint64(0)
        gray, j = gray >> 1, j + 1
    base ^= table[3] if step & 1 else np.uint64(0)
    _walk(offset(table, 1), base, step, out, count // LANES)


@intrinsic
def _walk(typingctx, directions, base, step, out, steps):
    """Eight words at a time: the low three bits of a point's number are its lane.

    From one eight to the next the Gray code changes one higher bit, and that of the highest lanes.
    """

    def codegen(context, builder, signature, args):
        directions, base, step, out, steps = args
        word = ir.IntType(64)
        wide = ir.VectorType(word, LANES)
        out = builder.bitcast(out, wide.as_pointer())

        def direction(j: Any) -> Any:
            return builder.load(builder.gep(directions, [j]))

        own = [direction(ir.Constant(word, j)) for j in range(3)]
        lanes = ir.Constant(wide, [0] * LANES)
        for lane in range(LANES):
            value = ir.Constant(word, 0)
            for j in range(3):
                if (lane ^ lane >> 1) >> j & 1:
                    value = builder.xor(value, own[j])
            lanes = builder.insert_element(lanes, value, ir.Constant(ir.IntType(32), lane))

        def go(i: Any, now: list[Any]) -> list[Any]:
            made = builder.xor(lanes, broadcast(builder, now[0], LANES))
            builder.store(made, builder.gep(out, [i]), align=8)
            following = builder.add(builder.add(step, i), ir.Constant(word, 1))
            bit = builder.cttz(following, ir.Constant(ir.IntType(1), 1))
            changed = direction(builder.add(bit, ir.Constant(word, 3)))
            return [builder.xor(now[0], builder.xor(changed, own[2]))]

        counted_loop(builder, steps, [base], go)
        return context.get_dummy_value()

    return types.void(words, u8, i8, words, i8), codegen


@elementwise
def _stratify(keys, out, count, bits, draw):
    """The top bits of a word become its stratum: ``a draw + c`` in the field of 2^bits elements.

    With a (not 0) and c from the row's key every draw is uniform, and every two of them are at any
    two different places equally often, as in a random permutation.
    """
    rest, last, modulus = _64 - bits, bits - _1, _MODULI[bits]
    for t in range(count):
        key = keys[t]
        multiple = _1 + (((key & _LOW) * ((_1 << bits) - _1)) >> _32)
        place = key >> rest
        for j in range(_MOST_BITS):
            place ^= multiple & (_0 - ((draw >> np.uint64(j)) & _1))
            multiple = (multiple << _1) ^ (modulus & (_0 - ((multiple >> last) & _1)))
        out[t] = (out[t] >> bits) | (place << rest)
