"""Local expectation gradients: discrete coordinates of a product, summed out given the others.

M. K. Titsias and M. Lázaro-Gredilla, Local expectation gradients for black box variational
inference, NIPS 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastscore.engine.draw import draw_samples
from fastscore.engine.local import Coordinate
from fastscore.families import Family

#: Values of all coordinates together: f by each of them fills a column of a tile.
_MOST = 4096


def coordinates_of(chosen: Sequence[Any], d: int) -> list[int]:
    """The coordinates, checked.

    Raises
    ------
    TypeError, ValueError
        If they are no distinct coordinates.
    """
    given = np.asarray(chosen)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iu":
        raise TypeError(f"coordinates={chosen!r}: give the numbers of coordinates, such as [0, 2]")
    if given.min() < 0 or given.max() >= d or len(set(given.tolist())) < given.size:
        raise ValueError(f"coordinates={chosen!r}: give distinct numbers from 0 to {d - 1}")
    return [int(i) for i in given]


def enumerated(
    drawn: Family, chosen: list[int], owners: np.ndarray, groups: np.ndarray
) -> list[Coordinate]:
    """Values of each coordinate, and their probabilities times scores.

    Parameters
    ----------
    drawn : Family
        What tiles are drawn from.
    chosen : list of int
        Coordinates.
    owners, groups : ndarray
        The coordinate of each natural score column; labels of dependent coordinates.

    Raises
    ------
    ValueError
        If one has not finitely many values of its own, or too many.
    """
    support = drawn.support_set
    low, high = support.low[chosen], support.high[chosen]
    count = 0.0
    for i, first, last in zip(chosen, low, high, strict=True):
        if (groups == groups[i]).sum() > 1:
            raise ValueError(
                f"coordinates: {i} has no values of its own, given the others that it is tied to"
            )
        if not support.integer[i] or not np.isfinite(last - first):
            raise ValueError(f"coordinates: {i} has infinitely many values: sample it")
        count += last - first + 1
    if count > _MOST:
        raise ValueError(
            f"coordinates={chosen} have {count:.0f} values, at each of which f would be evaluated "
            f"for every sample, and {_MOST} are the most: sample some of them"
        )
    some = draw_samples(drawn, 1, 0)
    return [_coordinate(drawn, some, i, support, owners) for i in chosen]


def _coordinate(
    drawn: Family, some: np.ndarray, i: int, support: Any, owners: np.ndarray
) -> Coordinate:
    """By densities and scores with one coordinate changed, wherever the others are."""
    values = np.arange(int(support.low[i]), int(support.high[i]) + 1)
    values = np.setdiff1d(values, support.excluded[support.excluded[:, 0] == i, 1])
    x = np.repeat(some, len(values), axis=0)
    x.view(np.int64)[:, i] = values
    log_probs = drawn.log_density(x)
    probs = np.exp(log_probs - log_probs.max())
    columns = np.flatnonzero(owners == i)
    scores = drawn.natural_scores_of(x)[:, columns]
    return Coordinate(i, values, columns, (probs[:, None] / probs.sum() * scores).T.copy())


def swept(
    f: Callable[[np.ndarray], Any], coordinates: list[Coordinate]
) -> Callable[[np.ndarray], np.ndarray]:
    """A NumPy-style f of samples with each coordinate set to each of its values, (rows, T)."""

    def at(x: np.ndarray) -> np.ndarray:
        out = []
        for one in coordinates:
            changed = x.copy()
            for value in one.values:
                changed.view(np.int64)[:, one.at] = value
                out.append(np.asarray(f(changed)))
        return np.stack(out, axis=-1)

    return at


__all__ = ["coordinates_of", "enumerated", "swept"]
