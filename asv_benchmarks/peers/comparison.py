"""Time peers call by call in turn, and check what they return."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from asv_benchmarks.peers.peer import Peer
from asv_benchmarks.peers.problem import Array, Problem

MAX_DEVIATION = 5.0
"""Standard errors that a gradient may be away from the exact one."""


@dataclass(frozen=True)
class Row:
    """The measurement of one peer in one dimension.

    Attributes
    ----------
    d, n, threads : int
        Dimensions, samples and threads.
    peer : str
        Name of the peer.
    nanoseconds : float
        Median time per sample and dimension.
    ratio : float
        Median of the ratios of paired calls, this peer's to the first peer's.
    deviation : float
        Largest distance of the gradient from the exact one, in standard errors.
    """

    d: int
    n: int
    threads: int
    peer: str
    nanoseconds: float
    ratio: float
    deviation: float

    def as_dict(self) -> dict[str, object]:
        """Return the fields, for JSON."""
        return asdict(self)


class WrongGradientError(Exception):
    """Raised when a peer's gradient is too far from the exact one."""


def deviation(problem: Problem, n: int, estimate: Array) -> float:
    """Return the largest distance of `estimate` from the exact gradient, in standard errors."""
    distance = (estimate[: 2 * problem.d] - problem.gradient()) / problem.standard_error(n)
    return float(np.abs(distance).max())


def check(problem: Problem, n: int, peer: Peer, estimate: Array) -> float:
    """Return the deviation of a peer's gradient, or raise `WrongGradientError`."""
    found = deviation(problem, n, estimate)
    if not found <= MAX_DEVIATION:  # also when it is not a number
        raise WrongGradientError(
            f"{peer.name}, d = {problem.d}: {found:.1f} standard errors from the exact gradient"
        )
    return found


def compare(peers: Sequence[Peer], d: int, elements: int, repeats: int, threads: int) -> list[Row]:
    """Measure all peers in one dimension.

    One call of each to warm up, whose gradient is checked; then `repeats` rounds in which each
    peer is called once, so that a drift of the machine's speed meets all alike.

    Parameters
    ----------
    peers : sequence of Peer
        The first is the one the ratios refer to.
    d : int
        Number of dimensions.
    elements : int
        Samples times dimensions of one call.
    repeats : int
        Number of rounds.
    threads : int
        Number of threads for those that have a choice.

    Returns
    -------
    list of Row
        One for each peer.
    """
    problem, n = Problem.of_dimension(d), max(elements // d, 2)

    def call(peer: Peer, seed: int) -> Array:
        return peer.gradient(problem.mu, problem.log_scale, n, peer.mode, seed, threads)

    deviations = [check(problem, n, peer, call(peer, 0)) for peer in peers]
    seconds = np.empty((repeats, len(peers)))
    for i in range(repeats):
        for j, peer in enumerate(peers):
            start = time.perf_counter()
            call(peer, i + 1)
            seconds[i, j] = time.perf_counter() - start
    medians = np.median(seconds, axis=0) * 1e9 / (n * d)
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    return [
        Row(d, n, threads, peer.name, float(ns), float(ratio), found)
        for peer, ns, ratio, found in zip(peers, medians, ratios, deviations, strict=True)
    ]
