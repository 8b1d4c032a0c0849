"""W4: samples of several normals, weighted by the balance heuristic, and a quadratic f."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from asv_benchmarks.peers.workloads._workload import Array
from asv_benchmarks.peers.workloads.gaussian import TARGET, Gaussian

PROPOSALS = 8
#: Units whose spread gives the standard error.
UNITS = 2_000


@dataclass(frozen=True)
class Importance(Gaussian):
    """The gradient of W1, without a baseline, from samples of ``q_j = N(loc_j, diag(scale_j)**2)``.

    A sample x of any of them has the weight ``p(x) / q(x)``, where q is the mean of all ``q_j``.

    Attributes
    ----------
    mu, log_scale : ndarray of shape (d,)
        Mean and logarithm of the standard deviation of each coordinate under p.
    loc, scale : ndarray of shape (j, d)
        Mean and standard deviation of each coordinate under each proposal.
    """

    title = "multiple importance sampling"
    sizes = (10,)

    loc: Array
    scale: Array

    @classmethod
    def of_size(cls, size: int) -> Importance:
        """Return the workload in `size` dimensions: proposals scattered about p, and wider."""
        target = Gaussian.of_size(size)
        j, k = np.arange(PROPOSALS)[:, None], np.arange(size)
        return cls(
            target.mu,
            target.log_scale,
            loc=target.mu + 0.3 * np.sin(1.7 * j + k),
            scale=np.exp(target.log_scale) * (1.05 + 0.03 * j),
        )

    def units(self, n: int) -> int:
        """Return the number of units, each one sample of each proposal, that `n` samples take."""
        return math.ceil(n / PROPOSALS)

    def standard_error(self, n: int) -> Array:
        """Return the standard error without a baseline, from a simulation with a fixed seed.

        Its own error is about two percent.
        """
        normals = np.random.default_rng(0).standard_normal((UNITS, *self.loc.shape))
        x, sigma = self.loc + self.scale * normals, np.exp(self.log_scale)
        y = (x - self.mu) / sigma
        y_of_each = (x[:, :, None] - self.loc) / self.scale
        log_p = -0.5 * (y**2).sum(-1) - self.log_scale.sum()
        log_q = -0.5 * (y_of_each**2).sum(-1) - np.log(self.scale).sum(-1)
        weights = 1 / np.exp(log_q - log_p[:, :, None]).mean(-1)
        values = weights * ((x - TARGET) ** 2).sum(-1)
        scores = np.concatenate([y / sigma, y**2 - 1], axis=-1)
        of_units = (values[:, :, None] * scores).mean(axis=1)
        return of_units.std(axis=0, ddof=1) / np.sqrt(self.units(n))
