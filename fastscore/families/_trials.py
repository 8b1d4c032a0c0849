"""Counts of successes among so many trials: what families of them share."""

from __future__ import annotations

import math
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.families._family import Family

#: Trials beyond which samples would not be exact as floats.
_MOST = 2**50
#: Outcomes beyond which their number is no float.
_MANY = 10**300


class Trials(Family):
    """What they share: numbers of trials, which are constants, and finitely many outcomes."""

    def _set_trials(self, total_count: Any) -> None:
        """Validate and store them; before the parameters, which may have their shape."""
        self.constants = MappingProxyType({"total_count": trials_of(total_count)})

    @property
    def _trials(self) -> np.ndarray:
        """As floats, (d,)."""
        return np.broadcast_to(self.constants["total_count"].ravel(), self.d).astype(np.float64)

    def support(self, most: int) -> np.ndarray:
        """All ``Π (n + 1)`` outcomes, in rows."""
        counts = [int(n) + 1 for n in self._trials]
        require_few(self, math.prod(counts), most)
        return np.indices(counts, dtype=np.int64).reshape(self.d, -1).T


def trials_of(total_count: Any) -> np.ndarray:
    """Numbers of trials, validated, of int64."""
    given = checks.parameter("total_count", total_count)
    whole = (given == np.floor(given)) & (given >= 0) & (given <= _MOST)
    checks.require("total_count", given, whole, "an integer from 0 to 2**50")
    trials = given.astype(np.int64)
    trials.flags.writeable = False
    return trials


def require_few(p: Family, count: int, most: int) -> None:
    """Raise a ValueError if p has more outcomes than ``most``."""
    if count > most:
        shown = f"{count:.6g}" if count <= _MANY else "more than 1e+300"
        raise ValueError(f"{type(p).__name__} of d = {p.d} has {shown} outcomes, of {most} at most")


def sums(total: int, parts: int) -> np.ndarray:
    """All ways to write a total as a sum of so many counts: parts − 1 bars among the units."""
    bars = np.array(list(combinations(range(total + parts - 1), parts - 1)), dtype=np.int64)
    padded = np.pad(bars + 1, ((0, 0), (1, 1)), constant_values=(0, total + parts))
    return (np.diff(padded, axis=1) - 1)[::-1]


__all__ = ["Trials", "require_few", "sums", "trials_of"]
