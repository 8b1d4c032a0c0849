"""The mergeable state of an estimate: sums over units, by fold.

A *unit* is the smallest independent set of samples; here each sample is one.  ``F_u`` and
``S_u`` are the unit's means of ``w s`` (plus the direct term) and of the score s, where
``w = f - reference``.  A *fold* is a union of units chosen by index alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

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
    def scores(self) -> np.ndarray:
        """Σ S, Σ F, Σ S², Σ F S and Σ F², of shape (folds, 5, P)."""
        return self.sums[:, HEADER:].reshape(len(self.sums), 5, -1)

    @cached_property
    def total(self) -> np.ndarray:
        """The header summed over folds."""
        return self.sums[:, :HEADER].sum(axis=0)

    @property
    def n(self) -> int:
        """Units in all folds."""
        return int(self.total[COUNT])

    @property
    def nonfinite(self) -> int:
        """Non-finite values of f met."""
        return int(self.total[NONFINITE])
