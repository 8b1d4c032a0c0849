"""W3: one categorical variable, and a table for f."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asv_benchmarks.peers.workloads._workload import Array

#: Samples to be expected in a class for its gradient to be near enough to normal.
ENOUGH = 100


@dataclass(frozen=True)
class Categorical:
    """``x`` is class `k` with the probability ``softmax(logits)_k``; ``f(x) = values[x]``.

    Attributes
    ----------
    logits, values : ndarray of shape (k,)
        Parameters, and the table of f.
    """

    title = "categorical"
    elements = 1_000_000
    sizes = (1000,)

    logits: Array
    values: Array

    @classmethod
    def of_size(cls, size: int) -> Categorical:
        """Return the workload with `size` classes, everything drawn from a fixed seed."""
        rng = np.random.default_rng(11)
        logits = rng.normal(size=size)
        return cls(logits, rng.normal(size=size) ** 2 * 3)

    @property
    def elements_per_sample(self) -> int:
        """A sample is one class."""
        return 1

    @property
    def p(self) -> Array:
        """Probabilities of the classes."""
        p = np.exp(self.logits - self.logits.max())
        return p / p.sum()

    def gradient(self) -> Array:
        """Return ``p_k (f_k - E f)``."""
        p = self.p
        return p * (self.values - p @ self.values)

    def standard_error(self, n: int) -> Array:
        """Return the exact standard error with the mean as the baseline, by enumeration.

        ``(f - E f)**2 (1[x = k] - p_k)**2`` is ``(f - E f)**2`` times ``1 - 2 p_k`` in class
        `k`, and times ``p_k**2`` everywhere.
        """
        p = self.p
        square = (self.values - p @ self.values) ** 2
        second = p * square * (1 - 2 * p) + p**2 * (p @ square)
        error = np.sqrt((second - self.gradient() ** 2) / n)
        return np.where(n * p < ENOUGH, np.inf, error)
