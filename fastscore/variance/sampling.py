"""How samples are drawn: independently, or so that they belie each other's errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastscore.checks import count, one_of
from fastscore.engine.distinct import LARGEST


@dataclass(frozen=True)
class Sampling:
    """A way to draw samples; what it is called."""

    @property
    def word(self) -> str:
        """Its name in messages."""
        return next(word for word, kind in WORDS.items() if kind is type(self))


class Independent(Sampling):
    """Independent samples of p."""


class Counts(Sampling):
    """The same, by how often each outcome of a small support came."""


class Antithetic(Sampling):
    """Pairs: each sample and its mirror image about the centre of a symmetric family."""


class Orthogonal(Sampling):
    """Sets of d Gaussian samples in orthogonal directions from the mean."""


@dataclass(frozen=True)
class Stratified(Sampling):
    """Latin hypercubes: sets of samples, one in each stratum of every coordinate.

    Parameters
    ----------
    strata : int
        Strata of a coordinate, of equal probability, and samples of a set: a power of two from 2
        to 256.
    """

    strata: int = 16

    def __post_init__(self) -> None:
        if count("strata", self.strata) not in {2**i for i in range(1, 9)}:
            raise ValueError(f"strata={self.strata!r}: give a power of two from 2 to 256")


@dataclass(frozen=True)
class Sobol(Sampling):
    """Sobol' points: replicates, each scrambled on its own.

    Of a smooth f in few dimensions the error falls nearly as 1/n.  Where f jumps, or many
    coordinates matter at once, little is gained, though nothing lost.

    Parameters
    ----------
    replicates : int
        Independent scramblings, at least 8, from which standard errors come, with so many degrees
        of freedom less one.  n is rounded up to a power of two, at least 16, in each: ``est.n``
        says what it became.  More replicates make better error bars and baselines, fewer a smaller
        error.

    Notes
    -----
    For families whose samplers invert one uniform for each value: `Normal` and its relatives,
    `Exponential`, `Laplace`, `Logistic`, `Gumbel`, `Cauchy`, `Uniform`, `Weibull`, `Pareto`,
    `Kumaraswamy`, `Geometric`, `Bernoulli`; `Joint` ones of them, and what `Transformed`, `Shared`
    or `Fixed` make of them.  SciPy's direction numbers reach 21,201 coordinates.  A replicate is
    scrambled by random linear maps of its bits and a shift [1]_: every point is uniform, and every
    estimate unbiased.  Baselines are regressed on replicates, not samples.  Replicates of such
    linear scrambling are far from normal for a smooth f of few coordinates: most are far more
    accurate than the rest, and intervals cover less than they say (tests/long/coverage_results.json
    has how much).

    References
    ----------
    .. [1] J. Matoušek, On the L2-discrepancy for anchored boxes, Journal of Complexity 14 (1998).
    """

    replicates: int = 16

    def __post_init__(self) -> None:
        if count("replicates", self.replicates) < 8:
            raise ValueError(
                f"replicates={self.replicates!r}: standard errors come from independent "
                "scramblings, give at least 8"
            )


@dataclass(frozen=True)
class WithoutReplacement(Sampling):
    """Sets of distinct outcomes of a small support, drawn from p without replacement.

    Parameters
    ----------
    size : int
        Outcomes of a set, up to 12, and fewer than there are; n is rounded up to whole sets.

    Notes
    -----
    An outcome of a set is weighed by its chance to have been drawn first (Murthy 1957; Kool, van
    Hoof and Welling, Estimating gradients for discrete random variables by sampling without
    replacement, ICLR 2020): unbiased, and a set is worth at least as much as its size in
    independent samples.  It is worth more the more these would repeat each other: where few
    outcomes have most of the probability, or a set is a good part of all; next to nothing more
    among many outcomes of like probability.  Drawing a set takes a pass over all outcomes, but
    where n exceeds the number of sets there are, sets are counted, and n costs nothing.
    """

    size: int

    def __post_init__(self) -> None:
        if count("size", self.size) > LARGEST:
            raise ValueError(
                f"size={self.size!r}: give at most {LARGEST}, since the weights of a set take "
                "2**size steps"
            )


#: Kinds by name; the last asks for a size.
WORDS: dict[str, type[Sampling]] = {
    "iid": Independent,
    "counts": Counts,
    "antithetic": Antithetic,
    "stratified": Stratified,
    "orthogonal": Orthogonal,
    "sobol": Sobol,
    "without replacement": WithoutReplacement,
}


def as_sampling(value: Any) -> Sampling:
    """A way to draw samples from its name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if isinstance(value, Sampling):
        return value
    words = [word for word, kind in WORDS.items() if kind is not WithoutReplacement]
    if isinstance(value, str) and value == "without replacement":
        raise ValueError(f"sampling={value!r}: say how many outcomes, fs.WithoutReplacement(size)")
    one_of("sampling", value, words)
    return WORDS[value]()
