"""From sums over the samples, chunk by chunk, to the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from asv_benchmarks.peers.workloads import Array, Gaussian, Multivariate, with_lower_half


def chunk_sizes(n: int, rows: int) -> Iterator[int]:
    """Yield the sizes of the chunks of `n` samples, at most `rows` each."""
    for start in range(0, n, rows):
        yield min(rows, n - start)


def sum_of_chunks(chunk: Callable[[int], Sequence[Any]], n: int, rows: int) -> list[Array]:
    """Sum what `chunk` returns for each number of samples, array by array."""
    sums: list[Any] = []
    for count in chunk_sizes(n, rows):
        part = chunk(count)
        sums = [a + b for a, b in zip(sums, part, strict=True)] if sums else list(part)
    return [np.asarray(a) for a in sums]


def sum_with_running_mean(
    chunk: Callable[[int, float], Sequence[Any]], n: int, rows: int
) -> list[Array]:
    """Sum as `sum_of_chunks` does, and tell each chunk the mean of f so far: its baseline.

    The first array that `chunk` returns is its sum of f, which is not among the results.  The first
    chunk is told NaN: it must leave one out.  (If all did so, those small enough for a cache would
    miss the mean by more than some entries of a gradient tolerate.)
    """
    total, drawn = 0.0, 0

    def chunk_with_mean(count: int) -> Sequence[Any]:
        nonlocal total, drawn
        of_f, *others = chunk(count, total / drawn if drawn else math.nan)
        total, drawn = total + float(of_f), drawn + count
        return others

    return sum_of_chunks(chunk_with_mean, n, rows)


def baseline(f: Any, mean: float) -> Any:
    """Return what `sum_with_running_mean` told a chunk, or of its first the mean of the others."""
    return (f.sum() - f) / max(len(f) - 1, 1) if math.isnan(mean) else mean


def value_at_mean(workload: Gaussian) -> float:
    """Return f at the mean; values counted from it are small, which keeps sums accurate."""
    return float(((workload.mu - 3) ** 2).sum())


def optimal_baseline(workload: Gaussian, n: int, w: Array, z: Array, u: Array, uu: Array) -> Array:
    """Return the gradient of W1 with the baseline of least variance for each entry.

    Parameters
    ----------
    workload : Gaussian
        The parameters.
    n : int
        Number of samples.
    w : ndarray of shape (2,)
        Sums of 1 and ``w``, the value of a sample less `value_at_mean`.
    z, u, uu : ndarray of shape (2, d)
        Sums of ``z``, ``u = z**2 - 1`` and ``u**2``; and below of their products with ``w``.
    """

    def mean(score: Array, square: Array) -> Array:
        return (score[1] - square[1] / square[0] * score[0]) / n

    return np.concatenate([mean(z, u + w[:, None]) / np.exp(workload.log_scale), mean(u, uu)])


def leave_one_out(n: int, total: Array, ones: Array, values: Array) -> Array:
    """Return the gradient in logits, where the score is ``x - p`` and ``x`` is 0 or 1.

    Parameters
    ----------
    n : int
        Number of samples.
    total : ndarray of shape ()
        Sum of f.
    ones, values : ndarray of shape (d,)
        Sums of ``x`` and of f times ``x``.
    """
    return (values - total / n * ones) / (n - 1)


def of_factor(workload: Multivariate, n: int, w: Array, wz: Array, wzz: Array) -> Array:
    """Return the gradient of W5, where the scores are ``L^-T z`` and that times ``z^T``, less 1.

    Parameters
    ----------
    workload : Multivariate
        The parameters.
    n : int
        Number of samples.
    w : ndarray of shape ()
        Sum of ``w``, the value of a sample less its baseline.
    wz : ndarray of shape (d,)
        Sum of ``w z``.
    wzz : ndarray of shape (d, d)
        Sum of ``w z z^T``.
    """
    to_scores = np.linalg.inv(workload.scale_tril).T / n
    return with_lower_half(to_scores @ wz, to_scores @ (wzz - w * np.eye(wz.size)))


def lower_half_of(gradient: Array, workload: Multivariate) -> Array:
    """Return a gradient of W5 by the mean and all of L, without the upper half."""
    d = workload.mu.size
    return with_lower_half(gradient[:d], gradient[d:].reshape(d, d))
