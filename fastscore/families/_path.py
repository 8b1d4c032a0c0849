"""How samples move with the parameters while their randomness stays: ``∂x/∂θ``.

Of natural score column j the coordinate ``k = owners[j]`` moves by ``∂x_k/∂θ_j``, of which the
kernels make ``Σ_k ∂f/∂x_k ∂x_k/∂θ_j``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscore.engine.jit import TileKernel, elementwise, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.stages import CONTRACT, DATA_AT


@dataclass(frozen=True)
class Path:
    """A path of samples.

    Attributes
    ----------
    kernel : TileKernel
        Of signature `stages.CONTRACT`, whose terms are the derivatives of f, (d, rows).
    data : tuple of ndarray
        What it reads.
    """

    kernel: TileKernel
    data: tuple[np.ndarray, ...]


@tile_kernel(CONTRACT)
def _affine(own, params, x, slopes, rows, d, stride, index, out):
    owners, coefficients = as_integers(own[DATA_AT]), as_floats(own[DATA_AT + 1])
    for j in range(as_integers(own[DATA_AT + 2])[0]):
        at = owners[j] * stride
        _add_affine(
            coefficients[2 * j], coefficients[2 * j + 1], vector(offset(x, at), rows),
            vector(offset(slopes, at), rows), rows, vector(offset(out, index[j] * stride), rows),
        )  # fmt: skip


@elementwise
def _add_affine(constant, factor, x, slope, rows, out):
    for t in range(rows):
        out[t] += slope[t] * (constant + factor * x[t])


def affine(owners: np.ndarray, constant: np.ndarray, factor: np.ndarray) -> Path:
    """``∂x/∂θ_j = constant_j + factor_j x``, as of locations and scales."""
    coefficients = np.ascontiguousarray(np.stack([constant, factor], axis=1), dtype=float)
    return Path(_affine, (np.asarray(owners, np.int64), coefficients, np.array([len(owners)])))


def of_location_and_scale(loc: np.ndarray, unit: np.ndarray) -> Path:
    """``∂x/∂loc = 1`` and ``∂x/∂η = z dσ/dη``, of coordinates ``loc + σ z``."""
    d = len(loc)
    return affine(
        np.tile(np.arange(d), 2), np.concatenate([np.ones(d), -loc * unit]),
        np.concatenate([np.zeros(d), unit]),
    )  # fmt: skip


__all__ = ["Path", "affine", "of_location_and_scale"]
