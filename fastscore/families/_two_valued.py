"""Scores that take two values: ``on`` at an event, ``off`` elsewhere.

So are those of a Bernoulli, and of each class of a Categorical.  Number, Σw and Σw² of the samples
in the event, and of the others, make all sums.  `accumulate` kernels add the former up, `RAW`
doubles per score entry, by `add_others` or `add_by_class`; `finish` kernels write the sums.
"""

from __future__ import annotations

import numpy as np

from fastscore.engine.jit import elementwise, plain, reduction
from fastscore.engine.memory import add_three, offset

#: Doubles per score entry while a block adds up: samples in the event, their Σw, their Σw².
#: Padded, so that one vector holds them.
RAW = 4
#: Of a fainter probability the square of the score, its inverse, would overflow.
FAINTEST = 1e-150


@plain
def add_others(column, w, ww, rows, common, raw):
    """Of the samples that are not the common outcome: their number, Σw and Σw²."""
    n, a, b = _sums_of_others(column, w, ww, rows, common)
    raw[0] += n
    raw[1] += a
    raw[2] += b


@reduction
def _sums_of_others(column, w, ww, rows, common):
    n = 0
    a = b = 0.0
    for t in range(rows):
        rare = column[t] != common
        n += 1 if rare else 0
        a += w[t] if rare else 0.0
        b += ww[t] if rare else 0.0
    return n, a, b


@plain
def add_by_class(column, w, rows, raw):
    """To each sample's class: 1, w and w²."""
    for t in range(rows):
        value = w[t]
        add_three(offset(raw, RAW * column[t]), 1.0, value, value * value)


@plain
def taken(sums, size):
    """A copy of what a block has added up, whose place the five sums take."""
    raw = np.empty(RAW * size)
    for j in range(RAW * size):
        raw[j] = sums[j]
    return raw


@elementwise
def write_sums(sums, size, j, n, w, ww, n_off, w_off, ww_off, on, off):
    """The five sums S, F, S², F S and F² of entry j."""
    sums[j] = on * n + off * n_off
    sums[size + j] = on * w + off * w_off
    sums[2 * size + j] = on * on * n + off * off * n_off
    sums[3 * size + j] = on * on * w + off * off * w_off
    sums[4 * size + j] = on * on * ww + off * off * ww_off


@plain
def write_sums_of_classes(sums, size, raw, first, classes, count, sum_w, sum_ww, on, off):
    """Those of the entries of a variable, one per class; all samples are in one or another."""
    top = first
    for j in range(first, first + classes):
        top = j if raw[RAW * j] > raw[RAW * top] else top
        n, w, ww = raw[RAW * j], raw[RAW * j + 1], raw[RAW * j + 2]
        write_sums(sums, size, j, n, w, ww, count - n, sum_w - w, sum_ww - ww, on[j], off[j])
    # Of the commonest class the others are added up: a difference would lose their digits.
    n = w = ww = 0.0
    for j in range(first, first + classes):
        if j != top:
            n, w, ww = n + raw[RAW * j], w + raw[RAW * j + 1], ww + raw[RAW * j + 2]
    write_sums(
        sums, size, top, raw[RAW * top], raw[RAW * top + 1], raw[RAW * top + 2], n, w, ww,
        on[top], off[top],
    )  # fmt: skip
