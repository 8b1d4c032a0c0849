"""Utilities of ranks, and how each sample moves those of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.checks import one_of


def _centered(n: int) -> np.ndarray:
    """½ down to -½; a single value is in the middle."""
    return np.arange(n)[::-1] / (n - 1) - 0.5 if n > 1 else np.zeros(n)


def _nes(n: int) -> np.ndarray:
    """``max(0, log(n/2 + 1) − log k)/Σ − 1/n`` of rank k = 1, 2, …."""
    raw = np.maximum(0.0, np.log(n / 2 + 1) - np.log(np.arange(1, n + 1)))
    return np.asarray(raw / raw.sum() - 1 / n)


#: Utilities of n ranks, the best first.
KINDS: dict[str, Callable[[int], np.ndarray]] = {"centered ranks": _centered, "nes": _nes}
#: Ranks between which h is linear: so many, or fewer where their sums would take much memory.
_CELLS, _FEWEST_CELLS, _CELL_SUMS = 1024, 64, 2**20


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
    return Ranks(array).share(KINDS[kind](array.size))


class Ranks:
    """Values in order, the largest first.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Numbers, without NaN, of which there is one at least.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.order = np.argsort(values, kind="stable")[::-1]
        ordered = values[self.order]
        new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        self._starts = np.flatnonzero(new)
        self._sizes = np.diff(self._starts, append=values.size)

    def share(self, by_rank: np.ndarray) -> np.ndarray:
        """What each value gets of something by rank: equal ones get their mean."""
        means = np.add.reduceat(by_rank, self._starts) / self._sizes
        return self.place(np.repeat(means, self._sizes))

    def place(self, by_rank: np.ndarray) -> np.ndarray:
        """From the order of ranks to that of values."""
        out = np.empty_like(by_rank)
        out[self.order] = by_rank
        return out


class Influence:
    """What a sample adds to the mean of ``u s`` by its effect on the utilities u of others.

    It raises those that are better: by ``h(t) = E[u'(f) s; f > t]`` at f = t, where u' is the slope
    of utilities in the share of samples that are worse.  This is the other half of a U-statistic's
    projection, less its mean.  h is a sum over ranks, exact at some of them, which are close to
    each other at both ends where utilities are steep, and linear in between.

    Parameters
    ----------
    ranks : Ranks
        Those of the samples.
    by_rank : ndarray of shape (n,)
        Utilities, the best first.
    size : int
        Entries of the score.
    """

    def __init__(self, ranks: Ranks, by_rank: np.ndarray, size: int) -> None:
        n = by_rank.size
        slopes = -np.gradient(by_rank) if n > 1 else np.zeros(n)
        self._slopes = ranks.share(slopes)
        ends = np.arange(n + 1.0)
        self._rank = ranks.place(ends[:-1] + 0.5)
        self._middle = ranks.share(ends[:-1] + 0.5)
        cells = max(_FEWEST_CELLS, min(_CELLS, _CELL_SUMS // size))
        edges = np.round(n * (1 - np.cos(np.linspace(0, np.pi, cells + 1))) / 2)
        self._edges = np.unique(edges)
        self._sums = np.zeros((size, self._edges.size - 1))

    def _cells(self, ranks: np.ndarray) -> np.ndarray:
        return np.asarray(np.searchsorted(self._edges, ranks, side="right") - 1)

    def add(self, which: slice, scores: np.ndarray) -> None:
        """Scores (rows, P) of some of the samples."""
        cells, slopes = self._cells(self._rank[which]), self._slopes[which]
        for j, column in enumerate(scores.T):
            self._sums[j] += np.bincount(cells, slopes * column, minlength=self._edges.size - 1)

    def of(self, which: slice) -> np.ndarray:
        """h of some samples, of shape (P, rows), after all have been added."""
        cells, part = self._within(self._middle[which])
        return np.asarray(self._heaped[:, cells] + part * self._sums[:, cells] - self._mean)

    @cached
    def _heaped(self) -> np.ndarray:
        """h at the edges."""
        return np.cumsum(self._sums, axis=1) - self._sums

    def _within(self, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Between which edges ranks are, and which part of the way."""
        cells = self._cells(ranks)
        return cells, (ranks - self._edges[cells]) / np.diff(self._edges)[cells]

    @cached
    def _mean(self) -> np.ndarray:
        """Of all samples, (P, 1)."""
        cells, part = self._within(self._middle)
        count = self._edges.size - 1
        whole, parts = np.bincount(cells, minlength=count), np.bincount(cells, part, count)
        total = self._heaped @ whole + self._sums @ parts
        return np.asarray(total[:, None] / self._middle.size)
