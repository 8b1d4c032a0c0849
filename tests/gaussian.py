"""Integrands and exact answers of the Gaussian cases (tests/data/gaussian_cases.json)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numba import njit

import fastscore as fs

DATA = Path(__file__).parent / "data"


@njit
def quadratic(x, k):
    return (x[0] - k) ** 2


@njit
def bell(x, k):
    return math.exp(-k * x[0] * x[0])


@njit
def cosine(x, k):
    return math.cos(k * x[0])


@njit
def sphere(x):
    total = 0.0
    for k in range(x.size):
        total += x[k] * x[k]
    return total


@njit
def linear(x):
    total = 0.0
    for k in range(x.size):
        total += x[k]
    return total


@njit
def weighted_square(x, w):
    total = 0.0
    for k in range(x.size):
        total += w[k] * x[k]
    return total * total


@njit
def cosines(x):
    total = 0.0
    for k in range(x.size):
        total += math.cos(2 * x[k])
    return total


@dataclass(frozen=True)
class Case:
    """A problem with its exact answers: arrays over the score coordinates, in order."""

    name: str
    f: object
    p: fs.Normal
    args: tuple
    wrt: tuple[str, ...]
    grad: np.ndarray
    value: float | None = None
    #: Variance of one sample by baseline, and of the whole estimator for ``loo_n…``.
    var: dict[str, np.ndarray] | None = None
    #: The optimal scalar baseline.
    scalar: float | None = None
    fisher: np.ndarray | None = None


@cache
def cases() -> dict[str, Case]:
    """All of them by name."""
    rows = json.loads((DATA / "gaussian_cases.json").read_text())["cases"]
    return {row["id"]: _case(row) for row in rows}


def _case(row) -> Case:
    name, params = row["id"], row["params"]
    if name.startswith("peer-"):
        return _peer(name, params, row["grad"])
    if name.startswith("gauss-"):
        f = {"quad": quadratic, "exp": bell, "cos": cosine}[name.split("-")[1]]
        p = fs.Normal([params["mu"]], [params["sigma"]])
        args, wrt, spread = (params["k"],), ("loc", "scale"), lambda v: [v["mu"], v["sigma"]]
    else:  # es-sphere-d10: the answers are those of each mean
        f, args, wrt = sphere, (), ("loc",)
        p = fs.Normal(np.full(params["d"], float(params["c"])), params["s"])
        spread = lambda v: np.full(params["d"], v["mu_i"])  # noqa: E731
    return Case(
        name, f, p, args, wrt, np.array(spread(row["grad"])), row["value"],
        {key: np.array(spread(v)) for key, v in row["var"].items() if key != "mirrored_pair"},
        row["baseline"]["opt_scalar"],
        np.array(row["fisher"]) if "fisher" in row else None,
    )  # fmt: skip


def _peer(name, params, grad) -> Case:
    d = params.get("d", np.size(params["mean"]))
    loc, log_scale = (np.broadcast_to(params[key], d) for key in ("mean", "log_scale"))
    f, args = {
        "linear": (linear, ()),
        "quad": (weighted_sphere, (0.5 if name == "peer-quad-1-0.3" else 1.0,)),
        "wquad": (weighted_square, (np.array(params.get("w", [0]), float),)),
        "sumcos2x": (cosines, ()),
    }[name.split("-")[1]]
    exact = np.concatenate([np.array(grad["mean"], float), np.array(grad["log_scale"], float)])
    return Case(name, f, fs.Normal(loc, log_scale=log_scale), args, ("loc", "log_scale"), exact)


@njit
def weighted_sphere(x, factor):
    total = 0.0
    for k in range(x.size):
        total += x[k] * x[k]
    return factor * total


#: The library's baselines, and the variance of one sample under each; a constant one is given.
VARIANCES = {
    None: "none", "mean": "mean_baseline", "scalar": "opt_scalar", "optimal": "opt_coord",
}  # fmt: skip


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
    """How many standard errors the mean of independent samples is off."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return (samples.mean(axis=0) - truth) / error


def z_of_variance(samples, truth):
    """The same of their variance, whose standard error is sqrt((m₄ − v²)/R)."""
    centred = samples - samples.mean(axis=0)
    v, m4 = centred.var(axis=0, ddof=1), np.mean(centred**4, axis=0)
    return (v - truth) / np.sqrt((m4 - v**2) / len(samples))
