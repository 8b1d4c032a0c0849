"""The mergeable state of an estimate: sums over units, by fold.

A *unit* is the smallest independent set of samples; here each sample is one.  ``F_u`` and
``S_u`` are the unit's means of ``w s`` (plus the direct term) and of the score s, where
``w = f - reference``.  A *fold* is a union of units chosen by index alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastscore.cached import cached
from fastscore.engine.blocks import COUNT, HEADER, NONFINITE, SUM_W, SUM_WW


@dataclass(frozen=True)
class Moments:
    """Sums of one run.

    Attributes
    ----------
    sums : ndarray of shape (folds, HEADER + 5 P)
        Per fold: the header, then five rows of P sums: S, F, S², F S, F².
    reference : float
        What was subtracted from f.
    """

    sums: np.ndarray
    reference: float

    @property
    def w(self) -> float:
        """Σ w."""
        return float(self.total[SUM_W])

    @property
    def ww(self) -> float:
        """Σ w²."""
        return float(self.total[SUM_WW])

    @property
    def value(self) -> float:
        """Mean of f."""
        return float(self.reference + self.w / self.n)

    @property
    def value_stderr(self) -> float:
        """Its standard error; NaN for a single unit."""
        if self.n < 2:
            return float("nan")
        spread = max(self.ww - self.w * self.w / self.n, 0.0)
        return float(np.sqrt(spread / (self.n * (self.n - 1))))

    @property
    def scores(self) -> np.ndarray:
        """Σ S, Σ F, Σ S², Σ F S and Σ F², of shape (folds, 5, P)."""
        return self.sums[:, HEADER:].reshape(len(self.sums), 5, -1)

    @cached
    def total(self) -> np.ndarray:
        """The header summed over folds."""
        return self.sums[:, :HEADER].sum(axis=0)

    @property
    def units(self) -> np.ndarray:
        """Units of each fold."""
        return self.sums[:, COUNT]

    @property
    def w_by_fold(self) -> np.ndarray:
        """Σ w of each fold."""
        return self.sums[:, SUM_W]

    @property
    def n(self) -> int:
        """Units in all folds."""
        return int(self.total[COUNT])

    @property
    def nonfinite(self) -> int:
        """Non-finite values of f met."""
        return int(self.total[NONFINITE])

    @property
    def finite(self) -> bool:
        """Whether all sums are."""
        return math.isfinite(self.sums.sum()) or bool(np.isfinite(self.sums).all())

    @property
    def folded(self) -> Moments:
        """With folds to cross-fit over."""
        return self


@dataclass(frozen=True)
class CountedMoments(Moments):
    """Moments of counts, all in one fold, which are split into folds when these are needed.

    Attributes
    ----------
    split : callable
        Gives the sums by fold.
    """

    split: Callable[[], np.ndarray]

    @cached
    def folded(self) -> Moments:
        """With folds to cross-fit over."""
        return Moments(self.split(), self.reference)


@dataclass(frozen=True)
class ExactMoments:
    """Value and gradient without an error, from ``n`` outcomes."""

    value: float
    grad: np.ndarray
    n: int
    value_stderr: float = 0.0
    nonfinite: int = 0

    @property
    def finite(self) -> bool:
        """Whether value and gradient are."""
        return math.isfinite(self.value + self.grad.sum())
