"""Samples so far out that linear maps of them overflow: their density is 0, and nothing NaN.

A sum of products would have infinities of both signs, or 0 times infinity.
"""

from __future__ import annotations

import math

from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import offset, vector


@plain
def mark_nan(columns, count, rows, stride, log_prob):
    """Make ``log_prob`` NaN where a column is."""
    total = vector(log_prob, rows)
    for k in range(count):
        _mark(vector(offset(columns, k * stride), rows), math.inf, math.nan, rows, total)


@plain
def discard_above(limit, columns, count, rows, stride, log_prob):
    """Where some column is beyond the limit, or NaN, make ``log_prob`` −∞ and columns 0."""
    total = vector(log_prob, rows)
    for k in range(count):
        _mark(vector(offset(columns, k * stride), rows), limit, -math.inf, rows, total)
    for k in range(count):
        _discard(vector(offset(columns, k * stride), rows), rows, total)


@elementwise
def _mark(column, limit, mark, rows, log_prob):
    for t in range(rows):
        log_prob[t] += 0.0 if abs(column[t]) <= limit else mark


@elementwise
def _discard(column, rows, log_prob):
    for t in range(rows):
        column[t] = column[t] if log_prob[t] > -math.inf else 0.0
