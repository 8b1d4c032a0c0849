"""A derivative of f against central differences of it, at a few samples.

What is at stake is a wrong formula.  Kinks and jumps at single points are none, and where f and
its derivative are both flat nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastscore.families._support import Support

#: Samples that are looked at, and directions at most.
SAMPLES, _DIRECTIONS = 32, 16
_STEP, _RELATIVE, _DOUBT = 1e-5, 1e-3, 10
_FEWEST = 3


class WrongDerivative(ValueError):
    """A derivative that differences of f contradict."""


def check_derivative(
    x: np.ndarray, slopes: np.ndarray, support: Support, f: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Refuse a derivative that is not that of f at most samples.

    Parameters
    ----------
    x, slopes : ndarray of shape (n, d)
        Samples, and the derivative of f there.
    support : Support
        Of the distribution: f is evaluated inside.
    f : callable
        f of samples, (rows,), not finite where it cannot be evaluated.

    Raises
    ------
    ValueError
        With what both say at a sample.
    """
    n, d = x.shape
    steps = _steps(x, support)
    named = d <= _DIRECTIONS
    directions = np.eye(d) if named else np.random.default_rng(0).choice([-1.0, 1.0], (4, d))
    shift = directions[:, None] * steps
    with np.errstate(all="ignore"):
        moved = np.concatenate([x + by * shift for by in (1.0, -1.0, 0.5, -0.5)])
        values = f(moved.reshape(-1, d)).reshape(4, len(directions), n)
        given = np.einsum("mnd,nd->mn", shift, slopes)
        whole, half = (values[0] - values[1]) / 2, values[2] - values[3]
        rounding = 1e-15 * np.abs(values).max(axis=0)
        doubt = _DOUBT * (np.abs(whole - half) + rounding)
        size = np.maximum(np.abs(given), np.abs(half))
        known = np.isfinite(half) & np.isfinite(given) & (size > doubt) & (size > 0)
        wrong = known & (np.abs(given - half) > _RELATIVE * size + doubt)
    many = wrong.sum(axis=1) >= np.maximum(_FEWEST, known.sum(axis=1) / 2)
    if many.any():
        k = int(np.argmax(many))
        i = int(np.argmax(wrong[k]))
        length = shift[k, i][np.abs(shift[k, i]).argmax()]
        by = f"x[{k}]" if named else "all coordinates, with random signs"
        raise WrongDerivative(
            f"derivative: by {by} it is {given[k, i] / length:.6g} at x = "
            f"{np.array2string(x[i], threshold=8)}, where differences of f give "
            f"{half[k, i] / length:.6g}. Mend it; or, by 'complex step', f is not analytic (abs, "
            "comparisons, real parts): give derivative= a function"
        )


def _steps(x: np.ndarray, support: Support) -> np.ndarray:
    """Steps that keep inside; integers stay."""
    spread = np.quantile(x, 0.75, axis=0) - np.quantile(x, 0.25, axis=0)
    room = np.minimum(x - support.low, support.high - x)
    steps = _STEP * np.minimum(np.maximum(np.abs(x), spread), 1e3 * np.maximum(room, 0.0))
    return np.where(support.integer, 0.0, np.minimum(steps, room / 2))


__all__ = ["SAMPLES", "WrongDerivative", "check_derivative"]
