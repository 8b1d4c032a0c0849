"""Maximum likelihood by Fisher's scoring, for families of positive parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

_ROUNDS = 200
#: Of logarithms, in one round: from far away a whole step may lead astray.
_LONGEST = 2.0
#: Steps this short need no check, which rounding would fail: they go on until they shrink no more.
_SHORT = 1e-4


def most_likely(
    family: Any, x: np.ndarray, shares: np.ndarray, most: np.ndarray
) -> dict[str, np.ndarray]:
    """Parameters of the largest likelihood, as they are named and shaped in ``family``.

    Parameters
    ----------
    family : Family
        Where to start, its parameters positive numbers or their logarithms.
    x, shares : ndarray
        Samples inside the support, of shape (n, d), and their weights.
    most : ndarray
        Bounds of the logarithms, one per parameter entry, infinite where there is none.

    Notes
    -----
    The likelihood of an exponential family is concave in its natural parameters, so that there is
    one maximum at most, also where parameters are shared or bounded.  At the maximum the Fisher
    information is its curvature, by logarithms too: convergence is quadratic.
    """
    logs = {
        f"log_{name.removeprefix('log_')}": value if name.startswith("log_") else np.log(value)
        for name, value in family.parameters.items()
    }
    ends = np.cumsum([value.size for value in logs.values()])[:-1]

    def at(theta: np.ndarray) -> tuple[Any, float]:
        parts = zip(logs.items(), np.split(theta, ends), strict=True)
        q = type(family)(**{name: part.reshape(old.shape) for (name, old), part in parts})
        return q, float(np.einsum("n,n->", shares, q.log_density(x)))

    theta = np.concatenate([value.ravel() for value in logs.values()])
    (q, likelihood), before = at(theta), np.inf
    for _ in range(_ROUNDS):
        gradient = np.einsum("n,np->p", shares, q.score(x))
        step = _step(q.fisher(), gradient, most - theta)
        step *= min(1.0, _LONGEST / max(np.abs(step).max(), 1e-300))
        while True:
            moved = np.minimum(theta + step, most)
            size = np.abs(moved - theta).max()
            q, value = at(moved)
            if value >= likelihood or size < _SHORT:
                break
            step /= 2
        theta, likelihood = moved, value
        if size == 0 or before / 2 < size < _SHORT:
            break
        before = size
    return {
        name: part if name.startswith("log_") else np.exp(part)
        for name, part in zip(family.parameters, np.split(theta, ends), strict=True)
    }


def _step(information: Any, gradient: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Newton's step, no longer than there is room; the free entries allow for the held ones."""
    held = np.zeros(gradient.shape, dtype=bool)
    while True:
        step = np.where(held, room, 0.0)
        free = np.flatnonzero(~held)
        rest = (gradient - information @ step)[free]
        step[free] = _solve(information[free][:, free], rest)
        over = ~held & (step > room)
        if not over.any():
            return step
        # First those that it meets first: then the others may well stay free.
        part = np.where(over, room / np.where(over, step, 1.0), np.inf)
        held |= part == part.min()


def _solve(matrix: Any, right: np.ndarray) -> Any:
    if isinstance(matrix, np.ndarray):
        return np.linalg.solve(matrix, right)
    from scipy.sparse.linalg import spsolve

    return spsolve(matrix, right)
