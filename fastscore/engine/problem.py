"""What one call asks of the driver, packed as the driver takes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine import blocks
from fastscore.engine.memory import aligned
from fastscore.engine.normals import SCRATCH
from fastscore.engine.streams import STATE_WORDS
from fastscore.engine.tiles import Tiling, stride_of

_NO_ARGUMENTS = np.zeros(1, np.int64)


class Problem:
    """A family, an integrand and a cut into blocks, with the buffers to work in.

    Parameters
    ----------
    family : Family
        The distribution.
    cut : Tiling
        How the samples are cut up.
    key : ndarray
        Key of the random streams.
    f, direct : int
        Addresses of the tile kernels of f and of its direct term; `blocks.NONE`,
        `blocks.GIVEN`.
    args : ndarray
        Arguments of f, packed as words.
    policy : int
        What to do with a non-finite f.
    """

    def __init__(
        self,
        family: Any,
        cut: Tiling,
        key: np.ndarray,
        *,
        f: int = blocks.NONE,
        direct: int = blocks.NONE,
        args: np.ndarray = _NO_ARGUMENTS,
        policy: int = blocks.RAISE,
    ) -> None:
        self.family = family
        self.cut = cut
        self.key = key
        self.args = args
        self.fused = direct == blocks.NONE and not family.shares
        self.table = np.zeros(blocks.PROBLEM, np.int64)
        self.table[:] = (
            family.sample_kernel.address,
            f,
            family.accumulate_kernel.address if self.fused else blocks.NONE,
            blocks.NONE if self.fused else family.score_kernel.address,
            direct,
            cut.d,
            cut.stride,
            cut.rows,
            cut.rows,
            cut.block,
            cut.n,
            family.size,
            policy,
        )

    @property
    def slot(self) -> int:
        """Doubles of one block's sums."""
        return blocks.HEADER + 5 * self.family.size

    def buffers(self, workers: int) -> tuple[np.ndarray, ...]:
        """Streams, scratch, tiles, values of f and score columns, a row per worker."""
        stride = self.cut.stride
        columns = 0 if self.fused else 2 * self.family.size * stride
        return (
            aligned((workers, STATE_WORDS), np.uint64),
            aligned((workers, SCRATCH)),
            aligned((workers, self.cut.d * stride)),
            aligned((workers, 2 * stride)),
            aligned((workers, columns + 8)),
        )

    @staticmethod
    def of_family(family: Any) -> np.ndarray:
        """A table that serves the scores of a tile alone."""
        table = np.zeros(blocks.PROBLEM, np.int64)
        table[blocks.SCORE_AT] = family.score_kernel.address
        table[blocks.D] = family.d
        table[blocks.STRIDE] = stride_of(family.d)
        return table
