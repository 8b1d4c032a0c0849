"""Independent negative binomial counts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastscore import checks
from fastscore.engine.bins import counts
from fastscore.engine.counts import log_root
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.special import deviance, digamma_excess, log_ratio, stirling_error
from fastscore.engine.vecmath import fma, log_minus
from fastscore.families import _special
from fastscore.families._counts import Counts
from fastscore.families._parameters import positive, probability
from fastscore.families._probability import Probability
from fastscore.families._support import Support

#: Of larger samples there may be one in e^47.
_FAR, _LARGEST = 47.0, 2.0**51


@elementwise
def _sample(stream, scratch, x, count, table):
    counts(stream, scratch, x, count, table)


@inlined
def _above(x, r, p, q):
    """``q x − p r``, from the smaller of p and q, which has all digits, and an exact sum."""
    n = x + r
    part = n - x
    lost = (x - (n - part)) + (r - part)
    of_p, of_q = fma(-p, n, x) - p * lost, fma(q, n, -r) + q * lost
    return of_p if p < q else of_q


@inlined
def _score(x, r, p, q, log_q, excess, by_r, unit):
    n, above = x + r, _above(x, r, p, q)
    slope = log_ratio(n * q, r, above) + (digamma_excess(max(n, 1.0)) - excess)
    return (log_q if x == 0.0 else slope) * by_r, above * unit


@inlined
def _log_density(x, r, p, q, log_r, error, at_none):
    """That of r failures among the sum, a binomial variable; see ``engine.special``."""
    n, above = x + r, _above(x, r, p, q)
    far = deviance(r, n * q, -above) + deviance(x, n * p, above)
    value = stirling_error(n) - error - 0.5 * log_minus(n, log_r) - log_root(x) - far
    return at_none if x == 0.0 else value


class NegativeBinomial(
    Probability, Counts, scores=2, low=0.0, discrete=True,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent numbers of successes before so many failures.

    Parameters
    ----------
    total_count : array_like
        Numbers r of failures, positive, not only integers, of shape (d,), or a scalar.
    probs : array_like
        Probabilities of success, of the same shape or a scalar.
    log_total_count, logits : array_like
        Logarithms ``log r``, and log-odds ``log(p/(1 − p))``, in place of them.

    Raises
    ------
    ValueError
        If a number of failures is not positive, a probability not between 0 and 1, or so close to 1
        that samples may be beyond 2^51.  One of 0 can be sampled from; its score does not exist.

    Notes
    -----
    Density
        ``Γ(x + r)/(x! Γ(r)) p^x (1 − p)^r`` on x = 0, 1, 2, …
    Score
        ``ψ(x + r) − ψ(r) + log(1 − p)`` and ``x/p − r/(1 − p)``; by the logarithm r times the
        former, by the logit ``(1 − p) x − p r``.
    Fisher information
        ``E[ψ′(r) − ψ′(x + r)]``, an integral, to 1e-14; ``1/(1 − p)``; ``r/(p (1 − p)²)``.  By the
        logit the latter are p and r p.
    Sampler
        From a table of the probabilities, where many in bins, which are met to 2^-52.
    Moments
        Mean ``r p/(1 − p)``, variance ``r p/(1 − p)²``.
    """

    # A dispersion of 0 is out of reach, and so are zeros only.
    floors: ClassVar = {"total_count": (1, -1), "probs": 1, "logits": 1}

    def __init__(
        self, total_count: Any = None, probs: Any = None, *,
        log_total_count: Any = None, logits: Any = None,
    ) -> None:  # fmt: skip
        self._count, chance = self._set(
            positive("NegativeBinomial", "total_count", total_count, log_total_count),
            probability("NegativeBinomial", probs, logits),
        )
        self._spread_probability(chance)
        name = next(name for name in self.parameters if name in ("probs", "logits"))
        within = np.broadcast_to(np.max(self._shape()[1]) < _LARGEST, ())
        checks.require(name, self.parameters[name], within, "smaller for samples to fit")

    def _shape(self) -> tuple[np.ndarray, np.ndarray]:
        r, odds = self._count.value, self._odds
        with np.errstate(over="ignore"):
            rate = (r + np.sqrt(2 * _FAR * r) + _FAR) * odds
        return np.floor(np.maximum(r - 1, 0) * odds), rate + np.sqrt(2 * _FAR * rate) + _FAR

    @property
    def _odds(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.asarray(self._p / self._q)

    def _record(self) -> dict[str, Any]:
        r, by_r = self._count
        return {
            "r": r, "p": self._p, "q": self._q, "log_r": np.log(r), "log_q": self._log_q,
            "error": _special.stirling_error(r), "excess": _special.digamma_excess(r),
            "at_none": r * self._log_q, "by_r": r * by_r, "unit": self._unit, "table": 0.0,
        }  # fmt: skip

    def _information(self) -> Any:
        (r, by_r), p, unit = self._count, self._p, self._unit
        laws = zip(r, p, self._q, strict=True)
        own = [_special.negative_binomial_information(*law) for law in laws]
        cross = p * r * by_r * unit
        return [[np.array(own) * (r * by_r) ** 2, cross], [cross, r * p * unit**2]]

    def _moments(self) -> dict[str, Any]:
        mean = self._count.value * self._odds
        return {"mean": mean, "variance": mean / self._q}

    @property
    def support_set(self) -> Support:
        """The integers from 0 on; 0 alone where success is impossible."""
        return Support.integers(self.d, 0, np.where(self._p > 0, np.inf, 0))


__all__ = ["NegativeBinomial"]
