"""Integrands and exact answers of the Gaussian cases (tests/data/gaussian_cases.json)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from cases import Case, rows
from numba import njit

import fastscore as fs


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


@cache
def cases() -> dict[str, Case]:
    """All of them by name."""
    return {row["id"]: _case(row) for row in rows("gaussian_cases.json")}


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
