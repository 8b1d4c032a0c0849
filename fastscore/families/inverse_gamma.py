"""Independent inverses of gamma waiting times."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastscore.engine.gammas import gammas
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import vector
from fastscore.engine.special import deviance, log_of_ratio
from fastscore.engine.vecmath import fma, log, log_minus
from fastscore.families._special import digamma_excess, stirling_error
from fastscore.families.bijection import INVERSE_EXP
from fastscore.families.gamma import Gamma


@elementwise
def _sample(stream, scratch, x, count, concentration, scale):
    gammas(stream, scratch, x, count, concentration, scale)
    column = vector(x, count)
    for t in range(count):
        column[t] = 1.0 / column[t]


@inlined
def _score(x, concentration, rate, log_middle, excess, by_concentration, by_rate):
    over, relative = _over(x, concentration, rate)
    slope = -(log_of_ratio(x, relative, log_middle) + excess) * by_concentration
    possible = rate / x < math.inf
    return (slope if possible else 0.0), (-over * by_rate if possible else 0.0)


@inlined
def _over(x, concentration, rate):
    """``rate/x − a`` and ``x/middle − 1``, the middle being ``rate/a``; of x itself, all digits."""
    above = fma(concentration, x, -rate)
    near = abs(above) < 0.5 * rate
    return (-above / x if near else rate / x - concentration), above / rate


@inlined
def _log_density(x, concentration, rate, log_middle, constant):
    """That of log x, less log x: ``constant − D(a, rate/x) − log x``, see ``engine.special``."""
    over, _ = _over(x, concentration, rate)
    m = rate / x
    # Where m has lost its digits, x has not.
    far = concentration * log_minus(x, log_middle) + over
    value = constant - log(x) - (deviance(concentration, m, -over) if m > 1e-290 else far)
    return value if m < math.inf else -math.inf


class InverseGamma(
    Gamma, scores=2, low=0.0,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent inverse gamma distributions: 1/x is a `Gamma` of the same parameters.

    Parameters
    ----------
    concentration : array_like
        Shapes, positive, of shape (d,), or a scalar shared by all coordinates.
    rate : array_like
        Scales of x, rates of 1/x, positive, of the same shape or a scalar.
    log_concentration, log_rate : array_like
        Their logarithms, in place of them.

    Raises
    ------
    ValueError
        If a parameter is not positive or not finite, or shapes differ.

    Notes
    -----
    Density
        ``rate^a x^(−a − 1) exp(−rate/x)/Γ(a)`` on x > 0, a being the concentration.
    Score
        ``log(rate/x) − ψ(a)`` and ``a/rate − 1/x``; by the logarithms times a and rate.
    Fisher information
        Of a coordinate ``ψ′(a)`` and ``a/rate²``, and of both parameters ``−1/rate``.
    Sampler
        The inverse of a gamma, drawn exactly.  If a concentration is below 0.06, log x is drawn and
        kept: where x overflows, f sees infinity, and the score is exact.
    Moments
        Mean ``rate/(a − 1)``, infinite up to a = 1; variance ``mean²/(a − 2)``, infinite up to
        a = 2, NaN up to 1; entropy ``a + log rate + log Γ(a) − (1 + a) ψ(a)``.

    With a concentration below 0.06 neither proposals nor mixtures can be had: they need x itself.
    """

    exponential_family = True
    floors: ClassVar = {"rate": 1}

    def _record(self) -> dict[str, Any]:
        (a, by_a), (rate, by_rate) = self._concentration, self._rate
        return {
            "concentration": a, "rate": rate, "scale": 1 / rate, "excess": digamma_excess(a),
            "log_middle": np.log(rate) - np.log(a), "by_concentration": a * by_a,
            "by_rate": by_rate, "constant": 0.5 * np.log(a / (2 * np.pi)) - stirling_error(a),
        }  # fmt: skip

    def _closed_paths(self) -> Any:
        """``∂x/∂rate = x/rate``."""
        return None, (0, self._rate.unit)

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """Logarithms of 1/x, where x could overflow."""
        logarithms = super()._elsewhere()
        return logarithms and (logarithms[0], INVERSE_EXP.forward_kernel)

    def _moments(self) -> dict[str, Any]:
        a, rate = self._concentration.value, self._rate.value
        mean = rate / np.maximum(a - 1, 0)
        variance = np.where(a > 1, mean**2 / np.maximum(a - 2, 0), np.nan)
        # ψ(a) = log a + excess; log Γ(a) + a − a log a is ½ log(2π/a) and Stirling's error.
        spread = 0.5 * np.log(2 * np.pi / a) + stirling_error(a) - np.log(a)
        entropy = spread - (1 + a) * digamma_excess(a) + np.log(rate)
        return {"mean": mean, "variance": variance, "entropy": entropy}


__all__ = ["InverseGamma"]
