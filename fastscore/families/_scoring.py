"""Maximum likelihood by Fisher's scoring, over unconstrained parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_ROUNDS = 200
#: Of logarithms and log-odds, in one round: from far away a whole step may lead astray.
_LONGEST = 2.0
#: Steps this short need no check, which rounding would fail: they go on until they shrink no more.
_SHORT = 1e-4
#: Probabilities, their log-odds, and what has no constraints.
_LOGITS = {"probs": "logits", "gate": "gate_logits"}
_FREE = ("loc", *_LOGITS.values())


def most_likely(
    family: Any, x: np.ndarray, shares: np.ndarray, floors: Mapping[str, Any], least: float
) -> dict[str, np.ndarray]:
    """Parameters of the largest likelihood, as they are named and shaped in ``family``.

    Parameters
    ----------
    family : Family
        Where to start: its parameters are locs, probabilities, positive numbers, or the logarithms
        and log-odds of such.
    x, shares : ndarray
        Samples inside the support, of shape (n, d), and their weights.
    floors : mapping of str to float
        Of natural positive parameters, such as scales, powers c: the parameter stays on its side of
        ``least^c`` times the present value, above it if c is positive, and else below it; of pairs,
        on both sides.  Of loc, how many ranges of the samples it may lie beyond them.
    least : float
        Of `Family.fit`.

    Notes
    -----
    The likelihood of an exponential family is concave in its natural parameters, so that there is
    one maximum at most, also where parameters are shared or bounded.  At the maximum the Fisher
    information is its curvature, by unconstrained parameters too: convergence is quadratic.
    """
    free = {name: _freed(name, value) for name, value in family.parameters.items()}
    sizes = [value.size for value in family.parameters.values()]
    ends = np.cumsum(sizes)[:-1]
    theta = np.concatenate([value.ravel() for _, value in free.values()])
    is_loc = np.repeat([name == "loc" for name in free], sizes)
    powers = np.array([_powers(floors.get(_natural(name), 0)) for name in free]).T
    bounds = _bounds(theta, np.repeat(powers, sizes, axis=1), least)
    # A loc is among the samples, or so far beyond.
    beyond = floors.get("loc", 0) * np.ptp(x)
    bounds = np.where(is_loc, [[x.min() - beyond], [x.max() + beyond]], bounds)
    # They are what a loc moves by, at once.
    longest = np.where(is_loc, max(np.ptp(x), 1e-300), _LONGEST)

    def at(theta: np.ndarray) -> tuple[Any, float]:
        parts = zip(free.values(), np.split(theta, ends), strict=True)
        given = {name: part.reshape(old.shape) for (name, old), part in parts}
        q = family._with({**given, **family.constants})
        return q, float(np.einsum("n,n->", shares, q.log_density(x)))

    theta = np.clip(theta, *bounds)
    (q, likelihood), before = at(theta), np.inf
    for _ in range(_ROUNDS):
        gradient = np.einsum("n,np->p", shares, q.scores_of(x))
        step = bounded_step(q.fisher(), gradient, bounds - theta)
        step *= min(1.0, 1 / max(np.abs(step / longest).max(), 1e-300))
        while True:
            moved = np.clip(theta + step, *bounds)
            size = np.abs((moved - theta) / longest).max()
            q, value = at(moved)
            if value >= likelihood or size < _SHORT:
                break
            step /= 2
        theta, likelihood = moved, value
        if size == 0 or before / 2 < size < _SHORT:
            break
        before = size
    return {
        name: _given(name, part) for name, part in zip(free, np.split(theta, ends), strict=True)
    }


def _natural(name: str) -> str:
    return name.removeprefix("log_")


def _freed(name: str, value: np.ndarray) -> tuple[str, np.ndarray]:
    """A parameter without constraints, and its name."""
    if name in _FREE or name.startswith("log_"):
        return name, value
    if name in _LOGITS:
        return _LOGITS[name], np.log(value) - np.log1p(-value)
    return f"log_{name}", np.log(value)


def _given(name: str, free: np.ndarray) -> np.ndarray:
    """A parameter as it was given, from its unconstrained value."""
    if name in _FREE or name.startswith("log_"):
        return free
    if name in _LOGITS:
        from scipy.special import expit

        return np.asarray(expit(free))
    return np.exp(free)


def _powers(given: float | tuple[float, float]) -> tuple[float, float]:
    """Of the least and the largest value; 0 where there is none."""
    return given if isinstance(given, tuple) else (max(given, 0), min(given, 0))


def _bounds(theta: np.ndarray, powers: np.ndarray, least: float) -> np.ndarray:
    """Least and largest values of logarithms."""
    end = theta + powers * np.log(least)
    return np.where(powers != 0, end, [[-np.inf], [np.inf]])


def bounded_step(information: Any, gradient: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Newton's step, within its room; the free entries allow for the held ones."""
    held = np.full(gradient.shape, np.nan)
    while True:
        step = np.nan_to_num(held)
        free = np.flatnonzero(np.isnan(held))
        rest = (gradient - information @ step)[free]
        step[free] = _solve(information[free][:, free], rest)
        over = (step < room[0]) | (step > room[1])
        if not over.any():
            return step
        # First those that it meets first: then the others may well stay free.
        end = np.clip(step, *room)
        part = np.where(over, end / np.where(over, step, 1.0), np.inf)
        held = np.where(part == part.min(), end, held)


def _solve(matrix: Any, right: np.ndarray) -> Any:
    if isinstance(matrix, np.ndarray):
        return np.linalg.solve(matrix, right)
    from scipy.sparse.linalg import spsolve

    return spsolve(matrix, right)
