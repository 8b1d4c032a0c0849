"""Allocation: how many samples of each proposal make up a unit, and how many units there are."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from fastscore.engine.tiles import FOLDS

#: Samples of a unit at most: shares that no unit so small meets exactly are rounded.
_LARGEST_UNIT = 1000
#: Units that a run should have at least, if its n allows that.
_UNITS = 1000
#: Samples that may form a single unit, where given counts have no common divisor.
_ONE_UNIT = 10_000


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
    return shares


def units_of_shares(shares: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """Samples of each proposal in a unit, and units: at least n samples, in given shares.

    The smallest unit that meets the shares exactly is taken, if it is small; else they are rounded
    to parts of a unit of up to 1,000 samples, each proposal getting one at least.
    """
    share = np.asarray(shares, dtype=np.float64) / np.sum(shares, dtype=np.float64)
    most = max(min(_LARGEST_UNIT, n // FOLDS), len(share))
    fractions = [Fraction(s).limit_denominator(_LARGEST_UNIT) for s in share]
    size = math.lcm(*(fraction.denominator for fraction in fractions))
    if size <= most and np.allclose([float(f) for f in fractions], share, rtol=1e-9, atol=0):
        counts = np.array([int(fraction * size) for fraction in fractions])
    else:
        size = max(min(_LARGEST_UNIT, n // _UNITS), 2 * len(share))
        counts = _rounded(share, size)
    return counts, max(1, -(-n // int(counts.sum())))


def units_of_counts(counts: np.ndarray) -> tuple[np.ndarray, int]:
    """The same of given counts; without a common divisor that makes units they are rounded."""
    divisor = math.gcd(*counts.tolist())
    if divisor >= FOLDS or counts.sum() <= _ONE_UNIT:
        return counts // divisor, divisor
    return units_of_shares(counts, int(counts.sum()))


def _rounded(share: np.ndarray, size: int) -> np.ndarray:
    """Whole numbers near ``share * size``, none of them 0, of sum ``size`` (largest remainders)."""
    counts = np.maximum(np.floor(share * size), 1).astype(int)
    left = size - int(counts.sum())
    order = np.argsort(counts - share * size)
    if left > 0:
        counts[order[:left]] += 1
    return counts
