"""JAX on the CPU in double precision: scores by hand, and automatic differentiation.

A chunk of samples is one compiled function, called for each chunk with a key of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count as count_from
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from asv_benchmarks.peers.implementations._sums import (
    leave_one_out,
    optimal_baseline,
    sum_of_chunks,
    sum_with_running_mean,
    value_at_mean,
)
from asv_benchmarks.peers.workloads import Array, Bernoulli, Categorical, Gaussian

jax.config.update("jax_enable_x64", True)

#: Numbers in a chunk: of the sizes tried (2**14 to 2**20), the fastest.
CHUNK = 2**18

jit = partial(jax.jit, static_argnames="count")


def keys(seed: int) -> Callable[[], jax.Array]:
    """Return a function that makes a new key at each call."""
    root, numbers = random.key(seed), count_from()
    return lambda: random.fold_in(root, next(numbers))


def rows_of(size: int) -> int:
    """Return the number of samples in a chunk."""
    return max(CHUNK // size, 16)


# ---------------------------------------------------------------- scores by hand


@jit
def gaussian_chunk(key: Any, mu: Any, log_scale: Any, centre: Any, count: int) -> Any:
    """Sums over a chunk of W1; a row for each coordinate is quicker than one for each sample."""
    z = random.normal(key, (mu.size, count))
    w = ((mu[:, None] - 3 + jnp.exp(log_scale)[:, None] * z) ** 2).sum(0) - centre
    weights = jnp.stack([jnp.ones(count), w], axis=1)
    u = z**2 - 1
    return weights.sum(0), (z @ weights).T, (u @ weights).T, (u**2 @ weights).T


def gaussian(workload: Gaussian, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W1."""
    key, parameters = keys(seed), (workload.mu, workload.log_scale, value_at_mean(workload))
    sums = sum_of_chunks(
        lambda count: gaussian_chunk(key(), *parameters, count=count),
        n,
        rows_of(workload.mu.size),
    )
    return optimal_baseline(workload, n, *sums)


@jit
def bernoulli_chunk(key: Any, logits: Any, count: int) -> Any:
    """Sums over a chunk of W2, the uniform numbers in single precision."""
    p = jax.nn.sigmoid(logits).astype(jnp.float32)
    x = random.bernoulli(key, p, (count, logits.size)).astype(jnp.float64)
    f = (x.sum(1) - 60) ** 2
    return f.sum(), *(jnp.stack([jnp.ones(count), f]) @ x)


def bernoulli(workload: Bernoulli, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W2."""
    key, logits = keys(seed), workload.logits
    sums = sum_of_chunks(
        lambda count: bernoulli_chunk(key(), logits, count=count), n, rows_of(logits.size)
    )
    return leave_one_out(n, *sums)


def draw_classes(key: Any, logits: Any, count: int) -> Any:
    """Draw classes by inversion; ``random.categorical`` draws a number for each class."""
    return random.choice(key, logits.size, (count,), p=jax.nn.softmax(logits))


@jit
def categorical_chunk(key: Any, logits: Any, values: Any, count: int) -> Any:
    """Sums over a chunk of W3."""
    x = draw_classes(key, logits, count)
    f = values[x]
    zeros = jnp.zeros(logits.size)
    return f.sum(), zeros.at[x].add(1), zeros.at[x].add(f)


def categorical(workload: Categorical, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W3."""
    key, parameters = keys(seed), (workload.logits, workload.values)
    sums = sum_of_chunks(lambda count: categorical_chunk(key(), *parameters, count=count), n, CHUNK)
    return leave_one_out(n, *sums)


# ---------------------------------------------------------------- automatic differentiation


def surrogate(parameters: Any, x: Any, f: Any, mean: Any, log_p: Callable[[Any, Any], Any]) -> Any:
    """Return the sum of f, and the gradient of the sum of f less a baseline, times log p."""
    of_others = (f.sum() - f) / max(f.size - 1, 1)
    weights = f - jnp.where(jnp.isnan(mean), of_others, mean)
    return f.sum(), *jax.grad(lambda parameters: weights @ log_p(parameters, x))(parameters)


@jit
def gaussian_surrogate_chunk(key: Any, mean: Any, mu: Any, log_scale: Any, count: int) -> Any:
    """Sum of f and the gradient of W1 over a chunk."""

    def log_p(parameters: Any, x: Any) -> Any:
        mu, log_scale = parameters
        return jax.scipy.stats.norm.logpdf(x, mu, jnp.exp(log_scale)).sum(0)

    columns = mu[:, None], log_scale[:, None]
    x = columns[0] + jnp.exp(columns[1]) * random.normal(key, (mu.size, count))
    return surrogate(columns, x, ((x - 3) ** 2).sum(0), mean, log_p)


def gaussian_surrogate(workload: Gaussian, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W1."""
    key, parameters = keys(seed), (workload.mu, workload.log_scale)
    sums = sum_with_running_mean(
        lambda count, mean: gaussian_surrogate_chunk(key(), mean, *parameters, count=count),
        n,
        rows_of(workload.mu.size),
    )
    return np.concatenate(sums, axis=None) / n


@jit
def bernoulli_surrogate_chunk(key: Any, mean: Any, logits: Any, count: int) -> Any:
    """Sum of f and the gradient of W2 over a chunk."""

    def log_p(parameters: Any, x: Any) -> Any:
        return jax.scipy.stats.bernoulli.logpmf(x, jax.nn.sigmoid(parameters[0])).sum(1)

    p = jax.nn.sigmoid(logits).astype(jnp.float32)
    x = random.bernoulli(key, p, (count, logits.size)).astype(jnp.float64)
    return surrogate((logits,), x, (x.sum(1) - 60) ** 2, mean, log_p)


def bernoulli_surrogate(workload: Bernoulli, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W2."""
    key, logits = keys(seed), workload.logits
    (total,) = sum_with_running_mean(
        lambda count, mean: bernoulli_surrogate_chunk(key(), mean, logits, count=count),
        n,
        rows_of(logits.size),
    )
    return total / n


@jit
def categorical_surrogate_chunk(key: Any, mean: Any, logits: Any, values: Any, count: int) -> Any:
    """Sum of f and the gradient of W3 over a chunk."""

    def log_p(parameters: Any, x: Any) -> Any:
        return jax.nn.log_softmax(parameters[0])[x]

    x = draw_classes(key, logits, count)
    return surrogate((logits,), x, values[x], mean, log_p)


def categorical_surrogate(workload: Categorical, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W3."""
    key, parameters = keys(seed), (workload.logits, workload.values)
    (total,) = sum_with_running_mean(
        lambda count, mean: categorical_surrogate_chunk(key(), mean, *parameters, count=count),
        n,
        CHUNK,
    )
    return total / n


CLOSED_FORM = {"W1": gaussian, "W2": bernoulli, "W3": categorical}
SURROGATE = {
    "W1": gaussian_surrogate,
    "W2": bernoulli_surrogate,
    "W3": categorical_surrogate,
}
