"""Draws of counts of any law, at the same cost for all parameters.

A table (``bin_tables``) cuts the outcomes into bins of 2^s of them, s differing, and knows the
largest probability in each.  The alias method draws a bin in proportion to it and to its width; a
place in the bin gives an outcome, which is accepted with the ratio of its probability to the
largest.  If all bins have one outcome, one random word is all.  Else a second word is the place,
and a third a fraction of 2^64 that decides: mostly it lies below the ratio of the smallest to the
largest probability, and only of the rest the probability itself is computed.

So draws are exact to some 2^-52: to the rounding of probabilities, and but for outcomes so far out
that together they are rarer still.
"""

from __future__ import annotations

import numpy as np

from fastscore.engine.blocks import log_probs_tile
from fastscore.engine.counts import STEP, parts_of, sampler
from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import as_floats, as_integers, as_words, offset, vector
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.vecmath import log, one_and_fraction

#: What a table starts with: the law, as the address of a kernel of log-probabilities, that of its
#: parameters, and a column's number, 0; how many bins there are, and whether some are wide.
LOG_PROBS_AT, LAW_AT, COLUMN, BINS, WIDE = range(5)
HEADER = 5
#: A class of wide bins is the bin's first outcome and, in so many of the lowest bits, its number;
#: the lowest bits of its sure acceptance are s.
NUMBER_BITS, SHIFT_BITS = 11, 6
_NUMBER, _SHIFT = (1 << NUMBER_BITS) - 1, np.uint64((1 << SHIFT_BITS) - 1)
_1 = np.uint64(1)


@plain
def log_masses(table, outcomes, count, out):
    """Write the log-probabilities of outcomes."""
    header = as_integers(table)
    log_probs_tile(
        header[LOG_PROBS_AT],
        (offset(header, LAW_AT), offset(header, COLUMN), 1, as_floats(outcomes), count, 1, count,
         out),
    )  # fmt: skip


@plain
def _try(stream, scratch, column, count, table):
    """Replace bins by outcomes; list the rejected in the second column of scratch, and count them.

    No branch depends on a draw: it would be mispredicted.
    """
    words, listed = as_words(scratch), as_integers(offset(scratch, STEP))
    outcomes, excess = as_integers(offset(scratch, 4 * STEP)), offset(scratch, 5 * STEP)
    places, unsure = as_words(outcomes), 0
    _, sure, tops = parts_of(table, HEADER, as_integers(table)[BINS])
    fill_words(stream, words, -(-count // LANES) * LANES)
    fill_words(stream, places, -(-count // LANES) * LANES)
    for t in range(count):
        word, place, drawn = words[t], places[t], column[t]
        number = drawn & _NUMBER
        bound = sure[number]
        words[unsure], listed[unsure] = word, t + (number << 8)  # STEP is below 2^8
        unsure += 1 if word >= bound else 0
        column[t] = (drawn >> NUMBER_BITS) + np.int64(place & ((_1 << (bound & _SHIFT)) - _1))
    for i in range(unsure):
        outcomes[i] = column[listed[i] & 255]
    log_masses(table, outcomes, unsure, excess)
    for i in range(unsure):
        excess[i] = tops[listed[i] >> 8] - excess[i]
    _exceed(vector(words, unsure), vector(excess, unsure), unsure)
    rejected = 0
    for i in range(unsure):
        listed[rejected] = listed[i] & 255
        rejected += 1 if excess[i] > 0.0 else 0
    return rejected


@elementwise
def _exceed(words, excess, count):
    """By how much a fraction of the largest probability exceeds an outcome's; in logarithms."""
    for i in range(count):
        excess[i] += log(one_and_fraction(words[i]) - (1.0 - 2.0**-53))


@plain
def _size(table):
    header = as_integers(table)
    return header[BINS], header[WIDE] != 0


#: Draws of any law.
counts = sampler(_try, HEADER, _size)
