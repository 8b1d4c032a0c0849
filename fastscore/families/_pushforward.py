"""Distributions of ``x = T(z)``, z from a `base` and T a bijection: pushforwards.

A run without proposals samples z, and takes scores of z, which are those of x: only f needs T.
So nothing is lost where x rounds, overflows or underflows.  The kernels here serve the rest, with
x itself: densities are those of z, times ``|dz/dx|``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine import stages
from fastscore.engine.blocks import (
    LOG_PROBS,
    SAMPLE,
    SCORE,
    forward_tile,
    inverse_tile,
    log_probs_tile,
    sample_tile,
    score_tile,
)
from fastscore.engine.jit import TileKernel, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, pointer, vector
from fastscore.engine.stages import CONTRACT, DATA_AT
from fastscore.families._family import Family, Source
from fastscore.families._path import Path

# `packed` holds addresses: of the base's kernels and of what it has packed, of those of T and its
# parameters.
_SAMPLE_AT, _SCORE_AT, _LOG_PROBS_AT, _BASE_AT, _FORWARD_AT, _INVERSE_AT, _PARAMS_AT = range(7)


@tile_kernel(SAMPLE)
def _sample(params, stream, scratch, x, rows, d, stride):
    at = as_integers(params)
    z = np.empty(d * stride)  # in place LLVM would not vectorise T
    sample_tile(
        at[_SAMPLE_AT], (as_floats(at[_BASE_AT]), stream, scratch, pointer(z), rows, d, stride)
    )
    forward_tile(at[_FORWARD_AT], (as_floats(at[_PARAMS_AT]), pointer(z), rows, d, stride, x))
    z[0] = 0.0  # it lives until here


@tile_kernel(SCORE)
def _score(params, x, rows, d, stride, index, s):
    at = as_integers(params)
    z, log_det = np.empty(d * stride), np.zeros(rows)
    inverse_tile(
        at[_INVERSE_AT],
        (as_floats(at[_PARAMS_AT]), x, rows, d, stride, pointer(z), pointer(log_det)),
    )
    score_tile(at[_SCORE_AT], (as_floats(at[_BASE_AT]), pointer(z), rows, d, stride, index, s))
    z[0] = log_det[0] = 0.0  # both live until here


@tile_kernel(LOG_PROBS)
def _log_probs(packed, columns, count, x, rows, d, stride, out):
    z, log_det = np.empty(d * stride), np.empty(rows)
    base = np.empty(1, np.int64)
    for j in range(count):
        at = as_integers(packed[j])
        log_det[:] = 0.0
        inverse_tile(
            at[_INVERSE_AT],
            (as_floats(at[_PARAMS_AT]), x, rows, d, stride, pointer(z), pointer(log_det)),
        )
        base[0] = at[_BASE_AT]
        log_probs_tile(
            at[_LOG_PROBS_AT],
            (pointer(base), offset(columns, j), 1, pointer(z), rows, d, stride, out),
        )
        log_prob = vector(offset(out, columns[j] * stride), rows)
        for t in range(rows):
            log_prob[t] += log_det[t]
    z[0] = base[0] = 0


@tile_kernel(CONTRACT)
def _contract(own, params, x, slopes, rows, d, stride, index, out):
    """That of z, made of x."""
    at = as_integers(params)
    z, log_det = np.empty(d * stride), np.zeros(rows)
    inverse_tile(
        at[_INVERSE_AT],
        (as_floats(at[_PARAMS_AT]), x, rows, d, stride, pointer(z), pointer(log_det)),
    )
    table = as_integers(own[DATA_AT])[0]
    stages.contract(table, as_floats(at[_BASE_AT]), pointer(z), slopes, rows, d, stride, index, out)
    z[0] = log_det[0] = 0.0  # both live until here


class Pushforward(Family):
    """A distribution of ``x = T(z)``.

    Attributes
    ----------
    base : Family
        Of z, with the same parameters.
    """

    sample_kernel = _sample
    score_kernel = _score
    log_probs_kernel = _log_probs
    #: T, and its inverse with ``log|dz/dx|``.
    forward_kernel: TileKernel
    inverse_kernel: TileKernel

    base: Family

    def _push(self, base: Family) -> None:
        """Take a base's parameters."""
        self.base = base
        self.parameters: Mapping[str, np.ndarray] = base.parameters
        self.d, self.size, self.index = base.d, base.size, base.index
        self.moving = base.moving
        self.fisher_estimated = base.fisher_estimated

    @cached
    def map_params(self) -> np.ndarray:
        """Parameters of T, as its kernels take them."""
        return np.zeros(1)

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        base = self.base
        addresses = [
            base.sample_kernel.address, base.score_kernel.address, base.log_probs_kernel.address,
            base.packed_at, self.forward_kernel.address, self.inverse_kernel.address,
            self.map_params.ctypes.data,
        ]  # fmt: skip
        return np.array(addresses, dtype=np.int64).view(np.float64)

    @property
    def source(self) -> Source:
        """z, of which f sees T(z)."""
        at = self.map_params.ctypes.data
        return Source(self.base, self.forward_kernel, at, dtype=self.dtype)

    @property
    def own_path(self) -> Path:
        """That of z, from x."""
        path = self.path
        return Path(_contract, (np.array([path.table.ctypes.data]),), path.still, path)

    def free(self, name: str) -> int:
        """Number of free entries of a parameter."""
        return self.base.free(name)

    def shaped(self, name: str, values: np.ndarray, *, scaled: bool = True) -> np.ndarray:
        """Derivatives by the free entries of a parameter, in its shape."""
        return self.base.shaped(name, values, scaled=scaled)

    @property
    def underflows(self) -> bool:
        """Whether samples of the base may underflow."""
        return self.base.underflows

    def fisher(self) -> Any:
        """Fisher information, (P, P): that of the base."""
        return self.base.fisher()

    def require_score(self) -> None:
        """Raise a ValueError where the base has no score."""
        self.base.require_score()


__all__ = ["Pushforward"]
