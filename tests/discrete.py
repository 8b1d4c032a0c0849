"""Integrands and exact answers of Bernoulli and Categorical cases (data/discrete_cases.json)."""

from __future__ import annotations

from functools import cache

import numpy as np
from cases import Case, rows
from numba import njit

import fastscore as fs


@njit
def distance(x, t):
    """``Σ (x_k − t_k)²``."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - t[k]) ** 2
    return total


@njit
def table(x, values):
    return values[x[0]]


def log_ratio(x, p, q):
    """``log p(x) − log q(x)`` of Bernoullis, NumPy-style."""
    return np.log(np.array([(1 - p) / (1 - q), p / q]))[x[:, 0]]


@cache
def entries() -> dict[str, dict]:
    """The file, by name."""
    return {row["id"]: row for row in rows("discrete_cases.json")}


@cache
def cases() -> dict[str, Case]:
    """Those whose gradient is by the parameters themselves, by name."""
    made = {"bern-t": _single, "bern-prod": _product, "cat": _categorical, "tfp-kl": _divergence}
    return {
        name: _case(row, *make(row["params"]))
        for name, row in entries().items()
        for start, make in made.items()
        if name.startswith(start)
    }


def _case(row, f, p, *args) -> Case:
    def spread(answers):
        return np.array(list(answers.values()))

    var = {key: spread(v) for key, v in row["var"].items()}
    name = row["id"]
    return Case(
        name, f, p, args, tuple(p.parameters), spread(row["grad"]), row["value"], var,
        row["baseline"]["opt_scalar"], np.array(row["fisher"]),
        _scalar_noise(row) if name.startswith("cat") else 0.0,
    )  # fmt: skip


def _scalar_noise(row) -> float:
    """Variance of the ratio ``E[f ‖s‖²]/E[‖s‖²]``: ``E[((f − b) ‖s‖² − g s)²]/E[‖s‖²]²``."""
    p, f = np.array(row["params"]["p"]), np.array(row["params"]["f"])
    s = np.eye(p.size) - p
    square, g = np.sum(s**2, axis=1), (p * f) @ s
    return p @ ((f - row["baseline"]["opt_scalar"]) * square - s @ g) ** 2 / (p @ square) ** 2


def bernoulli_of_logit(probs) -> fs.Bernoulli:
    """By logits, where answers are known by probability."""
    probs = np.asarray(probs)
    return fs.Bernoulli(logits=np.log(probs / (1 - probs)))


def _single(params):
    make = bernoulli_of_logit if params["param"] == "logit" else fs.Bernoulli
    return distance, make([params["theta"]]), np.array([params["t"]])


def _product(params):
    return distance, bernoulli_of_logit(params["theta"]), np.array(params["t"])


def _categorical(params):
    return table, fs.Categorical(logits=np.log(params["p"])), np.array(params["f"], float)


def _divergence(params):
    return log_ratio, fs.Bernoulli([params["p"]]), params["p"], params["q"]
