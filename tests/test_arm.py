"""ARM and DisARM, against sums over outcomes and integrals over uniforms."""

from __future__ import annotations

import itertools

import naive
import numpy as np
import pytest
from cases import flat, z_of_mean, z_of_variance
from numba import config, njit

import fastscore as fs
from fastscore.engine.tiles import tiling

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
LOGITS = np.array([0.4, -1.3, 2.1])
PROBS = 1 / (1 + np.exp(-LOGITS))
ESTIMATORS = ("arm", "disarm")


@njit
def curved(x):
    return np.exp(0.7 * x[0] * x[1]) + 2.0 * x[2] * x[1] - x[0] + 0.3


def curved_numpy(x):
    return np.exp(0.7 * x[:, 0] * x[:, 1]) + 2.0 * x[:, 2] * x[:, 1] - x[:, 0] + 0.3


def exact_gradient():
    outcomes = np.indices((2, 2, 2)).reshape(3, -1).T
    probs = np.where(outcomes == 1, PROBS, 1 - PROBS).prod(axis=1)
    return (probs * curved_numpy(outcomes)) @ naive.bernoulli_score(outcomes, PROBS, True)


def moments_of(estimator):
    """Mean and variance of one sample, by the pieces on which b and b̃ do not change.

    ``b = 1[u < p]`` and ``b̃ = 1[u > 1 − p]``, of three uniforms u: three pieces of each.
    """
    first, second = np.zeros(3), np.zeros(3)
    pieces = []
    for p in PROBS:
        ends = np.unique([0.0, p, 1 - p, 1.0])
        pieces.append(list(itertools.pairwise(ends)))
    for cell in itertools.product(*pieces):
        low, high = np.array(cell).T
        middle, weight = (low + high) / 2, (high - low).prod()
        b, other = 1 * (middle < PROBS), 1 * (middle > 1 - PROBS)
        mean = middle - 0.5
        # What is left of u given its piece is uniform; DisARM averages over it.
        square = mean**2 + ((high - low) ** 2 / 12 if estimator == "arm" else 0)
        difference = curved_numpy(other[None])[0] - curved_numpy(b[None])[0]
        first += weight * difference * mean
        second += weight * difference**2 * square
    return first, second - first**2


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_mean_and_variance_of_one_sample(estimator):
    """Without a baseline each sample's term is that of the papers."""
    n, count = 20, 2000
    mean, variance = moments_of(estimator)
    np.testing.assert_allclose(mean, exact_gradient(), rtol=1e-12)
    p = fs.Bernoulli(logits=LOGITS)
    some = np.array(
        [
            fs.gradient(curved_numpy, p, n=n, rng=i, estimator=estimator, baseline=None).flat
            for i in range(count)
        ]
    )
    assert np.abs(z_of_mean(some, mean)).max() < LIMIT
    assert np.abs(z_of_variance(some * np.sqrt(n), variance)).max() < LIMIT


def test_averaging_over_the_uniforms_never_hurts():
    arm, disarm = (moments_of(estimator)[1] for estimator in ESTIMATORS)
    assert np.all(disarm < arm)
    p = fs.Bernoulli(logits=LOGITS)
    errors = [
        fs.gradient(curved_numpy, p, n=100_000, rng=1, estimator=one, baseline=None).flat_stderr
        for one in ESTIMATORS
    ]
    np.testing.assert_allclose((errors[1] / errors[0]) ** 2, disarm / arm, rtol=0.03)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("n", [2, 12])
def test_unbiased_at_small_n(estimator, n):
    """With the cross-fitted regression on the score, by probabilities."""
    p, exact = fs.Bernoulli(PROBS), exact_gradient() / (PROBS * (1 - PROBS))
    some = [
        fs.gradient(curved_numpy, p, n=n, rng=10**6 * n + i, estimator=estimator).flat
        for i in range(1500)
    ]
    assert np.abs(z_of_mean(np.array(some), exact)).max() < LIMIT


