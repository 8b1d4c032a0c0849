"""Student's t in bulk by Bailey's (1994) polar method, arsinh of it too, and its tails."""

from __future__ import annotations

import math
from typing import Any

from fastscore.engine.hyperbolic import arsinh, sinh
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import fill_words
from fastscore.engine.vecmath import (
    ATANH_LIMIT,
    atanh_tail,
    exp,
    expm1,
    log,
    minus_log,
    quarter_turns,
)

#: Of a smaller df, a draw may overflow: the largest of −log u is 36.04.
FEWEST = 0.11
#: Beyond it, z is larger by far than √df, and its square could overflow.
FAR = 1e140

_HALF = CHUNK // 2
_LOG_2 = math.log(2)
#: Where exp y is nearly too large, ``sinh y = ± exp(|y| − log 2)`` with a loc lost in it.
_FAR_Y = 700.0


def _polar(radii: Any, project: Any) -> Any:
    """Make a sampler, ``(stream, scratch, out, count, df, loc, scale)``: radii, and one coordinate.

    The radius is that of a bivariate t: both of its coordinates are Student's t but not
    independent.
    """

    @elementwise
    def fill(stream, scratch, out, count, df, loc, scale):
        words, turns = as_words(scratch), offset(as_words(scratch), _HALF)
        for start in range(0, count, _HALF):
            length = min(_HALF, count - start)
            run = vector(offset(out, start), length)
            fill_words(stream, words, CHUNK)
            radii(vector(words, length), run, length, df, scale)
            project(vector(turns, length), run, length, loc)

    return fill


@elementwise
def _radii(words, out, count, df, scale):
    """``√(df (u^(−2/df) − 1))``, at most e³⁵⁴."""
    power = 2.0 / df
    for i in range(count):
        out[i] = scale * math.sqrt(df * expm1(min(power * minus_log(words[i]), 709.0)))


@elementwise
def _project(words, out, count, loc):
    for i in range(count):
        out[i] = loc + out[i] * quarter_turns(words[i])[0]


@elementwise
def _log_radii(words, out, count, df, shift):
    for i in range(count):
        e = minus_log(words[i]) / df
        out[i] = e + 0.5 * log(-df * expm1(-2.0 * e)) + shift


@elementwise
def _arsinh_project(words, out, count, loc):
    for i in range(count):
        cosine = quarter_turns(words[i])[0]
        size = out[i] + log(abs(cosine))
        value = arsinh(loc + math.copysign(exp(min(size, _FAR_Y)), cosine))
        out[i] = math.copysign(size + _LOG_2, cosine) if size > _FAR_Y else value


#: StudentT(df, loc, scale).
students = _polar(_radii, _project)
#: Area hyperbolic sines of such, from the logarithm of the scale.
arsinh_students = _polar(_log_radii, _arsinh_project)


@inlined
def tail(z, inverse):
    """``log(1 + q)``, ``q/(1 + q)`` and the difference of both, q = z²/df."""
    size = min(abs(z), FAR)
    q = size * size * inverse
    share = 1.0 / (1.0 + 1.0 / q)
    far = abs(z) > FAR
    s = q / (2.0 + q)
    square = s * s
    rest = s * square * atanh_tail(square)
    value = log(abs(z) if far else 1.0 + q)
    value = 2.0 * value + log(inverse) if far else value
    near = s < ATANH_LIMIT
    return (2.0 * s + rest if near else value), share, (s * share + rest if near else value - share)


@inlined
def arsinh_tail(y, inverse, loc, scale, log_scale):
    """``z = (sinh y − loc)/scale``, and its `tail`."""
    z = (sinh(y) - loc) / scale
    logarithm, share, rest = tail(z, inverse)
    far = abs(y) > 0.5 * _FAR_Y
    log_q = 2.0 * (abs(y) - _LOG_2 - log_scale) + log(inverse)
    return z, log_q if far else logarithm, share, log_q - share if far else rest
