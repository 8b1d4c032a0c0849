"""Independent Kumaraswamy proportions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastscore.engine.exponentials import fine_exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import vector
from fastscore.engine.vecmath import log, split_exp
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive
from fastscore.families._powers import other, to_x, to_x_kernel
from fastscore.families._special import (
    digamma_difference,
    kumaraswamy_information,
    log_beta,
    log_square_ratio,
)

#: Of a smaller concentration1 a draw may underflow.
_FEWEST = 0.06


@elementwise
def _sample(stream, scratch, x, count, spread, power):
    fine_exponentials(stream, scratch, x, count, spread)
    to_x(vector(x, count), vector(x, count), count, power)


@inlined
def _score(x, concentration1, concentration0, by_1, by_0):
    a, b = concentration1, concentration0
    v = a * abs(log(x))
    power, rest = split_exp(-v)
    ratio = v * (power / rest)
    ratio = 1.0 if v < 1e-300 else ratio
    ratio = 0.0 if v == math.inf else ratio
    possible = (x > (0.0 if a > 1.0 else -1.0)) & (x < (1.0 if b > 1.0 else 2.0))
    one = (1.0 - v + (b - 1.0) * ratio) * by_1
    zero = (1.0 - b * other(v)) * by_0
    return (one if possible else 0.0), (zero if possible else 0.0)


@inlined
def _log_density(x, concentration1, concentration0, constant):
    a, b = concentration1 - 1.0, concentration0 - 1.0
    logarithm = log(x)
    one = a * logarithm
    zero = b * other(concentration1 * abs(logarithm))
    return constant + (0.0 if a == 0.0 else one) - (0.0 if b == 0.0 else zero)


class Kumaraswamy(
    Coordinates, scores=2, low=0.0, high=1.0,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent Kumaraswamy distributions, ``P(X ≤ x) = 1 − (1 − x^a)^b``.

    Parameters
    ----------
    concentration1 : array_like
        The a, positive, of shape (d,), or a scalar shared by all coordinates.
    concentration0 : array_like
        The b, positive, of the same shape or a scalar.
    log_concentration1, log_concentration0 : array_like
        Their logarithms, in place of them.

    Raises
    ------
    ValueError
        If a parameter is not positive or not finite, or shapes differ.

    Notes
    -----
    Density
        ``a b x^(a − 1) (1 − x^a)^(b − 1)`` on 0 ≤ x ≤ 1.
    Score
        ``1/a + log x − (b − 1) log x x^a/(1 − x^a)`` and ``1/b + log(1 − x^a)``; by the logarithms
        times a and b.
    Fisher information
        Of a coordinate ``(1 + b/(b − 2) (h² + ψ′(2) − ψ′(b)))/a²``, h being ``ψ(b) − ψ(2)``, and
        ``1/b²``, and of both parameters ``(ψ(2) − ψ(b + 1))/(a (b − 1))``.
    Sampler
        −log(1 − x^a) is drawn, an exponential, and kept: where x rounds to 0 or 1, f sees that, and
        the score is exact.  Both tails are right to 2^-53.
    Moments
        Mean ``b B(1 + 1/a, b)``, variance ``b B(1 + 2/a, b) − mean²``; entropy
        ``1 − 1/b + (1 − 1/a) (ψ(b + 1) − ψ(1)) − log(a b)``.
    """

    by_inversion = True

    #: A spread of log x, the inverse of an a, does not collapse.
    floors: ClassVar = {"concentration1": -1}

    def __init__(
        self, concentration1: Any = None, concentration0: Any = None, *,
        log_concentration1: Any = None, log_concentration0: Any = None,
    ) -> None:  # fmt: skip
        self._one, self._zero = self._set(
            positive("Kumaraswamy", "concentration1", concentration1, log_concentration1),
            positive("Kumaraswamy", "concentration0", concentration0, log_concentration0),
        )

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """−log(1 − x^a)."""
        from fastscore.families._log_kumaraswamy import LogKumaraswamy

        return LogKumaraswamy, to_x_kernel, 1 / self._one.value

    def _record(self) -> dict[str, Any]:
        (a, by_a), (b, by_b) = self._one, self._zero
        return {
            "concentration1": a, "concentration0": b, "power": 1 / a, "spread": 1 / b,
            "constant": np.log(a) + np.log(b), "log_concentration0": np.log(b), "by_1": by_a,
            "by_0": by_b,
        }  # fmt: skip

    def _information(self) -> Any:
        by_a, (b, by_b) = self._one.unit, self._zero
        of_a, cross = kumaraswamy_information(b)
        cross = cross * by_a * by_b
        return [[of_a * by_a**2, cross], [cross, by_b**2]]

    @property
    def underflows(self) -> bool:
        """Whether samples may underflow, or, more than one in 10⁸, round to 1."""
        a, b = self._one.value, self._zero.value
        return bool(np.any((a < _FEWEST) | (b * np.log(a / 2**53) > np.log(1e-8))))

    def _moments(self) -> dict[str, Any]:
        a, b = self._one.value, self._zero.value
        mean, harmonic = b * np.exp(log_beta(1 + 1 / a, b)), digamma_difference(np.ones_like(b), b)
        return {
            "mean": mean, "variance": mean**2 * np.expm1(log_square_ratio(1 / a, b)),
            "entropy": 1 - 1 / b + (1 - 1 / a) * harmonic - np.log(a) - np.log(b),
        }  # fmt: skip


__all__ = ["Kumaraswamy"]
