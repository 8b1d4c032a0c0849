"""Importance sampling held to plain NumPy on the very samples that it uses."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from cases import flat
from mis import Scheme, check, gradient, in_support, log_density, sums
from numba import config, njit
from oracle import (
    KINDS,
    labels,
    model,
    model_direct,
    model_direct_numpy,
    model_numpy,
    smooth_numpy,
    twin,
)

import fastscore as fs
from fastscore.importance import psis
from fastscore.importance.proposals import cut_of

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

BASELINES = (None, 0.7, "mean", "scalar", "optimal", "matrix")
HEURISTICS = {
    "balance": {},
    "power": {},
    "power, β = 3.5": {"beta": 3.5},
    "power, β = 1": {"beta": 1.0},
    "cutoff": {},
    "cutoff, α = 0.6": {"alpha": 0.6},
    "maximum": {},
    "constant": {},
    "constant, given": {"weights": (0.75, 0.25)},
    "mixture": {},
}

LOC, SCALE = np.array([0.3, -0.4, 0.9]), np.array([0.8, 1.2, 0.6])
NORMAL = fs.Normal(LOC, SCALE)
#: Both at least as wide as the target, for the sake of constant weights.
WIDER = (fs.Normal(LOC + 0.5, 1.3 * SCALE), fs.Normal(LOC - 0.4, 1.1 * SCALE))

TARGETS = {
    "normal": (NORMAL, WIDER),
    "log scale": (fs.Normal(LOC, log_scale=np.log(SCALE)), WIDER),
    "shared loc": (fs.Normal(0.4, SCALE), WIDER),
    "shared scale": (fs.Normal(LOC, 1.1), WIDER),
    "one number each": (fs.Normal(0.4, 0.9), (fs.Normal(0.0, 1.5), fs.Normal([1.0], 1.0))),
    "bernoulli": (
        fs.Bernoulli(logits=[0.4, -1.0]),
        (fs.Bernoulli([0.5, 0.5]), fs.Categorical([[0.3, 0.7], [0.6, 0.4]])),
    ),
    "bernoulli by probability": (
        fs.Bernoulli([0.3, 0.9]),
        (fs.Bernoulli(logits=[0.0, 1.0]), fs.Bernoulli([0.6, 0.5])),
    ),
    "categorical": (
        fs.Categorical(logits=np.log([0.4, 0.3, 0.2, 0.1])),
        (fs.Categorical([0.7, 0.1, 0.1, 0.1]), fs.Categorical([0.1, 0.2, 0.3, 0.4])),
    ),
    "two categoricals, by weights": (
        fs.Categorical([[0.5, 1.0, 0.5], [2.0, 2.0, 1.0]]),
        (fs.Categorical(np.ones((2, 3))), fs.Categorical([[1, 1, 2], [3, 1, 1]])),
    ),
    "wider support": (
        fs.Categorical(logits=[0.1, 0.5, -0.3]),
        (fs.Categorical(np.ones(5)), fs.Categorical([1.0, 2.5, 3.0, 4.0])),
    ),
    "excluded class": (
        fs.Categorical(logits=[0.1, -np.inf, -0.3]),
        (fs.Categorical(np.ones(4)), fs.Categorical([1.0, 2.2, 3.0])),
    ),
    "half each": (
        fs.Categorical(logits=np.log([0.4, 0.3, 0.2, 0.1])),
        (fs.Categorical([0.8, 0.2, 0.0, 0.0]), fs.Categorical([0.0, 0.2, 0.4, 0.4, 0.3])),
    ),
    "bernoulli and more": (
        fs.Categorical([0.4, 0.3, 0.2, 0.1]),
        (fs.Bernoulli([0.7]), fs.Categorical([0.1, 0.2, 0.3, 0.4])),
    ),
    "bernoulli of a wide categorical": (
        fs.Bernoulli([0.3]),
        (fs.Categorical([1.0, 1.0, 1.0]), fs.Bernoulli([0.8])),
    ),
}
#: Whose proposals do not each cover it.
PARTIAL = ("half each", "bernoulli and more")


def scheme_of(families, counts, name, **options):
    heuristic = name.split(",")[0]
    if heuristic == "constant":
        options["covering"] = True
    return Scheme(families, counts, heuristic, options, HEURISTICS[name])


# --- the comparison ---


@pytest.mark.parametrize("name", HEURISTICS)
@pytest.mark.parametrize("counts", [(1, 1), (3, 1), (2, 5)])
def test_heuristics(name, counts):
    scheme = scheme_of(WIDER, counts, name)
    for units in (1, 2, 3, 13, 300):
        check(
            smooth_numpy, NORMAL, scheme, units * scheme.size, smooth_numpy, seed=units,
            baselines=BASELINES,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["balance", "power", "cutoff", "maximum", "mixture"])
@pytest.mark.parametrize("target", TARGETS)
def test_targets(target, name):
    p, families = TARGETS[target]
    for units, counts in ((2, (1, 1)), (25, (2, 1)), (400, (1, 1))):
        scheme = scheme_of(families, counts, name)
        check(
            smooth_numpy, p, scheme, units * scheme.size, smooth_numpy, seed=units,
            baselines=BASELINES,
        )  # fmt: skip


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in PARTIAL])
def test_constant_weights(target):
    p, families = TARGETS[target]
    scheme = scheme_of(families, (1, 1), "constant")
    check(smooth_numpy, p, scheme, 60, smooth_numpy, seed=5, baselines=BASELINES)


@pytest.mark.parametrize("n", [2, 26, 20_000])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_f(kind, n):
    scheme = Scheme(WIDER, (1, 1))
    check(KINDS[kind], NORMAL, scheme, n, smooth_numpy, seed=n, baselines=BASELINES)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("name", ["balance", "maximum", "mixture"])
def test_numbers_of_proposals(count, name):
    k = np.linspace(-1, 1, count)
    families = tuple(fs.Normal(LOC + shift, SCALE * (1.2 + shift / 3)) for shift in k)
    scheme = scheme_of(families, (1,) * count, name)
    check(smooth_numpy, NORMAL, scheme, 120, smooth_numpy, seed=1, baselines=BASELINES)
    uneven = scheme_of(families, tuple(range(1, count + 1)), name)
    check(
        smooth_numpy, NORMAL, uneven, 30 * sum(uneven.counts), smooth_numpy, seed=2,
        baselines=BASELINES,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("allocation", "defensive", "counts"),
    [
        (None, 0.1, (9, 9, 2)), (None, 0.5, (1, 1, 2)), ([3, 1], 0.2, (3, 1, 1)),
        ([0.5, 0.25], 0.25, (2, 1, 1)), ([0.6, 0.2], 0.0, (3, 1)), ([30, 10], 0.0, (3, 1)),
        ([1e-3, 3e-3], 0.0, (1, 3)), (np.array([2, 6]), 0.0, (1, 3)),
        (np.array([0.1, 0.7]), 0.0, (1, 7)), ((1 / 3, 2 / 3), 0.0, (1, 2)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("heuristic", ["balance", "power", "maximum", "mixture"])
def test_shares(allocation, defensive, counts, heuristic):
    options = {"allocation": allocation} if allocation is not None else {}
    options |= {"defensive": defensive} if defensive else {}
    scheme = Scheme(WIDER, counts, heuristic, options)
    for units in (12, 40):
        check(
            smooth_numpy, NORMAL, scheme, units * scheme.size, smooth_numpy, seed=units,
            baselines=BASELINES,
        )  # fmt: skip


@pytest.mark.parametrize("name", HEURISTICS)
@pytest.mark.parametrize("clip", [None, 0.8, 1.5, 100.0])
@pytest.mark.parametrize("self_normalized", [False, True])
def test_clipped_and_self_normalised(name, clip, self_normalized):
    options = {"self_normalized": self_normalized} if self_normalized else {}
    options |= {"clip": clip} if clip else {}
    scheme = scheme_of(WIDER, (2, 1), name, **options)
    baselines = (None, 0.7, "mean") if self_normalized else BASELINES
    for units in (1, 2, 30, 500):
        check(
            smooth_numpy, NORMAL, scheme, units * scheme.size, smooth_numpy, seed=units,
            baselines=baselines,
        )  # fmt: skip
    bias = gradient(smooth_numpy, NORMAL, scheme, 90, rng=0, baseline="mean").bias
    assert ("self-normalised, O(1/n)" in bias) == self_normalized
    assert ("clipped weights" in bias) == (clip is not None)
    assert (bias == "none") == (not self_normalized and clip is None)


@pytest.mark.parametrize("wrt", ["loc", "scale"])
def test_some_of_the_parameters(wrt):
    scheme = scheme_of(WIDER, (2, 1), "power")
    baselines = (None, "mean", "scalar", "optimal")
    check(smooth_numpy, NORMAL, scheme, 90, smooth_numpy, seed=3, baselines=baselines, wrt=wrt)


# --- a direct term ---


@pytest.mark.parametrize("name", ["balance", "power", "mixture"])
@pytest.mark.parametrize("kind", ["sample", "numpy"])
def test_direct_term(kind, name):
    f, direct = (model, model_direct) if kind == "sample" else (model_numpy, model_direct_numpy)
    for units in (1, 2, 13, 300):
        scheme = scheme_of(WIDER, (2, 1), name)
        check(
            fs.Integrand(f, direct=direct), NORMAL, scheme, units * scheme.size,
            lambda x: model_numpy(x, LOC), seed=units, args=(LOC,),
            baselines=(None, 0.7, "mean", "scalar", "optimal"),
            direct=lambda x: model_direct_numpy(x, LOC),
        )  # fmt: skip


# --- where p is zero ---


def picky(p):
    """An f, its direct term and a flag of theirs, which refuse all x that p cannot come to."""

    def asked(x):
        assert len(x) > 0
        assert np.all(log_density(p, x) > -np.inf)

    def f(x):
        asked(x)
        return smooth_numpy(x)

    def direct(x):
        asked(x)
        return np.ones((len(x), p.size)) * x[:, :1]

    return f, direct


@pytest.mark.parametrize("name", ["balance", "power", "cutoff", "maximum", "constant", "mixture"])
@pytest.mark.parametrize(
    "target", ["wider support", "excluded class", "bernoulli of a wide categorical"]
)
def test_f_is_asked_on_the_support_alone(target, name):
    p, families = TARGETS[target]
    f, direct = picky(p)
    scheme = scheme_of(families, (1, 1), name)
    for n in (2, 4, 100, 30_000):
        check(f, p, scheme, n, smooth_numpy, seed=n, baselines=(None, "optimal"))
        check(
            fs.Integrand(f, direct=direct), p, scheme, n, smooth_numpy, seed=n,
            baselines=(None, "optimal"), direct=lambda x, p=p: np.ones((len(x), p.size)) * x[:, :1],
        )  # fmt: skip


@njit
def table(x, values):
    """Of classes that the table has; elsewhere, not a number."""
    return values[x[0]] if 0 <= x[0] < values.size else math.nan


def test_compiled_f_is_asked_on_the_support_alone():
    p, families = TARGETS["wider support"]
    values = np.array([1.0, -2.0, 5.0])
    for name in ("balance", "power", "mixture"):
        scheme = scheme_of(families, (1, 1), name)
        check(
            table, p, scheme, 30_000, lambda x: values[x[:, 0]], seed=9, args=(values,),
            baselines=(None, "optimal"),
        )  # fmt: skip


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
@pytest.mark.parametrize("self_normalized", [False, True])
def test_weights_of_all_sizes(factor, self_normalized):
    """From 1e-90 to 1e+2, and so different from block to block and sample to sample."""
    d = 100
    p = fs.Normal(np.zeros(d), np.ones(d))
    families = tuple(fs.Normal(np.zeros(d), np.full(d, k * factor)) for k in (1.0, 1.1))
    options = {"self_normalized": True} if self_normalized else {}
    scheme = Scheme(families, (1, 1), "balance", options)
    for n in (2, 40, 4000):
        check(
            smooth_numpy, p, scheme, n, smooth_numpy, seed=n, baselines=(None, 0.7, "mean")
        )  # fmt: skip


@pytest.mark.parametrize("seed", [3, 42, 83, 91, 132])
def test_one_weight_dominates(seed):
    """By e⁶ to e⁴³: a fold's sums less its own are then rounding, and no coefficient for it."""
    d, n = 200, 40
    p, q = fs.Normal(np.zeros(d), np.ones(d)), fs.Normal(np.zeros(d), np.full(d, 2.0))
    proposals = fs.Proposals([q])
    x, _ = proposals.sample(p, n, rng=seed)
    log_w = log_density(p, x) - log_density(q, x)
    W = np.exp(log_w - log_w.max())
    units = naive.unit_sums(W, smooth_numpy(x), twin(p).score(x), 1)
    folds = labels(cut_of(*proposals.mixture(p, n)))
    for baseline in (None, 0.7, "mean", "scalar", "optimal"):
        est = fs.gradient(smooth_numpy, p, proposals=proposals, n=n, rng=seed, baseline=baseline)
        expected = naive.unit_terms(units, folds, baseline).mean(axis=0)
        error = 1e-7 * np.abs(units.F).max() / n
        np.testing.assert_allclose(est.flat / np.exp(log_w.max()), expected, atol=error)


