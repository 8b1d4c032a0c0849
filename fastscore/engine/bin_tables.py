"""Tables of the probabilities of counts, from which ``bins`` draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine.alias import ENTRY, alias_table
from fastscore.engine.bins import (
    BINS,
    COLUMN,
    HEADER,
    LAW_AT,
    LOG_PROBS_AT,
    NUMBER_BITS,
    SHIFT_BITS,
    WIDE,
    log_masses,
)
from fastscore.engine.counts import parts_of
from fastscore.engine.jit import entry, plain
from fastscore.engine.memory import as_integers, offset, pointer, vector

#: Bins of a table (L1 has room for them), of all tables (L2 has), and of each at least.
_MOST, _TOGETHER, _LEAST = 2**NUMBER_BITS, 2**17, 64
#: Bins with less probability are not cut; in a table they are left out.
_RARE = 2.0**-72
_alias_table = plain(alias_table.function)


class BinTables:
    """Tables of laws of counts from 0 on, one per coordinate.

    The probabilities of a law rise, or fall, up to one outcome, and from there on do the opposite.

    Parameters
    ----------
    log_probs_at : int
        Address of a `LOG_PROBS` kernel.
    laws_at : ndarray of int64
        Addresses of the parameters that it takes, of one coordinate each, (d,).
    new : ndarray of bool
        Whether a law differs from the one before it, (d,).
    turns, ends : ndarray
        Where each law turns, and an outcome beyond which all others together are below 2^-66, (d,).

    Attributes
    ----------
    addresses : ndarray
        Of the tables, (d,), each as the bits of a double; equal neighbours share one.
    """

    def __init__(
        self, log_probs_at: int, laws_at: np.ndarray, new: np.ndarray, turns: Any, ends: Any
    ) -> None:
        turns, ends = (
            np.broadcast_to(np.clip(value, 0, ends), len(new)).astype(np.int64)
            for value in (turns, ends)
        )
        self._words, starts = _tables(log_probs_at, laws_at, new, turns, ends)
        self.addresses = (self._words.ctypes.data + 8 * starts).view(np.float64)


@entry
def _tables(log_probs_at, laws_at, new, turns, ends):
    """One table behind the other, and where that of each law starts."""
    laws = new.sum()
    most = min(_MOST, max(_LEAST, _TOGETHER // laws))
    tables, size = np.empty(laws * (HEADER + (ENTRY + 2) * most), np.uint64), 0
    starts, start = np.empty(len(new), np.int64), 0
    for k in range(len(new)):
        if new[k]:
            start, table = size, offset(pointer(tables), size)
            header = as_integers(table)
            header[LOG_PROBS_AT], header[LAW_AT], header[COLUMN] = log_probs_at, laws_at[k], 0
            size += _fill(table, turns[k], ends[k], most)
        starts[k] = start
    return tables[:size].copy(), starts


@plain
def _fill(table, turn, end, most):
    """Write a table behind the law in its header; return its length."""
    first, shift, least, top, mass = _cut(table, turn, end, most)
    bins, wide = len(first), shift.max() > 0
    header = as_integers(table)
    header[BINS], header[WIDE] = bins, wide
    alias, sure, tops = parts_of(table, HEADER, bins)
    _alias_table(mass / mass.sum(), vector(alias, ENTRY * bins))
    for i in range(ENTRY * bins):
        if i % ENTRY > 0:
            number = np.int64(alias[i])
            named = first[number] << NUMBER_BITS | number
            alias[i] = np.uint64(named if wide else first[number])
    for j in range(bins if wide else 0):
        ratio = min(np.exp(least[j] - top[j]), 1.0 - 2.0**-53)
        below = np.int64(ratio * 2.0 ** (64 - SHIFT_BITS))
        below -= 1 if below > 0 else 0
        sure[j], tops[j] = np.uint64(below << SHIFT_BITS | shift[j]), top[j]
    return HEADER + bins * (ENTRY + 2 if wide else ENTRY)


@plain
def _cut(table, turn, end, most):
    """Halve bins by and by, those first that may have most probability; of each its first outcome,
    s, the logarithms of the smallest and largest probabilities, and the largest times 2^s."""
    first, shift, mass = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most)
    ends, range_ = np.empty((most, 2)), np.empty((most, 2))
    inner = np.array([turn, end])
    at_inner = _log_masses(table, inner)
    while end >> shift[0] > 0:
        shift[0] += 1
    ends[0] = _log_masses(table, np.array([0, (1 << shift[0]) - 1]))
    mass[0] = _bound(first[0], shift[0], ends[0], inner, at_inner, range_[0])
    # If every outcome may have a bin, then in whatever order.
    part, count, largest = (0.5 if 1 << shift[0] > most else 0.0), 1, 1.0
    while largest > _RARE and count < most:
        chosen = np.flatnonzero((mass[:count] > max(part * largest, _RARE)) & (shift[:count] > 0))
        chosen = chosen[: most - count]
        shift[chosen] -= 1
        middle = first[chosen] + (1 << shift[chosen])
        below, above = _log_masses(table, middle - 1), _log_masses(table, middle)
        for i in range(len(chosen)):
            j, new = chosen[i], count + i
            first[new], shift[new] = middle[i], shift[j]
            ends[new, 0], ends[new, 1], ends[j, 1] = above[i], ends[j, 1], below[i]
            for one in (j, new):
                mass[one] = _bound(first[one], shift[one], ends[one], inner, at_inner, range_[one])
        count += len(chosen)
        largest = np.max(mass[:count] * (shift[:count] > 0))
    kept = np.flatnonzero(mass[:count] > _RARE)
    return first[kept], shift[kept], range_[kept, 0], range_[kept, 1], mass[kept]


@plain
def _log_masses(table, outcomes):
    """Log-probabilities of outcomes."""
    out = np.empty(len(outcomes))
    log_masses(table, pointer(outcomes), len(outcomes), pointer(out))
    outcomes[:0] = 0  # they had to live until here
    return out


@plain
def _bound(first, shift, ends, inner, at_inner, range_):
    """Write the smallest and the largest probability of a bin, in logarithms: they are at its ends,
    or where the law turns or ends; return the largest times the width."""
    low, high = min(ends[0], ends[1]), max(ends[0], ends[1])
    for i in range(len(inner)):
        if first < inner[i] < first + (1 << shift):
            low, high = min(low, at_inner[i]), max(high, at_inner[i])
    range_[0], range_[1] = low, high
    return np.exp(high) * 2.0**shift


__all__ = ["BinTables"]
