"""The oracle of units and control variates, held to closed forms and to sums over all outcomes."""

from __future__ import annotations

import math
from itertools import product

import naive
import numpy as np
import pytest
from cases import z_of_mean

BASELINES = (None, 0.7, "mean", "scalar", "optimal", "matrix")
#: Runs, and units of each.
RUNS, U = 50, 4000


def normals(count, mu=1.0, sigma=1.0, seed=0):
    """So many of them, and their scores."""
    x = np.random.default_rng(seed).normal(mu, sigma, count)
    return x, naive.normal_score(x[:, None], np.array([mu]), np.array([sigma]))


def singly(x):
    """Each sample is a unit, in ten folds."""
    return np.arange(len(x)), np.arange(len(x)) % 10


def assert_answers(run, grad, variance, value, value_variance=None):
    """Of independent runs from seeds: the means, and the variances of a unit."""
    estimates = [run(seed) for seed in range(RUNS)]
    found = [np.append(e.grad, e.value) for e in estimates]
    assert np.all(np.abs(z_of_mean(np.array(found), np.append(grad, value))) < 4.5)
    spread = U * np.array([np.append(e.stderr, e.value_stderr) for e in estimates]) ** 2
    known = np.append(variance, spread[:, -1].mean() if value_variance is None else value_variance)
    assert np.all(np.abs(z_of_mean(spread, known)) < 4.5)


# --- antithetic pairs: f = (x − 3)², μ = σ = 1 (gauss-quad-mirrored-k3) ---


def mirrored(seed):
    x, _ = normals(U, seed=seed)
    x = np.stack([x, 2 - x], axis=1).ravel()
    s = naive.normal_score(x[:, None], np.ones(1), np.ones(1))
    return (x - 3) ** 2, s, np.arange(2 * U) // 2, np.arange(U) % 10


@pytest.mark.parametrize(
    ("baseline", "variance"),
    [(None, [32, 186]), (5.0, [32, 56]), ("mean", [32, 56]), ("optimal", [32, 24])],
)
def test_pairs(baseline, variance):
    """The score of μ cancels in a pair; of ``(z² + 4 − b)(z² − 1)`` the optimum leaves He₄.

    The value's part is ``(f₊ + f₋)/2 = z² + 4``.
    """
    assert_answers(
        lambda seed: naive.unit_estimate(*mirrored(seed), baseline), [-4, 2], variance, 5, 2
    )


# --- control variates: f = cos k x and its Taylor polynomial (cv-delta-cos-k0.5 and k1) ---


def taylor(x, k, **options):
    """About the mean 1, and of unit variance: means of h, ``h s``."""
    f, slope, curvature = math.cos(k), -k * math.sin(k), -k * k * math.cos(k)
    h = f + slope * (x - 1) + curvature / 2 * (x - 1) ** 2
    return naive.Control(h, f + curvature / 2, np.array([slope, curvature]), **options)


DELTA = {
    0.5: {
        "grad": [-0.21154577641908026, -0.193615973157627],
        "fixed": [0.011735606315725261, 0.09194855811316618],
        "fitted": [0.01072317825916945, 0.05968772520049794],
        "joint": [0.0021487007485689624, 0.011200230748925026],
    },
    1.0: {
        "grad": [-0.5103779515445728, -0.32770991402245986],
        "fixed": [1.0379504067084835, 6.988941350442309],
        "fitted": [0.133087332554723, 0.4433592826788384],
        "joint": [0.1255725747394295, 0.4433155405243236],
    },
}


@pytest.mark.parametrize("k", DELTA)
@pytest.mark.parametrize(
    ("name", "baseline", "coefficient"),
    [("fixed", None, 1.0), ("fitted", None, None), ("joint", "optimal", None)],
)
def test_delta_method(k, name, baseline, coefficient):
    def run(seed):
        x, s = normals(U, seed=seed)
        control = taylor(x, k, coefficient=coefficient)
        return naive.unit_estimate(np.cos(k * x), s, *singly(x), baseline, [control])

    value = math.cos(k) * math.exp(-k * k / 2)
    assert_answers(run, DELTA[k]["grad"], DELTA[k][name], value)


