"""Sets of distinct outcomes, drawn without replacement, under Murthy's weights.

k outcomes are drawn one after the other from p, each from those that are left.  Given the set S of
them, an outcome i is weighed by ``P(S | i came first) p_i / P(S)``: its chance to have been the
first.  These weights sum to 1, and ``Σ_{i∈S} weight_i h(i)`` is the mean of ``h(first)`` given S:
it has the mean of a sample, and less variance (Murthy 1957; Kool, van Hoof and Welling 2020).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine.blocks import NONFINITE
from fastscore.engine.enumeration import Evaluation
from fastscore.engine.jit import entry
from fastscore.engine.launch import reference_value
from fastscore.engine.moments import Moments
from fastscore.engine.products import Products
from fastscore.engine.tiles import FOLDS
from fastscore.engine.unit_rows import (
    UnitRows,
    pieces,
    products_of_rows,
    sums_of_rows,
    without_rounding,
)

#: Outcomes of a set at most: its weights take 2**size steps.
LARGEST = 12


@dataclass(frozen=True)
class DistinctMoments(Moments):
    """Sums over sets of ``size`` outcomes."""

    size: int
    of_samples = False

    @property
    def samples(self) -> int:
        """Draws in all sets."""
        return self.n * self.size


class DistinctRun(Evaluation):
    """Independent sets of distinct outcomes.

    Parameters
    ----------
    size, n, seed : int
        Outcomes of a set; draws in all, rounded up to whole sets; seed.
    """

    def __init__(
        self, size: int, n: int, seed: int, family: Any, outcomes: np.ndarray, **f: Any
    ) -> None:
        probs = np.exp(family.log_density(outcomes))
        outcomes, probs = outcomes[probs > 0], probs[probs > 0] / probs.sum()
        if size >= len(probs):
            raise ValueError(
                f"sampling=WithoutReplacement(size={size}): there are {len(probs)} possible "
                "outcomes, and a set must leave some out: take estimator='exact', or a smaller size"
            )
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        sets, self.weights = draw_sets(rng, -(-n // size), size, probs)
        came = np.zeros(len(probs), bool)
        came[sets.ravel()] = True
        self.sets = (np.cumsum(came) - 1)[sets]
        super().__init__(family, outcomes[came], **f)

    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """Evaluate f, and sum up: here, where Ctrl-C is looked for."""
        super().rounds(progress)
        if not self.failed:
            _ = self.moments

    @cached
    def moments(self) -> DistinctMoments:
        """By folds of consecutive sets."""
        self.reference = reference_value(self.values)
        size, bad = self.problem.family.size, ~np.isfinite(self.values)
        sums = sums_of_rows(self._rows(), len(self._folds), size)
        for fold, header in zip(self._folds, sums, strict=True):
            header[NONFINITE] = bad[self.sets[fold]].sum()
        return DistinctMoments(sums, self.reference, self.sets.shape[1])

    def products_by_counts(self) -> Products:
        """Products of S and F by fold."""
        return products_of_rows(self._rows(), len(self._folds), self.problem.family.size)

    @property
    def _folds(self) -> list[slice]:
        units = len(self.sets)
        folds = min(FOLDS, units)
        ends = [units * k // folds for k in range(folds + 1)]
        return [slice(*pair) for pair in itertools.pairwise(ends)]

    def _rows(self) -> Iterator[UnitRows]:
        """The units of each fold: weighted sums of w, s and w s."""
        from scipy.sparse import csr_array

        family, w = self.problem.family, self.values - self.reference
        size = self.sets.shape[1]
        for fold, units in enumerate(self._folds):
            sets, weights = self.sets[units], self.weights[units]
            for piece in pieces(len(sets), size * family.size):
                used, where = np.unique(sets[piece], return_inverse=True)
                count = len(sets[piece])
                ends = np.arange(0, count * size + 1, size)
                unit = csr_array(
                    (weights[piece].ravel(), where.ravel(), ends), shape=(count, used.size)
                )
                scores = family.scores_of(self.outcomes[used])
                s = without_rounding(unit @ scores, unit @ np.abs(scores))
                f = unit @ (w[used, None] * scores)
                yield UnitRows(fold, np.ones(count), unit @ w[used], s, f)


def draw_sets(
    rng: np.random.Generator, units: int, size: int, probs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sets of indices drawn without replacement, and their weights, both of shape (units, size).

    The first to arrive: outcome i does so after an exponential time of rate ``probs[i]``.
    """
    sets = np.empty((units, size), np.min_scalar_type(len(probs)))
    weights = np.empty((units, size))
    for piece in pieces(units, len(probs)):
        with np.errstate(over="ignore"):
            times = rng.standard_exponential((len(sets[piece]), len(probs))) / probs
        first = np.argpartition(times, size - 1)[:, :size]
        sets[piece] = first
        left = np.ones_like(times)
        np.put_along_axis(left, first, 0.0, axis=1)
        # Summed, since 1 − Σ would have no digits where a set has nearly all of the probability.
        _weigh(probs[first], left @ probs, weights[piece])
    return sets, weights


@entry
def _weigh(probs: Any, rest: Any, weights: Any) -> None:
    """Weights of sets (units, k), given the probabilities in them and all that is left.

    ``follow[A]`` is the chance that the set is completed at once after its part A, a bit mask, has
    come: ``Σ_{j∉A} p_j / (1 − p(A)) follow[A ∪ j]``.
    """
    size = probs.shape[1]
    whole = 2**size - 1
    follow = np.empty(whole + 1)
    for u in range(len(probs)):
        p = probs[u]
        follow[whole] = 1.0
        for part in range(whole - 1, 0, -1):
            total = missing = 0.0
            for j in range(size):
                if not part >> j & 1:
                    missing += p[j]
                    total += p[j] * follow[part | 1 << j]
            follow[part] = total / (rest[u] + missing)
        total = 0.0
        for j in range(size):
            weights[u, j] = p[j] * follow[1 << j]
            total += weights[u, j]
        for j in range(size):
            weights[u, j] /= total
