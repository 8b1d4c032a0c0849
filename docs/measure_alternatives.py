"""Measure what else there is beside the score function: ``python docs/measure_alternatives.py``.

The tables go into ``deciding.md``, between two marks.  Variances are n times the squared standard
errors, summed over the entries; times are the process's own on one thread, the least of several
runs taken in turn, so that other work on the machine does little harm.  It takes two minutes.
"""

from __future__ import annotations

import datetime
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from measure_distributions import machine
from numba import njit

import fastscore as fs

PAGE = Path(__file__).with_name("deciding.md")
_MARKED = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end -->)", re.S)
SAMPLES, ROUNDS, COUNTED = 100_000, 7, 512

# --- the problems ---

LOC = np.linspace(-0.2, 0.3, 10)
VALUES = np.sin(1.7 * np.arange(36.0)) + 0.05 * np.arange(36.0)


@njit
def smooth(x):
    total = 0.0
    for k in range(x.size):
        total += x[k]
    return math.exp(0.2 * total)


@njit
def of_smooth(x, out):
    slope = 0.2 * smooth(x)
    for k in range(x.size):
        out[k] = slope


@njit
def digital(x):
    total = 0.0
    for k in range(x.size):
        total += x[k]
    return 1.0 if total > 2.0 else 0.0


@njit
def of_digital(x, out):
    for k in range(x.size):
        out[k] = 0.0


@njit
def look_up(x):
    return VALUES[6 * x[0] + x[1]]


@njit
def heads(x):
    total = 0.0
    for k in range(x.size):
        total += x[k]
    return -math.log(1.0 + total**2)


@njit
def balance(x):
    total = 0.0
    for k in range(x.size):
        total += x[k] if k % 2 == 0 else -x[k]
    return total**2


@njit
def rare(x):
    total = 0.0
    for k in range(x.size):
        total += x[k]
    return 1.0 if total > 9.0 else 0.0


@njit
def shortage(x):
    total = 0.0
    for k in range(x.size):
        total += x[k]
    return max(total - 12.0, 0.0)


@dataclass(frozen=True)
class Problem:
    """An expectation to differentiate, and the ways to compare; the first is what others mean."""

    title: str
    f: Any
    p: Any
    wrt: str
    ways: dict[str, dict[str, Any]]
    derivative: Any = None


@dataclass
class Found:
    """What one way came to."""

    estimate: Any
    #: Calls of f for `COUNTED` samples if ``each`` calls it; else for however many.
    called: int
    each: bool
    seconds: list[float] = field(default_factory=list)

    @property
    def variance(self) -> float:
        """Of one sample, summed over the entries."""
        return float(np.sum(self.estimate.flat_stderr**2)) * SAMPLES

    @property
    def calls(self) -> float:
        """For each sample."""
        return self.called / (COUNTED if self.each else SAMPLES)


SCORE = {"score": {}, "score, no baseline": {"baseline": None}}
SETS = {
    "score, antithetic": {"sampling": "antithetic"},
    "score, Sobol' points": {"sampling": "sobol"},
}
COINS = {
    **SCORE,
    "ARM": {"estimator": "arm"},
    "DisARM": {"estimator": "disarm"},
    "measure": {"estimator": "measure"},
}
NORMAL = fs.Normal(loc=LOC, scale=0.8)
ONE = fs.Normal(loc=0.05, scale=np.full(10, 0.8))
FIVE = fs.Normal(loc=np.zeros(5), scale=1.0)

PROBLEMS = [
    Problem(
        "Smooth: exp(0.2 Σ x), ten Normals, by loc", smooth, NORMAL, "loc",
        {
            **SCORE, **SETS,
            "pathwise": {"estimator": "pathwise"},
            "pathwise, antithetic": {"estimator": "pathwise", "sampling": "antithetic"},
            "measure": {"estimator": "measure"},
        },
        derivative=of_smooth,
    ),
    Problem(
        "Digital: 1 where Σ x > 2, the same Normals, by loc", digital, NORMAL, "loc",
        {
            **SCORE, **SETS,
            "pathwise": {"estimator": "pathwise"},
            "measure": {"estimator": "measure"},
        },
        derivative=of_digital,
    ),
    Problem(
        "One parameter: the smooth f again, one loc for all ten", smooth, ONE, "loc",
        {**SCORE, "pathwise": {"estimator": "pathwise"}, "common random numbers": {"step": 0.01}},
        derivative=of_smooth,
    ),
    Problem(
        "One parameter: the digital f again", digital, ONE, "loc",
        {**SCORE, "common random numbers": {"step": 0.05}},
    ),
    Problem(
        "Small support: a table over two variables of six classes, by logits", look_up,
        fs.Categorical(logits=np.sin(np.arange(12.0)).reshape(2, 6)), "logits",
        {
            **SCORE,
            "score, counts": {"sampling": "counts"},
            "sets of 6 without replacement": {"sampling": fs.WithoutReplacement(6)},
            "the 12 most probable summed": {"estimator": fs.Enumerate(top=12)},
            "all 36 summed": {"estimator": "exact"},
        },
    ),
    Problem(
        "Bernoulli vector: −log(1 + h²) of h heads of 50 coins, by logits", heads,
        fs.Bernoulli(logits=np.linspace(-2.0, 2.0, 50)), "logits", COINS,
    ),
    Problem(
        "Bernoulli vector: the square of an alternating sum of 50 nearly fair coins, by logits",
        balance, fs.Bernoulli(logits=np.linspace(-0.2, 0.2, 50)), "logits", COINS,
    ),
    Problem(
        "Rare event: 1 where Σ x > 9, five standard Normals, by loc", rare, FIVE, "loc",
        {
            **SCORE,
            "measure": {"estimator": "measure"},
            "score, proposal at the event": {
                "proposals": fs.Normal(loc=np.full(5, 1.8), scale=1.0)
            },
            "the same, a tenth from p": {
                "proposals": fs.Proposals(fs.Normal(loc=np.full(5, 1.8), scale=1.0), defensive=0.1)
            },
        },
    ),
    Problem(
        "Poisson: the excess of Σ x over 12, five counts, by rate", shortage,
        fs.Poisson(rate=np.linspace(1.0, 3.0, 5)), "rate",
        {**SCORE, "score, matrix baseline": {"baseline": "matrix"},
         "measure": {"estimator": "measure"}},
    ),
]  # fmt: skip

