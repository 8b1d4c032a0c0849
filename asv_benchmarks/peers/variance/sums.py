"""What the peers share: parts of the samples in threads, and the leave-one-out mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from asv_benchmarks.peers.variance.problems import Array

POOL = ThreadPoolExecutor(8)


def threaded(part: Callable[[int, int], Sequence[Any]], n: int, threads: int) -> list[Any]:
    """Sums of parts of the n samples, each in a thread of its own."""
    counts = [n // threads + (i < n % threads) for i in range(threads)]
    if threads == 1:
        return list(part(0, n))
    parts = list(POOL.map(part, range(threads), counts))
    return [sum(column[1:], column[0]) for column in zip(*parts, strict=True)]


def leave_one_out(n: int, sums: Sequence[Any]) -> Array:
    """``Σ (f − f̄) s/(n − 1)`` from the sums of f, and of s and f s, (P, 2)."""
    f, scores = float(sums[0]), np.asarray(sums[1])
    return (scores[:, 1] - f / n * scores[:, 0]) / (n - 1)
