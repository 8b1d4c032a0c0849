"""A power of a proportion, x^a, and what is left of it, by their logarithms.

Of x there are two, ``v = −log x^a`` and ``w = −log(1 − x^a)``.  Each is the same function of the
other, since ``exp(−v) + exp(−w) = 1``.
"""

from __future__ import annotations

import math

from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.vecmath import exp, exp_below, log_inside, log_of_rest, split_exp
from fastscore.families.bijection import map_of_columns


@inlined
def other(v):
    """w of v, and v of w."""
    power, rest = split_exp(-v)
    value = -log_of_rest(rest, power)
    return math.inf if v == 0.0 else value


@elementwise
def to_x(w, x, count, power):
    """x of w, power being 1/a; in three passes, since one spills registers."""
    for t in range(count):
        x[t] = split_exp(-w[t])[1]
    for t in range(count):
        x[t] = log_inside(x[t]) * power
    for t in range(count):
        x[t] = exp_below(x[t])


@elementwise
def _slope(w, column, count, power):
    """``dx/dw``: power x^(1 − a) exp(−w)."""
    for t in range(count):
        rest, left = split_exp(-w[t])
        column[t] *= power * rest * exp(log_inside(left) * (power - 1.0))


#: The same of tiles.
to_x_kernel = map_of_columns(to_x, "powers", 1, _slope)

__all__ = ["other", "to_x", "to_x_kernel"]
