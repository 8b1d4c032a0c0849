"""Special functions of parameters: constants of densities, scores and Fisher matrices.

Arrays in, arrays out, for positive arguments, to about 1e-15.  Differences of digammas are written
so that nothing cancels, neither of large arguments nor of close ones: the arguments are raised by
`_STEPS` by the recurrence, whose terms are all positive, and from there on the asymptotic series
is differenced term by term.
"""

from __future__ import annotations

import math

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
