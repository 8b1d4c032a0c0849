"""Samples handed out: of a block that failed, or all of a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine import driver
from fastscore.engine.problem import Problem
from fastscore.engine.streams import key_of
from fastscore.engine.tiles import Tiling, batch_stride, tiling


def draw_block(problem: Problem, block: int) -> np.ndarray:
    """Samples of one block of a problem, of shape (rows, d); of units those of each together."""
    return _draw(
        problem.family, problem.cut, problem.key, range(block, block + 1), problem.mixture,
        problem.points,
    )  # fmt: skip


def draw_samples(family: Any, n: int, seed: int) -> np.ndarray:
    """The n samples, of shape (n, d), of a seed."""
    cut = tiling(n, family.d, family.size)
    return _draw(family, cut, key_of(seed), range(cut.blocks))


def draw_units(mixture: Any, cut: Tiling, seed: int) -> np.ndarray:
    """Samples of all units of a seed, of shape (units × draws, d), those of each together."""
    return _draw(mixture.target, cut, key_of(seed), range(cut.blocks), mixture)


def _draw(
    family: Any, cut: Tiling, key: np.ndarray, which: range, mixture: Any = None,
    points: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Samples of consecutive blocks, in a workspace with room for one whole block."""
    draws = 1 if mixture is None else mixture.draws
    stride = batch_stride(cut.block * draws)
    problem = Problem(family, cut, key, stride=stride, mixture=mixture, points=points)
    workspace = problem.workspaces(1)[0]
    _, samples, _ = problem.columns(workspace)
    draw = driver.draw if mixture is None else driver.draw_units
    drawn = []
    for block in which:
        draw(problem.table, workspace, block, 0)
        rows = cut.rows_of(block)
        for start in range(0, rows, cut.rows):
            tile = min(cut.rows, rows - start)
            columns = samples[:, start * draws : (start + tile) * draws]
            by_draw = columns.T.reshape(draws, tile, family.d)
            drawn.append(by_draw.swapaxes(0, 1).reshape(-1, family.d).copy())
    return np.concatenate(drawn)
