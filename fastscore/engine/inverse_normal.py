"""Normals by inversion, one from each word: what structured words ask for.

The quantile at ``½ + v`` is v times a quotient of polynomials in v² wherever the top six
bits of a word are not all the same.  The others, one of 32, are collected, and their quantiles made
together [1]_.  Of Sobol' points they are two in each 64, which no branch predictor misses.

References
----------
.. [1] M. J. Wichura, Algorithm AS 241: the percentage points of the normal distribution, Applied
   Statistics 37 (1988).
"""

from __future__ import annotations

import math

from numba import types

from fastscore.engine.jit import elementwise, inlined, plain, tile_kernel
from fastscore.engine.memory import (
    as_shorts,
    as_words,
    f8,
    far_words,
    floats,
    i8,
    offset,
    trailing_zeros,
    vector,
    words,
)
from fastscore.engine.vecmath import float_bits, log_inside, one_and_fraction

#: Words that are looked through at a time for those far out.
_LOOKED, _LANES = 64, 16
#: Far ones whose quantiles are made at a time.
_GROUP = 128
#: Doubles of scratch: their places, and their quantiles.
_PLACES = 128
_HALF_STEP = 2.0**-52
_END = (31.0 / 64.0) ** 2

# quantile/v as a quotient in (31/64)**2 - v**2, lowest degrees first, made by
# tools/fit_polynomials.py; relative error 2e-13, as that of Box and Muller's radii
_ABOVE = (
    4.4467090458039324,
    718.7033762624312,
    43138.14557126678,
    1204942.5531031073,
    16232907.050856672,
    100577519.58720781,
    252660766.58058956,
    196177848.94774806,
    20893540.30103822,
)
_BELOW = (
    1.0,
    171.71397308909565,
    11119.316115261347,
    342350.9386554793,
    5243048.295632314,
    38680932.2054711,
    124889386.58247827,
    145208116.04974818,
    38162883.740919575,
)
# The quantile as a quotient in s - 1.6, s = sqrt(-log(1 - u)), from AS 241: relative error 1e-16 up
# to s = 5, and 6e-13 beyond, where not one of 1e10 words leads.
_FAR_ABOVE = (
    1.4234371107496835,
    4.630337846156546,
    5.769497221460691,
    3.6478483247632045,
    1.2704582524523684,
    0.2417807251774506,
    0.022723844989269184,
    0.0007745450142783414,
)
_FAR_BELOW = (
    1.0,
    2.053191626637759,
    1.6763848301838038,
    0.6897673349851,
    0.14810397642748008,
    0.015198666563616457,
    0.0005475938084995345,
    1.0507500716444169e-09,
)


@inlined
def _centred(word):
    """v, an odd multiple of 2^-52 between -1 and 1: neither it nor 1 - |v| has an error."""
    return 2.0 * (one_and_fraction(word) - 1.5) + _HALF_STEP


@inlined
def _quotient(above, below, x):
    """By Horner's rule: with many at a time it is the number of operations that counts."""
    p, q = above[-1], below[-1]
    for i in range(len(above) - 2, -1, -1):
        p, q = p * x + above[i], q * x + below[i]
    return p / q


@inlined
def _quantile(word):
    v = one_and_fraction(word) - 1.5
    return v * _quotient(_ABOVE, _BELOW, _END - v * v)


@inlined
def _far_quantile(word):
    v = _centred(word)
    far = math.sqrt(-log_inside(0.5 - 0.5 * abs(v))) - 1.6
    return math.copysign(_quotient(_FAR_ABOVE, _FAR_BELOW, far), v)


@elementwise
def _quantiles(words, out, count, loc, scale):
    for t in range(count):
        out[t] = loc + scale * _quantile(words[t])


@elementwise
def _far_quantiles(values, count, loc, scale):
    """In place of words, which are read as doubles."""
    for t in range(count):
        values[t] = loc + scale * _far_quantile(float_bits(values[t]))


@plain
def _places_of_far(words, count, places):
    far = 0
    for start in range(0, count, _LOOKED):
        lanes = 0
        for part in range(0, min(_LOOKED, count - start), _LANES):
            lanes |= far_words(offset(words, start + part)) << part
        while lanes != 0:
            places[far] = start + trailing_zeros(lanes)
            lanes, far = lanes & (lanes - 1), far + 1
    return far


@plain
def _collect(words, places, count, out):
    for i in range(count):
        out[i] = words[places[i]]


@plain
def _spread(values, places, count, out):
    for i in range(count):
        out[places[i]] = values[i]


@elementwise
def quantiles(words, scratch, out, count, loc, scale):
    """Normals of words, a multiple of 16 and 512 at most.

    The long latencies of the far ones, first, overlap with the many others.
    """
    places, values = as_shorts(scratch), offset(scratch, _PLACES)
    far = _places_of_far(words, count, places)
    first = min(_GROUP, far)
    _collect(words, places, first, as_words(values))
    _far_quantiles(vector(values, first), first, loc, scale)
    _quantiles(vector(words, count), vector(out, count), count, loc, scale)
    _spread(values, places, first, out)
    for start in range(_GROUP, far, _GROUP):  # of words that are not balanced
        length = min(_GROUP, far - start)
        _collect(words, offset(places, start), length, as_words(values))
        _far_quantiles(vector(values, length), length, loc, scale)
        _spread(values, offset(places, start), length, out)


@tile_kernel(types.void(words, floats, floats, i8, f8, f8))
def invert(words, scratch, out, count, loc, scale):
    """The same, called by address."""
    quantiles(words, scratch, out, count, loc, scale)


__all__ = ["invert", "quantiles"]
