"""Coverage of 95 % intervals: ``PYTHONPATH=tests python -m tests.long.coverage_at_length``.

It writes coverage_results.json here, after each scheme.

10,000 runs at n = 1,000 of problems whose gradient is known.  How often an interval covers it is
held to 95 % by the binomial distribution, |z| < 4.5.  Beside it stands what Edgeworth's expansion
of Student's t expects [1]_ of the skewness and kurtosis of the terms ``(f − b) s``, from a million
of other samples: where these are large at this n a t interval covers less, whatever its errors; and
how often the estimate warns of it, by `Estimate.stderr_error`.

References
----------
.. [1] P. Hall, The Bootstrap and Edgeworth Expansion, Springer (1992), section 2.6.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import discrete
import gaussian
import numpy as np
from cases import Case
from numba import njit
from scipy import stats

import fastscore as fs
from fastscore.variance.tails import heavy

N, RUNS, LEVEL, LIMIT = 1000, 10_000, 0.95, 4.5
MANY = 10**6
RESULTS = Path(__file__).with_name("coverage_results.json")


@njit
def identity(x):
    return x[0]


@njit
def square(x):
    return x[0] * x[0]


@njit
def logarithm(x):
    return math.log(x[0])


@njit
def above(x, t):
    return 1.0 if x[0] > t else 0.0


@njit
def growth(x, a):
    return math.exp(a * x[0])


def case(name: str, f: Any, p: fs.families.Family, grad: list[float], *args: float) -> Case:
    """One whose answer, by the last parameters, stands in shared/cases."""
    return Case(name, f, p, args, tuple(p.parameters)[-len(grad) :], np.array(grad))


#: Ten problems, and others with long tails.
TEN = [
    *(gaussian.cases()[f"gauss-{name}-k1-mu1-s1"] for name in ("quad", "exp", "cos")),
    discrete.cases()["bern-prod3-relax-tests"],
    discrete.cases()["cat3"],
    case("pois-ind-l3", above, fs.Poisson([3.0]), [0.22404180765538775], 2.5),
    case("expo-tail-r0.5", above, fs.Exponential([0.5]), [-0.6693904804452895], 3.0),
    case("gamma-logx-a2-b1", logarithm, fs.Gamma([2.0], [1.0]), [0.6449340668482264, -1.0]),
    case("laplace-x2", square, fs.Laplace([1.0], [1.5]), [2.0, 6.0]),
    case(
        "lognormal-x-s0.5", identity, fs.LogNormal([0.0], [0.5]),
        [1.1331484530668263, 0.5665742265334132],
    ),
]  # fmt: skip
SKEWED = [
    case("expo-x2-r2", square, fs.Exponential([2.0]), [-0.5]),
    case("geom-x-p0.2", identity, fs.Geometric([0.2]), [-25.0]),
    case("student-nu10-x2", square, fs.StudentT(10.0, [1.0], [1.0]), [2.0, 2.5]),
    case("gamma-x-a0.1-b1", identity, fs.Gamma([0.1], [1.0]), [1.0, -0.1]),
    case("expo-mgf-r2-a1.2", growth, fs.Exponential([2.0]), [-1.875], 1.2),
]
SYMMETRIC = ("gauss-quad-k1-mu1-s1", "gauss-exp-k1-mu1-s1", "gauss-cos-k1-mu1-s1", "laplace-x2")

#: By scheme: options, and the baselines which its runs serve.
SCHEMES: dict[str, tuple[dict[str, Any], tuple[str | None, ...], Callable[[Case], bool]]] = {
    "iid": ({}, (None, "mean", "optimal"), lambda case: True),
    "antithetic": ({"sampling": "antithetic"}, ("optimal",), lambda case: case.name in SYMMETRIC),
    "stratified": (
        {"sampling": "stratified"}, ("optimal",),
        lambda case: case.name in (*SYMMETRIC, "expo-tail-r0.5", "lognormal-x-s0.5"),
    ),
    "matrix": ({"baseline": "matrix"}, ("matrix",), lambda case: True),
    "sobol": (
        {"sampling": "sobol"}, ("optimal",),
        lambda case: case.name in (*SYMMETRIC, "expo-tail-r0.5", "lognormal-x-s0.5"),
    ),
    "delta": (
        {"control_variates": fs.DeltaMethod()}, ("optimal",),
        lambda case: case.name in SYMMETRIC[:3],
    ),
    "statistics": (
        {"control_variates": "statistics"}, ("optimal",), lambda case: case.name in SYMMETRIC[:3]
    ),
}  # fmt: skip


def covered(case: Case, scheme: str, first_seed: int) -> dict[str, np.ndarray]:
    """By baseline the shares of runs whose interval covers each entry, and that warn."""
    options, baselines, _ = SCHEMES[scheme]
    hits = {b: np.zeros((RUNS, 2, case.grad.size), dtype=bool) for b in baselines}
    for i in range(RUNS):
        run = fs.gradient(
            case.f, case.p, args=case.args, wrt=case.wrt, n=N, rng=first_seed + i, threads=1,
            **options,
        )  # fmt: skip
        for b in baselines:
            one = run if b == run.baseline else run.with_baseline(b)
            half = quantile(one.dof) * one.flat_stderr
            # Where nothing varies both are 0, up to rounding.
            hits[b][i, 1] = heavy(one.flat_stderr_error, one.dof)
            hits[b][i, 0] = np.abs(one.flat - case.grad) <= half + 1e-12 * np.abs(case.grad)
    return {str(b): hit.mean(axis=0) for b, hit in hits.items()}


@cache
def quantile(dof: float) -> float:
    """Of Student's t."""
    return float(stats.t.ppf((1 + LEVEL) / 2, dof))


