"""Kernels of independent zeros and ones."""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.blocks import ACCUMULATE, FINISH, LOG_PROBS, SCORE
from fastscore.engine.coins import COMMON, TABLES, tables
from fastscore.engine.jit import tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.families._two_valued import RAW, add_others, taken, write_sums

# Rows of `packed`, d entries each, after the tables of `coins`.  The *rare* outcome is the less
# probable one: everything is counted by it, so that nothing is lost where the other's probability
# rounds to 1.
_ON, _OFF, _LOG_RARE, _LOG_COMMON = range(TABLES, TABLES + 4)


def packed(zero: tuple[np.ndarray, ...], one: tuple[np.ndarray, ...]) -> np.ndarray:
    """What the kernels read; of 0 and of 1 the probability, the score and the log-probability."""
    often = one[0] > 0.5
    (rare, on, log_rare), (_, off, log_rest) = np.where(often, (zero, one), (one, zero))
    return np.concatenate([*tables(often.astype(float), rare), on, off, log_rare, log_rest])


@tile_kernel(LOG_PROBS)
def log_probs(packed, columns, count, x, rows, d, stride, out):
    """The log-probabilities of outcomes, added up; −∞ of what is none."""
    for j in range(count):
        params, log_prob = as_floats(packed[j]), vector(offset(out, columns[j] * stride), rows)
        for t in range(rows):
            log_prob[t] = 0.0
        for k in range(d):
            column = vector(as_integers(offset(x, k * stride)), rows)
            common = int(params[COMMON * d + k])
            rare, other = params[_LOG_RARE * d + k], params[_LOG_COMMON * d + k]
            for t in range(rows):
                inside = rare if column[t] == 1 - common else -math.inf
                log_prob[t] += other if column[t] == common else inside


@tile_kernel(SCORE)
def score(params, x, rows, d, stride, index, s):
    """By whether the outcome is the rare one."""
    for k in range(d):
        column = vector(as_integers(offset(x, k * stride)), rows)
        common, on, off = int(params[COMMON * d + k]), params[_ON * d + k], params[_OFF * d + k]
        score = vector(offset(s, index[k] * stride), rows)
        for t in range(rows):
            score[t] += off if column[t] == common else on


@tile_kernel(ACCUMULATE)
def accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    """Count and weigh the rare outcomes."""
    for k in range(d):
        column, common = as_integers(offset(x, k * stride)), int(params[COMMON * d + k])
        raw = offset(sums, RAW * k)
        add_others(vector(column, rows), vector(w, rows), vector(ww, rows), rows, common, raw)


@tile_kernel(FINISH)
def finish(params, count, sum_w, sum_ww, sums, d, size):
    """Sums of scores from those."""
    raw = taken(sums, size)
    for k in range(d):
        on, off = params[_ON * d + k], params[_OFF * d + k]
        n, w, ww = raw[RAW * k], raw[RAW * k + 1], raw[RAW * k + 2]
        write_sums(sums, size, k, n, w, ww, count - n, sum_w - w, sum_ww - ww, on, off)


__all__ = ["accumulate", "finish", "log_probs", "packed", "score"]
