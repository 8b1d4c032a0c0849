"""Tiles, blocks and folds: how n samples of d coordinates are cut up.

A *tile* fits the cache and is stored by columns: coordinate k of its samples lies
contiguous at ``k * stride``.  A *block* is many tiles, and is the unit of stream, slot and
merge.  Block b belongs to fold ``b % folds``.  All follow from the shapes alone, never from
the number of threads, so that the answer does not either.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

#: Folds of the cross-fitted coefficients.
FOLDS = 10
#: Up to here f sees a column-wise tile in place and is compiled for its very d, so that LLVM may
#: unroll its loop (which it does up to 40 coordinates of a plain f) and vectorise over samples;
#: beyond, f gets contiguous copies of the rows.
FEW_COLUMNS = 40

_TILE_ELEMENTS = 2**15
_FEWEST_ROWS = 128
_MOST_ELEMENTS = 2**20
_BLOCK_ELEMENTS = 2**15
_BLOCK_ROWS = 256
_BLOCK_ELEMENTS_PER_SUM = 64
_MULTIPLE = 16
_PAD = 8
_UNIT_ROWS = 512
_UNIT_ELEMENTS = 2**18


@dataclass(frozen=True)
class Tiling:
    """The cut of n samples of d coordinates.

    Attributes
    ----------
    n, d : int
        Samples and coordinates.
    rows : int
        Samples of a full tile.
    block : int
        Samples of a full block.
    blocks, folds : int
        Their number; no fold is empty.
    """

    n: int
    d: int
    rows: int
    block: int
    blocks: int
    folds: int

    @property
    def stride(self) -> int:
        """Doubles from one column of a tile to the next."""
        return stride_of(self.d)

    def rows_of(self, block: int) -> int:
        """Samples of one block."""
        return min(self.block, self.n - block * self.block)


@lru_cache(maxsize=256)
def tiling(n: int, d: int, size: int = 0) -> Tiling:
    """Cut n samples of d coordinates, whose score has ``size`` entries.

    Few samples shrink the blocks until each fold has one; many entries enlarge them, since each
    costs its sums to be cleared and merged.
    """
    return _cut(n, d, tile_rows(d), _block_rows(d, size))


def _block_rows(d: int, size: int) -> int:
    rows = tile_rows(d)
    elements = max(_BLOCK_ELEMENTS, _BLOCK_ELEMENTS_PER_SUM * size)
    return -(-max(elements // d, _BLOCK_ROWS) // rows) * rows


@lru_cache(maxsize=256)
def unit_tiling(units: int, d: int, draws: int, slot: int, pattern: int | None = None) -> Tiling:
    """Cut units of several draws each, whose block has a slot of so many doubles.

    A tile has a row per unit: many, since each draw of a unit has a dozen passes over it; more
    where a unit is a sample, whose proposal may be drawn at random, and has a part of the rows; few
    if the ``pattern`` of the draws, in place of proposals, needs many columns at a time.
    """
    most = 2 * _UNIT_ROWS if draws == 1 and pattern is None else _UNIT_ROWS
    if pattern:
        most = min(most, _TILE_ELEMENTS // pattern // _MULTIPLE * _MULTIPLE)
    rows = max(_MULTIPLE, min(most, _UNIT_ELEMENTS // d // _MULTIPLE * _MULTIPLE))
    samples = max(_BLOCK_ELEMENTS, 4 * slot) // d
    block = -(-max(samples // draws, 1) // rows) * rows
    return _cut(units, d, rows, block)


@lru_cache(maxsize=256)
def replicate_tiling(n: int, d: int, size: int, replicates: int) -> Tiling:
    """Cut n samples, or more, into a fold for each replicate of a power of two, at least 16.

    Tiles and blocks are powers of two too, so that all of them are whole.
    """
    points = 1 << (max(_MULTIPLE, -(-n // replicates)) - 1).bit_length()
    block = min(1 << (_block_rows(d, size) - 1).bit_length(), points)
    rows = min(1 << (tile_rows(d).bit_length() - 1), block)
    return Tiling(replicates * points, d, rows, block, replicates * points // block, replicates)


def _cut(n: int, d: int, rows: int, block: int) -> Tiling:
    """Into blocks of that size, or smaller ones if a fold would be left without."""
    folds = min(FOLDS, n)
    block = min(block, max(1, n // folds))
    return Tiling(n, d, min(rows, _round_up(block)), block, -(-n // block), folds)


def tile_rows(d: int) -> int:
    """Samples of a tile: it stays in L1 for up to ten coordinates or so, in L2 for many.

    Below 128 rows the sums over a column cost more than its elements, hence the floor, which
    gives way only where the tile would outgrow the caches altogether.
    """
    if d <= 2:
        return 2048 // d
    if d <= FEW_COLUMNS:
        return 512
    rows = max(_TILE_ELEMENTS // d, _FEWEST_ROWS)
    return max(_MULTIPLE, min(rows, _MOST_ELEMENTS // d) // _MULTIPLE * _MULTIPLE)


def stride_of(d: int) -> int:
    """Doubles between columns: padded, since a stride of 4096 bytes thrashes the cache sets."""
    return tile_rows(d) + _PAD


def batch_stride(rows: int) -> int:
    """Doubles between columns that hold so many rows, and what a sampler writes beyond them."""
    stride = _round_up(rows) + _MULTIPLE
    return stride + _PAD if stride % 512 == 0 else stride


def _round_up(rows: int) -> int:
    return -(-rows // _MULTIPLE) * _MULTIPLE
