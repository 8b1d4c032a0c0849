"""Normals by inversion, one from each word: what structured words ask for.

The quantile at ``u = (1 + v)/2`` is v times a function of ``-log(1 - v²)``, smooth enough for one
polynomial wherever the top nine bits of a word are not all the same.  The few others, two of 512,
are met one by one: there it is the root of ``-log`` of what lies beyond, times a polynomial in its
inverse.
"""

from __future__ import annotations

import math

from fastscore.engine.jit import elementwise, inlined, plain
from fastscore.engine.memory import far_words, offset, vector
from fastscore.engine.vecmath import log_inside, one_and_fraction

#: Words that are looked through at a time for those far out.
_LANES = 16
_HALF_STEP = 2.0**-52
#: Middles of the ranges of the polynomials' variables.
_MIDDLE, _FAR_MIDDLE = 2.4273, 0.28268

# Both polynomials, lowest degree first, are made by tools/fit_polynomials.py.
# quantile / v in w - 2.4273, w = -log(1 - v**2); relative error 1.9e-16
_QUANTILE = (
    2.097925025714118,
    0.3496324267384096,
    -0.005511421178154815,
    -0.0018616882973511153,
    0.0003108286734694998,
    -4.883199211276819e-06,
    -5.173053871337711e-06,
    6.630042021653941e-07,
    2.931796618984735e-08,
    -1.623993937255353e-08,
    1.132489712728823e-09,
    2.0795205541803053e-10,
    -4.4861776892909235e-11,
    4.561706033099559e-13,
    8.816836057035218e-13,
    -1.0006821351034474e-13,
    -9.090694365621636e-15,
    2.7641423659616928e-15,
    7.159952181842232e-18,
    -3.6478918274598905e-17,
)
# quantile / s in 1 / s - 0.28268, s = sqrt(-log(1 - u)); relative error 1.3e-15
_FAR_QUANTILE = (
    1.2673635240741095,
    -0.8551181065271682,
    -0.8896414233681628,
    0.6450399052318737,
    -0.7045028541169912,
    1.028797275039639,
    -1.851015009338,
    3.7964076617782325,
    -8.444590247853151,
    19.895183578368183,
    -49.60045531474139,
    127.94424885560457,
    -294.8103991979209,
    761.8186187794506,
    -4056.8513759364723,
    12214.546997111127,
)


@inlined
def _centred(word):
    """v, an odd multiple of 2^-52 between -1 and 1: neither it nor 1 - |v| has an error."""
    return 2.0 * (one_and_fraction(word) - 1.5) + _HALF_STEP


@inlined
def _quantile(word):
    """The quantile, if it is not far out."""
    v = _centred(word)
    h = -log_inside(1.0 - v * v) - _MIDDLE
    h2 = h * h
    h4 = h2 * h2
    h8 = h4 * h4
    c = _QUANTILE
    p0 = (c[0] + c[1] * h) + (c[2] + c[3] * h) * h2
    p4 = (c[4] + c[5] * h) + (c[6] + c[7] * h) * h2
    p8 = (c[8] + c[9] * h) + (c[10] + c[11] * h) * h2
    p12 = (c[12] + c[13] * h) + (c[14] + c[15] * h) * h2
    p16 = (c[16] + c[17] * h) + (c[18] + c[19] * h) * h2
    return v * ((p0 + p4 * h4) + (p8 + p12 * h4 + p16 * h8) * h8)


@plain
def far_quantile(word):
    """The quantile far out."""
    v = _centred(word)
    s = math.sqrt(-log_inside(0.5 * (1.0 - abs(v))))
    h = 1.0 / s - _FAR_MIDDLE
    ratio = 0.0
    for c in _FAR_QUANTILE[::-1]:
        ratio = ratio * h + c
    return math.copysign(s * ratio, v)


@elementwise
def _quantiles(words, out, count, loc, scale):
    for t in range(count):
        out[t] = loc + scale * _quantile(words[t])


@elementwise
def quantiles(words, out, count, loc, scale):
    """Normals of words, whose count is a multiple of 16."""
    _quantiles(vector(words, count), vector(out, count), count, loc, scale)
    for start in range(0, count, _LANES):
        far = far_words(offset(words, start))
        t = start
        while far != 0:
            if far & 1:
                out[t] = loc + scale * far_quantile(words[t])
            far, t = far >> 1, t + 1


__all__ = ["quantiles"]
