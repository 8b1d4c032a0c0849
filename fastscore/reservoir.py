"""Past samples, kept to estimate the gradient at other parameters than they were drawn for."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.engine.streams import seed_of
from fastscore.engine.tiles import FOLDS
from fastscore.estimate import Estimate
from fastscore.families import Family
from fastscore.families._support import uncovered
from fastscore.form import Form
from fastscore.given import estimate_given
from fastscore.gradient import checked, evaluate, names_of
from fastscore.integrand import Integrand
from fastscore.plan import Plan
from fastscore.variance.baselines import as_baseline

#: A sum of densities off which some were taken is added up anew once it has fallen below this part
#: of the largest it has been: of that it has the rounding errors.
_LEFT = 1e-3


@dataclass(frozen=True, eq=False)
class _Batch:
    """Samples of one distribution, with f, and with the log-density that they were drawn with."""

    x: np.ndarray
    f: np.ndarray
    log_q: np.ndarray
    family: Family | None

    @property
    def n(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class _Mixture:
    """``Σ n_b q_b`` over some batches of known distributions, at all their samples.

    Attributes
    ----------
    batches : sequence of _Batch
        Which.
    x : ndarray of shape (n, d)
        Their samples, one batch behind the other.
    log_sum, log_peak : ndarray of shape (n,)
        Logarithm of the sum, and of the largest that it has been since it was last added up.
    """

    batches: Sequence[_Batch]
    x: np.ndarray
    log_sum: np.ndarray
    log_peak: np.ndarray

    @classmethod
    def empty(cls, d: int, dtype: Any) -> _Mixture:
        """Of no batches."""
        return cls((), np.empty((0, d), dtype), np.empty(0), np.empty(0))

    def of(self, wanted: Sequence[_Batch]) -> _Mixture:
        """That of other batches: densities are added and taken off, and few computed anew."""
        kept, had = set(wanted), set(self.batches)
        mixture = self if had <= kept else self._only(kept)
        return mixture._with([batch for batch in wanted if batch not in had])

    def _only(self, stay: set[_Batch]) -> _Mixture:
        kept = [batch for batch in self.batches if batch in stay]
        gone = [batch for batch in self.batches if batch not in stay]
        stays = np.concatenate([np.full(b.n, b in stay) for b in self.batches])
        x, log_sum, log_peak = self.x[stays], self.log_sum[stays], self.log_peak[stays]
        with np.errstate(divide="ignore"):
            left = log_sum + np.log1p(-np.exp(np.minimum(_log_sum(gone, x) - log_sum, 0.0)))
        anew = left < log_peak + math.log(_LEFT)
        left[anew] = _log_sum(kept, x[anew])
        return _Mixture(kept, x, left, np.where(anew, left, log_peak))

    def _with(self, new: Sequence[_Batch]) -> _Mixture:
        if not new:
            return self
        batches, x = [*self.batches, *new], np.concatenate([batch.x for batch in new])
        log_sum = np.logaddexp(self.log_sum, _log_sum(new, self.x))
        of_new = _log_sum(batches, x)
        return _Mixture(
            batches, np.concatenate([self.x, x]), np.concatenate([log_sum, of_new]),
            np.concatenate([np.maximum(self.log_peak, log_sum), of_new]),
        )  # fmt: skip

    def by_batch(self) -> dict[_Batch, np.ndarray]:
        """``log Σ n_b q_b / Σ n_b`` at each batch's samples."""
        ends = np.cumsum([batch.n for batch in self.batches])
        parts = np.split(self.log_sum - math.log(max(len(self.x), 1)), ends[:-1])
        return dict(zip(self.batches, parts, strict=False))


def _log_sum(batches: Sequence[_Batch], x: np.ndarray) -> np.ndarray:
    """``log Σ n_b q_b(x)``."""
    total = np.full(len(x), -np.inf)
    for batch in batches:
        assert batch.family is not None
        np.logaddexp(total, math.log(batch.n) + batch.family.log_density(x), out=total)
    return total


def _form_of(x: np.ndarray, q: Family | None) -> Form:
    """The form of samples (n, d), from a distribution if it is known."""
    return Form(x.shape[1], x.dtype.type) if q is None else q.form


