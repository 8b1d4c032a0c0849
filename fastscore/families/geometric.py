"""Independent geometric counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore import checks
from fastscore.engine.counts import geometrics
from fastscore.engine.jit import inlined
from fastscore.engine.vecmath import fma
from fastscore.families._coordinates import Coordinates
from fastscore.families._probability import Probability
from fastscore.families._support import Support

#: Of a smaller probability a sample may not fit into 2⁵¹.
_SMALLEST = 2.0**-45


@inlined
def _score(x, p, q, unit):
    """``q − p x``, from the smaller of p and q, which has all digits."""
    of_rare, of_common = fma(-p, x + 1.0, 1.0), fma(q, x + 1.0, -x)
    return ((of_rare if p < q else of_common) * unit,)


@inlined
def _log_density(x, log_p, log_q):
    failures = x * log_q
    return log_p + (0.0 if x == 0.0 else failures)


class Geometric(
    Probability, Coordinates, low=0.0, discrete=True,
    sample=geometrics, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent numbers of failures before the first success.

    Parameters
    ----------
    probs : array_like
        Probabilities of success, of shape (d,), or a scalar for a single coordinate.
    logits : array_like
        Their log-odds ``log(p/(1 − p))``, in place of ``probs``.

    Raises
    ------
    ValueError
        If a probability is not between 2^-45 and 1, beyond which samples could be too large for
        their type.  One of 1 can be sampled from; its score does not exist.

    Notes
    -----
    Density
        ``p (1 − p)^x``, x = 0, 1, 2, …
    Score
        ``1/p − x/(1 − p)``; by the logit ``1 − p − p x``.
    Fisher information
        Diagonal, ``1/(p² (1 − p))``; by the logit ``1 − p``.
    Sampler
        An exponential, rounded down, of a uniform of 52 bits: probabilities are met to 2^-52, and
        to 1e-13 if p is so small.
    Moments
        Mean ``(1 − p)/p``, variance ``(1 − p)/p²``; entropy ``−log p − (1 − p)/p log(1 − p)``.
    """

    exponential_family = True
    by_inversion = True

    def __init__(self, probs: Any = None, *, logits: Any = None) -> None:
        self._set_probability(probs, logits)
        ((name, given),) = self.parameters.items()
        least = _SMALLEST if name == "probs" else np.log(_SMALLEST)
        checks.require(name, given, given >= least, f"at least {least:.6g} for samples to fit")

    def _record(self) -> dict[str, Any]:
        return {
            "p": self._p, "q": self._q, "unit": self._unit, "log_p": self._log_p,
            "log_q": self._log_q, "scale": -1 / self._log_q,
        }  # fmt: skip

    def _information(self) -> Any:
        return [[self._q * self._unit**2]]

    def _moments(self) -> dict[str, Any]:
        mean = self._q / self._p
        failures = mean * np.where(self._q > 0, self._log_q, 0)
        return {"mean": mean, "variance": mean / self._p, "entropy": -(self._log_p + failures)}

    @property
    def support_set(self) -> Support:
        """The integers from 0 on; 0 alone where success is certain."""
        return Support.integers(self.d, 0, np.where(self._q > 0, np.inf, 0))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        checks.require("x", x, x >= 0, "a count, not negative")
        mean = np.einsum("n,nk->k", shares, x)
        return self._fit_probability(mean, np.ones(self.d), least)


__all__ = ["Geometric"]
