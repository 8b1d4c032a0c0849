"""Heuristics of multiple importance sampling: how much of a sample's weight its proposal gets.

With ``c_j = m_j q_j(x)`` a sample of proposal j weighs ``W = w_j(x)/m_j · p(x)/q_j(x)``, where the
heuristic's ``Σ_j w_j(x) = 1``.  Everything is computed from ``l_j = log c_j`` less their maximum.

Each kernel gets columns of log q_j and of log p, and leaves ``log W``.  `balance` also leaves
``c_j / max c`` in place of log q_j and ``Σ c / max c`` in the last column, of which control
variates are made.
"""

from __future__ import annotations

import math

from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.memory import offset, vector
from fastscore.engine.units.layout import WEIGH
from fastscore.engine.vecmath import exp_below, log

#: Densities that differ by less, relative to their logarithms, are equal but for rounding.
_TIE = 1e-13


@plain
def _start(options, densities, count, rows, stride, out):
    """Columns of log p, of zeros, and of ``max_j l_j``, which is computed."""
    target = vector(offset(densities, count * stride), rows)
    total, top = vector(offset(densities, (count + 1) * stride), rows), vector(out, rows)
    for t in range(rows):
        total[t] = 0.0
        top[t] = -math.inf
    whole = count // 4 * 4
    for j in range(0, whole, 4):
        _raise_top_4(offset(densities, j * stride), stride, rows, offset(options, j), top)
    for j in range(whole, count):
        _raise_top(vector(offset(densities, j * stride), rows), rows, options[j], top)
    return target, total, top


@elementwise
def _raise_top(log_q, rows, log_count, top):
    for t in range(rows):
        value = log_q[t] + log_count
        top[t] = value if value > top[t] else top[t]


@elementwise
def _raise_top_4(log_q, stride, rows, log_counts, top):
    q0, q1, q2, q3 = _four(log_q, stride, rows)
    c0, c1, c2, c3 = log_counts[0], log_counts[1], log_counts[2], log_counts[3]
    for t in range(rows):
        a, b, c, e = q0[t] + c0, q1[t] + c1, q2[t] + c2, q3[t] + c3
        a = a if a > b else b
        c = c if c > e else e
        a = a if a > c else c
        top[t] = a if a > top[t] else top[t]


@plain
def _four(columns, stride, rows):
    return (
        vector(columns, rows), vector(offset(columns, stride), rows),
        vector(offset(columns, 2 * stride), rows), vector(offset(columns, 3 * stride), rows),
    )  # fmt: skip


@elementwise
def _share_4(log_q, stride, rows, log_counts, top, total):
    """``c_j / max c`` of four proposals in place of log q, and their sum."""
    q0, q1, q2, q3 = _four(log_q, stride, rows)
    c0, c1, c2, c3 = log_counts[0], log_counts[1], log_counts[2], log_counts[3]
    for t in range(rows):
        shift = top[t]
        a, b = exp_below(q0[t] + c0 - shift), exp_below(q1[t] + c1 - shift)
        c, e = exp_below(q2[t] + c2 - shift), exp_below(q3[t] + c3 - shift)
        q0[t], q1[t], q2[t], q3[t] = a, b, c, e
        total[t] += (a + b) + (c + e)


@elementwise
def _share(log_q, rows, log_count, top, total):
    for t in range(rows):
        share = exp_below(log_q[t] + log_count - top[t])
        log_q[t] = share
        total[t] += share


@elementwise
def _add_power(log_q, log_count, top, rows, beta, total):
    for t in range(rows):
        total[t] += exp_below(beta * (log_q[t] + log_count - top[t]))


@elementwise
def _add_above(log_q, log_count, top, rows, log_alpha, total):
    for t in range(rows):
        below = log_q[t] + log_count - top[t]
        share = exp_below(below)
        total[t] += share if below >= log_alpha else 0.0


@elementwise
def _add_tie(log_q, log_count, top, rows, total):
    for t in range(rows):
        total[t] += 1.0 if log_q[t] + log_count >= top[t] - _TIE * abs(top[t]) - _TIE else 0.0


@elementwise
def _finish(target, total, rows, top):
    """``log p − log Σ c`` in place of the maximum (two names of it would look like two arrays that
    overlap, and the loop not be vectorised)."""
    for t in range(rows):
        top[t] = target[t] - top[t] - log(total[t])


@tile_kernel(WEIGH)
def balance(options, densities, count, own, rows, stride, out):
    """``w_j = c_j / Σ c`` (Veach 1997, equation 9.8): ``W = p / Σ c``."""
    target, total, top = _start(options, densities, count, rows, stride, out)
    whole = count // 4 * 4
    for j in range(0, whole, 4):
        _share_4(offset(densities, j * stride), stride, rows, offset(options, j), top, total)
    for j in range(whole, count):
        _share(vector(offset(densities, j * stride), rows), rows, options[j], top, total)
    _finish(target, total, rows, top)


@tile_kernel(WEIGH)
def power(options, densities, count, own, rows, stride, out):
    """``w_j = c_j^β / Σ c^β`` (Veach 1997, section 9.2): ``W = p c_j^(β − 1) / Σ c^β``."""
    target, total, top = _start(options, densities, count, rows, stride, out)
    beta = options[count]
    for j in range(count):
        column = vector(offset(densities, j * stride), rows)
        _add_power(column, options[j], top, rows, beta, total)
    column = vector(offset(densities, own * stride), rows)
    _favour(column, options[own], top, rows, beta - 1.0, target)
    _finish(target, total, rows, top)


@elementwise
def _favour(log_q, log_count, top, rows, power, target):
    for t in range(rows):
        target[t] += power * (log_q[t] + log_count - top[t])


@tile_kernel(WEIGH)
def cutoff(options, densities, count, own, rows, stride, out):
    """The balance heuristic among ``c_j ≥ α max c`` (Veach 1997, section 9.2)."""
    target, total, top = _start(options, densities, count, rows, stride, out)
    log_alpha = options[count]
    for j in range(count):
        column = vector(offset(densities, j * stride), rows)
        _add_above(column, options[j], top, rows, log_alpha, total)
    column = vector(offset(densities, own * stride), rows)
    _exclude(column, options[own], top, rows, log_alpha, target)
    _finish(target, total, rows, top)


@elementwise
def _exclude(log_q, log_count, top, rows, log_alpha, target):
    for t in range(rows):
        below = log_q[t] + log_count - top[t]
        target[t] = target[t] if below >= log_alpha else -math.inf


@tile_kernel(WEIGH)
def maximum(options, densities, count, own, rows, stride, out):
    """``w_j = 1`` where c_j is the largest, of equals the last (Veach 1997, section 9.2)."""
    target, ties, top = _start(options, densities, count, rows, stride, out)
    for j in range(own + 1, count):
        _add_tie(vector(offset(densities, j * stride), rows), options[j], top, rows, ties)
    column = vector(offset(densities, own * stride), rows)
    _select(column, options[own], ties, target, rows, top)


@elementwise
def _select(log_q, log_count, ties, target, rows, top):
    for t in range(rows):
        value = target[t] - top[t]
        largest = log_q[t] + log_count >= top[t] - _TIE * abs(top[t]) - _TIE
        value = value if largest else -math.inf
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
