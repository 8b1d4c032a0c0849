"""A distribution of which some parameters are held fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from fastscore.families._family import Family
from fastscore.families._moving import require_parameter
from fastscore.families._wrapped import Wrapped


class Fixed(Wrapped):
    """A distribution that is differentiated by some of its parameters only.

    ``fs.gradient(f, fs.Fixed(p, "scale"))`` is ``fs.gradient(f, p, wrt=…)`` with all others.

    Parameters
    ----------
    p : Family
        The distribution.
    names : str or iterable of str
        Parameters that are constants.

    Raises
    ------
    TypeError, ValueError
        If p is no distribution, a name is none of its parameters, or none is left.
    """

    def __init__(self, p: Family, names: str | Iterable[str]) -> None:
        self._wrap(p)
        self._names = (names,) if isinstance(names, str) else tuple(names)
        for name in self._names:
            require_parameter("names", name, p)
        free = {name: value for name, value in p.parameters.items() if name not in self._names}
        if not free:
            raise ValueError(f"names={names!r} are all parameters of {p!r}: leave one free")
        held = {name: p.parameters[name] for name in self._names}
        self.parameters: Mapping[str, np.ndarray] = MappingProxyType(free)
        self.constants: Mapping[str, Any] = MappingProxyType({**p.constants, **held})
        chosen = [np.full(p.free(name), name in free) for name in p.parameters]
        self._entries = np.flatnonzero(np.concatenate(chosen))
        self.size = len(self._entries)

    @property
    def whole(self) -> Family:
        """The distribution with all its parameters, whose kernels run."""
        return self.inner.whole

    def free(self, name: str) -> int:
        """Number of free entries of a parameter."""
        return self.inner.free(name)

    def shaped(self, name: str, values: np.ndarray, *, scaled: bool = True) -> np.ndarray:
        """Derivatives by the free entries of a parameter, in its shape."""
        return self.inner.shaped(name, values, scaled=scaled)

    def scores_of(self, samples: np.ndarray) -> np.ndarray:
        """Scores of samples (n, d) of its type, (n, P)."""
        return self.inner.scores_of(samples)[:, self._entries]

    def fisher(self) -> Any:
        """Fisher information, (P, P), of the free entries."""
        return self.inner.fisher()[np.ix_(self._entries, self._entries)]

    def _with(self, given: Mapping[str, Any]) -> Self:
        return type(self)(self.inner.replace(**given), self._names)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.inner, self._names)

    def __repr__(self) -> str:
        return f"Fixed({self.inner!r}, {list(self._names)!r})"


__all__ = ["Fixed"]
