"""Clipped gradients, standardized advantages, ranked fitness: known answers, labels, and bias."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import rows, z_of_mean
from hypothesis import given
from hypothesis import strategies as st
from numba import config, njit
from scipy import stats

import fastscore as fs
from fastscore.engine import driver

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
STANDARD = fs.Normal([0.0], 1.0)
WIDE = fs.Normal([0.3, 0.5], [1.0, 2.0])


def first(x):
    return x[:, 0]


def squares(x):
    return (x[:, 0] - 1) ** 2 + x[:, 1]


@njit
def compiled_squares(x):
    return (x[0] - 1) ** 2 + x[1]


@pytest.fixture(scope="module")
def estimate():
    return fs.gradient(squares, WIDE, n=5000, rng=0)


# --- clipping ---


def test_a_long_gradient_is_scaled(estimate):
    short = estimate.clipped(0.7)
    np.testing.assert_allclose(
        short.flat, estimate.flat * 0.7 / np.linalg.norm(estimate.flat), rtol=1e-14
    )
    assert (short.value, short.value_stderr) == (estimate.value, estimate.value_stderr)
    np.testing.assert_array_equal(short.grad["loc"], short.flat[:2])


def test_entries_are_cut(estimate):
    cut = estimate.clipped(1.0, per="coordinate")
    np.testing.assert_array_equal(cut.flat, np.clip(estimate.flat, -1, 1))
    inside = np.abs(estimate.flat) <= 1
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(cut.flat_stderr, np.where(inside, estimate.flat_stderr, 0))
    np.testing.assert_allclose(np.diag(cut.covariance()), cut.flat_stderr**2, rtol=1e-14)


@pytest.mark.parametrize("per", ["norm", "coordinate"])
def test_a_gradient_within_bounds_is_the_same_but_for_its_label(estimate, per):
    same = estimate.clipped(100.0, per=per)
    np.testing.assert_array_equal(same.flat, estimate.flat)
    np.testing.assert_array_equal(same.flat_stderr, estimate.flat_stderr)
    assert (estimate.bias, same.bias) == ("none", "clipped gradient")


def test_errors_of_a_scaled_gradient_are_those_of_many():
    one = [fs.gradient(squares, WIDE, n=1000, rng=i).clipped(1.0) for i in range(1000)]
    spread = np.cov([e.flat for e in one], rowvar=False)
    told = np.mean([e.covariance() for e in one[:50]], axis=0)
    sd = np.sqrt(np.diag(spread))
    # A covariance of R runs has errors of the order √(2/R) of the variances.
    np.testing.assert_array_less(np.abs(told - spread) / np.outer(sd, sd), 4.5 * math.sqrt(2e-3))
    np.testing.assert_allclose(one[0].flat_stderr ** 2, np.diag(one[0].covariance()), rtol=1e-12)


def test_without_a_covariance_errors_are_bounds():
    source = fs.Proposals([WIDE], self_normalized=True)
    estimate = fs.gradient(squares, WIDE, n=2000, rng=1, proposals=source)
    with pytest.raises(ValueError, match="covariance"):
        estimate.covariance()
    plain = fs.gradient(squares, WIDE, n=2000, rng=1)
    bound, exact = (e.clipped(1.0).flat_stderr for e in (estimate, plain))
    assert np.all(bound > 0.9 * exact)
    assert np.all(bound < 4 * exact)


def test_clipping_the_only_entry_leaves_a_sign():
    estimate = fs.gradient(first, STANDARD, wrt="loc", n=1000, rng=0)
    assert estimate.clipped(0.5).flat == [0.5]
    assert estimate.clipped(0.5).flat_stderr == pytest.approx(0, abs=1e-12)


def test_another_baseline_is_clipped_too(estimate):
    other = estimate.clipped(0.7).with_baseline(None)
    np.testing.assert_array_equal(other.flat, estimate.with_baseline(None).clipped(0.7).flat)
    assert (other.bias, other.baseline) == ("clipped gradient", None)


def test_exact_gradients_are_clipped_and_say_so():
    p = fs.Bernoulli([0.3, 0.6])
    exact = fs.gradient(lambda x: 5.0 * x.sum(axis=1), p, estimator="exact").clipped(1.0)
    np.testing.assert_allclose(np.linalg.norm(exact.flat), 1, rtol=1e-14)
    assert not exact.flat_stderr.any()
    assert "biased: clipped gradient" in " ".join(str(exact).split())
    assert "clipped gradient" in exact.summary().splitlines()[-1]


def test_rounds_are_clipped():
    start = [fs.Normal([0.5, 0.5], [1.5, 2.5])]
    rounds = fs.pmc(squares, WIDE, start, rounds=3, n=2000, rng=0)
    short = rounds.clipped(1.0)
    np.testing.assert_allclose(np.linalg.norm(short.flat), 1, rtol=1e-14)
    assert (short.value, short.ess) == (rounds.value, rounds.ess)
    np.testing.assert_allclose(short.flat_stderr**2, np.diag(short.covariance()), rtol=1e-12)


def test_clipping_is_biased():
    """E[x²] has the gradient 1 by the mean of N(½, 1): half of all small runs are cut to it."""
    cut = [
        fs.gradient(lambda x: x[:, 0] ** 2, fs.Normal([0.5], 1.0), wrt="loc", n=8, rng=i)
        .clipped(1.0).flat[0]
        for i in range(1000)
    ]  # fmt: skip
    assert z_of_mean(np.array(cut), 1.0) < -5


@pytest.mark.parametrize(
    ("norm", "error"), [(0, ValueError), (-1.0, ValueError), (np.nan, ValueError), ("a", TypeError)]
)
def test_bad_norms(estimate, norm, error):
    with pytest.raises(error, match=r"norm="):
        estimate.clipped(norm)
    with pytest.raises(ValueError, match="per='all'"):
        estimate.clipped(1.0, per="all")


# --- standardized advantages ---


@pytest.mark.parametrize("n", [2, 3, 11, 1000])
def test_standardized_advantages_are_what_they_are_called(n):
    x = WIDE.sample(n, rng=7)
    f, s = squares(x), WIDE.score(x)
    advantages = (f - f.mean()) / f.std(ddof=1)
    estimate = fs.gradient(squares, WIDE, n=n, rng=7)
    standardized = estimate.standardized()
    np.testing.assert_allclose(standardized.flat, advantages @ s / n, rtol=1e-11, atol=1e-13)
    assert standardized.value == estimate.value
    assert (standardized.bias, standardized.baseline) == ("standardized advantages", "mean")
    assert standardized.dof == min(n, 10) - 1


def test_standardized_advantages_have_no_scale(estimate):
    other = fs.gradient(lambda x: 1e3 * squares(x) + 1e4, WIDE, n=5000, rng=0).standardized()
    np.testing.assert_allclose(other.flat, estimate.standardized().flat, rtol=1e-9)
    np.testing.assert_allclose(other.flat_stderr, estimate.standardized().flat_stderr, rtol=1e-9)


def test_standardized_advantages_of_two_samples_are_biased():
    """Of f = x it is |x₁ − x₂|/√8, of mean 1/√(2π), and not the 1 of E[f]' / sd(f)."""
    runs = np.array([
        fs.gradient(first, STANDARD, wrt="loc", n=2, rng=i).standardized().flat[0]
        for i in range(2000)
    ])  # fmt: skip
    assert abs(z_of_mean(runs, 1 / math.sqrt(2 * math.pi))) < LIMIT
    assert z_of_mean(runs, 1.0) < -5


