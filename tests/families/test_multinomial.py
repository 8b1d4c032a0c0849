"""What is special to Multinomial and OneHotCategorical: totals, all regimes of the sampler."""

from __future__ import annotations

import numpy as np
import pytest
from families.registry import Trials
from numba import config, njit
from scipy import stats

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000
RARE = 1e-5
UNEVEN = [1e-7, 3e-6, 1e-4, 0.01, 0.3, 0.2, 0.4898969]


@pytest.mark.parametrize("n", [1, 3, 17, 60, 200, 3000, 10**6, 10**9])
@pytest.mark.parametrize(
    "probs", [[0.3, 0.7], np.ones(3) / 3, UNEVEN, np.ones(25) / 25], ids=[2, 3, "uneven", 25]
)
def test_draws(n, probs):
    """Of classes that are rare, of others, and of those whose trials are few by chance."""
    x = fs.Multinomial(n, probs).sample(N // len(probs), rng=n)
    assert np.all(x.sum(axis=1) == n)
    uniforms = Trials(probs, n).uniforms(x, np.random.default_rng(0))
    for k, u in enumerate(uniforms.T):
        assert stats.kstest(u, "uniform", method="asymp").pvalue > RARE, f"class {k}"
        for expected in (20, 200):
            for tail in (u, 1 - u):
                law = stats.binom(len(u), expected / len(u))
                count = np.count_nonzero(tail < expected / len(u))
                assert min(law.cdf(count), law.sf(count - 1)) > RARE, f"class {k}"


@pytest.mark.parametrize("n", [0, 1, 10, 10**6])
@pytest.mark.parametrize("logit", [-600.0, -27.6, -1.1, 0.0, 13.9, 45.0])
def test_of_two_classes_the_first_is_binomial(n, logit):
    p, q = fs.Multinomial(n, logits=[logit, 0.0]), fs.Binomial(n, logits=logit)
    x = np.unique(np.clip(np.array([0, 1, n // 3, n - 1, n]), 0, n))
    pairs = np.column_stack([x, n - x])
    np.testing.assert_allclose(p.log_prob(pairs), q.log_prob(x[:, None]), rtol=1e-13)
    np.testing.assert_allclose(p.score(pairs), q.score(x[:, None]) * [1, -1], rtol=1e-13)


@pytest.mark.parametrize("given", ["probs", "logits"])
def test_one_hot_is_categorical(given):
    weights = {given: np.array([[0.2, 0.3, 0.5], [3.0, 1.0, 0.1]])}
    p, q = fs.OneHotCategorical(**weights), fs.Categorical(**weights)
    classes = q.sample(50, rng=0)
    x = (classes[:, :, None] == np.arange(3)).reshape(50, 6)
    np.testing.assert_allclose(p.log_prob(x), q.log_prob(classes), rtol=1e-14)
    np.testing.assert_allclose(p.score(x), q.score(classes), rtol=1e-14)
    np.testing.assert_allclose(p.fisher(), q.fisher(), rtol=1e-14)
    np.testing.assert_allclose(p.entropy(), q.entropy(), rtol=1e-14)
    fits = p.fit(x).parameters[given], q.fit(classes).parameters[given]
    np.testing.assert_allclose(*fits, rtol=1e-14)
    np.testing.assert_array_equal(p.support(9).sum(axis=1), 2)
    assert len(np.unique(p.support(9), axis=0)) == 9


@njit
def spread(x):
    return float(x[0] * x[1] + 2 * x[2])


def test_all_outcomes():
    """E[x_0 x_1] is ``n (n − 1) p_0 p_1``."""
    n, w = 7, np.array([0.2, 0.3, 0.5])
    p = fs.Multinomial(n, w)
    outcomes = p.support(36)
    assert len(np.unique(outcomes, axis=0)) == 36
    np.testing.assert_allclose(np.exp(p.log_prob(outcomes)).sum(), 1, rtol=1e-14)
    with pytest.raises(ValueError, match="36 outcomes, of 35 at most"):
        p.support(35)
    with pytest.raises(ValueError, match="outcomes, of 35 at most"):
        fs.Multinomial(10**6, np.ones(1000)).support(35)

    slope = n * (n - 1) * np.array([w[1], w[0], 0]) + 2 * n * np.array([0, 0, 1])
    mean = n * (n - 1) * w[0] * w[1] + 2 * n * w[2]
    # By weights, which are divided by their sum.
    slope = slope - (2 * n * (n - 1) * w[0] * w[1] + 2 * n * w[2])
    exact = fs.gradient(spread, p, estimator="exact")
    np.testing.assert_allclose(exact.value, mean, rtol=1e-13)
    np.testing.assert_allclose(exact.grad["probs"], slope, rtol=1e-12)
    counted = fs.gradient(spread, p, n=N, rng=0, sampling="counts")
    error = counted.grad_stderr["probs"]
    assert np.all(np.abs(counted.grad["probs"] - slope) < 4.5 * error)


def test_other_totals():
    p = fs.Multinomial([2, 5], [[0.3, 0.7], [0.5, 0.5]])
    bad = [[1, 2, 5, 0], [1, 1, 5, 1], [-1, 3, 5, 0], [2, 0, 2**50, 5 - 2**50]]
    np.testing.assert_array_equal(p.log_prob(bad), -np.inf)
    assert np.isfinite(p.score(bad)).all()
    with pytest.raises(ValueError, match="add up to total_count"):
        p.fit(bad)


def test_excluded_classes():
    p = fs.Multinomial([20, 3], logits=[[0.0, -np.inf, 0.5], [-np.inf, -np.inf, 1.0]])
    x = p.sample(1000, rng=0)
    np.testing.assert_array_equal(x[:, [1, 3, 4, 5]], np.tile([0, 0, 0, 3], (1000, 1)))
    np.testing.assert_array_equal(p.support_set.low, [0, 0, 0, 0, 0, 3])
    np.testing.assert_array_equal(p.support_set.high, [20, 0, 20, 0, 0, 3])
    np.testing.assert_array_equal(p.score(x)[:, [1, 3, 4, 5]], 0)
    np.testing.assert_array_equal(p.log_prob([[19, 1, 0, 0, 0, 3]]), -np.inf)
    with pytest.raises(ValueError, match="for its score to exist"):
        fs.Multinomial(3, [0.0, 1.0]).score([[0, 3]])
    np.testing.assert_array_equal(fs.Multinomial(3, logits=[-1e308, 1e308]).mean, [0, 3])


@pytest.mark.parametrize(
    ("total", "message"),
    [(-1, "an integer"), (0.5, "an integer"), (2**51, "an integer"), ([1, 2], "has shape")],
)
def test_totals_that_are_none(total, message):
    with pytest.raises(ValueError, match=f"total_count.*{message}"):
        fs.Multinomial(total, [0.5, 0.5])


def test_proposals():
    """Independent binomials cover a total; another total does not."""
    p, f = fs.Multinomial(3, [0.2, 0.8]), lambda x: x[:, 0]
    q = fs.Binomial(3, [0.3, 0.7])
    estimate = fs.gradient(f, p, proposals=[q], n=N, rng=0)
    assert abs(estimate.value - 0.6) < 4.5 * estimate.value_stderr
    with pytest.raises(ValueError, match="no proposal reaches"):
        fs.gradient(f, p, proposals=[fs.Multinomial(4, [0.2, 0.8])], n=N)
