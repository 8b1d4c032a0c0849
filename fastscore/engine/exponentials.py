"""Exponentials in bulk by inversion, Laplace's, whose sign is a further bit, and uniforms."""

from __future__ import annotations

import numpy as np

from fastscore.engine.jit import elementwise
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.vecmath import bits_float, float_bits, minus_log, one_and_fraction

_63 = np.uint64(63)


@elementwise
def exponentials(stream, scratch, out, count, scale):
    """Write ``count`` exponentials of that mean to ``out``."""
    words = as_words(scratch)
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        fill_words(stream, words, -(-length // LANES) * LANES)
        _one_sided(vector(words, length), vector(offset(out, start), length), length, scale)


@elementwise
def laplaces(stream, scratch, out, count, loc, scale):
    """Write ``count`` draws of Laplace(loc, scale) to ``out``."""
    words = as_words(scratch)
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        fill_words(stream, words, -(-length // LANES) * LANES)
        _two_sided(vector(words, length), vector(offset(out, start), length), length, loc, scale)


@elementwise
def uniforms(stream, scratch, out, count):
    """Write ``count`` uniforms to ``out``, above 0 and at most 1."""
    words = as_words(scratch)
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        fill_words(stream, words, -(-length // LANES) * LANES)
        _flat(vector(words, length), vector(offset(out, start), length), length)


@elementwise
def _flat(words, out, count):
    for i in range(count):
        out[i] = 2.0 - one_and_fraction(words[i])


@elementwise
def _one_sided(words, out, count, scale):
    for i in range(count):
        out[i] = minus_log(words[i]) * scale


@elementwise
def _two_sided(words, out, count, loc, scale):
    for i in range(count):
        # The logarithm takes the top bits; the lowest is the sign.
        magnitude = minus_log(words[i]) * scale
        out[i] = loc + bits_float(float_bits(magnitude) ^ (words[i] << _63))
