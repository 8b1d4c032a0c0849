"""JAX on the CPU in double precision: a chunk is one compiled function, and so is the loop."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, random

from asv_benchmarks.peers.variance.problems import Array, Problem
from asv_benchmarks.peers.variance.sums import leave_one_out, threaded

jax.config.update("jax_enable_x64", True)

#: Numbers in a chunk.
CHUNK = 2**16


def g(problem: Problem, x: Any) -> Any:
    """Of an array."""
    if problem.kind == "exp":
        return jnp.exp(-problem.k * x * x)
    return jnp.cos(problem.k * x) if problem.kind == "cos" else (x - problem.k) ** 2


def normal(problem: Problem, d: int, key: Any, count: int) -> tuple[Any, Any]:
    """Sum of f, and those of s and f s, over a chunk."""
    z = random.normal(key, (d, count))
    f = g(problem, problem.first + problem.second * z).sum(0)
    weights = jnp.stack([jnp.ones(count), f], axis=1)
    return f.sum(), jnp.concatenate([z @ weights, (z * z - 1) @ weights]) / problem.second


def bernoulli(problem: Problem, d: int, key: Any, count: int) -> tuple[Any, Any]:
    """The same, the uniform numbers in single precision."""
    u = random.uniform(key, (d, count), jnp.float32)
    x = (u < jnp.float32(problem.first)).astype(jnp.float64)
    f = g(problem, x).sum(0)
    return f.sum(), (x - problem.first) @ jnp.stack([jnp.ones(count), f], axis=1)


@partial(jax.jit, static_argnames=("problem", "d", "n"))
def sums(problem: Problem, d: int, seed: Any, n: int) -> tuple[Any, Any]:
    """Over all chunks, and the rest."""
    chunk = normal if problem.normal else bernoulli
    key, rows = random.key(seed), min(CHUNK // d, n)

    def add(i: Any, total: Any) -> Any:
        part = chunk(problem, d, random.fold_in(key, i), rows)
        return jax.tree.map(jnp.add, total, part)

    rest = chunk(problem, d, random.fold_in(key, n), n % rows)
    return lax.fori_loop(0, n // rows, add, rest)


def leave_one_out_mean(problem: Problem, d: int, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient."""

    def part(i: int, count: int) -> Any:
        return jax.block_until_ready(sums(problem, d, 1000 * seed + i, n=count))

    return leave_one_out(n, threaded(part, n, threads))


METHODS = {"JAX": leave_one_out_mean}
