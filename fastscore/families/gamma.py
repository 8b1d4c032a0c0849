"""Independent gamma waiting times."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastscore.engine.gammas import FEWEST, gammas
from fastscore.engine.jit import inlined
from fastscore.engine.special import deviance, log_of_ratio
from fastscore.engine.vecmath import fma, log_minus
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive
from fastscore.families._special import LARGE, digamma_excess, stirling_error
from fastscore.families.bijection import EXP


@inlined
def score(x, concentration, rate, log_mean, excess, by_concentration, by_rate):
    """``log(rate x) − ψ(a)`` and ``a/rate − x``, in units of the parameters."""
    over = fma(rate, x, -concentration)
    slope = (log_of_ratio(x, over / concentration, log_mean) - excess) * by_concentration
    possible = x > (0.0 if concentration > 1.0 else -1.0)
    return (slope if possible else 0.0), (-over * by_rate if possible else 0.0)


@inlined
def log_density(x, concentration, rate, log_mean, constant, plain_constant):
    """That of a Poisson count of concentration − 1, mean rate x; see ``engine.special``."""
    m = rate * x
    order = concentration - 1.0
    near = constant - deviance(order, m, -fma(rate, x, -order))
    power = order * log_minus(x, log_mean)
    plain = plain_constant + (0.0 if order == 0.0 else power) - m
    value = near if (concentration > LARGE) & (m > 0.1 * order) else plain
    return -math.inf if m == math.inf else value


class Gamma(Coordinates, scores=2, low=0.0, sample=gammas, score=score, log_density=log_density):
    """Independent gamma distributions, of mean ``concentration/rate``.

    Parameters
    ----------
    concentration : array_like
        Shapes, positive, of shape (d,), or a scalar shared by all coordinates.
    rate : array_like
        Inverses of the scales, positive, of the same shape or a scalar.
    log_concentration, log_rate : array_like
        Their logarithms, in place of them.

    Raises
    ------
    ValueError
        If a parameter is not positive or not finite, or shapes differ.

    Notes
    -----
    Density
        ``rate^a x^(a − 1) exp(−rate x)/Γ(a)`` on x ≥ 0, a being the concentration.
    Score
        ``log(rate x) − ψ(a)`` and ``a/rate − x``; by the logarithms times a and rate.
    Fisher information
        Of a coordinate ``ψ′(a)`` and ``a/rate²``, and of both parameters ``−1/rate``.
    Sampler
        Normals cubed and thinned, by Marsaglia and Tsang (2000), exactly.  If a concentration is
        below 0.06, log x is drawn and kept: where x underflows, f sees 0, and the score is exact.
    Moments
        Mean ``a/rate``, variance ``a/rate²``; entropy ``a − log rate + log Γ(a) + (1 − a) ψ(a)``.

    With a concentration below 0.06 neither proposals nor mixtures can be had: they need x itself.
    """

    exponential_family = True
    #: A scale, the inverse of a rate, does not collapse.
    floors: ClassVar = {"rate": -1}

    def __init__(
        self, concentration: Any = None, rate: Any = None, *, log_concentration: Any = None,
        log_rate: Any = None,
    ) -> None:  # fmt: skip
        owner = type(self).__name__
        self._concentration, self._rate = self._set(
            positive(owner, "concentration", concentration, log_concentration),
            positive(owner, "rate", rate, log_rate),
        )

    def _record(self) -> dict[str, Any]:
        from scipy.special import gammaln

        (a, by_a), (rate, by_rate) = self._concentration, self._rate
        order = np.maximum(a - 1, 1)
        return {
            "concentration": a, "rate": rate, "scale": 1 / rate, "excess": digamma_excess(a),
            "constant": np.log(rate) - 0.5 * np.log(2 * np.pi * order) - stirling_error(order),
            "plain_constant": np.log(rate) - gammaln(a) + (a - 1) * np.log(a),
            "log_mean": np.log(a) - np.log(rate), "by_concentration": a * by_a, "by_rate": by_rate,
        }  # fmt: skip

    def _closed_paths(self) -> Any:
        """``∂x/∂rate = −x/rate``."""
        return None, (0, -self._rate.unit)

    def _information(self) -> Any:
        from scipy.special import polygamma

        (a, by_a), by_rate = self._concentration, self._rate.unit
        cross = -a * by_a * by_rate
        return [[polygamma(1, a) * (a * by_a) ** 2, cross], [cross, a * by_rate**2]]

    @property
    def underflows(self) -> bool:
        """Whether samples may underflow."""
        return bool(np.any(self._concentration.value < FEWEST))

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """Logarithms, where a sample could underflow."""
        from fastscore.families._log_gamma import LogGamma

        return (LogGamma, EXP.forward_kernel) if self.underflows else None

    def _moments(self) -> dict[str, Any]:
        a, rate = self._concentration.value, self._rate.value
        mean = a / rate
        # ψ(a) = log a + excess; log Γ(a) + (1 − a) log a + a is ½ log(2π a) and Stirling's error.
        spread = 0.5 * np.log(2 * np.pi * a) + stirling_error(a)
        entropy = spread + (1 - a) * digamma_excess(a) - np.log(rate)
        return {"mean": mean, "variance": mean / rate, "entropy": entropy}


__all__ = ["Gamma"]