@pytest.mark.parametrize("loc", [17.0, 25.0, -36.0])
@pytest.mark.parametrize("kind", ["sample", "numpy"])
def test_weights_all_tiny(kind, loc):
    """Around 1e-63, 1e-136 and 1e-281: their squares are smaller than any float64."""
    p = fs.Normal([0.0, 0.0], [1.0, 1.0])
    families = (fs.Normal([loc, 0.0], [0.3, 1.2]), fs.Normal([loc, 0.1], [0.33, 1.1]))
    scheme, normalised = Scheme(families, (1, 1)), Scheme(
        families, (1, 1), "balance", {"self_normalized": True}
    )  # fmt: skip
    n = 600
    run = sums(scheme, p, n, smooth_numpy, 3)
    top = run.W.max()
    units = naive.Units(*(part / top for part in vars(run.units).values()))
    for baseline in BASELINES[:-1]:
        est = gradient(KINDS[kind], p, scheme, n, rng=3, baseline=baseline)
        assert est.ess == pytest.approx((run.W / top).sum() ** 2 / np.sum((run.W / top) ** 2))
        ratio = naive.importance_estimate(units, run.folds, baseline, True).value
        np.testing.assert_allclose(est.value / top, units.value.mean(), rtol=1e-9)
        if baseline in (None, 0.7):
            expected = naive.unit_terms(units, run.folds, baseline)
            np.testing.assert_allclose(est.flat / top, expected.mean(0), rtol=1e-9)
        if baseline not in (None, 0.7, "mean"):
            continue
        est = gradient(KINDS[kind], p, normalised, n, rng=3, baseline=baseline)
        expected = naive.importance_estimate(units, run.folds, baseline, True)
        np.testing.assert_allclose(est.value, ratio, rtol=1e-9)
        np.testing.assert_allclose(est.value_stderr, expected.value_stderr, rtol=1e-6)
        np.testing.assert_allclose(est.flat, expected.grad, rtol=1e-9)
        np.testing.assert_allclose(flat(est.grad_stderr), expected.stderr, rtol=1e-6)


