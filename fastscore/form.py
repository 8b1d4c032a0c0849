"""How f sees samples: as one array, or as a named tuple with an array for each part."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Part:
    """Some coordinates, side by side.

    Attributes
    ----------
    name : str
        Of the field, such as ``arrivals``.
    first, d : int
        The first of the coordinates, and their number.
    dtype : type
        float64 or int64.
    """

    name: str
    first: int
    d: int
    dtype: type


@dataclass(frozen=True)
class Form:
    """The form of samples.

    Attributes
    ----------
    d : int
        Number of coordinates.
    dtype : type
        Theirs, if they are one array.
    parts : tuple of Part
        The fields, if they are a named tuple.
    """

    d: int
    dtype: type
    parts: tuple[Part, ...] = ()

    @property
    def record(self) -> Any:
        """The named tuple's type."""
        return _record(tuple(part.name for part in self.parts))

    def seen(self, columns: np.ndarray) -> Any:
        """Samples, eight bytes a coordinate, (n, d), as f sees them."""
        if not self.parts:
            return columns.view(self.dtype)
        return self.record(*(columns[:, p.first : p.first + p.d].view(p.dtype) for p in self.parts))

    def columns(self, x: Any) -> np.ndarray:
        """What `seen` made of samples, side by side again."""
        if not self.parts:
            return np.asarray(x)
        return np.concatenate([part.view(np.float64) for part in x], axis=1)

    def fields(self, x: Any) -> list[Any]:
        """What a user gives for each part, a tuple or a mapping.

        Raises
        ------
        TypeError
            If it has not the parts.
        """
        names = [part.name for part in self.parts]
        if isinstance(x, Mapping) and set(x) == set(names):
            return [x[name] for name in names]
        if isinstance(x, tuple) and len(x) == len(names):
            return list(x)
        raise TypeError(
            f"x={type(x).__name__}: give a tuple or mapping of samples of {', '.join(names)}"
        )

    def __str__(self) -> str:
        if not self.parts:
            return f"{self.d} {np.dtype(self.dtype)} coordinates"
        return "(" + ", ".join(f"{p.name}: {p.d} {np.dtype(p.dtype)}" for p in self.parts) + ")"


@lru_cache
def _record(names: tuple[str, ...]) -> Any:
    """One type for equal names: Numba compiles for types."""
    return namedtuple("Sample", names)


def rows_of(x: Any, which: Any) -> Any:
    """Some rows of samples as f sees them."""
    return type(x)(*(part[which] for part in x)) if isinstance(x, tuple) else x[which]


def shown(x: Any) -> str:
    """Samples as f sees them, for a message."""
    if isinstance(x, tuple):
        pairs = zip(x._fields, x, strict=True)  # type: ignore[attr-defined]
        return "(" + ", ".join(f"{name}={shown(part)}" for name, part in pairs) + ")"
    return np.array2string(x, threshold=8)