@pytest.mark.parametrize("n", [1003, 4])
def test_errors_of_standardized_advantages(n):
    """Errors by folds are those of many runs; taking sd(f) as known, they would be twice as large.

    Of f = x at μ the influence of a sample is ``(z² − 1)/2``.
    """
    runs = [fs.gradient(first, STANDARD, wrt="loc", n=n, rng=i).standardized() for i in range(2000)]
    grad, stderr = (
        np.array([getattr(e, name)[0] for e in runs]) for name in ("flat", "flat_stderr")
    )
    if n < 10:
        assert np.all(stderr > 0)
        return
    assert abs(z_of_mean(n * stderr**2, 0.5)) < LIMIT
    low, high = stats.binomtest(
        int(np.sum(np.abs(grad - 1) < stats.t.ppf(0.975, 9) * stderr)), len(runs)
    ).proportion_ci(1 - 6.8e-6)  # |z| < 4.5
    assert low < 0.95 < high


def test_standardized_covariance_and_clipping(estimate):
    standardized = estimate.standardized()
    covariance = standardized.covariance()
    np.testing.assert_allclose(np.diag(covariance), standardized.flat_stderr**2, rtol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > 0
    short = standardized.clipped(0.1)
    assert short.bias == "standardized advantages, clipped gradient"
    assert "standardized advantages, clipped gradient" in short.summary()
    np.testing.assert_allclose(np.linalg.norm(short.flat), 0.1, rtol=1e-13)


def test_standardized_counts():
    p = fs.Bernoulli([0.3, 0.6])
    estimate = fs.gradient(lambda x: x @ [1.0, 2.0], p, n=10**6, rng=0, sampling="counts")
    standardized = estimate.standardized()
    truth = np.array([1.0, 2.0]) / math.sqrt(0.21 + 4 * 0.24)
    np.testing.assert_array_less(np.abs(standardized.flat - truth), 6 * standardized.flat_stderr)


def test_what_cannot_be_standardized(estimate):
    with pytest.raises(ValueError, match="f over 10 samples is zero"):
        fs.gradient(lambda x: np.full(len(x), 2.5), WIDE, n=10, rng=0).standardized()
    with pytest.raises(ValueError, match="independent samples of p"):
        fs.gradient(squares, WIDE, n=100, rng=0, proposals=WIDE).standardized()
    with pytest.raises(ValueError, match="none is drawn"):
        fs.gradient(first, fs.Bernoulli([0.5]), estimator="exact").standardized()
    with pytest.warns(RuntimeWarning, match="n=1"):
        single = fs.gradient(squares, WIDE, n=1, rng=0)
    with pytest.raises(ValueError, match="two samples"):
        single.standardized()
    with pytest.raises(ValueError, match="no other baseline"):
        estimate.standardized().with_baseline(None)
    with pytest.raises(ValueError, match="clipped gradient"):
        estimate.clipped(1.0).standardized()


# --- utilities ---


@pytest.mark.parametrize("case", rows("shaping_cases.json"), ids=lambda case: case["id"])
def test_published_utilities(case):
    if "fitness" in case["params"]:
        shaped = fs.utilities(case["params"]["fitness"])
        np.testing.assert_allclose(shaped, case["shaped"], rtol=0, atol=1e-16)
    else:
        best_first = np.arange(case["params"]["lam"])[::-1]
        shaped = fs.utilities(best_first, "nes")
        np.testing.assert_allclose(shaped, case["utilities"], rtol=0, atol=2e-16)


fitness = st.lists(st.integers(-50, 50), min_size=1, max_size=30)


@pytest.mark.parametrize("kind", ["centered ranks", "nes"])
@given(values=fitness)
def test_utilities_follow_ranks_alone(kind, values):
    values = np.array(values, dtype=float)
    shaped = fs.utilities(values, kind)
    np.testing.assert_array_equal(shaped, fs.utilities(np.exp(values / 10) - 3, kind))
    assert abs(shaped.sum()) < 1e-13
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(shaped[order]) > -1e-15)  # means of ties round
    tied = np.diff(values[order]) == 0
    np.testing.assert_array_equal(np.diff(shaped[order])[tied], 0)


