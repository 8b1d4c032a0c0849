"""What is special to Poisson: rates from 1e-12 to 1e15, and their logarithms."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from numba import config

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

RATES = [1e-300, 1e-12, 1e-3, 0.9, 1.0, 1.1, 7.3, 30.1, 1e4, 1.234e8, 1e12, 1e15]


def counts_of(rate):
    """Around the mean, in both tails, and far out."""
    near = rate + np.sqrt(rate) * np.array([-8, -1, -0.1, 0, 0.1, 1, 3, 9, 30])
    far = rate * np.array([0.01, 0.5, 2.0, 100.0])
    x = np.concatenate([[0, 1, 2, 3, 10, 1000, 1e6], near, far])
    return np.unique(np.clip(x, 0, 2e15).astype(np.int64))


def worst(values, exact):
    """Largest relative error."""
    pairs = zip(values, exact, strict=True)
    return max(abs(mp.mpf(float(v)) - e) / abs(e) if e else abs(v) for v, e in pairs)


@pytest.mark.parametrize("rate", RATES)
def test_log_prob_and_score(rate):
    x, p = counts_of(rate), fs.Poisson(rate)
    with mp.workdps(50):
        m = mp.mpf(rate)
        log_prob = [k * mp.log(m) - m - mp.loggamma(k + 1) for k in x.tolist()]
        assert worst(p.log_prob(x[:, None]), log_prob) < 2e-15
        if rate > 1e-150:
            score = [(k - m) / m for k in x.tolist()]
            assert worst(p.score(x[:, None])[:, 0], score) < 1e-15


@pytest.mark.parametrize("log_rate", [-699.9, -300.5, -50.0, -1.3, 0.2])
def test_by_the_logarithm(log_rate):
    x, p = np.array([0, 1, 2, 10, 10**5, 10**9]), fs.Poisson(log_rate=log_rate)
    with mp.workdps(50):
        m = mp.exp(log_rate)
        log_prob = [k * mp.mpf(log_rate) - m - mp.loggamma(k + 1) for k in x.tolist()]
        assert worst(p.log_prob(x[:, None]), log_prob) < 2e-15
        assert worst(p.score(x[:, None])[:, 0], [k - m for k in x.tolist()]) < 2e-15


def test_outside():
    p = fs.Poisson([3.0, 1e-300])
    assert p.log_prob([[-1, 0]]) == -math.inf
    np.testing.assert_array_equal(fs.Poisson([3.0, 5.0]).score([[-1, -5]]), [[0.0, 0.0]])


def test_rates_that_are_refused():
    with pytest.raises(ValueError, match=r"rate\[1\] = 0.0: rate must be positive"):
        fs.Poisson([1.0, 0.0])
    with pytest.raises(ValueError, match=r"rate = 2000000000000000.0: rate must be at most 1e\+15"):
        fs.Poisson(2e15)
    with pytest.raises(ValueError, match=r"log_rate\[1\] = 40.0: log_rate must be at most 34.5"):
        fs.Poisson(log_rate=[1.0, 40.0])
    with pytest.raises(ValueError, match="rate must be above 1e-150 for its score to exist"):
        fs.Poisson(1e-200).score([[0]])
    with pytest.raises(TypeError, match="exactly one"):
        fs.Poisson(1.0, log_rate=0.0)


X = np.array([[0, 3, 7], [0, 4, 1], [0, 5, 0]])
WEIGHTS = [1.0, 2.0, 1.0]


@pytest.mark.parametrize("name", ["rate", "log_rate"])
def test_fit(name):
    """Weighted means; where there is nothing, the floor."""
    start = np.ones(3) if name == "rate" else np.zeros(3)
    q = fs.Poisson(**{name: start}).fit(X, WEIGHTS, least=0.01)
    np.testing.assert_allclose(q.mean, [0.01, 4.0, 2.25], rtol=1e-14)
    assert list(q.parameters) == [name]


def test_fit_refuses_what_is_no_count():
    with pytest.raises(ValueError, match="not negative"):
        fs.Poisson(1.0).fit([[-1]])
