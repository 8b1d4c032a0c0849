"""Time the methods of all peers in turn, and judge what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asv_benchmarks.peers.comparison import WrongGradientError
from asv_benchmarks.peers.process import PeerProcess
from asv_benchmarks.peers.variance.problems import PROBLEMS, Array

#: Standard errors that a mean, and a variance, may be away from the exact or the reported one.
MAX_DEVIATION = 5.0
#: A variance so small a part of the leave-one-out mean's is rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Measured:
    """One method at one problem.

    Attributes
    ----------
    problem, method : str
        Which.
    d, n, threads : int
        Dimensions, samples of a call, threads.
    ours : bool
        Whether it is fastscore's.
    seconds : list of float
        Of a call, in each round.
    variance : list of float
        Of each entry of the gradient of a call: exact for the peers, the mean of the squared
        standard errors for fastscore.
    spread : float
        The variance between calls over that, summed over entries.
    calls : int
        How many of them.
    """

    problem: str
    method: str
    d: int
    n: int
    threads: int
    ours: bool
    seconds: list[float]
    variance: list[float]
    spread: float
    calls: int

    @property
    def work(self) -> float:
        """The sum of the variances, times the median of the seconds."""
        return float(np.sum(self.variance) * np.median(self.seconds))

    def gain(self, peer: Measured) -> tuple[float, float]:
        """How many times the work of a peer: by the sum of variances, and of the worst entry.

        Times are compared round by round.
        """
        faster = np.median(np.array(peer.seconds) / np.array(self.seconds))
        theirs, own = np.array(peer.variance), np.array(self.variance)
        own = np.where(own > ROUNDING * theirs, own, 0.0)
        with np.errstate(divide="ignore"):
            total, worst = theirs.sum() / own.sum(), (theirs / own).min()
        return float(faster * total), float(faster * worst)

    def as_dict(self) -> dict[str, object]:
        """Return the fields, for JSON."""
        return asdict(self)


class Refusals(dict[tuple[str, str], list[str]]):
    """Where methods do not go, by method and reason."""

    def add(self, method: str, reason: str, where: str) -> None:
        """Note one."""
        self.setdefault((method, reason), []).append(where)


def compare(
    peers: Sequence[PeerProcess], problem: str, d: int, rounds: int, refusals: Refusals
) -> list[Measured]:
    """All methods at one problem, in rounds: in each, one has a turn after the other.

    Methods that are not there, or refuse the problem, are left out with their reason.
    """
    given, where = PROBLEMS[problem], f"{problem}, d = {d}"
    if given.variance(d).min() <= 0:
        refusals.add("any", "the leave-one-out mean leaves no variance", where)
        return []
    methods = [(peer, method) for peer in peers for method in peer.workloads]
    answers: dict[tuple[PeerProcess, str], list[dict[str, Any]]] = {each: [] for each in methods}
    for i in range(rounds):
        for peer, method in list(answers):
            reply = peer.asked(method=method, problem=problem, d=d, seed=1000 * i)
            if "unavailable" in reply:
                del answers[peer, method]
                refusals.add(method, reply["unavailable"], where)
            else:
                answers[peer, method].append(reply)
    found = []
    for (peer, method), replies in answers.items():
        ours = peer.peer.name == "fastscore"
        calls = np.array([gradient for reply in replies for gradient in reply["gradients"]])
        variance, spread = judged(problem, d, method, calls)
        found.append(
            Measured(
                problem, method, d, given.samples(d), peer.threads, ours,
                [reply["seconds"] for reply in replies], variance.tolist(), spread, len(calls),
            )
        )  # fmt: skip
    return found


def judged(problem: str, d: int, method: str, calls: Array) -> tuple[Array, float]:
    """The variance of each entry of a call, and the spread of calls over it.

    Raises
    ------
    WrongGradientError
        If the mean is away from the exact gradient, or the spread from the variance.
    """
    given = PROBLEMS[problem]
    exact, theirs = given.gradient(d), given.variance(d) / given.samples(d)
    gradients, stderrs = calls[:, : exact.size], calls[:, exact.size :]
    variance = np.mean(stderrs**2, axis=0) if stderrs.size else theirs
    seen = gradients.var(axis=0, ddof=1)
    rounding = ROUNDING * theirs
    off = np.abs(gradients.mean(axis=0) - exact)
    off /= np.sqrt((np.maximum(variance, seen) + rounding) / len(calls))
    spread = (seen + rounding).sum() / (variance + rounding).sum()
    doubt = abs(spread - 1) / np.sqrt(2 / (len(calls) - 1))  # entries may go together
    if not (off.max() < MAX_DEVIATION and doubt < MAX_DEVIATION):
        raise WrongGradientError(
            f"{problem}, d = {d}, {method}: {off.max():.1f} standard errors from the exact "
            f"gradient, a variance between calls {spread:.2f} times the stated one"
        )
    return variance, float(spread)
