"""What is special to BetaBinomial: laws with two peaks, and its limits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from families.registry import within
from numba import config

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


@pytest.mark.parametrize("n", [1, 2, 10, 1000, 10**6, 10**12])
@pytest.mark.parametrize("a", [1e-3, 0.5, 1.0, 50.0, 1e8])
@pytest.mark.parametrize("b", [1e-3, 0.5, 7.0, 1e8])
def test_log_prob_and_score(n, a, b):
    """A score may be almost 0, and is rounded as its terms are, of about 1/a and 1/b."""
    p, x = fs.BetaBinomial(n, a, b), np.unique([0, 1, n // 3, n // 2, n - 1, n])
    log_prob, score = p.log_prob(x[:, None]), p.score(x[:, None])
    with mp.workdps(60):
        c, d = mp.mpf(a), mp.mpf(b)
        ends = mp.psi(0, c + d) - mp.psi(0, c + d + n)
        for k, value, slopes in zip(x.tolist(), log_prob, score, strict=True):
            exact = mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)
            exact += mp.loggamma(c + k) + mp.loggamma(d + n - k) - mp.loggamma(c + d + n)
            exact += mp.loggamma(c + d) - mp.loggamma(c) - mp.loggamma(d)
            assert abs(value - exact) <= 4e-15 * abs(exact)
            own = (
                mp.psi(0, c + k) - mp.psi(0, c) + ends, mp.psi(0, d + n - k) - mp.psi(0, d) + ends,
            )  # fmt: skip
            for slope, expected, size in zip(slopes, own, (a, b), strict=True):
                assert abs(slope - expected) <= 2e-15 * abs(expected) + 4e-16 / size


def test_limits():
    """One trial is a binomial one; large concentrations leave it one; equal ones make it even."""
    x = np.arange(2)[:, None]
    one, by_hand = fs.BetaBinomial(1, 0.3, 0.9), fs.Binomial(1, 0.25)
    np.testing.assert_allclose(one.log_prob(x), by_hand.log_prob(x), rtol=1e-14)
    x = np.arange(21)[:, None]
    many = fs.BetaBinomial(20, 3e14, 7e14)
    np.testing.assert_allclose(many.log_prob(x), fs.Binomial(20, 0.3).log_prob(x), rtol=1e-12)
    even = fs.BetaBinomial(20, 1.0, 1.0)
    np.testing.assert_allclose(even.log_prob(x), -np.log(21), rtol=1e-14)


def test_no_trials():
    p = fs.BetaBinomial([0, 3], 0.5, 2.0)
    assert np.all(p.sample(100, rng=0)[:, 0] == 0)
    assert p.log_prob([[0, 1]]) == fs.BetaBinomial(3, 0.5, 2.0).log_prob([[1]])
    np.testing.assert_array_equal(fs.BetaBinomial(0, 0.5, 2.0).score([[0]]), 0)


@pytest.mark.parametrize(
    ("n", "a", "b"),
    [(10**6, 0.3, 0.4), (10**9, 20.0, 30.0), (10**12, 0.01, 0.5), (2**50, 0.1, 0.1)],
)
def test_draws_in_wide_bins(n, a, b):
    """Scores have mean 0, and covariance ``ψ′(a + b + n) − ψ′(a + b)``."""
    p, draws = fs.BetaBinomial(n, a, b), 400_000
    x = p.sample(draws, rng=1)
    assert 0 <= x.min() <= x.max() <= n
    s = p.score(x)
    within(s.mean(axis=0) / (s.std(axis=0) / np.sqrt(draws)))
    product = s[:, 0] * s[:, 1]
    exact = float(mp.psi(1, a + b + n) - mp.psi(1, a + b))
    within((product.mean() - exact) / (product.std() / np.sqrt(draws)))
    within((x.mean(axis=0) - p.mean) / np.sqrt(p.variance / draws))


def test_fisher_is_a_sum_and_says_how_far():
    p = fs.BetaBinomial(1000, 0.4, 3.0)
    x = p.support(1001)
    mass, s = np.exp(p.log_prob(x)), p.score(x)
    np.testing.assert_allclose(p.fisher(), (s * mass[:, None]).T @ s, rtol=1e-12)
    with pytest.raises(NotImplementedError, match="summed over its outcomes"):
        fs.BetaBinomial(10**8, 1.0, 1.0).fisher()


def test_support():
    p = fs.BetaBinomial([1, 3], 0.3, 0.4)
    assert np.exp(p.log_prob(p.support(8))).sum() == pytest.approx(1, abs=1e-14)
    with pytest.raises(ValueError, match="has 8 outcomes, of 7 at most"):
        p.support(7)


@pytest.mark.parametrize("n", [-1, 2.5, 2**51])
def test_trials_that_are_none(n):
    with pytest.raises(ValueError, match=r"must be an integer from 0 to 2\*\*50"):
        fs.BetaBinomial(n, 1.0, 1.0)
