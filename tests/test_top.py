"""Exact sums over the most probable outcomes, and samples of the others."""

from __future__ import annotations

import math

import discrete
import naive
import numpy as np
import pytest
from cases import z_of_mean, z_of_variance
from numba import config, njit
from small import BASELINES, LIMIT, PROBLEMS, agree_to_rounding, coverage, unbiased

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


def run(problem, top, n, seed, **options):
    return fs.gradient(
        problem.f, problem.p, n=n, rng=seed, estimator=fs.Enumerate(top=top), **options
    )


def parts(problem, top):
    """Outcomes by probability, equal ones in their order; the first of them are summed."""
    ordered = sorted(range(len(problem.probs)), key=lambda i: (-round(problem.probs[i], 12), i))
    return ordered[:top], ordered[top:]


# --- known variances ---


@pytest.mark.parametrize("top", [1, 2])
def test_known_variances(top):
    """Of one sample without a baseline, in the runs and as the standard errors have it."""
    case, row = discrete.cases()["cat6-storch"], discrete.entries()["cat6-storch"]
    exact, n, count = np.array(list(row["var"][f"rb_sum_top{top}"].values())), 20, 1500
    grads, reported = np.empty((count, 6)), np.empty((count, 6))
    for i in range(count):
        estimate = fs.gradient(
            case.f, case.p, args=case.args, n=n, rng=10**6 * top + i, baseline=None,
            estimator=fs.Enumerate(top=top),
        )  # fmt: skip
        grads[i], reported[i] = estimate.flat, n * estimate.flat_stderr**2
    assert np.abs(z_of_mean(grads, case.grad)).max() < LIMIT
    assert np.abs(z_of_variance(grads * math.sqrt(n), exact)).max() < LIMIT
    assert np.abs(z_of_mean(reported, exact)).max() < LIMIT


@pytest.mark.parametrize(
    ("name", "top"), [("peaked", 2), ("three", 1), ("coins", 3), ("table", 1), ("counts", 5)]
)
def test_variance_is_that_of_the_rest(name, top):
    """``(1 − p(C))²`` times the variance of ``f s`` among the others, under a given baseline too.

    That of the value with it.
    """
    problem, n, count = PROBLEMS[name], 20, 1000
    _, rest = parts(problem, top)
    mass = problem.probs[rest].sum()
    q, s = problem.probs[rest] / mass, problem.scores[rest]

    def variance(terms):
        return mass**2 * (q @ (terms - q @ terms) ** 2)

    baselines, shape = (None, 0.7), (count, problem.p.size)
    grads, reported = ({b: np.empty(shape) for b in baselines} for _ in range(2))
    values = np.empty(count)
    for i in range(count):
        estimate = run(problem, top, n, i, baseline=None)
        values[i] = estimate.value
        for b in baselines:
            one = estimate.with_baseline(b)
            grads[b][i], reported[b][i] = one.flat, n * one.flat_stderr**2
    assert abs(z_of_variance(values * math.sqrt(n), variance(problem.values[rest]))) < LIMIT
    for b in baselines:
        exact = variance((problem.values[rest] - (b or 0.0))[:, None] * s)
        some = exact > 1e-20
        assert np.abs(z_of_variance(grads[b][:, some] * math.sqrt(n), exact[some])).max() < LIMIT
        assert np.abs(z_of_mean(reported[b][:, some], exact[some])).max() < LIMIT
        assert np.all(reported[b][:, ~some] < 1e-12)


# --- against plain NumPy ---


@pytest.mark.parametrize("n", [2, 13, 200])
@pytest.mark.parametrize("name", PROBLEMS)
def test_sums_over_the_samples(name, n):
    """The samples are told by their indicators, whose means are the shares of outcomes."""
    problem, top = PROBLEMS[name], 2
    head, rest = parts(problem, top)
    mass = problem.probs[rest].sum()
    x = []
    for i in rest:
        at = problem.outcomes[i]
        share = fs.gradient(
            lambda x, at=at: (x == at).all(axis=1), problem.p, n=n, rng=n,
            estimator=fs.Enumerate(top=top),
        ).value  # fmt: skip
        x += [i] * round(share / mass * n)
    assert len(x) == n
    p, f, s = problem.probs, problem.values, problem.scores
    v = p[head] @ f[head] + mass * f[x]
    scores = p[head] @ s[head] + mass * s[x]
    terms = (p[head] * f[head]) @ s[head] + mass * f[x, None] * s[x]
    sizes = (p[head] * (1 + f[head])) @ np.abs(s[head]) + mass * (1 + f[x, None]) * np.abs(s[x])
    for baseline in (None, 0.7):
        actual = run(problem, top, n, n, baseline=baseline)
        expected = naive.estimate(
            v, scores, np.zeros(n), baseline, direct=terms - v[:, None] * scores
        )
        assert actual.value == pytest.approx(expected.value, rel=1e-13)
        agree_to_rounding(actual.value_stderr, expected.value_stderr, v)
        np.testing.assert_allclose(actual.flat, expected.grad, rtol=1e-12, atol=1e-13)
        agree_to_rounding(actual.flat_stderr, expected.stderr, sizes)
        assert actual.n == n
        assert actual.dof == n - 1


