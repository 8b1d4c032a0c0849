"""The front door: options in, `Estimate` out."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastscore import refusals
from fastscore.checks import count
from fastscore.engine import blocks, driver
from fastscore.engine.distinct import DistinctRun
from fastscore.engine.enumeration import CountedRun
from fastscore.engine.moments import ExactMoments, ImportanceMoments, Moments
from fastscore.engine.products import FOR_BASELINE, NO_PRODUCTS, Products
from fastscore.engine.replicates import Replicates
from fastscore.engine.run import Run
from fastscore.engine.streams import seed_of
from fastscore.estimate import Estimate, entries_of
from fastscore.families import Family
from fastscore.families._moving import require_parameter, require_parameters
from fastscore.form import rows_of, shown
from fastscore.importance.pilot import with_best_shares
from fastscore.importance.proposals import SAMPLES, Proposals, as_proposals
from fastscore.integrand import Integrand
from fastscore.plan import Plan
from fastscore.progress import progress_bar
from fastscore.variance.baselines import as_baseline
from fastscore.variance.control_variates import as_controls, prepare
from fastscore.variance.estimators import (
    Estimator,
    Exact,
    InPlace,
    as_estimator,
)
from fastscore.variance.sampling import (
    Sampling,
    as_sampling,
)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a long run; ``estimate`` holds what was finished by then, or None."""

    def __init__(self, estimate: Estimate | None) -> None:
        super().__init__("interrupted")
        self.estimate = estimate


