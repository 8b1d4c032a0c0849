"""Samples handed out: of a block that failed, or all of a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine import driver
from fastscore.engine.problem import Problem
from fastscore.engine.streams import key_of
from fastscore.engine.tiles import Tiling, batch_stride, tiling


def draw_block(problem: Problem, block: int) -> np.ndarray:
    """Samples of one block of a problem, of shape (rows, d)."""
    return _draw(problem.family, problem.cut, problem.key, range(block, block + 1))


def draw_samples(family: Any, n: int, seed: int) -> np.ndarray:
    """The n samples, of shape (n, d), of a seed."""
    cut = tiling(n, family.d, family.size)
    return _draw(family, cut, key_of(seed), range(cut.blocks))


def _draw(family: Any, cut: Tiling, key: np.ndarray, which: range) -> np.ndarray:
    """Samples of consecutive blocks, in a workspace with room for one whole block."""
    problem = Problem(family, cut, key, stride=batch_stride(cut.block))
    workspace = problem.workspaces(1)[0]
    _, samples, _ = problem.columns(workspace)
    drawn = []
    for block in which:
        driver.draw(problem.table, workspace, block, 0)
        drawn.append(samples[:, : cut.rows_of(block)].T.copy())
    return np.concatenate(drawn)
