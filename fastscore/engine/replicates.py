"""Moments of replicates: of all samples of one, scrambled together, only the mean is independent.

The run is that of independent samples, each fold a replicate; only at its end the fold's sums
become those of one unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscore.engine.blocks import COUNT, HEADER, SUM_W, SUM_WW
from fastscore.engine.moments import Moments, UnitMoments
from fastscore.engine.products import FOR_COVARIANCE, KINDS, Products
from fastscore.engine.scheme import Scheme
from fastscore.engine.units.layout import WEIGHT, WEIGHT_SQUARED, WEIGHT_VALUE


class Replicates(Moments):
    """Sums over replicates, each a unit and a fold.

    Attributes
    ----------
    points : ndarray
        Samples of each.
    """

    points: np.ndarray
    of_samples = False

    @property
    def samples(self) -> int:
        """Samples in all replicates."""
        return int(self.points.sum())

    @property
    def products(self) -> Products:
        """Products of the units' S and F."""
        s, f = self.scores[:, 0], self.scores[:, 1]
        pairs = [(s, s), (f, s), (s, f), (f, f)]
        sums = np.empty((len(s), KINDS, s.shape[1], s.shape[1]))
        for kind, (left, right) in enumerate(pairs):
            np.multiply(left[:, :, None], right[:, None, :], out=sums[:, kind])
        return Products(sums, s.shape[1], FOR_COVARIANCE)


@dataclass(frozen=True)
class ReplicateMoments(Replicates):
    """Those of a run without control functions."""

    points: np.ndarray

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


@dataclass(frozen=True)
class ReplicateUnitMoments(Replicates, UnitMoments):
    """Those of a run with control functions."""

    points: np.ndarray

    @classmethod
    def of(cls, sums: np.ndarray, reference: float, scheme: Scheme) -> ReplicateUnitMoments:
        """From sums over the samples of each."""
        plain = ReplicateMoments.of(sums[:, : HEADER + 5 * scheme.target.size], reference)
        sums = sums[sums[:, COUNT] > 0]
        mean = UnitMoments(sums / plain.points[:, None], reference, scheme)
        out = cls(np.zeros_like(sums), reference, scheme, plain.points)
        out.sums[:, : plain.sums.shape[1]] = plain.sums
        s, f = mean.scores[:, 0], mean.scores[:, 1]
        v, w, c = mean.w_by_fold, mean.extra(WEIGHT), mean.controls[:, : scheme.known, 0]
        extras = out.sums[:, plain.sums.shape[1] :]
        extras[:, [WEIGHT, WEIGHT_SQUARED, WEIGHT_VALUE]] = np.stack([w, w * w, w * v], axis=1)
        columns = np.concatenate([s, f, v[:, None], w[:, None], c], axis=1)
        out.controls[:, :, 0] = own = mean.controls[:, :, 0]
        out.controls[:, :, 1:] = own[:, :, None] * columns[:, None]
        h = mean.score_controls[:, :, 0]
        others = np.concatenate([w[:, None], c], axis=1)[:, :, None].repeat(s.shape[1], axis=2)
        factors = np.concatenate(
            [np.ones_like(s[:, None]), s[:, None], f[:, None], others, h], axis=1
        )
        out.score_controls[:] = h[:, :, None] * factors[:, None]
        return out


__all__ = ["ReplicateMoments", "ReplicateUnitMoments", "Replicates"]