@pytest.mark.parametrize("loc", [17.0, 25.0, -36.0])
@pytest.mark.parametrize("kind", ["sample", "numpy"])
def test_products_of_tiny_weights_are_refused_or_right(kind, loc):
    p = fs.Normal([0.0], [1.0])
    families = (fs.Normal([loc], [0.3]), fs.Normal([loc], [0.33]))
    plain = fs.gradient(KINDS[kind], p, proposals=families, n=600, rng=3, baseline=None)
    with pytest.raises(ValueError, match="weights"):
        plain.covariance()
    try:
        est = plain.with_baseline("matrix")
        assert np.abs(est.flat).max() < 100 * np.abs(plain.flat).max()
    except ValueError as error:
        assert "weights" in str(error)  # noqa: PT017
    try:
        est = fs.gradient(KINDS[kind], p, proposals=families, n=600, rng=3, baseline="matrix")
        assert est.ess == pytest.approx(plain.ess)
        assert est.value_stderr == pytest.approx(plain.value_stderr)
        assert np.abs(est.flat).max() < 100 * np.abs(plain.flat).max()
    except ValueError as error:
        assert "weights" in str(error)  # noqa: PT017


def test_weights_beyond_reach():
    """A proposal so much wider than p that ``z²`` overflows: it weighs 0, whatever its score."""
    p, q = fs.Normal([0.0], [1e-60]), fs.Normal([0.0], [1e100])
    for f in (KINDS["sample"], smooth_numpy):
        est = fs.gradient(f, p, proposals=fs.Proposals([q], defensive=0.5), n=2000, rng=3)
        assert est.value == pytest.approx(3.0)
        assert np.isfinite(est.flat).all()


