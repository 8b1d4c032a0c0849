"""The run of a plain Python f, called NumPy-style on batches, one call at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastscore.engine import driver
from fastscore.engine.launch import reference_value
from fastscore.engine.problem import Problem
from fastscore.engine.run import Run
from fastscore.engine.tiles import Tiling
from fastscore.engine.units.layout import IMPORTANCE

#: Elements of a batch: large enough to hide Python's overhead, small enough for the cache.
_BATCH_ELEMENTS = 2**17
_REFERENCE_ROWS = 64


def blocks_of_batch(cut: Tiling, draws: int = 1) -> int:
    """Whole blocks that f gets at a time."""
    return min(cut.blocks, max(1, _BATCH_ELEMENTS // (cut.d * cut.block * draws)))


class CallbackRun(Run):
    """Blocks of a problem, with f and its direct term evaluated by Python.

    Parameters
    ----------
    problem : Problem
        With ``direct=GIVEN`` when there is a direct term.
    f : callable
        ``f(X) -> (rows,)``.
    direct : callable or None
        ``direct(X) -> (rows, P)``.
    terms : callable or None
        ``terms(X) -> (rows, T)``, what weights are sums of; if f is their sum f is not called.
        Where some are prepared ``terms(X, prepared, values)``, to which they and f are given.
    """

    def __init__(
        self,
        problem: Problem,
        f: Callable[[np.ndarray], Any],
        direct: Callable[[np.ndarray], Any] | None,
        terms: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(problem)
        self.f = f
        self.direct = direct
        self.terms = terms

    def rounds(self, progress: Callable[[int], None] | None = None) -> None:
        """Run all blocks, a batch of whole blocks at a time."""
        problem, cut = self.problem, self.problem.cut
        draws = problem.draws
        draw, absorb = (
            (driver.draw, driver.absorb)
            if problem.mixture is None
            else (driver.draw_units, driver.absorb_block_of_units)
        )
        self.workspaces = problem.workspaces(1)
        workspace = self.workspaces[0]
        slot = np.empty(problem.slot)
        step = blocks_of_batch(cut, draws)
        for first in range(0, cut.blocks, step):
            batch = range(first, min(first + step, cut.blocks))
            begins = [(block - first) * cut.block * draws for block in batch]
            for block, begin in zip(batch, begins, strict=True):
                draw(problem.table, workspace, block, begin)
            rows = (min(batch.stop * cut.block, cut.n) - first * cut.block) * draws
            values = self._evaluate(workspace, rows, first * cut.block * draws)
            if first == 0:
                self.reference = self._reference(workspace, values, rows)
            for block, begin in zip(batch, begins, strict=True):
                if not absorb(
                    problem.table, workspace, self.reference, block, begin,
                    self.flags, slot, self.sums, self._products,
                ):  # fmt: skip
                    return
            if progress is not None:
                progress(self.samples)

    def _reference(self, workspace: np.ndarray, values: np.ndarray, rows: int) -> float:
        """What is subtracted from f, from some values of the first batch, of ``rows`` samples."""
        problem = self.problem
        if problem.mixture is None or problem.mixture.pattern != IMPORTANCE:
            return reference_value(values[:_REFERENCE_ROWS])
        log_weights = problem.log_weights(workspace)[:rows][problem.counted(workspace, rows)]
        some = slice(None, None, max(1, len(values) // _REFERENCE_ROWS))  # of all proposals
        return reference_value(values[some], log_weights[some])

    def _evaluate(self, workspace: np.ndarray, rows: int, first: int) -> np.ndarray:
        """f, and its direct term, of the samples that weigh anything; those of f are returned."""
        problem = self.problem
        values, samples, direct = problem.columns(workspace)
        counted = problem.counted(workspace, rows)
        every = bool(counted.all())
        x = samples[:, :rows].T if every else samples[:, :rows].T[counted]
        x.flags.writeable = False
        at = slice(rows) if every else np.flatnonzero(counted)
        if not every:
            values[:rows] = 0.0
            direct[:, :rows] = 0.0
        weighting = problem.weighting
        if len(x) and not (weighting is not None and weighting.summed):
            values[at] = call_f("f", self.f, x, (len(x),), first)
        if len(x) and weighting is not None and self.terms is not None:
            # Some may have been drawn by a kernel: what f is to be evaluated at beside x.
            every_term, prepared = problem.terms(workspace), weighting.prepared
            terms, shape = every_term[prepared:], (len(x), weighting.terms - prepared)
            beside = (every_term[:prepared, at].T, values[at]) if prepared else ()
            made = partial(_beside, self.terms, beside)
            terms[:, at] = call_f(weighting.name, made, x, shape, first).T
            with np.errstate(invalid="ignore"):  # what is not finite is found later
                total = terms[:, at].sum(axis=0)
                values[at] = total if weighting.summed else values[at] + 0.0 * total
            if first == 0:
                weighting.centre(terms[:, at][:, :_REFERENCE_ROWS])
        if len(x) and self.direct is not None:
            shape = (len(x), problem.family.size)
            direct[:, at] = call_f("direct", self.direct, x, shape, first).T
        if len(x) and problem.mixture is not None:
            columns = problem.control_values(workspace)
            for j, function in enumerate(problem.mixture.functions.functions):
                if callable(function):
                    name = f"control_variates[{j}]"
                    columns[j, at] = call_f(name, function, x, (len(x),), first)
        return np.asarray(values[at])


def _beside(terms: Callable[..., Any], beside: tuple[Any, ...], x: np.ndarray) -> Any:
    return terms(x, *beside)


def call_f(
    name: str, function: Callable[[np.ndarray], Any], x: np.ndarray, shape: tuple[int, ...],
    first: int,
) -> np.ndarray:  # fmt: skip
    """What f returns for rows of samples, of which ``first`` is the first; see `checked`."""
    try:
        values = function(x)
    except Exception as error:
        error.add_note(f"raised by f on samples {first} to {first + len(x) - 1}")
        raise
    return checked(name, values, shape)


def checked(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What f returned, an array of the expected shape.

    Raises
    ------
    TypeError, ValueError
        If it is not real, or of another shape.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} returned {type(values).__name__} of dtype {array.dtype}: "
            "real numbers are expected"
        )
    if array.shape != shape:
        raise ValueError(
            f"{name} returned shape {array.shape} for a batch of shape ({shape[0]}, d): "
            f"it must return shape {shape}"
        )
    return array
