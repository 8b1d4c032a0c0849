"""What is special to gammas: the end of the support, products out of range, fits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import config
from scipy import special

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

INF = math.inf


@pytest.mark.parametrize(
    ("concentration", "log_prob", "score"),
    [
        (0.5, INF, [-INF, 0.5 / 3]),
        (1.0, math.log(3), [-INF, 1 / 3]),
        (1.5, -INF, [0.0, 0.0]),
        (50.0, -INF, [0.0, 0.0]),
    ],
)
def test_at_zero(concentration, log_prob, score):
    """The limits; where the density is 0 the score is taken as 0."""
    p = fs.Gamma([concentration], 3.0)
    np.testing.assert_array_equal(p.log_prob([[0.0]]), [log_prob])
    np.testing.assert_array_equal(p.score([[0.0]]), [score])


@pytest.mark.parametrize("rate", [1e-12, 1e12])
@pytest.mark.parametrize("concentration", [1e-3, 9.0, 11.0, 1e8])
def test_products_out_of_range(concentration, rate):
    """``rate x`` and ``rate x/concentration`` may leave the range of floats, their logs do not."""
    p, log_rate = fs.Gamma(concentration, rate), math.log(rate)
    least, most = 1e-307, 1e300
    log_prob, again = p.log_prob([[least], [most]])
    power = concentration * log_rate + (concentration - 1) * math.log(least)
    expected = power - rate * least - special.gammaln(concentration)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-13)
    assert again < -1e287
    slope = np.log([least, most]) + log_rate - special.digamma(concentration)
    np.testing.assert_allclose(p.score([[least], [1e290]])[0, 0], slope[0], rtol=1e-13)
    assert not np.isnan(p.score([[most], [np.inf]])).any()


RNG = np.random.default_rng(3)
X = RNG.gamma([0.05, 2.0, 1e6], [1.0, 1e-3, 1e3], size=(300, 3)) + 1e-300
WEIGHTS = RNG.gamma(0.5, size=300)
MEAN = WEIGHTS @ X / WEIGHTS.sum()
MEAN_LOG = WEIGHTS @ np.log(X) / WEIGHTS.sum()


def test_fit():
    """``log a − ψ(a) = log mean − mean log``, logarithms of up to 14, and ``rate = a/mean``."""
    a, rate = fs.Gamma(np.ones(3), np.ones(3)).fit(X, WEIGHTS, least=1e-12).parameters.values()
    expected = np.log(MEAN) - MEAN_LOG
    np.testing.assert_allclose(np.log(a) - special.digamma(a), expected, rtol=1e-11, atol=2e-14)
    np.testing.assert_allclose(rate, a / MEAN, rtol=1e-11)


def test_fit_of_shared_parameters():
    p = fs.Gamma(log_concentration=0.0, rate=np.ones(3)).fit(X, WEIGHTS)
    log_a, rate = p.parameters.values()
    expected = np.mean(np.log(MEAN) - MEAN_LOG)
    np.testing.assert_allclose(log_a - special.digamma(np.exp(log_a)), expected, rtol=1e-11)
    np.testing.assert_allclose(rate, np.exp(log_a) / MEAN, rtol=1e-11)
    a, rate = fs.Gamma(np.ones(3), 1.0).fit(X, WEIGHTS, least=1e-12).parameters.values()
    np.testing.assert_allclose(rate, a.sum() / MEAN.sum(), rtol=1e-11)
    np.testing.assert_allclose(special.digamma(a), np.log(rate) + MEAN_LOG, rtol=1e-11)


def test_fit_of_equal_samples():
    """The likeliest has no width: what bounds it is the least scale, of that coordinate alone."""
    x = np.column_stack([np.full(300, 0.3), X[:, 1]])
    free = fs.Gamma(np.ones(2), [1.0, 500.0]).fit(X[:, :2]).parameters["rate"][1]
    a, rate = fs.Gamma(np.ones(2), [1.0, 500.0]).fit(x).parameters.values()
    np.testing.assert_allclose(rate, [1000.0, free], rtol=1e-10)
    np.testing.assert_allclose(special.digamma(a[0]), np.log(300.0), rtol=1e-12)
    with pytest.raises(ValueError, match="x"):
        fs.Gamma(np.ones(2), 1.0).fit(x - 0.3)


def test_fit_of_many_coordinates():
    """Beyond 4,096 parameters the Fisher information is sparse."""
    x = RNG.gamma(3.0, size=(50, 2500))
    p = fs.Gamma(np.ones(2500), np.ones(2500)).fit(x)
    assert np.abs(p.score(x).sum(axis=0)).max() < 1e-10
