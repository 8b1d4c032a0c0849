"""Families of independent counts: tables to draw from, and sums over their outcomes."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fastscore.cached import cached
from fastscore.engine.bin_tables import BinTables
from fastscore.engine.outcomes import of_each
from fastscore.families._coordinates import HEADER, Coordinates


class Counts(Coordinates):
    """Counts from 0 on, whose records have a field ``table``, which is made from the density."""

    @abstractmethod
    def _shape(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the probabilities turn from rising to falling or the other way round, and an
        outcome beyond which all others together are below 2^-66, each (d,)."""

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read; a table has the address of its own record in it."""
        packed = super().packed
        records = packed[HEADER:].reshape(self.d, -1)
        new = np.append(True, np.any(records[1:] != records[:-1], axis=1))
        self._tables = BinTables(
            self.log_probs_kernel.address, laws_at(self, packed), new, *self._shape()
        )
        records[:, self.fields.index("table")] = self._tables.addresses
        return packed


def laws_at(p: Coordinates, packed: np.ndarray) -> np.ndarray:
    """Addresses of what kernels take for a family of one of the coordinates, (d,)."""
    return packed.ctypes.data + 8 * len(p.fields) * np.arange(p.d)


def at_outcomes(p: Coordinates, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (d, M) and natural scores (d, C, M), of each coordinate, of x (M,)."""
    log_probs, scores = np.empty((p.d, len(x))), np.empty((p.d, p.scores, len(x)))
    of_each(
        p.score_kernel.address, p.log_probs_kernel.address, laws_at(p, p.packed),
        x.astype(np.int64), log_probs, scores,
    )  # fmt: skip
    return log_probs, scores


def summed_information(p: Coordinates, last: int) -> np.ndarray:
    """``E[s sᵀ]`` of each coordinate, (C, C, d), summed over outcomes up to the last."""
    total, step = np.zeros((p.scores, p.scores, p.d)), max(1, 2**16 // p.d)
    for start in range(0, last + 1, step):
        log_probs, s = at_outcomes(p, np.arange(start, min(start + step, last + 1)))
        total += np.einsum("km,kim,kjm->ijk", np.exp(log_probs), s, s)
    return total


__all__ = ["Counts", "at_outcomes", "summed_information"]