def test_folds_are_the_samples_dealt_out():
    """Sums and products of the folds belong together, and add up to all."""
    problem = PROBLEMS["coins"]
    estimate = run(problem, 2, 1000, 1, baseline="matrix")
    products, moments = estimate._with_products(2), estimate._moments
    folded = moments.folded
    assert len(folded.sums) == 10
    assert folded.units.sum() == 1000
    np.testing.assert_allclose(folded.total, moments.total, rtol=1e-12)
    np.testing.assert_allclose(folded.scores.sum(axis=0), moments.scores[0], rtol=1e-9, atol=1e-9)
    for k, (_, _, ss, fs_, ff) in enumerate(folded.scores):
        np.testing.assert_allclose(np.diag(products.scores[k]), ss, rtol=1e-12)
        np.testing.assert_allclose(np.diag(products.terms_scores[k]), fs_, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(np.diag(products.terms[k]), ff, rtol=1e-12)


# --- bias, and error bars ---


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 25])
def test_unbiased_at_every_n(n):
    count = 400 if n > 10 else 1000
    unbiased(PROBLEMS["peaked"], n, count, 10**6 * n, estimator=fs.Enumerate(top=1))


@pytest.mark.parametrize("name", ["coins", "table", "counts"])
def test_unbiased_everywhere(name):
    unbiased(PROBLEMS[name], 13, 600, 10**8, BASELINES[:-1], estimator=fs.Enumerate(top=2))


def test_intervals_cover():
    z = coverage(PROBLEMS["coins"], 500, 1500, 10**7, estimator=fs.Enumerate(top=2))
    assert np.abs(z).max() < LIMIT


@pytest.mark.parametrize("baseline", BASELINES)
def test_huge_numbers_of_samples(baseline):
    problem = PROBLEMS["coins"]
    estimate = run(problem, 2, 10**12, 3, baseline=baseline)
    assert abs(estimate.value - problem.value) < LIMIT * estimate.value_stderr
    assert np.abs((estimate.flat - problem.grad) / estimate.flat_stderr).max() < LIMIT


def test_one_outcome_left_is_no_sample():
    """Nothing is left to chance, whatever the baseline."""
    problem = PROBLEMS["peaked"]
    for baseline in BASELINES:
        estimate = run(problem, 3, 50, 0, baseline=baseline)
        assert estimate.value == pytest.approx(problem.value, rel=1e-14)
        np.testing.assert_allclose(estimate.flat, problem.grad, rtol=1e-12)
        assert estimate.value_stderr < 1e-7
        assert np.all(estimate.flat_stderr < 1e-7)


def test_scores_that_rounding_alone_moves_have_no_slope():
    """With all but equal others the score of what is summed is 0 in every unit."""
    case = discrete.cases()["cat6-storch"]
    for n in (20, 1000):
        estimate = fs.gradient(
            case.f, case.p, args=case.args, n=n, rng=n, estimator=fs.Enumerate(top=1)
        )
        assert np.abs(estimate._solution.coefficients[:, 0]).max() < 100
        assert np.all(estimate._moments.folded.scores[:, 0, 0] == 0)


# --- composition ---


def test_another_baseline_is_a_run_with_it():
    problem = PROBLEMS["coins"]
    first = run(problem, 2, 500, 7, baseline=None)
    for baseline in BASELINES:
        again, derived = run(problem, 2, 500, 7, baseline=baseline), first.with_baseline(baseline)
        np.testing.assert_array_equal(again.flat, derived.flat)
        np.testing.assert_array_equal(again.flat_stderr, derived.flat_stderr)
        covariance = again.covariance()
        np.testing.assert_array_equal(covariance, derived.covariance())
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)), again.flat_stderr, rtol=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > -1e-10 * np.trace(covariance)


