"""What is special to NegativeBinomial: real numbers of failures, and where it is Poisson."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from families.registry import within
from numba import config

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


@pytest.mark.parametrize("r", [1e-300, 1e-8, 1e-3, 0.3, 1.0, 7.5, 1e3, 1e8, 1e12])
@pytest.mark.parametrize("p", [1e-12, 1e-8, 1e-3, 0.3, 0.7, 0.999, 1 - 1e-9])
def test_log_prob_and_score(r, p):
    """Relative to themselves, and scores to their standard deviation where they are smaller."""
    if r > 1e4 and p > 0.9999:
        with pytest.raises(ValueError, match="smaller for samples to fit"):
            fs.NegativeBinomial(r, p)
        return
    family, mean = fs.NegativeBinomial(r, p), r * p / (1 - p)
    scale = np.sqrt(mean / (1 - p))
    near = mean + scale * np.array([-3, -0.1, 0, 0.1, 1, 3, 8])
    x = np.unique(np.maximum(np.concatenate([[0, 1, 2, 10**6], near]), 0).astype(np.int64))
    log_prob, score = family.log_prob(x[:, None]), family.score(x[:, None])
    spread = np.sqrt(np.diagonal(family.fisher()))
    with mp.workdps(80):
        for k, value, slopes in zip(x.tolist(), log_prob, score, strict=True):
            a, b = mp.mpf(r), mp.mpf(p)
            exact = mp.loggamma(k + a) - mp.loggamma(k + 1) - mp.loggamma(a)
            exact += k * mp.log(b) + a * mp.log1p(-b)
            assert abs(value - exact) <= 3e-15 * abs(exact) + 1e-307
            own = (mp.psi(0, k + a) - mp.psi(0, a) + mp.log1p(-b), k / b - a / (1 - b))
            for slope, expected, size in zip(slopes, own, spread, strict=True):
                assert abs(slope - expected) <= 2e-15 * max(abs(expected), mp.mpf(size))


def test_few_failures_are_geometric():
    p, q = fs.NegativeBinomial(1.0, [0.3, 0.9]), fs.Geometric([0.7, 0.1])
    x = q.sample(1000, rng=0)
    np.testing.assert_allclose(p.log_prob(x), q.log_prob(x), rtol=1e-13)
    np.testing.assert_allclose(p.score(x)[:, 1:], -q.score(x), rtol=1e-12, atol=1e-12)


def test_many_failures_are_poisson():
    """Whose mean is 3: the score by r is that by the mean, times p."""
    p, q, x = fs.NegativeBinomial(3e12, 1e-12), fs.Poisson(3.0), np.arange(20)[:, None]
    np.testing.assert_allclose(p.log_prob(x), q.log_prob(x), rtol=1e-11)
    np.testing.assert_allclose(p.score(x)[:, 0], 1e-12 * q.score(x)[:, 0], rtol=1e-10, atol=1e-22)


@pytest.mark.parametrize(("r", "p"), [(1e-3, 1 - 1e-9), (2.5, 1 - 1e-12), (1e12, 0.5), (1e14, 0.9)])
def test_draws_in_wide_bins(r, p):
    """Scores have mean 0 and their information, and places in bins are even."""
    family, n = fs.NegativeBinomial(r, p), 400_000
    x = family.sample(n, rng=1)
    assert 0 <= x.min() <= x.max() < 2**51
    s, information = family.score(x), family.fisher()
    s = s / np.sqrt(np.diagonal(information))
    within(s.mean(axis=0) * np.sqrt(n))
    squares = s**2
    within((squares.mean(axis=0) - 1) / (squares.std(axis=0) / np.sqrt(n)))
    odd = np.mean(x[x > 10**6] & 1)
    within((odd - 0.5) * 2 * np.sqrt(np.sum(x > 10**6)))


def test_successes_that_are_impossible():
    p = fs.NegativeBinomial(2.0, [0.0, 0.3])
    assert np.all(p.sample(100, rng=0)[:, 0] == 0)
    assert p.log_prob([[1, 0]]) == -np.inf
    assert p.log_prob([[0, 0]]) == fs.NegativeBinomial(2.0, 0.3).log_prob([[0]])
    np.testing.assert_array_equal(p.support_set.high, [0, np.inf])
    with pytest.raises(ValueError, match="for its score to exist"):
        p.score([[0, 0]])


def test_fit_holds_on_where_there_is_no_maximum():
    """Zeros only, and counts that vary less than Poisson's."""
    q = fs.NegativeBinomial([2.0, 2.0], [0.5, 0.5]).fit([[0, 5], [0, 5]], least=0.01)
    r, p = q.parameters["total_count"], q.parameters["probs"]
    np.testing.assert_allclose(r, [0.02, 200.0])
    np.testing.assert_allclose(p[0] / (1 - p[0]), 0.01)
    np.testing.assert_allclose(q.mean[1], 5.0)
