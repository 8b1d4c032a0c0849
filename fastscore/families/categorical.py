"""Variables with one of K classes each."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.families._classes import accumulate, finish, log_probs, packed, sample, score
from fastscore.families._support import Support
from fastscore.families._weights import Weights, table_moments


class Categorical(Weights):
    """One variable of K classes, or d independent ones; x holds the class, from 0 to K − 1.

    Parameters
    ----------
    probs : array_like
        Probabilities of the classes, of shape (K,), or (d, K) for d variables.  As in torch they
        are weights: not negative, and divided by their sum.
    logits : array_like
        Log-weights in place of ``probs``; ``-inf`` excludes a class.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or those of a variable are all 0.  A weight of 0 can
        be sampled from; its score does not exist, and asking for a gradient raises.

    Notes
    -----
    Density
        ``p_x``, which is ``probs[x]/S``, S being the sum of ``probs``.
    Score
        ``(1[x = k]/p_k − 1)/S`` by probability k; by logit k ``1[x = k] − p_k``.
    Fisher information
        Of a variable ``(diag(1/p) − 1)/S²``; by the logits ``diag(p) − p pᵀ``.  Both are singular:
        a common factor of the weights changes nothing.
    Sampler
        The alias method, of one random word: probabilities are met to 2^-52.
    Moments
        Mean ``m = Σ p_k k``, variance ``Σ p_k (k − m)²``; entropy ``−Σ p_k log p_k``.
    """

    exponential_family = True
    sample_kernel = sample
    score_kernel = score
    log_probs_kernel = log_probs
    accumulate_kernel = accumulate
    finish_kernel = finish
    dtype = np.int64

    def __init__(self, probs: Any = None, *, logits: Any = None) -> None:
        self._set_weights(probs, logits)
        self.d = len(self._probs)

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        on, off = self._complements(), -self._probs
        if "probs" in self.parameters:
            total = self.parameters["probs"].reshape(self.d, -1).sum(axis=1, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                on, off = on / self._probs / total, np.broadcast_to(-1 / total, off.shape)
        return packed(self._probs, self._log_probs, on, off)

    @property
    def owners(self) -> np.ndarray:
        """Every variable has K columns."""
        return np.repeat(np.arange(self.d), self.classes)

    def _moments(self) -> dict[str, Any]:
        return table_moments(self._probs, np.arange(self.classes))

    def support(self, most: int) -> np.ndarray:
        """All ``K**d`` outcomes, of shape (K**d, d)."""
        if self.classes**self.d > most:
            raise ValueError(
                f"Categorical of {self.d} variables with {self.classes} classes has "
                f"{self.classes}**{self.d} outcomes, of {most} at most"
            )
        grid = np.indices((self.classes,) * self.d, dtype=np.int64)
        return grid.reshape(self.d, -1).T

    @property
    def support_set(self) -> Support:
        """The classes of each variable whose probability is not 0."""
        return Support.integers(self.d, 0, self.classes - 1, np.argwhere(self._probs == 0))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        counted = [np.bincount(column, shares, minlength=self.classes) for column in x.T]
        return self._fit_weights(np.array(counted), least)

    def _as_samples(self, x: Any) -> np.ndarray:
        samples = super()._as_samples(x)
        inside = (samples >= 0) & (samples < self.classes)
        checks.require("x", samples, inside, f"a class from 0 to {self.classes - 1}")
        return samples


__all__ = ["Categorical"]
