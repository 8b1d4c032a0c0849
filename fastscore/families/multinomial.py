"""Multinomial counts: how often each class came in so many trials."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.families._multinomial import log_probs, packed, sample, score
from fastscore.families._support import Support, Tie
from fastscore.families._trials import require_few, sums, trials_of
from fastscore.families._weights import Weights

_SMALLEST = np.finfo(np.float64).tiny


class Multinomial(Weights):
    """How often each of K classes came in so many trials; one variable, or several side by side.

    Parameters
    ----------
    total_count : array_like
        Numbers of trials n, integers, one or of shape (m,) for m variables.  They are no
        parameters: there is no derivative by them.
    probs : array_like
        Probabilities of the classes, of shape (K,), or (m, K); x has all ``m K`` counts.  As in
        torch they are weights: not negative, and divided by their sum.
    logits : array_like
        Log-weights in place of ``probs``; ``-inf`` excludes a class.

    Raises
    ------
    ValueError
        If a number of trials is negative or above 2^50, or as `Categorical` does.

    Notes
    -----
    Density
        ``n!/(x_1! … x_K!) Π p_k^x_k``, p being ``probs/S`` and S their sum; 0 unless the counts add
        up to n.
    Score
        ``(x_k/p_k − n)/S`` by probability k; by logit k ``x_k − n p_k``.
    Fisher information
        Of a variable ``n (diag(1/p) − 1)/S²``; by the logits ``n (diag(p) − p pᵀ)``.  Both are
        singular: a common factor of the weights changes nothing.
    Sampler
        Rare classes trial by trial, by the alias method; the others by binomials of what is left,
        by rejection.  Exact to some 2^-52, at a cost that is bounded however many trials.
    Moments
        Mean ``n p``, variance ``n p (1 − p)``.
    """

    exponential_family = True
    sample_kernel = sample
    score_kernel = score
    log_probs_kernel = log_probs
    dtype = np.int64

    def __init__(self, total_count: Any = 1, probs: Any = None, logits: Any = None) -> None:
        self._set_weights(probs, logits)
        counts = trials_of(total_count)
        if counts.shape not in ((), self._probs.shape[:1]):
            raise ValueError(
                f"total_count has shape {counts.shape}: give a number, or one to each of the "
                f"{len(self._probs)} variables"
            )
        self.constants = MappingProxyType({"total_count": counts})
        self._set_trials(counts)

    def _set_trials(self, trials: Any) -> None:
        """Of many trials the last digits of a probability matter: it is made in few steps."""
        ((name, given),) = self.parameters.items()
        rows = given.reshape(self._probs.shape)
        with np.errstate(over="ignore"):
            weights = rows if name == "probs" else np.exp(rows - rows.max(axis=1, keepdims=True))
        self._probs = weights / np.array([[math.fsum(row)] for row in weights])
        rest, usual = self._complements(), self._probs > _SMALLEST
        logs = np.where(usual, np.log(np.where(usual, self._probs, 1)), self._log_probs)
        self._log_probs = np.where(self._probs > rest, np.log1p(-np.minimum(rest, 0.5)), logs)
        self._trials = np.broadcast_to(trials, len(rows)).astype(np.float64)
        self.d = rows.size

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        unit, rest = np.ones_like(self._probs), self._complements()
        if "probs" in self.parameters:
            weights = self.parameters["probs"].reshape(unit.shape)
            with np.errstate(divide="ignore", over="ignore"):
                unit = 1 / self._probs / weights.sum(axis=1, keepdims=True)
        rows, self._kept = packed(self._trials, self._probs, rest, self._log_probs, unit)
        return rows

    @property
    def owners(self) -> np.ndarray:
        """A column for each count."""
        return np.arange(self.d)

    def _moments(self) -> dict[str, Any]:
        mean = (self._trials[:, None] * self._probs).ravel()
        return {"mean": mean, "variance": mean * self._complements().ravel()}

    def support(self, most: int) -> np.ndarray:
        """All outcomes, in rows: of a variable the ways to write n as a sum of K counts."""
        ways = [math.comb(int(n) + self.classes - 1, self.classes - 1) for n in self._trials]
        require_few(self, math.prod(ways), most)
        which = np.indices(ways).reshape(len(ways), -1)
        own = [sums(int(n), self.classes)[at] for n, at in zip(self._trials, which, strict=True)]
        return np.concatenate(own, axis=1)

    @property
    def support_set(self) -> Support:
        """Counts from 0 to n that add up to n; 0 where a class is excluded."""
        n = np.broadcast_to(self._trials[:, None], self._probs.shape)
        low, high = np.where(self._complements() == 0, n, 0), np.where(self._probs == 0, 0, n)
        ties = [
            Tie(j * self.classes, (j + 1) * self.classes, ("total", int(total)))
            for j, total in enumerate(self._trials)
        ]
        return Support.integers(self.d, low.ravel(), high.ravel(), ties=ties)

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        n, counts = self._trials[:, None], x.reshape(len(x), *self._probs.shape)
        possible = (counts >= 0) & (counts.sum(axis=2, keepdims=True) == n)
        checks.require("x", x, possible.reshape(x.shape), "counts that add up to total_count")
        mean = np.einsum("n,nmk->mk", shares, counts)
        return self._fit_weights(np.where(n > 0, mean / np.maximum(n, 1), self._probs), least)


__all__ = ["Multinomial"]
