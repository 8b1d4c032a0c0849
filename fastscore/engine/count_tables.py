"""Tables of the probabilities of counts, from which ``counts`` draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.alias import ENTRY, alias_table
from fastscore.engine.counts import (
    BINS,
    HEADER,
    LAW,
    LOW,
    NUMBERS,
    SHIFT,
    law_at,
    log_weight,
    parts_of,
)
from fastscore.engine.jit import elementwise, entry, plain
from fastscore.engine.memory import as_floats, offset, pointer, vector
from fastscore.engine.special import deviance
from fastscore.engine.vecmath import as_float, exp

#: Bins of a table (L1 has room for them), of all tables (L2 has), and of each at least.
_MOST, _TOGETHER, _LEAST = 2048, 2**17, 32
#: Outcomes beyond which there is less than exp(−46), below 2^-66, are left out.
_FAR = 46.0
_alias_table = plain(alias_table.function)


class CountTables:
    """Tables of laws, one per coordinate.

    Parameters
    ----------
    trials : array_like
        Infinitely many of a Poisson variable.
    mean, rest : array_like
        Expected successes and failures.
    log_mean, log_rest : array_like
        Their logarithms.

    Attributes
    ----------
    addresses : ndarray
        Of the tables, (d,), each as the bits of a double; equal neighbours share one.
    """

    def __init__(self, trials: Any, mean: Any, rest: Any, log_mean: Any, log_rest: Any) -> None:
        laws = np.column_stack(np.broadcast_arrays(trials, mean, rest, log_mean, log_rest))
        self._words, starts = _tables(laws.astype(np.float64))
        self.addresses = (self._words.ctypes.data + 8 * starts).view(np.float64)


@entry
def _tables(laws):
    """One table behind the other, and where that of each law starts."""
    d = len(laws)
    new = np.ones(d, np.bool_)
    for k in range(1, d):
        new[k] = (laws[k] != laws[k - 1]).any()
    most = min(_MOST, max(_LEAST, _TOGETHER // new.sum()))
    plans, starts, size = np.empty((d, 3), np.int64), np.empty(d, np.int64), 0
    for k in range(d):
        if new[k]:
            low, shift, bins = _plan(laws[k], most)
            plans[k, LOW], plans[k, SHIFT], plans[k, BINS] = low, shift, bins
            starts[k] = size
            size += HEADER + bins * (ENTRY if shift == 0 else ENTRY + 2)
        else:
            starts[k] = starts[k - 1]
    tables = np.empty(size, np.uint64)
    for k in range(d):
        if new[k]:
            _fill(offset(pointer(tables), starts[k]), plans[k], laws[k])
    return tables, starts


@plain
def _plan(law, most):
    """First outcome, logarithm of the bins' width, and their number."""
    trials, mean, rest = law[0], law[1], law[2]
    centre, reach = math.floor(mean), math.sqrt(2.0 * _FAR * mean)
    below = max(-1.0, math.floor(mean - reach) - 1.0)
    above = min(trials, math.floor(mean + reach + _FAR)) + 1.0
    low = _last(centre, below, trials, mean, rest)
    outcomes = int(_last(centre, above, trials, mean, rest) - low) + 1
    shift = 0
    while (outcomes - 1) >> shift >= most:
        shift += 1
    return int(low), shift, ((outcomes - 1) >> shift) + 1


@plain
def _last(inside, outside, trials, mean, rest):
    """The last outcome from inside to outside that is not too far: by Chernoff's bound, the
    exponential of minus the deviance, of what is beyond an outcome."""
    while abs(outside - inside) > 1.0:
        x = math.floor(0.5 * (inside + outside))
        exponent = deviance(x, mean, x - mean)
        if trials < math.inf:
            exponent += deviance(trials - x, rest, (trials - x) - rest)
        if exponent < _FAR:
            inside = x
        else:
            outside = x
    return inside


@plain
def _fill(table, plan, law):
    """Write a table."""
    low, shift, bins = plan[LOW], plan[SHIFT], plan[BINS]
    header = as_floats(table)
    for i in range(LAW):
        header[i] = plan[i]
    for i in range(NUMBERS):
        header[LAW + i] = law[i]
    alias, sure, tops = parts_of(table, HEADER, bins)
    trials, mean = law[0], law[1]
    mode = math.floor(mean + mean / max(trials, 1.0))
    largest, ratio = np.empty(bins), np.empty(bins)
    _bound(largest, ratio, float(low), 2.0**shift, bins, mode, law_at(table))
    if shift > 0:
        for j in range(bins):
            sure[j], tops[j] = np.uint64(ratio[j] * 2.0**64), largest[j]
    weights = np.exp(largest - largest.max())
    _alias_table(weights / weights.sum(), vector(alias, ENTRY * bins))
    if shift == 0:  # the classes are outcomes
        for j in range(bins):
            alias[ENTRY * j + 1] += np.uint64(low)
            alias[ENTRY * j + 2] += np.uint64(low)


@elementwise
def _bound(largest, ratio, low, width, bins, mode, law):
    """Log of the largest probability of each bin, and the ratio, below 1, of the smallest to it."""
    for j in range(bins):
        first = low + width * as_float(j)
        last = first + (width - 1.0)
        at_first, at_last = log_weight(first, law), log_weight(last, law)
        top = log_weight(min(max(mode, first), last), law)
        largest[j] = top
        ratio[j] = min(exp(min(at_first, at_last) - top), 1.0 - 2.0**-53)


__all__ = ["CountTables"]