# --- control variates: their columns and sums, given the coefficients that a run has fitted ---

CONTROLS = {
    "proposals": {"control_variates": "proposals"},
    "target": {"control_variates": "target"},
    "both": {"control_variates": ("proposals", "target")},
    "optimal": {},
}


def scheme_with(controls, counts=(2, 1), families=WIDER, **options):
    heuristic = "optimal" if controls == "optimal" else "balance"
    return Scheme(families, counts, heuristic, CONTROLS[controls] | options)


def control_units(scheme, p, n, seed):
    """Means over units of ``q_j/q̄ − 1``, of the last proposal redundant, and of ``p/q̄ − 1``."""
    proposals, given = scheme.proposals(n)
    x, _ = proposals.sample(p, given, rng=seed)
    log_q = np.array([log_density(q, x) for q in scheme.all_families(p)])
    named = scheme.options.get("control_variates", "proposals")
    columns = naive.control_columns(
        log_density(p, x), log_q, np.array(scheme.counts), ("proposals", "target")
    )
    chosen = [*range(len(log_q) - 1)] * ("proposals" in named) + [-1] * ("target" in named)
    return columns[:, chosen].reshape(-1, scheme.size, len(chosen)).mean(axis=1)


@pytest.mark.parametrize("baseline", [None, 0.7, "mean", "scalar", "optimal"])
@pytest.mark.parametrize("controls", CONTROLS)
def test_controls(controls, baseline):
    families = (*WIDER, fs.Normal(LOC, 1.5 * SCALE))
    for families, counts in ((WIDER, (2, 1)), ((*WIDER, fs.Normal(LOC, 1.5 * SCALE)), (1, 1, 1))):
        scheme = scheme_with(controls, counts, families)
        for units in (5, 13, 300):
            n = units * scheme.size
            run = sums(scheme, NORMAL, n, smooth_numpy, units)
            c = control_units(scheme, NORMAL, n, units)
            est = gradient(smooth_numpy, NORMAL, scheme, n, rng=units, baseline=baseline)
            b = est._solution.coefficients[run.folds] + est._moments.reference
            beta = est._solution.controls[run.folds]
            terms = run.units.F - b * run.units.S - np.einsum("upc,uc->up", beta[:, :-1], c)
            value = run.units.value - np.einsum("uc,uc->u", beta[:, -1], c)
            np.testing.assert_allclose(est.flat, terms.mean(axis=0), rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(
                flat(est.grad_stderr), naive.standard_error(terms), rtol=1e-7
            )
            np.testing.assert_allclose(est.value, value.mean(), rtol=1e-12)
            np.testing.assert_allclose(est.value_stderr, naive.standard_error(value), rtol=1e-7)
            assert units == 13 or np.any(beta) == (units > 13)


@pytest.mark.parametrize("controls", CONTROLS)
def test_controls_of_some_of_the_parameters(controls):
    """A coefficient per coordinate does not care about the others."""
    scheme = scheme_with(controls)
    for baseline in (None, "mean", "optimal"):
        whole, loc, scale = (
            gradient(smooth_numpy, NORMAL, scheme, 900, rng=1, baseline=baseline, wrt=wrt)
            for wrt in (None, "loc", "scale")
        )
        np.testing.assert_allclose(loc.flat, whole.flat[:3], rtol=1e-12)
        np.testing.assert_allclose(scale.flat, whole.flat[3:], rtol=1e-12)
        assert loc.value == whole.value


def test_controls_that_vary_nowhere_change_nothing():
    q = fs.Normal(LOC, 1.3 * SCALE)
    for families in ((q,), (q, q), (q, q, q)):
        plain = gradient(smooth_numpy, NORMAL, Scheme(families, (1,) * len(families)), 900, rng=1)
        for controls in ("proposals", "optimal"):
            scheme = scheme_with(controls, (1,) * len(families), families)
            est = gradient(smooth_numpy, NORMAL, scheme, 900, rng=1)
            np.testing.assert_allclose(est.flat, plain.flat, rtol=1e-10)
            np.testing.assert_allclose(est.value, plain.value, rtol=1e-12)


def test_redundant_controls():
    """With p among the proposals, ``p/q̄`` is a control twice."""
    scheme, once = (
        Scheme(WIDER, (1, 1, 1), "balance", {"defensive": 1 / 3, "control_variates": names})
        for names in (("proposals", "target"), "proposals")
    )
    both, one = (gradient(smooth_numpy, NORMAL, s, 3000, rng=1) for s in (scheme, once))
    np.testing.assert_allclose(both.flat, one.flat, rtol=0.05, atol=0.01)
    np.testing.assert_allclose(flat(both.grad_stderr), flat(one.grad_stderr), rtol=0.05)


# --- cross-fitting ---


@pytest.mark.parametrize("options", [{}, *CONTROLS.values(), {"heuristic": "mixture"}], ids=str)
@pytest.mark.parametrize("baseline", ["mean", "scalar", "optimal", "matrix"])
@pytest.mark.parametrize("units", [4, 200])
def test_coefficients_do_not_see_their_own_fold(units, baseline, options):
    """Changing f on the samples of one fold changes the coefficients of all folds but that."""
    heuristic = options.get("heuristic", "optimal" if options == CONTROLS["optimal"] else "balance")
    given = {key: value for key, value in options.items() if key != "heuristic"}
    controlled = bool(given) or heuristic == "optimal"
    scheme = Scheme(WIDER, (1, 1), heuristic, given)
    if baseline == "matrix" and controlled:
        with pytest.raises(ValueError, match="matrix"):
            gradient(smooth_numpy, NORMAL, scheme, 400, baseline="matrix").flat  # noqa: B018
        return
    n, fold = units * scheme.size, 1
    run = sums(scheme, NORMAL, n, smooth_numpy, 9)
    x, _ = scheme.proposals(n)[0].sample(NORMAL, n, rng=9)
    own = x[np.repeat(run.folds, scheme.size) == fold, 0]

    def changed(x):
        return np.where(np.isin(x[:, 0], own), 1e3 * x[:, 1], smooth_numpy(x))

    def coefficients(f):
        """Of f itself, not of f less a reference."""
        est = gradient(f, NORMAL, scheme, n, rng=9, baseline=baseline)
        b, r = est._solution.coefficients, est._moments.reference
        b = b + (r * np.eye(b.shape[-1]) if b.ndim == 3 else r)
        parts = [b, est._solution.controls] if controlled else [b]
        return [np.concatenate([part[k].ravel() for part in parts]) for k in range(len(b))]

    before, after = coefficients(smooth_numpy), coefficients(changed)
    size = np.abs(before[fold]).max()
    np.testing.assert_allclose(after[fold], before[fold], rtol=1e-7, atol=1e-7 * size)
    others = [k for k in range(len(before)) if k != fold]
    assert all(np.abs(after[k] - before[k]).max() > 1e-3 * size for k in others)


# --- diagnostics of the weights ---


@pytest.mark.parametrize("name", ["balance", "power", "maximum", "mixture"])
@pytest.mark.parametrize("n", [12, 600, 30_000])
def test_tail_of_the_weights(name, n):
    scheme = scheme_of(WIDER, (2, 1), name)
    run = sums(scheme, NORMAL, n, smooth_numpy, 4)
    with np.errstate(divide="ignore"):
        expected = psis.smooth(np.log(run.W))[1]
    for f in (smooth_numpy, KINDS["sample"]):
        est = gradient(f, NORMAL, scheme, n, rng=4, threads=2 if n > 600 else 1)
        assert est.pareto_k == pytest.approx(expected, rel=1e-8)
        assert est.ess == pytest.approx(run.W.sum() ** 2 / (run.W**2).sum())


# --- samples, threads, baselines ---


@pytest.mark.parametrize("target", TARGETS)
def test_samples_go_round_the_proposals(target):
    p, families = TARGETS[target]
    proposals = fs.Proposals(families, allocation=[3, 1], defensive=0.2)
    x, index = proposals.sample(p, 9_998, rng=4)
    assert x.shape == (10_000, p.d)
    assert x.dtype == p.dtype
    np.testing.assert_array_equal(index, np.tile([0, 0, 0, 1, 2], 2000))
    for j, q in enumerate((*families, p)):
        drawn = x[index == j].astype(float)
        assert np.all(in_support(q, x[index == j]))
        like = q.sample(20_000, rng=8).astype(float)
        error = np.sqrt(drawn.var(axis=0) / len(drawn) + like.var(axis=0) / len(like))
        assert np.all(np.abs(drawn.mean(axis=0) - like.mean(axis=0)) <= 4.5 * error)
        np.testing.assert_allclose(drawn.std(axis=0), like.std(axis=0), rtol=0.1)


def test_samples_of_the_mixture():
    """Shares hold on average; whose a sample is nobody knows."""
    families = [fs.Normal(LOC, SCALE), fs.Normal(LOC + 100, SCALE)]
    proposals = fs.Proposals(families, allocation=[3, 1], heuristic="mixture")
    x, index = proposals.sample(NORMAL, 20_000, rng=1)
    assert x.shape == (20_000, 3)
    assert np.all(index == -1)
    share = np.mean(x[:, 0] > 50)
    assert abs(share - 0.25) < 4.5 * math.sqrt(3 / 16 / 20_000)
    for shift, rows in ((0, x[:, 0] < 50), (100, x[:, 0] > 50)):
        z = (x[rows] - LOC - shift) / SCALE
        assert np.abs(z.mean(axis=0)).max() < 4.5 / math.sqrt(rows.sum())
        np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.1)


