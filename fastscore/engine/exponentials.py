"""Inversion in bulk: exponentials, and what else one random word makes, of both signs too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.structured import RANDOM, kind_of
from fastscore.engine.vecmath import (
    bits_float,
    float_bits,
    log_inside,
    minus_log,
    one_and_fraction,
    sincos,
)

_0, _1, _2, _3, _62, _63 = (np.uint64(i) for i in (0, 1, 2, 3, 62, 63))
_HALF_STEP = 2.0**-53
_EIGHTH_TURN = math.pi / 4


@inlined
def _as_it_is(word):
    return word


def _in_bulk(of_word: Any, folded: Any = _as_it_is) -> Any:
    """Make a sampler, ``(stream, scratch, out, count, *parameters)``, from a function of a word.

    If that uses low bits too, ``folded`` moves the top ones of a structured word there, so that
    what comes of it increases with the word.
    """

    @elementwise
    def invert(words, out, count, parameters):
        for i in range(count):
            out[i] = of_word(words[i], *parameters)

    @elementwise
    def fold(words, count):
        for i in range(count):
            words[i] = folded(words[i])

    @elementwise
    def fill(stream, scratch, out, count, *parameters):
        words = as_words(scratch)
        for start in range(0, count, CHUNK):
            length = min(CHUNK, count - start)
            fill_words(stream, words, -(-length // LANES) * LANES)
            if kind_of(stream) != RANDOM:
                fold(vector(words, length), length)
            invert(vector(words, length), vector(offset(out, start), length), length, parameters)

    return fill


# Functions take the top 52 bits of a word; the lowest ones are left for signs.


@inlined
def _fraction(word):
    """In (0, 1), an odd multiple of 2^-53: neither it nor 1 minus it has an error."""
    return one_and_fraction(word) - (1.0 - _HALF_STEP)


@inlined
def _signed(magnitude, word):
    return bits_float(float_bits(magnitude) ^ (word << _63))


@inlined
def _uniform(word):
    return 2.0 - one_and_fraction(word)


@inlined
def _exponential(word, scale):
    return minus_log(word) * scale


@inlined
def _fine_exponential(word, scale):
    return -log_inside(_fraction(word)) * scale


@inlined
def _log_exponential(word, loc, scale):
    return loc + log_inside(-log_inside(_fraction(word))) * scale


@inlined
def _laplace(word, loc, scale):
    return loc + _signed(minus_log(word) * scale, word)


@inlined
def _logistic(word, loc, scale):
    tail = _fraction(word)  # twice the probability beyond
    return loc + _signed(log_inside((2.0 - tail) / tail) * scale, word)


@inlined
def _cauchy(word, loc, scale):
    """The tangent of an angle below an eighth turn, or as often of the rest of a quarter."""
    sine, cosine = sincos(_fraction(word) * _EIGHTH_TURN)
    beyond = (word & _2) != _0
    magnitude = (cosine if beyond else sine) / (sine if beyond else cosine)
    return loc + _signed(magnitude * scale, word)


@inlined
def _half(word):
    """Below the middle negative and falling to it, else positive and growing from it."""
    return (word << _1) ^ ((word >> _63) - _1)


@inlined
def _other_half(word):
    """The same of a magnitude that falls as its word grows."""
    return ~_half(word) ^ _1


@inlined
def _quarter(word):
    """The outer quarters are those beyond an eighth turn."""
    high, low = word >> _63, (word >> _62) & _1
    signs = (_1 - high) | ((high ^ low ^ _1) << _1)
    return (((word << _2) ^ (_0 - low)) & ~_3) | signs


#: Uniforms above 0 and at most 1.
uniforms = _in_bulk(_uniform)
#: Exponentials of mean ``scale``.
exponentials = _in_bulk(_exponential)
#: The same with all digits of small ones.
fine_exponentials = _in_bulk(_fine_exponential)
#: ``loc + scale log E`` of standard exponentials E.
log_exponentials = _in_bulk(_log_exponential)
#: Laplace(loc, scale).
laplaces = _in_bulk(_laplace, _half)
#: Logistic(loc, scale).
logistics = _in_bulk(_logistic, _other_half)
#: Cauchy(loc, scale).
cauchys = _in_bulk(_cauchy, _quarter)
