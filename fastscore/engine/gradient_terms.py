"""What stands in place of ``f s``: terms whose mean is the gradient, too, made of other things.

Scores are written all the same: of mean zero, they are what a baseline regresses such terms on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastscore.engine import terms as layout
from fastscore.engine.jit import TileKernel


class GradientTerms:
    """Terms in place of ``f s``, as `Problem` takes them for a weighting.

    Parameters
    ----------
    contract : TileKernel
        Of signature `stages.CONTRACT`.
    data : sequence of ndarray
        Arrays whose addresses ``own`` holds from `stages.DATA_AT` on.
    terms : int
        Columns of terms that calls of f fill.
    name, what : str
        What messages call the terms, and what must be finite.
    direct : int
        Address of the tile function that writes all terms, if there is no ``evaluate``.
    prepare, evaluate : TileKernel, optional
        Of signatures `stages.PREPARE` and `stages.EVALUATE`.
    prepared : int
        Columns of terms before them, which ``prepare`` fills.
    kept : object
        What must live as long.
    """

    summed = False
    #: There are no sums of weights.
    slot = 0

    def __init__(
        self, contract: TileKernel, data: Sequence[np.ndarray], *, terms: int, name: str, what: str,
        direct: int = layout.NO_SWEEP, prepare: TileKernel | None = None,
        evaluate: TileKernel | None = None, prepared: int = 0, kept: Any = None,
    ) -> None:  # fmt: skip
        self.prepared, self.terms = prepared, prepared + terms
        self.name, self.what = name, what
        #: Columns of a workspace: one to work in, and the terms.
        self.columns = 1 + self.terms
        kernels = [0 if one is None else one.address for one in (prepare, evaluate, contract)]
        at = [array.ctypes.data for array in data]
        self._own = np.array([*kernels, prepared, *at], np.int64)
        self.table = np.zeros(layout.TABLE, np.int64)
        self.table[layout.EVALUATE_AT] = direct
        self.table[layout.TERMS] = self.terms
        self.table[layout.STAGES_AT] = self._own.ctypes.data
        self._kept = tuple(data), kept

    def centre(self, values: np.ndarray) -> None:
        """Nothing is subtracted from terms."""


__all__ = ["GradientTerms"]
