"""How samples move with the parameters while their randomness stays: ``∂x/∂θ``.

Of natural score column j the kernels make ``Σ_k ∂f/∂x_k ∂x_k/∂θ_j``.  A family's own path is of
its own tiles; where f sees another space than is drawn on, slopes by x become slopes by z first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscore.engine import stages
from fastscore.engine.blocks import forward_tile
from fastscore.engine.draw import draw_samples
from fastscore.engine.jit import TileKernel, elementwise, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.stages import CONTRACT, CONTRACT_AT, DATA_AT

if TYPE_CHECKING:
    from fastscore.families._family import Family, Source

#: Samples that tell whether a map rises or falls.
_FEW = 16


@dataclass(frozen=True)
class Path:
    """A path of samples.

    Attributes
    ----------
    kernel : TileKernel
        Of signature `stages.CONTRACT`, whose terms are the derivatives of f, (d, rows); it may
        overwrite them.
    data : tuple of ndarray
        What it reads.
    still : tuple of (ndarray, str)
        Natural score columns along which samples do not move smoothly, and why.
    kept : object
        What must live as long.
    """

    kernel: TileKernel
    data: tuple[np.ndarray, ...]
    still: tuple[tuple[np.ndarray, str], ...] = ()
    kept: Any = None
    #: What the kernel is given as ``own`` by another one.
    table: np.ndarray = field(init=False, compare=False)

    def __post_init__(self) -> None:
        at = np.zeros(DATA_AT + len(self.data), np.int64)
        at[CONTRACT_AT] = self.kernel.address
        at[DATA_AT:] = [array.ctypes.data for array in self.data]
        object.__setattr__(self, "table", at)


@tile_kernel(CONTRACT)
def _affine(own, params, x, slopes, rows, d, stride, index, out):
    owners, coefficients = as_integers(own[DATA_AT]), as_floats(own[DATA_AT + 1])
    for j in range(as_integers(own[DATA_AT + 2])[0]):
        at = owners[j] * stride
        add_affine(
            coefficients[2 * j], coefficients[2 * j + 1], vector(offset(x, at), rows),
            vector(offset(slopes, at), rows), rows, vector(offset(out, index[j] * stride), rows),
        )  # fmt: skip


@elementwise
def add_affine(constant, factor, x, slope, rows, out):
    """Add slopes times ``constant + factor x``."""
    for t in range(rows):
        out[t] += slope[t] * (constant + factor * x[t])


def affine(owners: np.ndarray, constant: np.ndarray, factor: np.ndarray) -> Path:
    """``∂x_k/∂θ_j = constant_j + factor_j x_k`` with ``k = owners[j]``, as of scales."""
    coefficients = np.ascontiguousarray(np.stack([constant, factor], axis=1), dtype=float)
    return Path(_affine, (np.asarray(owners, np.int64), coefficients, np.array([len(owners)])))


def of_location_and_scale(loc: np.ndarray, unit: np.ndarray) -> Path:
    """``∂x/∂loc = 1`` and ``∂x/∂η = z dσ/dη``, of coordinates ``loc + σ z``."""
    d = len(loc)
    return affine(
        np.tile(np.arange(d), 2), np.concatenate([np.ones(d), -loc * unit]),
        np.concatenate([np.zeros(d), unit]),
    )  # fmt: skip


@tile_kernel(CONTRACT)
def _chained(own, params, z, slopes, rows, d, stride, index, out):
    at, signs = as_integers(own[DATA_AT]), as_floats(own[DATA_AT + 1])
    forward_tile(at[0], (as_floats(at[1]), z, rows, d, stride, slopes))
    for k in range(d):
        if signs[k] < 0.0:
            _negate(vector(offset(slopes, k * stride), rows), rows)
    stages.contract(at[2], params, z, slopes, rows, d, stride, index, out)


@elementwise
def _negate(column, rows):
    for t in range(rows):
        column[t] = -column[t]


def chained(source: Source) -> Path:
    """That of what f sees of a source's tiles, from their own."""
    path, kernel = source.family.own_path, source.kernel
    if kernel is None:
        return path
    if kernel.derivative is None:
        raise ValueError(
            f"estimator='pathwise': the map from the draws of {source.family!r} to x has no "
            "derivative here, take 'score'"
        )
    z = draw_samples(source.family, _FEW, 0)
    x, every = source.forward(z), np.arange(z.shape[1])
    falls = x[np.argmax(z, axis=0), every] < x[np.argmin(z, axis=0), every]
    at = np.array([kernel.derivative.address, source.params_at, path.table.ctypes.data], np.int64)
    data = at, np.where(falls, -1.0, 1.0)
    return Path(_chained, data, path.still, (source, path))


#: Numbers of each part: the address of its table, that of what its family has packed, its first
#: coordinate, their number, and its first natural score column.
_PART = 5


@tile_kernel(CONTRACT)
def _side_by_side(own, params, x, slopes, rows, d, stride, index, out):
    parts = as_integers(own[DATA_AT])
    for i in range(parts[0]):
        part = offset(parts, 1 + i * _PART)
        first = part[2] * stride
        stages.contract(
            part[0], as_floats(part[1]), offset(x, first), offset(slopes, first), rows, part[3],
            stride, offset(index, part[4]), out,
        )  # fmt: skip


def side_by_side(families: Sequence[Family]) -> Path:
    """Those of independent families, of which some may have none."""
    rows: list[list[int]] = []
    still: list[tuple[np.ndarray, str]] = []
    kept: list[Any] = []
    first = column = 0
    for p in families:
        columns = column + np.arange(p.index.size)
        try:
            path, source = p.path, p.source
        except ValueError as error:
            still.append((columns, str(error)))
        else:
            at = path.table.ctypes.data, source.family.packed_at
            rows.append([*at, first, p.d, column])
            still += [(columns[own], why) for own, why in path.still]
            kept += [path, source]
        first, column = first + p.d, column + p.index.size
    if not rows:
        raise ValueError(still[0][1])
    data = np.array([len(rows), *np.ravel(rows)], np.int64)
    return Path(_side_by_side, (data,), tuple(still), kept)


__all__ = [
    "Path", "add_affine", "affine", "chained", "of_location_and_scale", "side_by_side",
]  # fmt: skip