class Reservoir:
    """Past samples of f, from which to estimate its gradient at the present parameters.

    Batches of samples serve as proposals of multiple importance sampling: a sample x of batches
    drawn from known distributions q_b weighs ``p(x)/q̄(x)``, ``q̄ = Σ n_b q_b / Σ n_b`` (the balance
    heuristic).  Logged samples, of which only the density of each is known, weigh ``p(x)/q(x)``;
    both are averaged over all samples together.

    Parameters
    ----------
    capacity : int
        Samples kept; the oldest batches are dropped when there are more.
    overlap : float
        Least overlap ``∫ min(p, q)`` of p with a batch's distribution for the batch to be used;
        from 0, which uses all, to below 1.

    Notes
    -----
    What `gradient` uses is decided by the weights alone, batch by batch:

    1. A batch is left out whose mean of ``min(1, p/q)``, an estimate of the overlap, is below
       ``overlap``.  Such batches would do no harm among known distributions, and no good.
    2. A logged batch is left out, newest being first, that would lower the effective sample size
       ``(Σw)²/Σw²`` of the logged weights taken before it: no other batch bounds its weights.

    The result is guarded by its effective sample size and Pareto k̂, `Estimate.importance`: a
    RuntimeWarning tells why it is not to be trusted.  A call costs a density of p per sample, and
    for each batch that is new to it, or no longer used, a density per sample used.

    θ usually depends on the samples kept, through the optimiser that came to it, and so may later
    proposals on earlier samples.  An estimate is then biased, and labelled so; its standard errors
    take the samples for independent ones from q̄.

    References
    ----------
    .. [1] E. Veach and L. J. Guibas, Optimally combining sampling techniques for Monte Carlo
       rendering, SIGGRAPH 1995.
    .. [2] M. Feng and J. Staum, Green simulation: reusing the output of repeated experiments, ACM
       Transactions on Modeling and Computer Simulation 27 (2017).
    """

    def __init__(self, capacity: int = 100_000, *, overlap: float = 0.05) -> None:
        self.capacity = checks.count("capacity", capacity)
        least = checks.parameter("overlap", overlap)
        checks.require("overlap", least, (least >= 0) & (least < 1), "at least 0 and below 1")
        self.overlap = float(least)
        #: Oldest first.
        self._batches: list[_Batch] = []
        #: Of the batches used last, from which that of the next is made.
        self._mixture: _Mixture | None = None

    def __len__(self) -> int:
        """Samples kept."""
        return sum(batch.n for batch in self._batches)

    def __repr__(self) -> str:
        return (
            f"<Reservoir of {len(self):,} samples in {len(self._batches)} batches, "
            f"capacity={self.capacity:,}>"
        )

    # --- what goes in ---

    def add(self, x: Any, f_values: Any, q: Family | None = None, *, log_q: Any = None) -> None:
        """Keep samples and what f was at them.

        Parameters
        ----------
        x : array_like
            Independent samples, of shape (n, d).
        f_values : array_like
            f of each, of shape (n,).
        q : Family, optional
            The distribution that they were drawn from.
        log_q : array_like, optional
            In place of it, the log-density of each as it was drawn, of shape (n,).

        Raises
        ------
        TypeError, ValueError
            If a value is not finite, shapes do not agree or differ from those kept, x cannot have
            come from q, or there are more samples than the capacity.
        """
        name, given = checks.exactly_one("add", q=q, log_q=log_q)
        if name == "q" and not isinstance(given, Family):
            raise TypeError(f"q={q!r} is not a distribution: give one, or log_q")
        q = None if q is None else q.whole
        self._add(self._as_samples(x, q), f_values, q, log_q)

    def _add(self, samples: np.ndarray, f_values: Any, q: Family | None, log_q: Any) -> None:
        """The same of samples (n, d) of their type."""
        if q is not None:
            q.require_density("q")
        self._check_alike("x", _form_of(samples, q))
        n = len(samples)
        if not 0 < n <= self.capacity:
            raise ValueError(
                f"x has {n:,} samples: give at least one, and no more than "
                f"capacity={self.capacity:,}"
            )
        checks.require("x", samples, np.isfinite(samples), "finite")
        density = samples_of("log_q", log_q, n) if q is None else q.log_density(samples)
        if not np.isfinite(density).all():
            first = int(np.argmin(np.isfinite(density)))
            raise ValueError(f"x[{first}] = {samples[first]} cannot come from q={q!r}: its density "
                             "there is 0")  # fmt: skip
        values = samples_of("f_values", f_values, n)
        self._batches.append(_Batch(samples.copy(), values, density, q))
        while len(self) > self.capacity:
            self._batches.pop(0)

    def draw(
        self, f: Callable[..., Any] | Integrand, p: Family, n: int, *,
        args: tuple[Any, ...] = (), rng: Any = None,
    ) -> None:  # fmt: skip
        """Draw n samples from p, evaluate f at them, and keep both.

        Parameters
        ----------
        f, p, args, rng
            As of `gradient`.  The samples are those that it would use.
        n : int
            Number of samples.

        Raises
        ------
        TypeError, ValueError
            As `gradient` and `add` do.
        """
        integrand, args = checked(f, p, args)
        refuse_direct(integrand, "a reservoir")
        seed = seed_of(rng)
        p = p.whole
        x = p.drawn(checks.count("n", n), seed)
        self._add(x, evaluate(Plan(integrand, p, args, len(x), seed, None), x), p, None)

    def _as_samples(self, x: Any, q: Family | None) -> np.ndarray:
        """Samples like those kept; without a distribution integers are integers."""
        if q is not None:
            samples = q._as_samples(x)
        else:
            given = np.asarray(x)
            if given.dtype.kind not in "biuf" or given.ndim != 2:
                raise ValueError(
                    f"x has shape {given.shape} and dtype {given.dtype}: give numbers of shape "
                    "(n, d)"
                )
            samples = given.astype(np.float64 if given.dtype.kind == "f" else np.int64)
        return samples

    def _check_alike(self, name: str, form: Form) -> None:
        """Refuse samples unlike those kept, if there are any."""
        kept = _form_of(self._batches[0].x, self._batches[0].family) if self._batches else form
        if form != kept:
            raise ValueError(
                f"{name} has samples of {form}, those kept are of {kept}: they must be alike"
            )

    # --- what comes out ---

    def overlaps(self, p: Family) -> np.ndarray:
        """Estimated overlap ``∫ min(p, q)`` of p with each batch, the oldest first."""
        return np.array([np.mean(np.exp(np.minimum(ratio, 0.0))) for ratio in self._log_ratios(p)])

    def gradient(
        self, p: Family, *, wrt: str | Iterable[str] | None = None,
        baseline: str | float | None = "optimal", self_normalized: bool = False,
        independent: bool = False,
    ) -> Estimate:  # fmt: skip
        """Estimate ``∇_θ E_{x~p_θ}[f(x)]`` from the samples kept.

        Parameters
        ----------
        p : Family
            The distribution at the present θ.
        wrt, baseline
            As of `gradient`.
        self_normalized : bool
            Divide by the sum of weights, biased by O(1/n).
        independent : bool
            Declares that neither p nor any of the proposals was chosen in view of these samples,
            as with logged data.  All batches are then used, and ``bias`` is ``"none"`` with a
            constant baseline or None.  Others are fitted over folds that hold the batches in
            proportion only up to single samples, which leaves a bias of O(1/n).

        Returns
        -------
        Estimate
            With ``bias="adaptive reuse"``, unless ``independent``.

        Raises
        ------
        ValueError
            If nothing is kept, no batch overlaps p, or those used miss part of its support.
        """
        start = time.perf_counter()
        self._check(p)
        p.require_score()
        for name, value in (("self_normalized", self_normalized), ("independent", independent)):
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{name}={value!r}: give True or False")
        names, p = names_of(wrt, p), p.whole
        used = self._batches if independent else self._helpful(self._log_ratios(p))
        baseline = as_baseline(baseline)
        fitted = isinstance(baseline, str) and not self_normalized
        labels = ["uneven folds, O(1/n)"] if fitted else []
        estimate = estimate_given(
            p, names, *self._weighted(p, used), baseline=baseline,
            self_normalized=bool(self_normalized), seed=None, start=start,
            biased=labels if independent else ["adaptive reuse"],
        )  # fmt: skip
        assert estimate.importance is not None
        if not estimate.importance.trusted:
            warnings.warn(
                f"{'; '.join(estimate.importance.warnings)}. Draw samples nearer to p: "
                "reservoir.draw(f, p, n)",
                RuntimeWarning,
                stacklevel=2,
            )
        return estimate

    def _log_ratios(self, p: Family) -> list[np.ndarray]:
        """``log p/q`` of the samples of each batch."""
        self._check(p)
        return [p.log_density(batch.x) - batch.log_q for batch in self._batches]

    def _check(self, p: Any) -> None:
        """Refuse a p that has other samples than those kept, if there are any."""
        if not isinstance(p, Family):
            raise TypeError(f"p={p!r} is not a distribution: give one, such as fs.Normal(…)")
        if not self._batches:
            raise ValueError("the reservoir is empty: add samples, or draw(f, p, n) some")
        p.require_density("p")
        self._check_alike(f"p={p!r}", p.form)

    def _helpful(self, ratios: list[np.ndarray]) -> list[_Batch]:
        """Batches to use, see the class's notes."""
        used = []
        total = squares = 0.0
        for batch, ratio in zip(self._batches[::-1], ratios[::-1], strict=True):
            overlap = float(np.mean(np.exp(np.minimum(ratio, 0.0))))
            if overlap < self.overlap:
                continue
            if batch.family is None:
                weights = np.exp(np.minimum(ratio, 300.0))
                a, b = total + weights.sum(), squares + weights @ weights
                if squares and a**2 / b < total**2 / squares:
                    continue
                total, squares = a, b
            used.append(batch)
        if not used:
            raise ValueError(
                f"p overlaps no batch by {self.overlap} or more: draw(f, p, n) fresh samples, or "
                "take a smaller overlap"
            )
        return used[::-1]

    def weighted(self, p: Family) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All samples kept, f, and log-weights of mean 1, with no batch left out.

        Returns
        -------
        x, f, log_weights : ndarray
            Of shapes (n, d), (n,) and (n,), in an order of their own: any run of consecutive
            samples has all batches in proportion.
        """
        self._check(p)
        return self._weighted(p, self._batches)

    def _weighted(
        self, p: Family, used: Sequence[_Batch]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = [batch for batch in used if batch.family is not None]
        self._check_support(p, known)
        before = self._mixture or _Mixture.empty(p.d, p.dtype)
        self._mixture = before.of(known)
        mixed = self._mixture.by_batch()
        log_q = [mixed.get(batch, batch.log_q) for batch in used]
        x = np.concatenate([batch.x for batch in used])
        log_weights = p.log_density(x) - np.concatenate(log_q)
        counted = np.isfinite(log_weights)
        if not counted.any():
            raise ValueError("p is 0 at all samples kept: draw(f, p, n) fresh ones")
        x[~counted] = x[np.argmax(counted)]  # scores are asked for where p has some
        order = _dealt([batch.n for batch in used])
        return x[order], np.concatenate([batch.f for batch in used])[order], log_weights[order]

    @staticmethod
    def _check_support(p: Family, known: Sequence[_Batch]) -> None:
        """Refuse batches of known distributions that together miss part of p's support."""
        families = [batch.family for batch in known if batch.family is not None]
        supports = [support for q in families for support in q.supports]
        owners = ["a batch"] * len(supports)
        missed = uncovered(p.supports, supports, owners, "batch") if supports else None
        if missed is not None:
            raise ValueError(f"{missed}: the estimate would miss it. draw(f, p, n) fresh samples")


