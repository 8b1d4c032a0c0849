"""Heuristics of multiple importance sampling: how much of a sample's weight its proposal gets.

With ``c_j = m_j q_j(x)`` a sample of proposal j weighs ``W = w_j(x)/m_j · p(x)/q_j(x)``, where the
heuristic's ``Σ_j w_j(x) = 1``.  Everything is computed from ``l_j = log c_j`` less their maximum.

Each kernel gets columns of log q_j and of log p, and leaves ``log W``.  All but `constant` first
turn log q_j into l_j; `balance` leaves ``c_j / max c`` in their place and ``Σ c / max c`` in the
last column, of which control variates are made.
"""

from __future__ import annotations

import math

from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.memory import offset, vector
from fastscore.engine.units import WEIGH
from fastscore.engine.vecmath import exp, log


@elementwise
def _add_count(log_q, rows, log_count, top):
    """l_j, and the largest so far."""
    for t in range(rows):
        value = log_q[t] + log_count
        log_q[t] = value
        top[t] = value if value > top[t] else top[t]


@plain
def _log_counts(options, densities, count, rows, stride, top):
    """All l_j, and their maximum."""
    for t in range(rows):
        top[t] = -math.inf
    for j in range(count):
        _add_count(vector(offset(densities, j * stride), rows), rows, options[j], top)


@elementwise
def _add_share(value, top, rows, total):
    for t in range(rows):
        share = exp(value[t] - top[t])
        value[t] = share
        total[t] += share


@elementwise
def _add_power(value, top, rows, beta, total):
    for t in range(rows):
        total[t] += exp(beta * (value[t] - top[t]))


@elementwise
def _add_above(value, top, rows, log_alpha, total):
    for t in range(rows):
        below = value[t] - top[t]
        share = exp(below)
        total[t] += share if below >= log_alpha else 0.0


@elementwise
def _add_tie(value, top, rows, total):
    for t in range(rows):
        total[t] += 1.0 if value[t] == top[t] else 0.0


@elementwise
def _finish(target, top, total, rows, out):
    """``log p − log Σ c``."""
    for t in range(rows):
        out[t] = target[t] - top[t] - log(total[t])


@tile_kernel(WEIGH)
def balance(options, densities, count, own, rows, stride, out):
    """``w_j = c_j / Σ c`` (Veach and Guibas 1995, eq. 14): ``W = p / Σ c``."""
    target, total, top = _start(options, densities, count, rows, stride, out)
    for j in range(count):
        _add_share(vector(offset(densities, j * stride), rows), top, rows, total)
    _finish(target, top, total, rows, top)


@tile_kernel(WEIGH)
def power(options, densities, count, own, rows, stride, out):
    """``w_j = c_j^β / Σ c^β`` (Veach and Guibas 1995, section 4): ``W = p c_j^(β − 1) / Σ c^β``."""
    target, total, top = _start(options, densities, count, rows, stride, out)
    beta = options[count]
    for j in range(count):
        _add_power(vector(offset(densities, j * stride), rows), top, rows, beta, total)
    _favour(vector(offset(densities, own * stride), rows), top, rows, beta - 1.0, target)
    _finish(target, top, total, rows, top)


@elementwise
def _favour(own, top, rows, power, target):
    for t in range(rows):
        target[t] += power * (own[t] - top[t])


@tile_kernel(WEIGH)
def cutoff(options, densities, count, own, rows, stride, out):
    """The balance heuristic among ``c_j ≥ α max c`` (Veach and Guibas 1995, section 4)."""
    target, total, top = _start(options, densities, count, rows, stride, out)
    log_alpha = options[count]
    for j in range(count):
        _add_above(vector(offset(densities, j * stride), rows), top, rows, log_alpha, total)
    _exclude(vector(offset(densities, own * stride), rows), top, rows, log_alpha, target)
    _finish(target, top, total, rows, top)


@elementwise
def _exclude(own, top, rows, log_alpha, target):
    for t in range(rows):
        target[t] = target[t] if own[t] - top[t] >= log_alpha else -math.inf


@tile_kernel(WEIGH)
def maximum(options, densities, count, own, rows, stride, out):
    """``w_j = 1`` where c_j is the largest (Veach and Guibas 1995, section 4); of equals the first."""
    target, ties, top = _start(options, densities, count, rows, stride, out)
    for j in range(own):
        _add_tie(vector(offset(densities, j * stride), rows), top, rows, ties)
    _select(vector(offset(densities, own * stride), rows), ties, target, rows, top)


@elementwise
def _select(own, ties, target, rows, top):
    for t in range(rows):
        value = target[t] - top[t]
        value = value if own[t] == top[t] else -math.inf
        top[t] = value if ties[t] == 0.0 else -math.inf


@tile_kernel(WEIGH)
def constant(options, densities, count, own, rows, stride, out):
    """``w_j`` does not depend on x (Elvira et al. 2019, N1): ``W = w_j p / c_j``."""
    shift = options[count + own] - options[own]
    _ratio(
        vector(offset(densities, count * stride), rows),
        vector(offset(densities, own * stride), rows), shift, rows, vector(out, rows),
    )  # fmt: skip


@elementwise
def _ratio(target, own, shift, rows, out):
    for t in range(rows):
        out[t] = target[t] - own[t] + shift


@plain
def _start(options, densities, count, rows, stride, out):
    """Columns of log p, of zeros, and of the largest l_j, which are computed."""
    target = vector(offset(densities, count * stride), rows)
    total, top = vector(offset(densities, (count + 1) * stride), rows), vector(out, rows)
    for t in range(rows):
        total[t] = 0.0
    _log_counts(options, densities, count, rows, stride, top)
    return target, total, top
