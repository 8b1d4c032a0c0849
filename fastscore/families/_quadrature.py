"""Integrals over intervals: constants and moments of von Mises' and truncated normal densities.

What must not cancel is integrated as one positive function: a variance is the integral of squares.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

_PANELS, _NODES = 4, 16
#: Log-densities that fall by so much more than their maximum end a range: of an integral, 4e-18.
_FALL = 40.0


@cache
def _rule() -> tuple[np.ndarray, np.ndarray]:
    """Points of [0, 1] and their weights: Gauss' and Legendre's, in equal panels."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    points = (np.arange(_PANELS)[:, None] + (1 + x) / 2) / _PANELS
    return points.ravel(), np.tile(w / (2 * _PANELS), _PANELS)


def rule(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in intervals, (N, d), and their weights.

    Of functions like ``exp(−t)`` and ``exp(−t²)``, times powers, integrals are right to 1e-15 as
    far as they fall by ``exp(−_FALL)``.
    """
    points, weights = _rule()
    return low + np.multiply.outer(points, high - low), np.multiply.outer(weights, high - low)


def circular(k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of ``exp(k (cos t − 1))``, t from 0 to π or as far as there is mass to speak of.

    Points t, their probabilities, ``1 − cos t``, each (N, d), and the integral.
    """
    t, weight = rule(0 * k, circular_reach(k))
    below = 2 * np.sin(t / 2) ** 2
    weight = weight * np.exp(-k * below)
    total = weight.sum(axis=0)
    return t, weight / total, below, total


def circular_reach(k: np.ndarray) -> np.ndarray:
    """Where ``k (1 − cos t)`` is `_FALL`, or π."""
    return 2 * np.arcsin(np.sqrt(np.minimum(_FALL / 2 / k, 1)))


def truncated(slope: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[Any, ...]:
    """Of ``exp(−w/2)``, w being ``v (v + 2 slope)``, v from −low to high, with the mode at 0.

    The integral, the means of v and of w, and both variances and the covariance.
    """
    below, above = (np.minimum(width, _reach(np.abs(slope))) for width in (low, high))
    points, weights = np.hstack([rule(-below, 0 * below), rule(0 * above, above)])
    twice = points * (points + 2 * slope)
    share = weights * np.exp(-0.5 * twice)
    total = share.sum(axis=0)
    share /= total
    first, second = np.sum(share * points, axis=0), np.sum(share * twice, axis=0)
    v, w = points - first, twice - second
    squares = [np.sum(share * a * b, axis=0) for a, b in ((v, v), (w, w), (v, w))]
    return total, first, second, squares


def _reach(slope: np.ndarray) -> np.ndarray:
    """Where ``t²/2 + slope t`` is `_FALL`; the slope is not negative."""
    return 2 * _FALL / (slope + np.hypot(slope, math.sqrt(2 * _FALL)))


__all__ = ["circular", "circular_reach", "rule", "truncated"]
