"""Problems with known answers, many runs of them, and how far off these are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fastscore as fs
from fastscore.families import Family

DATA = Path(__file__).parent / "data"

#: The library's baselines, and the variance of one sample under each; a constant one is given.
VARIANCES = {
    None: "none", "mean": "mean_baseline", "scalar": "opt_scalar", "optimal": "opt_coord",
}  # fmt: skip


def rows(name: str) -> list[dict]:
    """What a file of known answers has."""
    table = json.loads((DATA / name).read_text())
    return table["cases"] if isinstance(table, dict) else table


@dataclass(frozen=True)
class Case:
    """A problem with its exact answers: arrays over the score coordinates, in order."""

    name: str
    f: object
    p: Family
    args: tuple
    wrt: tuple[str, ...]
    grad: np.ndarray
    value: float | None = None
    #: Variance of one sample by baseline, and of the whole estimator for ``loo_n…``.
    var: dict[str, np.ndarray] | None = None
    #: The optimal scalar baseline.
    scalar: float | None = None
    fisher: np.ndarray | None = None
    #: Variance of an estimate of it from one sample, where that is not negligible.
    scalar_noise: float = 0.0

    def variance_of_one(self, baseline) -> np.ndarray:
        """Of ``(f − b) s`` under a baseline that is known."""
        return self.var[VARIANCES.get(baseline, "opt_scalar")]

    def variance(self, baseline, n: int) -> np.ndarray:
        """``n Var(ĝ)`` with the noise of an estimated baseline.

        The leave-one-out mean makes a U-statistic, whose variance at n = 2 gives all others.  The
        scalar comes from 9/10 of the samples; the noise of the other optimum is negligible.
        """
        one = self.variance_of_one(baseline)
        if baseline == "mean":
            return ((n - 2) * one + 2 * self.var["loo_n2"]) / (n - 1)
        if baseline == "scalar" and self.scalar_noise:
            return one + self.fisher.diagonal() * self.scalar_noise / (0.9 * n)
        return one


def flat(by_name):
    """One vector of what an estimate has by parameter name."""
    return np.concatenate([np.ravel(value) for value in by_name.values()])


@dataclass
class Runs:
    """Many independent runs: values (R,), gradients and standard errors (R, P) by baseline."""

    n: int
    value: np.ndarray
    value_stderr: np.ndarray
    grad: dict
    stderr: dict


def runs(case: Case, n: int, count: int, baselines, first_seed: int) -> Runs:
    """``count`` runs of n samples, each serving every baseline."""
    shape = (count, case.grad.size)
    out = Runs(
        n, np.empty(count), np.empty(count),
        {b: np.empty(shape) for b in baselines}, {b: np.empty(shape) for b in baselines},
    )  # fmt: skip
    for i in range(count):
        estimate = fs.gradient(
            case.f, case.p, args=case.args, wrt=case.wrt, n=n, rng=first_seed + i, threads=1
        )
        out.value[i], out.value_stderr[i] = estimate.value, estimate.value_stderr
        for baseline in baselines:
            one = estimate.with_baseline(baseline)
            out.grad[baseline][i] = one.flat
            out.stderr[baseline][i] = flat(one.grad_stderr)
    return out


def z_of_mean(samples, truth):
    """How many standard errors the mean of independent samples is off.

    Without variance, how many roundings: of 1e-13 of the truth.
    """
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return (samples.mean(axis=0) - truth) / np.hypot(error, 1e-13 * np.abs(truth))


def z_of_variance(samples, truth):
    """The same of their variance, whose own is ``(m₄ − v² (R − 3)/(R − 1))/R``."""
    centred = samples - samples.mean(axis=0)
    v, m4 = centred.var(axis=0, ddof=1), np.mean(centred**4, axis=0)
    count = len(samples)
    return (v - truth) / np.sqrt((m4 - v**2 * (count - 3) / (count - 1)) / count)
