"""Zeros and ones in bulk: 16 random bits decide, and 64 more where those tie with a threshold.

They come from `tables`, d numbers each: the *common* outcome, the more probable of 0 and 1; the
threshold, below which 16 signed bits are the rare one; and the further bits of its probability.
"""

from __future__ import annotations

import numpy as np

from fastscore.engine.blocks import SAMPLE
from fastscore.engine.jit import plain, tile_kernel
from fastscore.engine.memory import as_integers, as_shorts, as_words, below_16, offset
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.structured import RANDOM, kind_of

_16, _48 = np.uint64(16), np.uint64(48)
#: Samples that are drawn at a time.
_LANES = 16
#: Tables.
TABLES = 3
COMMON, _THRESHOLD, _REST = range(TABLES)


def tables(common: np.ndarray, rare: np.ndarray) -> list[np.ndarray]:
    """From the common outcomes and the probabilities of the others, met to 80 bits."""
    threshold = np.floor(rare * 2.0**16)
    rest = ((rare * 2.0**16 - threshold) * 2.0**64).astype(np.uint64)
    return [common, threshold - 2.0**15, rest.view(np.float64)]


@tile_kernel(SAMPLE)
def coins(params, stream, scratch, x, rows, d, stride):
    """Fill a tile; the parameters start with the tables."""
    if kind_of(stream) != RANDOM:
        _compare(params, stream, scratch, x, rows, d, stride)
        return
    words, need = as_words(scratch), -(-rows // _LANES) * _LANES // 4
    have = used = 0
    for k in range(d):
        if used + need > have:
            used, have = 0, min(CHUNK, (d - k) * need)
            fill_words(stream, words, -(-have // LANES) * LANES)
        draws, column = as_shorts(offset(words, used)), as_integers(offset(x, k * stride))
        common, threshold = int(params[COMMON * d + k]), int(params[_THRESHOLD * d + k])
        ties = 0
        for t in range(0, rows, _LANES):
            ties |= below_16(offset(draws, t), threshold, common, offset(column, t))
        if ties != 0:
            rest = as_words(params)[_REST * d + k]
            _settle(draws, rows, threshold, rest, common, stream, offset(words, CHUNK), column)
        used += need


@plain
def _compare(params, stream, scratch, x, rows, d, stride):
    """By a structured word each, whose lowest values are the rare outcome."""
    words = as_words(scratch)
    for k in range(d):
        common = int(params[COMMON * d + k])
        high = np.uint64(int(params[_THRESHOLD * d + k]) + 2**15) << _48
        limit = high | (as_words(params)[_REST * d + k] >> _16)
        for start in range(0, rows, CHUNK):
            length = min(CHUNK, rows - start)
            fill_words(stream, words, -(-length // LANES) * LANES)
            column = as_integers(offset(x, k * stride + start))
            for t in range(length):
                column[t] = common ^ (1 if words[t] < limit else 0)


@plain
def _settle(draws, rows, threshold, rest, common, stream, word, column):
    """The threshold's further 64 bits decide ties, one draw in 65536."""
    for t in range(rows):
        if draws[t] == threshold:
            fill_words(stream, word, LANES)
            column[t] = common ^ (1 if word[0] < rest else 0)


__all__ = ["COMMON", "TABLES", "coins", "tables"]
