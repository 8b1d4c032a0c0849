"""Kernels of multinomial counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.blocks import LOG_PROBS, SAMPLE, SCORE
from fastscore.engine.counts import surprise
from fastscore.engine.jit import elementwise, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.multinomials import multinomials, tables
from fastscore.engine.vecmath import as_float, fma
from fastscore.families._special import stirling_error

# `packed` has the number of classes, where the samplers' tables start and the length of one; then
# of each class of each variable these numbers; then the tables.
_HEADER, _RECORD = 3, 8
_TRIALS, _SIGN, _RARE, _UNIT, _MEAN, _LOG_MEAN, _AT_ALL, _ROOT = range(_RECORD)


def packed(
    trials: np.ndarray, p: np.ndarray, rest: np.ndarray, log_p: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, Any]:
    """What the kernels read, and what must live as long.

    Parameters
    ----------
    trials : ndarray of shape (m,)
        Of each variable.
    p, rest, log_p : ndarray of shape (m, K)
        Probabilities, ``1 − p``, and logarithms.
    unit : ndarray of shape (m, K)
        Derivative of the logit by the parameter.
    """
    n, some = trials[:, None], np.maximum(trials[:, None], 1)
    root = np.where(n > 0, 0.5 * np.log(2 * np.pi * some) + stirling_error(some), 0)
    with np.errstate(divide="ignore"):
        log_mean = np.log(n) + log_p
    at_all = some * np.where(n > 0, log_p, 0)
    numbers = n, np.where(p > rest, -1, 1), np.minimum(p, rest), unit, n * p, log_mean, at_all
    records = np.stack(np.broadcast_arrays(*numbers, root), axis=-1)
    rows, kept = tables(trials, p)
    header = [p.shape[1], _HEADER + records.size, rows.shape[1]]
    return np.concatenate([header, records.ravel(), rows.ravel()]), kept


@tile_kernel(SAMPLE)
def sample(params, stream, scratch, x, rows, d, stride):
    """A variable at a time."""
    classes, start, length = int(params[0]), int(params[1]), int(params[2])
    for j in range(d // classes):
        columns, table = offset(x, j * classes * stride), offset(params, start + j * length)
        multinomials(stream, scratch, columns, rows, stride, table)


@tile_kernel(SCORE)
def score(params, x, rows, d, stride, index, s):
    """A count at a time: there is no other in its score."""
    for k in range(d):
        r, column = offset(params, _HEADER + k * _RECORD), as_integers(offset(x, k * stride))
        score = vector(offset(s, index[k] * stride), rows)
        _add_score(vector(column, rows), score, rows, r[_TRIALS], r[_SIGN], r[_RARE], r[_UNIT])


@elementwise
def _add_score(x, s, rows, trials, sign, rare, unit):
    """``x − n p`` in units of the parameter, by whichever of p and 1 − p has all digits."""
    for t in range(rows):
        value = as_float(x[t])
        y = value if sign > 0.0 else trials - value
        slope = sign * fma(-trials, rare, y) * unit
        s[t] += slope if (value >= 0.0) & (value <= trials) else 0.0


@tile_kernel(LOG_PROBS)
def log_probs(packed, columns, count, x, rows, d, stride, out):
    """Of independent Poisson counts, given their sum."""
    sum_, left, at_all = np.empty(rows), np.empty(rows), np.empty(rows)
    for j in range(count):
        params, total = as_floats(packed[j]), vector(offset(out, columns[j] * stride), rows)
        classes = int(params[0])
        total[:] = 0.0
        for k in range(d):
            r = offset(params, _HEADER + k * _RECORD)
            if k % classes == 0:
                sum_[:], left[:], at_all[:] = r[_ROOT], r[_TRIALS], 1.0
            _add_class(
                vector(as_integers(offset(x, k * stride)), rows), sum_, left, at_all, rows,
                r[_TRIALS], r[_SIGN], r[_RARE], r[_MEAN], r[_LOG_MEAN], r[_AT_ALL],
            )  # fmt: skip
            if k % classes == classes - 1:
                _add_variable(sum_, left, at_all, rows, total)


@elementwise
def _add_class(x, sum_, left, at_all, rows, trials, sign, rare, mean, log_mean, log_all):
    """The Poisson count of a class; and if this class has all of the sum."""
    for t in range(rows):
        value = as_float(x[t])
        y = value if sign > 0.0 else trials - value
        sum_[t] -= surprise(value, mean, log_mean, sign * fma(-trials, rare, y))
        left[t] -= value if value >= 0.0 else -math.inf
        at_all[t] = log_all if value == trials else at_all[t]


@elementwise
def _add_variable(sum_, left, at_all, rows, total):
    for t in range(rows):
        value = at_all[t] if at_all[t] <= 0.0 else sum_[t]
        total[t] += value if left[t] == 0.0 else -math.inf


__all__ = ["log_probs", "packed", "sample", "score"]
