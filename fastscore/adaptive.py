"""Proposals adapted over rounds, and what becomes of bias.

What samples for the gradient of p would best come from is ``q* ∝ p |f − b| ‖s‖``: it makes the
total variance of ``p/q (f − b) s`` least.  Each round draws samples, weighs them by q*, and fits
the next proposals to them by weighted maximum likelihood:

`cross_entropy`  only finds a proposal: samples for the estimate are drawn afresh, and unbiased;
`pmc`            weighs each round by its own proposals, which leaves it unbiased given the past;
`amis`           weighs all samples by the proposals of all rounds: less variance, and a bias.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.engine.streams import derived_seed, seed_of
from fastscore.estimate import Estimate
from fastscore.families import Family
from fastscore.given import estimate_given
from fastscore.gradient import checked, evaluate, gradient, names_of
from fastscore.importance.pilot import squared_scores
from fastscore.importance.proposals import Proposals, as_proposals
from fastscore.importance.psis import effective_size
from fastscore.integrand import Integrand
from fastscore.plan import Plan
from fastscore.reservoir import Reservoir, refuse_direct
from fastscore.rounds import RoundsEstimate
from fastscore.variance.baselines import as_baseline

#: What tells the streams of rounds from others of a seed.
_STREAM = 3
#: Effective samples that a fit rests on, if there are twice as many.
_ENOUGH = 50
#: Defaults of ``least``: of scales, and of probabilities.
_LEAST_SCALE, _LEAST_PROBABILITY = 0.8, 0.1


def cross_entropy(
    f: Callable[..., Any] | Integrand, p: Family, q: Family | None = None, *,
    args: tuple[Any, ...] = (), wrt: str | Iterable[str] | None = None, rounds: int = 10,
    n: int = 2000, performance: Callable[..., Any] | None = None, elite: float = 0.1,
    least: float | None = None, rng: Any = None,
) -> Family:  # fmt: skip
    """Find a proposal for the gradient of p, by the cross-entropy method.

    Parameters
    ----------
    f, p, args, wrt, rng
        As of `gradient`; no direct term.
    q : Family, optional
        Where to start, and the family that is fitted: p by default.
    rounds, n : int
        Rounds at most, and samples of each.
    performance : callable, optional
        For a rare event, a function called like f, with ``args``: 0 or more where f matters, and
        larger nearer to there elsewhere.  Until a part ``elite`` of the samples gets there, each
        round fits the proposal to its best, that part, and f is not looked at.
    elite : float
        Part of the samples that are best.
    least : float, optional
        Scales and probabilities of the proposal stay above this part of q's own, see
        `Family.fit`: by default 0.8 of scales, since under half of p's variance that of the
        weights is infinite; 0.1 of discrete distributions' probabilities.

    Returns
    -------
    Family
        To be used as ``proposals=``, for samples that are fresh, and a gradient that is unbiased;
        with a defensive share of p, ``fs.Proposals([q], defensive=0.1)``, where f is to have a
        baseline: q leaves p where f does not vary.

    Raises
    ------
    TypeError, ValueError
        As `gradient` does; if f is the same wherever the first round looked, or ``performance``
        did not get to 0.

    Notes
    -----
    Rounds fit ``Σ W |f − b| ‖s‖ log q`` [1]_ with ``W = p/q``, b the median of f under ``W ‖s‖``,
    which makes the least of the variance under q* least.  Weights of which few would decide are
    flattened, to a power below 1.

    References
    ----------
    .. [1] P.-T. de Boer, D. P. Kroese, S. Mannor and R. Y. Rubinstein, A tutorial on the
       cross-entropy method, Annals of Operations Research 134 (2005), section 3.
    """
    plan, names = _plan(f, p, args, wrt, "cross_entropy")
    p = plan.p
    start = p if q is None else q
    Proposals((start,)).check(p)
    rounds, n = checks.count("rounds", rounds), checks.count("n", n)
    part = checks.parameter("elite", elite)
    checks.require("elite", part, (part > 0) & (part < 1), "above 0 and below 1")
    near = None if performance is None else _plan(performance, p, args, wrt, "performance")[0]
    seed, now, level = seed_of(rng), start, 0.0 if near is None else -np.inf
    told = False
    for r in range(rounds):
        x = now.drawn(n, derived_seed(seed, _STREAM, r))
        x = x[p.log_density(x) > -np.inf]
        if not len(x):
            raise ValueError(f"q={now!r} reaches p in none of {n} samples: bring it nearer to p")
        log_weight = p.log_density(x) - now.log_density(x)
        if near is not None and level < 0:
            reached = evaluate(near, x)
            level = float(np.quantile(reached, 1 - part))
        if near is not None and level < 0:
            log_gain = np.where(reached >= level, log_weight + _log_score(p, x, names), -np.inf)
        else:
            values = evaluate(plan, x)
            log_gain = _log_gain(p, x, values, log_weight, names)
            told = told or _tells(log_gain)
            if not told:
                raise ValueError(
                    f"f is {values[0]} at all {len(x)} samples of round {r + 1}, which tells "
                    "nothing of where to go: start from a wider q, draw more, or say how near a "
                    "sample is, performance=…"
                )
        now = _fitted(start, x, log_gain, least) if _tells(log_gain) else now
    if level < 0:
        raise ValueError(
            f"after rounds={rounds} the best {part:.0%} of samples reach performance {level:.4g}, "
            "still below 0: give more rounds, or start from another q"
        )
    return now


def pmc(
    f: Callable[..., Any] | Integrand, p: Family,
    proposals: Proposals | Family | Sequence[Family], *, args: tuple[Any, ...] = (),
    wrt: str | Iterable[str] | None = None, rounds: int = 5, n: int = 20_000,
    baseline: str | float | None = "optimal", least: float | None = None, rng: Any = None,
) -> RoundsEstimate:  # fmt: skip
    """Estimate the gradient by population Monte Carlo: proposals adapt from round to round.

    Parameters
    ----------
    f, p, args, wrt, baseline, rng
        As of `gradient`; no direct term.
    proposals : Proposals, Family or list of Family
        Those of the first round, with their options.  Equal ones stay equal: start them apart.
    rounds, n : int
        Rounds, and samples of each.
    least : float, optional
        As of `cross_entropy`, with respect to each proposal of the first round.

    Returns
    -------
    RoundsEstimate
        The average over rounds; unbiased, unless an option of the proposals is not.

    Raises
    ------
    TypeError, ValueError
        As `gradient` does.

    Notes
    -----
    Each round is an estimate by multiple importance sampling of its own proposals (the
    deterministic mixture weights of [3]_), and so unbiased given the past [1]_.  Each proposal is
    then fitted to the samples by their weight times its responsibility for them, ``α_j q_j/q̄``:
    a step of the EM algorithm of [2]_ towards ``p |f − b| ‖s‖``, in fixed shares.  Proposals
    leave p where f does not vary; give p a share of its own, ``fs.Proposals(…, defensive=0.1)``,
    for baselines and error bars to be trusted there.

    References
    ----------
    .. [1] O. Cappé, A. Guillin, J.-M. Marin and C. P. Robert, Population Monte Carlo, Journal of
       Computational and Graphical Statistics 13 (2004).
    .. [2] O. Cappé, R. Douc, A. Guillin, J.-M. Marin and C. P. Robert, Adaptive importance sampling
       in general mixture classes, Statistics and Computing 18 (2008).
    .. [3] V. Elvira, L. Martino, D. Luengo and M. F. Bugallo, Improving population Monte Carlo:
       alternative weighting and resampling schemes, Signal Processing 131 (2017).
    """
    began = time.perf_counter()
    plan, names = _plan(f, p, args, wrt, "pmc")
    p = plan.p
    sources = as_proposals(proposals)
    if sources is None:
        raise TypeError("proposals=None: give distributions to start from")
    rounds, n, seed = checks.count("rounds", rounds), checks.count("n", n), seed_of(rng)
    start, estimates = sources.families, []
    for r in range(rounds):
        asked = _Recorder(plan)
        estimate = gradient(
            Integrand(asked, kind="numpy", nonfinite=plan.integrand.nonfinite), p, wrt=names, n=n,
            baseline=baseline, proposals=sources, rng=derived_seed(seed, _STREAM, r),
        )  # fmt: skip
        estimates.append(estimate)
        x, values = asked.taken()
        if r + 1 < rounds:
            families = _responsible(sources, start, p, x, values, estimate, names, least)
            sources = replace(sources, families=families)
    return RoundsEstimate(
        p, names, estimates, sources.families, seed=seed, seconds=time.perf_counter() - began
    )


def amis(
    f: Callable[..., Any] | Integrand, p: Family, q: Family, *, args: tuple[Any, ...] = (),
    wrt: str | Iterable[str] | None = None, rounds: int = 5, n: int = 20_000,
    baseline: str | float | None = "optimal", self_normalized: bool = False,
    least: float | None = None, rng: Any = None,
) -> Estimate:  # fmt: skip
    """Estimate the gradient by adaptive multiple importance sampling (AMIS).

    In each round q is fitted to all samples so far, which weigh ``p/q̄``, q̄ being the mixture of
    the proposals of all rounds [1]_.  No sample is wasted, and early misfits do little harm, but
    later proposals depend on earlier samples: the estimate is biased, less so with more samples,
    and its standard errors leave that dependence out.

    Parameters
    ----------
    f, p, args, wrt, baseline, rng
        As of `gradient`; no direct term.
    q : Family
        The proposal of the first round.
    rounds, n : int
        Rounds, and samples of each.
    self_normalized : bool
        Divide by the sum of weights.
    least : float, optional
        As of `cross_entropy`.

    Returns
    -------
    Estimate
        With ``bias="adaptive reuse (AMIS)"``.

    Raises
    ------
    TypeError, ValueError
        As `gradient` does.

    References
    ----------
    .. [1] J.-M. Cornuet, J.-M. Marin, A. Mira and C. P. Robert, Adaptive multiple importance
       sampling, Scandinavian Journal of Statistics 39 (2012).
    """
    began = time.perf_counter()
    plan, names = _plan(f, p, args, wrt, "amis")
    p = plan.p
    Proposals((q,)).check(p)
    rounds, n, seed = checks.count("rounds", rounds), checks.count("n", n), seed_of(rng)
    baseline = as_baseline(baseline)
    past, now = Reservoir(rounds * n), q
    for r in range(rounds):
        drawn = now.drawn(n, derived_seed(seed, _STREAM, r))
        values, inside = np.zeros(n), p.log_density(drawn) > -np.inf
        values[inside] = evaluate(plan, drawn[inside])
        past.add(drawn, values, now)
        x, f_values, log_weights = past.weighted(p)
        log_gain = _log_gain(p, x, f_values, log_weights, names)
        if r + 1 < rounds and _tells(log_gain):
            now = _fitted(q, x, log_gain, least)
    return estimate_given(
        p, names, x, f_values, log_weights, baseline=baseline, self_normalized=self_normalized,
        biased=["adaptive reuse (AMIS)"], seed=seed, start=began,
    )  # fmt: skip


def _plan(f: Any, p: Any, args: Any, wrt: Any, owner: str) -> tuple[Plan, tuple[str, ...]]:
    """How to evaluate f, and the parameters to differentiate by."""
    integrand, args = checked(f, p, args)
    refuse_direct(integrand, owner)
    return Plan(integrand, p.whole, args, None, 0, None), names_of(wrt, p)


class _Recorder:
    """f called NumPy-style, which keeps what it was asked, and what it answered, until `taken`."""

    def __init__(self, plan: Plan) -> None:
        # Whoever calls it minds values that are not finite.
        self.plan = replace(plan, integrand=replace(plan.integrand, nonfinite="propagate"))
        self.kept: list[tuple[np.ndarray, np.ndarray]] | None = []

    def __call__(self, seen: Any) -> np.ndarray:
        x = self.plan.p.form.columns(seen)
        values = evaluate(self.plan, x)
        if self.kept is not None:
            self.kept.append((x.copy(), values))
        return values

    def taken(self) -> tuple[np.ndarray, np.ndarray]:
        """All samples and values, which are kept no longer."""
        kept, self.kept = self.kept or [], None
        return np.concatenate([x for x, _ in kept]), np.concatenate([values for _, values in kept])


# --- fits ---


def _tells(log_weight: np.ndarray) -> bool:
    """Whether there is something to fit to."""
    return bool((log_weight > -np.inf).any())


def _log_score(p: Family, x: np.ndarray, wrt: tuple[str, ...]) -> np.ndarray:
    """``log ‖s‖``."""
    with np.errstate(divide="ignore"):
        return np.asarray(0.5 * np.log(squared_scores(p, x, wrt)))


def _log_gain(
    p: Family, x: np.ndarray, f: np.ndarray, log_weight: np.ndarray, wrt: tuple[str, ...]
) -> np.ndarray:
    """``log W |f − b| ‖s‖``, with b the median of f under ``W ‖s‖``; −∞ where f is not finite."""
    finite = np.isfinite(f)
    f = np.where(finite, f, 0.0)
    log_weight = np.where(finite, log_weight + _log_score(p, x, wrt), -np.inf)
    top = log_weight.max(initial=-np.inf)
    if top == -np.inf:
        return log_weight
    order = np.argsort(f, kind="stable")
    cumulated = np.cumsum(np.exp(log_weight - top)[order])
    b = f[order][np.searchsorted(cumulated, cumulated[-1] / 2)]
    with np.errstate(divide="ignore"):
        return np.asarray(log_weight + np.log(np.abs(f - b)))


def _responsible(
    sources: Proposals, start: Sequence[Family], p: Family, x: np.ndarray, f: np.ndarray,
    estimate: Estimate, wrt: tuple[str, ...], least: float | None,
) -> list[Family]:  # fmt: skip
    """Each proposal fitted to what it is responsible for; those for nothing stay as they are."""
    assert estimate.importance is not None
    counts = estimate.importance.counts
    log_own = np.array([q.log_density(x) for q in sources.members(p)])
    log_own += np.log(counts / counts.sum())[:, None]
    log_mixed = np.logaddexp.reduce(log_own)
    log_gain = _log_gain(p, x, f, p.log_density(x) - log_mixed, wrt)
    families = []
    for first, now, own in zip(start, sources.families, log_own, strict=False):
        log_weight = log_gain + own - log_mixed
        tells = _tells(log_weight)
        families.append(_fitted(first, x, log_weight, least) if tells else now)
    return families


def _fitted(start: Family, x: np.ndarray, log_weight: np.ndarray, least: float | None) -> Family:
    """The distribution like ``start`` that fits weighted samples best, but does not collapse."""
    if least is None:
        least = _LEAST_PROBABILITY if start.dtype is np.int64 else _LEAST_SCALE
    counted = log_weight > -np.inf
    return start.fitted(x[counted], np.exp(_flattened(log_weight[counted])), least=least)


def _flattened(log_weight: np.ndarray) -> np.ndarray:
    """Logarithms of weights to the largest power up to 1 that leaves enough effective samples."""
    log_weight = log_weight - log_weight.max()
    enough = min(_ENOUGH, len(log_weight) / 2)
    low, high = 0.0, 1.0
    if effective_size(log_weight) >= enough:
        return log_weight
    for _ in range(30):
        power = (low + high) / 2
        if effective_size(power * log_weight) >= enough:
            low = power
        else:
            high = power
    return low * log_weight
