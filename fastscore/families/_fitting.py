"""Maximum likelihood from weighted samples: what the fits of families share.

No scale and no probability may fall below a floor, a fraction of its current value; all maxima
are under that constraint.  Sums go without BLAS, whose threads would change their last bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore import checks

_TINY = np.finfo(np.float64).tiny
#: Starting points, and rounds from each, for a loc that coordinates of different scales share.
_STARTS, _ROUNDS = 33, 1000


def shares_of(weights: Any, n: int) -> np.ndarray:
    """Weights of n samples, divided by their sum; equal if none are given."""
    if n == 0:
        raise ValueError("x has no samples: give at least one")
    if weights is None:
        return np.full(n, 1 / n)
    given = checks.parameter("weights", weights)
    if given.shape != (n,):
        raise ValueError(f"weights has shape {given.shape}: give one to each of the {n} samples")
    checks.require("weights", given, given >= 0, "not negative")
    largest = given.max()
    if largest == 0:
        raise ValueError("weights are all 0: give some sample a positive one")
    # Relative to the largest, their sum cannot overflow.
    relative: np.ndarray = given / largest
    return relative / relative.sum()


def moments(x: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and variance of each coordinate of samples (n, d)."""
    mean = np.einsum("n,nk->k", shares, x)
    return mean, np.einsum("n,nk->k", shares, (x - mean) ** 2)


def mean_above(
    x: np.ndarray, shares: np.ndarray, current: np.ndarray, least: float, size: int
) -> np.ndarray:
    """The mean of each coordinate, or of all if they share one of ``size`` entries.

    It stays above ``least`` times the current one, (d,).
    """
    mean = np.einsum("n,nk->k", shares, x)
    if size < len(mean):
        mean, current = mean.mean(keepdims=True), current[:1]
    fitted: np.ndarray = np.maximum(mean, least * current)
    return fitted


def weighted_median(x: np.ndarray, shares: np.ndarray) -> float:
    """Half of the weight lies on either side."""
    order = np.argsort(x)
    below = np.cumsum(shares[order])
    return float(x[order[np.searchsorted(below, 0.5 * below[-1])]])


def location_and_scale(
    mean: np.ndarray, variance: np.ndarray, floor: np.ndarray, *, shared: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The loc and scale of normals with the largest likelihood.

    Parameters
    ----------
    mean, variance : ndarray
        Of the samples, by coordinate, of shape (d,).
    floor : ndarray
        Least scale, of shape (d,), or () for one scale that all coordinates share.
    shared : bool
        Whether they share one loc.
    """
    if shared and floor.ndim:
        return _in_turns(mean, variance, floor)
    loc = mean.mean() if shared else mean
    squares = variance + (mean - loc) ** 2
    return loc, np.maximum(np.sqrt(squares if floor.ndim else squares.mean()), floor)


def _in_turns(
    mean: np.ndarray, variance: np.ndarray, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One loc and several scales depend on each other: each goes to its maximum given the other.

    The likelihood of the loc is then that of Cauchy variables, which may have several modes: of
    those that the means themselves lead to, the best is taken.
    """
    starts = np.quantile(mean, np.linspace(0, 1, min(len(mean), _STARTS)), method="nearest")
    loc = starts[:, None]
    for _ in range(_ROUNDS):
        scale = np.maximum(np.sqrt(variance + (mean - loc) ** 2), floor)
        weights = (scale.min() / scale) ** 2
        previous, loc = loc, np.sum(weights * mean, axis=1, keepdims=True)
        loc /= np.sum(weights, axis=1, keepdims=True)
        if np.all(np.abs(loc - previous) <= 1e-15 * scale.min()):
            break
    squares = variance + (mean - loc) ** 2
    scale = np.maximum(np.sqrt(squares), floor)
    best = np.argmin(np.sum(np.log(scale) + squares / scale**2 / 2, axis=1))
    return loc[best], scale[best]


def probabilities(shares: np.ndarray, current: np.ndarray, least: float) -> np.ndarray:
    """Those of the largest likelihood that are at least ``least`` times the current ones.

    Parameters
    ----------
    shares, current : ndarray
        Of each class in the samples and at present, of shape (d, K); rows sum to 1.
    """
    floor = np.where(current > 0, np.maximum(least * current, _TINY), 0.0)
    held = np.zeros(shares.shape, dtype=bool)
    while True:
        # What the classes held at their floors leave goes to the others, by their shares.
        rest = 1 - np.sum(floor, axis=1, where=held, keepdims=True)
        free = np.sum(shares, axis=1, where=~held, keepdims=True)
        fitted = np.where(held, floor, shares * (rest / np.maximum(free, _TINY)))
        short = fitted < floor
        if not short.any():
            return fitted
        held |= short
