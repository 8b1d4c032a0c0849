"""Time peers call by call in turn, and check what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asv_benchmarks.peers.process import PeerProcess
from asv_benchmarks.peers.workloads import WORKLOADS

MAX_DEVIATION = 5.0
"""Standard errors that a gradient may be away from the exact one."""


@dataclass(frozen=True)
class Case:
    """A workload of some size, and the number of samples of a call."""

    workload: str
    size: int
    n: int

    @classmethod
    def of_elements(cls, workload: str, size: int, elements: int | None) -> Case:
        """Return the case with so many elements in a call; by default the workload's number."""
        kind = WORKLOADS[workload]
        per_sample = kind.of_size(size).elements_per_sample
        return cls(workload, size, max((elements or kind.elements) // per_sample, 2))

    @property
    def title(self) -> str:
        """What the case is."""
        return f"{self.workload}: {WORKLOADS[self.workload].title}, {self.size:,}"


@dataclass(frozen=True)
class Row:
    """The measurement of one peer in one case.

    Attributes
    ----------
    case : Case
        Workload, size and number of samples.
    threads : int
        Number of threads.
    peer : str
        Label of the peer.
    nanoseconds : float
        Median time per element: per sample and coordinate, or per sample of a single variable.
    ratio : float
        Median of the ratios of the turns of a round, this peer's to the first peer's.
    deviation : float
        Largest distance of the gradient from the exact one, in standard errors.
    startup, first_call : float
        Seconds for the process to be ready, and of the first call.
    """

    case: Case
    threads: int
    peer: str
    nanoseconds: float
    ratio: float
    deviation: float
    startup: float
    first_call: float

    def as_dict(self) -> dict[str, object]:
        """Return the fields, for JSON."""
        return asdict(self)


class WrongGradientError(Exception):
    """Raised when a peer's gradient is too far from the exact one."""


def deviation(case: Case, estimate: Sequence[float]) -> float:
    """Return the largest distance of `estimate` from the exact gradient, in standard errors."""
    workload = WORKLOADS[case.workload].of_size(case.size)
    exact = workload.gradient()
    distance = np.abs(np.array(estimate[: exact.size]) - exact)
    return float((distance / workload.standard_error(case.n)).max())


def check(case: Case, peer: PeerProcess, estimate: Sequence[float]) -> float:
    """Return the deviation of a peer's gradient, or raise `WrongGradientError`."""
    found = deviation(case, estimate)
    if not found <= MAX_DEVIATION:  # also when it is not a number
        raise WrongGradientError(
            f"{peer.peer.label}, {case.title}: {found:.1f} standard errors from the exact gradient"
        )
    return found


def compare(peers: Sequence[PeerProcess], case: Case, repeats: int) -> list[Row]:
    """Measure all peers that know the workload.

    One turn of each to warm up, whose gradient is checked; then `repeats` rounds in which each
    peer has a turn, the others being idle, so that a drift of the machine's speed meets all
    alike.

    Parameters
    ----------
    peers : sequence of PeerProcess
        The first is the one the ratios refer to.
    case : Case
        What to measure.
    repeats : int
        Number of rounds.

    Returns
    -------
    list of Row
        One for each peer that knows the workload.
    """
    peers = [peer for peer in peers if case.workload in peer.workloads]

    def turn(peer: PeerProcess, seed: int) -> dict[str, Any]:
        return peer.ask(case.workload, case.size, case.n, seed)

    firsts, deviations = [], []
    for peer in peers:
        reply = turn(peer, 0)
        firsts.append(reply["first"])
        deviations.append(check(case, peer, reply["gradient"]))
    times = np.array([[turn(peer, i + 1)["seconds"] for peer in peers] for i in range(repeats)])
    elements = case.n * WORKLOADS[case.workload].of_size(case.size).elements_per_sample
    medians = np.median(times, axis=0) * 1e9 / elements
    ratios = np.median(times / times[:, :1], axis=0)
    return [
        Row(
            case, peer.threads, peer.peer.label,
            nanoseconds=float(medians[j]), ratio=float(ratios[j]), deviation=deviations[j],
            startup=peer.startup, first_call=firsts[j],
        )
        for j, peer in enumerate(peers)
    ]  # fmt: skip
