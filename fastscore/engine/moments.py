"""The mergeable state of an estimate: sums over units, by fold.

A *unit* is the smallest independent set of samples; here each sample is one.  ``F_u`` and
``S_u`` are the unit's means of ``w s`` (plus the direct term) and of the score s, where
``w = f - reference``.  A *fold* is a union of units chosen by index alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from fastscore.cached import cached
from fastscore.engine.blocks import COUNT, HEADER, NONFINITE, SUM_W, SUM_WW
from fastscore.engine.mixture import Mixture
from fastscore.engine.units import layout


def sums_of_others(folds: np.ndarray) -> np.ndarray:
    """For each fold the sum of the others: not all less its own, where a fold that dominates would
    leave nothing but its rounding errors."""
    before, after = np.zeros_like(folds), np.zeros_like(folds)
    np.cumsum(folds[:-1], axis=0, out=before[1:])
    np.cumsum(folds[:0:-1], axis=0, out=after[-2::-1])
    return before + after


@dataclass(frozen=True)
class Moments:
    """Sums of one run.

    Attributes
    ----------
    sums : ndarray of shape (folds, HEADER + 5 P)
        Per fold: the header, then five rows of P sums: S, F, S², F S, F².
    reference : float
        What was subtracted from f.
    """

    sums: np.ndarray
    reference: float
    #: Whether F is made of other things than ``w s``, so that nothing was subtracted in it.
    in_place: bool = field(default=False, kw_only=True)
    #: Whether a unit is a sample, so that F = V S, and a leave-one-out mean only scales it.
    of_samples: ClassVar[bool] = True

    @property
    def w(self) -> float:
        """Σ w."""
        return float(self.total[SUM_W])

    @property
    def ww(self) -> float:
        """Σ w²."""
        return float(self.total[SUM_WW])

    @property
    def value(self) -> float:
        """Mean of f."""
        return float(self.reference + self.w / self.n)

    @property
    def value_stderr(self) -> float:
        """Its standard error; NaN for a single unit."""
        if self.n < 2:
            return float("nan")
        spread = max(self.ww - self.w * self.w / self.n, 0.0)
        return float(np.sqrt(spread / (self.n * (self.n - 1))))

    @property
    def scores(self) -> np.ndarray:
        """Σ S, Σ F, Σ S², Σ F S and Σ F², of shape (folds, 5, P)."""
        return self.sums[:, HEADER:].reshape(len(self.sums), 5, -1)

    @cached
    def total(self) -> np.ndarray:
        """The header summed over folds."""
        return self.sums[:, :HEADER].sum(axis=0)

    @property
    def units(self) -> np.ndarray:
        """Units of each fold."""
        return self.sums[:, COUNT]

    @property
    def weights(self) -> np.ndarray:
        """What Σ w of each fold is divided by for its mean."""
        return self.units

    @property
    def subtracted(self) -> Any:
        """What was subtracted from f in F: one for all entries, or of each."""
        return 0.0 if self.in_place else self.reference

    @cached
    def means_of_others(self) -> np.ndarray:
        """Mean of w in all folds but each; that of f = 0 if there is nothing in them.

        It is what an optimum is drawn to: 0 where there is no ``w s``.
        """
        if self.in_place:
            return np.zeros(len(self.sums))
        w, others = sums_of_others(np.array([self.w_by_fold, self.weights]).T).T
        means = np.full(len(w), -self.reference)
        return np.divide(w, others, out=means, where=others > 0)

    @property
    def w_by_fold(self) -> np.ndarray:
        """Σ w of each fold."""
        return self.sums[:, SUM_W]

    @property
    def ww_by_fold(self) -> np.ndarray:
        """Σ w² of each fold."""
        return self.sums[:, SUM_WW]

    @property
    def n(self) -> int:
        """Units in all folds."""
        return int(self.total[COUNT])

    @property
    def nonfinite(self) -> int:
        """Non-finite values of f met."""
        return int(self.total[NONFINITE])

    @property
    def finite(self) -> bool:
        """Whether all sums are."""
        return math.isfinite(self.sums.sum()) or bool(np.isfinite(self.sums).all())

    @property
    def samples(self) -> int:
        """Samples in all units."""
        return self.n

    @property
    def folded(self) -> Moments:
        """With folds to cross-fit over."""
        return self


@dataclass(frozen=True)
class CountedMoments(Moments):
    """Moments of counts, all in one fold, which are split into folds when these are needed.

    Attributes
    ----------
    split : callable
        Gives the sums by fold.
    """

    split: Callable[[], np.ndarray]

    @cached
    def folded(self) -> Moments:
        """With folds to cross-fit over."""
        return Moments(self.split(), self.reference)


@dataclass(frozen=True)
class ExactMoments:
    """Value and gradient without an error, from ``n`` outcomes."""

    value: float
    grad: np.ndarray
    n: int
    value_stderr: float = 0.0
    nonfinite: int = 0

    @property
    def samples(self) -> int:
        """Outcomes."""
        return self.n

    @property
    def finite(self) -> bool:
        """Whether value and gradient are."""
        return math.isfinite(self.value + self.grad.sum())


@dataclass(frozen=True)
class UnitMoments(Moments):
    """Sums over units of several draws, see ``units``.

    Attributes
    ----------
    scheme : Scheme
        How a unit's samples come about.
    """

    scheme: Any
    of_samples: ClassVar[bool] = False

    @property
    def size(self) -> int:
        """Entries of the score, P."""
        return int(self.scheme.target.size)

    @property
    def samples(self) -> int:
        """Samples in all units."""
        return self.n * int(self.scheme.draws)

    @property
    def scores(self) -> np.ndarray:
        """Σ S, Σ F, Σ S², Σ F S and Σ F², of shape (folds, 5, P)."""
        return self.sums[:, HEADER : self._extras].reshape(len(self.sums), 5, -1)

    @property
    def _extras(self) -> int:
        return HEADER + 5 * self.size

    @property
    def _parts_end(self) -> int:
        """Where the sums of controls start."""
        scheme = self.scheme
        width = 3 + 2 * self.size + scheme.known
        return self._rows_end - scheme.control_columns * width

    @property
    def _rows_end(self) -> int:
        """Where those of controls times scores start."""
        scheme, by_score = self.scheme, self.scheme.functions.by_score
        width = layout.of_score_control(scheme.known, by_score)
        return self.sums.shape[1] - by_score * width * self.size

    def extra(self, which: int) -> np.ndarray:
        """ΣW, ΣW² or ΣWV of the units of each fold."""
        return np.asarray(self.sums[:, self._extras + which])

    @cached
    def controls(self) -> np.ndarray:
        """Of each control, then the weight and the value, if these are wanted: its sum and those of
        its products with S, F, V, W and the controls, of shape (folds, C, 1 + 2 P + 2 +
        controls)."""
        rows = self.sums[:, self._parts_end : self._rows_end]
        return rows.reshape(len(self.sums), self.scheme.control_columns, -1)

    @cached
    def score_controls(self) -> np.ndarray:
        """Of each control times scores H: its sum and those of its products with S, F, W, controls
        and the other H of the same entry, of shape (folds, B, 4 + controls + B, P)."""
        scheme = self.scheme
        by_score = scheme.functions.by_score
        width = layout.of_score_control(scheme.known, by_score)
        return self.sums[:, self._rows_end :].reshape(len(self.sums), by_score, width, self.size)

    def without_odd(self) -> UnitMoments:
        """With exact zeros for what cancels within a pair: no coefficient may fit its rounding."""
        scheme, functions = self.scheme, self.scheme.functions
        if not scheme.odd.size and functions.odd is None:
            return self
        out = replace(self, sums=self.sums.copy())
        out.scores[:, [[0], [2], [3]], scheme.odd] = 0.0
        if functions.odd is not None:
            at = np.flatnonzero(functions.odd)
            out.controls[:, at] = 0.0
            out.controls[:, :, 3 + 2 * self.size + at] = 0.0
            out.score_controls[:, :, 4 + at] = 0.0
            j, k = np.nonzero(functions.odd_by_score)
            out.score_controls[:, j, :, k] = 0.0
            out.score_controls[:, :, 4 + scheme.known + j, k] = 0.0
        return out


@dataclass(frozen=True)
class ImportanceMoments(UnitMoments):
    """The same of importance sampling.

    Attributes
    ----------
    largest : ndarray
        The largest log-weights, in descending order.
    largest_terms : ndarray
        The largest logarithms of the units' ‖F‖, in descending order.
    level : float
        What all weights in ``raw`` are divided by, in steps of 256 bits.
    raw : ndarray
        The sums at that level, which neither over- nor underflow.
    """

    largest: np.ndarray
    largest_terms: np.ndarray
    level: float
    raw: np.ndarray

    @property
    def mixture(self) -> Mixture:
        """Whence samples come."""
        mixture: Mixture = self.scheme
        return mixture

    @property
    def weights(self) -> np.ndarray:
        """ΣW of each fold."""
        return self.extra(layout.WEIGHT)

    @cached
    def _parts(self) -> np.ndarray:
        parts = self.raw[:, self._extras + layout.EXTRAS : self._parts_end]
        return parts.reshape(len(parts), self.mixture.parts, -1)

    @property
    def weights_by_part(self) -> np.ndarray:
        """ΣW, ΣW², ΣV, ΣV² of each proposal's samples, of shape (folds, parts, 4), at level."""
        return self._parts[:, :, : layout.PART]

    @property
    def scores_by_part(self) -> np.ndarray:
        """Σ S, F, S², F S, F² and W s² of the samples of each proposal, of shape (folds, parts, 6,
        P), at level."""
        parts = self._parts[:, :, layout.PART :]
        return parts.reshape(*parts.shape[:2], layout.SUMS, -1)

    @property
    def extreme(self) -> bool:
        """Whether weights are so large or small that their squares might over- or underflow."""
        top = self.largest[:1]
        return bool((np.isfinite(top) & (np.abs(top) > layout.STEP / 2)).any())

    @property
    def mean_weight(self) -> float:
        """Of the units; 1 is expected."""
        return float(self.extra(layout.WEIGHT).sum() / self.n * self._weight_scale)

    @property
    def mean_weight_stderr(self) -> float:
        """Its standard error."""
        mean = self.extra(layout.WEIGHT).sum() / self.n
        squares = self.extra(layout.WEIGHT_SQUARED).sum()
        return self._stderr(squares, mean) * self._weight_scale

    @property
    def level_scale(self) -> float:
        """What all weights in ``raw`` are divided by; 1 unless they are extreme."""
        return float(2.0 ** np.clip(256.0 * self.level, -1100, 1023))

    @property
    def _weight_scale(self) -> float:
        return 1.0 if self.mixture.controlled else self.level_scale

    @property
    def scale(self) -> float:
        """What results of the sums are to be multiplied by: of a ratio it cancels."""
        return 1.0 if self.mixture.normalized else self._weight_scale

    @property
    def value(self) -> float:
        """Mean of ``Σ W f``."""
        return float(self._value * self.scale)

    @property
    def _value(self) -> float:
        return float((self.w + self.reference * self.extra(layout.WEIGHT).sum()) / self.n)

    @property
    def value_stderr(self) -> float:
        """Its standard error."""
        weight = self.extra(layout.WEIGHT_SQUARED).sum()
        crossed, r = self.extra(layout.WEIGHT_VALUE).sum(), self.reference
        return self._stderr(self.ww + 2 * r * crossed + r * r * weight, self._value) * self.scale

    def _stderr(self, squares: float, mean: float) -> float:
        if self.n < 2:
            return math.nan
        spread = max(squares - self.n * mean**2, 0.0)
        return float(np.sqrt(spread / (self.n * (self.n - 1))))
