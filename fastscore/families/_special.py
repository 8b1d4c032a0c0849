"""Special functions of parameters: constants of densities, scores and Fisher matrices.

Arrays in, arrays out, for positive arguments, to about 1e-15.  Differences of digammas are written
so that nothing cancels, neither of large arguments nor of close ones: the arguments are raised by
`_STEPS` by the recurrence, whose terms are all positive, and from there on the asymptotic series
is differenced term by term.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from fastscore.engine.special import DIGAMMA, SHIFT, STIRLING

Array = np.ndarray

#: Shapes above it are large: the deviance forms of a density and its score are the accurate ones.
LARGE = 3.0
#: From twelve on asymptotic series of nine terms are good to 1e-17.
_STEPS = 12
_LOG_2PI = math.log(2 * math.pi)
_B = np.array([
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798
])  # fmt: skip
_2K = 2.0 * np.arange(1, len(_B) + 1)
# trigamma(y) = 1/y + 1/(2 y**2) + sum B_2k y**(-2k - 1)
# digamma(y) = log y - 1/(2 y) - sum c_k y**(-2k)
_IN_DIGAMMA = _B / _2K
# digamma((v + 1)/2) - digamma(v/2) = 1/v + sum c_k v**(-2k)
_IN_STEP = (2.0**_2K - 1) * 2 * _B / _2K
#: Nodes and weights of Gauss and Legendre's rule on (0, 1).
_GAUSS = [((1 + x) / 2, w / 2) for x, w in zip(*np.polynomial.legendre.leggauss(32), strict=True)]

# A subnormal argument has infinite reciprocals, and so, rightly, have some of these functions.
_quietly = np.errstate(over="ignore")


@_quietly
def stirling_error(a: Array) -> Array:
    """``log Γ(a) − ((a − ½) log a − a + ½ log 2π)``, about 1/(12 a)."""
    up = np.where(a < 1, a + 1, a)
    value = _polynomial(STIRLING, up) / up
    small = value + (a + 0.5) * (np.log1p(a) - np.log(a)) - 1
    return np.where(a < 1, small, value)


@_quietly
def digamma_excess(a: Array) -> Array:
    """``ψ(a) − log a``, about −1/(2 a)."""
    up = np.where(a < 1, a + 1, a)
    value = -(0.5 + _polynomial(DIGAMMA, up) / up) / up
    return np.where(a < 1, value + (np.log1p(a) - np.log(a)) - 1 / a, value)


@_quietly
def digamma_difference(a: Array, b: Array) -> Array:
    """``ψ(a + b) − ψ(a)``."""
    value = 0.0
    for k in range(_STEPS):
        value = value + b / (a + b + k) / (a + k)
    y = a + _STEPS
    u, v = 1 / y, 1 / (y + b)
    gap = b * u * v  # u - v
    return value + np.log1p(b * u) + gap * (0.5 + (u + v) * _slope(_IN_DIGAMMA, u * u, v * v))


@_quietly
def trigamma_difference(a: Array, b: Array) -> Array:
    """``ψ′(a) − ψ′(a + b)``."""
    value = 0.0
    for k in range(_STEPS):
        u, v = 1 / (a + k), 1 / (a + b + k)
        value = value + b * u * v * (u + v)
    y = a + _STEPS
    u, v = 1 / y, 1 / (y + b)
    series = u * u * np.polyval(_B[::-1], u * u) + v * (u + v) * _slope(_B, u * u, v * v)
    return value + b * u * v * (1 + 0.5 * (u + v) + series)


@_quietly
def log_beta(a: Array, b: Array) -> Array:
    """``log B(a, b)``."""
    from scipy.special import gammaln

    n = a + b
    errors = stirling_error(a) + stirling_error(b) - stirling_error(n)
    large = (
        errors + 0.5 * (_LOG_2PI + np.log(n / a / b)) - a * np.log1p(b / a) - b * np.log1p(a / b)
    )
    # Exact at (1, 1), (1, 2), ...
    return np.where(n > LARGE, large, gammaln(a) + gammaln(b) - gammaln(n))


def log_beta_constant(a: Array, b: Array) -> Array:
    """Of the log-density of Beta(a, b): of its binomial form if both are `LARGE`, or the plain one.

    ``engine.special`` has them.
    """

    def spread(count: Array) -> Array:
        return 0.5 * np.log(2 * np.pi * count) + stirling_error(count)

    one, zero = np.maximum(a - 1, 1), np.maximum(b - 1, 1)
    binomial = np.log(one + zero + 1) + spread(one + zero) - spread(one) - spread(zero)
    return np.where(np.minimum(a, b) > LARGE, binomial, -log_beta(a, b))


@_quietly
def log_square_ratio(power: Array, b: Array | None = None) -> Array:
    """``log E[v^(2 power)] − 2 log E[v^power]`` of standard exponentials v, or of Beta(1, b).

    It is ``F(2 power) − 2 F(power) + F(0)`` of a function whose second derivative at s, ψ′(1 + s)
    or of betas that less ψ′(1 + b + s), is integrated: over log(1 + s), where it is smooth.
    """
    from scipy.special import polygamma

    value = 0.0 * power
    ends = value, np.log1p(power), np.log1p(2 * power)
    for low, high in pairwise(ends):
        for node, weight in _GAUSS:
            t = low + node * (high - low)
            s = np.expm1(t)
            bend = polygamma(1, 1 + s) if b is None else trigamma_difference(1 + s, b)
            value = value + weight * (high - low) * np.exp(t) * np.minimum(s, 2 * power - s) * bend
    return value


@_quietly
def half_gamma_step(v: Array) -> Array:
    """``log Γ((v + 1)/2) − log Γ(v/2) − ½ log(v/2)``, about −1/(4 v)."""
    a = 0.5 * v
    return a * np.log1p(0.5 / a) - 0.5 + stirling_error(a + 0.5) - stirling_error(a)


@_quietly
def half_digamma_step(v: Array) -> Array:
    """``ψ((v + 1)/2) − ψ(v/2) − 1/v``, about 1/(2 v²)."""
    value = 0.0
    for k in range(_STEPS):
        w = v + 2 * k
        value = value + 2 / w / (w + 1) / (w + 2)
    return value + _in_inverse_squares(_IN_STEP, v + 2 * _STEPS)


@_quietly
def student_information(v: Array) -> Array:
    """Fisher information of Student's t about its degrees of freedom, 7/(2 v⁴) for large v."""
    near = 0.5 * trigamma_difference(0.5 * v, 0.5 + 0 * v) - (v + 5) / v / (v + 1) / (v + 3)
    y = np.maximum(v, 2 * _STEPS)
    series = _in_inverse_squares((_2K * _IN_STEP)[1:], y) / y**3
    far = (7 + 3 / y) / y / y / (y + 1) / (y + 3) + series
    return 0.5 * np.where(v < 2 * _STEPS, near, far)


