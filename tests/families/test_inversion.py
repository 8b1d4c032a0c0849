"""What is special to families drawn by inversion: the far tails, and x that rounds or overflows."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from families.registry import close, within
from mpmath import mp
from numba import config, njit

import fastscore as fs
from fastscore.families._special import log_square_ratio

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 200_000


@njit
def one(_):
    return 1.0


@pytest.mark.parametrize(
    "p",
    [
        fs.Weibull(1.0, 0.002),
        fs.Weibull(log_scale=[-600.0, 600.0], concentration=0.01),
        fs.Pareto(1.0, 0.005),
        fs.Pareto(1e-300, 1e17),
        fs.Kumaraswamy(0.003, 0.004),
        fs.Kumaraswamy(0.02, 0.03),
        fs.Kumaraswamy(1.0, 0.05),
    ],
    ids=repr,
)
def test_scores_of_samples_that_are_lost(p):
    """The mean of the score, with its variance, where x says nothing any more of many samples."""
    assert np.isin(p.sample(N, rng=0), [0.0, 1e-300, 1.0, np.inf]).mean() > 1e-3
    estimate = fs.gradient(one, p, n=N, rng=0, baseline=None)
    within(estimate.flat / estimate.flat_stderr)
    spread = np.sqrt(np.diagonal(p.fisher()) / N)
    assert np.all(np.abs(estimate.flat_stderr / spread - 1) < 0.05)


@pytest.mark.parametrize(
    ("p", "quantile"),
    [
        (fs.Cauchy(0.0, 1.0), lambda u: 1 / np.tan(np.pi * u)),
        (fs.Logistic(0.0, 1.0), lambda u: -np.log(u / (1 - u))),
        (fs.Gumbel(0.0, 1.0), lambda u: -np.log(-np.log1p(-u))),
        (fs.Weibull(1.0, 1.0), lambda u: -np.log(u)),
    ],
    ids=lambda one: repr(one) if isinstance(one, fs.Family) else "",
)
def test_the_upper_tail(p, quantile):
    """As many draws beyond quantiles as there should be."""
    x = p.sample(20_000_000, rng=3)[:, 0]
    for expected in (20, 200, 2000):
        count = np.count_nonzero(x > quantile(expected / len(x)))
        within((count - expected) / np.sqrt(expected))


@pytest.mark.parametrize("b", [None, 1e-8, 1e-3, 0.5, 2.0, 1e3, 1e8])
def test_log_square_ratio(b):
    power = np.array([1e-12, 1e-4, 0.02, 0.4, 1.0, 10.0, 1e4])
    with mpmath.workdps(60):

        def log_mean(s):
            value, other = mp.loggamma(1 + s), mpmath.mpf(b or 0)
            return (
                value if b is None else value + mp.loggamma(1 + other) - mp.loggamma(1 + s + other)
            )

        exact = np.array([float(log_mean(2 * s) - 2 * log_mean(s)) for s in map(mpmath.mpf, power)])
    close(log_square_ratio(power, None if b is None else np.full_like(power, b)), exact, 1e-14)


def test_the_support_of_a_pareto():
    p = fs.Pareto([1.0, 5.0], 2.0)
    np.testing.assert_array_equal(p.support_set.low, [1.0, 5.0])
    x = np.array([[1.0, 5.0], [0.999, 6.0], [2.0, 4.0]])
    np.testing.assert_array_equal(p.log_prob(x) == -np.inf, [False, True, True])
    with pytest.raises(ValueError, match="inside the support"):
        p.fit(x)


def test_a_log_scale_of_pareto():
    with pytest.raises(TypeError, match="support of Pareto moves"):
        fs.Pareto(log_scale=1.0, alpha=2.0)