def test_ties_share_the_mean():
    np.testing.assert_allclose(fs.utilities([1, 3, 3, 0]), [1 / 3 - 0.5, 1 / 3, 1 / 3, -0.5])
    np.testing.assert_array_equal(fs.utilities([2.0, 2.0, 2.0]), 0)
    assert fs.utilities([]).shape == (0,)
    np.testing.assert_array_equal(fs.utilities([np.inf, -np.inf]), [0.5, -0.5])


def test_bad_fitness():
    with pytest.raises(ValueError, match=r"values\[1\] is NaN"):
        fs.utilities([0.0, np.nan])
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        fs.utilities([[0.0, 1.0]])
    with pytest.raises(TypeError, match="real"):
        fs.utilities([1j])
    with pytest.raises(ValueError, match="kind='best'"):
        fs.utilities([0.0], "best")


# --- ranked fitness ---


def ranked(f, kind="centered ranks", **options):
    return fs.Integrand(f, shaping=kind, **options)


@pytest.mark.parametrize("kind", ["centered ranks", "nes"])
@pytest.mark.parametrize("n", [1, 2, 7, 3000])
@pytest.mark.filterwarnings("ignore:n=1")
def test_ranked_fitness_weighs_scores_by_utilities(kind, n):
    x = WIDE.sample(n, rng=3)
    u = fs.utilities(squares(x), kind) * (n if kind == "nes" else 1)
    estimate = fs.gradient(ranked(squares, kind), WIDE, n=n, rng=3, baseline=None)
    np.testing.assert_allclose(estimate.flat, u @ WIDE.score(x) / n, rtol=1e-10, atol=1e-14)
    assert estimate.value == pytest.approx(squares(x).mean())
    assert estimate.bias == "ranked fitness"
    assert "ranked fitness" in estimate.summary()


