"""What is averaged: the score estimator, or one that sums some outcomes exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastscore.checks import count, one_of


@dataclass(frozen=True)
class Estimator:
    """What is averaged over samples."""


class Score(Estimator):
    """``f s`` itself."""


class Exact(Estimator):
    """The sum over all outcomes of a small support."""


@dataclass(frozen=True)
class Enumerate(Estimator):
    """Sum some outcomes exactly, and sample the rest.

    Parameters
    ----------
    coordinates : sequence of int, optional
        Discrete coordinates to sum out in turn, each given the sampled others: local expectation
        gradients [1]_.  Of independent coordinates with finitely many values of their own; those
        of the parts of a `Joint` lie side by side.  For each of the n samples f is evaluated once
        more at every value of every one of them, ``Σ K_i`` times.  Entries of other coordinates,
        and the value, are as without.
    top : int, optional
        In place of them: how many of the most probable outcomes of a small support to sum; the
        others are sampled, n times [2]_.  It pays where these few have most of the probability:
        errors are those of the others alone.  Of equally probable ones the first are summed.

    References
    ----------
    .. [1] M. K. Titsias and M. Lázaro-Gredilla, Local expectation gradients for black box
       variational inference, NIPS 2015.
    .. [2] R. Liu, J. Regier, N. Tripuraneni, M. I. Jordan and J. McAuliffe, Rao-Blackwellized
       stochastic gradients for discrete distributions, ICML 2019.
    """

    coordinates: Sequence[int] | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        if (self.coordinates is None) == (self.top is None):
            raise TypeError("Enumerate takes either coordinates or top: give exactly one of them")
        if self.top is not None:
            count("top", self.top)


class InPlace(Estimator):
    """One whose terms stand in place of ``f s``; the score is left to be regressed on."""

    word: str


class Pathwise(InPlace):
    """``∇f(x) ∂x/∂θ``: f's derivative along the path of each sample."""

    word = "pathwise"


#: Estimators by name.
ESTIMATORS: dict[str, type[Estimator]] = {"score": Score, "exact": Exact, "pathwise": Pathwise}


def as_estimator(value: Any) -> Estimator:
    """An estimator from its name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if isinstance(value, Estimator):
        return value
    one_of("estimator", value, [*ESTIMATORS, "auto"])
    return ESTIMATORS[value]()
