"""Gammas in bulk: normals cubed and thinned, by Marsaglia and Tsang (2000); betas of two gammas."""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.exponentials import exponentials
from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import as_words, offset, pointer, vector
from fastscore.engine.normals import CHUNK, MULTIPLE, normals
from fastscore.engine.streams import fill_words
from fastscore.engine.vecmath import exp_below, expit, log, minus_log, one_and_fraction

#: Of a smaller concentration a draw may be 0 for want of an exponent: P(log x < −690) > 1e-18.
FEWEST = 0.06
_BELOW_1 = 1 - 2.0**-53

#: Candidates of a run: what `normals` needs for these leaves room for two more columns.
_RUN = CHUNK // 2


@plain
def gammas(stream, scratch, out, count, concentration, scale):
    """Write ``count`` draws of Gamma(concentration, 1/scale) to ``out``.

    Of a concentration below 1 a draw is one of concentration + 1 times a power of a uniform.
    """
    small = concentration < 1.0
    _thinned(stream, scratch, out, count, concentration + small, scale)
    drops = offset(scratch, _RUN)
    for start in range(0, count if small else 0, _RUN):
        length = min(_RUN, count - start)
        exponentials(stream, scratch, drops, length, 1.0 / concentration)
        _shrink(vector(drops, length), vector(offset(out, start), length), length)


@plain
def log_gammas(stream, scratch, out, count, concentration, log_scale):
    """The same of logarithms, of which none underflows."""
    small = concentration < 1.0
    _thinned(stream, scratch, out, count, concentration + small, 1.0)
    _take_logs(vector(out, count), count, log_scale)
    drops = offset(scratch, _RUN)
    for start in range(0, count if small else 0, _RUN):
        length = min(_RUN, count - start)
        exponentials(stream, scratch, drops, length, 1.0 / concentration)
        _lower(vector(drops, length), vector(offset(out, start), length), length)


@plain
def _thinned(stream, scratch, out, count, concentration, scale):
    """Draws of a concentration of at least 1.

    With t normal, of variance 1/(9 m), m = concentration − 1/3, the candidate m (1 + t)³ is taken
    with probability exp(−q), q = −3 m (log(1 + t) − t + t²/2 − t³/3).
    """
    middle = concentration - 1.0 / 3.0
    spread = 1.0 / math.sqrt(9.0 * middle)
    words, steps, values = as_words(scratch), offset(scratch, _RUN), offset(scratch, 2 * _RUN)
    kept = 0
    while kept < count:
        length = min(-(-(count - kept) // MULTIPLE) * MULTIPLE, _RUN)
        normals(stream, scratch, steps, length, 0.0, spread)
        fill_words(stream, words, length)
        _propose(
            vector(words, length), vector(steps, length), vector(values, length), length,
            0.75 * middle, middle * scale,
        )  # fmt: skip
        kept = _append(words, steps, values, length, middle, middle * scale, out, kept, count)


@elementwise
def _propose(words, steps, out, count, bound, scale):
    """Candidates that are taken for sure; in place of the others, which are few, minus 1.

    For q ≤ 3/4 m t⁴/min(1 + t, 1), and 1 − u > q means u < exp(−q).
    """
    for i in range(count):
        t = steps[i]
        square = t * t
        v = 1.0 + t
        rest = one_and_fraction(words[i]) - 1.0  # 1 − u
        value = scale * (v * v * v)
        out[i] = value if rest * min(v, 1.0) > bound * (square * square) else -1.0


@plain
def _append(words, steps, values, length, middle, scale, out, kept, count):
    """Append candidates that are taken, up to that count; returns how many there are."""
    for i in range(length):
        if kept == count:
            break
        value = values[i]
        taken = True
        if value < 0.0:
            t = steps[i]
            v = 1.0 + t
            value = scale * (v * v * v)
            taken = minus_log(words[i]) > -3.0 * middle * (log(v) - t * (1.0 - t * (0.5 - t / 3.0)))
        out[kept] = value
        kept += taken
    return kept


@elementwise
def _shrink(drops, out, count):
    for i in range(count):
        out[i] *= exp_below(-drops[i])


@elementwise
def _take_logs(out, count, shift):
    for i in range(count):
        out[i] = log(out[i]) + shift


@elementwise
def _lower(drops, out, count):
    for i in range(count):
        out[i] -= drops[i]


@plain
def betas(stream, scratch, out, count, concentration1, concentration0):
    """Write ``count`` draws of Beta(concentration1, concentration0) to ``out``.

    Above `FEWEST` two gammas are never both 0.
    """
    if min(concentration1, concentration0) < FEWEST:
        log_odds(stream, scratch, out, count, concentration1, concentration0)
        _take_shares(vector(out, count), count)
        return
    other = np.empty(count)
    gammas(stream, scratch, out, count, concentration1, 1.0)
    gammas(stream, scratch, pointer(other), count, concentration0, 1.0)
    _divide_by_sum(other, vector(out, count), count)


@plain
def log_odds(stream, scratch, out, count, concentration1, concentration0):
    """The same of ``log(x/(1 − x))``."""
    other = np.empty(count)
    log_gammas(stream, scratch, out, count, concentration1, 0.0)
    log_gammas(stream, scratch, pointer(other), count, concentration0, 0.0)
    _lower(other, vector(out, count), count)


@elementwise
def _take_shares(out, count):
    for i in range(count):
        out[i] = expit(out[i])


@elementwise
def _divide_by_sum(other, out, count):
    for i in range(count):
        # Not 1, where densities may be infinite.
        out[i] = min(out[i] / (out[i] + other[i]), _BELOW_1)
