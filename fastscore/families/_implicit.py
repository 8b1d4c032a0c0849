"""Paths of coordinates whose samples are no closed function of randomness and parameters.

At fixed randomness the distribution function keeps its value, hence ``∂x/∂θ = −∂_θ F(x)/p(x)``,
and ``∂_θ F(x)`` is the integral of ``p s`` up to x [1]_.  It is tabulated at the door, from the
family's own density and score, so that one kernel serves all families.

A table is in a coordinate u in which densities fall at least exponentially, and logarithms and
powers of x are asymptotically linear: ``u = arsinh((y − m)/σ)``, y being x, its logarithm or
log-odds, as its support is, m its median and σ its spread.

.. [1] M. Figurnov, S. Mohamed and A. Mnih, Implicit reparameterization gradients, NeurIPS 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscore.engine.draw import draw_samples
from fastscore.engine.hyperbolic import arsinh
from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.stages import CONTRACT, DATA_AT
from fastscore.engine.vecmath import log
from fastscore.families._path import Path, add_affine

if TYPE_CHECKING:
    from fastscore.families._coordinates import Coordinates
    from fastscore.families._family import Family

# What the kernels read of a coordinate: how y is made of x, the ends of its support; m and 1/σ;
# where the table starts in u, cells per unit of u, and how many there are, 0 if there is no table.
GRID = 8
_LINK, _LOW, _HIGH, _MIDDLE, _PER_SPREAD, _START, _PER_STEP, CELLS = range(GRID)
_PLAIN, _ABOVE, _BELOW, _BETWEEN = range(4)
#: Stands for 0, whose logarithm is infinite.
_LEAST = 1e-300
#: Of two ends that are not 0, how near x is told from them.
_RESOLVED = 1e-12
#: Logarithms of how small densities are where tables and integrals end, and where tables must be
#: right, relative to that at the median.
_TABLE_ENDS, _INTEGRAL_ENDS, _RIGHT = 50.0, 88.0, 38.0
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_FEWEST, _ENOUGH, _MOST = 256, 1000, 8192
#: Relative to a value and to the largest one; halved steps divide errors by 16.
_TOLERANCE, _OF_LARGEST = 16 * 2e-9, 1e-3
#: From here on all is linear, but for ``(σ/y)² < 1e-14``.
_LINEAR = 18.0
#: Of integrals that should be 0.
_LEFT = 1e-8
_DRAWN = 400


@plain
def locate(x, slope, rows, grid, place, moved):
    """Where samples are in their table, in cells, and slopes by u."""
    link = int(grid[_LINK])
    if link == _PLAIN:
        _from_reals(x, slope, rows, place, moved)
    elif link == _ABOVE:
        _from_above(x, slope, rows, grid[_LOW], place, moved)
    elif link == _BELOW:
        _from_below(x, slope, rows, grid[_HIGH], place, moved)
    else:
        _from_between(x, slope, rows, grid[_LOW], grid[_HIGH], place, moved)
    _to_cells(place, moved, rows, grid[_MIDDLE], grid[_PER_SPREAD], grid[_START], grid[_PER_STEP])


@elementwise
def _from_reals(x, slope, rows, y, moved):
    for t in range(rows):
        y[t] = x[t]
        moved[t] = slope[t]


@elementwise
def _from_above(x, slope, rows, low, y, moved):
    for t in range(rows):
        above = max(x[t] - low, _LEAST)
        y[t] = log(above)
        moved[t] = slope[t] * above


@elementwise
def _from_below(x, slope, rows, high, y, moved):
    for t in range(rows):
        below = max(high - x[t], _LEAST)
        y[t] = -log(below)
        moved[t] = slope[t] * below


@elementwise
def _from_between(x, slope, rows, low, high, y, moved):
    for t in range(rows):
        above, below = max(x[t] - low, _LEAST), max(high - x[t], _LEAST)
        y[t] = log(above) - log(below)
        moved[t] = slope[t] * (above * below / (high - low))


@elementwise
def _to_cells(y, moved, rows, middle, per_spread, start, per_step):
    for t in range(rows):
        w = (y[t] - middle) * per_spread
        moved[t] *= math.sqrt(1.0 + w * w) / per_spread
        y[t] = (arsinh(w) - start) * per_step


@elementwise
def add_interpolated(table, cells, place, moved, rows, out):
    """Add slopes by u times ``∂u/∂θ``: a cubic in each cell, straight lines before and behind."""
    for t in range(rows):
        cell = math.floor(min(max(place[t], -1.0), cells))
        v = place[t] - cell
        at = 4 * (int(cell) + 1)
        cubic = table[at + 2] + v * table[at + 3]
        out[t] += moved[t] * (table[at] + v * (table[at + 1] + v * cubic))


@tile_kernel(CONTRACT)
def _along(own, params, x, slopes, rows, d, stride, index, out):
    columns, coefficients = as_integers(own[DATA_AT])[0], as_floats(own[DATA_AT + 1])
    tables, grids = as_integers(own[DATA_AT + 2]), as_floats(own[DATA_AT + 3])
    place, moved = np.empty(rows), np.empty(rows)
    for k in range(d):
        column, slope = (
            vector(offset(x, k * stride), rows),
            vector(offset(slopes, k * stride), rows),
        )
        grid = offset(grids, k * GRID)
        if grid[CELLS] > 0.0:
            locate(column, slope, rows, grid, place, moved)
        for j in range(k, columns, d):
            target = vector(offset(out, index[j] * stride), rows)
            if tables[j] == 0:
                constant, factor = coefficients[2 * j], coefficients[2 * j + 1]
                add_affine(constant, factor, column, slope, rows, target)
            else:
                add_interpolated(as_floats(tables[j]), grid[CELLS], place, moved, rows, target)


def along(p: Coordinates, closed: Sequence[tuple[Any, Any] | None]) -> Path:
    """The path of coordinates.

    Parameters
    ----------
    p : Coordinates
        The distribution.
    closed : sequence of (array_like, array_like) or None
        Of each parameter a and b with ``∂x/∂θ = a + b x``; None is taken from a table.
    """
    d, columns = p.d, p.index.size
    coefficients, grids = np.zeros((columns // max(d, 1), d, 2)), np.zeros((d, GRID))
    for c, column in enumerate(closed):
        if column is not None:
            coefficients[c, :, 0], coefficients[c, :, 1] = column
    wanted = [c for c, column in enumerate(closed) if column is None]
    at: np.ndarray = np.zeros((columns // max(d, 1), d), np.int64)
    kept: dict[Any, Tables] = {}
    for k in range(d if wanted else 0):
        given = at_coordinate(p, k)
        key = tuple(given.values())
        if key not in kept:
            kept[key] = tables_of(type(p)(**given), wanted)
        made = kept[key]
        grids[k] = made.grid
        at[wanted, k] = [table.ctypes.data for table in made.columns]
    data = np.array([columns]), coefficients.reshape(-1, 2), at.ravel(), grids
    return Path(_along, data, kept=kept)


def of_one(p: Family) -> Path:
    """The path of a distribution of one coordinate."""
    columns = p.index.size
    made = tables_of(p, range(columns))
    at = np.array([table.ctypes.data for table in made.columns])
    return Path(_along, (np.array([columns]), np.zeros((columns, 2)), at, made.grid), kept=made)


def at_coordinate(p: Family, k: int) -> dict[str, float]:
    """Parameters and constants of one coordinate."""
    given = {**p.parameters, **p.constants}
    shape = np.broadcast_shapes(*(np.shape(value) for value in given.values()))
    return {name: float(np.broadcast_to(value, shape).ravel()[k]) for name, value in given.items()}


@dataclass(frozen=True)
class Tables:
    """Tables of a coordinate: its `GRID`, and for each parameter four numbers to a cell."""

    grid: np.ndarray
    columns: list[np.ndarray]


class _Scale:
    """The coordinate u of a distribution of one coordinate."""

    def __init__(self, one: Family) -> None:
        support = one.support_set
        self.one, self.low, self.high = one, float(support.low[0]), float(support.high[0])
        bounded = math.isfinite(self.low), math.isfinite(self.high)
        self.link = {
            (False, False): _PLAIN, (True, False): _ABOVE, (False, True): _BELOW,
            (True, True): _BETWEEN,
        }[bounded]  # fmt: skip
        y = self._y(draw_samples(one, _DRAWN, 0)[:, 0])
        # Of the core alone, which heavy tails leave narrow; of normals a standard deviation.
        lower, self.middle, upper = np.quantile(y, [0.4, 0.5, 0.6])
        self.spread = (upper - lower) / 0.507

    def _y(self, x: np.ndarray) -> np.ndarray:
        if self.link == _PLAIN:
            return x
        up = np.log(np.maximum(x - self.low, _LEAST)) if math.isfinite(self.low) else 0.0
        down = np.log(np.maximum(self.high - x, _LEAST)) if math.isfinite(self.high) else 0.0
        return np.asarray(up - down)

    def at(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x, and ``log dx/du``."""
        y = self.middle + self.spread * np.sinh(u)
        stretch = np.log(self.spread) + np.logaddexp(u, -u) - math.log(2)
        if self.link == _PLAIN:
            return y, stretch
        if self.link == _ABOVE:
            return self.low + np.exp(y), y + stretch
        if self.link == _BELOW:
            return self.high - np.exp(-y), stretch - y
        width, closer = self.high - self.low, np.exp(-np.abs(y))
        near, far = closer / (1 + closer), 1 / (1 + closer)
        x = np.where(y < 0, self.low + width * near, self.high - width * near)
        return x, math.log(width) + np.log(near) + np.log(far) + stretch

    def log_density(self, u: np.ndarray) -> np.ndarray:
        """That of u, −∞ where x cannot be told from an end of its support."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            x, stretch = self.at(u)
            value = self.one.log_density(x[:, None]) + stretch
            resolved = np.isfinite(x) & np.isfinite(value)
            for end in (self.low, self.high):
                if math.isfinite(end):
                    resolved &= abs(x - end) > max(_RESOLVED * abs(end), _LEAST)
        return np.where(resolved, value, -np.inf)

    def scores(self, u: np.ndarray) -> np.ndarray:
        """Natural scores, (rows, C)."""
        return self.one.natural_scores_of(self.at(u)[0][:, None])

    def ends(self, *falls: float) -> list[tuple[float, float]]:
        """Where the density of u has fallen so far from that at 0, on both sides."""
        steps = np.concatenate([np.arange(160) / 4, 40 * 1.1 ** np.arange(32)])
        both = self.log_density(np.concatenate([-steps, steps])).reshape(2, -1)
        level = both[0, 0]

        def end(side: int, fall: float) -> float:
            first = _first_below(both[side], level - fall)
            finer = np.linspace(steps[first], steps[first + 1], 33)
            sign = (-1.0, 1.0)[side]
            return sign * float(finer[_first_below(self.log_density(sign * finer), level - fall)])

        return [(end(0, fall), end(1, fall)) for fall in falls]


def _first_below(values: np.ndarray, level: float) -> int:
    """The place before the first one that is not above a level, or the last but one."""
    low = ~(values > level)
    return max(int(np.argmax(low)), 1) - 1 if low.any() else len(values) - 2


def tables_of(one: Family, wanted: Sequence[int]) -> Tables:
    """Tables of some parameters of a distribution of one coordinate.

    Raises
    ------
    ValueError
        If its density or score is beyond what float64 resolves.
    """
    try:
        return _tables_of(one, wanted)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"estimator='pathwise': {one!r} is so extreme that float64 does not resolve how its "
            "samples move, take 'score'"
        ) from error


def _tables_of(one: Family, wanted: Sequence[int]) -> Tables:
    scale = _Scale(one)
    ends, far = scale.ends(_TABLE_ENDS, _INTEGRAL_ENDS)
    ends = tuple(np.clip(ends, -_LINEAR, _LINEAR))
    cells, before = _FEWEST, math.inf
    while True:
        step = (ends[1] - ends[0]) / cells
        first, values, density, left = _integrated(scale, ends, far, step, wanted)
        values, density = (a[..., first : first + cells + 1] for a in (values, density))
        error = max(_error(values, density), left / _LEFT)
        # Where x is hardly told from an end of its support, it is rounding that remains.
        rounding = cells > _ENOUGH and error > before / 4
        if error <= 1 or rounding or cells >= _MOST:
            break
        cells, before = 2 * cells, error
    grid = np.array([
        scale.link, scale.low, scale.high, scale.middle, 1 / scale.spread, ends[0], 1 / step, cells,
    ])  # fmt: skip
    return Tables(grid, [_cubics(column) for column in values])


def _error(values: np.ndarray, density: np.ndarray) -> float:
    """How far cubics through every other value are off those between, in units of tolerance."""
    from scipy.interpolate import CubicSpline

    at = np.arange(values.shape[1])
    found = CubicSpline(at[::2], values[:, ::2], axis=1)(at)
    matters = density > density.max() - _RIGHT
    error, size = np.abs(found - values)[:, matters], np.abs(values[:, matters])
    most = _TOLERANCE * (size + _OF_LARGEST * size.max(axis=1, keepdims=True))
    return float(np.max(error / most))


def _cubics(values: np.ndarray) -> np.ndarray:
    """Coefficients of each cell, from its start, and of a line on either side."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(np.arange(len(values)), values)
    out = np.zeros((len(values) + 1, 4))
    out[1:-1] = spline.c[::-1].T
    for row, end in ((0, 0), (-1, len(values) - 1)):
        out[row, :2] = values[end], spline(end, 1)
    out[0, 0] -= out[0, 1]  # it starts a cell before
    return np.ascontiguousarray(out)


