"""How far to trust a standard error: the error of it, which heavy tails make large."""

from __future__ import annotations

import numpy as np

from fastscore.engine.moments import Moments
from fastscore.variance.baselines import Solution

#: Where the error of a standard error is more than this, and twice that of normal terms, intervals
#: may be too short: terms have an excess kurtosis of n/50 or more, and as a rule are skewed.
_HEAVY = 0.07
#: A variance so small a part of the mean squares is rounding.
_ROUNDING = 1e-12


def heavy(errors: np.ndarray, dof: float) -> np.ndarray:
    """Which relative errors of standard errors are those of heavy tails."""
    return np.asarray(errors > max(_HEAVY, np.sqrt(2 / dof)))


def error_of_stderr(moments: Moments, solution: Solution, chosen: np.ndarray) -> np.ndarray:
    """Relative standard errors of standard errors, by the spread over folds; NaN if not known.

    The variance of ``F − b S`` is estimated in each fold for itself: half of the relative error of
    their mean is that of its root.  Of normal terms it is ``1/√(2 n)``.
    """
    folds, units = len(moments.sums), moments.units[:, None]
    b = solution.coefficients
    if folds < 3 or b.shape != (folds, chosen.size) or solution.controls is not None:
        return np.full(chosen.size, np.nan)
    s, f, ss, fs, ff = np.moveaxis(moments.scores[:, :, chosen], 1, 0)
    grad = (f - b * s).sum(axis=0) / moments.n
    # Squares about the gradient, summed over each fold, then less what is expected of its size.
    squares = ff - 2 * b * fs + b**2 * ss - 2 * grad * (f - b * s) + units * grad**2
    total = squares.sum(axis=0)
    spread = np.sum((squares - units / moments.n * total) ** 2, axis=0)
    spread /= 1 - np.sum((units / moments.n) ** 2)
    out = np.full(chosen.size, np.nan)
    left = total > _ROUNDING * (ff + b**2 * ss).sum(axis=0)
    np.divide(np.sqrt(spread), 2 * total, out=out, where=left)
    return out
