"""What is averaged: the score estimator, or one that sums some outcomes exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fastscore.checks import count, one_of


@dataclass(frozen=True)
class Estimator:
    """What is averaged over samples."""

    #: What an estimate calls it.
    word: ClassVar[str] = "score"


class Score(Estimator):
    """``f s`` itself."""


class Exact(Estimator):
    """The sum over all outcomes of a small support."""

    word = "exact"


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

    word = "enumerate"
    coordinates: Sequence[int] | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        if (self.coordinates is None) == (self.top is None):
            raise TypeError("Enumerate takes either coordinates or top: give exactly one of them")
        if self.top is not None:
            count("top", self.top)


class InPlace(Estimator):
    """One whose terms stand in place of ``f s``; the score is left to be regressed on."""


class Pathwise(InPlace):
    """``∇f(x) ∂x/∂θ``: f's derivative along the path of each sample."""

    word = "pathwise"


class Measure(InPlace):
    """``c (f(x⁺) − f(x⁻))`` of each entry, from ``∂p/∂θ = c (p⁺ − p⁻)`` of its coordinate.

    f may jump.  It is called once or twice more for each entry in ``wrt``, and what it makes of
    other coordinates cancels.  Such a difference has little in common with the score of its own
    entry, but often much with those of others, which ``baseline="matrix"`` takes off: of a
    quadratic f of zeros and ones, or counts of a Poisson, all.  See [1]_, [2]_.

    References
    ----------
    .. [1] G. Ch. Pflug, Optimization of Stochastic Models, Kluwer 1996.
    .. [2] S. Mohamed, M. Rosca, M. Figurnov and A. Mnih, Monte Carlo gradient estimation in
       machine learning, JMLR 21 (2020).
    """

    word = "measure"


class Arm(InPlace):
    """``(f(b̃) − f(b)) (u − ½)`` of zeros and ones b, from the u behind them: see [1]_.

    All coordinates change at once, and f is called once more; a constant in f cancels.

    References
    ----------
    .. [1] M. Yin and M. Zhou, ARM: augment-REINFORCE-merge gradient for stochastic binary
       networks, ICLR 2019.
    """

    word = "arm"


class Disarm(InPlace):
    """The same given b and b̃, averaged over u, which never hurts: see [1]_, [2]_.

    References
    ----------
    .. [1] Z. Dong, A. Mnih and G. Tucker, DisARM: an antithetic gradient estimator for binary
       latent variables, NeurIPS 2020.
    .. [2] M. Yin, N. Ho, B. Yan, X. Qian and M. Zhou, Probabilistic best subset selection via
       gradient-based optimization, arXiv:2006.06448 (as U2G).
    """

    word = "disarm"


#: Estimators by name.
ESTIMATORS: dict[str, type[Estimator]] = {
    "score": Score, "exact": Exact, "pathwise": Pathwise, "measure": Measure, "arm": Arm,
    "disarm": Disarm,
}  # fmt: skip


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
