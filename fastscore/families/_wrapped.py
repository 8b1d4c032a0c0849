"""What families have in common that are made of others, or give one other parameters."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.families._family import Family, Source
from fastscore.families._path import Path
from fastscore.families._support import Support
from fastscore.form import Form


class Wrapped(Family):
    """The distribution `inner`, under other parameters."""

    inner: Family

    def _wrap(self, p: Any) -> None:
        """Take a distribution's samples."""
        if not isinstance(p, Family):
            raise TypeError(f"p={p!r} is not a distribution: give one, such as fs.Normal(…)")
        self.inner = p
        self.d, self.dtype, self.moving = p.d, p.dtype, p.moving
        self.fisher_estimated = p.fisher_estimated

    @cached
    def form(self) -> Form:
        """How f sees samples."""
        return self.inner.form

    @property
    def source(self) -> Source:
        """What a run without proposals draws from."""
        return self.inner.source

    @property
    def words(self) -> int | None:
        """Words of a sample."""
        return self.inner.words

    def _as_samples(self, x: Any) -> np.ndarray:
        return self.inner._as_samples(x)

    def log_density(self, samples: np.ndarray) -> np.ndarray:
        """Log-density of samples (n, d) of its type."""
        return self.inner.log_density(samples)

    def require_score(self) -> None:
        """Raise a ValueError where the score does not exist."""
        self.inner.require_score()

    @property
    def centre(self) -> np.ndarray | None:
        """About what it is symmetric."""
        return self.inner.centre

    @property
    def spread(self) -> np.ndarray | None:
        """Standard deviations, if it is Gaussian."""
        return self.inner.spread

    @property
    def own_path(self) -> Path:
        """How its own tiles move."""
        return self.inner.own_path

    @property
    def path(self) -> Path:
        """How what f sees moves."""
        return self.inner.path

    @property
    def underflows(self) -> bool:
        """Whether samples may underflow."""
        return self.inner.underflows

    @property
    def owners(self) -> np.ndarray:
        """The coordinate whose distribution each natural score column is by."""
        return self.inner.owners

    @property
    def mean(self) -> Any:
        """Expectation of each coordinate."""
        return self.inner.mean

    @property
    def variance(self) -> Any:
        """Variance of each coordinate."""
        return self.inner.variance

    def entropy(self) -> float:
        """``−E[log p(x)]`` in nats."""
        return self.inner.entropy()

    def support(self, most: int) -> np.ndarray:
        """All outcomes, of shape (M, d)."""
        return self.inner.support(most)

    @property
    def support_set(self) -> Support:
        """Where the probability is not 0."""
        return self.inner.support_set

    @property
    def supports(self) -> tuple[Support, ...]:
        """Sets whose union has all the probability."""
        return self.inner.supports


class Composite(Family):
    """A distribution made of others, whose parameters are its own."""

    @abstractmethod
    def _of(self, name: str) -> tuple[Family, str]:
        """The one that a parameter belongs to, and its name there."""

    def free(self, name: str) -> int:
        """Number of free entries of a parameter."""
        part, own = self._of(name)
        return part.free(own)

    def shaped(self, name: str, values: np.ndarray, *, scaled: bool = True) -> np.ndarray:
        """Derivatives by the free entries of a parameter, in its shape."""
        part, own = self._of(name)
        return part.shaped(own, values, scaled=scaled)


def plain_part(owner: str, name: str, p: Any) -> Family:
    """A distribution with all its parameters, as part of another.

    Raises
    ------
    TypeError
        If it is none, or holds parameters fixed.
    """
    if not isinstance(p, Family):
        raise TypeError(f"{name}={p!r} is not a distribution: give one, such as fs.Normal(…)")
    if p.whole is not p:
        raise TypeError(
            f"{name}={p!r}: hold parameters of the {owner} fixed, fs.Fixed(fs.{owner}(…), …), not "
            "of its parts"
        )
    return p
