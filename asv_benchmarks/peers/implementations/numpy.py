"""The best plain NumPy: chunks that stay in cache, SFC64, sums by matrix products."""

from __future__ import annotations

import numpy as np

from asv_benchmarks.peers.implementations._densities import (
    polynomial,
    standardising,
    weighted_gradient,
)
from asv_benchmarks.peers.implementations._sums import (
    baseline,
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
)

#: Numbers in a chunk of normals, and of bits: what was fastest.
NORMALS, BITS = 32_768, 100_000
#: Samples in a chunk at most: larger temporary arrays come in fresh pages of memory, every time.
SAMPLES = 8_192


def gaussian(workload: Gaussian, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W1."""
    generator = np.random.Generator(np.random.SFC64(seed))
    sigma, shift, centre = np.exp(workload.log_scale), workload.mu - 3, value_at_mean(workload)
    rows = min(max(NORMALS // sigma.size, 16), SAMPLES)
    buffers = np.empty((2, rows, sigma.size))

    def chunk(count: int) -> tuple[Array, ...]:
        z, y = buffers[:, :count]
        generator.standard_normal(out=z)
        np.multiply(z, sigma, out=y)
        y += shift
        weights = np.stack([np.ones(count), np.einsum("ij,ij->i", y, y) - centre])
        of_z = weights @ z
        z *= z
        z -= 1
        of_u = weights @ z
        z *= z
        return weights.sum(axis=1), of_z, of_u, weights @ z

    return optimal_baseline(workload, n, *sum_of_chunks(chunk, n, rows))


def bernoulli(workload: Bernoulli, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W2: 32 random bits against a threshold, sums in single precision.

    The sums of a chunk are of at most 500 numbers, and added up in double precision.
    """
    words = np.random.SFC64(seed)
    d = workload.logits.size
    threshold = np.minimum(workload.p * 2.0**32, 2.0**32 - 1).astype(np.uint32)
    rows, ones, centre = max(BITS // d, 16), np.ones(d, np.float32), workload.mean()

    def chunk(count: int) -> tuple[Array, ...]:
        bits = words.random_raw((count * d + 1) // 2).view(np.uint32)[: count * d]
        x = (bits.reshape(count, d) < threshold).astype(np.float32)
        weights = np.ones((2, count), np.float32)
        weights[1] = (x @ ones - 60) ** 2 - centre
        of_ones, of_values = (weights @ x).astype(np.float64)
        return weights[1].sum(dtype=np.float64), of_ones, of_values

    return leave_one_out(n, *sum_of_chunks(chunk, n, rows))


def categorical(workload: Categorical, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W3 by an alias table."""
    words = np.random.SFC64(seed)
    keep, classes = alias_table(workload.p)
    k = keep.size

    def chunk(count: int) -> tuple[Array, ...]:
        bits = words.random_raw(count)
        own = (((bits >> 32) * k) >> 32).view(np.int64)
        bits &= 0xFFFFFFFF
        x = classes.take(2 * own + (bits >= keep.take(own)))
        f = workload.values.take(x)
        return f.sum(), np.bincount(x, minlength=k), np.bincount(x, f, minlength=k)

    return leave_one_out(n, *sum_of_chunks(chunk, n, SAMPLES))


def alias_table(p: Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the odds of keeping a class, times 2**32, and each class followed by its alias."""
    k = p.size
    share, keep, alias = (p * k).tolist(), np.zeros(k, np.uint64), np.arange(k)
    small = [j for j in range(k) if share[j] < 1]
    large = [j for j in range(k) if share[j] >= 1]
    while small and large:
        j = small.pop()
        keep[j], alias[j] = int(share[j] * 2**32), large[-1]
        share[large[-1]] -= 1 - share[j]
        if share[large[-1]] < 1:
            small.append(large.pop())
    return keep, np.stack([np.arange(k), alias], axis=1).ravel()


def categorical_by_counts(workload: Categorical, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W3, where f depends on nothing but the class, from the counts."""
    counts = np.random.Generator(np.random.SFC64(seed)).multinomial(n, workload.p)
    values = counts * workload.values
    return leave_one_out(n, values.sum(), counts, values)


def importance(workload: Importance, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W4; here a row for each coordinate is quicker."""
    generator = np.random.Generator(np.random.SFC64(seed))
    shift, stretch = standardising(workload)
    linear, square, constant = polynomial(workload)
    sigma, distance = np.exp(workload.log_scale)[:, None], (workload.mu - 3)[:, None]
    j, d = linear.shape
    rows = SAMPLES // j
    buffers = np.empty((2, d * j * rows))

    def chunk(count: int) -> tuple[Array, ...]:
        z, x = buffers[:, : d * j * count].reshape(2, d, j, count)
        generator.standard_normal(out=z)
        z *= stretch
        z += shift
        y, x = z.reshape(d, -1), x.reshape(d, -1)
        np.multiply(y, sigma, out=x)
        x += distance
        f = np.einsum("ij,ij->j", x, x)
        yy = np.multiply(y, y, out=x)
        ratios = linear @ y
        ratios += square @ yy
        ratios += constant
        w = f / np.exp(ratios, out=ratios).sum(axis=0)
        return w.sum(), y @ w, yy @ w

    return weighted_gradient(workload, n, *sum_of_chunks(chunk, workload.units(n), rows))


def multivariate(workload: Multivariate, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W5."""
    generator = np.random.Generator(np.random.SFC64(seed))
    factor, shift = workload.scale_tril, workload.mu - 3
    rows = NORMALS // shift.size
    buffers = np.empty((2, rows, shift.size))

    def chunk(count: int, mean: float) -> tuple[Array, ...]:
        z, y = buffers[:, :count]
        generator.standard_normal(out=z)
        np.matmul(z, factor.T, out=y)
        y += shift
        f = np.einsum("ij,ij->i", y, y)
        w = f - baseline(f, mean)
        np.multiply(z, w[:, None], out=y)
        return f.sum(), w.sum(), w @ z, y.T @ z

    return of_factor(workload, n, *sum_with_running_mean(chunk, n, rows))


OF_SAMPLES = {
    "W1": gaussian,
    "W2": bernoulli,
    "W3": categorical,
    "W4": importance,
    "W5": multivariate,
}
BY_COUNTS = {"W3": categorical_by_counts}
