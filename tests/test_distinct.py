"""Sets of distinct outcomes, drawn without replacement."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from cases import z_of_mean, z_of_variance
from numba import config, njit
from small import BASELINES, LIMIT, PROBLEMS, Small, agree_to_rounding, coverage, unbiased

import fastscore as fs
from fastscore.engine import distinct
from fastscore.engine.distinct import draw_sets, weigh

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


def run(problem, size, n, seed, **options):
    return fs.gradient(
        problem.f, problem.p, n=n, rng=seed, sampling=fs.WithoutReplacement(size), **options
    )


# --- the weights, by all orders in which a set may come ---


def by_orders(probs, chosen):
    """Probability of a set, and the chance of each to have come first, in rational numbers."""
    total, first = Fraction(0), dict.fromkeys(chosen, Fraction(0))
    for order in itertools.permutations(chosen):
        chance, left = Fraction(1), sum(probs)
        for i in order:
            chance, left = chance * probs[i] / left, left - probs[i]
        total += chance
        first[order[0]] += chance
    return total, [first[i] / total for i in chosen]


TABLES = {
    "even": [1, 1, 1, 1, 1],
    "uneven": [50, 30, 10, 7, 2, 1],
    "peaked": [10**15, 1, 2, 3, 4],
    "tiny": [1, 10**20, 10**40, 10**60],
}


@pytest.mark.parametrize("name", TABLES)
def test_weights_by_all_orders(name):
    exact = [Fraction(p, sum(TABLES[name])) for p in TABLES[name]]
    probs = np.array([float(p) for p in exact])
    for size in range(1, len(probs)):
        for chosen in itertools.combinations(range(len(probs)), size):
            weights, chance = weigh(np.array([chosen]), probs)
            total, expected = by_orders(exact, chosen)
            np.testing.assert_allclose(weights[0], [float(w) for w in expected], rtol=1e-13)
            np.testing.assert_allclose(chance, float(total), rtol=1e-13)


def every_set(problem, size):
    """Probability of each set, and its V, S and F."""
    exact = [Fraction(p) for p in problem.probs]
    sets = list(itertools.combinations(range(len(exact)), size))
    chances, weights = zip(*(by_orders(exact, chosen) for chosen in sets), strict=True)
    w, at = np.array(weights, float), np.array(sets)
    f, s = problem.values[at], problem.scores[at]
    return (
        np.array(chances, float), np.sum(w * f, axis=1),
        np.einsum("us,usp->up", w, s), np.einsum("us,us,usp->up", w, f, s),
    )  # fmt: skip


def expanded(drawn):
    """A set, its weights and the label of its fold for each unit."""
    parts = [
        np.repeat(np.arange(rows.start, rows.stop), own.astype(int))
        for rows, _, counts in drawn.dealt
        for own in counts
    ]
    labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    at = np.concatenate(parts)
    return drawn.sets[at].astype(int), drawn.weights[at], labels


def generator(seed):
    """Of a run with that seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_sets_come_as_drawn_one_after_the_other(size, counted, monkeypatch):
    """By their counts, and as the first to arrive."""
    if not counted:
        monkeypatch.setattr(distinct, "MOST_OUTCOMES", 0)
    probs, units = np.array([0.5, 0.3, 0.1, 0.07, 0.03]), 100_003
    drawn = draw_sets(np.random.default_rng(size), units, size, probs)
    assert len(drawn.sets) == (math.comb(5, size) if counted else units)
    sets, weights, labels = expanded(drawn)
    assert len(sets) == units
    assert np.ptp(np.bincount(labels)) <= 1
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-14)
    masks, counts = np.unique((1 << sets).sum(axis=1), return_counts=True)
    came = dict(zip(masks.tolist(), counts, strict=True))
    for chosen in itertools.combinations(range(5), size):
        chance = float(by_orders([Fraction(p) for p in probs], chosen)[0])
        count = came[sum(1 << i for i in chosen)]
        z = (count - units * chance) / math.sqrt(units * chance * (1 - chance))
        assert abs(z) < LIMIT


