"""Pilot runs of combinations: what an entry's variance and a sample's seconds are, and how sure.

What counts is *variance × seconds*, the work-normalised variance (P. W. Glynn and W. Whitt, The
asymptotic efficiency of simulation estimators, Operations Research 40 (1992)): how long a run of a
given error takes.  The variance is that of the whole gradient, the trace of its covariance over the
entries in ``wrt``: its expected squared error.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field
from operator import mul
from statistics import median
from typing import Any

import numpy as np

from fastscore.choice.combinations import Combination
from fastscore.engine.streams import derived_seed
from fastscore.estimate import Estimate
from fastscore.gradient import Interrupted, gradient
from fastscore.variance.sampling import WithoutReplacement

#: Relative error of the default's variance above which nothing can be said: of rare events some
#: must have been seen, lest another combination seems without variance because it saw none.
KNOWN = 0.5
#: What tells the pilot's random streams from others of the seed.
_STREAM = 5
#: Seconds that starting the kernels takes, which are not those of samples.
_START = 3e-5
#: Work on one thread up to here, so that what threads cost to start is not measured.
_ONE_THREAD = 1e-3


@dataclass
class Record:
    """What pilot runs of one combination told.

    Attributes
    ----------
    combination : Combination
        What ran.
    number : int
        Which of the pilot's it is, for streams of its own.
    estimates : list of Estimate
        One per run, each of samples of its own.
    traces, errors : list of float
        n times the trace of each one's covariance, and relative standard errors of that.
    seconds : list of float
        Of a sample in each, on one thread, without what starts a run.
    refused : str
        Why it cannot run, if it cannot.
    """

    combination: Combination
    number: int = 0
    estimates: list[Estimate] = field(default_factory=list)
    traces: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: str = ""

    def add(self, estimate: Estimate, second: float) -> None:
        """One more run."""
        trace, error = _trace(estimate)
        self.estimates.append(estimate)
        self.traces.append(estimate.n * trace)
        self.errors.append(error)
        self.seconds.append(second)

    @property
    def shares(self) -> list[float]:
        """Of each run in all samples."""
        total = sum(estimate.n for estimate in self.estimates)
        return [estimate.n / total for estimate in self.estimates]

    @property
    def variance(self) -> float:
        """Of one sample: n times the trace of the gradient's covariance."""
        return sum(map(mul, self.shares, self.traces))

    def variance_error(self, other: float = 0.0) -> float:
        """Relative standard error of it; where a run does not know, ``other``."""
        variance, shares = self.variance, self.shares
        if not variance:
            return 0.0
        errors = [other if math.isnan(error) else error for error in self.errors]
        known = zip(shares, self.traces, errors, strict=True)
        within = math.hypot(*(share * trace * error for share, trace, error in known))
        spread = 0.0
        if len(shares) > 2:
            off = (share * (t - variance) for share, t in zip(shares, self.traces, strict=True))
            spread = math.hypot(*off)
        return max(within, spread) / variance

    @property
    def decay(self) -> float:
        """By which power of n the variance of one sample falls, from the least to the largest run.

        One standard error down, and between 0 and 2: of scrambled nets the error of a smooth f of
        one coordinate falls as n^−3/2 (A. B. Owen, Scrambled net variance for integrals of smooth
        functions, Annals of Statistics 25 (1997)).
        """
        runs = sorted(zip((e.n for e in self.estimates), self.traces, self.errors, strict=True))
        (few, high, one), (many, low, other) = runs[0], runs[-1]
        if few == many or not high:
            return 0.0
        fall = math.log(high / low) if low else math.inf
        return float(np.clip((fall - math.hypot(one, other)) / math.log(many / few), 0.0, 2.0))

    @property
    def second(self) -> float:
        """Seconds of a sample: the median of all runs."""
        return median(self.seconds)

    @property
    def second_error(self) -> float:
        """Relative standard error of it, by the spread of the runs."""
        middle = self.second
        off = median(abs(second - middle) for second in self.seconds)
        return max(0.02, 1.86 * off / middle / math.sqrt(len(self.seconds)))

    @property
    def grad(self) -> np.ndarray:
        """The gradient by all runs."""
        return np.sum(
            [s * e.flat for s, e in zip(self.shares, self.estimates, strict=True)], axis=0
        )

    @property
    def stderr(self) -> np.ndarray:
        """Its standard errors."""
        parts = zip(self.shares, self.estimates, strict=True)
        return np.sqrt(np.sum([(share * e.flat_stderr) ** 2 for share, e in parts], axis=0))

    def under(self, combination: Combination) -> Record:
        """The same runs with another baseline."""
        other = Record(combination, self.number)
        for estimate, second in zip(self.estimates, self.seconds, strict=True):
            other.add(estimate.with_baseline(combination.baseline), second)
        return other


def _trace(estimate: Estimate) -> tuple[float, float]:
    """The trace of the covariance, and its relative standard error; NaN if not known.

    As if its entries' went up and down together, and at least that of normal terms.
    """
    variances = estimate.flat_stderr**2
    total = float(variances.sum())
    if not total:
        return total, 0.0
    error = 2 * float((variances * np.nan_to_num(estimate.flat_stderr_error)).sum()) / total
    return total, max(error, math.sqrt(2 / estimate.dof)) if error else math.nan


class Pilot:
    """Runs of combinations on streams apart from those of the seed itself.

    Parameters
    ----------
    f, p : as of `gradient`
    seed : int
        Of the run that is to follow.
    options
        Others of `gradient`: args, wrt, threads.
    """

    def __init__(self, f: Any, p: Any, seed: int, *, threads: int | None, **options: Any) -> None:
        self.f, self.p, self.seed, self.threads, self.options = f, p, seed, threads, options
        self.records: list[Record] = []

    def add(self, combination: Combination) -> Record:
        """A combination that is to run."""
        record = Record(combination, number=len(self.records))
        self.records.append(record)
        return record

    def run(self, record: Record, n: int, keep: bool = True) -> None:
        """One more run of n samples, or more where these come in sets.

        A combination that does not go with f and p says so in ``refused``; f's own errors come up
        with the first, the default.  What is not kept only compiles.
        """
        combination = record.combination
        which = _STREAM, record.number, len(record.estimates)
        drawn: dict[str, Any] = {} if combination.exact else {
            "n": n, "rng": derived_seed(self.seed, *which), "threads": self._threads(n),
        }  # fmt: skip
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                estimate = gradient(self.f, self.p, **self.options, **combination.options, **drawn)
        except Interrupted:
            raise Interrupted(None) from None
        except (TypeError, ValueError) as error:
            if record is self.records[0]:
                raise
            record.refused = str(error)
            return
        elapsed = time.perf_counter() - began
        if keep and not record.refused:
            self._keep(record, estimate, elapsed)

    def _keep(self, record: Record, estimate: Estimate, elapsed: float) -> None:
        if estimate.bias != "none":
            record.refused = f"biased: {estimate.bias}"
            return
        working = estimate.run_seconds * estimate.threads
        if isinstance(record.combination.sampling, WithoutReplacement) or estimate.exact:
            working = elapsed  # outcomes are drawn, or listed, beforehand
        record.add(estimate, max(working - _START, 0.1 * working) / estimate.n)
        if not math.isfinite(record.traces[-1]):
            record.refused = "standard errors of the pilot are not finite"

    def _threads(self, n: int) -> int | None:
        """One for a short run."""
        default = self.records[0]
        short = not default.seconds or default.second * n < _ONE_THREAD
        return 1 if short else self.threads


__all__ = ["KNOWN", "Pilot", "Record"]
