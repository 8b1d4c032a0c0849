"""What one call asks of the driver, packed as the driver takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscore.engine import blocks
from fastscore.engine.memory import aligned
from fastscore.engine.products import NO_PRODUCTS, empty_products, panel_doubles
from fastscore.engine.scheme import Scheme
from fastscore.engine.structured import kernels
from fastscore.engine.tiles import Tiling, stride_of
from fastscore.engine.units.layout import IMPORTANCE, STRATIFIED

if TYPE_CHECKING:
    from fastscore.engine.gradient_terms import GradientTerms
    from fastscore.engine.local import Local
    from fastscore.engine.weighting import Weighting


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
    products : int
        Which products of scores to add up, see ``products``.
    functions : sequence
        Tile functions of f and direct, kept alive.
    stride : int, optional
        Rows that a workspace's columns hold, that of one tile by default.
    mixture : Scheme, optional
        How the samples of a unit come about; the cut is then of units.
    weighting : Weighting, Local or GradientTerms, optional
        What multiplies score columns in place of f, or stands in for both.
    points : ndarray, optional
        Table of the points to make samples from; each fold is then a replicate of them.
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
        products: int = NO_PRODUCTS,
        stride: int | None = None,
        functions: Sequence[Any] = (),
        mixture: Scheme | None = None,
        weighting: Weighting | Local | GradientTerms | None = None,
        points: np.ndarray | None = None,
    ) -> None:
        self.family = family
        self.cut = cut
        self.key = key
        # Kept alive, as the family is, for as long as the table has their addresses.
        self.args = args
        self.functions = functions
        self.stride = cut.stride if stride is None else stride
        self.mixture = mixture
        self.weighting = weighting
        if weighting is not None and direct == blocks.NONE:
            direct = blocks.WEIGHTED
        self.points = points
        accumulate = family.accumulate_kernel
        self.fused = direct == blocks.NONE and not family.shares and mixture is None
        self.fused &= accumulate is not None
        self.products = products
        self.has_scores = not self.fused or products != NO_PRODUCTS
        self._mixture_table = None if mixture is None else mixture.table(self.slot, self._tail_at)
        self.table = np.array(
            [
                family.sample_kernel.address,
                f,
                accumulate.address if self.fused else blocks.NONE,
                family.finish_kernel.address
                if self.fused and family.finish_kernel is not None
                else blocks.NONE,
                family.score_kernel.address if self.has_scores else blocks.NONE,
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
                products,
                blocks.NONE if self._mixture_table is None else self._mixture_table.ctypes.data,
                blocks.NONE if weighting is None else weighting.table.ctypes.data,
                self._more,
                blocks.NONE if points is None else points.ctypes.data,
                self._terms_first,
                blocks.NONE,
                kernels().ctypes.data if self._structured else blocks.NONE,
            ],
            dtype=np.int64,
        )

    @property
    def slot(self) -> int:
        """Doubles of one block's sums."""
        own = sum(part.slot for part in (self.mixture, self.weighting) if part is not None)
        return blocks.HEADER + 5 * self.family.size + own

    @property
    def draws(self) -> int:
        """Samples of what the cut counts."""
        return 1 if self.mixture is None else self.mixture.draws

    @property
    def _structured(self) -> bool:
        """Whether samples are made from words that are not random."""
        stratified = self.mixture is not None and self.mixture.pattern == STRATIFIED
        return stratified or self.points is not None

    @property
    def _columns(self) -> int:
        """Columns of a workspace, but for those of proposals."""
        return blocks.columns_of_workspace(self.cut.d, self.family.size, self.has_scores)

    @property
    def _more(self) -> int:
        """Columns of proposals, or of weights."""
        return sum(part.columns for part in (self.mixture, self.weighting) if part is not None)

    @property
    def _terms_first(self) -> int:
        """Which of these is the first of weights."""
        return 0 if self.mixture is None else self.mixture.columns

    @property
    def _tail_at(self) -> int:
        """Where a workspace keeps the largest weights."""
        panels = panel_doubles(self.family.size) if self.products != NO_PRODUCTS else 0
        return blocks.COLUMNS_AT + (self._columns + self._more) * self.stride + panels

    def workspaces(self, workers: int) -> np.ndarray:
        """A row to work in per worker."""
        if self.mixture is None:
            return aligned(workers, self._tail_at)
        tails = self._tail_at, self._tail_at + 1 + self.mixture.tail
        made = aligned(workers, tails[1] + 1 + self.mixture.terms_tail)
        made[:, tails] = 0  # none is kept yet
        return made

    def largest(self, workspaces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest log-weights and log-terms that workers have met, in descending order."""
        assert self.mixture is not None
        weights = workspaces[:, self._tail_at :]
        terms = weights[:, 1 + self.mixture.tail :]
        return _merged(weights, self.mixture.tail), _merged(terms, self.mixture.terms_tail)

    def products_by_fold(self) -> np.ndarray:
        """Zeroed room for products, a row per fold."""
        return empty_products(self.cut.folds, self.family.size, self.products)

    def columns(self, workspace: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values of f (rows,), samples (d, rows) and direct term (P, rows) of a workspace."""
        d, size = self.cut.d, self.family.size
        columns = self._all_columns(workspace)
        samples = columns[2 : 2 + d].view(self.family.dtype)
        return columns[0], samples, columns[2 + d + size : 2 + d + 2 * size]

    def control_values(self, workspace: np.ndarray) -> np.ndarray:
        """Columns for values of control functions (J, rows)."""
        assert self.mixture is not None
        return self._all_columns(workspace)[self._columns :][self.mixture.value_columns]

    def terms(self, workspace: np.ndarray) -> np.ndarray:
        """What weights are sums of, (terms, rows), of a workspace."""
        assert self.weighting is not None
        first = self._columns + self._terms_first + 1
        return self._all_columns(workspace)[first : first + self.weighting.terms]

    def counted(self, workspace: np.ndarray, rows: int) -> np.ndarray:
        """Which samples weigh anything."""
        if self.mixture is None or self.mixture.pattern != IMPORTANCE:
            return np.ones(rows, dtype=bool)
        return np.asarray(self.log_weights(workspace)[:rows] > -np.inf)

    def log_weights(self, workspace: np.ndarray) -> np.ndarray:
        """Log-weights of a workspace's samples."""
        assert self.mixture is not None
        column = self._columns + self.mixture.log_weight_column
        return np.asarray(self._all_columns(workspace)[column])

    def _all_columns(self, workspace: np.ndarray) -> np.ndarray:
        count = self._columns + self._more
        return workspace[blocks.COLUMNS_AT :][: count * self.stride].reshape(count, -1)

    @staticmethod
    def of_family(family: Any) -> np.ndarray:
        """A table that serves the scores of a tile alone."""
        table = np.zeros(blocks.TABLE, np.int64)
        table[blocks.SCORE_AT] = family.score_kernel.address
        table[blocks.D] = family.d
        table[blocks.STRIDE] = stride_of(family.d)
        return table


def _merged(tails: np.ndarray, most: int) -> np.ndarray:
    """The largest of what several have kept, their number before them."""
    kept = [tail[1 : 1 + int(tail[0])] for tail in tails]
    return np.sort(np.concatenate(kept))[::-1][:most]
