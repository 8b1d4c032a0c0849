"""Which coordinates are summed out given the others, as the kernels in ``sweeps`` take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastscore.engine import sweeps, terms
from fastscore.engine.moments import Moments


@dataclass(frozen=True)
class Coordinate:
    """A coordinate that is summed out.

    Attributes
    ----------
    at : int
        Which.
    values : ndarray of int64, of shape (K,)
        Its values.
    columns : ndarray of int64, of shape (C,)
        Its natural score columns.
    coefficients : ndarray of shape (C, K)
        Probability times score of each value.
    """

    at: int
    values: np.ndarray
    columns: np.ndarray
    coefficients: np.ndarray


class Local:
    """Local expectations, in the place of a `Weighting`.

    Parameters
    ----------
    coordinates : list of Coordinate
        Those that are summed out.
    index : ndarray
        Natural score column -> parameter entry.
    """

    summed = False
    #: What messages call the terms, and how many are drawn.
    name, prepared = "f", 0
    #: What must be finite.
    what = "f, there or at another value of an enumerated coordinate,"
    #: There are no sums of weights.
    slot = 0

    def __init__(self, coordinates: list[Coordinate], index: np.ndarray) -> None:
        self.terms = sum(one.values.size for one in coordinates)
        #: Columns of a workspace: one to work in, f by value, natural scores.
        self.columns = 1 + self.terms + index.size
        own = np.concatenate([one.columns for one in coordinates])
        others = np.setdiff1d(np.arange(index.size), own)
        sweep = {
            sweeps.COORDINATES_AT: np.array([one.at for one in coordinates]),
            sweeps.VALUES_END_AT: np.cumsum([one.values.size for one in coordinates]),
            sweeps.VALUES_AT: np.concatenate([one.values for one in coordinates]),
            sweeps.OWN_END_AT: np.cumsum([one.columns.size for one in coordinates]),
            sweeps.OWN_AT: own,
            sweeps.COEFFICIENTS_AT: np.concatenate([c.coefficients.ravel() for c in coordinates]),
            sweeps.OTHERS_AT: others,
        }
        self._sweep = np.zeros(sweeps.TABLE, np.int64)
        self._sweep[sweeps.COORDINATES], self._sweep[sweeps.OTHERS] = len(coordinates), len(others)
        for at, array in sweep.items():
            self._sweep[at] = array.ctypes.data
        entries, natural = np.asarray(index, dtype=np.int64), np.arange(index.size)
        self.table = np.zeros(terms.TABLE, np.int64)
        self.table[terms.SWEEP_AT] = self._sweep.ctypes.data
        self.table[terms.TERMS], self.table[terms.COLUMNS] = self.terms, index.size
        self.table[terms.ENTRIES_AT] = entries.ctypes.data
        self.table[terms.NATURAL_AT] = natural.ctypes.data
        #: What tables have addresses of.
        self._kept = sweep, entries, natural

    def centre(self, values: np.ndarray) -> None:
        """Nothing is subtracted but f of the first value."""

    def moments(self, sums: np.ndarray, reference: float) -> Moments:
        """The sums of a run, as an estimate takes them."""
        return Moments(sums, reference)


__all__ = ["Coordinate", "Local"]
