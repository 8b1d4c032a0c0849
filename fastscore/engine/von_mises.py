"""Angles of von Mises' distribution in bulk, by rejection from bent normals, or uniform angles."""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.jit import elementwise, inlined, plain
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.normals import normals
from fastscore.engine.rejection import RUN, sampler
from fastscore.engine.streams import fill_words
from fastscore.engine.vecmath import exp_below, fma, one_and_fraction, sincos

#: With it ``t (1 + b t²)`` is π at 2, and ``1 − cos`` of it is nowhere below ``t²/2`` before.
BEND = (math.pi - 2) / 8
#: Concentrations from which on normals, and bent ones, are taken more often than what is before.
_NORMAL, _BENT = 0.4, 1.5
#: From here on ``1 − A − 1/(2κ)`` is its asymptotic series: by powers of 1/κ, from the second.
LARGE = 2000.0
_SERIES = (1 / 8, 1 / 8, 25 / 128, 13 / 32)
_2_PI = 2 * math.pi
#: What float64 lacks of π.
_REST = 1.2246467991473532e-16


def hat(concentration: np.ndarray) -> dict[str, np.ndarray]:
    """What candidates are drawn from: ``δ = t (1 + b t²)``, t a normal; or δ uniform.

    One is taken with probability ``(1 + 3 b t²) exp(t²/(2 spread²) − 2κ sin²(δ/2))``, which is at
    most 1 if b is 0 and ``spread² = π²/(4κ)``, or b `BEND` and ``1/(κ − 6b)``.

    Returns
    -------
    dict
        The spread of t, infinite for a uniform δ, and the bend b.
    """
    k, bent = concentration, concentration >= _BENT
    plain = np.where(k < _NORMAL, np.inf, 0.5 * np.pi / np.sqrt(k))
    spread = np.where(bent, 1 / np.sqrt(np.where(bent, k, _BENT) - 6 * BEND), plain)
    return {"spread": spread, "bend": np.where(bent, BEND, 0.0)}


def series_excess(concentration: np.ndarray) -> np.ndarray:
    """``1 − A − 1/(2κ)``, A being ``I₁(κ)/I₀(κ)``, of large concentrations."""
    large = np.maximum(concentration, LARGE)
    return np.polyval(_SERIES[::-1], 1 / large) / large / large


@plain
def _propose(stream, scratch, out, count, law):
    loc, concentration, spread, bend = law
    words, steps = as_words(scratch), offset(scratch, RUN)
    if spread < math.inf:
        normals(stream, scratch, steps, count, 0.0, spread)
    else:
        fill_words(stream, words, count)
        _spin(vector(words, count), vector(steps, count), count)
    fill_words(stream, words, count)
    _thin(
        vector(words, count), vector(steps, count), vector(out, count), count,
        loc, concentration, 0.5 / spread / spread, bend,
    )  # fmt: skip


@elementwise
def _spin(words, out, count):
    for i in range(count):
        out[i] = _2_PI * (one_and_fraction(words[i]) - 1.5)


@elementwise
def _thin(words, steps, out, count, loc, concentration, precision, bend):
    for i in range(count):
        square = steps[i] * steps[i]
        angle = steps[i] * (1.0 + bend * square)
        sine, _ = sincos(0.5 * angle)
        chance = exp_below(min(precision * square - 2.0 * concentration * (sine * sine), 0.0))
        chance = (1.0 + 3.0 * bend * square) * chance
        x = loc + angle
        x = x - _2_PI if x >= math.pi else x
        x = x + _2_PI if x < -math.pi else x
        taken = (one_and_fraction(words[i]) - 1.0 < chance) & (abs(angle) <= math.pi)
        out[i] = x if taken else math.nan


_draw = sampler(_propose)


@plain
def von_mises(stream, scratch, out, count, loc, concentration, spread, bend):
    """Write ``count`` angles in [−π, π], of density ``exp(−2κ sin²((x − loc)/2))``, to ``out``."""
    _draw(stream, scratch, out, count, (loc, concentration, spread, bend))


@inlined
def turn(x, loc):
    """The angle from loc to x, with all digits, also across ±π."""
    straight = x - loc
    pi = math.copysign(math.pi, straight)
    around = ((x - pi) - (loc + pi)) - math.copysign(2.0 * _REST, straight)
    return around if abs(straight) > math.pi else straight


@inlined
def above_mean(angle, sine, concentration, below, excess):
    """``cos − A``, from the sine of half the angle, ``1 − A`` and its `series_excess`."""
    near = _beyond_square(angle, concentration) + excess
    small = (concentration > LARGE) & (abs(angle) < 0.25)
    return near if small else below - 2.0 * sine * sine


@inlined
def _beyond_square(angle, concentration):
    """``cos − 1 + 1/(2κ)`` of small angles, to the last digits of ``1 − κ angle²``."""
    turn, square = concentration * angle, angle * angle
    left = fma(-turn, angle, 1.0) - fma(concentration, angle, -turn) * angle
    tail = 1.0 - square / 30.0 * (1.0 - square / 56.0 * (1.0 - square / 90.0))
    return 0.5 * left / concentration + square * square / 24.0 * tail
