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
from jax.scipy.linalg import solve_triangular

from asv_benchmarks.peers.implementations._densities import (
    polynomial,
    standardising,
    weighted_gradient,
)
from asv_benchmarks.peers.implementations._sums import (
    leave_one_out,
    of_factor,
    optimal_baseline,
    sum_of_chunks,
    sum_with_running_mean,
    value_at_mean,
)
from asv_benchmarks.peers.workloads import (
    Array,
    Bernoulli,
    Categorical,
    Gaussian,
    Importance,
    Multivariate,
    with_lower_half,
)

jax.config.update("jax_enable_x64", True)

#: Numbers in a chunk: of the sizes tried (2**14 to 2**20), the fastest.
CHUNK = 2**18
#: Units of W4 in a chunk, likewise.
UNITS = 512

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


@jit
def importance_chunk(
    key: Any, mu: Any, log_scale: Any, to_y: Any, log_ratio: Any, count: int
) -> Any:
    """Sums over a chunk of W4."""
    shift, stretch = to_y
    linear, square, constant = log_ratio
    j, d = linear.shape
    y = (shift + stretch * random.normal(key, (d, j, count))).reshape(d, -1)
    f = ((mu[:, None] - 3 + jnp.exp(log_scale)[:, None] * y) ** 2).sum(0)
    w = f / jnp.exp(linear @ y + square @ y**2 + constant).sum(0)
    return w.sum(), y @ w, y**2 @ w


def importance(workload: Importance, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W4."""
    key, units = keys(seed), workload.units(n)
    parameters = workload.mu, workload.log_scale, standardising(workload), polynomial(workload)
    sums = sum_of_chunks(
        lambda count: importance_chunk(key(), *parameters, count=count), units, UNITS
    )
    return weighted_gradient(workload, n, *sums)


def weights_of(f: Any, mean: Any) -> Any:
    """Return f less the mean it is told, or if that is NaN less the mean of the other samples."""
    of_others = (f.sum() - f) / max(f.size - 1, 1)
    return f - jnp.where(jnp.isnan(mean), of_others, mean)


@jit
def multivariate_chunk(key: Any, mean: Any, mu: Any, factor: Any, count: int) -> Any:
    """Sums over a chunk of W5."""
    z = random.normal(key, (mu.size, count))
    f = ((mu[:, None] - 3 + factor @ z) ** 2).sum(0)
    w = weights_of(f, mean)
    return f.sum(), w.sum(), z @ w, (z * w) @ z.T


def multivariate(workload: Multivariate, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W5."""
    key, parameters = keys(seed), (workload.mu, workload.scale_tril)
    sums = sum_with_running_mean(
        lambda count, mean: multivariate_chunk(key(), mean, *parameters, count=count),
        n,
        rows_of(workload.mu.size),
    )
    return of_factor(workload, n, *sums)


# ---------------------------------------------------------------- automatic differentiation


def surrogate(parameters: Any, x: Any, f: Any, mean: Any, log_p: Callable[[Any, Any], Any]) -> Any:
    """Return the sum of f, and the gradient of the sum of f less a baseline, times log p."""
    weights = weights_of(f, mean)
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


@jit
def importance_surrogate_chunk(
    key: Any, mu: Any, log_scale: Any, loc: Any, scale: Any, count: int
) -> Any:
    """The gradient of W4 over a chunk; a loop over the proposals is quicker than one array."""

    def log_density(x: Any, mu: Any, sigma: Any) -> Any:
        return jax.scipy.stats.norm.logpdf(x, mu[:, None], sigma[:, None]).sum(0)

    def log_p(parameters: Any) -> Any:
        mu, log_scale = parameters
        return log_density(x, mu, jnp.exp(log_scale))

    j, d = loc.shape
    normals = random.normal(key, (d, j, count))
    x = (loc.T[:, :, None] + scale.T[:, :, None] * normals).reshape(d, -1)
    log_q = jax.lax.map(lambda q: log_density(x, *q), (loc, scale))
    log_w = log_p((mu, log_scale)) - jax.scipy.special.logsumexp(log_q, axis=0) + jnp.log(j)
    values = jnp.exp(log_w) * ((x - 3) ** 2).sum(0)
    return jax.grad(lambda parameters: values @ log_p(parameters))((mu, log_scale))


def importance_surrogate(workload: Importance, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W4."""
    key, units = keys(seed), workload.units(n)
    parameters = (workload.mu, workload.log_scale, workload.loc, workload.scale)
    sums = sum_of_chunks(
        lambda count: importance_surrogate_chunk(key(), *parameters, count=count), units, UNITS
    )
    return np.concatenate(sums) / (units * len(workload.loc))


@jit
def multivariate_surrogate_chunk(key: Any, mean: Any, mu: Any, factor: Any, count: int) -> Any:
    """Sum of f and the gradient of W5 over a chunk."""

    def log_p(parameters: Any, x: Any) -> Any:
        mu, factor = parameters
        z = solve_triangular(factor, x - mu, lower=True)
        return -(z**2).sum(0) / 2 - jnp.log(jnp.diag(factor)).sum()

    x = mu[:, None] + factor @ random.normal(key, (mu.size, count))
    return surrogate((mu[:, None], factor), x, ((x - 3) ** 2).sum(0), mean, log_p)


def multivariate_surrogate(workload: Multivariate, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W5."""
    key, parameters = keys(seed), (workload.mu, workload.scale_tril)
    by_mu, by_factor = sum_with_running_mean(
        lambda count, mean: multivariate_surrogate_chunk(key(), mean, *parameters, count=count),
        n,
        rows_of(workload.mu.size),
    )
    return with_lower_half(by_mu[:, 0], by_factor) / n


CLOSED_FORM = {
    "W1": gaussian,
    "W2": bernoulli,
    "W3": categorical,
    "W4": importance,
    "W5": multivariate,
}
SURROGATE = {
    "W1": gaussian_surrogate,
    "W2": bernoulli_surrogate,
    "W3": categorical_surrogate,
    "W4": importance_surrogate,
    "W5": multivariate_surrogate,
}
