"""Where a distribution has mass, and whether proposals reach all of it.

The support of independent coordinates is a product: of each coordinate an interval, of reals or of
integers, without some single integers.  Whether several products cover another one is a question
about all coordinates together: if one misses only class 0 of variable 1, and another only class 0
of variable 2, then both miss the point (0, 0).

Coordinates may be *tied* to each other besides, as those on a simplex are.  Ties of integers only
narrow a support.  Ties of reals change what a density is relative to: then it can only be compared
with densities under the same ties.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import accumulate
from operator import or_
from typing import Any, NamedTuple, Self

import numpy as np

from fastscore.cached import cached

#: Steps after which a search gives up: in general the question is as hard as satisfiability.
_MOST_STEPS = 100_000
#: Values of a tie that messages show.
_SHOWN = 4


class Tie(NamedTuple):
    """What coordinates from ``start`` up to ``stop`` must fulfil together, such as a total."""

    start: int
    stop: int
    law: Hashable


@dataclass(frozen=True, eq=False)
class Support:
    """A product of intervals, of reals or integers, one per coordinate.

    Attributes
    ----------
    low, high : ndarray
        Ends of the intervals, of shape (d,), infinite where there is none.  Whether the ends of an
        interval of reals belong to it makes no difference: they have no mass.
    integer : ndarray of bool
        Which coordinates hold integers, of shape (d,).
    excluded : ndarray of int64
        Integers inside their intervals without mass: rows of coordinate and value, of shape (E, 2).
    ties : frozenset of Tie
        What coordinates must fulfil together.
    """

    low: np.ndarray
    high: np.ndarray
    integer: np.ndarray
    excluded: np.ndarray
    ties: frozenset[Tie] = frozenset()

    @classmethod
    def reals(
        cls, d: int, low: Any = -np.inf, high: Any = np.inf, *, ties: Iterable[Tie] = ()
    ) -> Self:
        """Real coordinates; the ends are numbers or arrays of shape (d,)."""
        return cls._of(d, low, high, False, (), ties)

    @classmethod
    def integers(
        cls, d: int, low: Any = -np.inf, high: Any = np.inf, excluded: Any = (),
        *, ties: Iterable[Tie] = (),
    ) -> Self:  # fmt: skip
        """Integer coordinates; ``excluded`` has rows of coordinate and value."""
        return cls._of(d, low, high, True, excluded, ties)

    @classmethod
    def _of(
        cls, d: int, low: Any, high: Any, integer: bool, excluded: Any, ties: Iterable[Tie]
    ) -> Self:
        return cls(
            low=np.broadcast_to(np.asarray(low, dtype=np.float64), d),
            high=np.broadcast_to(np.asarray(high, dtype=np.float64), d),
            integer=np.broadcast_to(np.asarray(integer), d),
            excluded=np.asarray(excluded, dtype=np.int64).reshape(-1, 2),
            ties=frozenset(ties),
        )

    def times(self, other: Support) -> Support:
        """The product with the support of further coordinates."""
        return Support(
            low=np.concatenate([self.low, other.low]),
            high=np.concatenate([self.high, other.high]),
            integer=np.concatenate([self.integer, other.integer]),
            excluded=np.concatenate([self.excluded, other.excluded + np.array([self.d, 0])]),
            ties=self.ties.union(
                Tie(start + self.d, stop + self.d, law) for start, stop, law in other.ties
            ),
        )

    @property
    def d(self) -> int:
        """Number of coordinates."""
        return len(self.low)

    def compatible_with(self, other: Support) -> bool:
        """Whether densities on both are relative to the same: real coordinates have equal ties."""
        return all(
            self.integer[tie.start] and other.integer[tie.start] for tie in self.ties ^ other.ties
        )

    def holds(self, point: np.ndarray) -> np.ndarray:
        """Coordinates, (d,), at which a point is inside, without regard to ties."""
        inside = (self.low <= point) & (point <= self.high)
        inside[[k for k, value in self._pairs if point[k] == value]] = False
        return inside

    @cached
    def _pairs(self) -> frozenset[tuple[int, int]]:
        return frozenset(map(tuple, self.excluded.tolist()))

    def plainly_covers(self, other: Support) -> np.ndarray:
        """Coordinates, (d,), where this covers the other as one compares ends and exclusions."""
        covers = (self.low <= other.low) & (self.high >= other.high)
        covers &= self.integer == other.integer
        if len(self.excluded):
            covers[[k for k, _ in self._pairs - other._pairs]] = False
        return covers


@lru_cache(maxsize=64)
def all_reals(d: int) -> Support:
    """Of d coordinates; made once, so that it is recognised."""
    return Support.reals(d)


def uncovered(
    p: Iterable[Support], proposals: Sequence[Support], owners: Sequence[str], kind: str
) -> str | None:
    """Of p's supports what no proposal reaches, in words, or None if there is nothing.

    Parameters
    ----------
    p, proposals
        Of the target, of which each is asked about; and of its proposals, see `missed_by`.
    owners : sequence of str
        What each of the proposals is called.
    kind : str
        What they are called together, in the singular.
    """
    for support in p:
        point = missed_by(support, proposals)
        if point is not None:
            return f"no {kind} reaches {_missing(support, proposals, owners, point)}"
    return None


def _missing(
    p: Support, proposals: Sequence[Support], owners: Sequence[str], point: np.ndarray
) -> str:
    """A point says it where nothing is tied: else it may be none of p's, or be reached."""
    for owner, q in zip(owners, proposals, strict=True):
        if q.ties - p.ties:
            return f"all that p does: {owner} only has samples with {told(q.ties - p.ties, p.d)}"
    if not p.ties:
        return f"x = {np.array2string(point, threshold=8)}, which p does"
    free: np.ndarray = np.ones(p.d, dtype=bool)
    for tie in p.ties:
        free[tie.start : tie.stop] = False
    at = [np.flatnonzero(free & ~q.holds(point))[:1].tolist() for q in proposals]
    if at and all(at):  # then their ties do not matter
        where = sorted({k for (k,) in at})
        return ", ".join(f"x[{k}] = {point[k]}" for k in where) + ", which p does"
    return f"all that p does, samples with {told(p.ties, p.d)}"


