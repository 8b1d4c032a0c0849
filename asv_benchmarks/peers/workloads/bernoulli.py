"""W2: independent Bernoulli variables and a quadratic f of their sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asv_benchmarks.peers.workloads._workload import Array

TARGET = 60.0


@dataclass(frozen=True)
class Bernoulli:
    """``x_k`` is 1 with probability ``1 / (1 + exp(-logits_k))``; ``f(x) = (sum_k x_k - 60)**2``.

    Attributes
    ----------
    logits : ndarray of shape (d,)
        Parameters.
    """

    title = "Bernoulli"
    elements = 100_000_000
    sizes = (200,)

    logits: Array

    @classmethod
    def of_size(cls, size: int) -> Bernoulli:
        """Return the workload with `size` variables, their logits evenly spaced."""
        return cls(np.linspace(-2.0, 1.0, size))

    @property
    def elements_per_sample(self) -> int:
        """The number of variables."""
        return self.logits.size

    @property
    def p(self) -> Array:
        """Probabilities of 1."""
        return 1 / (1 + np.exp(-self.logits))

    def gradient(self) -> Array:
        """Return ``p_k (1 - p_k) (E[f | x_k = 1] - E[f | x_k = 0])``."""
        p = self.p
        return p * (1 - p) * (2 * (p.sum() - TARGET - p) + 1)

    def standard_error(self, n: int) -> Array:
        """Return the exact standard error with the mean as the baseline.

        ``E (f - E f)**2 (x_k - p_k)**2`` is a sum over the values of ``x_k`` and of the sum of
        the others.
        """
        p, mean = self.p, self.mean()
        totals = np.arange(p.size + 1)
        others = self.distributions_of_others()
        if_one = others @ ((totals + 1 - TARGET) ** 2 - mean) ** 2
        if_zero = others @ ((totals - TARGET) ** 2 - mean) ** 2
        second = p * (1 - p) ** 2 * if_one + (1 - p) * p**2 * if_zero
        return np.sqrt((second - self.gradient() ** 2) / n)

    def mean(self) -> float:
        """Return ``E f``."""
        p = self.p
        return float((p.sum() - TARGET) ** 2 + (p * (1 - p)).sum())

    def distributions_of_others(self) -> Array:
        """Return, in row `k`, the probabilities of the values of ``sum_j!=k x_j``."""
        p = self.p
        odds = np.zeros((p.size, p.size + 1))
        odds[:, 0] = 1.0
        for j in range(p.size):
            with_j = (1 - p[j]) * odds
            with_j[:, 1:] += p[j] * odds[:, :-1]
            with_j[j] = odds[j]
            odds = with_j
        return odds
