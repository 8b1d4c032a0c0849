"""Independent Weibull waiting times: powers of exponential ones."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastscore.engine.exponentials import fine_exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import vector
from fastscore.engine.special import log_of_ratio
from fastscore.engine.vecmath import exp, expm1, log_inside
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive
from fastscore.families._special import log_square_ratio
from fastscore.families.bijection import map_of_columns

#: Of a smaller concentration a draw may underflow: the least exponential is 2⁻⁵³.
_FEWEST = 0.06


@elementwise
def _sample(stream, scratch, x, count, log_scale, spread):
    fine_exponentials(stream, scratch, x, count, 1.0)
    _to_x(vector(x, count), vector(x, count), count, log_scale, spread)


@elementwise
def _to_x(v, x, count, log_scale, spread):
    """In two passes: one spills registers."""
    for t in range(count):
        x[t] = log_scale + log_inside(v[t]) * spread
    for t in range(count):
        x[t] = exp(x[t])


@elementwise
def _slope(v, column, count, log_scale, spread):
    """``dx/dv = x/(k v)``."""
    for t in range(count):
        column[t] *= spread * exp(log_scale + log_inside(v[t]) * (spread - 1.0))


_forward = map_of_columns(_to_x, "weibull", 2, _slope)


@inlined
def _score(x, scale, log_scale, concentration, by_scale, by_concentration):
    w = concentration * log_of_ratio(x, (x - scale) / scale, log_scale)
    more, possible = expm1(w), x > (0.0 if concentration > 1.0 else -1.0)
    one, other = more * by_scale, (1.0 - w * more) * by_concentration
    return (one if possible else 0.0), (other if possible else 0.0)


@inlined
def _log_density(x, scale, log_scale, concentration, constant):
    log_ratio = log_of_ratio(x, (x - scale) / scale, log_scale)
    order = concentration - 1.0
    power = order * log_ratio
    return constant + (0.0 if order == 0.0 else power) - exp(concentration * log_ratio)


class Weibull(
    Coordinates, scores=2, low=0.0,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent Weibull distributions, ``x = scale E^(1/k)`` with E a standard exponential.

    Parameters
    ----------
    scale : array_like
        Quantiles of probability 1 − 1/e, positive, of shape (d,), or a scalar shared by all
        coordinates.
    concentration : array_like
        The k, positive, of the same shape or a scalar.
    log_scale, log_concentration : array_like
        Their logarithms, in place of them.

    Raises
    ------
    ValueError
        If a parameter is not positive or not finite, or shapes differ.

    Notes
    -----
    Density
        ``k/x v exp(−v)`` on x ≥ 0, v being ``(x/scale)^k``.
    Score
        ``k (v − 1)/scale`` and ``(1 − (v − 1) log v)/k``; by the logarithms times scale and k.
    Fisher information
        Of a coordinate ``k²/scale²`` and ``(π²/6 + (1 − γ)²)/k²``, and of both parameters
        ``(γ − 1)/scale``, γ being Euler's constant; by the logarithms times scale and k.
    Sampler
        Inversion of a uniform of 53 bits: both tails are right to 2^-53.  v is drawn and kept:
        where x overflows or underflows, f sees infinity or 0, and the score is exact.
    Moments
        Mean ``scale Γ(1 + 1/k)``, variance ``scale² (Γ(1 + 2/k) − Γ(1 + 1/k)²)``; entropy
        ``1 + γ (1 − 1/k) + log(scale/k)``.
    """

    by_inversion = True

    #: A spread of log x, the inverse of a concentration, does not collapse.
    floors: ClassVar = {"concentration": -1}

    def __init__(
        self, scale: Any = None, concentration: Any = None, *,
        log_scale: Any = None, log_concentration: Any = None,
    ) -> None:  # fmt: skip
        self._scale, self._concentration = self._set(
            positive("Weibull", "scale", scale, log_scale),
            positive("Weibull", "concentration", concentration, log_concentration),
        )

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """Cumulative hazards."""
        from fastscore.families._hazard import Hazard

        log_scale, spread = np.log(self._scale.value), 1 / self._concentration.value
        return Hazard, _forward, np.column_stack([log_scale, spread])

    def _record(self) -> dict[str, Any]:
        (scale, by_scale), (k, by_k) = self._scale, self._concentration
        return {
            "scale": scale, "log_scale": np.log(scale), "concentration": k, "spread": 1 / k,
            "constant": np.log(k) - np.log(scale),
            "by_scale": k * by_scale, "by_concentration": by_k,
        }  # fmt: skip

    def _closed_paths(self) -> Any:
        """``∂x/∂scale = x/scale``."""
        return (0, self._scale.unit), None

    def _information(self) -> Any:
        by_scale, (k, by_k) = self._scale.unit, self._concentration
        cross = (np.euler_gamma - 1) * k * by_scale * by_k
        of_k = math.pi**2 / 6 + (1 - np.euler_gamma) ** 2
        return [[(k * by_scale) ** 2, cross], [cross, of_k * by_k**2]]

    @property
    def underflows(self) -> bool:
        """Whether samples may underflow."""
        return bool(np.any(self._concentration.value < _FEWEST))

    def _moments(self) -> dict[str, Any]:
        from scipy.special import gamma

        scale, k = self._scale.value, self._concentration.value
        mean = scale * np.asarray(gamma(1 + 1 / k))
        return {
            "mean": mean, "variance": mean**2 * np.expm1(log_square_ratio(1 / k)),
            "entropy": 1 + np.euler_gamma * (1 - 1 / k) + np.log(scale) - np.log(k),
        }  # fmt: skip


__all__ = ["Weibull"]
