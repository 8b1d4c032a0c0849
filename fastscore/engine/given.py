"""The run of samples that are given, with f and their weights: past ones, or of others' making."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastscore.engine import blocks, driver
from fastscore.engine.jit import TileKernel
from fastscore.engine.launch import reference_value
from fastscore.engine.mixture import Mixture
from fastscore.engine.problem import Problem
from fastscore.engine.products import NO_PRODUCTS
from fastscore.engine.run import Run
from fastscore.engine.tiles import batch_stride, unit_tiling

_NO_KEY = np.zeros(2, np.uint64)


class GivenRun(Run):
    """Sums over given samples, each a unit of its own.

    Parameters
    ----------
    family : Family
        The distribution of the expectation.
    x : ndarray of shape (n, d)
        Samples.
    values : ndarray of shape (n,)
        f, finite wherever the weight is not 0.
    log_weights : ndarray of shape (n,)
        Logarithms of weights whose mean 1 is expected.
    heuristic : TileKernel
        Any; it is not called.
    normalized : bool
        Whether sums are to be divided by that of the weights.
    tail : int
        How many of the largest weights, and terms, are kept.
    chosen : ndarray or None
        Score entries whose terms these are.
    products : int
        Which products of scores to add up.
    """

    def __init__(
        self, family: Any, x: np.ndarray, values: np.ndarray, log_weights: np.ndarray, *,
        heuristic: TileKernel, normalized: bool = False, tail: int = 0,
        chosen: np.ndarray | None = None, details: bool = False, products: int = NO_PRODUCTS,
    ) -> None:  # fmt: skip
        mixture = Mixture(
            target=family, proposals=(family,), counts=np.ones(1), random=True,
            heuristic=heuristic, normalized=normalized, tail=tail, terms_tail=tail, chosen=chosen,
            detailed=details,
        )  # fmt: skip
        cut = unit_tiling(len(x), family.d, 1, mixture.slot)
        stride = batch_stride(cut.block)
        super().__init__(
            Problem(
                family,
                cut,
                _NO_KEY,
                policy=blocks.PROPAGATE,
                products=products,
                mixture=mixture,
                stride=stride,
            )
        )
        self.x, self.values, self.log_weights = x, values, log_weights

    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """Add up all blocks."""
        problem, cut = self.problem, self.problem.cut
        self.workspaces = problem.workspaces(1)
        workspace, slot = self.workspaces[0], np.empty(problem.slot)
        values, samples, _ = problem.columns(workspace)
        log_weights = problem.log_weights(workspace)
        self.reference = reference_value(self.values, self.log_weights)
        for block in range(cut.blocks):
            rows = slice(block * cut.block, block * cut.block + cut.rows_of(block))
            count = rows.stop - rows.start
            samples[:, :count] = self.x[rows].T
            values[:count] = self.values[rows]
            log_weights[:count] = self.log_weights[rows]
            driver.absorb_block_of_units(
                problem.table, workspace, self.reference, block, 0, self.flags, slot, self.sums,
                self._products,
            )  # fmt: skip
            if progress is not None:
                progress(self.samples)