def negative_binomial_information(r: float, p: float, q: float) -> float:
    """``E[ψ′(r) − ψ′(x + r)]``, ψ′ being the integral of ``v exp(−r v)/(1 − exp(−v))`` over v."""

    def expected(s: Array) -> Array:
        v = s / r
        part = -np.expm1(-v)
        with np.errstate(divide="ignore"):
            rest = np.where(p * part < 0.5, np.log1p(-p * part), np.log(q + p * np.exp(-v)))
        return -np.exp(-s) * rest / (part * r)

    angle = min(1.2, math.atan2(math.pi, math.log(p / q)))
    return integral(expected, -38.0, 3.8, angle)


def beta_binomial_ends(n: float, a: float, b: float) -> list[float]:
    """``ψ(a + n) − ψ(a) − ψ(a + b + n) + ψ(a + b)``, the same of b, and its integrals over b, a.

    The first is the score by a at x = n, the third minus the log-probability there.  They are
    integrals over v, in which nothing cancels.
    """

    def difference(v: Array, c: float, other: float) -> Array:
        return np.exp(-c * v) * np.expm1(-n * v) * np.expm1(-other * v) / -np.expm1(-v)

    sums = []
    for power in (0, 1):
        for c, other in ((a, b), (b, a)):
            low, high = -38.0 - math.log(max(n, a, b, 1.0)), math.log(45.0 / c)
            part = partial(difference, c=c, other=other)
            sums.append(integral(lambda v: part(v) / v**power, low, high, 1.2))  # noqa: B023
    return sums


def integral(g: Callable[[Array], Array], low: float, high: float, angle: float) -> float:
    """``∫ g(v) dv`` from exp(low) to exp(high), where beyond there is nothing left, to 1e-15.

    The trapezoidal rule, in log v, converges exponentially if g is analytic up to that angle.
    """
    step = angle / 7
    v = np.exp(low + step * np.arange((high - low) / step))
    return float(step * np.sum(v * g(v)))


@_quietly
def kumaraswamy_information(b: Array) -> tuple[Array, Array]:
    """Fisher information of Kumaraswamy's distribution: of log a, and of log a and log b."""
    one, two = np.ones_like(b), np.full_like(b, 2.0)
    # Where a difference and its divisor vanish, they do so in proportion.
    above, over = (np.where(gap == 0, 1e-30, gap) for gap in (np.where(b > 1, b - 2, 1.0), b - 1))
    step, bend = digamma_difference(two, above), trigamma_difference(two, above)
    large = 1 + b * (step * (step / above) + bend / above)
    # Of small b it is proportional to b, and 1 would cancel.
    harmonic = digamma_difference(one, b)
    small = b * ((1 - harmonic) ** 2 + trigamma_difference(one, b)) - 2 * harmonic
    of_a = np.where(b > 1, large, small / np.where(b > 1, 1.0, b - 2))
    return of_a, -b * (digamma_difference(two, over) / over)


def _polynomial(coefficients: tuple[float, ...], y: Array) -> Array:
    """One of the polynomials of the kernels, for y from 1 on."""
    u = 1 / np.hypot(math.sqrt(SHIFT), y)
    return np.polyval(coefficients[::-1], u * u)


def _in_inverse_squares(c: Array, y: Array) -> Array:
    """``Σ c_k y^(−2k)``, k from 1."""
    q = (1 / y) ** 2
    return q * np.polyval(c[::-1], q)


def _slope(c: Array, p: Array, q: Array) -> Array:
    """``(S(p) − S(q))/(p − q)`` of ``S(q) = Σ c_k q^k``, k from 1."""
    value = slope = np.zeros_like(p)
    for coefficient in [*c[::-1], 0.0]:
        slope = slope * q + value
        value = value * p + coefficient
    return slope
