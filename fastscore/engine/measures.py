"""Differences of f between two values of one coordinate: measure-valued derivatives of a tile.

If ``∂p/∂θ = c (p⁺ − p⁻)`` of a coordinate, then ``c (f(x⁺) − f(x⁻))`` has the derivative for its
mean, the other coordinates staying as they are.  Mostly x itself has the distribution of either,
and one other value, drawn given x, makes a *rule*; some need two.

Many rules come from one fact, as for any unimodal density of z, about 0: ``−z p′(z)`` is a density
too, and z moved outwards to where ``log p`` is lower by an exponential E has it.  As
``∂_σ p((x − μ)/σ)/σ`` is ``(−z p′ − p)/σ²``, this serves scales; and from z = 0 to either side
``∓p′/p(0)``, which serves locations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.exponentials import exponentials, uniforms
from fastscore.engine.jit import elementwise, inlined, plain, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.stages import CONTRACT, DATA_AT, EVALUATE, PREPARE, PREPARED
from fastscore.engine.sweeps import evaluate as evaluate_f
from fastscore.engine.vecmath import as_float, exp, expm1, log

#: What the other value is, E being an exponential.  Of a count: 1 − x, with one trial more or one
#: less, a given one, the next, or later by a geometric wait.
NONE, FLIP, TRIAL, CLASS, NEXT, LATER = range(6)
#: Of a real: x + scale E; with exp(−z) + E in place of exp(−z), or 1/x + scale E in place of 1/x;
#: on the other side of loc; further out; and, in place of x too, loc further out to both sides.
MORE, LOG_MORE, INVERSE_MORE, MIRROR, OUTWARD, ASIDE = range(6, 12)
#: Laws of what moves outwards.
NORMAL, LAPLACE, LOGISTIC, STUDENT = range(4)

#: Of each rule: coordinate, kind, law, natural score column, first of its columns among the drawn;
#: and coefficient, loc, scale, and one number more.
INTEGERS, NUMBERS = 5, 4
COORDINATE, KIND, LAW, COLUMN, FIRST = range(INTEGERS)
COEFFICIENT, LOC, SCALE, SHAPE = range(NUMBERS)
_RULES_AT, _NUMBERS_AT, _COUNT_AT = range(DATA_AT, DATA_AT + 3)


@inlined
def _beyond_normal(z, e, df):
    return math.sqrt(z * z + 2.0 * e)


@inlined
def _beyond_laplace(z, e, df):
    return abs(z) + e


@inlined
def _beyond_logistic(z, e, df):
    """Where ``cosh(z/2)`` is ``exp(e/2)`` times as large."""
    half = exp(0.5 * z)
    sinh = 0.5 * (half - 1.0 / half)
    square = sinh * sinh * exp(e) + expm1(e)
    return 2.0 * log(math.sqrt(square) + math.sqrt(square + 1.0))


@inlined
def _beyond_student(z, e, df):
    """Where ``1 + z²/df`` is ``exp(2e/(df + 1))`` times as large."""
    more = expm1(2.0 * e / (df + 1.0))
    return math.sqrt(z * z * (more + 1.0) + df * more)


def _outward(beyond: Any) -> tuple[Any, Any]:
    """The loops over exponentials that move x outwards, and its centre to both sides."""

    @elementwise
    def move(x, rows, loc, scale, shape, out):
        for t in range(rows):
            z = (x[t] - loc) / scale
            out[t] = loc + math.copysign(beyond(z, out[t], shape), z) * scale

    @elementwise
    def part(rows, loc, scale, shape, above, below):
        for t in range(rows):
            distance = beyond(0.0, above[t], shape) * scale
            above[t] = loc + distance
            below[t] = loc - distance

    return move, part


_move_normal, _part_normal = _outward(_beyond_normal)
_move_laplace, _part_laplace = _outward(_beyond_laplace)
_move_logistic, _part_logistic = _outward(_beyond_logistic)
_move_student, _part_student = _outward(_beyond_student)


@plain
def _move(law, x, rows, loc, scale, shape, out):
    if law == NORMAL:
        _move_normal(x, rows, loc, scale, shape, out)
    elif law == LAPLACE:
        _move_laplace(x, rows, loc, scale, shape, out)
    elif law == LOGISTIC:
        _move_logistic(x, rows, loc, scale, shape, out)
    else:
        _move_student(x, rows, loc, scale, shape, out)


@plain
def _part(law, rows, loc, scale, shape, above, below):
    if law == NORMAL:
        _part_normal(rows, loc, scale, shape, above, below)
    elif law == LAPLACE:
        _part_laplace(rows, loc, scale, shape, above, below)
    elif law == LOGISTIC:
        _part_logistic(rows, loc, scale, shape, above, below)
    else:
        _part_student(rows, loc, scale, shape, above, below)


@elementwise
def _add_more(kind, x, rows, loc, scale, out):
    if kind == MORE:
        for t in range(rows):
            out[t] = x[t] + out[t] * scale
    elif kind == LOG_MORE:
        for t in range(rows):
            out[t] = loc - log(exp((loc - x[t]) / scale) + out[t]) * scale
    elif kind == INVERSE_MORE:
        for t in range(rows):
            out[t] = x[t] / (1.0 + x[t] * out[t] * scale)
    else:
        for t in range(rows):
            out[t] = loc + (loc - x[t])


@plain
def _other_count(kind, x, rows, shape, drawn, out):
    """``drawn`` are the bits of the same column as ``out``."""
    for t in range(rows):
        if kind == FLIP:
            out[t] = 1 - x[t]
        elif kind == TRIAL:
            out[t] = x[t] + (-1 if drawn[t] * shape <= as_float(x[t]) else 1)
        elif kind == CLASS:
            out[t] = np.int64(shape)
        elif kind == NEXT:
            out[t] = x[t] + 1
        else:
            out[t] = x[t] + 1 + np.int64(drawn[t])


@tile_kernel(PREPARE)
def prepare(own, params, stream, scratch, x, rows, d, stride, terms):
    """Draw the other values of each rule."""
    rules, numbers = as_integers(own[_RULES_AT]), as_floats(own[_NUMBERS_AT])
    for i in range(as_integers(own[_COUNT_AT])[0]):
        rule, number = offset(rules, i * INTEGERS), offset(numbers, i * NUMBERS)
        kind, loc, scale, shape = rule[KIND], number[LOC], number[SCALE], number[SHAPE]
        column, out = offset(x, rule[COORDINATE] * stride), offset(terms, rule[FIRST] * stride)
        if kind == TRIAL:
            uniforms(stream, scratch, out, rows)
        elif kind in (LATER, MORE, LOG_MORE, INVERSE_MORE, OUTWARD, ASIDE):
            exponentials(stream, scratch, out, rows, scale if kind == LATER else 1.0)
        drawn, real = vector(out, rows), vector(column, rows)
        if kind < MORE:
            whole = vector(as_integers(column), rows)
            _other_count(kind, whole, rows, shape, drawn, vector(as_integers(out), rows))
        elif kind < OUTWARD:
            _add_more(kind, real, rows, loc, scale, drawn)
        elif kind == OUTWARD:
            _move(rule[LAW], real, rows, loc, scale, shape, drawn)
        else:
            below = vector(offset(out, stride), rows)
            _part(rule[LAW], rows, loc, scale, shape, drawn, below)


@plain
def exchange(a, b, rows):
    """The words of two columns."""
    first, second = as_integers(a), as_integers(b)
    for t in range(rows):
        word = first[t]
        first[t] = second[t]
        second[t] = word


@elementwise
def subtract(a, rows, out):
    """In place."""
    for t in range(rows):
        out[t] -= a[t]


@elementwise
def _order(x, other, rows, out):
    """The difference by the larger value less that by the smaller."""
    for t in range(rows):
        more = out[t]
        out[t] = more if other[t] > x[t] else -more


@tile_kernel(EVALUATE)
def evaluate(own, f, x, value, rows, d, stride, args, terms):
    """f at the other values, less f at x, or at the second one."""
    rules, work = as_integers(own[_RULES_AT]), offset(terms, -stride)
    status = 0
    for i in range(as_integers(own[_COUNT_AT])[0]):
        rule, out = offset(rules, i * INTEGERS), offset(terms, (own[PREPARED] + i) * stride)
        kind, column = rule[KIND], offset(x, rule[COORDINATE] * stride)
        other, base = offset(terms, rule[FIRST] * stride), value
        exchange(column, other, rows)
        status = evaluate_f(f, (x, out, rows, d, stride, args))
        exchange(column, other, rows)
        if kind == ASIDE and status == 0:
            below, base = offset(other, stride), work
            exchange(column, below, rows)
            status = evaluate_f(f, (x, work, rows, d, stride, args))
            exchange(column, below, rows)
        if status != 0:
            return status
        difference = vector(out, rows)
        subtract(vector(base, rows), rows, difference)
        if kind == MIRROR:
            _order(vector(column, rows), vector(other, rows), rows, difference)
        elif kind in (FLIP, TRIAL):
            _order(
                vector(as_integers(column), rows), vector(as_integers(other), rows), rows,
                difference,
            )  # fmt: skip
    return status


@elementwise
def _add_multiple(factor, column, rows, out):
    for t in range(rows):
        out[t] += factor * column[t]


@tile_kernel(CONTRACT)
def contract(own, params, x, terms, rows, d, stride, index, out):
    """Each difference, times its coefficient, to its entry."""
    rules, numbers = as_integers(own[_RULES_AT]), as_floats(own[_NUMBERS_AT])
    for i in range(as_integers(own[_COUNT_AT])[0]):
        entry = index[rules[i * INTEGERS + COLUMN]]
        _add_multiple(
            numbers[i * NUMBERS + COEFFICIENT],
            vector(offset(terms, (own[PREPARED] + i) * stride), rows), rows,
            vector(offset(out, entry * stride), rows),
        )  # fmt: skip
