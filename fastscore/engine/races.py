"""Orders in which racers arrive, who take exponential times: of many races side by side."""

from __future__ import annotations

import numpy as np

from fastscore.engine.exponentials import exponentials
from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.vecmath import bits_float, float_bits


@plain
def races(stream, scratch, out, rows, d, stride, rates):
    """Write to column r who of the d racers arrives at place r, in each of the rows."""
    tags = np.uint64(1)
    while tags < d:
        tags <<= np.uint64(1)
    tags -= np.uint64(1)
    for k in range(d):
        exponentials(stream, scratch, offset(out, k * stride), rows, 1.0 / rates[k])
        _tag(vector(offset(out, k * stride), rows), rows, tags, np.uint64(k))
    _sort(out, rows, d, stride)
    for k in range(d):
        _keep_tag(vector(as_words(offset(out, k * stride)), rows), rows, tags)


@elementwise
def _tag(times, rows, tags, k):
    """The racer in the last bits of the time, which then is off by 2^-42 for a thousand of them."""
    for t in range(rows):
        times[t] = bits_float((float_bits(times[t]) & ~tags) | k)


@elementwise
def _keep_tag(words, rows, tags):
    for t in range(rows):
        words[t] &= tags


@plain
def _sort(x, rows, d, stride):
    """Sort each row: Batcher's merge exchange (Knuth 5.2.2, algorithm M), whole columns at a time.

    Which columns it compares does not depend on what they hold, so that comparisons vectorise.
    """
    top = 1
    while 2 * top < d:
        top *= 2
    p = top
    while p > 0:
        q, rest, step = top, 0, p
        while True:
            for i in range(d - step):
                if i & p == rest:
                    low, high = offset(x, i * stride), offset(x, (i + step) * stride)
                    _exchange(vector(low, rows), vector(high, rows), rows)
            if q == p:
                break
            rest, step, q = p, q - p, q // 2
        p //= 2


@elementwise
def _exchange(low, high, rows):
    for t in range(rows):
        a, b = low[t], high[t]
        low[t] = a if a < b else b
        high[t] = b if a < b else a
