"""What is special to truncated normals: narrow and distant intervals, bounds, fits."""

from __future__ import annotations

import numpy as np
import pytest
from families.registry import within
from numba import config
from scipy import stats

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N, INF = 200_000, np.inf
#: In units of scale, from loc.
INTERVALS = [
    (-INF, INF), (0.0, INF), (-0.3, INF), (-INF, 1e-3), (0.0, 1e-9), (-1.0, 2.0), (-0.01, 5.0),
    (3.0, 3.5), (30.0, INF), (-30.001, -30.0), (-INF, -1e5), (-1e-3, 8.0),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_any_interval(low, high):
    """Scores have mean 0, and the Fisher information for a variance."""
    p = fs.TruncatedNormal(1.0, 0.5, 1 + 0.5 * low, 1 + 0.5 * high)
    x = p.sample(N, rng=5)
    assert x.min() >= p.constants["low"]
    assert x.max() <= p.constants["high"]
    s = p.score(x) / np.sqrt(np.diagonal(p.fisher()))
    within(s.mean(axis=0) * np.sqrt(N))
    within(((s**2).mean(axis=0) - 1) / (np.std(s**2, axis=0) / np.sqrt(N)))


@pytest.mark.parametrize(("low", "high"), [one for one in INTERVALS if max(map(abs, one)) > 1e-3])
def test_law(low, high):
    x = fs.TruncatedNormal(0.0, 1.0, low, high).sample(N, rng=6)[:, 0]
    assert stats.kstest(x, stats.truncnorm(low, high).cdf).pvalue > 1e-5


def test_far_tails_are_exponential():
    """And x, measured from the bound, has all its digits."""
    x = fs.TruncatedNormal(-1e100, 1.0, 0.0).sample(N, rng=7)[:, 0] * 1e100
    assert stats.kstest(x, "expon").pvalue > 1e-5
    assert len(np.unique(x)) == N


def test_without_bounds_it_is_the_normal():
    p, q = fs.TruncatedNormal([0.5, 2.0], 0.3), fs.Normal([0.5, 2.0], 0.3)
    x = q.sample(100, rng=8)
    np.testing.assert_allclose(p.log_prob(x), q.log_prob(x), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(p.score(x), q.score(x), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(p.fisher(), q.fisher(), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"low": 1.0, "high": 1.0}, "low must be below high"),
        ({"low": [0.0, 2.0], "high": 1.0}, r"low\[1\] = 2.0: low must be below high"),
        ({"low": 1e8}, "float64 resolves"),
        ({"low": 1.0, "high": 1 + 1e-15}, "float64 resolves"),
        ({"low": 0.0, "high": 1e-100}, "float64 resolves"),
        ({"loc": -1e300, "scale": 1e-300, "low": 0.0}, "float64 resolves"),
        ({"low": np.zeros(2), "high": np.ones(3)}, "same shape"),
    ],
)
def test_bounds_that_will_not_do(given, message):
    with pytest.raises(ValueError, match=message):
        fs.TruncatedNormal(**{"loc": 0.0, "scale": 1.0, **given})


def test_proposals_need_as_wide_bounds():
    p, x = fs.TruncatedNormal(0.0, 1.0, 0.0, 1.0), lambda x: x[:, 0]
    wide, narrow = p.replace(high=2.0), p.replace(high=0.5)
    estimate = fs.gradient(x, p, proposals=wide, n=10_000, rng=0)
    within((estimate.value - p.mean[0]) / estimate.value_stderr)
    with pytest.raises(ValueError, match="reach"):
        fs.gradient(x, p, proposals=narrow, n=100, rng=0)


@pytest.mark.parametrize("loc", [-2.0, 0.5, 4.0])
def test_fit_with_loc_outside(loc):
    """The means of z and z² are those of the samples."""
    p = fs.TruncatedNormal(loc, 0.7, 0.0, 1.0)
    x = p.sample(20_000, rng=9)
    q = fs.TruncatedNormal(0.5, 1.0, 0.0, 1.0).fit(x, least=1e-6)
    np.testing.assert_allclose(q.mean, x.mean(axis=0), rtol=1e-8)
    np.testing.assert_allclose(q.variance, x.var(axis=0), rtol=1e-8)
