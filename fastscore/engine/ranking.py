"""Ranked fitness: f gives way to utilities of its ranks among all n samples.

So all values of f are kept in a first run.  The same samples are drawn again for what each rank
does to the utilities of others, and once more to sum their scores by utility.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from fastscore.cached import cached
from fastscore.engine import blocks, driver, host
from fastscore.engine.callback import CallbackRun
from fastscore.engine.draw import draw_block
from fastscore.engine.launch import CompiledRun
from fastscore.engine.moments import Moments
from fastscore.engine.problem import Problem
from fastscore.engine.utilities import KINDS, Influence, Ranks

#: Utilities that add up to a gradient, where others are averaged.
_SUMMED = {"nes"}


class CalledValues(CallbackRun):
    """The run of a plain Python f, which keeps all its values."""

    @cached
    def values(self) -> np.ndarray:
        """f of each sample, NaN of those not reached."""
        return np.full(self.problem.cut.n, np.nan)

    def _evaluate(self, workspace: np.ndarray, rows: int, first: int) -> np.ndarray:
        values = super()._evaluate(workspace, rows, first)
        self.values[first : first + rows] = values
        return values


class CompiledValues(CompiledRun):
    """A compiled f at all samples, without any sums."""

    @cached
    def values(self) -> np.ndarray:
        """f of each sample, NaN of those not reached."""
        return np.full(self.problem.cut.n, np.nan)

    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """Evaluate f, and look for non-finite values."""
        super().rounds(progress)
        cut = self.problem.cut
        if self.failed or self.problem.table[blocks.POLICY] != blocks.RAISE:
            return
        bad = np.flatnonzero(~np.isfinite(self.values))
        if bad.size:
            block = bad[0] // cut.block
            self.flags[driver.STATUS], self.flags[driver.FAILED] = blocks.NOT_FINITE, block
            self.flags[driver.BAD_COUNT] = np.searchsorted(bad, (block + 1) * cut.block)
            self.flags[driver.BAD_FIRST] = bad[0]

    def _driver(self) -> Callable[[int, int], None]:
        """A share of the blocks per thread, each sample's value to its place."""
        workers = self.workers
        flags = np.zeros((workers, driver.FLAGS), np.int64)

        def share(worker: int, first: int, last: int) -> None:
            driver.values_of_blocks(
                self.problem.table, self.workspaces[worker], first, last, self.stop,
                flags[worker], self.values,
            )  # fmt: skip

        def work(first: int, last: int) -> None:
            ends = pairwise(first + (last - first) * i // workers for i in range(workers + 1))
            shares = [partial(share, i, *span) for i, span in enumerate(ends)]
            if workers == 1:
                shares[0]()
            else:
                host.on_threads(shares)
            failed = flags[flags[:, driver.STATUS] != 0]
            if len(failed):
                self.flags[:] = failed[np.argmin(failed[:, driver.FAILED])]
            self.flags[driver.MERGED] = last

        return work


@dataclass(frozen=True)
class RankedMoments(Moments):
    """Sums of utilities in place of f; the value stays that of f."""

    values: np.ndarray

    @property
    def value(self) -> float:
        """Mean of f."""
        return float(self.values.mean())

    @property
    def value_stderr(self) -> float:
        """Its standard error; NaN for a single sample."""
        count = self.values.size
        return float(self.values.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")


class RankedRun(CallbackRun):
    """The last run: utilities of what the first one kept.

    Parameters
    ----------
    problem : Problem
        The same samples as in the first run, and a direct term that is given: it has mean 0, and
        makes the error of the gradient that of ``u s`` and of the utilities together.
    first : CalledValues or CompiledValues
        The first run.
    shaping : str
        Kind of utilities.
    """

    def __init__(
        self, problem: Problem, first: CalledValues | CompiledValues, shaping: str
    ) -> None:
        super().__init__(problem, f=np.asarray, direct=None)
        self.first, self.shaping = first, shaping
        self.workers = first.workers

    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """All runs; the first and the rest count for half each."""
        n = self.problem.cut.n
        self.first.rounds(None if progress is None else lambda done: progress(done // 2))
        if self.first.failed:
            self.flags[:] = self.first.flags
            return
        self._rank()
        super().rounds(None if progress is None else lambda done: progress((n + done) // 2))

    @cached
    def _values(self) -> np.ndarray:
        """f where it is finite."""
        return self.first.values[self._finite]

    @cached
    def _finite(self) -> np.ndarray:
        return np.isfinite(self.first.values)

    @cached
    def _places(self) -> np.ndarray:
        """How many of the samples before each have a finite f, and so a rank."""
        return np.concatenate([[0], np.cumsum(self._finite)])

    def _rank(self) -> None:
        """Utilities, and what each sample does to those of others."""
        cut, family = self.problem.cut, self.problem.family
        if not self._values.size:
            return
        ranks = Ranks(self._values)
        by_rank = KINDS[self.shaping](self._values.size)
        by_rank = by_rank * (by_rank.size if self.shaping in _SUMMED else 1)
        self._utilities = ranks.share(by_rank)
        self._influence = Influence(ranks, by_rank, family.size)
        for block in range(cut.blocks):
            first = block * cut.block
            which, finite = self._ranked(first, cut.rows_of(block))
            self._influence.add(which, family.scores_of(draw_block(self.problem, block)[finite]))

    def _ranked(self, first: int, rows: int) -> tuple[slice, np.ndarray]:
        """Which of those with a rank some samples are, and which of these have one."""
        which = slice(self._places[first], self._places[first + rows])
        return which, self._finite[first : first + rows]

    def _evaluate(self, workspace: np.ndarray, rows: int, first: int) -> np.ndarray:
        values, _, direct = self.problem.columns(workspace)
        which, finite = self._ranked(first, rows)
        values[:rows], direct[:, :rows] = np.nan, 0.0  # to be left out
        if finite.any():
            values[:rows][finite] = self._utilities[which]
            direct[:, :rows][:, finite] = self._influence.of(which)
        return values[:rows]

    def _reference(self, workspace: np.ndarray, values: np.ndarray, rows: int) -> float:  # noqa: ARG002
        """Utilities have mean 0."""
        return 0.0

    @property
    def moments(self) -> RankedMoments:
        """The sums, and the values of f."""
        return RankedMoments(self.sums, self.reference, self._values)