def gradient(
    f: Callable[..., Any] | Integrand,
    p: Family,
    *,
    args: tuple[Any, ...] = (),
    wrt: str | Iterable[str] | None = None,
    n: int | None = None,
    rng: Any = None,
    baseline: str | float | None = "optimal",
    control_variates: Any = None,
    sampling: str | Sampling = "iid",
    proposals: Proposals | Family | Sequence[Family] | None = None,
    estimator: str | Estimator = "score",
    threads: int | None = None,
    progress: bool = False,
) -> Estimate:
    """Estimate ``∇_θ E_{x~p_θ}[f(x)]`` by the score function, with standard errors.

    Parameters
    ----------
    f : callable or Integrand
        ``f(x, *args)`` of one sample of shape (d,), jitted; ``f(batch, out, *args)``, jitted;
        any Python callable ``f(X, *args)`` from (rows, d) to (rows,); or a C function pointer (see
        `Integrand`).  x is float64 or, of a discrete family, int64.  f must be pure.
    p : Family
        The distribution, such as ``fs.Normal(loc, scale)``.
    args : tuple, optional
        Data for f: arrays, numbers, tuples of them.  Changing their values recompiles nothing.
    wrt : str or iterable of str, optional
        Parameters to differentiate by; all by default.
    n : int, optional
        Number of samples; 100,000 by default.  A compiled f is called up to 32 further times,
        which only serve to choose a reference value that cancels from the result, and to see
        what f costs.  Left out, counts of `Proposals` are met.
    rng : None, int, Generator, BitGenerator or SeedSequence
        Source of randomness (SPEC 7).  One seed gives the same bits for any ``threads``.
    baseline : {"optimal", "scalar", "mean", "matrix"}, float or None
        What to subtract from f: the cross-fitted optimum per coordinate, the one scalar of
        least total variance over the parameters in ``wrt``, the leave-one-out mean (with a
        direct term or proposals the mean of the other folds, self-normalised the value itself), a
        constant, or nothing.  ``"matrix"``
        regresses ``f s`` on all entries of the score, in O(P²) per sample and about 40 P²
        numbers of memory, for P up to 4096, on as many threads as folds.  All of them leave the
        estimator exactly unbiased, but for `Proposals` that say otherwise.
    control_variates : ControlVariate, DeltaMethod, (h, mean), "score", or list of them, optional
        Functions of known mean, on which value and gradient are regressed jointly with the
        baseline, each entry by coefficients of its own that come from the other folds: nothing is
        biased.  ``"score"``, or of an exponential family ``"statistics"``, are the entries of the
        score: for the gradient the baseline is then ``"matrix"``.  Collinear ones do no harm.
    sampling : {"iid", "counts", "antithetic", "stratified", "orthogonal", "sobol"} or Sampling
        How samples are drawn.  Independently; or, of a discrete family with a small support, how
        often each outcome came among n of them, which says the same: f is then evaluated once at
        each outcome that came, however large n (not with a direct term).  Or in *units* that make
        up for each other's errors, of which there are n over their size, rounded up: pairs of x and
        its mirror image, for families symmetric about a centre; Latin hypercubes
        (`fs.Stratified`); d orthogonal directions, for Gaussians; scrambled Sobol' points
        (`fs.Sobol`), whose units are whole replicates.  `fs.WithoutReplacement` draws sets of
        distinct outcomes of a small support.  Standard errors are those across units.  Where f is
        even about the centre, pairs hurt entries whose score is even too, those by scales; where it
        is odd, those by locations.
    proposals : Proposals, Family or list of Family, optional
        Distributions to sample from in place of p, with importance weights: in equal shares and by
        the balance heuristic, or as `Proposals` say.  n is rounded up to whole *units*, which hold
        each in its exact proportion.
    estimator : {"score", "exact", "pathwise", "measure", "arm", "disarm", "auto"} or Enumerate
        By samples; or, of a discrete family with a small support, the sum over all its outcomes,
        with a standard error of zero: neither ``n``, ``rng`` nor a direct term go with it, and no
        baseline changes anything.  `fs.Enumerate` sums some outcomes, or coordinates, exactly, and
        samples the others.

        Others put terms of the same mean in place of ``f s``, which a baseline ``"optimal"`` or
        ``"matrix"`` then regresses on the score.  ``"pathwise"`` averages ``∇f(x) ∂x/∂θ`` [3]_ by
        the ``derivative`` of an `Integrand`, of families whose samples move smoothly with their
        parameters; it is biased where f has steps, of which ∇f knows nothing.  ``"measure"`` takes
        differences of f between two values of a coordinate, for each entry in ``wrt``, one or two
        calls of f more: measure-valued derivatives [4]_, which work where f jumps.  ``"arm"`` [5]_
        and ``"disarm"`` [6]_, for `Bernoulli`, change all coordinates in one further call of f.
        But for ``"pathwise"`` they go with independent samples alone.

        ``"auto"`` takes the combination of estimator, sampling, baseline and controls which has
        the least variance × seconds in a pilot on samples of its own, of up to 8 % of the samples
        and of the time (or 1 ms), among those that are unbiased whatever f is, and ``"pathwise"``
        where f's derivative is given and the score estimate bears it out.  Options that are not
        left at their defaults stay as they are.  Few samples leave the default; at most n outcomes
        are summed.  Choices depend on how long f takes: ``est.options`` repeats a run to the bit.
    threads : int, optional
        Threads at most; by default those that Numba uses, where that pays.  A NumPy-style f runs
        on one, and so do counts and exact sums.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Estimate
        Value and gradient, each with its standard error.

    Raises
    ------
    TypeError, ValueError
        For bad input, naming the argument, and for an f which is not finite somewhere (see
        `Integrand`), has the wrong type or the wrong shape.
    Interrupted
        At Ctrl-C, with the estimate so far.

    Notes
    -----
    ``ĝ = (1/n) Σ (f(x_i) − b) s(x_i)`` with the score ``s = ∇_θ log p`` [1]_; b per coordinate as
    in [2]_, cross-fitted over at most ten folds.  Valid where the support of p does not move
    with θ and ``E[f² s²]`` is finite.  Of proposals' samples f is weighted by ``W``, ``p/q`` or
    what `Proposals` make of several, and ``f s`` and ``s`` are summed over units first.

    References
    ----------
    .. [1] R. J. Williams, Simple statistical gradient-following algorithms for connectionist
       reinforcement learning, Machine Learning 8 (1992).
    .. [2] E. Greensmith, P. L. Bartlett and J. Baxter, Variance reduction techniques for
       gradient estimates in reinforcement learning, JMLR 5 (2004).
    .. [3] M. Figurnov, S. Mohamed and A. Mnih, Implicit reparameterization gradients, NeurIPS 2018.
    .. [4] S. Mohamed, M. Rosca, M. Figurnov and A. Mnih, Monte Carlo gradient estimation in
       machine learning, JMLR 21 (2020), section 6.
    .. [5] M. Yin and M. Zhou, ARM: augment-REINFORCE-merge gradient for stochastic binary
       networks, ICLR 2019.
    .. [6] Z. Dong, A. Mnih and G. Tucker, DisARM: an antithetic gradient estimator for binary
       latent variables, NeurIPS 2020.
    """
    if isinstance(estimator, str) and estimator == "auto":
        return _auto(
            f, p, args=args, wrt=wrt, n=n, rng=rng, baseline=baseline, proposals=proposals,
            control_variates=control_variates, sampling=sampling, threads=threads,
            progress=progress,
        )  # fmt: skip
    start = time.perf_counter()
    integrand, args = checked(f, p, args)
    sampling, estimator = as_sampling(sampling), as_estimator(estimator)
    exact = isinstance(estimator, Exact)
    if exact:
        refusals.check_exact(integrand, n=n, rng=rng, sampling=sampling)
    sources = as_proposals(proposals)
    controls = as_controls(control_variates)
    n = None if n is None else count("n", n)
    if sources is None:
        n = SAMPLES if n is None else n
    baseline = as_baseline(baseline)
    wrt = names_of(wrt, p)
    p = p.whole
    threads = None if threads is None else count("threads", threads)
    seed = seed_of(rng)

    refusals.check_sampling(sampling, estimator, integrand)
    if isinstance(estimator, InPlace):
        refusals.check_in_place(estimator, integrand, baseline)
    if integrand.shaping is not None:
        refusals.check_shaping(
            integrand.shaping, proposals=sources, sampling=sampling, estimator=estimator
        )
    if controls:
        baseline = refusals.check_controls(
            controls, integrand, baseline, sampling, estimator, sources
        )

    partial: tuple[int, ...] = ()
    if sources is not None:
        refusals.check_proposals(
            sources, integrand, baseline, sampling=sampling, estimator=estimator
        )
        partial = sources.check(p)
        if sources.by_pilot:
            asked = Plan(integrand, p, args, n, seed, threads)
            sources = _with_pilot(sources, asked, wrt, baseline)
    plan = Plan(
        integrand, p, args, n, seed, threads, sources, chosen=entries_of(p, wrt),
        sampling=sampling, estimator=estimator,
    )  # fmt: skip
    if controls:
        plan = _with_controls(plan, controls, wrt)
    biased = [] if sources is None else [*sources.bias]
    biased += ["ranked fitness"] if integrand.shaping is not None else []
    try:
        run = plan.run(FOR_BASELINE if baseline == "matrix" else NO_PRODUCTS)
    except KeyboardInterrupt:  # outcomes are drawn before f is evaluated at them
        raise Interrupted(None) from None

    def replay(wanted: int) -> Products | None:
        if isinstance(run, CountedRun | DistinctRun):
            return run.products_by_counts()
        if isinstance(run.moments, Replicates):
            return run.moments.products
        again = plan.samples(wanted)
        again.rounds()
        return again.products

    def detailed() -> ImportanceMoments:
        again = dataclasses.replace(plan, details=True).samples(NO_PRODUCTS)
        again.rounds()
        assert isinstance(again.moments, ImportanceMoments)
        return again.moments

    def estimate(stopped: str, moments: Moments | ExactMoments) -> Estimate:
        return Estimate(
            p, wrt, moments, baseline,
            seed=seed, nonfinite_policy=integrand.nonfinite,
            direct=integrand.direct is not None or run.problem.weighting is not None,
            stopped=stopped, threads=run.workers,
            seconds=time.perf_counter() - start, products=run.products,
            replay=None if stopped == "interrupted" else replay,
            biased=biased, partial=partial,
            detailed=None if stopped == "interrupted" else detailed,
            sampling=sampling.word, estimator=estimator.word,
            run_seconds=time.perf_counter() - began,
        )  # fmt: skip

    began = time.perf_counter()
    try:
        with progress_bar(run.problem.cut.n * run.problem.draws, progress) as advance:
            run.rounds(advance)
    except KeyboardInterrupt:
        partly = estimate("interrupted", run.moments) if run.usable else None
        raise Interrupted(partly) from None
    if run.failed:
        _raise_failure(run, integrand, args)
    moments = run.moments
    _check_moments(moments)
    if exact:
        return estimate("enumerated", moments)
    if moments.n == 1:
        unit = "one sample" if moments.samples == 1 else f"one unit of {moments.samples} samples"
        warnings.warn(
            f"n={moments.samples}: no standard error can be estimated from {unit}, and no "
            "baseline used",
            RuntimeWarning,
            stacklevel=2,
        )
    return estimate("n", moments)


