"""The result: value and gradient with their standard errors, and how they print and plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastscore.cached import cached
from fastscore.engine.moments import ExactMoments, ImportanceMoments, Moments, UnitMoments
from fastscore.engine.products import FOR_BASELINE, FOR_COVARIANCE, Products
from fastscore.engine.scheme import Pattern
from fastscore.families import Family
from fastscore.families._moving import ByParameter
from fastscore.importance.diagnostics import Diagnostics
from fastscore.pictures import pyplot
from fastscore.variance.baselines import Solution, as_baseline, covariance, solve
from fastscore.variance.controls import solve_with_controls
from fastscore.variance.joint import solve_jointly
from fastscore.variance.ratio import solve_ratio
from fastscore.variance.tails import error_of_stderr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows of a printed table; the middle of a longer one is left out.
_ROWS = 24


def entries_of(p: Family, wrt: Collection[str]) -> np.ndarray:
    """Score entries of some parameters."""
    if len(wrt) == len(p.parameters):
        return np.arange(p.size)
    chosen, start = [], 0
    for name in p.parameters:
        if name in wrt:
            chosen.append(np.arange(start, start + p.free(name)))
        start += p.free(name)
    return np.concatenate(chosen)


class Estimate:
    """Value and gradient of an expectation, estimated from samples.

    Attributes
    ----------
    n : int
        Samples behind it, with ``nonfinite="omit"`` those at which f is finite; of an exact sum
        the outcomes.
    sampling : str
        How they were drawn.
    estimator : str
        What was averaged over them.
    seed : int or None
        ``rng=seed`` gives the same samples again; None if they were given.
    dof : float
        Degrees of freedom of the standard errors; infinite if the estimate is exact.
    baseline : str, float or None
        What was subtracted from f.
    bias : str
        ``"none"``, or by what the estimate is biased.
    nonfinite : int
        Samples at which f was NaN or infinite.
    stopped : str
        Why the run ended: ``"n"``, all samples were drawn, ``"interrupted"``, or
        ``"enumerated"``: the estimate is exact.
    threads : int
        Threads that worked.
    seconds : float
        Wall time of the call, compilation and a pilot included.
    run_seconds : float
        That of the samples alone, without checks, compilation and solving.
    pilot_seconds : float
        That of the pilot of ``estimator="auto"``; 0 without.
    options : mapping or None
        What ``estimator="auto"`` chose, with n and seed: ``fs.gradient(f, p, **est.options)``
        repeats the run without its pilot.
    """

    pilot_seconds: float = 0.0
    options: Mapping[str, Any] | None = None

    def __init__(
        self,
        p: Family,
        wrt: tuple[str, ...],
        moments: Moments | ExactMoments,
        baseline: str | float | None,
        *,
        seed: int | None,
        nonfinite_policy: str,
        direct: bool,
        stopped: str,
        threads: int,
        seconds: float,
        products: Products | None,
        replay: Callable[[int], Products | None] | None,
        biased: Sequence[str] = (),
        partial: tuple[int, ...] = (),
        detailed: Callable[[], ImportanceMoments] | None = None,
        sampling: str = "iid",
        estimator: str = "score",
        run_seconds: float = 0.0,
    ) -> None:
        self._p = p
        self._wrt = wrt
        self._moments = moments
        self._direct = direct
        self._products = products
        self._replay = replay
        self.baseline = baseline
        self._partial = partial
        self._detailed = detailed
        self.n = moments.samples
        self.sampling = sampling
        self.estimator = estimator
        self.seed = seed
        self.dof = math.inf if self.exact else moments.n - 1
        self.nonfinite = moments.nonfinite
        omitted = nonfinite_policy == "omit" and self.nonfinite
        labels = [*biased, *(["conditional on finite f"] if omitted else [])]
        self.bias = ", ".join(labels) or "none"
        self.stopped = stopped
        self.threads = threads
        self.seconds = seconds
        self.run_seconds = run_seconds

    @property
    def exact(self) -> bool:
        """Whether all outcomes were summed: nothing was sampled, and standard errors are zero."""
        return isinstance(self._moments, ExactMoments)

    @property
    def value(self) -> float:
        """Estimate of ``E[f]``."""
        own = self._solution.value if self._reweighted else None
        return self._moments.value if own is None else own

    @property
    def value_stderr(self) -> float:
        """Standard error of `value`; NaN for a single sample, or unit of proposals."""
        own = self._solution.value_stderr if self._reweighted else None
        return self._moments.value_stderr if own is None else own

    @cached
    def _slices(self) -> dict[str, slice]:
        """Where each chosen parameter lies in the flat gradient."""
        slices, start = {}, 0
        for name in self._wrt:
            slices[name] = slice(start, start + self._p.free(name))
            start += self._p.free(name)
        return slices

    @cached
    def _chosen(self) -> np.ndarray:
        """Score coordinates of the chosen parameters."""
        return entries_of(self._p, self._wrt)

    @cached
    def _reweighted(self) -> Callable[..., Solution] | None:
        """How to solve where the value needs it too: as a ratio, or with control variates."""
        scheme = self._moments.scheme if isinstance(self._moments, UnitMoments) else None
        if scheme is not None and scheme.normalized:
            return solve_ratio
        if scheme is not None and scheme.control_columns:
            return solve_with_controls
        return None

    @cached
    def _solution(self) -> Solution:
        if self._reweighted:
            if self.baseline == "matrix" and isinstance(self._moments, UnitMoments):
                products = self._with_products(FOR_BASELINE)
                return solve_jointly(self._moments, products, self._chosen, self._direct)
            return self._reweighted(self._moments, self.baseline, self._chosen, self._direct)
        solution = solve(
            self._moments, self.baseline, self._chosen, self._direct,
            lambda: self._with_products(FOR_BASELINE),
        )  # fmt: skip
        scale = self._moments.scale if isinstance(self._moments, ImportanceMoments) else 1.0
        if scale == 1:
            return solution
        return replace(solution, grad=solution.grad * scale, stderr=solution.stderr * scale)

    @property
    def _stderr(self) -> np.ndarray:
        """Standard errors of the gradient, apart for those which take longer."""
        return self._solution.stderr

    def _with_products(self, wanted: int) -> Products:
        """Products of scores: those kept, or of the same samples run again."""
        if isinstance(self._moments, ImportanceMoments) and self._moments.extreme:
            raise ValueError(
                "the importance weights are too extreme for products of scores, which "
                "baseline='matrix' and covariance() need: bring the proposals nearer to p"
            )
        if self._products is None or self._products.wanted < wanted:
            if self._replay is None:
                raise RuntimeError(
                    f"the run was {self.stopped}, and cannot be repeated to sum products of "
                    "scores: run it to its end"
                )
            self._products = self._replay(wanted)
        assert self._products is not None
        return self._products

    def _by_name(self, flat: np.ndarray, *, scaled: bool = True) -> Mapping[str, Any]:
        """One array per parameter, in the parameter's shape; see `Family.shaped`."""
        shaped = self._p.shaped
        slices = self._slices.items()
        return ByParameter(
            self._p, {name: shaped(name, flat[at], scaled=scaled)[()] for name, at in slices}
        )

    @property
    def units(self) -> int:
        """Independent units that standard errors come from: samples, pairs, sets, replicates."""
        return self._moments.n

    @property
    def even(self) -> int:
        """Entries of the gradient whose score is the same at both of a pair; 0 without pairs."""
        scheme = self._moments.scheme if isinstance(self._moments, UnitMoments) else None
        if not isinstance(scheme, Pattern) or self.sampling != "antithetic":
            return 0
        return int((~np.isin(self._chosen, scheme.odd)).sum())

    @cached
    def grad(self) -> Mapping[str, Any]:
        """Gradient by parameter name, in the parameter's shape."""
        return self._by_name(self._solution.grad)

    @cached
    def grad_stderr(self) -> Mapping[str, Any]:
        """Standard errors of `grad`; NaN for a single sample, or unit of proposals."""
        return self._by_name(self._stderr)

    @cached
    def stderr_error(self) -> Mapping[str, Any]:
        """Relative standard errors of `grad_stderr` itself, by its spread over folds.

        About ``1/√(2 n)`` unless ``f s`` has heavy tails.  Beyond 0.07 an interval may well cover
        less than it says, and `summary` warns.  NaN where it is not known: of few folds, control
        variates, ratios, and matrix coefficients.
        """
        return self._by_name(self._stderr_error, scaled=False)

    @cached
    def _stderr_error(self) -> np.ndarray:
        if isinstance(self._moments, ExactMoments) or self._reweighted:
            return np.full(self._chosen.size, np.nan)
        return error_of_stderr(self._moments.folded, self._solution, self._chosen)

    @cached
    def variance_ratio(self) -> Mapping[str, Any]:
        """What the baseline bought: variance without one over variance with it.

        2 halves the samples needed for a given error; below 1 the baseline hurts.
        """
        return self._by_name(self._solution.variance_ratio, scaled=False)

    @property
    def flat(self) -> np.ndarray:
        """The gradient as one vector, in parameter order."""
        return self._solution.grad.copy()

    @property
    def flat_stderr(self) -> np.ndarray:
        """Standard errors of `flat`."""
        return self._stderr.copy()

    @property
    def flat_stderr_error(self) -> np.ndarray:
        """Relative standard errors of `flat_stderr`."""
        return self._stderr_error.copy()

    @property
    def flat_variance_ratio(self) -> np.ndarray:
        """What the baseline bought each entry of `flat`."""
        return self._solution.variance_ratio.copy()

    def covariance(self) -> np.ndarray:
        """Covariance matrix of the gradient, of shape (P, P) in the order of `flat`.

        Its diagonal has the squares of `grad_stderr`.  The samples are drawn, and f evaluated,
        once more for it: O(P²) sums, which other results do not need.

        Raises
        ------
        RuntimeError
            If the run was interrupted.
        ValueError
            With control variates, self-normalised, or under extreme importance weights.
        """
        if isinstance(self._moments, ExactMoments):
            return np.zeros((self._chosen.size, self._chosen.size))
        if self._reweighted:
            raise ValueError(
                "covariance() knows neither control variates nor self_normalized=True: estimate "
                "without them"
            )
        products = self._with_products(FOR_COVARIANCE)
        return covariance(self._moments.folded, self._solution, self._chosen, products)

    @cached
    def importance(self) -> Diagnostics | None:
        """What the importance weights tell, None if there are none."""
        if not isinstance(self._moments, ImportanceMoments):
            return None
        return Diagnostics(
            self._moments, self._solution.coefficients, self._chosen, self._partial,
            self._detailed,
        )  # fmt: skip

    @property
    def ess(self) -> float:
        """Effective sample size: n without importance weights."""
        return float(self.n) if self.importance is None else self.importance.ess

    @property
    def ess_by_coordinate(self) -> Mapping[str, Any]:
        """Effective sample size of each entry's score; n without importance weights."""
        if self.importance is None:
            return self._by_name(np.full(self._chosen.size, float(self.n)), scaled=False)
        return self._by_name(self.importance.ess_by_coordinate, scaled=False)

    @property
    def pareto_k(self) -> float:
        """Shape of the tail of importance weights; minus infinity without any."""
        return -math.inf if self.importance is None else self.importance.pareto_k

    def interval(self, level: float = 0.95) -> Mapping[str, tuple[Any, Any]]:
        """Confidence intervals (low, high) of each gradient, of Student's t with `dof`.

        Raises
        ------
        ValueError
            If ``level`` is not between 0 and 1.
        """
        half = self._quantile(level) * self._stderr
        low, high = (self._by_name(self._solution.grad + sign * half) for sign in (-1, 1))
        return ByParameter(self._p, {name: (low[name], high[name]) for name in self._wrt})

    def value_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval (low, high) of `value`."""
        half = self._quantile(level) * self.value_stderr
        return self.value - half, self.value + half

    def _quantile(self, level: float) -> float:
        if not 0 < level < 1:
            raise ValueError(f"level={level!r}: give a probability between 0 and 1, such as 0.95")
        if self.exact:
            return 0.0
        from scipy.special import stdtrit

        return float(stdtrit(self.dof, (1 + level) / 2)) if self.dof else float("nan")

    def with_baseline(self, baseline: str | float | None) -> Estimate:
        """The same samples under another baseline.

        At no cost, since the sums serve them all, but for ``"matrix"``, for which the samples are
        drawn, and f evaluated, once more.
        """
        other = object.__new__(Estimate)
        kept = {k: v for k, v in self.__dict__.items() if k not in CACHED}
        other.__dict__.update(kept, baseline=as_baseline(baseline))
        return other

    def clipped(self, norm: float, *, per: Literal["norm", "coordinate"] = "norm") -> Estimate:
        """The gradient cut to a length, as `flat` has it: a biased estimate, and labelled so.

        It is so whether or not this one was too long: had others been, their mean is off.

        Parameters
        ----------
        norm : float
            The greatest length, to which a longer gradient is scaled, or size of an entry.
        per : {"norm", "coordinate"}
            Whether the whole gradient is scaled, or each entry cut for itself.

        Returns
        -------
        Estimate
            With the same value.  Standard errors are by the delta method, which is blind to how
            near a gradient is to being clipped: of a clipped entry they are 0.  Those of a scaled
            gradient are from `covariance`, for which the samples are drawn once more when they are
            asked for; where it cannot be had, bounds that allow for any correlation.

        Raises
        ------
        TypeError, ValueError
            If ``norm`` is not positive, or ``per`` unknown.
        """
        from fastscore.transforms import Clipped

        return Clipped(self, norm, per)

    def standardized(self) -> Estimate:
        """With standardized advantages, ``Σ (f_i − f̄) s_i / (n sd(f))``: biased, and labelled so.

        Mean and standard deviation (about ``n − 1``) are of these samples, at no cost.

        Returns
        -------
        Estimate
            With the same value.  Standard errors, by the delta method, know of the error of the
            standard deviation; they come from the folds alone, with one degree of freedom less
            than there are folds, which are ten at most.

        Raises
        ------
        ValueError
            If f does not vary, or there are not several independent samples of p: with proposals,
            other samplings or exact sums.
        """
        from fastscore.transforms import Standardized

        return Standardized(self)

    @property
    def dimension(self) -> int:
        """Coordinates of a sample."""
        return self._p.d

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Rows of a table: name, gradient, standard error, variance ratio."""
        for name in self._wrt:
            shape = self._p.parameters[name].shape
            columns = (self.grad, self.grad_stderr, self.variance_ratio)
            # Above the diagonal of a triangular matrix there is nothing to differentiate by.
            free = self._p.shaped(name, np.ones(self._p.free(name)), scaled=False) != 0
            for where in zip(*np.nonzero(free), strict=True) if shape else [()]:
                label = f"{name}[{', '.join(map(str, where))}]" if shape else name
                grad, stderr, ratio = (float(np.asarray(of[name])[where]) for of in columns)
                yield label, f"{grad:.6g}", f"{stderr:.2g}", f"{ratio:.3g}"

    def __str__(self) -> str:
        from fastscore.report import estimate_table, plain

        return plain(estimate_table(self, most=_ROWS))

    def __repr__(self) -> str:
        return (
            f"<Estimate of {self._p!r}: value {self.value:.6g} ± {self.value_stderr:.2g}, "
            f"gradient of {', '.join(self._wrt)}, n={self.n}>"
        )

    def summary(self) -> str:
        """The table, and in words what to make of it."""
        from fastscore.report import advice

        return f"{self}\n{advice(self)}"

    def plot(self, ax: Axes | None = None, level: float = 0.95) -> Axes:
        """Draw each gradient entry with its confidence interval.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        level : float
            Level of the intervals.

        Raises
        ------
        ImportError
            If matplotlib is not installed: ``pip install 'fastscore[plot]'``.
        """
        if ax is None:
            _, ax = pyplot().subplots(layout="constrained")
        half = self._quantile(level) * self._stderr
        for name, at in self._slices.items():
            ax.errorbar(
                np.arange(at.start, at.stop) - at.start, self._solution.grad[at], half[at],
                fmt="o", markersize=3, capsize=2, label=name,
            )  # fmt: skip
        ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        ax.set_xlabel("coordinate")
        ax.set_ylabel(f"gradient, with {level:.0%} intervals")
        ax.legend()
        return ax


#: Attributes to forget where a copy of an estimate changes.
CACHED = {name for name, value in vars(Estimate).items() if isinstance(value, cached)}
