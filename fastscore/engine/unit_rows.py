"""Sums over units that are given by rows, in NumPy: where they are few, or f is what costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from fastscore.engine.blocks import COUNT, HEADER, SUM_W, SUM_WW
from fastscore.engine.products import FOR_COVARIANCE, Products, add_rows, empty_rows

#: Entries of scores that are held at once.
_ENTRIES = 2**20
#: An S so small a part of what it was added up from is what rounding leaves of 0.
_ROUNDING = 1e-13


class UnitRows(NamedTuple):
    """Units of a fold: how often each came, its V (R,), and its S and F (R, P)."""

    fold: int
    counts: np.ndarray
    v: np.ndarray
    s: np.ndarray
    f: np.ndarray


def pieces(count: int, entries: int) -> Iterator[slice]:
    """Cut so many rows of so many entries into what is held at once."""
    step = max(1, _ENTRIES // entries)
    return (slice(start, start + step) for start in range(0, count, step))


def without_rounding(s: np.ndarray, size: np.ndarray) -> np.ndarray:
    """S, but 0 where rounding errors of terms of some size are all there is.

    A regression on them would give any slope, and they need not have the mean 0.
    """
    return np.where(np.abs(s) > _ROUNDING * size, s, 0.0)


def sums_of_rows(rows: Iterable[UnitRows], folds: int, size: int) -> np.ndarray:
    """Sums by fold, as `Moments` have them."""
    sums = np.zeros((folds, HEADER + 5 * size))
    for fold, counts, v, s, f in rows:
        header, out = sums[fold], sums[fold, HEADER:].reshape(5, size)
        header[COUNT] += counts.sum()
        header[SUM_W] += counts @ v
        header[SUM_WW] += counts @ v**2
        for sum_, term in zip(out, (s, f, s * s, f * s, f * f), strict=True):
            sum_ += counts @ term
    return sums


def products_of_rows(rows: Iterable[UnitRows], folds: int, size: int) -> Products:
    """Products of S and F by fold."""
    sums = empty_rows(folds, size)
    for fold, counts, _, s, f in rows:
        add_rows(sums[fold], counts, s, f)
    return Products(sums, size, FOR_COVARIANCE)