@pytest.mark.parametrize("heuristic", ["balance", "mixture"])
@pytest.mark.parametrize("d", [1, 2, 3, 50])
@pytest.mark.parametrize("n", [100, 5000, 5001])
def test_no_sample_is_of_two_proposals(n, d, heuristic):
    """Each coordinate comes from the same one."""
    p, places = fs.Normal(np.zeros(d), 1.0), 1e4 * np.arange(1, 6)
    proposals = fs.Proposals(
        [fs.Normal(np.full(d, place), 1.0) for place in places], heuristic=heuristic
    )
    for seed in range(3):
        x, index = proposals.sample(p, n, rng=seed)
        nearest = np.abs(x[:, :, None] - places).argmin(axis=2)
        assert np.all(nearest == nearest[:, :1])
        assert np.abs(x - places[nearest]).max() < 10
        if heuristic == "balance":
            np.testing.assert_array_equal(nearest[:, 0], index)


@pytest.mark.parametrize("d", [2, 40, 41, 202, 230, 300])
def test_mixtures_of_many_coordinates(d):
    """Samplers write beyond their rows: nothing of another sample, of either way to call f."""
    p = fs.Normal(np.linspace(-1, 1, d), 1.0)
    families = tuple(fs.Normal(np.linspace(-1, 1, d) + k / 50, 1.0 + k / 90) for k in range(3))
    scheme = Scheme(families, (5, 2, 3), "mixture", {"allocation": [0.5, 0.2, 0.3]})
    check(KINDS["numpy"], p, scheme, 1000, smooth_numpy, seed=d, baselines=(None, "optimal"))
    if d in (2, 230):
        check(KINDS["batch"], p, scheme, 1000, smooth_numpy, seed=d, baselines=(None, "optimal"))


