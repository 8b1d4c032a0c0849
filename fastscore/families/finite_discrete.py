"""Variables with values from a finite table."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.lookup import classes_of, table, values_of
from fastscore.families._pushforward import Pushforward
from fastscore.families._support import Support, Tie
from fastscore.families._weights import table_moments
from fastscore.families.categorical import Categorical


class FiniteDiscrete(Pushforward):
    """One variable, or d independent ones, with values from a finite table.

    Parameters
    ----------
    outcomes : array_like
        The values, of shape (K,), finite and distinct, the same for all variables.  Samples are
        int64 if these are integers, else float64.
    probs : array_like
        Their probabilities, of shape (K,), or (d, K) for d variables.  As in torch they are
        weights: not negative, and divided by their sum.
    logits : array_like
        Log-weights in place of ``probs``; ``-inf`` excludes a value.

    Raises
    ------
    ValueError
        If a value is not finite or comes twice, their number is not that of the weights, or as
        `Categorical` does.

    Notes
    -----
    Density
        ``p_k`` at ``outcomes[k]``.
    Score
        That of a `Categorical`: ``(1[x = outcomes[k]]/p_k − 1)/S`` by ``probs[k]``, S being the sum
        of ``probs``; by logit k ``1[x = outcomes[k]] − p_k``.
    Fisher information
        That of a `Categorical`, singular: a common factor of the weights changes nothing.
    Sampler
        The alias method draws k, and f sees ``outcomes[k]``: probabilities are met to 2^-52.
    Moments
        Mean ``m = Σ p_k outcomes[k]``, variance ``Σ p_k (outcomes[k] − m)²``; entropy
        ``−Σ p_k log p_k``.
    """

    exponential_family = True
    forward_kernel = values_of
    inverse_kernel = classes_of
    base: Categorical

    def __init__(self, outcomes: Any, probs: Any = None, *, logits: Any = None) -> None:
        given = checks.parameter("outcomes", outcomes) + 0.0  # which makes −0 a 0
        integers = np.asarray(outcomes).dtype.kind in "biu"
        if integers:
            checks.require("outcomes", given, np.abs(given) < 2**51, "below 2**51")
        base = Categorical(probs, logits=logits)
        if given.shape != (base.classes,):
            (name,) = base.parameters
            raise ValueError(
                f"outcomes has shape {given.shape} and {name} has {base.classes} classes: give (K,)"
            )
        self._order = np.argsort(given)
        again = np.zeros(given.shape, bool)
        again[self._order[1:]] = np.diff(given[self._order]) == 0
        checks.require("outcomes", given, ~again, "distinct")
        self.dtype = np.int64 if integers else np.float64
        self._outcomes = given.astype(self.dtype)
        self._outcomes.flags.writeable = False
        self._push(base)
        self.classes = base.classes
        self.constants = MappingProxyType({"outcomes": self._outcomes})

    @property
    def owners(self) -> np.ndarray:
        """As of the base: each coordinate has an image of its own."""
        return self.base.owners

    @cached
    def map_params(self) -> np.ndarray:
        """The table, as its kernels take it."""
        return table(self._outcomes)

    def _classes(self, x: np.ndarray) -> np.ndarray:
        """Of values their classes, −1 of one that is not in the table."""
        at = np.searchsorted(self._outcomes, x, sorter=self._order)
        found = self._order[np.minimum(at, self.classes - 1)]
        return np.where(self._outcomes[found] == x, found, -1)

    def scores_of(self, samples: np.ndarray) -> np.ndarray:
        """Scores of samples (n, d), (n, P): 0 of what is not in the table."""
        inside = self._classes(samples) >= 0
        return super().scores_of(samples) * np.repeat(inside, self.classes, axis=1)

    def _moments(self) -> dict[str, Any]:
        return table_moments(self.base._probs, self._outcomes)

    def support(self, most: int) -> np.ndarray:
        """All ``K**d`` outcomes, of shape (K**d, d)."""
        return self._outcomes[self.base.support(most)]

    @property
    def support_set(self) -> Support:
        """The values of each variable whose probability is not 0."""
        possible = self.base._probs > 0
        low, high = (np.array([end(self._outcomes[p]) for p in possible]) for end in (min, max))
        if self.dtype is np.int64:
            law = ("values", *self._outcomes[self._order].tolist())
            ties = [Tie(k, k + 1, law) for k in range(self.d)]
            excluded = [(k, self._outcomes[j]) for k, j in np.argwhere(~possible)]
            return Support.integers(self.d, low, high, excluded, ties=ties)
        laws = (self._outcomes[self._order[own]].tolist() for own in possible[:, self._order])
        ties = [Tie(k, k + 1, ("values", *law)) for k, law in enumerate(laws)]
        return Support.reals(self.d, low, high, ties=ties)

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        classes = self._classes(x)
        checks.require("x", x, classes >= 0, "among the outcomes")
        return self.base._fit(classes, shares, least)

    def _as_samples(self, x: Any) -> np.ndarray:
        return super()._as_samples(x) + self.dtype(0)  # which makes −0 a 0


__all__ = ["FiniteDiscrete"]
