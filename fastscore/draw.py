"""Standard random numbers for a user's own jitted samplers: ``fs.draw.normal(stream)`` and others.

``stream`` is what a sampler of `Custom` is given.  It belongs to a block of the run, so that one
seed gives the same samples for any number of threads; NumPy's own generators would not.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from fastscore.engine.jit import plain
from fastscore.engine.memory import as_integers, as_words, offset
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.vecmath import minus_log, quarter_turns, radius

#: State of the block's stream, words drawn ahead, and how many of them are used.
Stream = namedtuple("Stream", "state words used")
_AHEAD = 256
_11 = np.uint64(11)


@plain
def opened(state, scratch):
    """A stream over the words of a block's, buffered in ``scratch``; none is drawn yet."""
    used = as_integers(scratch)
    used[0] = _AHEAD
    return Stream(state, as_words(offset(scratch, LANES)), used)


@plain
def word(stream):
    """64 random bits, a uint64."""
    used = stream.used[0]
    if used == _AHEAD:
        fill_words(stream.state, stream.words, _AHEAD)
        used = 0
    stream.used[0] = used + 1
    return stream.words[used]


@plain
def uniform(stream):
    """A number between 0 and 1, neither of them included."""
    return ((word(stream) >> _11) + 0.5) * 2.0**-53


@plain
def normal(stream):
    """A standard normal number."""
    distance = radius(word(stream))
    return distance * quarter_turns(word(stream))[0]


@plain
def exponential(stream):
    """A standard exponential number."""
    return minus_log(word(stream))


__all__ = ["exponential", "normal", "uniform", "word"]