@pytest.mark.parametrize("n", [2, 13, 5000])
@pytest.mark.parametrize("baseline", [None, "optimal"])
def test_disarm_against_plain_numpy(baseline, n):
    """Given what b̃ was, which f is called with last."""
    seen = []

    def f(x):
        seen.append(x.copy())
        return curved_numpy(x)

    p = fs.Bernoulli(logits=LOGITS)
    actual = fs.gradient(f, p, n=n, rng=n, baseline=baseline, estimator="disarm")
    b, other = seen
    np.testing.assert_array_equal(b, actual_samples(p, n, b))
    size = np.maximum(PROBS, 1 - PROBS)
    difference = curved_numpy(b) - curved_numpy(other)
    terms = 0.5 * difference[:, None] * (-1.0) ** other * (b != other) * size
    cut = tiling(n, p.d, p.size)
    labels = np.arange(n) // cut.block % cut.folds
    truth = naive.estimate(
        np.zeros(n), naive.bernoulli_score(b, PROBS, True), labels, baseline, direct=terms
    )
    np.testing.assert_allclose(actual.flat, truth.grad, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(flat(actual.grad_stderr), truth.stderr, rtol=1e-7, atol=1e-14)


def actual_samples(p, n, b):
    """The first tile's samples are those of any other run."""
    first = b.copy()
    rows = min(n, tiling(n, p.d, p.size).rows)
    first[:rows] = p.sample(n, rng=n)[:rows]
    return first


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_jitted_or_plain_f_on_any_threads(estimator):
    p = fs.Bernoulli(logits=LOGITS)
    one, two, plain = (
        fs.gradient(f, p, n=200_000, rng=3, estimator=estimator, threads=threads)
        for f, threads in ((curved, 1), (curved, 2), (curved_numpy, 1))
    )
    np.testing.assert_array_equal(one.flat, two.flat)
    np.testing.assert_array_equal(one.flat_stderr, two.flat_stderr)
    np.testing.assert_allclose(one.flat, plain.flat, rtol=1e-11)
    np.testing.assert_allclose(one.flat_stderr, plain.flat_stderr, rtol=1e-10)


def test_parts_that_share_a_probability():
    """The terms of their coordinates, added up."""
    parts = fs.Joint(a=fs.Bernoulli(PROBS[0]), b=fs.Bernoulli(PROBS[[0]]), c=fs.Bernoulli(PROBS))
    same = fs.Joint(a=fs.Bernoulli(PROBS[:1]), b=fs.Bernoulli(PROBS[:1]), c=fs.Bernoulli(PROBS))
    p = fs.Shared(same, both=("a.probs", "b.probs"))

    def f(x):
        return x.a[:, 0] * x.c[:, 1] + 2.0 * x.b[:, 0] * x.c[:, 0]

    for estimator in ESTIMATORS:
        options = {"n": 1000, "rng": 1, "estimator": estimator, "baseline": None}
        one, many = fs.gradient(f, p, **options), fs.gradient(f, parts, **options)
        np.testing.assert_allclose(one.flat[0], many.flat[:2].sum(), rtol=1e-12)
        exact = PROBS[1] + 2 * PROBS[0]
        assert abs(one.flat[0] - exact) < LIMIT * one.flat_stderr[0]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("logit", [-800.0, -40.0, 40.0, 800.0])
def test_certain_outcomes(estimator, logit):
    """Probabilities that round to 0 or 1 leave no NaN."""
    p = fs.Bernoulli(logits=[logit, 0.3])
    estimate = fs.gradient(lambda x: 1.0 * x.prod(axis=1), p, n=1000, rng=1, estimator=estimator)
    assert np.isfinite(estimate.flat).all()
    other = estimate.flat[1]
    exact = p.fisher()[1, 1] / (1 + np.exp(-logit)) if logit > 0 else 0.0
    assert abs(other - exact) < LIMIT * estimate.flat_stderr[1] + 1e-12


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_other_families_are_refused(estimator):
    with pytest.raises(ValueError, match=f"estimator='{estimator}' is for fs.Bernoulli"):
        fs.gradient(curved_numpy, fs.Binomial(1, PROBS), n=10, rng=1, estimator=estimator)
