"""Independent Cauchy coordinates."""

from __future__ import annotations

import math

from fastscore.engine.exponentials import cauchys
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.vecmath import log, log1p
from fastscore.families._location_scale import LocationScale, Standard

#: Of larger z the square, which could overflow, is all of 1 + z².
_FAR = 1e150
_LOG_PI = math.log(math.pi)


@elementwise
def _sample(stream, scratch, x, count, loc, scale):
    cauchys(stream, scratch, x, count, loc, scale)


@inlined
def _score(x, loc, scale, unit):
    distance = x - loc
    over = min((abs(distance) - scale) / scale, _FAR)  # |z| − 1, with its digits near |z| = 1
    by_loc = 2.0 / (distance + scale * (scale / distance))
    return by_loc, over * (over + 2.0) / ((over + 1.0) * (over + 1.0) + 1.0) * unit


@inlined
def _log_density(x, loc, scale, constant):
    distance = abs(x - loc)
    size = distance / scale
    near = min(size, _FAR)
    value = constant - log1p(near * near)
    far = -constant - 2.0 * (log(distance) + _LOG_PI)  # scale/(π distance²)
    return far if size > _FAR else value


class Cauchy(LocationScale, sample=_sample, score=_score, log_density=_log_density):
    """Independent Cauchy distributions, without moments.

    Parameters
    ----------
    loc : array_like
        Medians, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Quartiles' distances from them, positive, of the same shape or a scalar.
    log_scale : array_like
        Their logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        If a parameter is not finite, a scale is not positive, or shapes differ.

    Notes
    -----
    Density
        ``1/(π scale (1 + z²))``, z being ``(x − loc)/scale``.
    Score
        ``2 z/(1 + z²)/scale`` and ``(z² − 1)/(z² + 1)/scale``; by the logarithm
        ``(z² − 1)/(z² + 1)``.
    Fisher information
        Diagonal, ``1/(2 scale²)`` twice; by the logarithm 1/2.
    Sampler
        Inversion, the tangent of an angle of 52 bits, whose distance from a quarter turn has all
        its digits, and a sign: both tails are right to 2^-55.

    Mean and variance are NaN.  The likelihood has one maximum (Copas, 1975), unless half of the
    samples are the same.
    """

    by_inversion = True
    standard = Standard(
        mean=math.nan, variance=math.nan, entropy=math.log(4 * math.pi),
        constant=-_LOG_PI, information=(0.5, 0.0, 0.5),
    )  # fmt: skip


__all__ = ["Cauchy"]