def _integrated(
    scale: _Scale, ends: Sequence[float], far: Sequence[float], step: float, wanted: Sequence[int]
) -> Any:
    """The edge at which the table starts; of all edges ``∂u/∂θ`` and the log-density; and what is
    left of integrals, relative to those of absolute values, that should be 0."""
    before, behind = (math.ceil(abs(b - a) / step) for a, b in zip(ends, far, strict=True))
    cells = round((ends[1] - ends[0]) / step)
    edges = ends[0] + step * np.arange(-before, cells + behind + 1)
    inner = (edges[:-1, None] + step / 2 * (1 + _POINTS)).ravel()
    level = scale.log_density(np.zeros(1))[0]
    inside, at_edges = (scale.log_density(u) - level for u in (inner, edges))
    with np.errstate(invalid="ignore", over="ignore"):
        scores = np.where(np.isfinite(inside), scale.scores(inner)[:, wanted].T, 0.0)
    terms = (np.exp(inside) * scores).reshape(len(wanted), -1, len(_POINTS)) * (step / 2 * _WEIGHTS)
    cell, size = terms.sum(axis=2), np.abs(terms).sum(axis=2)
    values = np.array([_from_nearer_tail(*both) for both in zip(cell, size, strict=True)])
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        values = -values / np.exp(at_edges)
    left = np.max(np.abs(cell.sum(axis=1)) / size.sum(axis=1))
    return before, values, at_edges, float(left)


def _from_nearer_tail(cell: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Integrals up to the edges of cells: as all of it is 0, from the tail with less in it.

    A tail beyond the last cell, where x cannot be told from an end, falls as it did.
    """
    left, right = np.cumsum(cell), np.cumsum(cell[::-1])[::-1]
    up = np.concatenate([[0.0], left]) + _beyond(cell)
    down = np.concatenate([right, [0.0]]) + _beyond(cell[::-1])
    lighter = np.concatenate([[0.0], np.cumsum(size)]) < size.sum() / 2
    return np.where(lighter, up, -down)


def _beyond(cell: np.ndarray) -> float:
    """What is missing before the first cell: the rest of a geometric series."""
    some = cell[np.flatnonzero(cell)[:3]]
    if len(some) < 3:
        return 0.0
    ratio = some[1] / some[2]
    return float(some[0] * ratio / (1 - ratio)) if 0 < ratio < 1 else 0.0


__all__ = [
    "CELLS",
    "GRID",
    "add_interpolated",
    "along",
    "at_coordinate",
    "locate",
    "tables_of",
]
