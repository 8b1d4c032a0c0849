"""``estimator="auto"``: a pilot finds the combination of least variance × seconds, and it runs."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastscore.checks import count
from fastscore.choice import agreement
from fastscore.choice.combinations import Combination, Field, competitors
from fastscore.choice.pilot import KNOWN, Pilot, Record
from fastscore.engine import host
from fastscore.engine.streams import seed_of
from fastscore.estimate import Estimate
from fastscore.gradient import checked, names_of
from fastscore.importance.proposals import SAMPLES
from fastscore.variance.baselines import as_baseline
from fastscore.variance.estimators import Enumerate
from fastscore.variance.sampling import Independent, as_sampling

#: Part of the run's samples, and of its time, that a pilot may take; and seconds it always may,
#: for half a dozen runs that start quickly.
_PART, _FLOOR = 0.08, 8e-4
#: Logarithm of the gain of Sobol' points at which, give or take its error, f is smooth enough for a
#: Taylor polynomial to be worth a run that starts slowly, however little time there is: it gains
#: much, or nothing.
_SMOOTH = 1.0
#: Samples of a pilot run at least; how many times as many, and what part of the run's, make up the
#: first, which tells what a sample takes.
_LEAST, _LONGER, _LONGER_PART = 512, 4, 0.01
#: Relative error of seconds, as a difference that is never worth a choice.
_TIMING = 0.05
#: Seconds of a coordinate beyond those of independent samples, for dependent ones (measured: few
#: pilot samples cannot tell them from what starting kernels takes).
_EXTRA = {"sobol": 2e-10, "antithetic": 5e-11, "stratified": 1.2e-9, "orthogonal": 1.5e-9}
#: Seconds of a first run that may hold compilation.
_COMPILED = 2e-3
#: Seconds that a pilot run takes beside its samples: with control variates; without; more for each
#: parameter with products of scores.  Measured once, so that the clock, which may meet compilation,
#: decides less.
_SLOW_START, _START, _OF_ENTRY = 1.8e-3, 2.5e-4, 7e-5


def choose(
    run: Callable[..., Estimate], f: Any, p: Any, *, args: tuple[Any, ...], wrt: Any, n: Any,
    rng: Any, baseline: Any, control_variates: Any, sampling: Any, threads: Any, progress: bool,
) -> Estimate:  # fmt: skip
    """The estimate by the combination that a pilot prefers, on samples of its own.

    ``run`` is `gradient`, whose options these are; those that are not its defaults stay.
    """
    integrand, args = checked(f, p, args)
    n, seed = count("n", SAMPLES if n is None else n), seed_of(rng)
    threads = None if threads is None else count("threads", threads)
    independent = isinstance(as_sampling(sampling), Independent)
    fixed = Combination(
        sampling="iid" if independent else sampling, baseline=as_baseline(baseline),
        control_variates=control_variates,
    )  # fmt: skip
    began = time.perf_counter()
    pilot = Pilot(f, p, seed, args=args, wrt=wrt, threads=threads)
    compiled = integrand.resolve(args) != "numpy"
    race = Race(
        pilot, competitors(integrand, p.whole, args, fixed, n, names_of(wrt, p)), n,
        threads=(threads or host.threads()) if compiled else 1,
    )  # fmt: skip
    best = race.best()
    for message in race.warnings:
        warnings.warn(message, RuntimeWarning, stacklevel=4)
    spent = time.perf_counter() - began
    options = best.options if best.exact else {"n": n, "rng": seed, **best.options}
    shared = {"args": args, "wrt": wrt, "threads": threads, "progress": progress}
    estimate = run(f, p, **shared, **options)
    estimate.options, estimate.pilot_seconds = options, spent
    estimate.seconds += spent
    return estimate


class Race:
    """Rounds of pilot runs, each of twice the samples, among those that may still be best.

    Attributes
    ----------
    warnings : list of str
        What users should know of combinations that were dropped.
    """

    def __init__(self, pilot: Pilot, field: Field, n: int, threads: int) -> None:
        self.pilot, self.field, self.n, self.threads = pilot, field, n, threads
        self.warnings: list[str] = []
        self.calls, self.seconds = 0, 0.0
        self.most_calls, self.part_seconds = int(_PART * n), math.inf
        self.default = Record(field.few[0])

    def best(self) -> Combination:
        """The combination to run; the default where nothing is known to be better."""
        first, *others = self.field.few
        if others and others[0].exact:
            return others[0]  # no variance, at fewer evaluations: there is nothing to find out
        if not others or self.most_calls < 2 * _LEAST:
            return first
        self.default = self.pilot.add(first)
        long = max(_LONGER * _LEAST, int(_LONGER_PART * self.n))
        long = max(_LEAST, min(long, self.most_calls // 4))
        self._run(self.default, long)
        if self.default.estimates[0].run_seconds > _COMPILED:  # or it is slow
            self._run(self.default, _LEAST)
        self.seconds = len(self.default.seconds) * self._cost(first, _LEAST)[1]
        predicted = min(self.default.seconds) * self.n / self.threads
        self.part_seconds = _PART * predicted
        field, size = self._first_round(others)
        for combination in field:
            record = self.pilot.add(combination)
            if _twice(combination):
                self._run(record, _LEAST // 2)
            self._run(record, size)
        for combination in others:
            polynomial = combination.control_variates is not None
            if combination not in field and polynomial and self._smooth():
                self._run(self.pilot.add(combination), min(size, self._left(combination)))
        alive = self._contenders(self.pilot.records)
        while len(alive) > 1 and self._afford([r.combination for r in alive], size := 2 * size):
            for record in alive:
                self._run(record, size)
            alive = self._contenders(alive)
        self._clarify()
        return self._winner().combination

    def _first_round(self, combinations: list[Combination]) -> tuple[list[Combination], int]:
        """Those for which there is time, and samples of each: a part of what may be drawn.

        Half of them where later rounds have time, too.
        """
        field: list[Combination] = []
        for combination in combinations:
            if self._afford(_runs([*field, combination]), _LEAST):
                field.append(combination)
        runs = _runs(field)
        seconds = sum(self._cost(combination, _LEAST)[1] for combination in runs)
        part = 2 if self.seconds + 2 * seconds <= self._most_seconds(runs) else 1
        calls = sum(self._cost(combination, _LEAST)[0] for combination in runs)
        size = int((self.most_calls - self.calls) / part / max(calls, 1) * _LEAST)
        while size > _LEAST and not self._afford(runs, size):
            size = max(_LEAST, size // 2)
        return field, size

    def _clarify(self) -> None:
        """Spend what samples are left on the default, where it is too uncertain for a verdict."""
        if not self.default.variance:
            return
        known = [record for record in self.pilot.records if not record.refused]
        leader = max(known, key=lambda record: self.log_gain(record)[0])
        told = self.default.variance_error() < KNOWN
        if leader.combination.pathwise:
            told = told and self._verdict(leader).clear
        left = self.most_calls - self.calls
        if leader is not self.default and left >= _LEAST and not told:
            self._run(self.default, left)

    def _run(self, record: Record, size: int) -> None:
        self.pilot.run(record, _whole(record.combination, size))
        if not record.refused:
            calls, seconds = self._cost(record.combination, size)
            self.calls, self.seconds = self.calls + calls, self.seconds + seconds

    def _afford(self, combinations: Sequence[Combination], size: int) -> bool:
        """Whether samples and time are left for one more run of each."""
        calls, seconds = self.calls, self.seconds
        for combination in combinations:
            cost = self._cost(combination, size)
            calls, seconds = calls + cost[0], seconds + cost[1]
        return calls <= self.most_calls and seconds <= self._most_seconds(combinations)

    def _most_seconds(self, combinations: Sequence[Combination]) -> float:
        """The part of the run's time; of quick ones, what is always allowed if that is more."""
        quick = all(self._start(combination) < _FLOOR for combination in combinations)
        return max(self.part_seconds, _FLOOR) if quick else self.part_seconds

    def _smooth(self) -> bool:
        """Whether Sobol' points may gain much."""
        points = (r for r in self.pilot.records if _twice(r.combination) and r.estimates)
        return bool(self.default.variance) and any(
            gain + error > _SMOOTH for gain, error in map(self.log_gain, points)
        )

    def _left(self, combination: Combination) -> int:
        """Samples that may still be drawn."""
        return max(_LEAST, (self.most_calls - self.calls) // self._evaluations(combination))

    def _cost(self, combination: Combination, size: int) -> tuple[int, float]:
        """Evaluations and seconds of a pilot run."""
        calls = _whole(combination, size) * self._evaluations(combination)
        return calls, self._start(combination) + calls * min(self.default.seconds)

    def _start(self, combination: Combination) -> float:
        """Seconds of a run beside its samples."""
        if combination.control_variates is not None:
            return _SLOW_START
        matrix = combination.baseline == "matrix"
        return _START + (_OF_ENTRY * self.pilot.p.whole.size if matrix else 0.0)

    def _evaluations(self, combination: Combination) -> int:
        """Of f, or of f and its derivative, for each sample."""
        estimator = combination.estimator
        if isinstance(estimator, Enumerate) and estimator.coordinates is not None:
            support = self.pilot.p.whole.source.family.support_set
            return 1 + int(np.sum(support.high - support.low + 1))
        if estimator == "measure":
            return 1 + int(self.pilot.p.whole.index.size)
        return 1 if estimator == "score" else 2

    def _contenders(self, records: list[Record]) -> list[Record]:
        """Those that are not clearly worse than another; none if f does not vary.

        The default is what others are measured by, and what the pathwise estimate is held to: it
        stays until it is known well enough.
        """
        if not self.default.variance:
            return []
        known = [(record, *self.log_gain(record)) for record in records if not record.refused]
        leader, gain, error = max(known, key=lambda one: one[1] - 2 * one[2])
        least, told = gain - 2 * error, self.default.variance_error() < KNOWN
        told = told and (not leader.combination.pathwise or self._verdict(leader).clear)
        return [
            record for record, gain, error in known
            if gain + 2 * error >= least or (record is self.default and not told)
        ]  # fmt: skip

    def _winner(self) -> Record:
        """By the lower end of what it gains, one standard error down; ties go to the default."""
        default = self.default
        if not default.variance:
            return default
        known = default.variance_error() < KNOWN
        best, most = default, 0.0  # of a gain that is promised
        for record in self.pilot.records[1:]:
            if record.refused:
                continue
            gain, error = self.log_gain(record)
            promised = gain - error
            better = promised > 0 if known else gain > 3 * error and record.variance > 0
            if _sobol(record.combination) and record.variance > 0:
                # They are hardly ever worse: of heavy tails, whose variance few samples do not
                # show, nothing else is known.
                promised = gain + error
                better = gain > 0 or not known
            if better and promised > most and self._trusted(record):
                best, most = record, promised
        return best

    def _verdict(self, record: Record) -> agreement.Verdict:
        """What other estimates say of a pathwise one."""
        return agreement.compare(record, [
            other for other in self.pilot.records
            if not other.refused and not other.combination.pathwise
        ])  # fmt: skip

    def _trusted(self, record: Record) -> bool:
        """Whether a combination says what the score estimate says."""
        if not record.combination.pathwise:
            return True
        verdict = self._verdict(record)
        if not verdict.agree and not self.warnings:
            self.warnings.append(
                f"estimator='auto' dropped 'pathwise', which disagrees with the score estimate: it "
                f"is {verdict.text}. Is the derivative right, and f without jumps?"
            )
        return verdict.agree and verdict.clear and not self.warnings

    def log_gain(self, record: Record) -> tuple[float, float]:
        """Logarithm of how much less variance × seconds is than the default's, and its error."""
        if record is self.default:
            return 0.0, 0.0
        if not record.variance:
            return math.inf, 0.0
        error = self.default.variance_error()
        gain = math.log(self.default.variance / record.variance)
        if _sobol(record.combination):
            most = max(estimate.n for estimate in record.estimates)
            gain += self._decay(record) * math.log(max(self.n / most, 1.0))
        gain += math.log(min(self.default.seconds) / self._second(record))
        return gain, math.hypot(error, record.variance_error(error), _TIMING)

    def _decay(self, record: Record) -> float:
        """By which power of n the variance falls; of those that run at one size that of others."""
        if _twice(record.combination):
            return record.decay
        alike = (one for one in self.pilot.records if _twice(one.combination) and one.estimates)
        return max((one.decay for one in alike), default=0.0)

    def _second(self, record: Record) -> float:
        """Seconds of a sample."""
        combination = record.combination
        if combination.estimator == "score" and not _slow(combination):
            extra = _EXTRA.get(str(combination.sampling), 0.0)
            if isinstance(combination.sampling, str):
                return min(self.default.seconds) + extra * self.pilot.p.d
        return max(min(record.seconds), min(self.default.seconds))


def _whole(combination: Combination, size: int) -> int:
    """Samples of a run: of Sobol' points a power of two, which they would be rounded up to."""
    return 2 ** max(8, round(math.log2(size))) if _sobol(combination) else size


def _sobol(combination: Combination) -> bool:
    """Whether its variance may fall faster than 1/n."""
    return combination.sampling == "sobol"


def _twice(combination: Combination) -> bool:
    """Whether it runs at two sizes first, for its rate."""
    return _sobol(combination) and not _slow(combination)


def _runs(field: list[Combination]) -> list[Combination]:
    """One for each run of a first round."""
    return [*field, *filter(_twice, field)]


def _slow(combination: Combination) -> bool:
    """Whether a run takes long to start."""
    return combination.baseline == "matrix" or combination.control_variates is not None


__all__ = ["choose"]