def test_an_offset_of_f_changes_nothing():
    problem = PROBLEMS["coins"]
    one, two = (
        fs.gradient(lambda x, c=c: problem.f(x) + c, problem.p, n=100, rng=4,
                    estimator=fs.Enumerate(top=2))
        for c in (0.0, 2.0**20)
    )  # fmt: skip
    assert two.value - 2.0**20 == pytest.approx(one.value, abs=1e-8)
    for baseline in ("mean", "scalar", "optimal", "matrix"):
        a, b = one.with_baseline(baseline), two.with_baseline(baseline)
        np.testing.assert_allclose(a.flat, b.flat, atol=1e-7)
        np.testing.assert_allclose(a.flat_stderr, b.flat_stderr, atol=1e-7)


@njit
def compiled(x):
    total = 1.0
    for k in range(x.size):
        total += (x[k] + 0.7 * (k + 1)) ** 2
    return total


@njit
def compiled_batch(batch, out):
    for i in range(batch.shape[0]):
        out[i] = compiled(batch[i])


@pytest.mark.parametrize("f", [compiled, compiled_batch])
def test_kinds_of_f(f):
    problem = PROBLEMS["coins"]
    estimate, expected = (
        fs.gradient(g, problem.p, n=100, rng=3, wrt="probs", estimator=fs.Enumerate(top=3))
        for g in (f, problem.f)
    )
    np.testing.assert_allclose(estimate.flat, expected.flat, rtol=1e-12)
    assert estimate.bias == "none"


def test_f_is_called_once_at_each_outcome():
    problem, calls = PROBLEMS["table"], []

    def f(x):
        calls.append(x.copy())
        return problem.f(x)

    estimate = fs.gradient(f, problem.p, n=10**6, rng=0, estimator=fs.Enumerate(top=2))
    estimate.with_baseline("matrix").covariance()
    (x,) = calls
    assert sorted(map(tuple, x)) == sorted(map(tuple, problem.outcomes))


def test_ties_go_to_the_first():
    """Of four alike the first two are summed: f is never asked about them again."""
    calls = []

    def f(x):
        calls.append(x[:, 0].copy())
        return x[:, 0] * 1.0

    p = fs.Categorical(logits=np.zeros(4))
    for seed in range(20):
        fs.gradient(f, p, n=2, rng=seed, estimator=fs.Enumerate(top=2))
    assert {tuple(called[:2]) for called in calls} == {(0, 1)}
    assert {tuple(called[2:]) for called in calls} == {(2,), (3,), (2, 3)}


def test_sampling_by_counts_is_how_it_samples():
    problem = PROBLEMS["coins"]
    one, two = (run(problem, 2, 100, 3, sampling=sampling) for sampling in ("iid", "counts"))
    np.testing.assert_array_equal(one.flat, two.flat)


# --- refusals ---


def refused(match, problem=PROBLEMS["coins"], f=None, p=None, top=2, **options):
    with pytest.raises(ValueError, match=match):
        fs.gradient(
            problem.f if f is None else f, problem.p if p is None else p,
            estimator=fs.Enumerate(top=top), **options,
        )  # fmt: skip


def test_what_does_not_compose_is_refused():
    f = PROBLEMS["coins"].f
    refused("direct term", f=fs.Integrand(f, direct=lambda x: x * 1.0))
    refused("nonfinite='omit'", f=fs.Integrand(f, nonfinite="omit"))
    refused("takes no proposals", proposals=[fs.Bernoulli([0.5, 0.5, 0.5])])
    refused("Enumerate.*sampling=", sampling="antithetic")
    refused("few outcomes", p=fs.Normal([0.0], [1.0]))
    refused(r"Enumerate\(top=2\).*outcomes", p=fs.Bernoulli(np.full(19, 0.5)))
    refused("8 possible outcomes.*estimator='exact'", top=8)
    refused("estimator='exact'", top=100)
    refused("4 possible outcomes", p=fs.Categorical(logits=[0.0, 1.0, 0.5, 0.2, -np.inf]), top=4)


def test_f_that_is_not_finite():
    problem = PROBLEMS["peaked"]

    def holed(x):
        return np.where(x[:, 0] == 0, np.nan, 1.0)

    refused("NaN or infinite at 1 of the first", problem=problem, f=holed, n=10, rng=0)
    through = fs.gradient(
        fs.Integrand(holed, nonfinite="propagate"), problem.p, n=10, rng=0,
        estimator=fs.Enumerate(top=1),
    )  # fmt: skip
    assert math.isnan(through.value)
    assert through.nonfinite == 1


def test_one_sample_has_no_error_bar():
    with pytest.warns(RuntimeWarning, match="one sample"):
        estimate = run(PROBLEMS["coins"], 2, 1, 0)
    assert np.isnan(estimate.flat_stderr).all()
    assert math.isnan(estimate.value_stderr)
