"""Kernels of independent variables with one of K classes each."""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.alias import ENTRY, alias_table, fill_classes
from fastscore.engine.blocks import ACCUMULATE, FINISH, LOG_PROBS, SAMPLE, SCORE
from fastscore.engine.jit import tile_kernel
from fastscore.engine.memory import as_floats, as_integers, as_words, offset, vector
from fastscore.families._two_valued import RAW, add_by_class, taken, write_sums_of_classes

# `packed` has d K; on, off and log-probability of each class of each variable; the alias tables.
_ON, _OFF, _LOG_PROB, _ALIAS = range(4)


def packed(probs: np.ndarray, log_probs: np.ndarray, on: np.ndarray, off: np.ndarray) -> np.ndarray:
    """What the kernels read.

    Parameters
    ----------
    probs, log_probs : ndarray of shape (d, K)
        Probabilities of classes, and their logarithms.
    on, off : ndarray of shape (d, K)
        The score by each class's parameter, if it came and if not.
    """
    tables = np.empty((len(probs), ENTRY * probs.shape[1]), np.uint64)
    for row, table in zip(probs, tables, strict=True):
        alias_table(row, table)
    parts = (on, off, log_probs, tables.view(np.float64))
    return np.concatenate([[probs.size], *(part.ravel() for part in parts)])


@tile_kernel(SAMPLE)
def sample(params, stream, scratch, x, rows, d, stride):
    """A variable at a time."""
    size = int(params[0])
    for k in range(d):
        table = as_words(offset(params, 1 + _ALIAS * size + ENTRY * k * (size // d)))
        fill_classes(stream, scratch, offset(x, k * stride), rows, table, size // d)


@tile_kernel(LOG_PROBS)
def log_probs(packed, columns, count, x, rows, d, stride, out):
    """The log-probabilities of classes, added up; −∞ of what is none."""
    for j in range(count):
        params, log_prob = as_floats(packed[j]), offset(out, columns[j] * stride)
        size = int(params[0])
        classes = size // d
        for t in range(rows):
            log_prob[t] = 0.0
        for k in range(d):
            column = as_integers(offset(x, k * stride))
            log_probs = offset(params, 1 + _LOG_PROB * size + k * classes)
            for t in range(rows):
                a = column[t]
                log_prob[t] += log_probs[a] if 0 <= a < classes else -math.inf


@tile_kernel(SCORE)
def score(params, x, rows, d, stride, index, s):
    """Of each class by whether it came."""
    size = int(params[0])
    on, off = offset(params, 1), offset(params, 1 + size)
    for j in range(size):
        column = vector(as_integers(offset(x, j // (size // d) * stride)), rows)
        score = vector(offset(s, index[j] * stride), rows)
        for t in range(rows):
            score[t] += on[j] if column[t] == j % (size // d) else off[j]


@tile_kernel(ACCUMULATE)
def accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    """Count and weigh the samples of each class."""
    for k in range(d):
        column = as_integers(offset(x, k * stride))
        add_by_class(column, w, rows, offset(sums, RAW * k * (size // d)))


@tile_kernel(FINISH)
def finish(params, count, sum_w, sum_ww, sums, d, size):
    """Sums of scores from those."""
    on, off, raw = offset(params, 1), offset(params, 1 + size), taken(sums, size)
    for first in range(0, size, size // d):
        write_sums_of_classes(sums, size, raw, first, size // d, count, sum_w, sum_ww, on, off)


__all__ = ["accumulate", "finish", "log_probs", "packed", "sample", "score"]
