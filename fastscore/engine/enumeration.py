"""Runs over a small support: f is evaluated once at each outcome, not once per sample.

n independent samples enter an estimate only by how often each outcome came: `CountedRun` draws
those counts, from their multinomial distribution.  `ExactRun` weighs outcomes by their
probabilities, and has no error left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine import blocks, driver
from fastscore.engine.callback import call_f
from fastscore.engine.host import ROUND, watch
from fastscore.engine.launch import reference_value
from fastscore.engine.moments import CountedMoments, ExactMoments, Moments
from fastscore.engine.problem import Problem
from fastscore.engine.products import Products, products_of_outcomes
from fastscore.engine.run import Run
from fastscore.engine.tiles import FOLDS, batch_stride, tile_rows, tiling

#: Outcomes of a support that counts as small.
MOST_OUTCOMES = 2**18
_NO_KEY = np.zeros(2, np.uint64)


class Evaluation(Run):
    """f at given outcomes.

    Parameters
    ----------
    family : Family
        The distribution.
    outcomes : ndarray of shape (M, d)
        Where to evaluate f.
    f : int or callable
        Address of the tile kernel of a compiled f, or ``f(X) -> (M,)``.
    args : Arguments or None
        Arguments of a compiled f.
    policy : int
        What to do with a non-finite f.
    functions : sequence
        Tile function of f, kept alive.
    """

    unit = "outcome"

    def __init__(
        self, family: Any, outcomes: np.ndarray, f: int | Callable[[np.ndarray], Any],
        args: Any, policy: int, functions: Sequence[Any] = (),
    ) -> None:  # fmt: skip
        address = blocks.GIVEN if callable(f) else f
        cut = replace(tiling(len(outcomes), family.d, family.size), folds=1)
        super().__init__(Problem(family, cut, _NO_KEY, f=address, args=args, functions=functions))
        self.outcomes = outcomes
        self.f = f
        self.policy = policy
        self.values = np.full(len(outcomes), np.nan)

    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """Evaluate f, and look for non-finite values."""
        if callable(self.f):
            self.values[:] = call_f("f", self.f, self.outcomes, (len(self.outcomes),), 0)
        else:
            self._evaluate(progress)
        bad = np.flatnonzero(~np.isfinite(self.values))
        if bad.size and self.policy == blocks.RAISE and not self.failed:
            self.flags[driver.STATUS] = blocks.NOT_FINITE
            self.flags[driver.BAD_COUNT], self.flags[driver.BAD_FIRST] = bad.size, bad[0]

    def _evaluate(self, progress: Callable[[int], None] | None) -> None:
        """A compiled f, a tile at a time, or fewer rows if Ctrl-C would have to wait."""
        problem, stop = self.problem, np.zeros(1, np.int64)
        workspace = problem.workspaces(1)[0]
        values, tile, _ = problem.columns(workspace)
        done, step, seconds = 0, 1, 0.0
        while done < len(self.outcomes) and not self.failed:
            rows = self.outcomes[done : done + step]
            tile[:, : len(rows)] = rows.T
            work = partial(
                driver.evaluate_given, problem.table, workspace, len(rows), stop, self.flags
            )
            start = time.perf_counter()
            if seconds > ROUND:
                watch(work, stop)
            else:
                work()
            seconds = (time.perf_counter() - start) / len(rows)
            self.values[done : done + len(rows)] = values[: len(rows)]
            done += len(rows)
            step = min(tile_rows(problem.cut.d), max(1, int(ROUND / max(seconds, 1e-9))))
            if progress is not None:
                progress(done)

    @cached
    def _weighing(self) -> tuple[Problem, np.ndarray]:
        """All outcomes as one block, and a workspace that holds them."""
        count = len(self.outcomes)
        cut = replace(self.problem.cut, block=count, blocks=1)
        problem = Problem(
            self.problem.family, cut, _NO_KEY, f=blocks.GIVEN, policy=blocks.PROPAGATE,
            stride=batch_stride(count),
        )  # fmt: skip
        workspace = problem.workspaces(1)[0]
        problem.columns(workspace)[1][:, :count] = self.outcomes.T
        return problem, workspace

    def weigh(self, weights: np.ndarray) -> np.ndarray:
        """``Σ weight s`` and ``Σ weight s²`` over the outcomes, of shape (2, P)."""
        problem, workspace = self._weighing
        sums, flags = np.zeros((1, problem.slot)), np.zeros(driver.FLAGS, np.int64)
        problem.columns(workspace)[0][: len(weights)] = weights
        driver.absorb(
            problem.table, workspace, 0.0, 0, 0, flags, np.empty(problem.slot), sums,
            problem.products_by_fold(),
        )  # fmt: skip
        return Moments(sums, 0.0).scores[0, [1, 3]]

    @property
    def samples(self) -> int:
        """Outcomes evaluated."""
        return len(self.outcomes)

    @property
    def usable(self) -> bool:
        """Part of the outcomes is no estimate."""
        return False

    def samples_of_failure(self) -> tuple[np.ndarray, int]:
        """All outcomes."""
        return self.outcomes, 0


class CountedRun(Evaluation):
    """n samples by their counts.

    Parameters
    ----------
    n, seed : int
        Number of samples, and seed of their counts.
    """

    def __init__(self, n: int, seed: int, family: Any, outcomes: np.ndarray, **f: Any) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        probs = np.exp(family.log_density(outcomes))
        counts = self._rng.multinomial(n, probs / probs.sum())
        drawn = counts > 0
        self.counts = counts[drawn]
        super().__init__(family, outcomes[drawn], **f)

    @cached
    def moments(self) -> Moments:
        """Of all samples as one fold; of several when a baseline needs them."""
        self.reference = reference_value(self.values)
        return CountedMoments(
            self._sums([self.counts]), self.reference, lambda: self._sums(self._counts_by_fold)
        )

    @cached
    def _counts_by_fold(self) -> np.ndarray:
        """Each of an outcome's samples falls into any fold alike: another multinomial."""
        folds = min(FOLDS, int(self.counts.sum()))
        return self._rng.multinomial(self.counts, np.full(folds, 1 / folds)).T

    def products_by_counts(self) -> Products:
        """Products of scores by fold."""
        w, counts = self._centred(), self._counts_by_fold * self._kept
        return products_of_outcomes(self.problem.family.scores_of(self.outcomes), w, counts)

    @property
    def _kept(self) -> np.ndarray:
        """Outcomes that count."""
        return np.isfinite(self.values) | (self.policy != blocks.OMIT)

    def _centred(self) -> np.ndarray:
        """w, which is 0 at an outcome that is left out."""
        return np.where(self._kept, self.values, self.reference) - self.reference

    def _sums(self, folds: Any) -> np.ndarray:
        """The sums of folds given by their counts."""
        w, kept = self._centred(), self._kept
        sums = np.zeros((len(folds), self.problem.slot))
        rows = Moments(sums, 0.0).scores
        for counts, header, (s, f, ss, fs, ff) in zip(folds, sums, rows, strict=True):
            counted = np.where(kept, counts, 0)
            header[blocks.COUNT] = counted.sum()
            header[blocks.SUM_W], header[blocks.SUM_WW] = counted @ w, counted @ w**2
            header[blocks.NONFINITE] = counts[~np.isfinite(self.values)].sum()
            s[:], ss[:] = self.weigh(counted)
            f[:], fs[:] = self.weigh(counted * w)
            ff[:] = self.weigh(counted * w**2)[1]
        return sums


class ExactRun(Evaluation):
    """All outcomes, under their probabilities."""

    def __init__(self, family: Any, outcomes: np.ndarray, **f: Any) -> None:
        probs = np.exp(family.log_density(outcomes))
        possible = probs > 0
        self.probs = probs[possible] / probs.sum()
        super().__init__(family, outcomes[possible], **f)

    @cached
    def moments(self) -> ExactMoments:
        """Value and gradient."""
        with np.errstate(invalid="ignore"):  # a non-finite f is let through only if so wanted
            value = float(self.probs @ self.values)
            grad = self.weigh(self.probs * (self.values - value))[0]
        bad = int((~np.isfinite(self.values)).sum())
        return ExactMoments(value, grad, self.samples, nonfinite=bad)
