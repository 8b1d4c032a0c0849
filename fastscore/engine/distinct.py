"""Sets of distinct outcomes, drawn without replacement, under Murthy's weights.

k outcomes are drawn one after the other from p, each from those that are left.  Given the set S of
them, an outcome i is weighed by ``P(S | i came first) p_i / P(S)``: its chance to have been the
first.  These weights sum to 1, and ``Σ_{i∈S} weight_i h(i)`` is the mean of ``h(first)`` given S:
it has the mean of a sample, and less variance (Murthy 1957; Kool, van Hoof and Welling 2020).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastscore.cached import cached
from fastscore.engine.blocks import NONFINITE
from fastscore.engine.enumeration import MOST_OUTCOMES, Evaluation
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
        drawn = draw_sets(rng, -(-n // size), size, probs)
        self.weights, self.dealt = drawn.weights, drawn.dealt
        came = np.zeros(len(probs), bool)
        came[drawn.sets.ravel()] = True
        self.sets = (np.cumsum(came) - 1)[drawn.sets]
        super().__init__(family, outcomes[came], **f)

    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """Evaluate f, and sum up: here, where Ctrl-C is looked for."""
        super().rounds(progress)
        if not self.failed:
            _ = self.moments

    @cached
    def moments(self) -> DistinctMoments:
        """By fold."""
        self.reference = reference_value(self.values)
        sums = sums_of_rows(self._rows(), *self._shape)
        bad = (~np.isfinite(self.values))[self.sets].sum(axis=1)
        for rows, folds, counts in self.dealt:
            sums[folds, NONFINITE] = counts @ bad[rows]
        return DistinctMoments(sums, self.reference, self.sets.shape[1])

    def products_by_counts(self) -> Products:
        """Products of S and F by fold."""
        return products_of_rows(self._rows(), *self._shape)

    @property
    def _shape(self) -> tuple[int, int]:
        """Folds, and entries of the score."""
        return self.dealt[-1].folds.stop, self.problem.family.size

    def _rows(self) -> Iterator[UnitRows]:
        """The units of each fold: weighted sums of w, s and w s."""
        from scipy.sparse import csr_array

        family, w = self.problem.family, self.values - self.reference
        size = self.sets.shape[1]
        for rows, folds, counts in self.dealt:
            sets, weights = self.sets[rows], self.weights[rows]
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
                yield UnitRows(folds, counts[:, piece], unit @ w[used], s, f)


class Dealt(NamedTuple):
    """Rows of sets, folds they are in, and how often they came there, (folds, rows)."""

    rows: slice
    folds: slice
    counts: np.ndarray


class Sets(NamedTuple):
    """Sets of indices and their weights, (R, size), and their folds."""

    sets: np.ndarray
    weights: np.ndarray
    dealt: list[Dealt]


def draw_sets(rng: np.random.Generator, units: int, size: int, probs: np.ndarray) -> Sets:
    """Sets drawn without replacement: by their counts if there are no more of them than units."""
    folds = min(FOLDS, units)
    ends = [units * k // folds for k in range(folds + 1)]
    if math.comb(len(probs), size) <= min(units, MOST_OUTCOMES):
        sets = np.array(list(itertools.combinations(range(len(probs)), size)))
        weights, chances = weigh(sets, probs)
        counts = rng.multinomial(np.diff(ends), chances / chances.sum())
        came = counts.any(axis=0)
        every = Dealt(slice(0, int(came.sum())), slice(0, folds), counts[:, came])
        return Sets(sets[came], weights[came], [every])
    sets = _first_to_arrive(rng, units, size, probs)
    dealt = [
        Dealt(slice(start, stop), slice(k, k + 1), np.ones((1, stop - start)))
        for k, (start, stop) in enumerate(itertools.pairwise(ends))
    ]
    return Sets(sets, weigh(sets, probs)[0], dealt)


def _first_to_arrive(
    rng: np.random.Generator, units: int, size: int, probs: np.ndarray
) -> np.ndarray:
    """One set for each unit: an outcome arrives after an exponential time of rate ``probs[i]``."""
    sets = np.empty((units, size), np.min_scalar_type(len(probs)))
    for piece in pieces(units, len(probs)):
        with np.errstate(over="ignore"):
            times = rng.standard_exponential((len(sets[piece]), len(probs))) / probs
        sets[piece] = np.argpartition(times, size - 1)[:, :size]
    return sets


def weigh(sets: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the outcomes in sets (R, size), and the chances of these sets (R,)."""
    weights, chances = np.empty(sets.shape), np.empty(len(sets))
    for piece in pieces(len(sets), len(probs)):
        left = np.ones((len(sets[piece]), len(probs)))
        np.put_along_axis(left, sets[piece].astype(np.intp), 0.0, axis=1)
        # Summed, since 1 − Σ would have no digits where a set has nearly all of the probability.
        _weigh(probs[sets[piece]], left @ probs, weights[piece], chances[piece])
    return weights, chances


@entry
def _weigh(probs: Any, rest: Any, weights: Any, chances: Any) -> None:
    """Weights and chances of sets, given the probabilities (R, size) in them and of all else.

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
        chances[u] = 0.0
        for j in range(size):
            weights[u, j] = p[j] * follow[1 << j]
            chances[u] += weights[u, j]
        for j in range(size):
            weights[u, j] /= chances[u]