def refuse_direct(integrand: Integrand, owner: str) -> None:
    """Raise where f depends on θ itself, need not be finite, or is to be ranked."""
    if integrand.shaping is not None:
        raise ValueError(
            f"shaping={integrand.shaping!r} does not go with {owner}: ranks are those of "
            "independent samples of p, in `gradient`"
        )
    if integrand.direct is not None:
        raise ValueError(f"{owner} takes no direct term: leave it out")
    if integrand.weighs is not None:
        raise ValueError(
            f"{owner} takes no {integrand.weighs}, which only goes with independent samples of p: "
            "let f return one value"
        )
    if integrand.nonfinite == "omit":
        raise ValueError(
            f"nonfinite='omit' does not go with {owner}: let f return what such samples are to "
            "count, or take 'raise'"
        )


def samples_of(name: str, value: Any, n: int) -> np.ndarray:
    """A finite number for each of n samples."""
    array = checks.parameter(name, value)
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape}: give one to each of the {n} samples")
    return array


def _dealt(sizes: Sequence[int]) -> np.ndarray:
    """An order in which any run of consecutive samples has all batches in proportion.

    Blocks, and so folds, are such runs: each sample of a batch is a tenth of the samples away from
    the next.  Folds that held single proposals would be biased.
    """
    first, places = 0, []
    for n in sizes:
        i = first + np.arange(n)
        places.append(i % FOLDS + (np.arange(n) // FOLDS + 0.5) / -(-n // FOLDS))
        first += n
    return np.argsort(np.concatenate(places), kind="stable")
