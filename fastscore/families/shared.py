"""A distribution of which some parameters are one and the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from fastscore.families._family import Family, Source
from fastscore.families._moving import require_parameter
from fastscore.families._wrapped import Wrapped, plain_part


class Shared(Wrapped):
    """A distribution whose parameters are tied: several are one, whose score is their sum.

    Parameters
    ----------
    p : Family
        The distribution.
    **ties : iterable of str
        For each new name the parameters of p that it stands for, of the same shape and value; for
        names that are no identifiers, as those of a `Joint`, pass a mapping with ``**``.

    Raises
    ------
    TypeError, ValueError
        If p is no distribution, a name is none of its parameters or is tied twice, or tied
        parameters differ.

    Examples
    --------
    >>> parts = fs.Joint(a=fs.Normal(0.0, 1.0), b=fs.Normal(0.0, 2.0))
    >>> p = fs.Shared(parts, loc=("a.loc", "b.loc"))
    >>> list(p.parameters)
    ['loc', 'a.scale', 'b.scale']
    """

    def __init__(self, p: Family, **ties: Iterable[str]) -> None:
        self._wrap(plain_part("Shared", "p", p))
        self._ties = {new: _names(new, old) for new, old in ties.items()}
        #: Old name -> new name.
        self._renamed = self._renaming()
        parameters: dict[str, np.ndarray] = {}
        starts: dict[str, int] = {}
        entries, size = [], 0
        #: New name -> one of the old ones.
        self._old: dict[str, str] = {}
        for name, value in p.parameters.items():
            new = self._renamed.get(name, name)
            if new not in parameters:
                parameters[new], starts[new], self._old[new] = value, size, name
                size += p.free(name)
            elif not np.array_equal(parameters[new], value):
                raise ValueError(
                    f"{new}: {self._old[new]} = {parameters[new]} and {name} = {value} differ: "
                    "tied parameters must be equal"
                )
            entries.append(starts[new] + np.arange(p.free(name)))
        self.parameters: Mapping[str, np.ndarray] = MappingProxyType(parameters)
        self.constants = p.constants
        self._entries, self.size = np.concatenate(entries), size
        self.index = self._entries[p.index]
        self.sample_kernel, self.score_kernel = p.sample_kernel, p.score_kernel
        self.log_probs_kernel = p.log_probs_kernel

    def _renaming(self) -> dict[str, str]:
        renamed: dict[str, str] = {}
        for new, names in self._ties.items():
            for name in names:
                require_parameter(new, name, self.inner)
                if name in renamed:
                    raise ValueError(f"{new}: {name!r} is already tied as {renamed[name]!r}")
                renamed[name] = new
        for new in self._ties:
            if new in self.inner.parameters and renamed.get(new) != new:
                raise ValueError(f"{new!r} is a parameter of {self.inner!r}: choose another name")
        return renamed

    @property
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        packed: np.ndarray = self.inner.packed
        return packed

    @property
    def source(self) -> Source:
        """The same ties, of the source."""
        source = self.inner.source
        if source.family is self.inner:
            return Source(self)
        tied = type(self)(source.family, **self._ties)
        return replace(source, family=tied)

    def free(self, name: str) -> int:
        """Number of free entries of a parameter."""
        return self.inner.free(self._old[name])

    def shaped(self, name: str, values: np.ndarray, *, scaled: bool = True) -> np.ndarray:
        """Derivatives by the free entries of a parameter, in its shape."""
        return self.inner.shaped(self._old[name], values, scaled=scaled)

    def fisher(self) -> Any:
        """Fisher information, (P, P): that of the tied ones, summed."""
        full = self.inner.fisher()
        ties = np.zeros((self.size, self.inner.size))
        ties[self._entries, np.arange(self.inner.size)] = 1.0
        return ties @ (full @ ties.T)

    def _with(self, given: Mapping[str, Any]) -> Self:
        old = {name: self._renamed.get(name, name) for name in self.inner.parameters}
        changed = {name: given[new] for name, new in old.items()}
        constants = {name: given[name] for name in self.constants}
        return type(self)(self.inner.replace(**changed, **constants), **self._ties)

    def __reduce__(self) -> tuple[Any, ...]:
        return _tied, (self.inner, self._ties)

    def __repr__(self) -> str:
        ties = ", ".join(f"{new}={list(old)!r}" for new, old in self._ties.items())
        return f"Shared({self.inner!r}, {ties})"


def _names(new: str, old: Any) -> tuple[str, ...]:
    names = (old,) if isinstance(old, str) else tuple(old)
    if len(set(names)) < 2:
        raise ValueError(f"{new}={old!r}: give the names of at least two parameters")
    return names


def _tied(p: Family, ties: Mapping[str, Iterable[str]]) -> Shared:
    return Shared(p, **ties)


__all__ = ["Shared"]
