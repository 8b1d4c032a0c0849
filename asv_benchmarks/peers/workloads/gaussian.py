"""W1: independent normals and a quadratic f."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asv_benchmarks.peers.workloads._workload import Array

TARGET = 3.0


@dataclass(frozen=True)
class Gaussian:
    """``x ~ N(mu, diag(exp(log_scale))**2)`` and ``f(x) = sum_k (x_k - 3)**2``.

    Attributes
    ----------
    mu, log_scale : ndarray of shape (d,)
        Mean and logarithm of the standard deviation of each coordinate.
    """

    title = "normal"
    elements = 10_000_000
    sizes = (1, 10, 100, 1000)

    mu: Array
    log_scale: Array

    @classmethod
    def of_size(cls, size: int) -> Gaussian:
        """Return the workload in `size` dimensions, its parameters evenly spaced."""
        if size == 1:
            return cls(np.array([0.5]), np.array([0.1]))
        return cls(np.linspace(-0.5, 0.5, size), np.linspace(-0.3, 0.3, size))

    @property
    def elements_per_sample(self) -> int:
        """The number of dimensions."""
        return self.mu.size

    def gradient(self) -> Array:
        """Return the exact gradient: `d` entries for the mean, `d` for the log scale."""
        return np.concatenate([2 * (self.mu - TARGET), 2 * np.exp(2 * self.log_scale)])

    def standard_error(self, n: int) -> Array:
        """Return the exact standard error with the mean as the baseline.

        With ``a = mu - 3``, ``u = z**2 - 1`` and coordinate `k` apart from the others,

        ``f - E f = rest + 2 a sigma z + sigma**2 u``,  ``Var rest = sum_j!=k 4 a**2 sigma**2
        + 2 sigma**4``.

        The variances of ``(f - E f) z / sigma`` and ``(f - E f) u`` follow from the moments of
        ``z`` up to the eighth.
        """
        cross = 4 * (self.mu - TARGET) ** 2 * np.exp(2 * self.log_scale)
        fourth = np.exp(4 * self.log_scale)
        own = cross + 2 * fourth
        rest = own.sum() - own
        of_mu = (rest + 2 * cross + 10 * fourth) * np.exp(-2 * self.log_scale)
        of_log_scale = 2 * rest + 10 * cross + 56 * fourth
        return np.sqrt(np.concatenate([of_mu, of_log_scale]) / n)
