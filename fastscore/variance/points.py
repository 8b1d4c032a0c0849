"""What Sobol' points go with, and what they do not."""

from __future__ import annotations

import numpy as np

from fastscore.engine.sobol import MOST_COORDINATES, scrambled_points
from fastscore.engine.tiles import Tiling
from fastscore.families import Family
from fastscore.variance.sampling import Sobol


def words_of(sampling: str, p: Family, source: Family) -> int:
    """Words of a sample, of a family whose sampler inverts them one by one.

    Raises
    ------
    ValueError
        If its sampler does anything else.
    """
    words = source.words
    if words is None:
        raise ValueError(
            f"sampling={sampling!r} replaces the random words that a sampler inverts, one for each "
            f"coordinate, and that of {type(p).__name__} rejects some, looks up several or mixes "
            "them: sample independently"
        )
    return words


def points_of(sampling: Sobol, p: Family, source: Family, cut: Tiling, seed: int) -> np.ndarray:
    """Points to draw from a source of p, cut up into replicates."""
    words = words_of(sampling.word, p, source)
    if words > MOST_COORDINATES:
        raise ValueError(
            f"sampling='sobol': {type(p).__name__} takes {words} coordinates of a point, and there "
            f"are Sobol' points of {MOST_COORDINATES} at most: sample independently"
        )
    return scrambled_points(words, cut.n // sampling.replicates, sampling.replicates, seed)


__all__ = ["points_of", "words_of"]
