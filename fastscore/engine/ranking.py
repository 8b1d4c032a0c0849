"""Ranked fitness: f gives way to utilities of its ranks among all n samples.

So all values of f are kept in a first run; a second draws the same samples again, and sums their
scores by utility.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.checks import one_of
from fastscore.engine import blocks, driver, host
from fastscore.engine.callback import CallbackRun
from fastscore.engine.launch import CompiledRun
from fastscore.engine.moments import Moments
from fastscore.engine.problem import Problem


def _centered(n: int) -> np.ndarray:
    """½ down to -½; a single value is in the middle."""
    return np.arange(n)[::-1] / (n - 1) - 0.5 if n > 1 else np.zeros(n)


def _nes(n: int) -> np.ndarray:
    """``max(0, log(n/2 + 1) − log k)/Σ − 1/n`` of rank k = 1, 2, …."""
    raw = np.maximum(0.0, np.log(n / 2 + 1) - np.log(np.arange(1, n + 1)))
    return np.asarray(raw / raw.sum() - 1 / n)


#: Utilities of n ranks, the best first.
KINDS: dict[str, Callable[[int], np.ndarray]] = {"centered ranks": _centered, "nes": _nes}
#: Those that add up to a gradient, where others are averaged.
_SUMMED = {"nes"}


def utilities(values: Any, kind: str = "centered ranks") -> np.ndarray:
    """Utilities of fitness values by their ranks: the largest value has the largest utility.

    Negate what is to be minimised.

    Parameters
    ----------
    values : array_like of shape (n,)
        Fitness, without NaN.
    kind : {"centered ranks", "nes"}
        From ½ down to −½ in equal steps [1]_; or ``max(0, log(n/2 + 1) − log k)/Σ − 1/n`` of the
        k-th largest, where Σ is the sum of these maxima [2]_.

    Returns
    -------
    ndarray of shape (n,)
        Of sum 0.  Equal values share the mean of their utilities.

    Raises
    ------
    TypeError, ValueError
        If ``values`` are not real, hold NaN or have another shape, or there is no such kind.

    References
    ----------
    .. [1] T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, Evolution strategies as a
       scalable alternative to reinforcement learning, arXiv:1703.03864 (2017).
    .. [2] D. Wierstra, T. Schaul, T. Glasmachers, Y. Sun, J. Peters and J. Schmidhuber, Natural
       evolution strategies, JMLR 15 (2014).

    Examples
    --------
    >>> import fastscore as fs
    >>> fs.utilities([3.0, 1.0, 7.0])
    array([ 0. , -0.5,  0.5])
    """
    one_of("kind", kind, KINDS)
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"values={values!r} are not real numbers: give an array of them")
    if array.ndim != 1:
        raise ValueError(f"values have shape {array.shape}: give one dimension, (n,)")
    missing = np.isnan(array)
    if missing.any():
        raise ValueError(f"values[{missing.argmax()}] is NaN, which has no rank: leave it out")
    if not array.size:
        return np.empty(0)
    order = np.argsort(array, kind="stable")[::-1]
    ordered = array[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(starts, append=array.size)
    shared = np.add.reduceat(KINDS[kind](array.size), starts) / sizes
    out = np.empty(array.size)
    out[order] = np.repeat(shared, sizes)
    return out


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
    """The second run: utilities of what the first one kept.

    Parameters
    ----------
    problem : Problem
        The same samples as in the first run.
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
        """Both runs, each of which counts for half."""
        n = self.problem.cut.n
        self.first.rounds(None if progress is None else lambda done: progress(done // 2))
        if self.first.failed:
            self.flags[:] = self.first.flags
            return
        super().rounds(None if progress is None else lambda done: progress((n + done) // 2))

    @cached
    def _utilities(self) -> np.ndarray:
        """NaN, to be left out, where f is not finite."""
        out = np.full_like(self.first.values, np.nan)
        finite = np.isfinite(self.first.values)
        scale = finite.sum() if self.shaping in _SUMMED else 1.0
        out[finite] = scale * utilities(self.first.values[finite], self.shaping)
        return out

    def _evaluate(self, workspace: np.ndarray, rows: int, first: int) -> np.ndarray:
        values = self.problem.columns(workspace)[0]
        values[:rows] = self._utilities[first : first + rows]
        return values[:rows]

    def _reference(self, workspace: np.ndarray, values: np.ndarray, rows: int) -> float:  # noqa: ARG002
        """Utilities have mean 0."""
        return 0.0

    @property
    def moments(self) -> RankedMoments:
        """The sums, and the values of f."""
        values = self.first.values
        return RankedMoments(self.sums, self.reference, values[np.isfinite(values)])