def test_sets_that_never_come_have_no_weight():
    """Their chance underflows."""
    problem = Small(fs.Categorical(logits=[0.0, -300, -300, -300]), lambda x: x[:, 0] + 1.0)
    with np.errstate(all="ignore"):
        _, chances = weigh(np.array([[1, 2, 3]]), problem.probs)
    assert chances[0] == 0
    estimate = run(problem, 3, 100, 0, baseline=None)
    assert estimate.value == 1
    assert np.abs(estimate.flat).max() < 1e-100


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("name", ["peaked", "coins", "table"])
def test_a_set_is_worth_more_than_its_size_in_samples(name, size):
    """Exactly: the means are right, that of S is 0, and the variance is no larger."""
    problem = PROBLEMS[name]
    chance, v, s, f = every_set(problem, size)
    assert chance.sum() == pytest.approx(1, rel=1e-14)
    assert chance @ v == pytest.approx(problem.value, rel=1e-13)
    np.testing.assert_allclose(chance @ s, 0, atol=1e-13)
    np.testing.assert_allclose(chance @ f, problem.grad, atol=1e-13)
    for b in (0.0, problem.value):
        terms = (problem.values - b)[:, None] * problem.scores
        alone = problem.probs @ terms**2 - problem.grad**2
        together = chance @ (f - b * s) ** 2 - problem.grad**2
        assert np.all(together <= alone / size * (1 + 1e-12) + 1e-14)
    if size > 1 and name == "peaked":
        assert np.all(together < 0.4 * alone / size)


# --- runs ---


@pytest.mark.parametrize(("name", "size"), [("peaked", 2), ("coins", 3), ("table", 4)])
def test_variance_is_that_of_a_set(name, size):
    """Of all sets, weighed by their probabilities, under given baselines; and of the value."""
    problem, units, count = PROBLEMS[name], 10, 1000
    chance, v, s, f = every_set(problem, size)
    baselines, shape = (None, 0.7), (count, problem.p.size)
    grads, reported = ({b: np.empty(shape) for b in baselines} for _ in range(2))
    values, of_values = np.empty(count), np.empty(count)
    for i in range(count):
        estimate = run(problem, size, units * size, i, baseline=None)
        values[i], of_values[i] = estimate.value, units * estimate.value_stderr**2
        for b in baselines:
            one = estimate.with_baseline(b)
            grads[b][i], reported[b][i] = one.flat, units * one.flat_stderr**2
    exact = chance @ v**2 - problem.value**2
    assert abs(z_of_variance(values * math.sqrt(units), exact)) < LIMIT
    assert abs(z_of_mean(of_values, exact)) < LIMIT
    for b in baselines:
        exact = chance @ (f - (b or 0.0) * s) ** 2 - problem.grad**2
        some = exact > 1e-12
        grad = grads[b][:, some] * math.sqrt(units)
        assert np.abs(z_of_variance(grad, exact[some])).max() < LIMIT
        assert np.abs(z_of_mean(reported[b][:, some], exact[some])).max() < LIMIT


