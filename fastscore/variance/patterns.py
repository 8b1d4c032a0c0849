"""Patterns of draws, and the families that can be drawn in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine.control_functions import ControlFunctions
from fastscore.engine.scheme import Pattern
from fastscore.engine.units import layout
from fastscore.variance.points import words_of
from fastscore.variance.sampling import Antithetic, Orthogonal, Sampling, Stratified

#: Most coordinates of orthogonal sets, whose directions cost d² operations a sample.
MOST_ORTHOGONAL = 128
#: Samples that tell an odd score from others, and what rounding leaves of its sums.
_FEW, _ROUNDING = 16, 1e-8


def pattern_of(sampling: Sampling, source: Any, functions: ControlFunctions) -> Pattern:
    """The pattern of a sampling for the family that tiles are drawn from.

    Raises
    ------
    ValueError
        If the family does not allow it, with the reason.
    """
    if isinstance(sampling, Antithetic):
        centre = _needed(sampling, source, source.centre, "is not symmetric about a centre")
        return Pattern(
            target=source, functions=functions, kind=layout.ANTITHETIC, count=2, centre=centre,
            odd=odd_entries(source, centre),
        )  # fmt: skip
    if isinstance(sampling, Orthogonal):
        spread = _needed(
            sampling, source, source.spread, "is not made of independent Gaussian coordinates"
        )
        if source.d > MOST_ORTHOGONAL:
            raise ValueError(
                f"sampling={sampling.word!r}: sets of {source.d} orthogonal directions cost too "
                f"much, it takes at most {MOST_ORTHOGONAL} coordinates: take 'antithetic'"
            )
        return Pattern(
            target=source, functions=functions, kind=layout.ORTHOGONAL, count=source.d,
            centre=np.ascontiguousarray(source.centre), spread=spread,
        )  # fmt: skip
    if isinstance(sampling, Stratified):
        words_of(sampling.word, source, source)
        return Pattern(
            target=source, functions=functions, kind=layout.STRATIFIED, count=sampling.strata
        )
    return Pattern(target=source, functions=functions)


def odd_entries(source: Any, centre: np.ndarray) -> np.ndarray:
    """Score entries that change their sign with x about the centre, such as those by loc."""
    x = source.drawn(_FEW, 0)
    pairs = np.array([source.scores_of(x), source.scores_of(2 * centre - x)])
    return np.flatnonzero(cancels(pairs[None])[0])


def cancels(pairs: np.ndarray) -> np.ndarray:
    """Which quantities (J, 2, n, …) are 0 in the mean of every one of n pairs, but for rounding."""
    scale = np.abs(pairs).max(axis=(1, 2))
    found: np.ndarray = (np.abs(pairs.sum(axis=1)) <= _ROUNDING * scale[:, None]).all(axis=1)
    return found


def _needed(sampling: Sampling, source: Any, vector: np.ndarray | None, lack: str) -> np.ndarray:
    """A vector that the sampling rests on."""
    if vector is None:
        raise ValueError(
            f"sampling={sampling.word!r} does not go with {type(source).__name__}, which {lack}: "
            "leave it out"
        )
    return np.ascontiguousarray(vector)
