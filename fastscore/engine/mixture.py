"""Proposals and their weights, packed as the kernels of ``units`` take them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine.alias import ENTRY, alias_table
from fastscore.engine.jit import TileKernel
from fastscore.engine.scheme import Scheme
from fastscore.engine.units import layout


@dataclass(frozen=True, kw_only=True)
class Mixture(Scheme):
    """Proposals, in exact proportion, and what their samples weigh.

    Attributes
    ----------
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
    chosen : ndarray or None
        Score entries whose terms these are, all by default.
    detailed : bool
        Whether sums of scores are kept apart for each proposal.
    """

    proposals: Sequence[Any]
    counts: np.ndarray
    random: bool
    heuristic: TileKernel
    options: Sequence[float] = ()
    log_clip: float = math.inf
    chosen: np.ndarray | None = None
    detailed: bool = False

    @property
    def sources(self) -> int:  # type: ignore[override]
        """Proposals."""
        return len(self.proposals)

    @property
    def details(self) -> bool:
        """Whether sums of scores are kept apart for each proposal."""
        return self.detailed

    @property
    def draws(self) -> int:
        """Samples of a unit, M."""
        return 1 if self.random else int(self.counts.sum())

    @property
    def parts(self) -> int:
        """Proposals for which sums are kept apart."""
        return 1 if self.random else len(self.proposals)

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

    def _fields(self) -> Mapping[int, Any]:
        at = {name: array.ctypes.data for name, array in self._arrays.items()}
        return {
            layout.RANDOM: self.random,
            layout.ALIAS_AT: at["aliases"],
            layout.SAMPLERS_AT: at["samplers"],
            layout.PACKED_AT: at["packed"],
            layout.PROPOSALS: len(self.proposals),
            layout.GROUPS: len(self._arrays["groups"]),
            layout.GROUPS_AT: at["groups"],
            layout.WEIGH_AT: self.heuristic.address,
            layout.OPTIONS_AT: at["options"],
            layout.CHOSEN_AT: at["chosen"],
            layout.CHOSEN: len(self._arrays["chosen"]),
        }
