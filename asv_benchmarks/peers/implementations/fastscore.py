"""Fastscore itself: always with standard errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

import fastscore as fs
from asv_benchmarks.peers.implementations._solver import Solver
from asv_benchmarks.peers.workloads import (
    Array,
    Bernoulli,
    Categorical,
    Gaussian,
    Importance,
    Multivariate,
    with_lower_half,
)


@njit(fastmath=True)
def squares(x: Array) -> float:
    """Return f of W1, W4 and W5."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - 3.0) ** 2
    return total


@njit(fastmath=True)
def squares_of_batch(batch: Array, out: Array) -> None:
    """Compute f of W1, W4 and W5 for every row of a batch."""
    for i in range(batch.shape[0]):
        total = 0.0
        for k in range(batch.shape[1]):
            total += (batch[i, k] - 3.0) ** 2
        out[i] = total


@njit
def square_of_sum(x: np.ndarray) -> float:
    """Return f of W2."""
    total = 0
    for k in range(x.size):
        total += x[k]
    return (total - 60.0) ** 2


@njit
def squares_of_sums(batch: np.ndarray, out: Array) -> None:
    """Compute f of W2 for every row of a batch."""
    for i in range(batch.shape[0]):
        total = 0
        for k in range(batch.shape[1]):
            total += batch[i, k]
        out[i] = (total - 60.0) ** 2


@njit
def looked_up(x: np.ndarray, values: Array) -> float:
    """Return f of W3."""
    return values[x[0]]


def joined(estimate: fs.Estimate, *names: str) -> Array:
    """Return the gradient by some parameters, and its standard errors after it."""
    parts = (estimate.grad, estimate.grad_stderr)
    return np.concatenate([part[name] for part in parts for name in names])


def gaussian(f: Callable[..., Any]) -> Solver:
    """Return the solver of W1."""

    def solve(workload: Gaussian, n: int, seed: int, threads: int) -> Array:
        p = fs.Normal(loc=workload.mu, log_scale=workload.log_scale)
        return joined(fs.gradient(f, p, n=n, rng=seed, threads=threads), "loc", "log_scale")

    return solve


def bernoulli(f: Callable[..., Any]) -> Solver:
    """Return the solver of W2."""

    def solve(workload: Bernoulli, n: int, seed: int, threads: int) -> Array:
        p = fs.Bernoulli(logits=workload.logits)
        estimate = fs.gradient(f, p, n=n, rng=seed, threads=threads, baseline="mean")
        return joined(estimate, "logits")

    return solve


def categorical(**options: Any) -> Solver:
    """Return the solver of W3."""

    def solve(workload: Categorical, n: int, seed: int, threads: int) -> Array:
        p = fs.Categorical(logits=workload.logits)
        estimate = fs.gradient(
            looked_up, p, args=(workload.values,), n=n, rng=seed, threads=threads,
            baseline="mean", **options,
        )  # fmt: skip
        return joined(estimate, "logits")

    return solve


def importance(f: Callable[..., Any]) -> Solver:
    """Return the solver of W4."""

    def solve(workload: Importance, n: int, seed: int, threads: int) -> Array:
        p = fs.Normal(loc=workload.mu, log_scale=workload.log_scale)
        proposals = [fs.Normal(*q) for q in zip(workload.loc, workload.scale, strict=True)]
        estimate = fs.gradient(
            f, p, proposals=proposals, n=n, rng=seed, threads=threads, baseline=None
        )
        return joined(estimate, "loc", "log_scale")

    return solve


def multivariate(f: Callable[..., Any]) -> Solver:
    """Return the solver of W5."""

    def solve(workload: Multivariate, n: int, seed: int, threads: int) -> Array:
        p = fs.MultivariateNormal(workload.mu, scale_tril=workload.scale_tril)
        estimate = fs.gradient(f, p, n=n, rng=seed, threads=threads, baseline="mean")
        parts = (estimate.grad, estimate.grad_stderr)
        return np.concatenate([with_lower_half(part["loc"], part["scale_tril"]) for part in parts])

    return solve


OF_SAMPLE = {
    "W1": gaussian(squares),
    "W2": bernoulli(square_of_sum),
    "W3": categorical(),
    "W4": importance(squares),
    "W5": multivariate(squares),
}
OF_BATCH = {
    "W1": gaussian(squares_of_batch),
    "W2": bernoulli(squares_of_sums),
    "W4": importance(squares_of_batch),
    "W5": multivariate(squares_of_batch),
}
BY_COUNTS = {"W3": categorical(sampling="counts")}