def expected(f: np.ndarray, s: np.ndarray, baseline: str | None) -> np.ndarray:
    """Skewness, kurtosis, and coverage by Edgeworth's expansion to 1/n, of f and scores."""
    b = {
        None: np.zeros(s.shape[1]), "mean": np.full(s.shape[1], f.mean()),
        "optimal": (f @ s**2) / (s**2).sum(axis=0),
    }[baseline]  # fmt: skip
    terms = (f[:, None] - b) * s
    skewness, kurtosis = stats.skew(terms), stats.kurtosis(terms)
    z = stats.norm.ppf((1 + LEVEL) / 2)
    correction = kurtosis * (z**2 - 3) / 12 - skewness**2 * (z**4 + 2 * z**2 - 3) / 18
    return np.array([skewness, kurtosis, LEVEL + 2 * z * correction * stats.norm.pdf(z) / N])


def values_and_scores(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Of many samples."""
    x = case.p.sample(MANY, rng=99)
    return np.array([case.f(row, *case.args) for row in x]), case.p.score(x)[:, -case.grad.size :]


def entry(case: Case, scheme: str, first_seed: int) -> dict[str, Any]:
    """What the results say of a case, by baseline."""
    out: dict[str, Any] = {}
    many = values_and_scores(case) if scheme == "iid" else ()
    for baseline, (share, warned) in covered(case, scheme, first_seed).items():
        z = (share - LEVEL) / math.sqrt(LEVEL * (1 - LEVEL) / RUNS)
        out[baseline] = {
            "coverage": share.round(4).tolist(), "z": z.round(1).tolist(),
            "warns": warned.round(3).tolist(),
        }  # fmt: skip
        if scheme == "iid":
            skewness, kurtosis, edgeworth = expected(
                *many, None if baseline == "None" else baseline
            )
            out[baseline] |= {
                "skewness": skewness.round(2).tolist(),
                "excess kurtosis": kurtosis.round(1).tolist(),
                "expected": np.clip(edgeworth, 0, 1).round(4).tolist(),
            }
    return out


def main(schemes: list[str]) -> None:
    """Run schemes, and add what they say to the results."""
    for scheme in schemes or list(SCHEMES):
        start, table = time.perf_counter(), {}
        for index, case in enumerate([*TEN, *SKEWED]):
            if SCHEMES[scheme][2](case):
                table[case.name] = entry(case, scheme, 10**6 * (index + 1))
                print(scheme, case.name, json.dumps(table[case.name]), flush=True)
                write(scheme, table, time.perf_counter() - start)


def write(scheme: str, table: dict[str, Any], seconds: float) -> None:
    """Add a scheme's results, those of the ten apart by whether estimates mostly warned."""
    z: dict[bool, list[float]] = {False: [], True: []}
    for case in TEN:
        for one in table.get(case.name, {}).values():
            for each, warns in zip(one["z"], one["warns"], strict=True):
                z[warns > 0.5].append(each)
    report = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    report[scheme] = {
        "date": datetime.date.today().isoformat(), "version": fs.__version__, "n": N,
        "runs": RUNS, "seconds": round(seconds, 1),
        **{
            f"of the ten, {'warned' if warned else 'not warned'}": {
                "intervals": len(some), "lowest z": min(some), "highest z": max(some),
                "below": sum(one < -LIMIT for one in some),
                "above": sum(one > LIMIT for one in some),
            }
            for warned, some in z.items() if some
        },
        "cases": table,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
