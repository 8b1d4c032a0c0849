"""Elementary functions that LLVM turns into packed instructions.

Numba's own ``math.log``, ``exp``, ``sin`` and ``cos`` are calls into libm: without Intel's SVML,
which Numba's wheels do not have, a loop around them stays scalar, at 3 to 6 ns for each. The
functions here are scalar too, but free of branches, calls and conversions between integers and
floats, so that LLVM inlines them into a loop over arrays and vectorises that loop, with AVX2 as
well as with AVX-512. What keeps it so:

- ``error_model="numpy"``: a division is a division, not a test for zero;
- a choice is a ternary between two values that are both computed already;
- rounding to an integer adds and subtracts 1.5 * 2**52, and an exponent becomes a float by
  writing it into the low bits of 2**52. Both tricks die under the fastmath flag ``reassoc``,
  which therefore appears nowhere.

The flags belong to the instructions and survive inlining: a caller compiled with
``fastmath=True`` gets the same bits, infinities and NaNs included.

The coefficients come from ``tools/fit_polynomials.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    "SINCOS_LIMIT",
    "as_float",
    "bits_float",
    "exp",
    "exp_below",
    "float_bits",
    "log",
    "log_inside",
    "log_of_rest",
    "minus_log",
    "one_and_fraction",
    "quarter_turns",
    "radius",
    "sincos",
    "split_exp",
]

# For arguments that a user can reach, and for our own random bits, which are always finite.
_on_any = njit(error_model="numpy", fastmath={"contract", "nsz"}, forceinline=True)
_on_bits = njit(error_model="numpy", fastmath={"contract", "nsz", "arcp", "nnan", "ninf"})

ATANH_LIMIT = 0.17157287525380988  # 3 - 2 sqrt(2)
"""The largest absolute value of s whose square is an argument of `atanh_tail`."""

SINCOS_LIMIT = float(2**25)
"""The largest absolute value of an argument of `sincos`."""

# Bits of a double: eleven of exponent above 52 of mantissa, 1023 standing for 2**0.
_SMALLEST_NORMAL = 2.0**-1022
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_ONE_BITS = np.uint64(0x3FF0000000000000)
_SQRT_HALF_BITS = np.uint64(0x3FE6A09E667F3BCD)
_BELOW_ONE = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
_BIG_BITS = np.uint64(0x4330000000000000)  # of 2**52
_BIG_BIASED = 2.0**52 + 1023.0
_ROUND = 1.5 * 2.0**52
_ROUND_BITS = np.uint64(0x4338000000000000)
_ROUND_BIASED = 1.5 * 2.0**52 + 2046.0
_LOW_12 = np.uint64(0xFFF)
_BIAS, _1024 = np.uint64(1023), np.uint64(1024)
_0, _1, _2 = np.uint64(0), np.uint64(1), np.uint64(2)
_6, _12 = np.uint64(6), np.uint64(12)
_52, _62, _63 = np.uint64(52), np.uint64(62), np.uint64(63)
_SIGN = np.uint64(1 << 63)

# log 2 and pi / 2 as sums; an integer below 2**13 (2**25) times a part but the last is exact.
_LN2_HIGH, _LN2_LOW = (0.6931471805592082, 7.371002565167799e-13)
_HALF_PI_HIGH, _HALF_PI_MIDDLE, _HALF_PI_LOW = (
    1.570796325802803,
    9.920935739593517e-10,
    5.721188726109832e-18,
)
_LOG2_E = 1.4426950408889634
_TWO_OVER_PI = 0.6366197723675814
#: A quarter of the step between the largest u: of an exponential the least.
_LEAST_EXPONENTIAL = 2.0**-54
_128_LN2 = 88.722839111673

# The polynomials, lowest degree first, all made by tools/fit_polynomials.py.
# (2 atanh(s) - 2 s) / s**3 in z = s**2; error 1.8e-18
_LOG = (
    0.6666666666666734,
    0.3999999999941468,
    0.2857142874238657,
    0.2222219857327714,
    0.18183564322059806,
    0.1531405063910325,
    0.1479594897518347,
)
# (exp(r) - 1 - r) / r**2 in r; error 1.1e-17
_EXP = (
    0.5000000000000011,
    0.16666666666666413,
    0.041666666666530267,
    0.008333333333494331,
    0.0013888888943598258,
    0.00019841269506785012,
    2.480149313562498e-05,
    2.7557586261704624e-06,
    2.763023411518955e-07,
    2.50000737471787e-08,
)
# (sin(r) - r) / r**3 in q = r**2; error 7.7e-18
_SIN = (
    -0.166666666666666,
    0.008333333333316482,
    -0.00019841269825934138,
    2.7557312544779636e-06,
    -2.505060023929069e-08,
    1.5888585971070624e-10,
)
# (cos(r) - 1 + r**2 / 2) / r**4 in q = r**2; error 9.1e-19
_COS = (
    0.0416666666666666,
    -0.0013888888888874138,
    2.4801587289491847e-05,
    -2.755731435524748e-07,
    2.087572368514805e-09,
    -1.1359669902273635e-11,
)
# -2 log(m) + 2 log(2) (m + 126) in h = m - 1.5; error 1.5e-13
_RADIUS = (
    175.94160082656958,
    0.05296102778801046,
    0.44444444451430726,
    -0.1975308644455938,
    0.09876542628091577,
    -0.05267488464152403,
    0.029264015778194406,
    -0.016722473300601455,
    0.009751764260065842,
    -0.0057770772520230294,
    0.0034920238072378026,
    -0.0021255207906640794,
    0.0011767664114764862,
    -0.0006997834317498412,
    0.0007345533820205768,
    -0.00048306122950869716,
)
# sqrt(1/2) sin(pi v / 2) / v in q = v**2; error 3.4e-18
_TURN_SIN = (
    1.1107207345395915,
    -0.456765593749711,
    0.05635119642906077,
    -0.0033105000937119883,
    0.00011344901824192318,
    -2.544601345558884e-06,
    3.980867070567696e-08,
)
# sqrt(1/2) cos(pi v / 2) in q = v**2; error 7.5e-17
_TURN_COS = (
    0.7071067811865475,
    -0.8723580249548469,
    0.1793714292162494,
    -0.014752708706845436,
    0.000650014944423406,
    -1.7819186801441255e-05,
    3.2917950922273754e-07,
)


def _bit_cast(source: types.Type, target: types.Type, llvm_target: ir.Type) -> Any:
    """Make an intrinsic that reads 64 bits of one type as another type."""

    @intrinsic
    def cast(typing_context, value):
        def codegen(context, builder, signature, args):
            return builder.bitcast(args[0], llvm_target)

        return target(source), codegen

    return cast


float_bits = _bit_cast(types.float64, types.uint64, ir.IntType(64))
"""The 64 bits of a float64, as a uint64."""

bits_float = _bit_cast(types.uint64, types.float64, ir.DoubleType())
"""The float64 whose bits are those of a uint64."""


@intrinsic
def fma(typing_context, a, b, c):
    """``a b + c``, rounded once: what `contract` permits the compiler, but does not promise."""

    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@_on_any
def log(x: float) -> float:
    """Natural logarithm, for every double.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        log(x) with a relative error below 2.5e-16; -inf at 0, NaN below 0.
    """
    return log_minus(x, 0.0)


@_on_any
def log_inside(x: float) -> float:
    """`log` of what is positive and finite but not subnormal, at two thirds of the cost."""
    k, f = _power_and_rest(float_bits(x))
    return _log_of_parts(k, f, 0.0, 0.0)


@_on_any
def log_of_rest(x: float, rest: float) -> float:
    """``log(x)`` between 0 and 1, given also ``1 - x``, with a relative error below 3e-16.

    Both have all their digits, and so has the result, near x = 1 too; x is not subnormal.
    """
    k, f = _power_and_rest(float_bits(x))
    return _log_of_parts(k, -rest if k == 0.0 else f, 0.0, 0.0)


@_on_any
def log_minus(x: float, c: float) -> float:
    """``log(x) - c``, where a rounded logarithm would lose digits to the difference.

    Parameters
    ----------
    x : float
    c : float
        Finite.

    Returns
    -------
    float
        log(x) - c with an error below 2.5e-16 times the larger of itself and 0.4; -inf at 0, NaN
        below 0.
    """
    tiny = x < _SMALLEST_NORMAL
    k, f = _power_and_rest(float_bits(x * 2.0**54 if tiny else x))
    k = k - (54.0 if tiny else 0.0)
    value = _log_of_parts(k, f, 0.0, c)

    value = value if x < math.inf else x
    value = math.nan if x < 0.0 else value
    return -math.inf if x == 0.0 else value


@_on_any
def log1p(x: float) -> float:
    """``log(1 + x)``, for every double.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        log(1 + x) with a relative error below 4e-16; -inf at -1, NaN below -1.
    """
    value = _log1p_inside(x)
    value = value if x < math.inf else x
    value = math.nan if x < -1.0 else value
    return -math.inf if x == -1.0 else value


@_on_any
def _log1p_inside(x: float) -> float:
    """``log(1 + x)`` of what is finite and above -1, or NaN."""
    # 1 + x = u + e without an error
    u = 1.0 + x
    rounded = u - 1.0
    e = (1.0 - (u - rounded)) + (x - rounded)

    k, f = _power_and_rest(float_bits(u))
    near = k == 0.0
    return _log_of_parts(k, x if near else f, 0.0 if near else e / u, 0.0)


@_on_any
def _power_and_rest(bits: int) -> tuple[float, float]:
    """k and f of ``x = 2**k (1 + f)``, 1 + f between sqrt(1/2) and sqrt(2)."""
    shifted = bits + _BELOW_ONE
    k = bits_float((shifted >> _52) | _BIG_BITS) - _BIG_BIASED
    return k, bits_float((shifted & _MANTISSA) + _SQRT_HALF_BITS) - 1.0


@_on_any
def _log_of_parts(k: float, f: float, e: float, c: float) -> float:
    """``k log(2) + log(1 + f) + e - c``: of k log(2) and c no digit is lost."""
    # log(1 + f) = 2 atanh(s) = f - s (f - s**2 tail)
    s = f / (2.0 + f)
    z = s * s
    rest = s * (f - z * atanh_tail(z))
    return (k * _LN2_HIGH - c) + (f - (rest - (k * _LN2_LOW + e)))


@_on_any
def atanh_tail(z: float) -> float:
    """``(2 atanh(s) - 2 s) / s**3`` at ``z = s**2``, for s up to `ATANH_LIMIT`."""
    w = z * z
    c0, c1, c2, c3, c4, c5, c6 = _LOG
    return (c0 + c1 * z) + ((c2 + c3 * z) + ((c4 + c5 * z) + c6 * w) * w) * w


@_on_any
def exp(x: float) -> float:
    """Exponential function, for every double.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        exp(x) with a relative error below 2.5e-16, or of one unit of the last place where it is
        subnormal; inf where it overflows.
    """
    # Beyond these bounds nothing changes any more. A NaN passes both comparisons.
    x = 710.0 if x > 710.0 else x
    x = -746.0 if x < -746.0 else x

    # x = k log(2) + r; the low twelve bits of `rounded` hold k + 2046
    rounded = x * _LOG2_E + _ROUND_BIASED
    k = rounded - _ROUND_BIASED
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW

    value = _exp_of_rest(r)

    # 2**k in two factors, because it may be out of range where exp(x) is not
    exponent = float_bits(rounded) & _LOW_12
    half = exponent >> _1
    return value * bits_float(half << _52) * bits_float((exponent - half) << _52)


@_on_any
def _exp_of_rest(r: float) -> float:
    """exp(r) for at most half of log(2)."""
    return 1.0 + (r + r * r * _exp_tail(r))


@_on_any
def _exp_tail(r: float) -> float:
    """(exp(r) - 1 - r) / r**2 for at most half of log(2)."""
    q = r * r
    w = q * q
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 = _EXP
    low = (c0 + c1 * r) + (c2 + c3 * r) * q
    middle = (c4 + c5 * r) + (c6 + c7 * r) * q
    return low + (middle + (c8 + c9 * r) * w) * w


@_on_any
def exp_below(x: float) -> float:
    """Exponential function of what is not positive, at three quarters of the cost.

    Parameters
    ----------
    x : float
        At most 0.

    Returns
    -------
    float
        exp(x) with a relative error below 2.5e-16; 0 below -708, where it would be subnormal soon.
    """
    inside = x if x > -708.0 else -708.0
    rounded = inside * _LOG2_E + _ROUND_BIASED
    k = rounded - _ROUND_BIASED
    r = (inside - k * _LN2_HIGH) - k * _LN2_LOW
    # The low twelve bits of `rounded` hold k + 2046, twice the bias and k.
    exponent = (float_bits(rounded) & _LOW_12) - _BIAS
    value = _exp_of_rest(r) * bits_float(exponent << _52)
    return value if x > -708.0 else 0.0


@_on_any
def split_exp(x: float) -> tuple[float, float]:
    """``exp(x)`` and ``1 - exp(x)`` of what is not positive, for little more than one of them.

    Parameters
    ----------
    x : float
        At most 0; what is below -700 is taken for it.

    Returns
    -------
    tuple of float
        Both with relative errors below 4e-16.
    """
    x = x if x > -700.0 else -700.0
    rounded = x * _LOG2_E + _ROUND_BIASED
    k = rounded - _ROUND_BIASED
    high = x - k * _LN2_HIGH
    low = k * _LN2_LOW
    r = high - low
    more = r + (r * r * _exp_tail(r) + ((high - r) - low))
    power = bits_float(((float_bits(rounded) & _LOW_12) - _BIAS) << _52)
    return power + power * more, (1.0 - power) - power * more


@_on_any
def expm1(x: float) -> float:
    """``exp(x) - 1``, for every double.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        exp(x) - 1 with a relative error below 4e-16.
    """
    # Beyond these bounds nothing changes any more. A NaN passes both comparisons.
    x = 710.0 if x > 710.0 else x
    x = -45.0 if x < -45.0 else x

    rounded = x * _LOG2_E + _ROUND_BIASED
    k = rounded - _ROUND_BIASED
    high = x - k * _LN2_HIGH
    low = k * _LN2_LOW
    r = high - low
    value = r + (r * r * _exp_tail(r) + ((high - r) - low))

    # 2**k may be out of range where 2**(k - 1), half of it, is not
    half = bits_float(((float_bits(rounded) & _LOW_12) - _1024) << _52)
    return value if k == 0.0 else 2.0 * (half * value + (half - 0.5))


@_on_any
def log1pexp(x: float) -> float:
    """``log(1 + exp(x))``, for every double, with a relative error below 6e-16."""
    return (x if x > 0.0 else 0.0) + _log1p_inside(exp(-abs(x)))


@_on_any
def expit(x: float) -> float:
    """``1 / (1 + exp(-x))``, for every double, with a relative error below 6e-16."""
    e = exp(-abs(x))
    return (e if x < 0.0 else 1.0) / (1.0 + e)


@_on_any
def sincos(x: float) -> tuple[float, float]:
    """Sine and cosine.

    Parameters
    ----------
    x : float
        An angle of at most `SINCOS_LIMIT` = 2**25 in absolute value.

    Returns
    -------
    tuple of float
        sin(x) and cos(x) with absolute errors below 2.5e-16; both NaN beyond the limit.
    """
    x = x if abs(x) <= SINCOS_LIMIT else math.nan

    # x = k pi / 2 + r; the low two bits of `rounded` hold k modulo 4
    rounded = x * _TWO_OVER_PI + _ROUND
    k = rounded - _ROUND
    r = ((x - k * _HALF_PI_HIGH) - k * _HALF_PI_MIDDLE) - k * _HALF_PI_LOW

    q = r * r
    w = q * q
    s0, s1, s2, s3, s4, s5 = _SIN
    c0, c1, c2, c3, c4, c5 = _COS
    sin_tail = (s0 + s1 * q) + ((s2 + s3 * q) + (s4 + s5 * q) * w) * w
    cos_tail = (c0 + c1 * q) + ((c2 + c3 * q) + (c4 + c5 * q) * w) * w
    s = r + (r * q) * sin_tail
    c = (1.0 - 0.5 * q) + w * cos_tail

    quadrant = float_bits(rounded)
    odd = (quadrant & _1) != _0
    sin_sign = (quadrant & _2) << _62
    cos_sign = ((quadrant + _1) & _2) << _62
    sin_size = c if odd else s
    cos_size = s if odd else c
    return (
        bits_float(float_bits(sin_size) ^ sin_sign),
        bits_float(float_bits(cos_size) ^ cos_sign),
    )


@_on_any
def as_float(j: int) -> float:
    """An integer of less than 2**51 in absolute value, which AVX2 has no instruction for."""
    return bits_float(np.uint64(j) + _ROUND_BITS) - _ROUND


@_on_any
def one_and_fraction(word: int) -> float:
    """The top 52 of random bits as a fraction, and 1: a float in [1, 2)."""
    return bits_float((word >> _12) | _ONE_BITS)


@_on_bits
def radius(word: int) -> float:
    """Radius of the Box-Muller transform, sqrt(-2 log u).

    Parameters
    ----------
    word : uint64
        Random bits. The top 52, read as an integer j, make u = 1 - j / 2**52 in (0, 1].

    Returns
    -------
    float
        The radius; the error of its square is below 2e-13.
    """
    return math.sqrt(max(_minus_2_log(word), 0.0))


@_on_bits
def minus_log(word: int) -> float:
    """A standard exponential, -log u with the u of `radius`.

    Returns
    -------
    float
        Positive, also for u = 1; the error is below 1e-13.
    """
    return max(0.5 * _minus_2_log(word), _LEAST_EXPONENTIAL)


@_on_bits
def _minus_2_log(word: int) -> float:
    """-2 log u; rounding may take it below 0."""
    # u = 2**e m with m = 1.5 + h in [1, 2). The bits of u, exponent before mantissa, read e + m - 1
    # as a fixed-point number, up to a constant: log2(u) but for a function of m alone. `line` is
    # 1 + (e + 63 + m - 1) / 64.
    bits = float_bits(2.0 - one_and_fraction(word))
    line = bits_float((bits >> _6) | _ONE_BITS)
    h = bits_float((bits & _MANTISSA) | _ONE_BITS) - 1.5

    h2 = h * h
    h4 = h2 * h2
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15 = _RADIUS
    p0 = ((c0 - _128_LN2 * line) + c1 * h) + (c2 + c3 * h) * h2
    p4 = (c4 + c5 * h) + (c6 + c7 * h) * h2
    p8 = (c8 + c9 * h) + (c10 + c11 * h) * h2
    p12 = (c12 + c13 * h) + (c14 + c15 * h) * h2
    return p0 + (p4 + (p8 + p12 * h4) * h4) * h4


@_on_bits
def quarter_turns(word: int) -> tuple[float, float]:
    """Cosine and sine of an angle uniform on the circle.

    Parameters
    ----------
    word : uint64
        Random bits. The top 52, read as an integer j, give the angle j / 2**52 pi / 2 in the first
        quadrant; bit 0 is the sign of the cosine, bit 1 that of the sine.

    Returns
    -------
    tuple of float
        Cosine and sine, with absolute errors below 4e-16.
    """
    # With a = angle - pi / 4: cos(angle) = (cos a - sin a) / sqrt(2), sin(angle) their sum. Both
    # are positive, so that two signs reach all quadrants, without a choice between values.
    v = one_and_fraction(word) - 1.5
    q = v * v
    q2 = q * q
    s0, s1, s2, s3, s4, s5, s6 = _TURN_SIN
    c0, c1, c2, c3, c4, c5, c6 = _TURN_COS
    s = (s0 + s1 * q) + ((s2 + s3 * q) + ((s4 + s5 * q) + s6 * q2) * q2) * q2
    c = (c0 + c1 * q) + ((c2 + c3 * q) + ((c4 + c5 * q) + c6 * q2) * q2) * q2
    cosine, sine = c - v * s, c + v * s
    return (
        bits_float(float_bits(cosine) ^ (word << _63)),
        bits_float(float_bits(sine) ^ ((word << _62) & _SIGN)),
    )
