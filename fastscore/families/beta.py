"""Independent beta proportions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastscore.engine.gammas import FEWEST, betas
from fastscore.engine.jit import inlined
from fastscore.engine.special import deviance, log_ratio, times_log
from fastscore.engine.vecmath import fma, log1p
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive
from fastscore.families._special import (
    LARGE,
    digamma_excess,
    log_beta_constant,
    stirling_error,
    trigamma_difference,
)
from fastscore.families.bijection import SIGMOID

#: Of a smaller concentration0 a draw may round to 1: P(1 − x < 2⁻⁵³) > 1e-18.
_FEWEST_0 = 1.2


@inlined
def _score(x, concentration1, concentration0, excess1, excess0, by_1, by_0):
    a, b = concentration1, concentration0
    rest = 1.0 - x
    below = fma(a, rest, -b * x)  # a − (a + b) x
    one = (log_ratio((a + b) * x, a, -below) - excess1) * by_1
    zero = (log_ratio((a + b) * rest, b, below) - excess0) * by_0
    possible = (x > (0.0 if a > 1.0 else -1.0)) & (rest > (0.0 if b > 1.0 else -1.0))
    return (one if possible else 0.0), (zero if possible else 0.0)


@inlined
def _log_density(x, concentration1, concentration0, constant):
    """That of a binomial count of a − 1 among a + b − 2, at x; see ``engine.special``."""
    a, b = concentration1 - 1.0, concentration0 - 1.0
    rest = 1.0 - x
    below = fma(a, rest, -b * x)
    near = deviance(a, (a + b) * x, below) + deviance(b, (a + b) * rest, -below)
    plain = times_log(a, x) + (0.0 if b == 0.0 else b * log1p(-x))
    return constant + (-near if min(concentration1, concentration0) > LARGE else plain)


class Beta(
    Coordinates, scores=2, low=0.0, high=1.0,
    sample=betas, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent beta distributions, of mean ``concentration1/(concentration1 + concentration0)``.

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
        ``x^(a − 1) (1 − x)^(b − 1)/B(a, b)`` on 0 ≤ x ≤ 1, a being concentration1 and b
        concentration0.
    Score
        ``log x − ψ(a) + ψ(a + b)`` and ``log(1 − x) − ψ(b) + ψ(a + b)``; by the logarithms times
        a and b.
    Fisher information
        Of a coordinate ``diag(ψ′(a), ψ′(b)) − ψ′(a + b)``.
    Sampler
        ``y/(y + z)`` of two gammas, exactly.  If an a is below 0.06 or a b below 1.2,
        log(x/(1 − x)) is drawn and kept: where x rounds to 0 or 1, f sees that, and the score is
        exact.
    Moments
        Mean ``a/n``, variance ``a b/(n² (n + 1))``, n being ``a + b``; entropy
        ``log B(a, b) − (a − 1) ψ(a) − (b − 1) ψ(b) + (n − 2) ψ(n)``.

    With an a below 0.06 or a b below 0.5 neither proposals nor mixtures can be had: they need x
    itself.
    """

    exponential_family = True
    #: Scales are proportional to inverse roots of concentrations.
    floors: ClassVar = {"concentration1": -2, "concentration0": -2}

    def __init__(
        self, concentration1: Any = None, concentration0: Any = None, *,
        log_concentration1: Any = None, log_concentration0: Any = None,
    ) -> None:  # fmt: skip
        self._one, self._zero = self._set(
            positive("Beta", "concentration1", concentration1, log_concentration1),
            positive("Beta", "concentration0", concentration0, log_concentration0),
        )

    def _record(self) -> dict[str, Any]:
        (a, by_a), (b, by_b) = self._one, self._zero
        total = digamma_excess(a + b)
        return {
            "concentration1": a, "excess1": digamma_excess(a) - total, "by_1": a * by_a,
            "concentration0": b, "excess0": digamma_excess(b) - total, "by_0": b * by_b,
            "constant": log_beta_constant(a, b),
        }  # fmt: skip

    def _information(self) -> Any:
        from scipy.special import polygamma

        (a, by_a), (b, by_b) = self._one, self._zero
        one, zero = a * by_a, b * by_b
        of_one, of_zero = trigamma_difference(a, b) * one**2, trigamma_difference(b, a) * zero**2
        cross = -polygamma(1, a + b) * one * zero
        return [[of_one, cross], [cross, of_zero]]

    @property
    def underflows(self) -> bool:
        """Whether samples may underflow, or, more than one in 10⁸, round to 1."""
        return bool(np.any((self._one.value < FEWEST) | (self._zero.value < 0.5)))

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """Log-odds, where a sample could round to 0 or 1."""
        from fastscore.families._logit_beta import LogitBeta

        resolved = (self._one.value >= FEWEST) & (self._zero.value >= _FEWEST_0)
        return None if np.all(resolved) else (LogitBeta, SIGMOID.forward_kernel)

    def _moments(self) -> dict[str, Any]:
        a, b = self._one.value, self._zero.value
        n = a + b
        mean = a / n
        # With ψ(a) = log a + excess the large terms cancel here, not in the sum.
        spread = 0.5 * np.log(2 * np.pi) - 1.5 * np.log(n) + 0.5 * np.log(a) + 0.5 * np.log(b)
        spread += stirling_error(a) + stirling_error(b) - stirling_error(n)
        excess = digamma_excess(a) * (a - 1) + digamma_excess(b) * (b - 1)
        entropy = spread - excess + digamma_excess(n) * (n - 2)
        return {"mean": mean, "variance": mean * (b / n) / (n + 1), "entropy": entropy}


__all__ = ["Beta"]