def missed_by(p: Support, proposals: Sequence[Support]) -> np.ndarray | None:
    """A point of p's support that none of the proposals reaches, or None if there is none.

    Parameters
    ----------
    p : Support
        The target's.
    proposals : sequence of Support
        Those of its proposals, of as many coordinates.

    Returns
    -------
    ndarray or None
        Of shape (d,), int64 if all coordinates are integers.  Of reals it is inside a cell that
        all proposals miss, so that p has mass around it.  Ties are left out of account: where p has
        some the point may be none of its samples, and tied proposals count as missing it.

    Raises
    ------
    ValueError
        If so many proposals miss so many parts of single coordinates that it cannot be decided;
        or if real coordinates are tied to each other in p and not in a proposal, or in another way.

    Notes
    -----
    A value of a coordinate rules out the proposals that miss it: what is sought is a value for
    each coordinate such that all are ruled out.  A depth-first search finds it, over coordinate
    and proposals still alive.  One that plainly covers everything answers at once.
    """
    for q in proposals:
        if not p.compatible_with(q):
            raise ValueError(
                "densities of p and of a proposal cannot be compared: real coordinates are tied in "
                f"different ways, {shown(p.ties)} and {shown(q.ties)}. Take proposals of p's family"
            )
    proposals = [q for q in proposals if q.ties <= p.ties]
    open_to: np.ndarray = np.zeros(p.d, dtype=bool)
    if any(q is p for q in proposals):
        return None
    for q in proposals:
        covered = q.plainly_covers(p)
        if covered.all():
            return None
        open_to |= ~covered
    coordinates = np.flatnonzero(open_to)
    chosen = _search(list(_choices(p, proposals, coordinates)), (1 << len(proposals)) - 1)
    if chosen is None:
        return None
    point = np.array([choice[0] for choice in _choices(p, (), np.arange(p.d))])
    point[coordinates[: len(chosen)]] = chosen
    return point.astype(np.int64) if p.integer.all() else point


def shown(ties: frozenset[Tie]) -> str:
    """What is tied, and where."""
    each = (f"{_law(tie)} of {tie.start}…{tie.stop - 1}" for tie in sorted(ties, key=str))
    return ", ".join(each) or "none"


def told(ties: frozenset[Tie], d: int) -> str:
    """The first of some ties, of d coordinates in all."""
    tie = min(ties, key=lambda tie: tie[:2])
    law = {"permutation": "every item once"}.get(_law(tie), _law(tie))
    last = f"…{tie.stop - 1}" if tie.stop - tie.start > 1 else ""
    return law if tie.stop - tie.start == d else f"{law} in x[{tie.start}{last}]"