def test_of_equals_maximum_takes_the_last():
    """So it says in the known answers of mis-disc2-partialsupport."""
    p = fs.Categorical([0.4, 0.6])
    families = (fs.Categorical([0.75, 0.25]), fs.Categorical([0.75, 0.25]))
    x, index = fs.Proposals(families).sample(p, 400, rng=1)
    est = fs.gradient(smooth_numpy, p, proposals=fs.Proposals(families, heuristic="maximum"),
                      n=400, rng=1)  # fmt: skip
    last = index == 1
    W = np.where(x[last, 0] == 0, 0.4 / 0.75, 0.6 / 0.25)
    assert est.value == pytest.approx(np.mean(W * smooth_numpy(x[last])), rel=1e-12)


@pytest.mark.parametrize("name", ["balance", "power", "cutoff", "maximum", "mixture"])
def test_same_bits_on_any_number_of_threads(name):
    scheme = scheme_of(WIDER, (2, 1), name, defensive=0.1)
    one, two = (
        gradient(KINDS["sample"], NORMAL, scheme, 300_000, rng=5, threads=threads)
        for threads in (1, 2)
    )
    assert one.value == two.value
    assert one.value_stderr == two.value_stderr
    assert (one.ess, one.pareto_k) == (two.ess, two.pareto_k)
    np.testing.assert_array_equal(one.flat, two.flat)
    np.testing.assert_array_equal(flat(one.grad_stderr), flat(two.grad_stderr))