@pytest.mark.parametrize("baseline", [None, 0.7, "mean", "scalar", "optimal"])
@pytest.mark.parametrize("coefficient", [1.0, None])
def test_f_as_its_own_control_leaves_nothing(baseline, coefficient):
    """Given whole, the first baseline that matters is of 0; fitted, ``f s`` is explained whole."""
    x, s = normals(1000)
    control = naive.Control(x**2, 2.0, np.array([2.0, 2.0]), coefficient)
    estimate = naive.unit_estimate(x**2, s, *singly(x), baseline, [control])
    assert estimate.value == pytest.approx(2, abs=1e-12)
    if baseline == 0.7 and coefficient:  # then 0 − 0.7 s is left
        np.testing.assert_allclose(estimate.stderr, 0.7 * naive.standard_error(s))
    elif baseline in (None, "optimal") or coefficient:
        np.testing.assert_allclose(estimate.grad, 2, atol=1e-12)
        np.testing.assert_allclose(estimate.stderr, 0, atol=1e-12)


def test_several_controls_are_a_regression():
    """Of f = x² + cos x, the controls x and x² leave the value what they leave of cos x."""

    def run(seed):
        x, s = normals(U, mu=0.0, seed=seed)
        controls = [naive.Control(x, 0.0), naive.Control(x**2, 1.0)]
        return naive.unit_estimate(x**2 + np.cos(x), s, *singly(x), None, controls)

    # cos x = e^{−1/2} Σ (−1)^j He_2j/(2j)!, of which j ≥ 2 is left.  By μ, f x is odd: x² leaves
    # it alone, x takes its part along E f x² = E x⁴, from E f² x² of x⁶ + 2 x⁴ cos x + x² cos² x.
    left = math.exp(-1) * sum(1 / math.factorial(2 * j) for j in range(2, 9))
    one, two = math.exp(-0.5), math.exp(-2.0)
    of_loc = 15 + 2 * (1 - 6 + 3) * one + (1 + (1 - 4) * two) / 2 - 3**2
    estimates = [run(seed) for seed in range(RUNS)]
    grad, value = np.array([e.grad for e in estimates]), np.array([e.value for e in estimates])
    assert np.all(np.abs(z_of_mean(grad, [0, 2 - one])) < 4.5)
    assert abs(z_of_mean(value, 1 + one)) < 4.5
    spread = U * np.array([[e.value_stderr, e.stderr[0]] for e in estimates]) ** 2
    assert np.all(np.abs(z_of_mean(spread, [left, of_loc])) < 4.5)


def test_collinear_and_constant_controls_change_nothing():
    x, s = normals(1000)
    one = naive.Control(x, 1.0)
    alone = naive.unit_estimate(np.cos(x), s, *singly(x), "mean", [one])
    many = [one, naive.Control(2 * x, 2.0), naive.Control(np.ones_like(x), 1.0)]
    estimate = naive.unit_estimate(np.cos(x), s, *singly(x), "mean", many)
    np.testing.assert_allclose(estimate.grad, alone.grad, rtol=1e-9)
    np.testing.assert_allclose(estimate.stderr, alone.stderr, rtol=1e-9)


# --- Rao-Blackwell by dependency: three coordinates of 0 or 1 (bern-prod3-relax-tests) ---

PROBS = np.array([0.5488135039273248, 0.7151893663724195, 0.6027633760716439])
TARGETS = np.array([0.2, 0.55, 0.9])
TRUTH = PROBS * (1 - PROBS) * (1 - 2 * TARGETS)


def toy(n, seed=0):
    """Terms by coordinate, and scores."""
    x = (np.random.default_rng(seed).random((n, 3)) < PROBS).astype(float)
    return (x - TARGETS) ** 2, naive.bernoulli_score(x, PROBS, by_logit=True)


