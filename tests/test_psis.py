"""Pareto smoothing: R's ``loo`` to rounding, known shapes, and what has no tail to fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import DATA

from fastscore.importance import psis

LIMIT = 4.5
ROUNDING = 1e-12
SHAPES = (-0.3, 0.0, 0.3, 0.7, 1.2)
N = 100_000
TAIL = 949


@pytest.fixture(scope="module")
def golden():
    with np.load(DATA / "psis" / "loo_psis_golden.npz") as file:
        return dict(file)


def log_pareto(k: float, survival: np.ndarray) -> np.ndarray:
    """Logarithm of 10 plus a generalised Pareto variable of scale 1, by survival probability."""
    excess = -np.log(survival) if k == 0 else np.expm1(-k * np.log(survival)) / k
    return np.log(10 + excess)


def drawn_to_half(k: float, tail: int) -> float:
    """What the weak prior makes of k."""
    return (tail * k + 5) / (tail + 10)


def stderr(k: float, tail: int) -> float:
    """Asymptotic standard error of the shape's maximum-likelihood estimate."""
    return (1 + k) / math.sqrt(tail)


# --- known answers ---


@pytest.mark.parametrize("column", range(32))
def test_agrees_with_loo(golden, column):
    r_eff = golden["r_eff"][column]
    smoothed, k = psis.smooth(golden["log_ratios"][:, column], r_eff)
    assert k == pytest.approx(golden["pareto_k"][column], abs=ROUNDING)
    np.testing.assert_allclose(smoothed, golden["log_weights"][:, column], rtol=0, atol=ROUNDING)
    n_eff = psis.effective_size(smoothed, r_eff)
    assert n_eff == pytest.approx(golden["n_eff"][column], rel=ROUNDING)


@pytest.mark.parametrize(("n", "length"), [(1, 1), (21, 5), (100, 20), (225, 45), (1000, 95)])
def test_tail_length_rounds_up(n, length):
    assert psis.tail_length(n) == length


def test_tail_length_is_capped():
    assert psis.tail_length(10**12) == 4096
    assert psis.tail_length(10**12, most=10**7) == 3 * 10**6
    assert psis.tail_length(10_000, r_eff=0.25) == 600


def test_threshold():
    assert psis.threshold(100) == 0.5
    assert psis.threshold(2000) < 0.7
    assert psis.threshold(2200) == psis.threshold(10**9) == 0.7
    assert psis.threshold(2) < 0
    assert psis.threshold(1) == -math.inf


def test_effective_size():
    assert psis.effective_size(np.full(7, 3.0)) == pytest.approx(7)
    assert psis.effective_size(np.log([1.0, 2.0, 3.0])) == pytest.approx(36 / 14)
    assert psis.effective_size(np.array([-1e4, 1e4, -np.inf]), 0.5) == 0.5


# --- known shapes ---


@pytest.mark.parametrize("k", SHAPES)
def test_finds_the_shape_of_exact_quantiles(k):
    """To much less than the standard error of samples, 0.02 to 0.07."""
    weights = log_pareto(k, (np.arange(N) + 0.5) / N)
    found = psis.smooth(weights)[1]
    assert found == pytest.approx(drawn_to_half(k, TAIL), abs=0.2 * stderr(k, TAIL))


@pytest.mark.parametrize("k", SHAPES)
def test_finds_the_shape_of_samples(k):
    rng = np.random.default_rng(11)
    found = [psis.smooth(log_pareto(k, rng.random(N)))[1] for _ in range(100)]
    expected, sd = drawn_to_half(k, TAIL), stderr(k, TAIL)
    assert np.abs(np.array(found) - expected).max() < LIMIT * sd
    assert np.mean(found) == pytest.approx(expected, abs=LIMIT * sd / 10)
    # the standard deviation of 100 runs has a relative standard error of 0.07
    assert np.std(found) == pytest.approx(sd, rel=LIMIT * 0.07)


