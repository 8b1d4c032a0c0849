"""The launch: rounds of blocks on one thread, under ``prange``, or on Python threads.

Where the host allows no ``prange`` (see ``host``) the same blocks run on Python threads with the
serial driver, to the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from fastscore.engine import driver, host
from fastscore.engine.blocks import CHUNK, LEVEL, RUN_AT, run_block
from fastscore.engine.host import ROUND
from fastscore.engine.jit import Entry
from fastscore.engine.memory import aligned
from fastscore.engine.problem import Problem
from fastscore.engine.run import Run
from fastscore.engine.units.block import run_units
from fastscore.engine.units.layout import NO_LEVEL

#: Seconds of work below which threads cost more than they bring.
_WORTH_THREADS = 2e-4
_SECONDS_PER_ELEMENT = 2e-9
_SECONDS_PER_PRODUCT = 5e-11
#: Slots per worker: many, so that workers rarely wait for each other, unless they are large.
_IN_FLIGHT = 256
_PILOT_ROWS = 16
_SLOW_PILOT = 1e-4
_SLOT_DOUBLES = 2**16


class CompiledRun(Run):
    """The run of a compiled f, on as many threads as pay."""

    def __init__(self, problem: Problem, threads: int | None) -> None:
        super().__init__(problem)
        self.stop = np.zeros(1, np.int64)
        self.workspaces = problem.workspaces(1)
        self.reference, cost = _pilot(problem, self.workspaces[0], self.stop)
        if problem.weighting is not None:
            problem.weighting.centre(problem.terms(self.workspaces[0])[:, : _pilot_rows(problem)])
        self.cost = (cost + self._cost_of_sums()) * problem.draws
        self.workers = self._workers(threads)
        self.parallel = self.workers > 1 and host.prange_is_safe()
        if self.workers > 1:
            self.workspaces = problem.workspaces(self.workers)

    def _workers(self, threads: int | None) -> int:
        cut = self.problem.cut
        if cut.blocks == 1 or threads == 1 or cut.n * self.cost < _WORTH_THREADS:
            return 1
        return min(self._shares, host.threads() if threads is None else threads)

    @property
    def _shares(self) -> int:
        """Parts of the work that threads may take."""
        return self.problem.cut.blocks

    def _cost_of_sums(self) -> float:
        """Seconds per sample, roughly, beside drawing it and evaluating f."""
        return self.problem.cut.d * _SECONDS_PER_ELEMENT

    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """Run all blocks, each round no longer than Ctrl-C may have to wait."""
        cut = self.problem.cut
        block_seconds = self.cost * cut.block
        watched = block_seconds > 2 * ROUND
        if watched:  # f is slow: ask for a stop between chunks of a few calls of it
            self.problem.table[CHUNK] = max(1, int(ROUND / self.cost))
        work = self._driver()
        done = 0
        step = self._step(block_seconds)
        while done < cut.blocks and not self.failed:
            last = min(done + step, cut.blocks)
            start = time.perf_counter()
            if watched:
                host.watch(partial(work, done, last), self.stop)
            else:
                work(done, last)
            seconds = (time.perf_counter() - start) / (last - done) * self.workers
            done = last
            step = min(self._step(seconds), 4 * step)
            if progress is not None:
                progress(self.samples)

    def _step(self, block_seconds: float) -> int:
        return max(self.workers, int(self.workers * ROUND / max(block_seconds, 1e-9)))

    def _driver(self) -> Callable[[int, int], None]:
        problem = self.problem
        _take_kernel(problem)
        if self.workers > 1 and not self.parallel:
            return self._python_threads()
        run = driver.run_parallel if self.parallel else driver.run_serial
        in_flight = self._in_flight()
        slots = aligned(in_flight, problem.slot)  # two workers never write to one cache line
        statuses = np.empty(in_flight, np.int64)
        return lambda first, last: run(
            problem.table, self.reference, first, last, self.stop, self.flags, self.workspaces,
            slots, statuses, self.sums,
        )  # fmt: skip

    def _in_flight(self) -> int:
        if self.workers == 1:
            return 1
        return self.workers * max(2, min(_IN_FLIGHT, _SLOT_DOUBLES // self.problem.slot))

    def _python_threads(self) -> Callable[[int, int], None]:
        """The serial driver on a share of the blocks per thread, each into a row of its own."""
        problem, workers = self.problem, self.workers
        slots = np.empty((workers, 1, problem.slot))
        statuses = np.empty((workers, 1), np.int64)
        rows = np.zeros((self._in_flight(), problem.slot))
        flags = np.zeros((workers, driver.FLAGS), np.int64)

        def share(worker: int, first: int, last: int) -> None:
            driver.run_serial(
                problem.table, self.reference, first, last, self.stop, flags[worker],
                self.workspaces[worker : worker + 1], slots[worker], statuses[worker], rows,
            )  # fmt: skip

        def work(first: int, last: int) -> None:
            for begin in range(first, last, len(rows)):
                count = min(last - begin, len(rows))
                rows[:] = 0.0
                rows[:, LEVEL] = NO_LEVEL
                ends = pairwise(begin + count * i // workers for i in range(workers + 1))
                host.on_threads(partial(share, i, *span) for i, span in enumerate(ends))
                failed = flags[(flags[:, driver.STATUS] != 0) & (self.stop[0] == 0)]
                good = failed[:, driver.FAILED].min() if len(failed) else begin + count
                driver.merge(problem.table, rows, begin, good, self.sums, self.flags)
                if len(failed):
                    first_failed = failed[np.argmin(failed[:, driver.FAILED])]
                    merged = self.flags[driver.MERGED]
                    self.flags[:] = first_failed
                    self.flags[driver.MERGED] = merged
                if len(failed) or self.stop[0]:
                    return

        return work


class FoldsRun(CompiledRun):
    """The same with products of scores: each fold is one thread's work, its blocks in order."""

    @property
    def _shares(self) -> int:
        return self.problem.cut.folds

    def _cost_of_sums(self) -> float:
        return super()._cost_of_sums() + self.problem.family.size**2 * _SECONDS_PER_PRODUCT

    def _driver(self) -> Callable[[int, int], None]:
        folds, workers = self.problem.cut.folds, self.workers
        _take_kernel(self.problem)
        flags = np.zeros((folds, driver.FLAGS), np.int64)
        slots = aligned(workers, self.problem.slot)

        def run(
            entry: Entry, blocks: tuple[int, int], which: tuple[int, int], worker: slice
        ) -> None:
            entry(
                self.problem.table, self.reference, *blocks, which, self.stop, flags,
                self.workspaces[worker], slots[worker], self.sums, self._products,
            )  # fmt: skip

        def work(first: int, last: int) -> None:
            if self.parallel or workers == 1:
                entry = driver.run_folds_parallel if self.parallel else driver.run_folds_serial
                run(entry, (first, last), (0, folds), slice(workers))
            else:
                ends = pairwise(folds * i // workers for i in range(workers + 1))
                host.on_threads(
                    partial(run, driver.run_folds_serial, (first, last), which, slice(i, i + 1))
                    for i, which in enumerate(ends)
                )
            failed = flags[flags[:, driver.STATUS] != 0]
            at = np.argmin(failed[:, driver.FAILED]) if len(failed) else None
            self.flags[:] = flags[0] if at is None else failed[at]

        return work


def _take_kernel(problem: Problem) -> None:
    """What runs a block: not before now, as a run of Python's f or of values alone needs none."""
    kernel = run_block if problem.mixture is None else run_units
    problem.table[RUN_AT] = kernel.address


def _pilot_rows(problem: Problem) -> int:
    return max(1, min(_PILOT_ROWS, problem.cut.n // _PILOT_ROWS))


def _pilot(problem: Problem, workspace: np.ndarray, stop: np.ndarray) -> tuple[float, float]:
    """A reference value for f, from a few samples of a stream of its own, and f's cost.

    Sums of f with a large offset would cancel, so w = f - reference is summed; the choice of
    the reference cancels out of every result, up to rounding.
    """
    rows = _pilot_rows(problem)
    if driver.pilot.compilations is None:  # compiled before it is timed
        driver.pilot(problem.table, workspace, 0, stop)
    seconds = np.inf
    for _ in range(2):  # the first call of a quick f mostly meets cold caches
        start = time.perf_counter()
        values = driver.pilot(problem.table, workspace, rows, stop)
        seconds = min(seconds, time.perf_counter() - start)
        if seconds > _SLOW_PILOT:
            break
    return reference_value(values), seconds / rows


def reference_value(values: np.ndarray, log_weights: np.ndarray | None = None) -> float:
    """The median of the finite values, which no single outlier moves; 0 if there are none.

    Of weighted samples that by weight: where most of them lie f may be far from what it mostly is.
    """
    finite = np.isfinite(values)
    if log_weights is not None:
        finite &= log_weights > -np.inf
    if not finite.any():
        return 0.0
    ordered = np.argsort(values[finite], kind="stable")
    if log_weights is None:
        middle = ordered.size // 2
    else:
        kept = log_weights[finite]
        heaped = np.cumsum(np.exp(kept - kept.max())[ordered])
        middle = np.searchsorted(heaped, heaped[-1] / 2)
    return float(values[finite][ordered[middle]])