def test_dependency():

    def run(seed):
        w, s = toy(U, seed)
        terms = naive.by_coordinate(w, s, np.arange(3))
        return naive.unit_estimate(w.sum(1), s, *singly(s), None, terms=terms, level=w)

    known = [0.02390543487347213, 0.015294609811138, 0.05800938234152632]
    assert_answers(run, TRUTH, known, 0.9280584648618377)


@pytest.mark.parametrize("baseline", ["optimal", "matrix"])
def test_dependency_with_a_baseline_has_no_variance(baseline):
    """Each score's own term is a function of one variable of two values."""
    w, s = toy(5000)
    terms = naive.by_coordinate(w, s, np.arange(3))
    estimate = naive.unit_estimate(w.sum(1), s, *singly(s), baseline, terms=terms, level=w)
    np.testing.assert_allclose(estimate.grad, TRUTH, atol=1e-12 if baseline == "optimal" else 1e-4)
    assert np.all(estimate.stderr < (1e-12 if baseline == "optimal" else 1e-4))


# --- what it already had, and unbiasedness ---


@pytest.mark.parametrize("n", [1, 2, 3, 13, 500])
@pytest.mark.parametrize("baseline", BASELINES)
def test_units_of_one_sample_are_those_of_importance_sampling(baseline, n):
    x, s = normals(n)
    unit, folds = singly(x)
    estimate = naive.unit_estimate(np.cos(x), s, unit, folds, baseline)
    expected = naive.importance_estimate(
        naive.unit_sums(np.ones(n), np.cos(x), s, 1), folds, baseline
    )
    for name, value in vars(expected).items():
        np.testing.assert_allclose(getattr(estimate, name), value, err_msg=name)


@pytest.mark.parametrize("units", [2, 3, 5, 8])
@pytest.mark.parametrize("baseline", BASELINES)
def test_unbiased_over_all_outcomes_of_few_units(baseline, units):
    """A coin of two values in each unit: the sum over all of them is the gradient."""
    _assert_unbiased(product((0, 1), repeat=units), np.arange(units) % 10, baseline)


@pytest.mark.parametrize("with_score", [True, False])
@pytest.mark.parametrize("baseline", [None, 0.7, "mean", "scalar", "optimal"])
def test_unbiased_where_coefficients_are_fitted(baseline, with_score):
    """Twelve units of three draws, of which eleven serve the fit for one: a coin of each unit says
    which of two triples it is, and of those eleven only the number of each matters."""
    outcomes = [(0,) * (11 - i) + (1,) * i + (own,) for i in range(12) for own in (0, 1)]
    weights = [math.comb(11, sum(outcome[:11])) for outcome in outcomes]
    _assert_unbiased(outcomes, np.array([0] * 11 + [1]), baseline, weights, with_score)


def _assert_unbiased(outcomes, folds, baseline, weights=None, with_score=None):
    """Units of two draws from {0, 1, 2}: a pair (x, 2 − x) or (1, 1)."""
    pairs, p = np.array([[0, 2], [1, 1]]), np.array([0.6, 0.4])
    marginal = np.array([0.3, 0.4, 0.3])
    scores = (np.eye(3) - marginal)[:, :2]
    values, h = np.array([2.0, -1.0, 0.5]), np.array([1.0, 0.3, -2.0])
    outcomes = np.array(list(outcomes))
    total = np.zeros(3)
    for i, outcome in enumerate(outcomes):
        x = pairs[outcome].ravel()
        controls = []
        if with_score is not None:
            gradient = (marginal * h) @ scores if with_score else None
            controls = [naive.Control(h[x], marginal @ h, gradient)]
        unit = np.repeat(np.arange(len(folds)), 2)
        estimate = naive.unit_estimate(values[x], scores[x], unit, folds, baseline, controls)
        probability = p[outcome].prod() * (1 if weights is None else weights[i])
        total += probability * np.append(estimate.grad, estimate.value)
    truth = np.append((marginal * values) @ scores, marginal @ values)
    np.testing.assert_allclose(total, truth, atol=1e-12)
