"""Independent binomial counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.count_tables import CountTables
from fastscore.engine.counts import counts, surprise
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.vecmath import fma
from fastscore.families._coordinates import Coordinates
from fastscore.families._probability import Probability
from fastscore.families._special import stirling_error
from fastscore.families._support import Support
from fastscore.families._trials import Trials


@elementwise
def _sample(stream, scratch, x, count, table):
    counts(stream, scratch, x, count, table)


@inlined
def _score(x, trials, sign, rare, unit):
    """From the number y of the less probable outcomes, whose probability has all digits."""
    y = x if sign > 0.0 else trials - x
    return (sign * fma(-trials, rare, y) * unit,)


@inlined
def _log_density(
    x, trials, sign, rare, mean, rest, log_mean, log_rest, root, at_none, at_all
):  # fmt: skip
    """Of y, given the sum of it and ``trials − y``, both Poisson variables."""
    y = x if sign > 0.0 else trials - x
    more = fma(-trials, rare, y)
    value = root - surprise(y, mean, log_mean, more)
    value = value - surprise(trials - y, rest, log_rest, -more)
    value = at_none if y == 0.0 else value
    return at_all if y == trials else value


class Binomial(
    Trials, Probability, Coordinates, low=0.0, high="trials", discrete=True,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent numbers of successes among so many trials.

    Parameters
    ----------
    total_count : array_like
        Numbers of trials n, integers, of shape (d,) or a scalar.  They are no parameters: there is
        no derivative by them.
    probs : array_like
        Probabilities of success, of the same shape or a scalar.
    logits : array_like
        Their log-odds ``log(p/(1 − p))``, in place of ``probs``.

    Raises
    ------
    ValueError
        If a number of trials is negative or above 2^50, or a probability not between 0 and 1.  A
        probability of 0 or 1 can be sampled from; its score does not exist.

    Notes
    -----
    Density
        ``n!/(x! (n − x)!) p^x (1 − p)^(n − x)``, n being total_count.
    Score
        ``(x − n p)/(p (1 − p))``; by the logit ``x − n p``.
    Fisher information
        Diagonal, ``n/(p (1 − p))``; by the logit ``n p (1 − p)``.
    Sampler
        The alias method over outcomes, or over bins of them with rejection inside, at one cost for
        all n; exact to some 2^-52.
    """

    exponential_family = True

    def __init__(self, total_count: Any = 1, probs: Any = None, logits: Any = None) -> None:
        self._set_trials(total_count)
        self._set_probability(probs, logits)

    def _record(self) -> dict[str, Any]:
        n, often = self._trials, self._p > self._q
        rare, common = np.where(often, (self._q, self._p), (self._p, self._q))
        logs = np.where(often, (self._log_q, self._log_p), (self._log_p, self._log_q))
        with np.errstate(divide="ignore"):
            log_mean, log_rest = np.log(n) + logs
        at_all, at_none = np.where(n > 0, n, 1) * np.where(n > 0, logs, 0)
        some = np.maximum(n, 1)
        return {
            "trials": n, "sign": np.where(often, -1, 1), "rare": rare, "mean": n * rare,
            "rest": n * common, "log_mean": log_mean, "log_rest": log_rest,
            "root": 0.5 * np.log(2 * np.pi * some) + stirling_error(some),
            "at_none": at_none, "at_all": at_all, "unit": self._unit,
            "table": self._tables.addresses,
        }  # fmt: skip

    @cached
    def _tables(self) -> CountTables:
        n = self._trials
        with np.errstate(divide="ignore"):
            logs = np.log(n) + np.array([self._log_p, self._log_q])
        return CountTables(n, n * self._p, n * self._q, *logs)

    def _information(self) -> Any:
        return [[self.variance * self._unit**2]]

    @property
    def mean(self) -> np.ndarray:
        """``n p``."""
        return self._trials * self._p

    @property
    def variance(self) -> np.ndarray:
        """``n p (1 − p)``."""
        return self.mean * self._q

    @property
    def support_set(self) -> Support:
        """The integers from 0 to n; one alone where success is impossible or certain."""
        low = np.where(self._q == 0, self._trials, 0)
        return Support.integers(self.d, low, np.where(self._p == 0, 0, self._trials))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        checks.require("x", x, (x >= 0) & (x <= self._trials), "a count from 0 to total_count")
        mean = np.einsum("n,nk->k", shares, x)
        return self._fit_probability(self._trials - mean, mean, least)


__all__ = ["Binomial"]
