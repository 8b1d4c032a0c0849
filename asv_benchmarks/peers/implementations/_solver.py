"""What an implementation consists of."""

from __future__ import annotations

from typing import Any, Protocol

from asv_benchmarks.peers.workloads import Array


class Solver(Protocol):
    """Estimates the gradient of one workload."""

    def __call__(self, workload: Any, n: int, seed: int, threads: int) -> Array:
        """Return the gradient from `n` samples, the standard errors after it if there are any."""
        ...


class UnavailableError(ImportError):
    """Raised on import of an implementation that cannot run here; the message says why."""
