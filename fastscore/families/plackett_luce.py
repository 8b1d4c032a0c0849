"""Rankings: items are drawn by their weights, without replacement."""

from __future__ import annotations

import math
from itertools import permutations
from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.families._family import Family
from fastscore.families._information import estimated
from fastscore.families._ranking_kernels import log_probs, sample, score
from fastscore.families._rankings import Sets, most_likely_logits
from fastscore.families._support import Support, Tie
from fastscore.families._weights import table_moments

#: Of logits, from the smallest to the largest: products of weights must not overflow.
_WIDEST = 600
#: Items up to which all sets of them are gone through, for closed forms.
_FEW = 14


class PlackettLuce(Family):
    """Rankings of K items: the first is drawn by the weights, the next from the others, and so on.

    x holds items, from 0 to K − 1, each once: ``x[:, 0]`` are those that are ranked first.

    Parameters
    ----------
    logits : array_like
        Log-weights of the items, of shape (K,).
    scores : array_like
        Weights, positive, in place of ``logits``; only their ratios matter.

    Raises
    ------
    ValueError
        If a weight is not positive or not finite, or below exp(−600) times the largest.

    Notes
    -----
    Density
        ``Π_r w/S_r``, w the weight of the item at place r, S_r the sum of its own and all behind.
    Score
        By the logit of an item at place r ``1 − w Σ_{q ≤ r} 1/S_q``; by its weight that over w.
    Fisher information
        By logits ``E Σ_r diag(w/S_r) − (w/S_r)(w/S_r)ᵀ`` over the items that are left at place r,
        exactly up to 14 items, else estimated from samples.  It is singular: adding a constant to
        all logits changes nothing.
    Sampler
        A race, in which an item arrives after an exponential time of rate w; rows are sorted side
        by side.  Probabilities are met to about 1e-13.
    Moments
        Those of the item at each place, and the entropy, are sums over all 2^K sets of items, up to
        14 items.

    A fit keeps weights within ``least`` and ``1/least`` times the present ones, relative to the one
    that is the largest at present.
    """

    sample_kernel = sample
    score_kernel = score
    log_probs_kernel = log_probs
    dtype = np.int64

    def __init__(self, logits: Any = None, *, scores: Any = None) -> None:
        name, value = checks.exactly_one("PlackettLuce", logits=logits, scores=scores)
        given = checks.parameter(name, value)
        if given.ndim != 1:
            raise ValueError(f"{name} has shape {given.shape}: give (K,), one for each item")
        if name == "scores":
            checks.require(name, given, given > 0, "positive")
        logit = given if name == "logits" else np.log(given)
        near = logit > logit.max() - _WIDEST
        checks.require(name, given, near, f"less than {_WIDEST} nats below the largest")
        self.parameters = MappingProxyType({name: given})
        self.d = self.size = given.size
        self.index = np.arange(self.size)
        self.fisher_estimated = self.d > _FEW
        self._weights = np.exp(logit - logit.max()) if name == "logits" else given / given.max()
        self._units = np.ones(self.d) if name == "logits" else 1 / given
        self.packed = np.concatenate([self._weights, self._units])

    @cached
    def _sets(self) -> Sets:
        """All sets of items, if they are few."""
        if self.d > _FEW:
            raise NotImplementedError(
                f"PlackettLuce has no closed form beyond {_FEW} items, and this one has {self.d}"
            )
        return Sets(self._weights)

    def fisher(self, n: int = 20_000, *, rng: Any = 0) -> np.ndarray:
        """Fisher information, (P, P); beyond 14 items the mean of ``s sᵀ`` over n samples."""
        if self.fisher_estimated:
            return estimated(self, n, rng)
        return self._sets.information() * np.outer(self._units, self._units)

    def _moments(self) -> dict[str, Any]:
        sets = self._sets
        return {**table_moments(sets.places(), np.arange(self.d)), "entropy": sets.entropy()}

    def support(self, most: int) -> np.ndarray:
        """All ``K!`` rankings, of shape (K!, K)."""
        if math.factorial(self.d) > most:
            raise ValueError(
                f"PlackettLuce of {self.d} items has {self.d}! outcomes, of {most} at most"
            )
        return np.array(list(permutations(range(self.d))))

    @property
    def support_set(self) -> Support:
        """Rankings of the items."""
        return Support.integers(self.d, 0, self.d - 1, ties=[Tie(0, self.d, "permutation")])

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        logits = most_likely_logits(np.log(self._weights), x, shares, least)
        logits = np.maximum(logits, logits.max() - _WIDEST + 1)
        ((name, given),) = self.parameters.items()
        return {name: given.max() * np.exp(logits) if name == "scores" else given.max() + logits}

    def _as_samples(self, x: Any) -> np.ndarray:
        samples = super()._as_samples(x)
        each_once = np.sort(samples, axis=1) == np.arange(self.d)
        each_once = np.broadcast_to(each_once.all(axis=1, keepdims=True), samples.shape)
        checks.require("x", samples, each_once, f"a ranking of the items from 0 to {self.d - 1}")
        return samples


__all__ = ["PlackettLuce"]
