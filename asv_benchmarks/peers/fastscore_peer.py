"""Fastscore itself, with the integrand written for one sample and for a batch of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from asv_benchmarks.peers.peer import UnavailableError
from asv_benchmarks.peers.problem import Array, Mode

try:
    import fastscore as fs
except ImportError:  # the other peers can be compared without it
    fs = None  # type: ignore[assignment]


@njit(fastmath=True)
def of_sample(x: Array) -> float:
    """``f(x)`` of one sample."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - 3.0) ** 2
    return total


@njit(fastmath=True)
def of_batch(batch: Array, out: Array) -> None:
    """``f(x)`` of every row of a batch."""
    for i in range(batch.shape[0]):
        total = 0.0
        for k in range(batch.shape[1]):
            total += (batch[i, k] - 3.0) ** 2
        out[i] = total


def available() -> bool:
    """Whether fastscore can be imported."""
    return fs is not None and hasattr(fs, "gradient")


class FastscorePeer:
    """Fastscore as a peer: gradient, optimal baseline and standard errors, as it always does.

    Parameters
    ----------
    name : str
        Name for the tables.
    f : callable
        `of_sample` or `of_batch`.
    """

    mode = Mode.STANDARD_ERRORS

    def __init__(self, name: str, f: Callable[..., Any]) -> None:
        if not available():
            raise UnavailableError("fastscore cannot be imported")
        self.name = name
        self.f = f

    def gradient(
        self, mu: Array, log_scale: Array, n: int, mode: Mode, seed: int, threads: int = 1
    ) -> Array:
        """Estimate the gradient; see `asv_benchmarks.peers.peer.Peer.gradient`."""
        if mode != Mode.STANDARD_ERRORS:
            raise ValueError(f"fastscore is compared with standard errors only, not {mode!r}")
        normal = fs.Normal(loc=mu, log_scale=log_scale)
        est = fs.gradient(self.f, normal, n=n, rng=seed, threads=threads)
        parts = (est.grad, est.grad_stderr)
        return np.concatenate([part[name] for part in parts for name in ("loc", "log_scale")])
