"""Area hyperbolic sines of Student's t: what `StudentT` draws from where samples could overflow.

Like a logarithm of large values, but of both signs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import fill_words
from fastscore.engine.vecmath import exp, expm1, log, log1p, minus_log, quarter_turns
from fastscore.families._family import Source
from fastscore.families.bijection import Bijection
from fastscore.families.student_t import StudentT, scores_of, tail

_HALF = CHUNK // 2
_LOG_2 = math.log(2)
#: Where exp y is nearly too large, ``sinh y = ± exp(|y| − log 2)`` with a loc lost in it.
_FAR = 700.0


@inlined
def sinh(y):
    """Hyperbolic sine."""
    size = abs(y)
    far = size > 20.0
    e = expm1(size - _LOG_2 if far else size)
    return math.copysign(e + 1.0 if far else 0.5 * (e + e / (1.0 + e)), y)


@inlined
def arsinh(x):
    """Its inverse."""
    size = abs(x)
    far = size > 1e150
    square = size * size
    value = log1p(size if far else size + square / (1.0 + math.sqrt(1.0 + square)))
    return math.copysign(value + (_LOG_2 if far else 0.0), x)


@inlined
def _log_cosh(y):
    return abs(y) - _LOG_2 + log1p(exp(-2.0 * abs(y)))


SINH = Bijection(sinh, arsinh, _log_cosh)


@elementwise
def _sample(stream, scratch, y, count, df, loc, log_scale):
    """As `StudentT` does, with logarithms of radii."""
    words, turns = as_words(scratch), offset(as_words(scratch), _HALF)
    for start in range(0, count, _HALF):
        length = min(_HALF, count - start)
        out = vector(offset(y, start), length)
        fill_words(stream, words, CHUNK)
        _log_radii(vector(words, length), out, length, df, log_scale)
        _project(vector(turns, length), out, length, loc)


@elementwise
def _log_radii(words, out, count, df, shift):
    for i in range(count):
        e = minus_log(words[i]) / df
        out[i] = e + 0.5 * log(-df * expm1(-2.0 * e)) + shift


@elementwise
def _project(words, out, count, loc):
    for i in range(count):
        cosine = quarter_turns(words[i])[0]
        size = out[i] + log(abs(cosine))
        value = arsinh(loc + math.copysign(exp(min(size, _FAR)), cosine))
        out[i] = math.copysign(size + _LOG_2, cosine) if size > _FAR else value


@inlined
def _tail(y, inverse, loc, scale, log_scale):
    """``(sinh y − loc)/scale``, and its `tail`."""
    z = (sinh(y) - loc) / scale
    logarithm, share, rest = tail(z, inverse)
    far = abs(y) > 0.5 * _FAR
    log_q = 2.0 * (abs(y) - _LOG_2 - log_scale) + log(inverse)
    return z, log_q if far else logarithm, share, log_q - share if far else rest


@inlined
def _score(y, df, inverse, loc, scale, log_scale, step, by_df, by_scale):
    z, _, share, rest = _tail(y, inverse, loc, scale, log_scale)
    return scores_of(z, share, rest, df, inverse, scale, step, by_df, by_scale)


@inlined
def _log_density(y, df, inverse, loc, scale, log_scale, constant):
    _, logarithm, _, _ = _tail(y, inverse, loc, scale, log_scale)
    return constant - 0.5 * (df + 1.0) * logarithm + _log_cosh(y)


class ArsinhStudentT(
    StudentT, scores=3,
    fields=(*StudentT.fields, "log_scale"),
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """``y = arsinh x`` of Student's t; see `StudentT`."""

    def _record(self) -> dict[str, Any]:
        return {**super()._record(), "log_scale": np.log(self._scale.value)}

    @property
    def source(self) -> Source:
        """Itself: it does not overflow."""
        return Source(self)


__all__ = ["SINH", "ArsinhStudentT"]
