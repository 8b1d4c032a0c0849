"""Distributions taken through bijections."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from cases import flat
from numba import config, njit
from scipy import stats
from scipy.special import expit, logit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000


@njit
def cubed(z):
    return z * z * z + z


@njit
def uncubed(x):
    z = np.cbrt(x)
    for _ in range(60):
        z -= (z * z * z + z - x) / (3 * z * z + 1)
    return z


@njit
def log_slope(z):
    return np.log(3 * z * z + 1)


def test_exp_of_a_normal_is_log_normal():
    p, q = fs.Transformed(fs.Normal([0.1, -1.0], 0.4), "exp"), fs.LogNormal([0.1, -1.0], 0.4)
    x = q.sample(1000, rng=0)
    np.testing.assert_array_equal(p.sample(1000, rng=0), x)
    np.testing.assert_allclose(p.log_prob(x), q.log_prob(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(p.score(x), q.score(x), rtol=1e-12, atol=1e-12)


def test_sigmoid_of_a_normal():
    p = fs.Transformed(fs.Normal([0.3, -1.0], 1.4), "sigmoid")
    x = p.sample(N, rng=0)
    u = stats.norm.cdf((logit(x) - [0.3, -1.0]) / 1.4)
    assert min(stats.kstest(u[:, k], "uniform").pvalue for k in (0, 1)) > 1e-4
    density = stats.norm.logpdf(logit(x), [0.3, -1.0], 1.4) - np.log(x) - np.log1p(-x)
    np.testing.assert_allclose(p.log_prob(x), density.sum(axis=1), rtol=1e-11, atol=1e-11)
    for outside in (0.0, 1.0, -1.0, 2.0, np.inf):
        assert p.log_prob([[outside, 0.5]])[0] == -np.inf
    assert (p.support_set.low == 0).all()
    assert (p.support_set.high == 1).all()


def test_sigmoid_keeps_the_score_where_x_rounds_to_one():
    """At z = 50 x is 1: a score of x would be infinite, that of z is 0 to rounding."""
    p = fs.Transformed(fs.Normal(50.0, 1.0), "sigmoid")
    est = fs.gradient(njit(lambda x: 1.0), p, n=N, rng=0, baseline=None)
    assert np.abs(est.flat / flat(est.grad_stderr)).max() < 4.5
    assert est.value == 1


def test_affine():
    p = fs.Transformed(fs.Laplace([0.0, 1.0], 1.0), fs.Affine([2.0, 0.0], -3.0))
    truth = stats.laplace([2.0, -3.0], 3.0)
    np.testing.assert_allclose(p.mean, truth.mean())
    np.testing.assert_allclose(p.variance, truth.var())
    assert p.entropy() == pytest.approx(np.sum(truth.entropy()))
    x = p.sample(1000, rng=0)
    np.testing.assert_allclose(p.log_prob(x), truth.logpdf(x).sum(axis=1), rtol=1e-12)
    est = fs.gradient(njit(lambda x: x[0] ** 2), p, n=N, rng=0)
    np.testing.assert_allclose(est.grad["loc"], [-12, 0], atol=4.5 * est.grad_stderr["loc"].max())


def test_a_users_bijection():
    p = fs.Transformed(fs.Normal(0.2, 1.0), fs.Bijection(cubed, uncubed, log_slope))
    x = p.sample(1000, rng=0)
    z = fs.Normal(0.2, 1.0).sample(1000, rng=0)
    np.testing.assert_allclose(x, z**3 + z, rtol=1e-14)
    density = stats.norm.logpdf(z, 0.2) - np.log(3 * z**2 + 1)
    np.testing.assert_allclose(p.log_prob(x), density[:, 0], rtol=1e-11)
    np.testing.assert_allclose(p.score(x), fs.Normal(0.2, 1.0).score(z), rtol=1e-9, atol=1e-9)


@njit
def power(z, exponent):
    return z**exponent


@njit
def root(x, exponent):
    return x ** (1 / exponent)


@njit
def log_power(z, exponent):
    return np.log(exponent) + (exponent - 1) * np.log(z)


def test_arguments_of_a_bijection_and_chains():
    """E^(1/k) is Weibull; a scale afterwards."""
    weibull = fs.Bijection(power, root, log_power, args=([1 / 1.5, 1 / 3],), image=(0, np.inf))
    p = fs.Transformed(fs.Transformed(fs.Exponential([1.0, 1.0]), weibull), fs.Affine(0.0, 2.0))
    x = p.sample(N, rng=0)
    truth = stats.weibull_min([1.5, 3.0], scale=2.0)
    np.testing.assert_allclose(p.log_prob(x), truth.logpdf(x).sum(axis=1), rtol=1e-9, atol=1e-9)
    assert min(stats.kstest(truth.cdf(x)[:, k], "uniform").pvalue for k in (0, 1)) > 1e-4
    est = fs.gradient(njit(lambda x: x[0] + x[1]), p, n=N, rng=0)
    # E x scales as rate^(−1/k).
    exact = -truth.mean() / [1.5, 3.0]
    assert np.abs((est.flat - exact) / flat(est.grad_stderr)).max() < 4.5


def test_proposals_with_one_another():
    p = fs.Transformed(fs.Normal(0.0, 1.0), "sigmoid")
    f = njit(lambda x: x[0])
    q = fs.Transformed(fs.Normal(0.5, 1.5), "sigmoid")
    a = fs.gradient(f, p, proposals=[q, fs.Beta(1.0, 1.0)], n=N, rng=0)
    b = fs.gradient(f, p, n=N, rng=1)
    error = np.hypot(flat(a.grad_stderr), flat(b.grad_stderr))
    assert np.abs((a.flat - b.flat) / error).max() < 4.5


def test_fit_is_that_of_the_base():
    p = fs.Transformed(fs.Normal([0.3, -1.0], 1.4), "sigmoid")
    fitted = p.replace(loc=[0.0, 0.0], scale=1.0).fit(p.sample(N, rng=0))
    np.testing.assert_allclose(fitted.parameters["loc"], [0.3, -1.0], atol=0.03)
    np.testing.assert_allclose(fitted.parameters["scale"], 1.4, rtol=0.02)
    with pytest.raises(ValueError, match="image"):
        p.fit([[0.5, 1.0]])


def test_pickle_replace_and_repr():
    for bijection in ("exp", fs.Affine(1.0, 2.0)):
        p = fs.Transformed(fs.Normal(0.0, 1.0), bijection)
        assert repr(pickle.loads(pickle.dumps(p))) == repr(p)
        assert p.replace(loc=2.0).base.parameters["loc"] == 2.0


def test_of_a_multivariate_normal():
    covariance = np.array([[1.0, 0.3], [0.3, 0.5]])
    p = fs.Transformed(fs.MultivariateNormal([0.1, 0.2], covariance), "sigmoid")
    x = p.sample(50, rng=0)
    density = stats.multivariate_normal([0.1, 0.2], covariance).logpdf(logit(x))
    exact = density - np.log(x * (1 - x)).sum(axis=1)
    np.testing.assert_allclose(p.log_prob(x), exact, rtol=1e-11)
    est = fs.gradient(njit(lambda x: x[0] * x[1]), p, n=N, rng=0)
    assert est.grad["covariance_matrix"].shape == (2, 2)
    assert expit(0.0) == 0.5


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda p: fs.Transformed(p, "cube"), TypeError, "'cube'.*'exp', 'sigmoid'"),
        (lambda p: fs.Transformed(fs.Bernoulli(0.5), "exp"), TypeError, "continuous"),
        (lambda p: fs.Transformed(fs.Joint(a=p), "exp"), TypeError, "continuous"),
        (lambda p: fs.Transformed(fs.Fixed(p, "loc"), "exp"), TypeError, "fixed"),
        (lambda p: fs.Transformed(p, fs.Affine(0.0, 0.0)), ValueError, "different from 0"),
        (lambda p: fs.Transformed(p, fs.Affine([0.0, 1.0], 1.0)).sample(1), ValueError, "args"),
        (lambda p: fs.Bijection(lambda z: z, cubed, cubed), TypeError, "not jitted"),
        (lambda p: fs.Bijection(cubed, uncubed, cubed, image=(1, 1)), ValueError, "image"),
        (
            lambda p: fs.Transformed(p, fs.Bijection(cubed, cubed, log_slope)), ValueError,
            "inverse",
        ),
        (
            lambda p: fs.Transformed(p, fs.Bijection(cubed, uncubed, cubed)), ValueError,
            "log_derivative",
        ),
        (lambda p: fs.Transformed(p, "exp").entropy(), NotImplementedError, "closed form"),
        (lambda _: fs.Transformed(fs.FiniteDiscrete([0.5], [1]), "exp"), TypeError, "to a table"),
        (lambda _: fs.Transformed(fs.Dirichlet([1.0, 2.0]), "exp"), TypeError, "tied to each"),
    ],
)  # fmt: skip
def test_bad_input(make, error, match):
    with pytest.raises(error, match=match):
        make(fs.Normal(0.0, 1.0))
