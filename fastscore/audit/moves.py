"""What f does when the parameters move and the random numbers stay: common random numbers.

Central differences ``(f(x(θ + h v)) − f(x(θ − h v)))/(2 h)`` of the same seed are unbiased for
those of ``E f``, whatever f is, and noisy where it jumps.  Steps are in units of the distribution:
v has ``E[(v·s)²] = 1``.  As h → 0 they become the pathwise derivative, which sees no jumps.

P. Glasserman and D. D. Yao, Some guidelines and guarantees for common random numbers, Management
Science 38 (1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastscore.audit.subject import Subject
from fastscore.families import Family

#: Steps whose differences are extrapolated, h and 2 h, and one of which no jump is met.
_STEP, _TINY = 0.1, 1e-6
#: Parameters near the end of their domain, or by which densities curve, move by less.
_SHORTER = (1.0, 0.1, 0.01)
#: Entries that are moved one by one; of more, so many random directions.
_ENTRIES, _DIRECTIONS = 40, 8
#: Samples that tell of each of them at most, and as many at which supports are compared.
_ROWS, _COMPARED = 20_000, 2000
#: Fewer samples for each entry tell nothing.
_LEAST = 200
#: How far slopes of log-densities over a step may be off the score, of its size, and parameters by
#: which x alone tells no density may move, of theirs.
_CURVED, _RELATIVE = 0.1, 0.2
_CALLS = 6


@dataclass(frozen=True)
class Move:
    """A direction of the parameters, and what happens to f along it.

    Attributes
    ----------
    label : str
        The entry, or what kind of direction.
    score : ndarray
        Scores along it at each sample, of variance 1.
    difference, rough : ndarray
        Differences extrapolated to h → 0, and those of the shorter step alone.
    path : ndarray
        Those of a tiny step.
    escaped : float
        Share of samples of p or of where it moved to that are impossible under the other.
    """

    label: str
    score: np.ndarray
    difference: np.ndarray
    rough: np.ndarray
    path: np.ndarray
    escaped: float


@dataclass(frozen=True)
class Moves:
    """Some of them.

    Attributes
    ----------
    f : ndarray
        At the samples, (rows,).
    along : sequence of Move
        Those that can be made.
    single : bool
        Whether each is that of an entry.
    """

    f: np.ndarray
    along: Sequence[Move]
    single: bool


def moves(subject: Subject, share: float, most: int) -> Moves:
    """Along each entry, or along few random directions of many.

    Parameters
    ----------
    subject : Subject
        What is moved.
    share : float
        Of the time.
    most : int
        Samples at most.
    """
    entries, calls = len(subject.chosen), subject.affordable(share) // _CALLS
    single = entries <= _ENTRIES and calls >= _LEAST * entries
    count = entries if single else int(np.clip(calls // _LEAST, 1, _DIRECTIONS))
    rows = min(max(calls // count, _LEAST // 2), _ROWS, most)
    x, scores = subject.sample(rows)
    units = np.sqrt(np.mean(scores**2, axis=0))
    # Where the score knows of no change the samples' own spread is the only unit there is.
    units = np.divide(1.0, units, out=np.full(entries, float(x.std())), where=units > 0)
    signs = np.random.default_rng(subject.seed).choice([-1.0, 1.0], (count, entries))
    directions = np.diag(units) if single else signs * units
    labels = subject.labels if single else [f"random direction {i}" for i in range(count)]
    made = (
        _move(subject, label, direction, x, np.einsum("np,p->n", scores, direction))
        for label, direction in zip(labels, directions, strict=True)
    )
    return Moves(subject.values(x), [move for move in made if move is not None], single)


def _move(
    subject: Subject, label: str, direction: np.ndarray, x: np.ndarray, along: np.ndarray
) -> Move | None:
    """The differences along a direction; None where its parameters cannot be moved."""
    size = float(np.sqrt(np.mean(along**2))) or 1.0
    for shorter in _SHORTER:
        step = shorter * _STEP
        try:
            ends = {h: _ends(subject, direction / size, h) for h in (step, 2 * step, _TINY)}
        except ValueError:  # no such parameters
            continue
        if _straight(subject.p, ends[2 * step], 2 * step, x[:_COMPARED], along / size):
            break
    else:
        return None
    short, long, tiny = (_difference(subject, pair, h, len(x)) for h, pair in ends.items())
    return Move(
        label, along / size, (4 * short - long) / 3, short, tiny,
        _escaped(subject.p, ends[step], x[:_COMPARED], subject.seed),
    )  # fmt: skip


def _ends(subject: Subject, direction: np.ndarray, h: float) -> tuple[Family, Family]:
    return subject.moved(h * direction), subject.moved(-h * direction)


def _straight(
    p: Family, ends: tuple[Family, Family], h: float, x: np.ndarray, along: np.ndarray
) -> bool:
    """Whether densities change nearly in proportion to the step."""
    above, below = ends
    if p.underflows:
        return all(
            (np.abs(q.parameters[name] - value) <= _RELATIVE * np.abs(value)).all()
            for q in ends
            for name, value in p.parameters.items()
        )
    with np.errstate(invalid="ignore"):
        off = (above.log_density(x) - below.log_density(x)) / (2 * h) - along[: len(x)]
    off = off[np.isfinite(off)]
    return not off.size or float(np.sqrt(np.mean(off**2))) < _CURVED


def _difference(subject: Subject, ends: tuple[Family, Family], h: float, rows: int) -> np.ndarray:
    above, below = (subject.values(q.drawn(rows, subject.seed)) for q in ends)
    with np.errstate(invalid="ignore"):
        return (above - below) / (2 * h)


def _escaped(p: Family, ends: tuple[Family, Family], x: np.ndarray, seed: int) -> float:
    """Share of samples of one of them that have no density under the other."""
    if p.underflows:
        return 0.0
    outside = [q.log_density(x) == -np.inf for q in ends]
    outside += [p.log_density(q.drawn(len(x), seed)) == -np.inf for q in ends]
    return float(np.mean(outside))


__all__ = ["Move", "moves"]
