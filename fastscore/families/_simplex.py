"""Kernels of Dirichlet vectors, which lie on a simplex."""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.blocks import LOG_PROBS, SAMPLE
from fastscore.engine.dirichlets import dirichlets
from fastscore.engine.jit import elementwise, inlined, tile_kernel
from fastscore.engine.memory import as_floats, offset, vector
from fastscore.engine.special import deviance, log_ratio, times_log
from fastscore.engine.vecmath import fma
from fastscore.families._coordinates import HEADER
from fastscore.families._special import LARGE, digamma_excess, stirling_error

#: Of a record, which starts as the samplers take it; the total is a sum of two numbers.
FIELDS = ("classes", "concentration", "total", "total_low", "constant", "excess", "by")
_LENGTH = len(FIELDS)
#: How far a sum may be from 1; as in torch.
_OFF = 1e-6


@tile_kernel(SAMPLE)
def sample(params, stream, scratch, x, rows, d, stride):
    """A vector at a time."""
    for k in range(0, d, int(params[HEADER])):
        record = offset(params, HEADER + k * _LENGTH)
        dirichlets(stream, scratch, offset(x, k * stride), rows, stride, record, _LENGTH)


@inlined
def score(x, concentration, total, total_low, excess, by):
    """``log x − ψ(a) + ψ(A)``, of one proportion."""
    above = fma(total, x, -concentration) + total_low * x
    value = (log_ratio(total * x, concentration, above) - excess) * by
    return (value if x > (0.0 if concentration > 1.0 else -1.0) else 0.0,)


@tile_kernel(LOG_PROBS)
def log_probs(packed, columns, count, x, rows, d, stride, out):
    """Of gammas whose sum is 1."""
    rest = np.empty(rows)
    for j in range(count):
        params, total = as_floats(packed[j]), vector(offset(out, columns[j] * stride), rows)
        classes = int(params[HEADER])
        total[:] = 0.0
        for k in range(d):
            if k % classes == 0:
                rest[:] = 1.0
            record = offset(params, HEADER + k * _LENGTH)
            _add(
                vector(offset(x, k * stride), rows), total, rest, rows,
                record[1], record[2], record[3], record[4],
            )  # fmt: skip
            if k % classes == classes - 1:
                for t in range(rows):
                    total[t] = total[t] if abs(rest[t]) <= _OFF else -math.inf


@elementwise
def _add(x, log_prob, rest, rows, concentration, total, total_low, constant):
    """Gammas of that total: each with its Stirling form, where that is large."""
    order = concentration - 1.0
    for t in range(rows):
        above = fma(total, x[t], -concentration) + total_low * x[t]
        near = -deviance(order, total * x[t], -1.0 - above)
        plain = times_log(order, x[t]) - total * x[t]
        density = constant + (near if concentration > LARGE else plain)
        outside = (x[t] < 0.0) | (x[t] > 1.0) | (min(density, log_prob[t]) == -math.inf)
        log_prob[t] = -math.inf if outside else log_prob[t] + density
        rest[t] -= x[t]


def log_constant(a: np.ndarray, total: np.ndarray) -> np.ndarray:
    """What the parts of a vector lack: ``log Γ(A) + A`` and each part's own, with nothing large."""
    from scipy.special import gammaln

    order, large = np.maximum(a - 1, 1), a > LARGE
    own = np.where(large, 0.5 * np.log(2 * np.pi * order) + stirling_error(order), gammaln(a))
    power = np.where(large, 1.0, a)
    whole = 0.5 * math.log(2 * math.pi) + stirling_error(total)
    return whole + (power.sum(axis=1) - 0.5) * np.log(total) - own.sum(axis=1)


def entropy(a: np.ndarray, total: np.ndarray) -> float:
    """That of all vectors, of concentrations (m, K) and totals (m, 1)."""
    # With ψ(a) = log a + excess the large terms cancel here, not in the sum.
    parts = 0.5 * np.log(2 * np.pi * a) + stirling_error(a) - (a - 1) * digamma_excess(a)
    whole = (a.shape[1] - 0.5) * np.log(total) + 0.5 * math.log(2 * math.pi)
    whole += stirling_error(total) - (total - a.shape[1]) * digamma_excess(total)
    return float(np.sum(parts) - np.sum(whole))


__all__ = ["FIELDS", "entropy", "log_constant", "log_probs", "sample", "score"]
