"""How the samples of a unit come about, packed as the kernels of ``units`` take it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastscore.cached import cached
from fastscore.engine.control_functions import NO_FUNCTIONS, ControlFunctions
from fastscore.engine.tiles import Tiling, unit_tiling
from fastscore.engine.units import layout
from fastscore.engine.units.patterns import orthogonal_columns


@dataclass(frozen=True, kw_only=True)
class Scheme(ABC):
    """What a unit consists of.

    Attributes
    ----------
    target : Family
        The distribution of the expectation, or of its source.
    functions : ControlFunctions
        Whose means are known.
    """

    target: Any
    functions: ControlFunctions = NO_FUNCTIONS

    #: Proposals, and of them those that have a control column, ``q_j/q̄ − 1``.
    sources: ClassVar[int] = 0
    controls: int = 0
    #: Whether the unit's weight is one more control.
    weight_control: bool = False
    #: Whether sums are to be divided by that of the weights.
    normalized: bool = False
    #: How many of the largest weights, and of the units' largest terms, are kept.
    tail: int = 0
    terms_tail: int = 0

    @property
    @abstractmethod
    def draws(self) -> int:
        """Samples of a unit, M."""

    @property
    def parts(self) -> int:
        """Proposals for which sums are kept apart."""
        return 1

    @property
    def pattern(self) -> int:
        """Which pattern the draws of a unit have."""
        return layout.IMPORTANCE

    @property
    def pattern_columns(self) -> int:
        """Columns of a workspace for it."""
        return 0

    @property
    def controlled(self) -> bool:
        """Whether there are control variates, which know the weights themselves only."""
        return bool(self.controls or self.weight_control or self.functions)

    @property
    def _weight_row(self) -> bool:
        """Whether products of the weight with all sums are kept."""
        return bool(
            self.controls or self.weight_control or self.normalized or self.functions.by_value
        )

    @property
    def control_columns(self) -> int:
        """Columns whose products with all sums are kept: controls, the weight, the value."""
        return self.known + self._weight_row + self.functions.by_value

    @property
    def known(self) -> int:
        """Controls, of proposals and functions."""
        return self.controls + len(self.functions)

    @property
    def details(self) -> bool:
        """Whether sums of scores are kept apart for each proposal."""
        return False

    @property
    def columns(self) -> int:
        """Columns of a workspace."""
        return self.pattern_columns + layout.unit_columns(
            self.sources, self.target.size, self.controls, len(self.functions),
            self.functions.by_score,
        )  # fmt: skip

    @property
    def slot(self) -> int:
        """Doubles of a slot behind the score's sums."""
        return layout.unit_slot(
            self.parts, self.details, self.target.size, self.known, self.control_columns,
            self.functions.by_score,
        )  # fmt: skip

    @property
    def log_weight_column(self) -> int:
        """Of the scheme's columns that of the log-weights."""
        return self.sources + 2

    @property
    def value_columns(self) -> slice:
        """Those of the control functions' values."""
        return slice(self.sources + 4, self.sources + 4 + len(self.functions))

    @cached
    def own(self) -> np.ndarray:
        """Which proposal each draw of a unit comes from."""
        return np.zeros(self.draws, int)

    @property
    def _adding(self) -> int:
        """The target's kernel that adds weighted scores, which knows no shared parameters."""
        kernel = self.target.add_weighted_kernel
        return 0 if kernel is None or self.target.shares else int(kernel.address)

    def _fields(self) -> Mapping[int, Any]:
        """Entries of the table beside those that all have."""
        return {}

    @cached
    def _base(self) -> np.ndarray:
        """The table, but for what a problem knows."""
        functions = self.functions
        table = np.zeros(layout.MIXTURE, np.int64)
        fields = {
            layout.DRAWS: self.draws,
            layout.DRAWS_AT: self.own.ctypes.data,
            layout.PARTS: self.parts,
            layout.CONTROLS: self.controls,
            layout.TARGET: self._weight_row,
            layout.TAIL: self.tail,
            layout.ADD_AT: self._adding,
            layout.DETAILS: self.details,
            layout.TERMS_TAIL: self.terms_tail,
            layout.PATTERN: self.pattern,
            layout.STORE: self.pattern_columns,
            layout.FUNCTIONS: len(functions),
            layout.FUNCTIONS_AT: functions.packed.ctypes.data,
            layout.BY_SCORE: functions.by_score,
            layout.MEANS_AT: functions.packed_means.ctypes.data,
            layout.GRADIENTS_AT: functions.packed_gradients.ctypes.data,
            layout.VALUE_ROW: functions.by_value,
            **self._fields(),
        }
        for at, value in fields.items():
            table[at] = value
        return table

    def table(self, slot: int, tail_at: int) -> np.ndarray:
        """What the kernels read, given a slot's size and where a workspace has the tail."""
        table = self._base.copy()
        table[layout.SLOT], table[layout.TAIL_AT] = slot, tail_at
        return table


@dataclass(frozen=True, kw_only=True)
class Pattern(Scheme):
    """Draws of the target itself, which may make up for each other.

    Attributes
    ----------
    kind : int
        Which pattern, see ``layout``.
    count : int
        Draws of a unit.
    centre, spread : ndarray or None
        Of the target's coordinates: about what a pair mirrors, what makes a Gaussian standard.
    odd : ndarray of int
        Score entries that are 0 in the mean of a pair, whatever rounding leaves of them.
    """

    kind: int = layout.INDEPENDENT
    count: int = 1
    centre: np.ndarray | None = None
    spread: np.ndarray | None = None
    odd: np.ndarray = field(default_factory=lambda: np.empty(0, int))

    @property
    def draws(self) -> int:
        """Samples of a unit, M."""
        return self.count

    @property
    def pattern(self) -> int:
        """Which pattern the draws of a unit have."""
        return self.kind

    @property
    def pattern_columns(self) -> int:
        """Columns of a workspace for it."""
        if self.kind == layout.STRATIFIED:
            return int(self.target.words)
        return orthogonal_columns(self.target.d) if self.kind == layout.ORTHOGONAL else 0

    def _fields(self) -> Mapping[int, Any]:
        vectors = {layout.CENTRE_AT: self.centre, layout.SPREAD_AT: self.spread}
        fields = {at: 0 if v is None else v.ctypes.data for at, v in vectors.items()}
        family = self.target
        fused = self.kind == layout.ANTITHETIC and not family.shares
        if fused and family.accumulate_kernel is not None and family.finish_kernel is None:
            fields[layout.ACCUMULATE_PAIR_AT] = family.accumulate_kernel.address
            fields[layout.IS_ODD_AT] = self.is_odd.ctypes.data
        return fields

    @cached
    def is_odd(self) -> np.ndarray:
        """Whether each score entry is odd."""
        return np.isin(np.arange(self.target.size), self.odd).astype(np.int64)


def cut_of(scheme: Scheme, units: int) -> Tiling:
    """Blocks of units."""
    pattern = None if scheme.pattern == layout.IMPORTANCE else scheme.pattern_columns
    return unit_tiling(units, scheme.target.d, scheme.draws, scheme.slot, pattern)