def test_smoothing_keeps_order_and_never_exceeds_the_largest_weight():
    weights = log_pareto(0.8, np.random.default_rng(5).random(2000))
    smoothed, _ = psis.smooth(weights)
    order = np.argsort(weights)
    tail = psis.tail_length(2000)
    assert (np.diff(smoothed[order]) >= 0).all()
    assert smoothed.max() <= weights.max()
    np.testing.assert_array_equal(smoothed[order[:-tail]], weights[order[:-tail]])
    assert (smoothed != weights).sum() >= tail - 1


def test_does_not_write_to_its_input():
    weights = np.random.default_rng(5).normal(size=200)
    kept = weights.copy()
    psis.smooth(weights)
    np.testing.assert_array_equal(weights, kept)


# --- invariance ---


@pytest.mark.parametrize("offset", [-1e4, -700.0, 3.0, 1e4, 1e8])
def test_a_constant_shifts_the_weights_alone(golden, offset):
    weights = golden["log_ratios"][:, 0]
    smoothed, k = psis.smooth(weights)
    shifted, same = psis.smooth(weights + offset)
    tolerance = 1e-11 + 10 * np.spacing(abs(offset))
    assert same == pytest.approx(k, abs=10 * tolerance)
    np.testing.assert_allclose(shifted - offset, smoothed, rtol=0, atol=tolerance)
    size = psis.effective_size(shifted)
    assert size == pytest.approx(psis.effective_size(smoothed), rel=tolerance)


@pytest.mark.parametrize("scale", [10.0, 100.0, 1e3, 1e4])
@pytest.mark.parametrize("n", [100, 1000, 100_000])
def test_nothing_overflows(scale, n):
    weights = np.random.default_rng(3).normal(size=n)
    weights *= scale / np.abs(weights).max()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        smoothed, k = psis.smooth(weights)
        size = psis.effective_size(smoothed)
    assert np.isfinite(smoothed).all()
    assert smoothed.max() <= weights.max()
    assert 1 <= size <= n
    assert scale < 100 or k > psis.threshold(n)


# --- the tail alone ---


@pytest.mark.parametrize("k", SHAPES)
@pytest.mark.parametrize("extra", [0, 1, 500])
def test_the_tail_alone_gives_the_same_shape(k, extra):
    rng = np.random.default_rng(7)
    weights = log_pareto(k, rng.random(5000))
    kept = np.sort(weights)[-psis.tail_length(5000) - 1 - extra :]
    assert psis.pareto_k(rng.permutation(kept), 5000) == psis.smooth(weights)[1]


@pytest.mark.parametrize("k", SHAPES)
def test_a_capped_tail_gives_nearly_the_same_shape(k):
    weights = np.sort(log_pareto(k, np.random.default_rng(8).random(N)))
    most = 200
    found = psis.pareto_k(weights[-psis.tail_length(N, most) - 1 :], N)
    assert abs(found - drawn_to_half(k, most)) < LIMIT * stderr(k, most)


@pytest.mark.parametrize("k", [0.3, 0.7, 1.2])
def test_the_largest_of_very_many(k):
    """Of 10¹⁰ weights, the largest survive with probabilities of a Poisson process."""
    n = 10**10
    gaps = np.random.default_rng(9).exponential(size=psis.tail_length(n) + 1)
    found = psis.pareto_k(-k * np.log(np.cumsum(gaps) / n), n)
    assert abs(found - drawn_to_half(k, 4096)) < LIMIT * stderr(k, 4096)


# --- nothing to fit ---


def unsmoothed(weights: np.ndarray) -> float:
    """The shape, of weights that must stay as they are."""
    smoothed, k = psis.smooth(weights)
    np.testing.assert_array_equal(smoothed, weights)
    assert psis.pareto_k(weights, weights.size) == k
    return k


@pytest.mark.parametrize("offset", [0.0, -1e4, 1e4])
@pytest.mark.parametrize("n", [21, 1000])
def test_equal_weights_are_bounded(n, offset):
    assert unsmoothed(np.full(n, offset)) == -math.inf


def test_weights_equal_to_rounding_are_bounded():
    noise = np.random.default_rng(2).integers(-9, 9, 1000) * 1e-13
    assert unsmoothed(noise) == -math.inf