@pytest.mark.parametrize("kind", ["centered ranks", "nes"])
@pytest.mark.parametrize(
    "p", [WIDE, fs.LogNormal([0.3, 0.5], [0.5, 0.2]), fs.Poisson([2.0, 3.0])], ids=repr
)
def test_any_f_and_any_threads_give_the_same_bits(p, kind):
    plain = fs.gradient(compiled_squares, p, n=200_001, rng=5)
    runs = [
        fs.gradient(ranked(f, kind), p, n=200_001, rng=5, threads=threads)
        for f, threads in ((compiled_squares, 1), (compiled_squares, 2), (squares, None))
    ]
    for one in runs:
        np.testing.assert_array_equal(one.flat, runs[0].flat)
        assert one.value == pytest.approx(plain.value, rel=1e-12)
        assert one.value_stderr == pytest.approx(plain.value_stderr, rel=1e-10)


def test_monotone_transformations_change_no_bit():
    plain = fs.gradient(ranked(squares), WIDE, n=1000, rng=0)
    for change in (np.exp, np.arctan, lambda f: 1e6 + 3 * f):
        other = fs.gradient(ranked(lambda x: change(squares(x))), WIDE, n=1000, rng=0)  # noqa: B023
        np.testing.assert_array_equal(other.flat, plain.flat)
    down = fs.gradient(ranked(lambda x: -squares(x)), WIDE, n=1000, rng=0, baseline=None)
    np.testing.assert_allclose(down.flat, -plain.with_baseline(None).flat, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "n", "answer"),
    [
        # E[(Φ(z) − ½) z] = 1/(2 √π) at any n, since ranks count pairs;
        ("centered ranks", 5, 1 / (2 * math.sqrt(math.pi))),
        ("centered ranks", 100, 1 / (2 * math.sqrt(math.pi))),
        # half the distance of two, of mean 2/√π;
        ("nes", 2, 1 / math.sqrt(math.pi)),
    ],
)
def test_ranked_fitness_has_another_objective(kind, n, answer):
    """Of f = x, where E[f]' = 1."""
    runs = np.array([
        fs.gradient(ranked(first, kind), STANDARD, wrt="loc", n=n, rng=i, baseline=None).flat[0]
        for i in range(1500)
    ])  # fmt: skip
    assert abs(z_of_mean(runs, answer)) < LIMIT
    assert abs(z_of_mean(runs, 1.0)) > 5