def _auto(f: Any, p: Any, *, proposals: Any, **options: Any) -> Estimate:
    """The estimate by what a pilot finds best."""
    from fastscore.choice.auto import choose

    if proposals is not None:
        raise ValueError(
            f"proposals={proposals!r}: estimator='auto' compares ways to sample from p itself, "
            "leave one of them out"
        )
    return choose(gradient, f, p, **options)


def evaluate(plan: Plan, x: np.ndarray, unit: str = "sample") -> np.ndarray:
    """f at given samples (n, d); it fails as it would in a run."""
    if not len(x):
        return np.empty(0)
    run = plan.evaluation(x)
    run.unit = unit
    run.rounds()
    if run.failed:
        _raise_failure(run, plan.integrand, plan.args)
    return run.values


def _with_pilot(
    proposals: Proposals, plan: Plan, wrt: tuple[str, ...], baseline: str | float | None
) -> Proposals:
    """Proposals with the shares that a pilot finds."""
    try:
        return with_best_shares(
            proposals, plan.p, wrt, baseline, plan.seed,
            lambda x: evaluate(plan, x, "pilot sample"),
        )  # fmt: skip
    except KeyboardInterrupt:
        raise Interrupted(None) from None


def _with_controls(plan: Plan, controls: tuple[Any, ...], wrt: tuple[str, ...]) -> Plan:
    """A plan with control variates."""

    def values(h: Integrand, args: tuple[Any, ...], x: np.ndarray) -> np.ndarray:
        return evaluate(dataclasses.replace(plan, integrand=h, args=args), x)

    try:
        prepared = prepare(controls, plan.integrand, plan.p, wrt, plan.args, plan.seed, values)
    except KeyboardInterrupt:
        raise Interrupted(None) from None
    return dataclasses.replace(plan, functions=plan.control_functions(prepared))


