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
from typing import Any

import numpy as np

from fastscore.combinations import Combination
from fastscore.engine.streams import derived_seed
from fastscore.estimate import Estimate
from fastscore.gradient import Interrupted, gradient
from fastscore.variance.sampling import WithoutReplacement

#: What tells the pilot's random streams from others of the seed.
_STREAM = 5
#: Seconds that starting the kernels takes, which are not those of samples.
_START = 2e-5
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
    seconds : list of float
        Of a sample in each, on one thread, without what starts a run.
    overheads : list of float
        Of each run, all the rest.
    refused : str
        Why it cannot run, if it cannot.
    """

    combination: Combination
    number: int = 0
    estimates: list[Estimate] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    overheads: list[float] = field(default_factory=list)
    refused: str = ""

    @property
    def n(self) -> int:
        """Samples of all runs."""
        return sum(estimate.n for estimate in self.estimates)

    @property
    def variance(self) -> float:
        """Of one sample: n times the trace of the gradient's covariance."""
        if self.combination.exact:
            return 0.0
        traces = [e.n * np.sum(e.flat_stderr**2) for e in self.estimates]
        return float(np.average(traces, weights=[e.n for e in self.estimates]))

    def variance_error(self, other: float = 0.0) -> float:
        """Relative standard error of it; where a run does not know, at least ``other``."""
        if not self.variance:
            return 0.0
        traces = np.array([e.n * np.sum(e.flat_stderr**2) for e in self.estimates])
        shares = np.array([e.n for e in self.estimates]) / self.n
        own = np.array([_error_of_trace(e, other) for e in self.estimates])
        within = float(np.sqrt(np.sum((shares * traces * own) ** 2))) / self.variance
        if len(traces) < 3:
            return within
        spread = np.sqrt(np.sum(shares**2 * (traces - self.variance) ** 2)) / self.variance
        return float(max(within, spread))

    @property
    def second(self) -> float:
        """Seconds of a sample: the median of all runs."""
        return float(np.median(self.seconds))

    @property
    def second_error(self) -> float:
        """Relative standard error of it, by the runs' spread."""
        if len(self.seconds) < 2:
            return 0.05
        off = np.median(np.abs(np.subtract(self.seconds, self.second)))
        return max(0.02, float(1.86 * off) / self.second / math.sqrt(len(self.seconds)))

    @property
    def grad(self) -> np.ndarray:
        """The gradient by all runs."""
        return np.average(
            [e.flat for e in self.estimates], axis=0, weights=[e.n for e in self.estimates]
        )

    @property
    def stderr(self) -> np.ndarray:
        """Its standard errors."""
        shares = np.array([e.n for e in self.estimates]) / self.n
        return np.sqrt(
            np.sum([(s * e.flat_stderr) ** 2 for s, e in zip(shares, self.estimates, strict=True)],
                   axis=0)
        )  # fmt: skip

    @property
    def dof(self) -> float:
        """Degrees of freedom of these."""
        return sum(e.dof for e in self.estimates)

    def under(self, combination: Combination) -> Record:
        """The same runs with another baseline."""
        estimates = [e.with_baseline(combination.baseline) for e in self.estimates]
        return Record(combination, self.number, estimates, self.seconds, self.overheads)


def _error_of_trace(estimate: Estimate, other: float) -> float:
    """Relative standard error of the trace, as if its entries' went up and down together."""
    normal = math.sqrt(2 / max(estimate.dof, 1)) if estimate.dof < math.inf else 0.0
    variances, errors = estimate.flat_stderr**2, 2 * estimate.flat_stderr_error
    errors = np.where(np.isnan(errors), max(normal, other), np.maximum(errors, normal))
    total = float(variances.sum())
    return float(np.sum(variances * errors)) / total if total else 0.0


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
                estimate = gradient(
                    self.f, self.p, **self.options, **combination.options, **drawn
                )
                estimate.flat_stderr  # noqa: B018  solving is a part of the work
        except Interrupted:
            raise Interrupted(None) from None
        except (TypeError, ValueError) as error:
            if record is self.records[0]:
                raise
            record.refused = str(error)
            return
        elapsed = time.perf_counter() - began
        if not keep:
            return
        if estimate.bias != "none" or not np.isfinite(estimate.flat_stderr).all():
            record.refused = f"biased: {estimate.bias}" if estimate.bias != "none" else (
                "the pilot's standard errors are not finite"
            )  # fmt: skip
        self._keep(record, estimate, elapsed)

    def _keep(self, record: Record, estimate: Estimate, elapsed: float) -> None:
        running = estimate.run_seconds * estimate.threads
        if isinstance(record.combination.sampling, WithoutReplacement) or estimate.exact:
            running, elapsed = elapsed, elapsed + estimate.run_seconds  # sets are drawn beforehand
        record.estimates.append(estimate)
        record.seconds.append(max(running - _START, 0.1 * running) / estimate.n)
        record.overheads.append(elapsed - estimate.run_seconds)

    def _threads(self, n: int) -> int | None:
        """One for a short run."""
        default = self.records[0]
        short = not default.seconds or default.second * n < _ONE_THREAD
        return 1 if short else self.threads


__all__ = ["Pilot", "Record"]
