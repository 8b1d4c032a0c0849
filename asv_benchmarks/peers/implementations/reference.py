"""A C library from elsewhere with the same workloads, to compare the project's own C with.

``$PEERS_REFERENCE`` is its path.  It has ``w1(mu, log_scale, d, n, 1, seed, threads, 1, out)``,
``w2(logits, d, n, seed, threads, 1, out)``, ``w3(logits, values, k, n, seed, threads, 1, out)``,
``w4(mu, log_scale, loc, scale, d, j, n, seed, threads, 1, out)`` and
``w5(mu, scale_tril, d, n, seed, threads, 1, out)``.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from asv_benchmarks.peers.implementations._solver import Solver, UnavailableError
from asv_benchmarks.peers.implementations._sums import lower_half_of
from asv_benchmarks.peers.implementations.c import call
from asv_benchmarks.peers.workloads import Array, Multivariate

PATH = os.environ.get("PEERS_REFERENCE")
if not PATH:
    raise UnavailableError("none given (--reference)")
try:
    LIBRARY = ctypes.CDLL(PATH)
except OSError as reason:
    raise UnavailableError(str(reason)) from reason

OPTIMAL_BASELINE = (1,)


def solver(name: str, mode: tuple[int, ...] = ()) -> Solver:
    """Return the solver of a workload."""

    def solve(workload: Any, n: int, seed: int, threads: int) -> Array:
        numbers = ctypes.c_long(n), *mode, ctypes.c_uint64(seed), threads, 1
        return call(LIBRARY[name.lower()], workload, *numbers, size=workload.gradient().size)

    return solve


def multivariate(workload: Multivariate, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W5, of which the library returns the upper half as well."""
    numbers = ctypes.c_long(n), ctypes.c_uint64(seed), threads, 1
    size = workload.mu.size + workload.scale_tril.size
    return lower_half_of(call(LIBRARY.w5, workload, *numbers, size=size), workload)


SOLVERS = {
    "W1": solver("W1", OPTIMAL_BASELINE),
    "W2": solver("W2"),
    "W3": solver("W3"),
    "W4": solver("W4"),
    "W5": multivariate,
}
