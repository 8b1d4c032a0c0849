"""Independent Laplace (double exponential) coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.exponentials import laplaces
from fastscore.engine.jit import elementwise, inlined
from fastscore.families._fitting import weighted_median
from fastscore.families._location_scale import LocationScale, Standard


@elementwise
def _sample(stream, scratch, x, count, loc, scale):
    laplaces(stream, scratch, x, count, loc, scale)


@inlined
def _score(x, loc, scale, unit):
    z = (x - loc) / scale
    over = (abs(x - loc) - scale) / scale  # near |z| = 1 the difference keeps its digits
    return (0.0 if z == 0.0 else math.copysign(1.0 / scale, z)), over * unit


@inlined
def _log_density(x, loc, scale, constant):
    return constant - abs((x - loc) / scale)


class Laplace(LocationScale, sample=_sample, score=_score, log_density=_log_density):
    """Independent Laplace (double exponential) distributions.

    Parameters
    ----------
    loc : array_like
        Means, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Mean distances from them, positive, of the same shape or a scalar.
    log_scale : array_like
        Their logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        If a parameter is not finite, a scale is not positive, or shapes differ.

    Notes
    -----
    Density
        ``exp(−|z|)/(2 scale)``, z being ``(x − loc)/scale``.
    Score
        ``sign(z)/scale``, 0 at z = 0, and ``(|z| − 1)/scale``; by the logarithm ``|z| − 1``.
    Fisher information
        Diagonal, ``1/scale²`` twice; by the logarithm 1.
    Sampler
        Inversion of a uniform of 52 bits, and a sign: both tails are right to 2^-52.
    """

    by_inversion = True
    standard = Standard(
        mean=0.0, variance=2.0, entropy=1 + math.log(2), constant=-math.log(2),
        information=(1.0, 0.0, 1.0),
    )  # fmt: skip

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        """The median, and the mean distance from it."""
        (_, loc), (name, scale) = self.parameters.items()
        current = np.exp(scale.ravel()) if name == "log_scale" else scale.ravel()
        if loc.size < self.d and scale.size > 1:
            raise TypeError("a Laplace with one loc and several scales cannot be fitted to samples")
        if loc.size < self.d:
            pooled = weighted_median(x.ravel(), np.repeat(shares, self.d))
            loc = np.full(self.d, pooled)
        else:
            loc = np.array([weighted_median(column, shares) for column in x.T])
        distance = np.einsum("n,nk->k", shares, np.abs(x - loc))
        fitted = np.maximum(distance if scale.size == self.d else distance.mean(), least * current)
        found = np.log(fitted) if name == "log_scale" else fitted
        return {"loc": loc[: self.parameters["loc"].size], name: found}


__all__ = ["Laplace"]
