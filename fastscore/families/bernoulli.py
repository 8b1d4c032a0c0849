"""Independent coordinates of 0 or 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.checks import require
from fastscore.engine.coins import coins
from fastscore.families._binary import accumulate, finish, log_probs, packed, score
from fastscore.families._information import assembled
from fastscore.families._probability import Probability
from fastscore.families._support import Support


class Bernoulli(Probability):
    """Independent coordinates that are 1 with probability ``probs``, else 0.

    Parameters
    ----------
    probs : array_like
        Probabilities of 1, of shape (d,), or a scalar for a single coordinate.
    logits : array_like
        Their log-odds ``log(p/(1 − p))``, in place of ``probs``.

    Raises
    ------
    ValueError
        If a probability is not between 0 and 1, or a logit is not finite.  A probability of 0 or
        1 can be sampled from; its score does not exist, and asking for a gradient raises.

    Notes
    -----
    Density
        ``p`` at 1, ``1 − p`` at 0.
    Score
        ``(x − p)/(p (1 − p))``; by the logit ``x − p``.
    Fisher information
        Diagonal, ``1/(p (1 − p))``; by the logit ``p (1 − p)``.
    Sampler
        Probabilities are met to 80 bits, so that rare events are not distorted: 16 random bits
        decide unless they tie.
    Moments
        Mean ``p``, variance ``p (1 − p)``; entropy ``−p log p − (1 − p) log(1 − p)``.
    """

    exponential_family = True
    by_inversion = True
    sample_kernel = coins
    score_kernel = score
    log_probs_kernel = log_probs
    accumulate_kernel = accumulate
    finish_kernel = finish
    dtype = np.int64

    def __init__(self, probs: Any = None, *, logits: Any = None) -> None:
        self._set_probability(probs, logits)

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        p, q = self._p, self._q
        with np.errstate(divide="ignore", over="ignore"):
            by_one, by_zero = (1 / p, -1 / q) if "probs" in self.parameters else (q, -p)
        return packed((q, by_zero, self._log_q), (p, by_one, self._log_p))

    def fisher(self) -> Any:
        """Fisher information, (P, P): ``p (1 − p)`` by logits, its inverse by probabilities.

        Sparse beyond 4,096 parameter entries.
        """
        self.require_score()
        blocks = [[self._p * self._q * self._unit**2]]
        return assembled(blocks, self.index.reshape(1, self.d), self.size)

    def _moments(self) -> dict[str, Any]:
        from scipy.special import entr

        p, q = self._p, self._q
        return {"mean": p.copy(), "variance": p * q, "entropy": entr(p) + entr(q)}

    def support(self, most: int) -> np.ndarray:
        """All ``2**d`` outcomes, of shape (2**d, d)."""
        if self.d > 62 or 2**self.d > most:
            raise ValueError(
                f"Bernoulli of d = {self.d} has 2**{self.d} outcomes, of {most} at most"
            )
        return np.arange(2**self.d)[:, None] >> np.arange(self.d)[::-1] & 1

    @property
    def support_set(self) -> Support:
        """0 and 1, without an outcome of probability 0."""
        return Support.integers(self.d, 0, 1, np.argwhere(np.column_stack([self._q, self._p]) == 0))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        failures, successes = (np.einsum("n,nk->k", shares, x == outcome) for outcome in (0, 1))
        return self._fit_probability(failures, successes, least)

    def _as_samples(self, x: Any) -> np.ndarray:
        samples = super()._as_samples(x)
        require("x", samples, (samples == 0) | (samples == 1), "0 or 1")
        return samples


__all__ = ["Bernoulli"]