@pytest.mark.parametrize("n", [4, 26, 101, 400])
@pytest.mark.parametrize("name", PROBLEMS)
def test_against_plain_numpy(name, n):
    """Units by their sets, cross-fitted over ten folds."""
    problem, size = PROBLEMS[name], 2
    units = -(-n // size)
    drawn = draw_sets(generator(n), units, size, problem.probs / problem.probs.sum())
    sets, weights, labels = expanded(drawn)
    assert len(np.unique(labels)) == min(10, units)
    values, scores = problem.values[sets], problem.scores[sets]
    v = np.sum(weights * values, axis=1)
    s = np.einsum("us,usp->up", weights, scores)
    s[np.abs(s) < 1e-13] = 0.0
    f = np.einsum("us,us,usp->up", weights, values, scores)
    for baseline in BASELINES:
        actual = run(problem, size, n, n, baseline=baseline)
        assert actual.n == units * size
        assert actual.dof == units - 1
        if baseline == "matrix":
            terms = naive.matrix_terms(v, f, s, labels)
        else:
            terms = f - naive.coefficients(v, f, s, labels, baseline, direct=True) * s
        np.testing.assert_allclose(actual.flat, terms.mean(axis=0), rtol=1e-9, atol=1e-11)
        agree_to_rounding(actual.flat_stderr, naive.standard_error(terms), np.abs(f) + np.abs(s))
        assert actual.value == pytest.approx(v.mean(), rel=1e-13)
        agree_to_rounding(actual.value_stderr, naive.standard_error(v), v)


@pytest.mark.parametrize("units", [1, 2, 3, 5, 8, 25])
def test_unbiased_at_every_n(units):
    count = 400 if units > 10 else 1000
    options = {"sampling": fs.WithoutReplacement(2)}
    unbiased(PROBLEMS["peaked"], 2 * units, count, 10**6 * units, **options)


@pytest.mark.parametrize("name", ["coins", "table", "counts"])
def test_unbiased_everywhere(name):
    options = {"sampling": fs.WithoutReplacement(3)}
    unbiased(PROBLEMS[name], 39, 600, 10**8, BASELINES[:-1], **options)


def test_intervals_cover():
    z = coverage(PROBLEMS["coins"], 600, 1500, 10**7, sampling=fs.WithoutReplacement(3))
    assert np.abs(z).max() < LIMIT


def test_sets_of_one_are_samples():
    problem, n = PROBLEMS["coins"], 500
    estimate = run(problem, 1, n, 3, baseline=None)
    terms = problem.values[:, None] * problem.scores
    exact = problem.probs @ terms**2 - problem.grad**2
    assert np.abs((estimate.flat - problem.grad) / np.sqrt(exact / n)).max() < LIMIT
    assert np.all(np.abs(n * estimate.flat_stderr**2 / exact - 1) < 0.5)


@pytest.mark.parametrize("baseline", BASELINES)
def test_huge_numbers_of_samples(baseline):
    problem = PROBLEMS["coins"]
    estimate = run(problem, 2, 10**12, 3, baseline=baseline)
    assert estimate.n == 10**12
    assert abs(estimate.value - problem.value) < LIMIT * estimate.value_stderr
    assert np.abs((estimate.flat - problem.grad) / estimate.flat_stderr).max() < LIMIT


# --- composition ---


def test_another_baseline_is_a_run_with_it():
    problem = PROBLEMS["coins"]
    first = run(problem, 3, 500, 7, baseline=None)
    for baseline in BASELINES:
        again, derived = run(problem, 3, 500, 7, baseline=baseline), first.with_baseline(baseline)
        np.testing.assert_array_equal(again.flat, derived.flat)
        np.testing.assert_array_equal(again.flat_stderr, derived.flat_stderr)
        covariance = again.covariance()
        np.testing.assert_array_equal(covariance, derived.covariance())
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)), again.flat_stderr, rtol=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > -1e-10 * np.trace(covariance)