def _law(tie: Tie) -> str:
    """In words."""
    if not isinstance(tie.law, tuple):
        return str(tie.law)
    name, *values = tie.law
    return f"{name} {', '.join(map(str, values[:_SHOWN]))}{', …' * (len(values) > _SHOWN)}"


def _search(choices: list[dict[int, float]], everyone: int) -> tuple[float, ...] | None:
    """Values of the first coordinates that rule out everyone; sets are the bits of an integer.

    Parameters
    ----------
    choices : list of dict
        Of each coordinate: proposals that a value rules out -> the value.
    everyone : int
        All proposals.
    """
    # Those that the coordinates from i on can rule out at all.
    unions = (reduce(or_, choice) for choice in reversed(choices))
    removable = list(accumulate(unions, or_, initial=0))[::-1]
    seen: set[tuple[int, int]] = set()
    stack: list[tuple[int, int, tuple[float, ...]]] = [(0, everyone, ())]
    while stack:
        i, alive, chosen = stack.pop()
        if not alive:
            return chosen
        if alive & ~removable[i] or (i, alive) in seen:
            continue
        seen.add((i, alive))
        if len(seen) > _MOST_STEPS:
            raise ValueError(
                f"whether the {everyone.bit_count()} proposals together cover the support of p "
                f"could not be decided in {_MOST_STEPS} steps: add one that covers it alone, such "
                "as p itself"
            )
        left = {alive & ~ruled_out: value for ruled_out, value in choices[i].items()}
        stack += [(i + 1, rest, (*chosen, left[rest])) for rest in _smallest(left)]
    return None


def _smallest(sets: Iterable[int]) -> list[int]:
    """Those that contain no other one, the smallest last."""
    kept: list[int] = []
    for one in sorted(sets, key=int.bit_count):
        if all(other & ~one for other in kept):
            kept.append(one)
    return kept[::-1]


def _choices(
    p: Support, proposals: Sequence[Support], coordinates: np.ndarray
) -> Iterator[dict[int, float]]:
    """Of each coordinate: the proposals that miss a value of p -> one such value."""
    everyone = (p, *proposals)
    low, high, integer = (
        np.stack([getattr(support, name)[coordinates] for support in everyone], axis=1)
        for name in ("low", "high", "integer")
    )
    owner = np.repeat(np.arange(len(everyone)), [len(support.excluded) for support in everyone])
    holes = np.column_stack([np.concatenate([s.excluded for s in everyone]), owner])
    holes = holes[np.argsort(holes[:, 0], kind="stable")]
    first, last = (np.searchsorted(holes[:, 0], coordinates, side) for side in ("left", "right"))
    for i in range(len(coordinates)):
        yield _choice(low[i], high[i], integer[i], holes[first[i] : last[i], 1:])


def _choice(
    low: np.ndarray, high: np.ndarray, integer: np.ndarray, holes: np.ndarray
) -> dict[int, float]:
    """The same of one coordinate; p comes first, ``holes`` has rows of value and owner."""
    values = _integers([low, high, holes[:, 0]]) if integer[0] else _reals([low, high])
    at = values[:, None]
    inside = (low <= at) & (at <= high) & (integer == integer[0])
    if integer[0]:
        inside[np.searchsorted(values, holes[:, 0]), holes[:, 1]] = False
    allowed = inside[:, 0]
    missed = np.packbits(~inside[allowed, 1:], axis=1, bitorder="little")
    sets = [int.from_bytes(row.tobytes(), "little") for row in missed]
    # Of several values the smallest stays.
    return dict(zip(sets[::-1], values[allowed][::-1].tolist(), strict=True))


def _integers(landmarks: Sequence[np.ndarray]) -> np.ndarray:
    """Between landmarks nothing changes: they and their neighbours stand for all integers."""
    marks = np.floor(_finite(landmarks))
    return np.unique([marks - 1, marks, marks + 1])


def _reals(ends: Sequence[np.ndarray]) -> np.ndarray:
    """One value of each cell that the ends cut the line into."""
    marks = _finite(ends)
    below, above = marks[0] - max(1.0, abs(marks[0])), marks[-1] + max(1.0, abs(marks[-1]))
    return np.concatenate([[below], marks[:-1] / 2 + marks[1:] / 2, [above]])


def _finite(marks: Sequence[np.ndarray]) -> np.ndarray:
    """Finite marks, sorted; 0 if there is none."""
    joined = np.unique(np.concatenate(marks))
    joined = joined[np.isfinite(joined)]
    return joined if len(joined) else np.zeros(1)
