"""Sobol' points, scrambled replicate by replicate, as the table that kernels make words from."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fastscore.engine.streams import derived_seed
from fastscore.engine.structured import POINTS_HEADER

#: Coordinates at most: SciPy has direction numbers for so many.
MOST_COORDINATES = 21201
_WORD = 64
#: With fewer SciPy has no room for the first directions of some coordinates, and leaves them out.
_FEWEST_BITS = 30
_SCRAMBLING = 0x50B01  # spawn key of what scrambles


def scrambled_points(d: int, points: int, replicates: int, seed: int) -> np.ndarray:
    """The table (see ``structured``) of replicates of so many points, a power of two.

    Each replicate has a random linear scrambling and a random shift of its own [1]_: every point
    is uniform, and the points together remain a net.

    References
    ----------
    .. [1] J. Matoušek, On the L2-discrepancy for anchored boxes, Journal of Complexity 14 (1998).
    """
    bits = points.bit_length() - 1
    directions = _directions(d, bits)
    random = np.random.PCG64(derived_seed(seed, _SCRAMBLING)).random_raw
    shape = replicates, d, bits + 1
    drawn = random(replicates * d * (bits + 1)).reshape(shape)
    table = np.zeros((replicates, d, bits + 2), np.uint64)
    table[:, :, 0] = drawn[:, :, bits]
    # A column of the random matrix: zeros above its diagonal, which is the i-th bit from the top, a
    # one there, and random bits below.
    for i in range(bits):
        diagonal = np.uint64(1 << (_WORD - 1 - i))
        column = diagonal | (drawn[:, :, i, None] & (diagonal - np.uint64(1)))
        table[:, :, 1:-1] ^= np.where(directions & diagonal, column, np.uint64(0))
    header = np.array([replicates, d * (bits + 2), bits + 2], np.uint64)
    assert len(header) == POINTS_HEADER
    return np.concatenate([header, table.ravel()])


@lru_cache(maxsize=16)
def _directions(d: int, bits: int) -> np.ndarray:
    """Direction numbers (d, bits) of unscrambled points, in the top bits of words.

    Points are numbered by the Gray code: number 2^j differs in the j-th direction from the one
    before, which is the direction before.
    """
    from scipy.stats.qmc import Sobol

    numbers = np.zeros((d, bits), np.uint64)
    wide = max(bits, _FEWEST_BITS)
    source, place = Sobol(d, scramble=False, bits=wide), 0
    for j in range(bits):
        source.fast_forward(2**j - place)
        place = 2**j + 1
        numbers[:, j] = np.ldexp(source.random(1)[0], wide).astype(np.uint64)
        numbers[:, j] ^= numbers[:, j - 1] if j else np.uint64(0)
    return numbers << np.uint64(_WORD - wide)


__all__ = ["MOST_COORDINATES", "scrambled_points"]
