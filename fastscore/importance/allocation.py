"""Allocation: how many samples of each proposal make up a unit, and how many units there are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.engine.tiles import FOLDS

#: Samples of a unit at most.
_LARGEST_UNIT = 1000
#: Relative errors of shares that are met, and of those that are met well enough.
_EXACT, _CLOSE = 1e-9, 0.01
#: Samples of a unit that is small however few there are.
_SMALL_UNIT = 100


def as_allocation(value: Any, count: int) -> np.ndarray:
    """Positive shares or counts, one per proposal.

    Raises
    ------
    TypeError, ValueError
        If they are not that.
    """
    try:
        shares = np.asarray(value)
        if shares.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(
            f"allocation={value!r}: give a positive number per proposal, 'pilot' or None"
        ) from None
    if shares.shape != (count,):
        raise ValueError(
            f"allocation={value!r} has shape {shares.shape}: give a number for each of the "
            f"{count} proposals"
        )
    if not (np.isfinite(shares) & (shares > 0)).all():
        raise ValueError(f"allocation={value!r}: every share must be positive and finite")
    return shares.copy()


def units_of_shares(shares: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """Samples of each proposal in a unit, and units: at least n samples, in given shares.

    The smallest unit that meets the shares exactly is taken, if it is small or n has room for ten
    of it; else the smallest that meets each to one part in a hundred, or as well as units of up to
    1,000 samples can.
    """
    if (shares == shares[0]).all():
        return np.ones(len(shares), int), -(-n // len(shares))
    share = shares / shares.sum()
    room = max(n // FOLDS, _SMALL_UNIT, len(share))
    sizes = np.arange(len(share), max(min(_LARGEST_UNIT, room), len(share)) + 1)
    counts = np.maximum(np.rint(sizes[:, None] * share), 1).astype(int)
    errors = np.abs(counts / counts.sum(axis=1, keepdims=True) / share - 1).max(axis=1)
    good = errors < _EXACT if errors.min() < _EXACT else errors < _CLOSE
    counts = counts[np.argmax(good) if good.any() else np.argmin(errors)]
    return counts, max(1, -(-n // int(counts.sum())))


def units_of_counts(counts: np.ndarray) -> tuple[np.ndarray, int]:
    """The same of given counts; many without a common divisor that makes units are rounded."""
    divisor = math.gcd(*counts.tolist())
    if divisor >= FOLDS or counts.sum() <= _SMALL_UNIT:
        return counts // divisor, divisor
    return units_of_shares(counts, int(counts.sum()))
