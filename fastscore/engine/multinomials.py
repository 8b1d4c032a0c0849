"""Multinomial counts in bulk: of rare classes trial by trial, of others by conditional binomials.

How many trials fall into rare classes is binomial, and drawn from a table (``counts``); each of
them draws its class by the alias method.  Of the other classes each takes a binomial part of the
trials that are left, whose number varies: it is drawn by transformed rejection (Hörmann 1993).
So the cost is bounded, whatever the number of trials.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.alias import ENTRY, alias_table, class_of
from fastscore.engine.count_tables import CountTables
from fastscore.engine.counts import STEP, counts, log_root
from fastscore.engine.jit import elementwise, inlined, plain
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    as_words,
    offset,
    pointer,
    vector,
)
from fastscore.engine.normals import CHUNK
from fastscore.engine.special import deviance
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.vecmath import as_float, log, minus_log, one_and_fraction

#: Expected successes from which on the constants of the rejection hold.
_FEW = 10.0
#: Expected number below which a class is rare, so that of the others few draws have less than that;
#: if all are, and one has at least so many, then it is what is left, which saves its trials.
_RARE, _WORTH = 16.0, 2.0
# A table starts with the number of trials, of classes, of rare ones among them, and the bits of the
# address of the table of what these have together.
_TRIALS, _CLASSES, _TOGETHER, _TABLE = range(4)
_HEADER = 4
_ROUND = 1.5 * 2.0**52


def tables(trials: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, Any]:
    """Tables of variables with so many trials each, (m,), and probabilities (m, K).

    After its header a table has the classes, the rare ones first, of each the share of what it and
    those after it have, and what it leaves to them, and the alias table of the rare ones.  Returned
    are the tables, one per row, and what must live as long.
    """
    m, classes = probs.shape
    order = np.argsort(probs, axis=1, kind="stable")
    p = np.take_along_axis(probs, order, axis=1)
    tail = np.cumsum(p[:, ::-1], axis=1)[:, ::-1]
    after = np.concatenate([tail[:, 1:], np.zeros((m, 1))], axis=1)
    expected = trials[:, None] * p
    rare = np.clip(np.count_nonzero(expected < _RARE, axis=1), 1, classes)
    rare -= (rare == classes) & (expected[:, -1] >= _WORTH) & (classes > 1)
    one_of_them = np.arange(classes) < rare[:, None]
    means = np.array([np.sum(expected, axis=1, where=w) for w in (one_of_them, ~one_of_them)])
    with np.errstate(divide="ignore"):
        together = CountTables(trials, *means, *np.log(means))
    alias = np.zeros((m, ENTRY * classes), np.uint64)
    for k in range(m):
        weights = p[k, : rare[k]]
        alias_table(weights / max(weights.sum(), 1e-300), alias[k, : ENTRY * rare[k]])
    header = np.column_stack([trials, np.full(m, classes), rare, together.addresses])
    shares = np.array([p, after]) / np.maximum(tail, 1e-300)
    parts = [header, order.view(np.float64), *shares, alias.view(np.float64)]
    return np.concatenate(parts, axis=1), together


@plain
def multinomials(stream, scratch, x, rows, stride, table):
    """Fill the columns of the classes of one variable, which has that table."""
    trials, classes, rare = table[_TRIALS], int(table[_CLASSES]), int(table[_TOGETHER])
    order = as_integers(offset(table, _HEADER))
    share, rest = offset(table, _HEADER + classes), offset(table, _HEADER + 2 * classes)
    left, drawn = np.full(rows, trials), np.full(rows, int(trials))
    if rare < classes:
        counts(stream, scratch, as_floats(pointer(drawn)), rows, table[_TABLE])
        _subtract(left, drawn, rows)
    for j in range(rare):
        vector(as_integers(offset(x, order[j] * stride)), rows)[:] = 0
    if rare == 1:
        vector(as_integers(offset(x, order[0] * stride)), rows)[:] = drawn
    else:
        alias = as_words(offset(table, _HEADER + 3 * classes))
        _add_one_by_one(stream, scratch, drawn, rows, alias, rare, order, x, stride)
    for j in range(rare, classes):
        column = vector(as_integers(offset(x, order[j] * stride)), rows)
        if j == classes - 1:
            for t in range(rows):
                column[t] = int(left[t])
        else:
            _binomials(stream, scratch, left, rows, share[j], rest[j], column)
            _subtract(left, column, rows)


@elementwise
def _subtract(left, drawn, rows):
    for t in range(rows):
        left[t] -= as_float(drawn[t])


@plain
def _add_one_by_one(stream, scratch, drawn, rows, alias, classes, order, x, stride):
    """Add each trial to its class."""
    words, at = as_words(scratch), CHUNK
    for t in range(rows):
        for _ in range(drawn[t]):
            if at == CHUNK:
                fill_words(stream, words, CHUNK)
                at = 0
            j = class_of(words[at], alias, classes)
            column = as_integers(offset(x, order[j] * stride))
            column[t] += 1
            at += 1


@plain
def _binomials(stream, scratch, trials, rows, p, q, out):
    """Write binomial numbers of successes among so many trials each to ``out``."""
    for start in range(0, rows, STEP):
        end = min(start + STEP, rows)
        given, successes = trials[start:end], out[start:end]
        _some_binomials(stream, scratch, given, end - start, min(p, q), max(p, q), successes)
    if p > q:
        for t in range(rows):
            out[t] = int(trials[t]) - out[t]


@plain
def _some_binomials(stream, scratch, trials, count, p, q, out):
    """The same for p up to ½ and as many as there is scratch for."""
    words, given = as_words(scratch), offset(scratch, 2 * STEP)
    values, odds = offset(scratch, 3 * STEP), offset(scratch, 4 * STEP)
    places = as_integers(offset(scratch, 5 * STEP))
    left = 0
    for i in range(count):
        places[left] = i
        if trials[i] * p >= _FEW:
            left += 1
        else:
            out[i] = _by_waiting(stream, words, trials[i], -1.0 / math.log1p(-p))
    while left > 0:
        for i in range(left):
            given[i] = trials[places[i]]
        fill_words(stream, words, -(-2 * left // LANES) * LANES)
        _propose(
            vector(words, left), vector(offset(words, left), left), vector(given, left),
            vector(values, left), vector(odds, left), left, p, q,
        )  # fmt: skip
        unsure = 0
        for i in range(left):
            place, value, odd, n = places[i], values[i], odds[i], given[i]
            out[place] = int(value)
            places[unsure], values[unsure], odds[unsure], given[unsure] = place, value, odd, n
            unsure += 1 if odd >= 0.0 else 0
        _exceed(vector(given, unsure), vector(values, unsure), vector(odds, unsure), unsure, p, q)
        left = 0
        for i in range(unsure):
            places[left] = places[i]
            left += 1 if odds[i] > 0.0 else 0


@elementwise
def _propose(first, second, trials, values, odds, count, p, q):
    """Candidates; of those that are not taken for sure, how often they are proposed over how often
    the most probable outcome may be."""
    for i in range(count):
        n = trials[i]
        spread = math.sqrt(n * p * q)
        b = 1.15 + 2.53 * spread
        a = -0.0873 + 0.0248 * b + 0.01 * p
        u, v = one_and_fraction(first[i]) - 1.5, 2.0 - one_and_fraction(second[i])
        near, middle = 0.5 - abs(u), _floor(n * p)
        # The part of the middle after the point apart: it may be all that rounding leaves.
        value = _floor((2.0 * a / near + b) * u + ((n * p - middle) + 0.5))
        values[i] = min(max(middle + value, -1.0), n + 1.0)
        odd = v * (2.83 + 5.1 / b) * spread / (a / (near * near) + b)
        odds[i] = -1.0 if (near >= 0.07) & (v <= 0.92 - 4.2 / b) else odd


@inlined
def _floor(x):
    return (x - 0.5 + _ROUND) - _ROUND


@elementwise
def _exceed(trials, values, odds, count, p, q):
    """By how much odds exceed the probability over that of the most probable outcome, in
    logarithms."""
    for i in range(count):
        n, mode = trials[i], _floor((trials[i] + 1.0) * p)
        x = min(max(values[i], 0.0), n)
        ratio = _log_weight(x, n, p, q) - _log_weight(mode, n, p, q)
        excess = log(odds[i]) - ratio
        odds[i] = excess if x == values[i] else 1.0


@inlined
def _log_weight(x, n, p, q):
    """Log-probability but for a constant: of successes and of failures, as if they were Poisson."""
    return _log_part(x, n * p) + _log_part(n - x, n * q)


@inlined
def _log_part(x, mean):
    value = -deviance(x, mean, x - mean) - log_root(max(x, 1.0))
    return -mean if x == 0.0 else value


@plain
def _by_waiting(stream, words, trials, scale):
    """Successes where few are expected: the trials between them are geometric."""
    count = 0
    while True:
        fill_words(stream, words, LANES)
        for i in range(LANES):
            trials -= math.floor(minus_log(words[i]) * scale) + 1.0
            if trials < 0.0:
                return count
            count += 1


__all__ = ["multinomials", "tables"]
