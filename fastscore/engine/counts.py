"""Draws of counts: Poisson's and binomial ones at the same cost for all parameters, geometric ones.

A table (``count_tables``) cuts the outcomes into bins of 2^s of them, and knows the largest
probability in each.  The alias method draws a bin in proportion to it; a place in the bin gives an
outcome, which is accepted with the ratio of its probability to the largest.  Up to 2048 outcomes
are bins of their own, and one random word is all.  Else a second word is both the place, its lowest
bits, and a fraction of 2^64 that decides: mostly it lies below the ratio of the smallest to the
largest probability, and only of the rest the probability itself is computed.

So draws are exact to some 2^-52: to the rounding of probabilities, to the fraction, of which the
place takes 20 bits at most, and but for outcomes so far out that together they are rarer still.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.alias import ENTRY, draw_classes
from fastscore.engine.jit import elementwise, inlined, plain
from fastscore.engine.memory import as_floats, as_integers, as_words, offset, vector
from fastscore.engine.normals import CHUNK, SCRATCH
from fastscore.engine.special import deviance, stirling_error
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.vecmath import as_float, float_bits, log, minus_log, one_and_fraction

#: What a table starts with: its first outcome, s, the number of bins, and the law: trials, means
#: of successes and of failures, and their logarithms.
LOW, SHIFT, BINS, LAW = range(4)
#: Numbers of a law.
NUMBERS = 5
HEADER = LAW + NUMBERS
#: Draws at a time: six columns of them fill the scratch.
STEP = SCRATCH // 6 // LANES * LANES

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_52, _ROUND = np.uint64(0x4338000000000000), 1.5 * 2.0**52


@inlined
def log_root(x):
    """``log x! − (x log x − x)``, which is about ``log √(2πx)``, of positive integers x."""
    return _HALF_LOG_2PI + 0.5 * log(x) + stirling_error(x)


@inlined
def surprise(x, mean, log_mean, difference):
    """Minus the log-probability that a Poisson variable is x, given also ``x − mean``.

    Nothing cancels: if the mean is below 1, then its parts ``mean``, ``−x log mean`` and ``log x!``
    all are positive.
    """
    root = log_root(x)
    of_small = mean - x * log_mean + (x * (log(x) - 1.0) + root)
    of_large = deviance(x, mean, difference) + root
    value = of_small if mean < 1.0 else of_large
    return mean if x == 0.0 else value


@inlined
def log_weight(x, law):
    """Log-probability of x successes, but for a constant: Poisson's if trials are infinitely many.

    A binomial variable is one of two independent Poisson variables whose sum is known.
    """
    trials, mean, rest, log_mean, log_rest = law
    successes = surprise(x, mean, log_mean, x - mean)
    failures = surprise(trials - x, rest, log_rest, (trials - x) - rest)
    both = -(successes + failures)
    value = both if trials < math.inf else -successes
    return value if x <= trials else -math.inf


@plain
def law_at(table):
    """The law in a table."""
    law = offset(as_floats(table), LAW)
    return law[0], law[1], law[2], law[3], law[4]


@plain
def parts_of(table, header, bins):
    """The alias table behind a header; if bins are wide, of each the acceptance without further
    ado, as a word; and the logarithm of the largest probability."""
    alias = offset(table, header)
    sure = offset(alias, ENTRY * bins)
    return alias, sure, as_floats(offset(sure, bins))


def sampler(attempt: Any, header: int, size: Any) -> Any:
    """Make ``counts(stream, scratch, out, count, table)``, which writes integers to ``out``;
    ``table`` has the bits of the table's address.

    ``size(table)`` is the number of bins, and whether they are wide.  Then ``attempt(stream,
    scratch, column, count, table)`` replaces bins by outcomes of theirs, lists the rejected in the
    second column of scratch and counts them.
    """

    @elementwise
    def counts(stream, scratch, out, count, table):
        table, words = as_words(np.int64(float_bits(table))), as_words(scratch)
        bins, wide = size(table)
        for start in range(0, count, STEP):
            length = min(STEP, count - start)
            column = as_integers(offset(out, start))
            fill_words(stream, words, -(-length // LANES) * LANES)
            draw_classes(words, offset(table, header), bins, length, column)
            if wide:
                settle(stream, scratch, column, length, table, bins)

    @plain
    def settle(stream, scratch, column, count, table, bins):
        """Draw anew until all are accepted."""
        words, rejected, places, again = (
            as_words(scratch), as_integers(offset(scratch, STEP)),
            as_integers(offset(scratch, 2 * STEP)), as_integers(offset(scratch, 3 * STEP)),
        )  # fmt: skip
        left = attempt(stream, scratch, column, count, table)
        for i in range(left):
            places[i] = rejected[i]
        while left > 0:
            fill_words(stream, words, -(-left // LANES) * LANES)
            draw_classes(words, offset(table, header), bins, left, again)
            still = attempt(stream, scratch, again, left, table)
            for i in range(left):
                column[places[i]] = again[i]
            for i in range(still):
                places[i] = places[rejected[i]]
            left = still

    return counts


@plain
def _try(stream, scratch, column, count, table):
    """Replace bins by outcomes; list the rejected in the second column of scratch, and count them.

    No branch depends on a draw: it would be mispredicted.
    """
    words, listed = as_words(scratch), as_integers(offset(scratch, STEP))
    outcomes, excess = offset(scratch, 4 * STEP), offset(scratch, 5 * STEP)
    header = as_floats(table)
    low, shift = int(header[LOW]), int(header[SHIFT])
    _, sure, tops = parts_of(table, HEADER, int(header[BINS]))
    fill_words(stream, words, -(-count // LANES) * LANES)
    within, unsure = np.uint64((1 << shift) - 1), 0
    for t in range(count):
        word, j = words[t], column[t]
        words[unsure], listed[unsure] = word, t
        unsure += 1 if word >= sure[j] else 0
        column[t] = low + (j << shift) + np.int64(word & within)
    for i in range(unsure):
        x = column[listed[i]]
        outcomes[i], excess[i] = as_float(x), tops[(x - low) >> shift]
    _exceed(
        vector(words, unsure), vector(outcomes, unsure), vector(excess, unsure), unsure,
        law_at(table),
    )  # fmt: skip
    rejected = 0
    for i in range(unsure):
        listed[rejected] = listed[i]
        rejected += 1 if excess[i] > 0.0 else 0
    return rejected


@elementwise
def _exceed(words, outcomes, excess, count, law):
    """By how much a fraction of the largest probability exceeds an outcome's; in logarithms."""
    for i in range(count):
        fraction = one_and_fraction(words[i]) - (1.0 - 2.0**-53)
        excess[i] += log(fraction) - log_weight(outcomes[i], law)


@plain
def _size(table):
    header = as_floats(table)
    return int(header[BINS]), header[SHIFT] > 0.0


#: Draws of Poisson and binomial variables.
counts = sampler(_try, HEADER, _size)


@elementwise
def geometrics(stream, scratch, out, count, scale):
    """Write exponentials of that mean, rounded down, to ``out`` as integers below 2⁵¹."""
    words = as_words(scratch)
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        fill_words(stream, words, -(-length // LANES) * LANES)
        _round_down(
            vector(words, length), vector(as_integers(offset(out, start)), length), length, scale
        )


@elementwise
def _round_down(words, out, count, scale):
    for i in range(count):
        # Only of an exact integer, a half here, is it unsure which way it goes: as good as never.
        rounded = (minus_log(words[i]) * scale - 0.5) + _ROUND
        out[i] = np.int64(float_bits(rounded) - _52)