# --- measuring ---


def run(problem: Problem, f: Any, derivative: Any, n: int, way: dict[str, Any]) -> Any:
    """One estimate."""
    if "step" in way:
        return differences(f, problem.p, way["step"], n)
    options = {"wrt": problem.wrt, "rng": 0, "threads": 1, **way}
    if options.get("estimator") == "exact":
        del options["rng"]
    else:
        options["n"] = n
    if options.get("estimator") == "pathwise":
        f = fs.Integrand(f, derivative=derivative)
    return fs.gradient(f, problem.p, **options)


@dataclass(frozen=True)
class Differences:
    """Central differences of common random numbers, as an estimate shows itself."""

    flat: np.ndarray
    flat_stderr: np.ndarray


def differences(f: Any, p: Any, step: float, n: int) -> Differences:
    """By the one loc: each sample with both of its values, all else the same."""
    x = p.sample(n, rng=0)
    up, down = (values(f, x + sign * step) for sign in (1.0, -1.0))
    slopes = (up - down) / (2.0 * step)
    return Differences(np.array([slopes.mean()]), np.array([slopes.std() / math.sqrt(n)]))


def values(f: Any, x: np.ndarray) -> Any:
    """f of all rows."""
    return of_rows(f, x) if hasattr(f, "py_func") else f(x)


@njit
def of_rows(f, x):
    out = np.empty(len(x))
    for t in range(len(x)):
        out[t] = f(x[t])
    return out


def calls(problem: Problem, way: dict[str, Any], n: int) -> int:
    """Calls of f, and of its derivative, for n samples."""
    called = 0

    def by_row(function: Callable[..., Any]) -> Callable[..., Any]:
        def f(X: np.ndarray) -> np.ndarray:
            nonlocal called
            called += len(X)
            return np.array([function(x) for x in X])

        return f

    def gradient_of(x: np.ndarray) -> np.ndarray:
        out = np.empty(x.size)
        problem.derivative(x, out)
        return out

    run(problem, by_row(problem.f), by_row(gradient_of), n, way)
    return called


def measure(problem: Problem) -> dict[str, Found]:
    """All ways of a problem, in turn."""
    found = {}
    for name, way in problem.ways.items():
        run(problem, problem.f, problem.derivative, 1000, way)  # compiles
        estimate = run(problem, problem.f, problem.derivative, SAMPLES, way)
        called, more = (calls(problem, way, n) for n in (COUNTED, 4 * COUNTED))
        each = more > 2 * called
        found[name] = Found(estimate, called if each else more, each)
    for _ in range(ROUNDS):
        for name, way in problem.ways.items():
            start = time.process_time()
            run(problem, problem.f, problem.derivative, SAMPLES, way)
            found[name].seconds.append(time.process_time() - start)
    return found


# --- the page ---


def figure(x: float) -> str:
    """Two digits."""
    return "0" if x == 0 else f"{float(f'{x:.2g}'):,g}"


def table(problem: Problem, found: dict[str, Found]) -> str:
    """As Markdown, relative to the first way."""
    first = next(iter(found.values()))
    lines = [
        f"**{problem.title}**\n",
        "| estimator | variance | calls of f | ns per sample | × calls | × time |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, one in found.items():
        error = np.hypot(one.estimate.flat_stderr, first.estimate.flat_stderr)
        wrong = bool(np.any(np.abs(one.estimate.flat - first.estimate.flat) > 6.0 * error))
        variance, seconds = one.variance / first.variance, min(one.seconds)
        called = figure(one.calls) if one.each else f"{one.called} in all"
        took = f"{figure(1e9 * seconds / SAMPLES)}"
        if problem.ways[name].get("estimator") == "exact":
            took = f"{figure(1e6 * seconds)} µs in all"
        lines.append(
            f"| {name} | {figure(variance)}{' **and wrong**' if wrong else ''} | {called} | {took} "
            f"| {figure(variance * one.calls / first.calls)} "
            f"| {figure(variance * seconds / min(first.seconds))} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the tables into the page."""
    tables = []
    for problem in PROBLEMS:
        tables.append(table(problem, measure(problem)))
        print(tables[-1], flush=True)
    about = machine()
    where = (
        f"Measured on {datetime.date.today()}: one thread of a machine with {about['cpu']} "
        f"({about['vectors']}), Python {about['python']}, Numba {about['numba']}.\n"
    )
    made = "\n" + "\n".join([where, *tables]) + "\n"
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_MARKED.sub(lambda _: made, page), encoding="utf-8")


if __name__ == "__main__":
    main()
