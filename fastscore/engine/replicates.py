"""Moments of replicates: of all samples of one, scrambled together, only the mean is independent.

The run is that of independent samples, each fold a replicate; only at its end the fold's sums
become those of one unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscore.engine.blocks import COUNT, HEADER, SUM_W, SUM_WW
from fastscore.engine.moments import Moments
from fastscore.engine.products import FOR_COVARIANCE, KINDS, Products


@dataclass(frozen=True)
class ReplicateMoments(Moments):
    """Sums over replicates, each a unit and a fold.

    Attributes
    ----------
    points : ndarray
        Samples of each.
    """

    points: np.ndarray
    of_samples = False

    @classmethod
    def of(cls, sums: np.ndarray, reference: float) -> ReplicateMoments:
        """From sums over the samples of each; of an interrupted run they need not be all."""
        sums = sums[sums[:, COUNT] > 0]
        points = sums[:, COUNT].copy()
        out, means = sums.copy(), sums / points[:, None]
        out[:, COUNT] = 1.0
        out[:, SUM_W], out[:, SUM_WW] = means[:, SUM_W], means[:, SUM_W] ** 2
        s, f = np.moveaxis(means[:, HEADER:].reshape(len(sums), 5, -1)[:, :2], 1, 0)
        out[:, HEADER:] = np.concatenate([s, f, s * s, f * s, f * f], axis=1)
        return cls(out, reference, points)

    @property
    def samples(self) -> int:
        """Samples in all replicates."""
        return int(self.points.sum())

    @property
    def products(self) -> Products:
        """Products of the units' S and F, for a covariance."""
        s, f = self.scores[:, 0], self.scores[:, 1]
        pairs = [(s, s), (f, s), (s, f), (f, f)]
        sums = np.empty((len(s), KINDS, s.shape[1], s.shape[1]))
        for kind, (left, right) in enumerate(pairs):
            np.multiply(left[:, :, None], right[:, None, :], out=sums[:, kind])
        return Products(sums, s.shape[1], FOR_COVARIANCE)


__all__ = ["ReplicateMoments"]
