"""What one call asks of the driver, packed as the driver takes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine import blocks
from fastscore.engine.memory import aligned
from fastscore.engine.tiles import Tiling, stride_of


class Problem:
    """A family, an integrand and a cut into blocks.

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
    args : Arguments, optional
        Arguments of f, packed as words.
    policy : int
        What to do with a non-finite f.
    stride : int, optional
        Rows that a workspace's columns hold, that of one tile by default.
    """

    def __init__(
        self,
        family: Any,
        cut: Tiling,
        key: np.ndarray,
        *,
        f: int = blocks.NONE,
        direct: int = blocks.NONE,
        args: Any = None,
        policy: int = blocks.RAISE,
        stride: int | None = None,
    ) -> None:
        self.family = family
        self.cut = cut
        self.key = key
        self.args = args  # with the family, kept alive for as long as the table has addresses
        self.stride = cut.stride if stride is None else stride
        self.fused = direct == blocks.NONE and not family.shares
        self.table = np.array(
            [
                family.sample_kernel.address,
                f,
                family.accumulate_kernel.address if self.fused else blocks.NONE,
                family.finish_kernel.address
                if self.fused and family.finish_kernel is not None
                else blocks.NONE,
                blocks.NONE if self.fused else family.score_kernel.address,
                direct,
                family.packed_at,
                family.index_at,
                0 if args is None else args.words.ctypes.data,
                *key.view(np.int64),
                cut.d,
                self.stride,
                cut.rows,
                cut.rows,
                cut.block,
                cut.n,
                family.size,
                policy,
                0,
            ],
            dtype=np.int64,
        )

    @property
    def slot(self) -> int:
        """Doubles of one block's sums."""
        return blocks.HEADER + 5 * self.family.size

    def workspaces(self, workers: int) -> np.ndarray:
        """A row to work in per worker."""
        columns = blocks.columns_of_workspace(self.cut.d, self.family.size, self.fused)
        return aligned(workers, blocks.COLUMNS_AT + columns * self.stride)

    def columns(self, workspace: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values of f (rows,), samples (d, rows) and direct term (P, rows) of a workspace."""
        columns = workspace[blocks.COLUMNS_AT :]
        columns = columns[: columns.size // self.stride * self.stride].reshape(-1, self.stride)
        d, size = self.cut.d, self.family.size
        samples = columns[2 : 2 + d].view(self.family.dtype)
        return columns[0], samples, columns[2 + d + size : 2 + d + 2 * size]

    @staticmethod
    def of_family(family: Any) -> np.ndarray:
        """A table that serves the scores of a tile alone."""
        table = np.zeros(blocks.TABLE, np.int64)
        table[blocks.SCORE_AT] = family.score_kernel.address
        table[blocks.D] = family.d
        table[blocks.STRIDE] = stride_of(family.d)
        return table
