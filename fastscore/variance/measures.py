"""Measure-valued derivatives: differences of f between two values of a coordinate.

G. Ch. Pflug, Optimization of Stochastic Models, Kluwer 1996; S. Mohamed, M. Rosca, M. Figurnov and
A. Mnih, Monte Carlo gradient estimation in machine learning, JMLR 21 (2020), section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastscore.engine import measures as kernels
from fastscore.engine.measures import ASIDE, FLIP, MIRROR, NONE, TRIAL
from fastscore.families import Family
from fastscore.families._measures import Measures, measures_of
from fastscore.variance.differences import DifferenceTerms


class MeasureTerms(DifferenceTerms):
    """A difference of f for each natural score column that is wanted.

    Parameters
    ----------
    p, drawn : Family
        The distribution, and that of tiles: its source's.
    wanted : ndarray
        Entries of the score.

    Raises
    ------
    ValueError
        If an entry has no such derivative here.
    """

    def __init__(self, p: Family, drawn: Family, wanted: np.ndarray) -> None:
        rules, chosen = required(p, drawn, wanted)
        columns = np.flatnonzero(chosen & (rules.numbers[:, kernels.COEFFICIENT] != 0))
        kinds = rules.kind[columns]
        ends = np.cumsum(np.where(kinds == ASIDE, 2, 1))
        self.rules = np.empty((len(columns), kernels.INTEGERS), np.int64)
        self.rules[:, kernels.COORDINATE] = rules.owners[columns]
        self.rules[:, kernels.KIND], self.rules[:, kernels.LAW] = kinds, rules.law[columns]
        self.rules[:, kernels.COLUMN] = columns
        self.rules[:, kernels.FIRST] = ends - np.where(kinds == ASIDE, 2, 1)
        super().__init__(
            kernels.contract, (self.rules, rules.numbers[columns], np.array([len(columns)])),
            terms=len(columns), name="f", what="f, there or at another value of a coordinate,",
            prepare=kernels.prepare, evaluate=kernels.evaluate,
            prepared=max(1, ends.max(initial=0)), kept=p,
        )  # fmt: skip

    def called(self, f: Callable[[np.ndarray], Any]) -> Callable[..., np.ndarray]:
        """The differences of a NumPy-style f of samples."""

        def at(x: np.ndarray, drawn: np.ndarray, values: np.ndarray) -> np.ndarray:
            words = drawn.view(np.int64)
            changed = x.copy()
            column = changed.view(np.int64).T

            def f_with(k: int, other: int) -> np.ndarray:
                column[k] = words[:, other]
                out = np.asarray(f(changed.copy()))
                column[k] = x.view(np.int64)[:, k]
                return out

            out = np.empty((len(x), len(self.rules)))
            for i, rule in enumerate(self.rules):
                k, kind, first = (
                    int(rule[at]) for at in (kernels.COORDINATE, kernels.KIND, kernels.FIRST)
                )
                base = f_with(k, first + 1) if kind == ASIDE else values
                out[:, i] = f_with(k, first) - base
                if kind in (FLIP, TRIAL, MIRROR):
                    own, other = x[:, k], drawn[:, first]
                    if kind != MIRROR:
                        own, other = x.view(np.int64)[:, k], words[:, first]
                    out[:, i] *= np.where(other > own, 1, -1)
            return out

        return at


def required(p: Family, drawn: Family, wanted: np.ndarray) -> tuple[Measures, np.ndarray]:
    """Rules of all natural score columns, and which of these are wanted.

    Raises
    ------
    ValueError
        If one of them has none.
    """
    rules, chosen = measures_of(drawn), np.isin(p.index, wanted)
    kind = rules.kind
    names = np.repeat(list(p.parameters), [p.free(name) for name in p.parameters])[p.index]
    missing = set(names[chosen & (kind == NONE)])
    if not missing:
        return rules, chosen
    known = [name for name in p.parameters if not (kind[names == name] == NONE).any()]
    other = f"take wrt={known!r}, or 'score'" if known else "take 'score'"
    name = next(name for name in p.parameters if name in missing)
    raise ValueError(
        f"estimator='measure' knows no measure-valued derivative of {p!r} by {name}: {other}"
    )


__all__ = ["MeasureTerms", "required"]
