"""W5: a normal of any covariance and a quadratic f."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asv_benchmarks.peers.workloads._workload import Array
from asv_benchmarks.peers.workloads.gaussian import TARGET, Gaussian


def with_lower_half(by_mu: Array, by_factor: Array) -> Array:
    """Join what belongs to the mean and, row by row, to the lower half of L."""
    return np.concatenate([by_mu, by_factor[np.tril_indices(len(by_factor))]])


@dataclass(frozen=True)
class Multivariate:
    """``x = mu + L z`` with standard normal `z`, and ``f(x) = sum_k (x_k - 3)**2``.

    Attributes
    ----------
    mu : ndarray of shape (d,)
        Mean.
    scale_tril : ndarray of shape (d, d)
        L, lower triangular.
    """

    title = "multivariate normal"
    elements = 10_000_000
    sizes = (50,)

    mu: Array
    scale_tril: Array

    @classmethod
    def of_size(cls, size: int) -> Multivariate:
        """Return W1's variables in `size` dimensions, with correlations of ``0.5**|i - j|``."""
        independent, k = Gaussian.of_size(size), np.arange(size)
        sigma = np.exp(independent.log_scale)
        covariance = sigma[:, None] * sigma * 0.5 ** np.abs(k[:, None] - k)
        return cls(independent.mu, np.linalg.cholesky(covariance))

    @property
    def elements_per_sample(self) -> int:
        """The number of dimensions."""
        return self.mu.size

    def gradient(self) -> Array:
        """Return the exact gradient: `d` entries for the mean, then the lower half of that by L.

        ``E f = |mu - 3|**2 + |L|**2``.
        """
        return with_lower_half(2 * (self.mu - TARGET), 2 * self.scale_tril)

    def standard_error(self, n: int) -> Array:
        """Return the exact standard error with the mean as the baseline.

        With ``A = L^T L``, ``a = L^T (mu - 3)`` and `v` the row `i` of ``L^-T``,

        ``f - E f = 2 a^T z + z^T A z - tr A``,

        and the scores are ``v^T z`` and ``z^T B z - tr B``, ``B = (v e_j^T + e_j v^T)/2``.  By
        the moments of `z`, with ``S = A**2 + a a^T`` and ``Var f = 2 tr A**2 + 4 |a|**2``,

        ``E (f - E f)**2 (v^T z)**2 = Var f |v|**2 + 8 v^T S v`` and
        ``E (f - E f)**2 (z^T B z - tr B)**2 = 2 Var f tr B**2 + 8 (tr A B)**2 + 16 tr A B A B
        + 32 tr S B**2``.

        Of the traces, ``tr A B = L_ij`` and ``v^T A v = 1``.
        """
        factor, v = self.scale_tril, np.linalg.inv(self.scale_tril).T
        inner, a = factor.T @ factor, factor.T @ (self.mu - TARGET)
        s = inner @ inner + np.outer(a, a)
        variance = 2 * (inner**2).sum() + 4 * (a**2).sum()
        vv, vsv = (v**2).sum(axis=1), ((v @ s) * v).sum(axis=1)
        by_mu = variance * vv + 8 * vsv
        by_factor = (
            variance * (v**2 + vv[:, None])
            + 16 * factor**2
            + 8 * np.diag(inner)
            + 8 * (2 * v * (v @ s) + vsv[:, None] + vv[:, None] * np.diag(s))
        )
        return np.sqrt((with_lower_half(by_mu, by_factor) - self.gradient() ** 2) / n)
