"""Independent logistic coordinates."""

from __future__ import annotations

import math

from fastscore.engine.exponentials import logistics
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.vecmath import exp_below, expm1, log1p
from fastscore.families._location_scale import LocationScale, Standard


@elementwise
def _sample(stream, scratch, x, count, loc, scale):
    logistics(stream, scratch, x, count, loc, scale)


@inlined
def _score(x, loc, scale, unit):
    z = (x - loc) / scale
    size = abs(z)
    below = expm1(-size)
    slope = -below / (2.0 + below)  # tanh(|z|/2)
    return math.copysign(slope, z) / scale, (size * slope - 1.0) * unit


@inlined
def _log_density(x, loc, scale, constant):
    size = abs((x - loc) / scale)
    return constant - size - 2.0 * log1p(exp_below(-size))


class Logistic(LocationScale, sample=_sample, score=_score, log_density=_log_density):
    """Independent logistic distributions, whose distribution function is ``1/(1 + exp(−z))``.

    Parameters
    ----------
    loc : array_like
        Means, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Positive, of the same shape or a scalar; standard deviations are ``π/√3`` times as large.
    log_scale : array_like
        Their logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        If a parameter is not finite, a scale is not positive, or shapes differ.

    Notes
    -----
    Density
        ``exp(−z)/(scale (1 + exp(−z))²)``, z being ``(x − loc)/scale``.
    Score
        ``tanh(z/2)/scale`` and ``(z tanh(z/2) − 1)/scale``; by the logarithm ``z tanh(z/2) − 1``.
    Fisher information
        Diagonal, ``1/(3 scale²)`` and ``(3 + π²)/(9 scale²)``; by the logarithm ``(3 + π²)/9``.
    Sampler
        Inversion of a uniform of 52 bits, and a sign: both tails are right to 2^-53.
    """

    by_inversion = True
    standard = Standard(
        mean=0.0, variance=math.pi**2 / 3, entropy=2.0, constant=0.0,
        information=(1 / 3, 0.0, (3 + math.pi**2) / 9),
    )  # fmt: skip


__all__ = ["Logistic"]
