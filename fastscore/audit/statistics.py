"""Levels of tests that few clean audits fail, and means with their errors."""

from __future__ import annotations

import numpy as np

#: Chance that any of the tests of one kind fails where nothing is wrong.
_LEVEL = 1e-6


def critical(tests: int) -> float:
    """Standard errors that the largest of several means stays within (Bonferroni)."""
    from scipy.special import ndtri

    return float(-ndtri(_LEVEL / (2 * max(tests, 1))))


def mean_and_error(terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over rows, and their standard errors."""
    return terms.mean(axis=0), terms.std(axis=0, ddof=1) / np.sqrt(len(terms))


def standardized(mean: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Means in standard errors: 0 where both are, infinite where only the error is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = mean / error
    return np.asarray(np.where(mean == 0, 0.0, z))


__all__ = ["critical", "mean_and_error", "standardized"]
