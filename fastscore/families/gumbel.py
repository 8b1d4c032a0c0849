"""Independent Gumbel coordinates: limits of maxima."""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.exponentials import log_exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.vecmath import exp, expm1
from fastscore.families._location_scale import LocationScale, Standard

#: Where exp(−z) is infinite already, and −z is not.
_LOWEST = -1e300


@elementwise
def _sample(stream, scratch, x, count, loc, scale):
    log_exponentials(stream, scratch, x, count, loc, -scale)


@inlined
def _score(x, loc, scale, unit):
    z = (x - loc) / scale
    slope = -expm1(-z)
    return slope / scale, (z * slope - 1.0) * unit


@inlined
def _log_density(x, loc, scale, constant):
    z = max((x - loc) / scale, _LOWEST)
    return constant - z - exp(-z)


class Gumbel(LocationScale, sample=_sample, score=_score, log_density=_log_density):
    """Independent Gumbel distributions, whose distribution function is ``exp(−exp(−z))``.

    Parameters
    ----------
    loc : array_like
        Modes, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Positive, of the same shape or a scalar; standard deviations are ``π/√6`` times as large.
    log_scale : array_like
        Their logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        If a parameter is not finite, a scale is not positive, or shapes differ.

    Notes
    -----
    Density
        ``exp(−z − exp(−z))/scale``, z being ``(x − loc)/scale``.
    Score
        ``h/scale`` and ``(z h − 1)/scale`` with ``h = 1 − exp(−z)``; by the logarithm ``z h − 1``.
    Fisher information
        Of a coordinate ``1/scale²`` and ``(π²/6 + (1 − γ)²)/scale²``, and of both parameters
        ``(γ − 1)/scale²``, γ being Euler's constant; by the logarithm times scale.
    Sampler
        Inversion, ``−log E`` of an exponential E of a uniform of 53 bits: both tails are right to
        2^-53.
    """

    symmetric = False
    by_inversion = True
    standard = Standard(
        mean=np.euler_gamma, variance=math.pi**2 / 6, entropy=1 + np.euler_gamma, constant=0.0,
        information=(1.0, np.euler_gamma - 1, math.pi**2 / 6 + (1 - np.euler_gamma) ** 2),
    )  # fmt: skip


__all__ = ["Gumbel"]
