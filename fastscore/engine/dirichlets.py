"""Dirichlet vectors in bulk: gammas divided by their sum."""

from __future__ import annotations

import numpy as np

from fastscore.engine.exponentials import exponentials
from fastscore.engine.gammas import gammas, log_gammas
from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import offset, vector
from fastscore.engine.vecmath import exp_below, log


@plain
def dirichlets(stream, scratch, x, rows, stride, records, length):
    """Fill the columns of one vector.

    Each of its coordinates has a record of that length: how many they are, the concentration, and
    what else a family keeps there.
    """
    total = np.zeros(rows)
    for k in range(int(records[0])):
        concentration = records[k * length + 1]
        if concentration == 1.0:
            exponentials(stream, scratch, offset(x, k * stride), rows, 1.0)
        else:
            gammas(stream, scratch, offset(x, k * stride), rows, concentration, 1.0)
        total += vector(offset(x, k * stride), rows)
    for k in range(int(records[0])):
        _divide(vector(offset(x, k * stride), rows), total, rows)


@plain
def log_dirichlets(stream, scratch, y, rows, stride, records, length):
    """The same of logarithms, of which none underflows."""
    most, total = np.full(rows, -np.inf), np.zeros(rows)
    for k in range(int(records[0])):
        log_gammas(stream, scratch, offset(y, k * stride), rows, records[k * length + 1], 0.0)
        most = np.maximum(most, vector(offset(y, k * stride), rows))
    for k in range(int(records[0])):
        _add_exponentials(vector(offset(y, k * stride), rows), most, rows, total)
    for k in range(int(records[0])):
        _subtract_logs(vector(offset(y, k * stride), rows), most, total, rows)


@elementwise
def _divide(column, total, rows):
    for t in range(rows):
        column[t] = min(column[t] / total[t], 1.0)


@elementwise
def _add_exponentials(column, most, rows, total):
    for t in range(rows):
        total[t] += exp_below(column[t] - most[t])


@elementwise
def _subtract_logs(column, most, total, rows):
    for t in range(rows):
        column[t] = (column[t] - most[t]) - log(total[t])