def test_kinds_of_f_give_the_same():
    scheme = scheme_of(WIDER, (2, 1), "power")
    sample, batch, numpy = (
        gradient(f, NORMAL, scheme, 30_000, rng=5) for f in KINDS.values()
    )  # fmt: skip
    for other in (batch, numpy):
        np.testing.assert_allclose(other.flat, sample.flat, rtol=1e-12)


@pytest.mark.parametrize("baseline", [None, 0.7, "mean", "scalar", "optimal", "matrix"])
@pytest.mark.parametrize("name", ["balance", "power", "mixture"])
def test_covariance(name, baseline):
    scheme = scheme_of(WIDER, (2, 1), name)
    n = 300 * scheme.size
    run = sums(scheme, NORMAL, n, smooth_numpy, 3)
    est = gradient(smooth_numpy, NORMAL, scheme, n, rng=3, baseline=baseline)
    terms = naive.unit_terms(run.units, run.folds, baseline)
    actual = est.covariance()
    expected = np.cov(terms.T) / len(terms)
    size = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert np.all(np.abs(actual - expected) <= 1e-9 * size)


def test_with_baseline_is_a_run_with_that_baseline():
    scheme = scheme_of(WIDER, (2, 1), "power")
    first = gradient(smooth_numpy, NORMAL, scheme, 3000, rng=3, baseline=None)
    for baseline in BASELINES:
        again = gradient(smooth_numpy, NORMAL, scheme, 3000, rng=3, baseline=baseline)
        derived = first.with_baseline(baseline)
        np.testing.assert_array_equal(derived.flat, again.flat)
        np.testing.assert_array_equal(flat(derived.grad_stderr), flat(again.grad_stderr))


