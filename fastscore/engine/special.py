"""Special functions in kernels: what log-densities and scores need not to lose digits.

Loader's (2000) saddle-point forms: with the deviance ``D(x, m) = x log(x/m) + m − x`` and
Stirling's error δ, ``log x! = x log x − x + ½ log(2πx) + δ(x)``,

Poisson(m)      ``log p = −D(x, m) − ½ log(2πx) − δ(x)``, at x = 0 ``−m``
Binomial(n, p)  ``log p = −D(x, np) − D(n − x, nq) + A(n) − A(x) − A(n − x)``,
                ``A(x) = ½ log(2πx) + δ(x)``; without the A at x = 0 and x = n
Gamma(a, β)     ``log f = log β + log p`` of Poisson(βx) at a − 1; for small a plainly
                ``a log β − log Γ(a) + (a − 1) log x − βx``
Beta(a, b)      ``log f = log(n + 1) + log p`` of Binomial(n, x) at a − 1, n = a + b − 2; if a or b
                is small plainly ``(a − 1) log x + (b − 1) log(1 − x) − log B(a, b)``

All terms but the constant ones have one sign, so nothing cancels.  What decides is the difference
``x − m``, of numbers that may be large and close: it is an argument of its own, to be computed by
the caller without error, with `fma` where m is a product.

Scalar, free of branches and inlined, as in ``vecmath``; coefficients from
``tools/fit_polynomials.py``.
"""

from __future__ import annotations

import math

from fastscore.engine.jit import inlined
from fastscore.engine.vecmath import ATANH_LIMIT, atanh_tail, log, log_minus

__all__ = [
    "DIGAMMA",
    "SHIFT",
    "STIRLING",
    "deviance",
    "digamma",
    "digamma_excess",
    "log_gamma",
    "log_of_ratio",
    "log_ratio",
    "stirling_error",
    "times_log",
]

# Inlined by force: LLVM would call the longer ones, and not vectorise the loop around them.

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
SHIFT = 1.1
# y S(y) in r = 1/(1.1 + y**2), y >= 1, S(y) = log gamma(y) - (y - 1/2) log y + y - log(2 pi)/2;
# relative error 9.8e-17
STIRLING = (
    0.08333333333333333,
    -0.002777777777765334,
    -0.0022619047659494422,
    -0.0022103169338680614,
    -0.0019388415232483198,
    -0.0023751879398478267,
    -0.0005860302743418562,
    -0.008865877468359956,
    0.033444009966345695,
    -0.1782023513690767,
    0.7738785891404194,
    -2.8976391351227413,
    8.878069171176659,
    -21.89774122632346,
    42.47709003251368,
    -63.189510596585386,
    69.44016135237555,
    -53.125689532494945,
    25.293158653067533,
    -5.674179385675796,
)
# y**2 (log y - digamma(y)) - y/2 in r = 1/(1.1 + y**2), y >= 1; relative error of
# log y - digamma(y) 7.6e-17
DIGAMMA = (
    0.08333333333333127,
    -0.00833333333195433,
    -0.005198412974743493,
    -0.005519814867184067,
    -0.0028626245661592794,
    -0.009028723306754144,
    0.017712099548304227,
    -0.11283788136658678,
    0.5621153396591664,
    -2.7292874031204435,
    11.445471161025921,
    -40.357704129341684,
    116.39085802449809,
    -269.2794495012846,
    489.4626509288228,
    -681.1127747047987,
    698.805340211334,
    -497.47076836071454,
    219.310702776318,
    -45.12208421603676,
)


@inlined
def times_log(c: float, x: float) -> float:
    """``c log(x)``, 0 at c = 0 for every x."""
    value = c * log(x)
    return 0.0 if c == 0.0 else value


@inlined
def log_ratio(x: float, m: float, difference: float) -> float:
    """``log(x/m)`` with a relative error below 1e-15, given ``x − m`` as precisely.

    Parameters
    ----------
    x, m : float
        Not negative.
    difference : float
        x − m.
    """
    s = difference / (x + m)
    z = s * s
    near = s * (2.0 + z * atanh_tail(z))
    far = log(x / m)
    return near if abs(s) < ATANH_LIMIT else far


@inlined
def log_of_ratio(x: float, u: float, log_mean: float) -> float:
    """``log x − log_mean``, u being ``x/mean − 1``; with one logarithm for all x."""
    near = (u > -0.5) & (u < 1e3)
    v = 1.0 + u
    value = log_minus(v if near else x, 0.0 if near else log_mean)
    return value + ((u - (v - 1.0)) / v if near else 0.0)


@inlined
def deviance(x: float, m: float, difference: float) -> float:
    """``x log(x/m) + m − x``, with a relative error below 4e-15, given ``x − m`` to 1e-16.

    Parameters
    ----------
    x, m : float
        Not negative, x finite.
    difference : float
        x − m.

    Returns
    -------
    float
        At least 0; m at x = 0; infinity where ``x/m`` overflows, as it does at m = 0.
    """
    s = difference / (x + m)
    z = s * s
    near = difference * s + x * (s * z * atanh_tail(z))
    far = x * log(x / m) - difference
    value = near if abs(s) < ATANH_LIMIT else far
    value = m if x == 0.0 else value
    return m if m == math.inf else value


@inlined
def stirling_error(x: float) -> float:
    """``log x! − (x log x − x + ½ log(2πx))``, about 1/(12 x), to 1e-16; x is at least 1."""
    return _polynomial(1.0 / (SHIFT + x * x), STIRLING) / x


@inlined
def log_gamma(x: float) -> float:
    """``log Γ(x)`` for positive x, to 5e-16 times the larger of itself and 1; infinity at 0."""
    small = x < 1.0
    y = x + 1.0 if small else x
    value = (y - 0.5) * (log(y) - 1.0) + ((_HALF_LOG_2PI - 0.5) + stirling_error(y))
    reflected = value - log(x)
    return reflected if small else value


@inlined
def digamma(x: float) -> float:
    """``ψ(x)`` for positive x, to 5e-16 times the larger of itself and 1; −infinity at 0."""
    small = x < 1.0
    y = x + 1.0 if small else x
    value = log(y) + digamma_excess(y)
    reflected = value - 1.0 / x
    value = reflected if small else value
    return value if x >= 0.0 else math.nan


@inlined
def digamma_excess(y: float) -> float:
    """``ψ(y) − log y``, about −1/(2 y), with a relative error below 3e-16; y is at least 1."""
    return -(0.5 + _polynomial(1.0 / (SHIFT + y * y), DIGAMMA) / y) / y


@inlined
def _polynomial(r: float, c: tuple[float, ...]) -> float:
    """The polynomial of twenty coefficients, by Estrin's scheme."""
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19 = c
    q = r * r
    w = q * q
    p0 = (c0 + c1 * r) + (c2 + c3 * r) * q
    p4 = (c4 + c5 * r) + (c6 + c7 * r) * q
    p8 = (c8 + c9 * r) + (c10 + c11 * r) * q
    p12 = (c12 + c13 * r) + (c14 + c15 * r) * q
    p16 = (c16 + c17 * r) + (c18 + c19 * r) * q
    return p0 + (p4 + (p8 + (p12 + p16 * w) * w) * w) * w
