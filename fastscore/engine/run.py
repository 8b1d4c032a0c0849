"""What every way of running blocks has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine import blocks, driver
from fastscore.engine.draw import draw_block
from fastscore.engine.gradient_terms import GradientTerms
from fastscore.engine.moments import ExactMoments, ImportanceMoments, Moments, UnitMoments
from fastscore.engine.problem import Problem
from fastscore.engine.products import NO_PRODUCTS, Products, as_products
from fastscore.engine.replicates import ReplicateMoments, ReplicateUnitMoments
from fastscore.engine.units.layout import IMPORTANCE, NO_LEVEL


class Run(ABC):
    """Blocks of a problem, run in rounds into the sums of their folds.

    Attributes
    ----------
    sums : ndarray
        Sums by fold of what has been merged so far.
    flags : ndarray
        What the driver tells, see `driver.FLAGS`.
    reference : float
        What is subtracted from f.
    workers : int
        Threads that work.
    """

    reference: float = 0.0
    workspaces: np.ndarray
    workers: int = 1
    #: From samples to what f sees of them.
    seen: Callable[[np.ndarray], Any] = staticmethod(lambda x: x)
    #: What f is evaluated at.
    unit: str = "sample"

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.sums = np.zeros((problem.cut.folds, problem.slot))
        self.sums[:, blocks.LEVEL] = NO_LEVEL
        self._products = problem.products_by_fold()
        self.flags = np.zeros(driver.FLAGS, np.int64)

    @abstractmethod
    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """Run all blocks; KeyboardInterrupt leaves the sums of what was merged intact."""

    @property
    def moments(self) -> Moments | ExactMoments:
        """The sums, as an estimate takes them."""
        weighting = self.problem.weighting
        if isinstance(weighting, GradientTerms):
            return replace(self._moments, in_place=True)
        if weighting is not None:
            return weighting.moments(self.sums, self.reference)
        return self._moments

    @property
    def _moments(self) -> Moments:
        """The same of sums as they are."""
        problem, mixture = self.problem, self.problem.mixture
        if problem.points is not None:
            if mixture is None:
                return ReplicateMoments.of(self.sums, self.reference)
            return ReplicateUnitMoments.of(self.sums, self.reference, mixture)
        if mixture is None:
            return Moments(self.sums, self.reference)
        if mixture.pattern != IMPORTANCE:
            return UnitMoments(self.sums, self.reference, mixture).without_odd()
        driver.level(problem.table, self.sums)
        largest, terms = problem.largest(self.workspaces)
        level, sums = float(self.sums[0, blocks.LEVEL]), self.sums
        level = 0.0 if level == NO_LEVEL else level  # no sample weighs anything
        if mixture.controlled:
            sums = sums.copy()
            driver.level_to_zero(problem.table, sums)
        return ImportanceMoments(sums, self.reference, mixture, largest, terms, level, self.sums)

    @cached
    def products(self) -> Products | None:
        """Products of scores by fold, if the problem asks for them."""
        problem = self.problem
        if problem.products == NO_PRODUCTS:
            return None
        # Of several samples in a unit F is no multiple of S either.
        direct = problem.table[blocks.DIRECT_AT] != blocks.NONE or problem.mixture is not None
        return as_products(self._products, problem.family.size, bool(direct), problem.products)

    @property
    def usable(self) -> bool:
        """Whether an interrupted run has something to estimate from."""
        return self.moments.n > 0

    def samples_of_failure(self) -> tuple[np.ndarray, int]:
        """Samples of the block that failed, and the number of the first."""
        block = int(self.flags[driver.FAILED])
        return draw_block(self.problem, block), block * self.problem.cut.block * self.problem.draws

    @property
    def samples(self) -> int:
        """Samples of the blocks merged so far, as progress; after a stop the moments know."""
        cut = self.problem.cut
        return min(int(self.flags[driver.MERGED]) * cut.block, cut.n) * self.problem.draws

    @property
    def failed(self) -> bool:
        """Whether the run has ended early."""
        return bool(self.flags[driver.STATUS] != 0)
