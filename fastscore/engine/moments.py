"""The mergeable state of an estimate: sums over units, by fold.

A *unit* is the smallest independent set of samples; here each sample is one.  ``F_u`` and
``S_u`` are the unit's means of ``w s`` (plus the direct term) and of the score s, where
``w = f - reference``.  A *fold* is a union of units chosen by index alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscore.engine.blocks import COUNT, FIRST, HEADER, NONFINITE, SUM_W, SUM_WW


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
    def units(self) -> np.ndarray:
        """Units in each fold."""
        return self.sums[:, COUNT]

    @property
    def w(self) -> np.ndarray:
        """Σ w of each fold."""
        return self.sums[:, SUM_W]

    @property
    def ww(self) -> np.ndarray:
        """Σ w² of each fold."""
        return self.sums[:, SUM_WW]

    @property
    def scores(self) -> np.ndarray:
        """Σ S, Σ F, Σ S², Σ F S and Σ F², of shape (folds, 5, P)."""
        return self.sums[:, HEADER:].reshape(len(self.sums), 5, -1)

    @property
    def nonfinite(self) -> int:
        """Non-finite values of f met."""
        return int(self.sums[:, NONFINITE].sum())

    @property
    def first_nonfinite(self) -> int | None:
        """Index of the first sample with a non-finite f."""
        met = self.sums[self.sums[:, NONFINITE] > 0, FIRST]
        return int(met.min()) if met.size else None
