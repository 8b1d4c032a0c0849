"""Independent angles of von Mises' distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.jit import inlined
from fastscore.engine.vecmath import sincos
from fastscore.engine.von_mises import above_mean, hat, series_excess, turn, von_mises
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive, real
from fastscore.families._quadrature import circular, circular_reach, rule


@inlined
def _score(x, loc, concentration, below, excess, unit):
    angle = turn(x, loc)
    sine, cosine = sincos(0.5 * angle)
    above = above_mean(angle, sine, concentration, below, excess)
    return 2.0 * concentration * sine * cosine, above * unit


@inlined
def _log_density(x, loc, concentration, constant):
    sine, _ = sincos(0.5 * turn(x, loc))
    return constant - 2.0 * concentration * (sine * sine)


class VonMises(
    Coordinates, scores=2, low=-math.pi, high=math.pi,
    sample=von_mises, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent von Mises distributions of angles from −π to π.

    Parameters
    ----------
    loc : array_like
        Directions, any angles, of shape (d,), or a scalar shared by all coordinates.
    concentration : array_like
        Positive, of the same shape or a scalar; a large one is nearly ``1/variance``.
    log_concentration : array_like
        Their logarithms, in place of ``concentration``.

    Raises
    ------
    ValueError
        If a parameter is not finite, a concentration is not positive, shapes differ, or angles lie
        closer together than float64 resolves around their loc.

    Notes
    -----
    Density
        ``exp(κ cos(x − loc))/(2π I₀(κ))`` on −π ≤ x ≤ π, κ being the concentration.
    Score
        ``κ sin(x − loc)`` and ``cos(x − loc) − A``, A being ``I₁(κ)/I₀(κ)``; by the logarithm times
        κ.
    Fisher information
        Diagonal, ``κ A`` and ``1 − A/κ − A²``; by the logarithm times κ².
    Sampler
        Rejection, exactly, of normals that are bent to fit, or of uniform angles: at least 7 in 10
        are taken, nearly all of large concentrations.
    Moments
        Of x as a number, not of the direction, mean and variance by quadrature: loc from −π to π,
        drawn to 0 by 2π times the probability beyond; entropy ``log(2π I₀(κ)) − κ A``.
    """

    exponential_family = True
    #: Across ±π a loc has room to go on.
    floors: ClassVar = {"concentration": -2, "loc": 1}

    def __init__(
        self, loc: Any, concentration: Any = None, *, log_concentration: Any = None
    ) -> None:
        loc, (k, unit) = self._set(
            real("loc", loc),
            positive("VonMises", "concentration", concentration, log_concentration),
        )
        # The same direction; of sines of large angles NumPy has all digits.
        self._loc = np.arctan2(np.sin(loc.value), np.cos(loc.value))
        self._concentration, self._unit = k, k * unit
        resolved = np.abs(self._loc) * np.sqrt(k) <= 2.0**40
        checks.require("concentration", k, resolved, "at most 2**80/loc² for angles to differ")

    @cached
    def _integrals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Angles from loc on one side, their probabilities, ``1 − cos``, and the integral."""
        return circular(self._concentration)

    def _record(self) -> dict[str, Any]:
        k, (_, share, below, total) = self._concentration, self._integrals
        return {
            "loc": self._loc, "concentration": k, "unit": self._unit, **hat(k),
            "below": np.sum(share * below, axis=0), "constant": -np.log(2 * total),
            "excess": series_excess(k),
        }  # fmt: skip

    def _information(self) -> Any:
        angle, share, below, _ = self._integrals
        # Mean squares of the scores: by Bessel functions they would cancel.
        mean = np.sum(share * below, axis=0)
        by_loc = np.sum(share * (self._concentration * np.sin(angle)) ** 2, axis=0)
        return [[by_loc, 0], [0, np.sum(share * (below - mean) ** 2, axis=0) * self._unit**2]]

    def _moments(self) -> dict[str, Any]:
        (angle, share, below, total), k = self._integrals, self._concentration
        # Angles from loc that lead across ±π, where x is 2π less in size; their probabilities.
        reach = circular_reach(k)
        beyond, weight = rule(np.minimum(np.pi - np.abs(self._loc), reach), reach)
        rare = weight * np.exp(-2 * k * np.sin(beyond / 2) ** 2) / (2 * total)
        past = np.sum(rare, axis=0)
        return {
            "mean": self._loc - np.sign(self._loc) * 2 * np.pi * past,
            "variance": np.sum(share * angle**2, axis=0)
            + 4 * np.pi**2 * past * (1 - past)
            - 4 * np.pi * np.sum(rare * beyond, axis=0),
            "entropy": np.log(2 * total) + k * np.sum(share * below, axis=0),
        }

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> Mapping[str, Any]:
        """From the mean direction: from an opposite one the concentration would vanish."""
        loc = self.parameters["loc"]
        resultant = np.einsum("n,nk->k", shares, np.exp(1j * x))
        mean = np.angle(resultant if loc.size == self.d else resultant.sum())
        return super(VonMises, self.replace(loc=mean.reshape(loc.shape)))._fit(x, shares, least)


__all__ = ["VonMises"]
