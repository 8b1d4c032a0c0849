"""Functions of an estimated gradient: none of them is unbiased, and each says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fastscore.cached import cached
from fastscore.checks import one_of
from fastscore.engine.moments import ExactMoments, UnitMoments
from fastscore.estimate import CACHED, Estimate
from fastscore.importance.diagnostics import Diagnostics
from fastscore.variance.baselines import Solution


class Transformed(Estimate):
    """An estimate whose gradient is a function of another's; its value is the other's.

    Parameters
    ----------
    base : Estimate
        The other.
    label : str
        By what this one is biased.
    """

    def __init__(self, base: Estimate, label: str) -> None:
        self.__dict__.update({k: v for k, v in base.__dict__.items() if k not in CACHED})
        self._base = base
        self.bias = label if base.bias == "none" else f"{base.bias}, {label}"

    @property
    def value(self) -> float:
        """Estimate of ``E[f]``."""
        return self._base.value

    @property
    def value_stderr(self) -> float:
        """Its standard error."""
        return self._base.value_stderr

    @property
    def importance(self) -> Diagnostics | None:
        """What the importance weights tell, None if there are none."""
        return self._base.importance

    @property
    def ess(self) -> float:
        """Effective sample size."""
        return self._base.ess


class Clipped(Transformed):
    """See `Estimate.clipped`."""

    def __init__(self, base: Estimate, norm: Any, per: Literal["norm", "coordinate"]) -> None:
        super().__init__(base, "clipped gradient")
        one_of("per", per, ("norm", "coordinate"))
        self._norm, self._per = _positive(norm), per

    @cached
    def _solution(self) -> Solution:
        solution = self._base._solution
        if self._per == "coordinate":
            return replace(solution, grad=np.clip(solution.grad, -self._norm, self._norm))
        return replace(solution, grad=solution.grad * self._factor)

    @cached
    def _factor(self) -> float:
        """What the whole gradient is multiplied by."""
        length = float(np.linalg.norm(self._base._solution.grad))
        return self._norm / length if length > self._norm else 1.0

    @cached
    def _stderr(self) -> np.ndarray:
        stderr = self._base._stderr
        if self._per == "coordinate":
            return np.where(self._within, stderr, 0.0)
        if self._factor == 1:
            return stderr
        try:
            return np.sqrt(np.diag(self.covariance()))
        except (RuntimeError, ValueError):  # it has none: correlations at their worst
            u = np.abs(self._direction)
            return self._factor * ((1 - u**2) * stderr + u * (u @ stderr - u * stderr))

    @property
    def _within(self) -> np.ndarray:
        """Entries that are not clipped."""
        return np.asarray(np.abs(self._base._solution.grad) <= self._norm)

    @property
    def _direction(self) -> np.ndarray:
        return self._solution.grad / self._norm

    def covariance(self) -> np.ndarray:
        """Covariance matrix of the gradient by the delta method, see `Estimate.covariance`."""
        c = self._base.covariance()
        if self._per == "coordinate":
            return c * np.outer(self._within, self._within)
        if self._factor == 1:
            return c
        u = self._direction  # along which the length is fixed
        along = c @ u
        c = c - np.outer(u, along) - np.outer(along, u) + (u @ along) * np.outer(u, u)
        np.fill_diagonal(c, np.maximum(np.diag(c), 0.0))
        return self._factor**2 * c

    def with_baseline(self, baseline: str | float | None) -> Clipped:
        """The same samples under another baseline, and clipped then."""
        return Clipped(self._base.with_baseline(baseline), self._norm, self._per)


class Standardized(Transformed):
    """See `Estimate.standardized`."""

    def __init__(self, base: Estimate) -> None:
        super().__init__(base, "standardized advantages")
        _check(base)
        self.baseline = "mean"
        self.dof = len(self._residuals) - 1

    @cached
    def _statistics(self) -> tuple[float, float, np.ndarray]:
        """Mean and standard deviation of w, and the gradient with that mean as its baseline."""
        moments = self._base._moments.folded  # type: ignore[union-attr]
        n, mean = moments.n, moments.w / moments.n
        variance = (moments.ww - moments.w * mean) / (n - 1)
        if not variance > 0:
            raise ValueError(
                f"the standard deviation of f over {n} samples is "
                f"{'zero' if variance <= 0 else 'not a number'}, and standardized() divides by it"
            )
        s, f = moments.scores[:, :2, self._chosen].sum(axis=0)
        return mean, float(np.sqrt(variance)), (f - mean * s) / n

    @cached
    def _residuals(self) -> np.ndarray:
        """What the samples of each fold, (folds, P), add to the error: the delta method."""
        moments = self._base._moments.folded  # type: ignore[union-attr]
        mean, sd, grad = self._statistics
        n, units, w = moments.n, moments.units, moments.w_by_fold
        s, f = (moments.scores[:, i, self._chosen] for i in (0, 1))
        away = w - units * mean
        slope = f - mean * s - np.outer(away, s.sum(axis=0) / n) - np.outer(units, grad)
        squares = moments.ww_by_fold - 2 * mean * w + units * mean**2
        spread = squares - units * squares.sum() / n
        return np.asarray((slope - np.outer(spread, grad) / (2 * sd**2)) / sd)

    @cached
    def _solution(self) -> Solution:
        _, sd, grad = self._statistics
        stderr = np.sqrt(np.diag(self.covariance()))
        return replace(self._base.with_baseline("mean")._solution, grad=grad / sd, stderr=stderr)

    def covariance(self) -> np.ndarray:
        """Covariance matrix of the gradient, from folds: of rank `dof` at most."""
        moments, residuals = self._base._moments.folded, self._residuals  # type: ignore[union-attr]
        # Residuals sum to zero, as those about an estimated mean do.
        freedom = 1 - np.sum((moments.units / moments.n) ** 2)
        return np.asarray(residuals.T @ residuals / (moments.n**2 * freedom))

    def with_baseline(self, baseline: str | float | None) -> Estimate:  # noqa: ARG002
        """There is none: advantages are about the mean.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(
            "standardized advantages are about the mean of f, and take no other baseline: change "
            "it before standardized()"
        )


def _positive(norm: Any) -> float:
    try:
        number = float(norm)
    except (TypeError, ValueError):
        raise TypeError(f"norm={norm!r} is not a number: give a positive one") from None
    if not number > 0:
        raise ValueError(f"norm={norm!r} is not positive: give what the gradient is to be cut to")
    return number


def _check(base: Estimate) -> None:
    """Refuse estimates that have no samples of f to standardize."""
    if isinstance(base, Transformed):
        raise ValueError(f"the gradient is biased by {base.bias}: standardize before other changes")
    if isinstance(base._moments, ExactMoments):
        raise ValueError(
            "standardized() divides by the spread of f over samples, and none is drawn"
        )
    if isinstance(base._moments, UnitMoments) or base._moments.n != base._moments.samples:
        raise ValueError(
            "standardized() needs independent samples of p, of which each counts alike: the spread "
            "of f over weighted samples, or over units of several, is another. Estimate with "
            "neither proposals nor a sampling="
        )
    if base.n < 2:
        raise ValueError(f"n={base.n}: a standard deviation takes two samples, draw more")