def _raise_failure(run: Run, integrand: Integrand, args: tuple[Any, ...]) -> None:
    """Say what went wrong in f, and at which sample."""
    drawn, start = run.samples_of_failure()
    x = run.seen(drawn)
    if run.flags[driver.STATUS] == blocks.NOT_FINITE:
        first = int(run.flags[driver.BAD_FIRST])
        weighting = run.problem.weighting
        what = "f" if weighting is None else weighting.what
        raise ValueError(
            f"{what} is NaN or infinite at {int(run.flags[driver.BAD_COUNT])} of the first "
            f"{start + len(drawn)} {run.unit}s, first at {run.unit} {first}, "
            f"x = {shown(rows_of(x, first - start))}. "
            "Mend f, or choose a policy: fs.Integrand(f, nonfinite='omit') or 'propagate'"
        )
    _raise_again(integrand, args, x, len(drawn), start)


def _raise_again(
    integrand: Integrand, args: tuple[Any, ...], x: Any, count: int, first: int
) -> None:
    """Call f on a failed block from Python, so that it raises its own exception."""
    batch = integrand.resolve(args) == "batch"
    terms = () if integrand.depends is None else integrand.depends.shape[:1]
    for t in range(1 if batch else count):
        rows = x if batch else rows_of(x, t)
        try:
            if batch:
                integrand.f(rows, np.empty((count, *terms)), *args)
            elif terms:
                integrand.f(rows, np.empty(terms), *args)
            else:
                integrand.f(rows, *args)
        except Exception as error:
            error.add_note(f"raised by f at sample {first + t}, x = {shown(rows)}")
            raise
    raise RuntimeError(
        f"f, direct, conditional or derivative failed between samples {first} and "
        f"{first + count - 1} in compiled code, and f does not when called again: look at the "
        "others, or is f not pure?"
    )


def _check_moments(moments: Moments | ExactMoments) -> None:
    """Refuse sums that overflowed, or were spoilt by the direct term."""
    if moments.n == 0:
        raise ValueError("f is not finite at any sample: nothing is left to estimate from")
    if (
        isinstance(moments, ImportanceMoments)
        and moments.mixture.normalized
        and not moments.weights.any()
    ):
        raise ValueError(
            "every importance weight is zero, and self_normalized=True would divide by their sum: "
            "bring the proposals nearer to p"
        )
    if moments.nonfinite == 0 and not moments.finite:
        raise ValueError(
            "the sums of f² s² are not finite although f is: f is too large for float64 "
            "(rescale it), or the direct term, conditional or a control variate is NaN or infinite"
        )


def checked(f: Any, p: Any, args: Any) -> tuple[Integrand, tuple[Any, ...]]:
    """An integrand and its arguments, if there is a distribution with a score for it."""
    integrand = f if isinstance(f, Integrand) else Integrand(f)
    if not isinstance(p, Family):
        raise TypeError(f"p={p!r} is not a distribution: give one, such as fs.Normal(loc, scale)")
    p.require_score()
    if p.whole is not p and integrand.direct is not None:
        raise TypeError(
            f"p={p!r} holds parameters fixed, which a direct term does not know: give wrt=… instead"
        )
    if not isinstance(args, tuple):
        raise TypeError(f"args={args!r} is not a tuple: write args=({args!r},) for one argument")
    return integrand, args


def names_of(wrt: Any, p: Family) -> tuple[str, ...]:
    """Parameters to differentiate by, in the order of the family."""
    require_parameters(p)
    if wrt is None:
        return tuple(p.parameters)
    if not isinstance(wrt, Iterable):
        raise TypeError(f"wrt={wrt!r}: give a parameter's name, or several")
    names = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    if not names:
        raise ValueError(f"wrt is empty: choose among {', '.join(p.parameters)}")
    for name in names:
        require_parameter("wrt", name, p)
    return tuple(name for name in p.parameters if name in names)


__all__ = ["Interrupted", "gradient"]
