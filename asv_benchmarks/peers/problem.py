"""The problem every peer solves, and its exact answer.

``x ~ N(mu, diag(exp(log_scale))**2)`` in `d` dimensions, ``f(x) = sum_k (x_k - 3)**2``: the
gradient of ``E f(x)`` with respect to ``(mu, log_scale)`` from `n` samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TARGET = 3.0


class Mode(IntEnum):
    """What a peer computes; the numbers are those of ``score.c``."""

    NO_BASELINE = 0
    OPTIMAL = 1
    LEAVE_ONE_OUT = 2
    STANDARD_ERRORS = 3


@dataclass(frozen=True)
class Problem:
    """Parameters of the sampling distribution.

    Attributes
    ----------
    mu, log_scale : ndarray of shape (d,)
        Mean and logarithm of the standard deviation of each coordinate.
    """

    mu: Array
    log_scale: Array

    @classmethod
    def of_dimension(cls, d: int) -> Problem:
        """Return the problem in `d` dimensions, its parameters evenly spaced."""
        if d == 1:
            return cls(np.array([0.5]), np.array([0.1]))
        return cls(np.linspace(-0.5, 0.5, d), np.linspace(-0.3, 0.3, d))

    @property
    def d(self) -> int:
        """Number of dimensions."""
        return self.mu.size

    def gradient(self) -> Array:
        """Return the exact gradient: `d` entries for the mean, `d` for the log scale."""
        return np.concatenate([2 * (self.mu - TARGET), 2 * np.exp(2 * self.log_scale)])

    def standard_error(self, n: int) -> Array:
        """Return the exact standard error of the gradient with the optimal baselines.

        With ``a = mu - 3``, ``u = z**2 - 1`` and coordinate `k` apart from the others,

        ``f - E f = rest + 2 a sigma z + sigma**2 u``,  ``Var rest = sum_j!=k 4 a**2 sigma**2
        + 2 sigma**4``.

        The estimators ``(f - b) z / sigma`` and ``(f - b) u`` have least variance at
        ``b = E f + 2 sigma**2`` and ``b = E f + 4 sigma**2``; their variances there follow from
        the moments of ``z`` up to the eighth.

        Parameters
        ----------
        n : int
            Number of samples.

        Returns
        -------
        ndarray of shape (2 d,)
            In the order of `gradient`.
        """
        cross = 4 * (self.mu - TARGET) ** 2 * np.exp(2 * self.log_scale)
        fourth = np.exp(4 * self.log_scale)
        own = cross + 2 * fourth
        rest = own.sum() - own
        of_mu = (rest + 2 * cross + 6 * fourth) * np.exp(-2 * self.log_scale)
        of_log_scale = 2 * rest + 10 * cross + 24 * fourth
        return np.sqrt(np.concatenate([of_mu, of_log_scale]) / n)