def test_many_of_the_largest_weight_are_bounded():
    assert unsmoothed(np.log(np.repeat([0.6, 1.4], 500))) == -math.inf


@pytest.mark.parametrize("n", [1, 2, 20])
def test_too_few_weights(n):
    assert unsmoothed(np.arange(n) / 7) == math.inf
    assert unsmoothed(np.zeros(n)) == math.inf


@pytest.mark.parametrize("dominating", [1, 4])
def test_few_dominating_weights(dominating):
    weights = np.zeros(1000)
    weights[:dominating] = np.arange(1, dominating + 1) * 50
    assert unsmoothed(weights) == math.inf


def test_all_weights_zero():
    weights = np.full(1000, -np.inf)
    assert unsmoothed(weights) == math.inf
    assert psis.effective_size(weights) == 0


def test_weights_of_zero_stay_zero():
    weights = np.full(1000, -np.inf)
    weights[:300] = log_pareto(0.5, np.random.default_rng(4).random(300))
    smoothed, k = psis.smooth(weights)
    np.testing.assert_array_equal(np.isneginf(smoothed), np.isneginf(weights))
    assert math.isfinite(k)


def test_a_tail_that_reaches_into_the_zeros():
    """The cutoff is a weight of zero, and the 30 others are fitted."""
    weights = np.full(1000, -np.inf)
    weights[:30] = np.random.default_rng(4).normal(size=30)
    smoothed, k = psis.smooth(weights)
    assert math.isfinite(k)
    assert np.isfinite(smoothed[:30]).all()
    assert np.isneginf(smoothed[30:]).all()
    weights[4:] = -np.inf
    assert unsmoothed(weights) == math.inf


def test_ties_with_the_cutoff_are_not_smoothed():
    weights = np.zeros(1000)
    weights[:40] = np.random.default_rng(6).exponential(size=40)
    smoothed, k = psis.smooth(weights)
    assert math.isfinite(k)
    assert (smoothed[:40] > 0).all()
    assert (smoothed[40:] == 0).all()


def test_tied_weights_above_the_cutoff_are_bounded():
    """The grid of fits has the exponential distribution, where k/θ is 0/0."""
    weights = np.log(np.repeat([1.0, 2.0, 3.0], [1295, 20, 85]))
    assert psis.tail_length(weights.size) > 105
    with np.errstate(all="raise", under="ignore"):
        smoothed, k = psis.smooth(weights)
    assert -10 < k < 0
    assert np.isfinite(smoothed).all()


# --- bad input ---


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("of", [psis.smooth, psis.effective_size, lambda x: psis.pareto_k(x, 9)])
def test_refuses_what_is_no_log_weight(of, bad):
    with pytest.raises(ValueError, match=rf"\[1\] = {bad}: .* must be finite or -inf"):
        of(np.array([0.0, bad, 1.0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: psis.smooth(np.zeros((2, 3))), ValueError, r"shape \(2, 3\): give a vector"),
        (lambda: psis.smooth(np.zeros(0)), ValueError, "without an entry"),
        (lambda: psis.smooth(["a"]), TypeError, "not an array of real numbers"),
        (lambda: psis.smooth(np.zeros(9), 0.0), ValueError, "r_eff=0.0: give a positive"),
        (lambda: psis.smooth(np.zeros(9), math.nan), ValueError, "r_eff = nan"),
        (lambda: psis.effective_size(np.zeros(9), [1, 1]), ValueError, "give a positive number"),
        (lambda: psis.pareto_k(np.zeros(9), 8), ValueError, "9 log weights, more than n=8"),
        (lambda: psis.pareto_k(np.zeros(9), 9.5), TypeError, "n=9.5 is not an integer"),
        (lambda: psis.tail_length(0), ValueError, "n=0 is not positive"),
        (lambda: psis.tail_length(10, most=0), ValueError, "most=0 is not positive"),
        (lambda: psis.threshold(0), ValueError, "n=0 is not positive"),
    ],
)
def test_refuses_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