def test_a_list_of_proposals_has_the_balance_heuristic_and_equal_shares():
    whole = fs.gradient(smooth_numpy, NORMAL, proposals=fs.Proposals(list(WIDER)), n=500, rng=1)
    short = fs.gradient(smooth_numpy, NORMAL, proposals=WIDER, n=500, rng=1)
    assert short.value == whole.value
    np.testing.assert_array_equal(short.flat, whole.flat)


def test_p_as_its_own_proposal_has_weights_of_one():
    """The estimator is then the plain one, but for the mean of which fold."""
    est = fs.gradient(smooth_numpy, NORMAL, proposals=[NORMAL], n=1000, rng=7, baseline=2.0)
    x, _ = fs.Proposals([NORMAL]).sample(NORMAL, 1000, rng=7)
    f, s = smooth_numpy(x), NORMAL.score(x)
    assert est.ess == pytest.approx(1000, rel=1e-12)
    np.testing.assert_allclose(est.flat, np.mean((f - 2.0)[:, None] * s, axis=0), rtol=1e-11)


def test_equal_proposals_under_any_heuristic_agree():
    """Where all ``c_j`` are equal the smooth heuristics agree, and all are unbiased."""
    q = fs.Normal(LOC, 1.3 * SCALE)
    runs = {
        name: gradient(smooth_numpy, NORMAL, scheme_of((q, q), (1, 1), name), 400, rng=2)
        for name in ("balance", "power", "cutoff")
    }
    for est in runs.values():
        np.testing.assert_allclose(est.flat, runs["balance"].flat, rtol=1e-12)
    assert runs["balance"].importance is not None
    assert fs.gradient(smooth_numpy, NORMAL, n=10, rng=1).importance is None
