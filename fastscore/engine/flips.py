"""Zeros and ones b from uniforms u, and b̃ from 1 − u: what ARM and DisARM are made of.

``b = 1[u < p]`` and ``b̃ = 1[u > 1 − p]``.  Of u given b only ``t``, how far it lies from the end
that makes b, is needed: b = 1 from u = t, b = 0 from u = 1 − t, t being uniform below b's own
probability r; and b̃ differs from b where t ≤ 1 − r, the probability of the other.
"""

from __future__ import annotations

from fastscore.engine.exponentials import uniforms
from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.measures import exchange, subtract
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.stages import CONTRACT, DATA_AT, EVALUATE, PREPARE, PREPARED
from fastscore.engine.sweeps import evaluate as evaluate_f

#: What b̃ − b and u are made of: u itself; its mean given b and b̃.
ARM, DISARM = range(2)
_PROBS_AT, _KIND_AT = DATA_AT, DATA_AT + 1


@elementwise
def _weigh(b, rows, of_zero, of_one, unit, v, weight):
    """``u − ½`` in place of a fraction v of the way that u has."""
    for t in range(rows):
        own = of_one if b[t] == 1 else of_zero
        distance = v[t] * own - 0.5
        weight[t] = (distance if b[t] == 1 else -distance) * unit


@elementwise
def _weigh_means(b, other, rows, larger, unit, weight):
    """``(b̃ − b) max(p, 1 − p)/2``."""
    for t in range(rows):
        weight[t] = (other[t] - b[t]) * (0.5 * larger * unit)


@plain
def _flip(b, rows, of_zero, of_one, v, other):
    """b̃; ``v`` are the bits of the same column as ``other``."""
    most_of_zero, most_of_one = of_one / of_zero, of_zero / of_one
    for t in range(rows):
        own, same = v[t], b[t]
        limit, flipped = most_of_one if same == 1 else most_of_zero, 1 - same
        other[t] = flipped if own <= limit else same


@tile_kernel(PREPARE)
def prepare(own, params, stream, scratch, x, rows, d, stride, terms):
    """Columns of b̃, then of what multiplies ``f(b̃) − f(b)``."""
    probs, kind = as_floats(own[_PROBS_AT]), as_integers(own[_KIND_AT])[0]
    for k in range(d):
        of_zero, of_one, unit = probs[k], probs[d + k], probs[2 * d + k]
        b, column = vector(as_integers(offset(x, k * stride)), rows), offset(terms, k * stride)
        v, other = vector(column, rows), vector(as_integers(column), rows)
        weight = vector(offset(terms, (d + k) * stride), rows)
        uniforms(stream, scratch, column, rows)
        if kind == ARM:
            _weigh(b, rows, of_zero, of_one, unit, v, weight)
        _flip(b, rows, of_zero, of_one, v, other)
        if kind == DISARM:
            _weigh_means(b, other, rows, max(of_zero, of_one), unit, weight)


@tile_kernel(EVALUATE)
def evaluate(own, f, x, value, rows, d, stride, args, terms):
    """``f(b̃) − f(b)``."""
    out = offset(terms, own[PREPARED] * stride)
    for k in range(d):
        exchange(offset(x, k * stride), offset(terms, k * stride), rows)
    status = evaluate_f(f, (x, out, rows, d, stride, args))
    for k in range(d):
        exchange(offset(x, k * stride), offset(terms, k * stride), rows)
    subtract(vector(value, rows), rows, vector(out, rows))
    return status


@elementwise
def _add_product(a, b, rows, out):
    for t in range(rows):
        out[t] += a[t] * b[t]


@tile_kernel(CONTRACT)
def contract(own, params, x, terms, rows, d, stride, index, out):
    """That times its factors."""
    difference = vector(offset(terms, own[PREPARED] * stride), rows)
    for k in range(d):
        _add_product(
            difference, vector(offset(terms, (d + k) * stride), rows), rows,
            vector(offset(out, index[k] * stride), rows),
        )  # fmt: skip
