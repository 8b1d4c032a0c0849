"""Proposals and their weights, packed as the kernels of ``units`` take them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine.alias import ENTRY, alias_table
from fastscore.engine.jit import TileKernel
from fastscore.engine.units import layout
from fastscore.engine.units.block import run_units


@dataclass(frozen=True)
class Mixture:
    """Whence the samples of a unit come, and what they weigh.

    Attributes
    ----------
    target : Family
        The distribution of the expectation.
    proposals : sequence of Family
        Those that samples are drawn from.
    counts : ndarray
        Samples of each in a unit; of a random mixture its probabilities, and a unit is a sample.
    random : bool
        Whether each sample draws its proposal at random.
    heuristic : TileKernel
        The log-weights, see ``heuristics``.
    options : sequence of float
        The heuristic's own.
    log_clip : float
        The largest log-weight.
    controls : int
        How many proposals have a control column ``q_j/q̄ − 1``.
    weight_control : bool
        Whether the unit's weight is one more.
    normalized : bool
        Whether sums are to be divided by that of the weights.
    tail : int
        How many of the largest weights are kept.
    terms_tail : int
        How many of the units' largest terms are kept.
    chosen : ndarray or None
        Score entries whose terms these are, all by default.
    details : bool
        Whether sums of scores are kept apart for each proposal.
    """

    target: Any
    proposals: Sequence[Any]
    counts: np.ndarray
    random: bool
    heuristic: TileKernel
    options: Sequence[float] = ()
    log_clip: float = math.inf
    controls: int = 0
    weight_control: bool = False
    normalized: bool = False
    tail: int = 0
    terms_tail: int = 0
    chosen: np.ndarray | None = None
    details: bool = False

    @property
    def draws(self) -> int:
        """Samples of a unit, M."""
        return 1 if self.random else int(self.counts.sum())

    @property
    def parts(self) -> int:
        """Proposals for which sums are kept apart."""
        return 1 if self.random else len(self.proposals)

    @property
    def controlled(self) -> bool:
        """Whether there are control variates, which know the weights themselves only."""
        return bool(self.controls or self.weight_control)

    @property
    def control_columns(self) -> int:
        """Columns whose products with all sums are kept: the controls, and always the weight."""
        return self.controls + 1 if self.controlled or self.normalized else 0

    @property
    def columns(self) -> int:
        """Columns of a workspace."""
        return layout.mixture_columns(len(self.proposals), self.target.size, self.controls)

    @property
    def slot(self) -> int:
        """Doubles of a slot behind the score's sums."""
        size, rows = self.target.size, self.control_columns
        return layout.mixture_slot(self.parts, self.details, size, self.controls, rows)

    @property
    def log_weight_column(self) -> int:
        """Of the mixture's columns that of the log-weights."""
        return len(self.proposals) + 2

    @cached
    def own(self) -> np.ndarray:
        """Which proposal each draw of a unit comes from."""
        count = len(self.proposals)
        return np.zeros(1, int) if self.random else np.repeat(np.arange(count), self.counts)

    @cached
    def _packed_options(self) -> np.ndarray:
        return np.array([self.log_clip, *np.log(self.counts), *self.options], dtype=np.float64)

    @cached
    def _arrays(self) -> dict[str, np.ndarray]:
        """What the table has addresses of."""
        aliases = np.empty(ENTRY * len(self.proposals), np.uint64)
        if self.random:
            alias_table(np.asarray(self.counts, dtype=np.float64), aliases)
        groups: dict[Any, tuple[list[int], list[int]]] = {}
        for column, family in enumerate([*self.proposals, self.target]):
            packed, columns = groups.setdefault(family.log_probs_kernel, ([], []))
            packed.append(family.packed_at)
            columns.append(column)
        lists = [np.array(values) for group in groups.values() for values in group]
        return {
            "draws": self.own,
            "aliases": aliases,
            "samplers": np.array([q.sample_kernel.address for q in self.proposals]),
            "packed": np.array([q.packed_at for q in self.proposals]),
            "groups": np.array(
                [
                    [kernel.address, lists[2 * g].ctypes.data,
                     lists[2 * g + 1].ctypes.data, len(lists[2 * g])]
                    for g, kernel in enumerate(groups)
                ]
            ),
            "options": self._packed_options,
            "chosen": np.arange(self.target.size) if self.chosen is None else self.chosen,
        } | {f"list {i}": values for i, values in enumerate(lists)}  # fmt: skip

    @property
    def _adding(self) -> int:
        """The target's kernel that adds weighted scores, which knows no shared parameters."""
        kernel = self.target.add_weighted_kernel
        return 0 if kernel is None or self.target.shares else int(kernel.address)

    @cached
    def _base(self) -> np.ndarray:
        """The table, but for what a problem knows."""
        at = {name: array.ctypes.data for name, array in self._arrays.items()}
        return np.array(
            [
                self.draws, at["draws"], self.random, at["aliases"], at["samplers"], at["packed"],
                len(self.proposals), len(self._arrays["groups"]), at["groups"],
                self.heuristic.address, at["options"], self.parts, self.controls,
                self.control_columns - self.controls, 0, 0, self.tail, self._adding,
                self.details, self.terms_tail, run_units.address, at["chosen"],
                len(self._arrays["chosen"]),
            ],
            dtype=np.int64,
        )  # fmt: skip

    def table(self, slot: int, tail_at: int) -> np.ndarray:
        """What the kernels read, given a slot's size and where a workspace has the tail."""
        table = self._base.copy()
        table[layout.SLOT], table[layout.TAIL_AT] = slot, tail_at
        return table
