"""How Dirichlet vectors move: ``∂x_j/∂a_i = h_i (δ_ij − x_j)/(1 − x_i)``.

h_i is the path of the beta distribution that x_i alone has, by its first concentration: what it
takes, the others give in proportion.
"""

from __future__ import annotations

import numpy as np

from fastscore.engine.jit import elementwise, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.stages import CONTRACT, DATA_AT
from fastscore.engine.vecmath import exp_below, expm1, log
from fastscore.families._implicit import CELLS, GRID, Tables, add_interpolated, locate, tables_of
from fastscore.families._logit_beta import LogitBeta
from fastscore.families._path import Path

_LEAST = 1e-300


@tile_kernel(CONTRACT)
def _contract(own, params, x, slopes, rows, d, stride, index, out):
    settings, grids = as_integers(own[DATA_AT]), as_floats(own[DATA_AT + 1])
    classes, logarithms, tables = settings[0], settings[1] != 0, offset(settings, 2)
    total, logit, own_slope = np.empty(rows), np.empty(rows), np.empty(rows)
    for k in range(d):
        column, slope = (
            vector(offset(x, k * stride), rows),
            vector(offset(slopes, k * stride), rows),
        )
        if k % classes == 0:
            total[:] = 0.0
            for j in range(k, k + classes):
                _add_to_total(
                    vector(offset(x, j * stride), rows), vector(offset(slopes, j * stride), rows),
                    rows, logarithms, total,
                )  # fmt: skip
        if logarithms:
            _of_logarithms(column, slope, total, rows, logit, own_slope)
        else:
            _of_proportions(column, slope, total, rows, logit, own_slope)
        grid = offset(grids, k * GRID)
        locate(logit, own_slope, rows, grid, logit, own_slope)
        target = vector(offset(out, index[k] * stride), rows)
        add_interpolated(as_floats(tables[k]), grid[CELLS], logit, own_slope, rows, target)
    total[0] = 0.0


@elementwise
def _add_to_total(x, slope, rows, logarithms, total):
    """``Σ x_j ∂f/∂x_j``, of logarithms slopes by them."""
    for t in range(rows):
        total[t] += slope[t] * (1.0 if logarithms else x[t])


@elementwise
def _of_proportions(x, slope, total, rows, logit, out):
    for t in range(rows):
        logit[t] = log(max(x[t], _LEAST)) - log(max(1.0 - x[t], _LEAST))
        out[t] = x[t] * (slope[t] - total[t])


@elementwise
def _of_logarithms(y, slope, total, rows, logit, out):
    for t in range(rows):
        logarithm = min(y[t], 0.0)
        logit[t] = logarithm - log(max(-expm1(logarithm), _LEAST))
        out[t] = slope[t] - exp_below(logarithm) * total[t]


def of_simplex(a: np.ndarray, others: np.ndarray, by: np.ndarray, *, logarithms: bool) -> Path:
    """The path of vectors of concentrations (m, K), of which others sum to ``others``.

    ``by`` is what one changes by with its parameter; samples may be ``logarithms``.
    """
    kept: dict[tuple[float, float], Tables] = {}
    keys = list(zip(a.ravel().tolist(), others.ravel().tolist(), strict=True))
    for key in keys:
        if key not in kept:
            kept[key] = tables_of(LogitBeta(*key), [0])
    columns = [kept[key].columns[0] * one for key, one in zip(keys, by.ravel(), strict=True)]
    grids = np.array([kept[key].grid for key in keys])
    addresses = [column.ctypes.data for column in columns]
    settings = np.array([a.shape[1], logarithms, *addresses], np.int64)
    return Path(_contract, (settings, grids), kept=columns)


__all__ = ["of_simplex"]
