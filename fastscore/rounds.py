"""Rounds of estimates of one gradient, averaged with weights that were fixed beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastscore.cached import cached
from fastscore.estimate import Estimate
from fastscore.families import Family
from fastscore.importance.diagnostics import Diagnostics
from fastscore.variance.baselines import Solution


class RoundsEstimate(Estimate):
    """The average of unbiased estimates, each of proposals that depend on the rounds before it.

    Given the past each round is unbiased, and so their errors are uncorrelated, and the variance
    of ``Σ ω_r ĝ_r`` is the sum of ``ω_r² Var(ĝ_r)``.  Baselines are those of each round: one
    fitted over all rounds would depend on a sample through the proposals of later ones.

    Attributes
    ----------
    rounds : tuple of Estimate
        The estimates averaged.
    weights : ndarray
        ω, of sum 1: proportional to √r in round r, which is never more than 9/8 of the least
        variance if that of rounds falls as a power of r, from 0 to −1 [1]_.
    proposals : tuple of Family
        Those of the last round.
    dof : float
        Degrees of freedom of the shortest round: the average has no fewer.

    References
    ----------
    .. [1] A. B. Owen and Y. Zhou, The square root rule for adaptive importance sampling, ACM
       Transactions on Modeling and Computer Simulation 30 (2020).
    """

    def __init__(
        self, p: Family, wrt: tuple[str, ...], rounds: Sequence[Estimate],
        proposals: Sequence[Family], *, seed: int | None, seconds: float,
    ) -> None:  # fmt: skip
        last = rounds[-1]
        super().__init__(
            p, wrt, last._moments, last.baseline, seed=seed, nonfinite_policy="raise",
            direct=False, stopped="n", threads=last.threads, seconds=seconds, products=None,
            replay=None, biased=[] if last.bias == "none" else [last.bias],
        )  # fmt: skip
        self.rounds = tuple(rounds)
        self.proposals = tuple(proposals)
        self.weights = np.sqrt(np.arange(1, len(rounds) + 1))
        self.weights /= self.weights.sum()
        self.n = sum(one.n for one in rounds)
        self.dof = min(one.dof for one in rounds)
        self.nonfinite = sum(one.nonfinite for one in rounds)

    @property
    def value(self) -> float:
        """Estimate of ``E[f]``."""
        return float(self.weights @ [one.value for one in self.rounds])

    @property
    def value_stderr(self) -> float:
        """Its standard error; NaN if a round is a single unit."""
        return float(np.sqrt(self.weights**2 @ [one.value_stderr**2 for one in self.rounds]))

    @cached
    def _solution(self) -> Solution:
        each = [one._solution for one in self.rounds]
        squares = self.weights**2
        variance = squares @ [one.stderr**2 for one in each]
        without = squares @ [
            np.where(one.stderr > 0, one.variance_ratio, 0.0) * one.stderr**2 for one in each
        ]
        ratio = np.where(without > 0, np.inf, 1.0)
        np.divide(without, variance, out=ratio, where=variance != 0)
        grad = self.weights @ [one.grad for one in each]
        return Solution(grad, np.sqrt(variance), ratio, each[-1].coefficients)

    @cached
    def _stderr_error(self) -> np.ndarray:
        each = [one._solution.stderr**2 for one in self.rounds]
        parts = self.weights[:, None] ** 2 * each
        errors = np.sum((parts * [one._stderr_error for one in self.rounds]) ** 2, axis=0)
        total = parts.sum(axis=0)
        return np.divide(np.sqrt(errors), total, out=np.full_like(total, np.nan), where=total > 0)

    def covariance(self) -> np.ndarray:
        """Covariance matrix of the gradient, of shape (P, P), see `Estimate.covariance`."""
        squares = self.weights**2
        return np.einsum("r,rij->ij", squares, [one.covariance() for one in self.rounds])

    @property
    def importance(self) -> Diagnostics:
        """What the weights tell of the round that is least to be trusted."""
        each = [one.importance for one in self.rounds]
        found = [one for one in each if one is not None]
        return max(found, key=lambda one: (not one.trusted, one.pareto_k))

    @property
    def ess(self) -> float:
        """Effective sample size, ``(ΣW)²/ΣW²`` of the weights of all rounds."""
        each = [one.importance for one in self.rounds]
        sums = self.weights * [0.0 if one is None else one.mean_weight for one in each]
        squares = sum(
            part**2 / one.ess for part, one in zip(sums, self.rounds, strict=True) if part
        )
        return float(sums.sum() ** 2 / squares) if squares else 0.0

    def with_baseline(self, baseline: str | float | None) -> RoundsEstimate:
        """The same samples under another baseline, in each round."""
        return RoundsEstimate(
            self._p, self._wrt, [one.with_baseline(baseline) for one in self.rounds],
            self.proposals, seed=self.seed, seconds=self.seconds,
        )  # fmt: skip
