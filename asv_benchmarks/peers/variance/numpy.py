"""NumPy: chunks that stay in cache, SFC64, everything in place, sums by matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from asv_benchmarks.peers.variance.problems import Array, Problem
from asv_benchmarks.peers.variance.sums import leave_one_out, threaded

#: Numbers in a chunk of normals, and of bits.
NORMALS, BITS = 16_384, 65_536


def g_in_place(problem: Problem) -> Callable[[Array], None]:
    """Turn x into g(x)."""
    k, kind = problem.k, problem.kind

    def g(x: Array) -> None:
        if kind == "exp":
            np.square(x, out=x)
            x *= -k
            np.exp(x, out=x)
        elif kind == "cos":
            x *= k
            np.cos(x, out=x)
        else:
            x -= k
            np.square(x, out=x)

    return g


def normal(problem: Problem, d: int, seed: np.random.SeedSequence, n: int) -> tuple[Any, ...]:
    """Sums of f, of ``(1, f) z`` and of ``(1, f) (z² − 1)``."""
    generator, g = np.random.Generator(np.random.SFC64(seed)), g_in_place(problem)
    rows = min(NORMALS // d, n)
    z, x, weights = np.empty((d, rows)), np.empty((d, rows)), np.ones((rows, 2))
    f, of_z, of_u = 0.0, np.zeros((d, 2)), np.zeros((d, 2))
    for start in range(0, n, rows):
        if (count := min(rows, n - start)) < rows:
            z, x, weights = np.empty((d, count)), np.empty((d, count)), weights[:count]
        generator.standard_normal(out=z)
        np.multiply(z, problem.second, out=x)
        x += problem.first
        g(x)
        x.sum(axis=0, out=weights[:, 1])
        of_z += z @ weights
        z *= z
        z -= 1
        of_u += z @ weights
        f += weights[:, 1].sum()
    return f, np.concatenate([of_z, of_u]) / problem.second


def bernoulli(problem: Problem, d: int, seed: np.random.SeedSequence, n: int) -> tuple[Any, ...]:
    """Sums of f and of ``(1, f) (x − p)``: 32 random bits against a threshold."""
    words, p = np.random.SFC64(seed), problem.first
    threshold, rows = np.uint32(p * 2.0**32), min(max(BITS // d, 16), n)
    values = problem.g(np.array([0.0, 1.0]))
    weights, x = np.ones((rows, 2)), np.empty((d, rows))
    f, of_x = 0.0, np.zeros((d, 2))
    for start in range(0, n, rows):
        if (count := min(rows, n - start)) < rows:
            weights, x = weights[:count], np.empty((d, count))
        bits = words.random_raw((count * d + 1) // 2).view(np.uint32)[: count * d]
        np.less(bits.reshape(d, count), threshold, out=x)
        x.sum(axis=0, out=weights[:, 1])  # f = Σ g(x_k) by the number of ones
        weights[:, 1] *= values[1] - values[0]
        weights[:, 1] += d * values[0]
        of_x += x @ weights
        f += weights[:, 1].sum()
    return f, of_x - p * np.array([n, f])


def leave_one_out_mean(problem: Problem, d: int, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient."""
    part = normal if problem.normal else bernoulli
    seeds = np.random.SeedSequence(seed).spawn(threads)
    return leave_one_out(
        n, threaded(lambda i, count: part(problem, d, seeds[i], count), n, threads)
    )


METHODS = {"NumPy": leave_one_out_mean}