def test_other_baselines_and_products_of_ranked_fitness():
    estimate = fs.gradient(ranked(compiled_squares), WIDE, n=5000, rng=2)
    again = fs.gradient(ranked(compiled_squares), WIDE, n=5000, rng=2, baseline="matrix")
    np.testing.assert_allclose(estimate.with_baseline("matrix").flat, again.flat, rtol=1e-12)
    assert again.with_baseline("optimal").bias == "ranked fitness"
    np.testing.assert_allclose(np.diag(estimate.covariance()), estimate.flat_stderr**2, rtol=1e-12)


@njit
def sometimes_nan(x):
    return np.nan if x[0] > 2 else x[0] + x[1]


@pytest.mark.parametrize("f", [sometimes_nan, lambda x: np.where(x[:, 0] > 2, np.nan, x.sum(1))])
def test_samples_left_out_have_no_rank(f):
    n = 70_000
    estimate = fs.gradient(ranked(f, nonfinite="omit"), WIDE, n=n, rng=0, baseline=None)
    x = WIDE.sample(n, rng=0)
    x = x[x[:, 0] <= 2]
    assert (estimate.n, estimate.nonfinite) == (len(x), n - len(x))
    expected = fs.utilities(x.sum(axis=1)) @ WIDE.score(x) / len(x)
    np.testing.assert_allclose(estimate.flat, expected, rtol=1e-10)
    assert "conditional on finite f" in estimate.bias
    assert "ranked fitness" in estimate.bias


def message(f, **options):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        fs.gradient(f, fs.Normal([0.0, 0.0], 1.0), n=300_000, rng=4, **options)
    return f"{caught.value} {getattr(caught.value, '__notes__', '')}"


@njit
def nan_far_out(x):
    return np.nan if x[0] > 4.2 else x[0]


@njit
def fails_far_out(x):
    if x[0] > 4.2:
        raise ValueError("too far")
    return x[0]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("f", [nan_far_out, fails_far_out])
def test_failures_are_told_as_without_ranks(f, threads):
    assert message(ranked(f), threads=threads) == message(f, threads=threads)


def test_what_has_no_ranks():
    def both(x, out):
        out[:] = x

    for options, match in (
        ({"shaping": "best"}, "shaping='best'"),
        ({"shaping": "nes", "direct": both}, "direct="),
        ({"shaping": "nes", "nonfinite": "propagate"}, "NaN"),
    ):
        with pytest.raises(ValueError, match=match):
            fs.Integrand(first, **options)
    p = fs.Bernoulli([0.5])
    for options in (
        {"sampling": "counts"}, {"proposals": p}, {"estimator": "exact"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="leave one of them out"):
            fs.gradient(ranked(first), p, **options)
    with pytest.raises(ValueError, match="shaping='centered ranks' does not go with"):
        fs.Reservoir(capacity=100).draw(ranked(first), p, 10)
    with pytest.raises(ValueError, match="shaping='centered ranks' does not go with pmc"):
        fs.pmc(ranked(first), p, [p])


def test_interrupted_before_all_are_ranked():
    calls = []

    def interrupted(x):
        calls.append(len(x))
        if len(calls) > 1:
            raise KeyboardInterrupt
        return first(x)

    with pytest.raises(fs.Interrupted) as caught:
        fs.gradient(ranked(interrupted), STANDARD, n=10**6, rng=0)
    assert caught.value.estimate is None


def test_interrupted_in_the_second_run(monkeypatch):
    absorb, calls = driver.absorb, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return absorb(*args)

    monkeypatch.setattr(driver, "absorb", interrupted)
    with pytest.raises(fs.Interrupted) as caught:
        fs.gradient(ranked(compiled_squares), WIDE, n=10**6, rng=0)
    part = caught.value.estimate
    assert 0 < part.n < 10**6
    assert (part.stopped, part.bias) == ("interrupted", "ranked fitness")
