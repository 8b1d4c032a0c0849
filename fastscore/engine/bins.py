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

from fastscore.engine.alias import ENTRY, draw_classes
from fastscore.engine.blocks import log_probs_tile
from fastscore.engine.counts import STEP, settler
from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import as_floats, as_integers, as_words, offset, vector
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.vecmath import float_bits, log, one_and_fraction

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
def parts_of(table, bins):
    """Its alias table; if bins are wide, of each the acceptance without further ado, as a word;
    and the logarithm of the largest probability."""
    alias = offset(table, HEADER)
    sure = offset(alias, ENTRY * bins)
    return alias, sure, as_floats(offset(sure, bins))


@plain
def log_masses(table, outcomes, count, out):
    """Write the log-probabilities of outcomes."""
    header = as_integers(table)
    log_probs_tile(
        header[LOG_PROBS_AT],
        (offset(header, LAW_AT), offset(header, COLUMN), 1, as_floats(outcomes), count, 1, count,
         out),
    )  # fmt: skip


@elementwise
def counts(stream, scratch, out, count, table):
    """Write ``count`` integers to ``out``; ``table`` has the bits of the table's address."""
    table, words = as_words(np.int64(float_bits(table))), as_words(scratch)
    header = as_integers(table)
    for start in range(0, count, STEP):
        length = min(STEP, count - start)
        column = as_integers(offset(out, start))
        fill_words(stream, words, -(-length // LANES) * LANES)
        draw_classes(words, offset(table, HEADER), header[BINS], length, column)
        if header[WIDE]:
            _settle(stream, scratch, column, length, table, header[BINS])


@plain
def _try(stream, scratch, column, count, table):
    """Replace bins by outcomes; list the rejected in the second column of scratch, and count them.

    No branch depends on a draw: it would be mispredicted.
    """
    words, listed = as_words(scratch), as_integers(offset(scratch, STEP))
    outcomes, excess = as_integers(offset(scratch, 4 * STEP)), offset(scratch, 5 * STEP)
    places, unsure = as_words(outcomes), 0
    _, sure, tops = parts_of(table, as_integers(table)[BINS])
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


_settle = settler(_try, HEADER)
