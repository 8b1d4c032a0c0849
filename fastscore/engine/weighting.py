"""Which terms weigh which score columns, as the kernels in ``terms`` take it, and their sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscore.cached import cached
from fastscore.engine import terms
from fastscore.engine.launch import reference_value
from fastscore.engine.moments import Moments, sums_of_others


class Weighting:
    """Weights that are sums of terms, each for score columns of its own.

    Parameters
    ----------
    depends : ndarray of bool, of shape (terms, d)
        Which terms depend on each coordinate.
    owners : ndarray
        Natural score column -> coordinate; its weight sums the terms that depend on it.
    index : ndarray
        Natural score column -> parameter entry.
    size : int
        Number of parameter entries.
    evaluate : int
        Address of the tile function that writes the terms, or `blocks.GIVEN`.
    summed : bool
        Whether f is the sum of all terms.
    """

    def __init__(
        self, depends: np.ndarray, owners: np.ndarray, index: np.ndarray, size: int, *,
        evaluate: int, summed: bool,
    ) -> None:  # fmt: skip
        self.terms, self.size, self.summed = len(depends), size, summed
        self.index = index
        # By the number of terms, so that a weight may go on from the one before.
        sums, which = _distinct_columns(depends)
        order = np.argsort(sums.sum(axis=1), kind="stable")
        sums, self.owner = sums[order], np.argsort(order)[which[owners]]
        fresh = np.ones(len(sums), bool)
        fresh[1:] = (sums[:-1] & ~sums[1:]).any(axis=1)
        added = sums.copy()
        added[1:] &= ~sums[:-1] | fresh[1:, None]
        self.depends = sums
        self.references = np.zeros(len(sums))
        shared = size < index.size
        #: Columns of a workspace: one to work in, the terms, natural scores.
        self.columns = 1 + self.terms + (index.size if shared else 0)
        #: What the table has addresses of.
        self._kept = {
            terms.FRESH_AT: fresh.astype(np.int64),
            terms.TERMS_END_AT: np.cumsum(added.sum(axis=1)),
            terms.TERMS_AT: np.ascontiguousarray(np.nonzero(added)[1]),
            terms.COLUMNS_END_AT: np.cumsum(np.bincount(self.owner, minlength=len(sums))),
            terms.COLUMNS_AT: np.argsort(self.owner, kind="stable"),
            terms.REFERENCES_AT: self.references,
            terms.ENTRIES_AT: np.asarray(index, dtype=np.int64),
        }
        if shared:
            self._kept[terms.NATURAL_AT] = np.arange(index.size)
        self.table = np.zeros(terms.TABLE, np.int64)
        self.table[terms.EVALUATE_AT] = evaluate
        self.table[terms.TERMS], self.table[terms.SUMMED] = self.terms, summed
        self.table[terms.WEIGHTS], self.table[terms.COLUMNS] = len(sums), index.size
        for at, array in self._kept.items():
            self.table[at] = array.ctypes.data

    #: Terms that are drawn: none.
    prepared = 0

    @property
    def name(self) -> str:
        """What messages call the terms."""
        return "f" if self.summed else "conditional"

    @property
    def what(self) -> str:
        """What must be finite."""
        return "f" if self.summed else "f or its conditional expectation"

    @property
    def slot(self) -> int:
        """Further doubles of a block's sums: of each weight."""
        return len(self.references)

    def centre(self, values: np.ndarray) -> None:
        """Choose the references by some values (terms, rows).

        Weights of columns that share an entry have a common one: it cancels only with the whole
        score of that entry.
        """
        from scipy.sparse import csr_array

        sums = csr_array(self.depends, dtype=float) @ values[:, np.isfinite(values).all(axis=0)]
        if sums.shape[1]:
            self.references[:] = np.sort(sums, axis=1)[:, sums.shape[1] // 2]
        for own in self._alike:
            self.references[own] = reference_value(self.references[own])

    @cached
    def _alike(self) -> list[np.ndarray]:
        """Weights whose columns share entries, directly or through others."""
        if self.size == self.index.size:
            return []
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = len(self.references)
        shape = (count + self.size,) * 2
        pairs = np.ones(self.index.size), (self.owner, count + self.index)
        parts, label = connected_components(coo_array(pairs, shape=shape), directed=False)
        which = [np.flatnonzero(label[:count] == part) for part in range(parts)]
        return [own for own in which if own.size > 1]

    def of_entries(self, by_weight: np.ndarray) -> np.ndarray:
        """The mean, over an entry's natural columns, of what there is of weights, (…, weights)."""
        out = np.zeros((*by_weight.shape[:-1], self.size))
        np.add.at(out.T, self.index, by_weight.T[self.owner])
        return out / np.bincount(self.index, minlength=self.size)

    def moments(self, sums: np.ndarray, reference: float) -> WeightedMoments:
        """The sums of a run, as an estimate takes them."""
        means = self.slot
        return WeightedMoments(
            sums[:, :-means], reference, self.of_entries(self.references),
            self.of_entries(sums[:, -means:]),
        )  # fmt: skip


def _distinct_columns(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those of a boolean matrix, in rows, and which of them each is."""
    packed = np.ascontiguousarray(np.packbits(matrix, axis=0).T)
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    return matrix.T[first], which


@dataclass(frozen=True)
class WeightedMoments(Moments):
    """Moments in which each entry's F has weights of its own.

    Attributes
    ----------
    references : ndarray of shape (P,)
        What was subtracted from the weights of each entry.
    weights_by_fold : ndarray of shape (folds, P)
        Sums of what was left of them.
    """

    references: np.ndarray
    weights_by_fold: np.ndarray
    of_samples = False

    @property
    def subtracted(self) -> np.ndarray:
        """The references."""
        return self.references

    @cached
    def means_of_others(self) -> np.ndarray:
        """Means of each entry's weight in all folds but each, (folds, P); that of 0 if none."""
        others = sums_of_others(self.units[:, None])
        sums = sums_of_others(self.weights_by_fold)
        means = np.broadcast_to(-self.references, sums.shape).copy()
        return np.divide(sums, others, out=means, where=others > 0)

    def about(self, reference: float) -> Moments:
        """The same about one reference for all entries."""
        shift = self.references - reference
        s, f, ss, fs, ff = np.moveaxis(self.scores, 1, 0)
        scores = np.stack(
            [s, f + shift * s, ss, fs + shift * ss, ff + 2 * shift * fs + shift**2 * ss], axis=1
        )
        sums = self.sums.copy()
        sums[:, -scores[0].size :] = scores.reshape(len(sums), -1)
        weights = self.weights_by_fold + shift * self.units[:, None]
        return WeightedMoments(sums, self.reference, np.full_like(shift, reference), weights)


__all__ = ["WeightedMoments", "Weighting"]
