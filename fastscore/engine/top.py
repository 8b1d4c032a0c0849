"""Exact sums over the most probable outcomes, and samples of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine.blocks import NONFINITE
from fastscore.engine.enumeration import CountedRun, Evaluation
from fastscore.engine.launch import reference_value
from fastscore.engine.moments import CountedMoments
from fastscore.engine.products import Products
from fastscore.engine.unit_rows import (
    UnitRows,
    pieces,
    products_of_rows,
    sums_of_rows,
    without_rounding,
)


class TopMoments(CountedMoments):
    """A unit is the exact sum and a sample."""

    of_samples = False


class TopRun(CountedRun):
    """The ``top`` most probable outcomes, and n samples of the others by their counts.

    With C the top, ρ = 1 − p(C), and x' a sample of ``p(· | not C)``, a unit has
    ``V = Σ_C p w + ρ w(x')``, ``S = Σ_C p s + ρ s(x')`` and ``F = Σ_C p w s + ρ w(x') s(x')``,
    whose means are those of a sample of p; that of S is 0.

    Parameters
    ----------
    top, n, seed : int
        Outcomes to sum, number of samples, and seed of their counts.
    """

    def __init__(
        self, top: int, n: int, seed: int, family: Any, outcomes: np.ndarray, **f: Any
    ) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        probs = np.exp(family.log_density(outcomes))
        probs /= probs.sum()
        ordered = np.argsort(-probs, kind="stable")  # of equal ones the first outcomes come first
        ordered = ordered[probs[ordered] > 0]
        summed, others = ordered[:top], ordered[top:]
        if not others.size:
            raise ValueError(
                f"estimator=Enumerate(top={top}): there are {summed.size} possible outcomes, and "
                "none is left to sample: take estimator='exact', or a smaller top"
            )
        self.rest = float(probs[others].sum())
        counts = self._rng.multinomial(n, probs[others] / self.rest)
        came = counts > 0
        self.top = summed.size
        self.counts = np.concatenate([np.zeros(self.top, np.int64), counts[came]])
        self.weights = np.concatenate([probs[summed], np.zeros(came.sum())])
        chosen = np.concatenate([summed, others[came]])
        Evaluation.__init__(self, family, outcomes[chosen], **f)

    @cached
    def moments(self) -> TopMoments:
        """Of all samples as one fold; of several when a baseline needs them."""
        self.reference = reference_value(self.values)
        return TopMoments(
            self._sums([self.counts]), self.reference, lambda: self._sums(self._counts_by_fold)
        )

    def products_by_counts(self) -> Products:
        """Products of S and F by fold."""
        counts = self._counts_by_fold
        return products_of_rows(self._rows(counts), len(counts), self.problem.family.size)

    def _sums(self, folds: Any) -> np.ndarray:
        """The sums of folds given by their counts."""
        sums = sums_of_rows(self._rows(folds), len(folds), self.problem.family.size)
        bad = ~np.isfinite(self.values)
        sums[:, NONFINITE] = [counts[bad].sum() for counts in folds]
        sums[0, NONFINITE] += bad[: self.top].sum()
        return sums

    def _rows(self, folds: Any) -> Iterator[UnitRows]:
        """A unit for each outcome that was drawn."""
        w, family = self.values - self.reference, self.problem.family
        v_top = self.weights[: self.top] @ w[: self.top]
        s_top, squares = self.weigh(self.weights)
        f_top, _ = self.weigh(self.weights * w)
        drawn, w = self.outcomes[self.top :], self.rest * w[self.top :]
        for piece in pieces(len(drawn), family.size):
            scores = family.scores_of(drawn[piece])
            s = self.rest * scores
            s = without_rounding(s_top + s, np.sqrt(squares) + np.abs(s))
            f = f_top + w[piece, None] * scores
            for fold, counts in enumerate(folds):
                yield UnitRows(fold, counts[self.top :][piece], v_top + w[piece], s, f)
