"""What importance weights tell of an estimate, and what each proposal does for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine.moments import ImportanceMoments
from fastscore.engine.units.layout import STEP
from fastscore.importance import psis
from fastscore.pictures import pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Effective samples below which standard errors mean little.
_FEW = 100
#: Part of all weight beyond which one sample decides.
_DOMINATES = 0.1
#: Standard errors by which the mean weight may be off 1.
_OFF = 4.5
#: Part of the samples that are effective, from which on the tail of weights is of no concern.
_EVEN = 0.5


@dataclass(frozen=True, repr=False)
class Diagnostics:
    """Of the importance weights ``W`` of a run, of mean 1 over its samples.

    Attributes
    ----------
    counts : ndarray
        Samples of each proposal, p's own last if it has a share; of a random mixture those
        expected.
    pareto_k : float
        Shape of the generalised Pareto distribution fitted to the largest weights [1]_; infinite
        where these are too few to tell.
    threshold : float
        Above it averages are not to be trusted: ``min(1 − 1/log₁₀ n, 0.7)`` [1]_.
    partial : tuple of int
        Proposals that miss part of p's support.

    References
    ----------
    .. [1] A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry, Pareto smoothed importance
       sampling, JMLR 25 (2024).
    """

    moments: ImportanceMoments
    coefficients: np.ndarray
    chosen: np.ndarray
    partial: tuple[int, ...]
    replay: Callable[[], ImportanceMoments] | None = None

    @property
    def n(self) -> int:
        """Samples."""
        return self.moments.samples

    @property
    def counts(self) -> np.ndarray:
        """Samples of each proposal."""
        return np.asarray(self.moments.mixture.counts * self.moments.n)

    @cached
    def _weights(self) -> np.ndarray:
        """ΣW, ΣW², ΣV, ΣV² of each proposal."""
        return self.moments.weights_by_part.sum(axis=0)

    @cached
    def ess(self) -> float:
        """Effective sample size, ``(ΣW)²/ΣW²``; 0 if all weights are."""
        total, squares = self._weights[:, 0].sum(), self._weights[:, 1].sum()
        return float(total**2 / squares) if squares > 0 else 0.0

    @cached
    def _detailed(self) -> ImportanceMoments:
        """Sums of scores for each proposal, for which the samples are run once more."""
        if self.moments.mixture.details:
            return self.moments
        if self.replay is None:
            raise RuntimeError(
                "the run was interrupted, and cannot be repeated to sum scores for each proposal: "
                "run it to its end"
            )
        return self.replay()

    @cached
    def ess_by_coordinate(self) -> np.ndarray:
        """Samples of p that would tell the mean of each chosen score entry as well.

        ``n E[W s²] / E[W² s²]``, of which `ess` is the case s = 1.  The samples are drawn, and f
        evaluated, once more for it.
        """
        parts = self._detailed.scores_by_part.sum(axis=(0, 1))[:, self.chosen]
        squares, spread = parts[2], parts[5]
        scale = self._weights[:, 0].sum()
        out = np.zeros_like(spread)
        return np.divide(scale * spread, squares, out=out, where=squares > 0)

    @cached
    def tail(self) -> np.ndarray:
        """The largest log-weights kept, in descending order."""
        return np.asarray(self.moments.largest + math.log(self.moments.mixture.draws))

    @cached
    def pareto_k(self) -> float:
        """Shape of the tail of weights."""
        return psis.pareto_k(self.tail, self.n)

    @cached
    def pareto_k_terms(self) -> float:
        """Shape of the tail of what is averaged, the units' ``‖Σ W (f − ref) s‖``.

        Near 0.7 error bars are too small already (above 0.5 there is no variance in the limit);
        weights may have heavier tails where f is zero, and lighter ones where it is large.
        """
        return psis.pareto_k(self.moments.largest_terms, self.moments.n)

    @property
    def threshold(self) -> float:
        """Largest shape with which an average can be trusted."""
        return psis.threshold(self.n)

    @cached
    def largest_share(self) -> float:
        """Part that the largest weight has of all; 0 if there is none."""
        total = self._weights[:, 0].sum()
        if not total > 0:
            return 0.0
        level = self.moments.level * STEP
        return float(np.exp(self.moments.largest[0] - level) / total)

    @property
    def mean_weight(self) -> float:
        """Of all weights; 1 is expected."""
        return self.moments.mean_weight

    @property
    def mean_weight_stderr(self) -> float:
        """Its standard error."""
        return self.moments.mean_weight_stderr

    @property
    def weight_share(self) -> np.ndarray:
        """Part that each proposal's samples have of all weight."""
        total = self._weights[:, 0]
        return np.divide(total, total.sum(), out=np.zeros_like(total), where=total.sum() > 0)

    @cached
    def _terms(self) -> tuple[np.ndarray, np.ndarray]:
        """Σ (F − b S) and Σ (F − b S)² of each proposal, of shape (parts, chosen)."""
        s, f, ss, fs, ff, _ = np.moveaxis(self._detailed.scores_by_part[..., self.chosen], 2, 0)
        b = self.coefficients[:, None, :]
        factor = self.moments.level_scale
        first = (f - b * s).sum(axis=0) * factor
        second = (ff - 2 * b * fs + b * b * ss).sum(axis=0) * factor * factor
        return first, second

    @property
    def contribution(self) -> np.ndarray:
        """What each proposal's samples add to the gradient (before control variates are taken
        off), of shape (proposals, entries); of sums as `ess_by_coordinate` needs."""
        return self._terms[0] / self.moments.n

    @property
    def variance(self) -> np.ndarray:
        """What they add to its variance, of the same shape."""
        first, second = self._terms
        drawn = self.n if self.moments.mixture.random else self.counts[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            within = np.maximum(second - first**2 / drawn, 0.0) * drawn / (drawn - 1)
        return np.asarray(within / self.moments.n**2)

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the estimate and its error bars."""
        return not self.warnings

    @cached
    def warnings(self) -> tuple[str, ...]:
        """In words, what speaks against them."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[str]:
        if self.ess == 0:
            yield "every weight is zero: no sample reached where p has its mass"
            return
        if self.ess < min(_FEW, self.n / 2):
            yield f"{self.n:,} samples are worth {self.ess:.3g} of p's own"
        if self.largest_share > _DOMINATES and self.n > 2 / _DOMINATES:
            yield f"one sample has {self.largest_share:.0%} of all weight"
        if self.pareto_k > self.threshold and self.ess < _EVEN * self.n:
            yield (
                f"the weights' tail is too heavy: Pareto k = {self.pareto_k:.2f}, above "
                f"{self.threshold:.2f}"
            )
        most = psis.threshold(self.moments.n)
        if most < self.pareto_k_terms < math.inf:
            yield (
                "what is averaged has too heavy a tail for its error bars: Pareto k = "
                f"{self.pareto_k_terms:.2f}, above {most:.2f}"
            )
        off = abs(self.mean_weight - 1)
        clipped = self.moments.mixture.log_clip < math.inf
        if not clipped and off > _OFF * self.mean_weight_stderr + 1e-9:
            yield (
                f"the mean weight is {self.mean_weight:.3g}, and 1 is expected: samples miss a "
                "part of p, where f may be anything"
            )

    def __repr__(self) -> str:
        verdict = "trusted" if self.trusted else "NOT to be trusted: " + "; ".join(self.warnings)
        return (
            f"<Diagnostics of {self.n:,} weighted samples: ESS {self.ess:,.0f}, Pareto k "
            f"{self.pareto_k:.2f}, largest weight {self.largest_share:.2%} of all, {verdict}>"
        )

    def plot(self, axes: Any = None) -> Any:
        """Draw the largest weights, and each proposal's share of samples, weight and variance.

        Parameters
        ----------
        axes : pair of matplotlib Axes, optional
            Where to draw; a new figure by default.

        Raises
        ------
        ImportError
            If matplotlib is not installed: ``pip install 'fastscore[plot]'``.
        """
        if axes is None:
            _, axes = pyplot().subplots(1, 2, figsize=(9, 3.5), layout="constrained")
        self._plot_tail(axes[0])
        self._plot_shares(axes[1])
        return axes

    def _plot_tail(self, ax: Axes) -> None:
        kept = self.tail[np.isfinite(self.tail)]
        ax.plot(np.arange(1, len(kept) + 1), kept / math.log(10), ".", markersize=3)
        ax.set_xscale("log")
        ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        ax.set_xlabel("rank of the weight")
        ax.set_ylabel("log₁₀ weight (mean 1)")
        ax.set_title(f"ESS {self.ess:,.0f} of {self.n:,}, Pareto k {self.pareto_k:.2f}")

    def _plot_shares(self, ax: Axes) -> None:
        variance = self.variance.sum(axis=1)
        total = variance.sum()
        shares = {"weight": self.weight_share}
        if total > 0:
            shares["variance"] = variance / total
        if not self.moments.mixture.random:
            shares = {"samples": self.counts / self.n, **shares}
        at = np.arange(self.moments.mixture.parts)
        width = 0.8 / len(shares)
        for i, (name, values) in enumerate(shares.items()):
            ax.bar(at + (i - (len(shares) - 1) / 2) * width, values, width, label=name)
        ax.set_xticks(at)
        ax.set_xlabel("proposal")
        ax.set_ylabel("share")
        ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