def test_runs_follow_the_seed():
    problem = PROBLEMS["coins"]
    one, same, other = (run(problem, 2, 100, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.flat, same.flat)
    assert np.all(one.flat != other.flat)
    assert one.bias == "none"


def test_an_offset_of_f_changes_nothing():
    """The weights of a set add up to 1: of a constant nothing varies."""
    problem = PROBLEMS["coins"]
    one, two = (
        fs.gradient(lambda x, c=c: problem.f(x) + c, problem.p, n=100, rng=4,
                    sampling=fs.WithoutReplacement(2))
        for c in (0.0, 2.0**20)
    )  # fmt: skip
    assert two.value - 2.0**20 == pytest.approx(one.value, abs=1e-8)
    for baseline in ("mean", "scalar", "optimal", "matrix"):
        a, b = one.with_baseline(baseline), two.with_baseline(baseline)
        np.testing.assert_allclose(a.flat, b.flat, atol=1e-7)
        np.testing.assert_allclose(a.flat_stderr, b.flat_stderr, atol=1e-7)
    constant = fs.gradient(
        lambda x: np.full(len(x), 7.3), problem.p, n=100, rng=4, sampling=fs.WithoutReplacement(2)
    )
    assert constant.value == 7.3
    assert constant.value_stderr == 0
    assert not constant.flat.any()


@njit
def compiled(x):
    total = 1.0
    for k in range(x.size):
        total += (x[k] + 0.7 * (k + 1)) ** 2
    return total


def test_compiled_f():
    problem = PROBLEMS["coins"]
    estimate, expected = (
        fs.gradient(g, problem.p, n=100, rng=3, sampling=fs.WithoutReplacement(3))
        for g in (compiled, problem.f)
    )
    np.testing.assert_allclose(estimate.flat, expected.flat, rtol=1e-12)


def test_many_outcomes_in_pieces():
    """More than are held at once, of the outcomes and of the scores."""
    logits = np.sin(np.arange(3000.0))
    problem = Small(fs.Categorical(logits=logits), lambda x: np.cos(x[:, 0]))
    units, size = 1000, 5
    estimate = run(problem, size, units * size, 1, baseline=None)
    drawn = draw_sets(generator(1), units, size, problem.probs / problem.probs.sum())
    sets, weights, _ = expanded(drawn)
    weighed = weights * problem.values[sets]
    shares = np.bincount(sets.ravel(), weighed.ravel(), minlength=3000)
    mean = weighed.sum() / units
    assert estimate.value == pytest.approx(mean, rel=1e-12)
    np.testing.assert_allclose(estimate.flat, shares / units - mean * problem.probs, atol=1e-14)
    assert abs(estimate.value - problem.value) < LIMIT * estimate.value_stderr


def test_f_is_called_once_at_each_outcome_that_came():
    problem, calls = PROBLEMS["coins"], []

    def f(x):
        calls.append(x.copy())
        return problem.f(x)

    fs.gradient(f, problem.p, n=3, rng=0, sampling=fs.WithoutReplacement(2), baseline="matrix")
    assert len(calls) == 1
    assert len(calls[0]) == len(set(map(tuple, calls[0]))) <= 4
    run(PROBLEMS["table"], 3, 10_000, 0)  # whose f is not asked about what is impossible


# --- refusals ---


def refused(match, f=None, p=None, size=2, **options):
    problem = PROBLEMS["coins"]
    with pytest.raises(ValueError, match=match):
        fs.gradient(
            problem.f if f is None else f, problem.p if p is None else p,
            sampling=fs.WithoutReplacement(size), **options,
        )  # fmt: skip


def test_what_does_not_compose_is_refused():
    f = PROBLEMS["coins"].f
    refused("direct term", f=fs.Integrand(f, direct=lambda x: x * 1.0))
    refused("nonfinite='omit'", f=fs.Integrand(f, nonfinite="omit"))
    refused("takes no proposals", proposals=[fs.Bernoulli([0.5, 0.5, 0.5])])
    refused("estimator='exact' draws no samples", estimator="exact")
    refused("Enumerate.*takes no sampling=", estimator=fs.Enumerate(top=1))
    refused("few outcomes", p=fs.Normal([0.0], [1.0]))
    refused(r"WithoutReplacement\(size=2\).*outcomes", p=fs.Bernoulli(np.full(19, 0.5)))
    refused("8 possible outcomes.*estimator='exact'", size=8)
    refused("4 possible outcomes", p=fs.Categorical(logits=[0.0, 1, 0.5, 0.2, -np.inf]), size=4)
    with pytest.raises(ValueError, match="size=13: give at most 12"):
        fs.WithoutReplacement(13)


def test_f_that_is_not_finite():
    def holed(x):
        return np.where(x.sum(axis=1) == 3, np.nan, 1.0)

    refused("NaN or infinite at 1 of the first", f=holed, n=1000, rng=0)
    through = fs.gradient(
        fs.Integrand(holed, nonfinite="propagate"), PROBLEMS["coins"].p, n=1000, rng=0,
        sampling=fs.WithoutReplacement(2),
    )  # fmt: skip
    assert math.isnan(through.value)
    assert 0 < through.nonfinite < 1000


def test_one_set_has_no_error_bar():
    with pytest.warns(RuntimeWarning, match="n=2: .*one unit of 2 samples"):
        estimate = run(PROBLEMS["coins"], 2, 1, 0)
    assert estimate.n == 2
    assert np.isnan(estimate.flat_stderr).all()
    assert math.isnan(estimate.value_stderr)
