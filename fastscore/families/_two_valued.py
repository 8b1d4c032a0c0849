"""Scores that take two values: ``on`` at an event, ``off`` elsewhere.

So are those of a Bernoulli, and of each class of a Categorical.  Number, Σw and Σw² of the samples
in the event, and of the others, make all sums.  `accumulate` kernels add the former up, `RAW`
doubles per score entry; `finish` kernels call `write_sums`.
"""

from __future__ import annotations

import numpy as np

from fastscore.engine.jit import elementwise, plain

#: Doubles per score entry while a block adds up: samples in the event, their Σw, their Σw².
#: Padded, so that one vector holds them.
RAW = 4
#: Of a fainter probability the square of the score, its inverse, would overflow.
FAINTEST = 1e-150


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
