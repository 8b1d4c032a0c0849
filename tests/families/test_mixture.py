"""Mixtures: their density is the weighted sum, and scores go by responsibility."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from cases import flat
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000
WEIGHTS = {"logits": [0.3, 0.0, -1.0]}


def mixture(**weights):
    return fs.Mixture(
        [fs.Normal([-1.0, 0.0], 0.5), fs.Laplace([2.0, 0.0], [1.0, 2.0]), fs.Normal([0.0, 3.0], 1)],
        **(weights or WEIGHTS),
    )


@njit
def f(x):
    return x[0] + x[1] ** 2


def moment(p):
    """E f, from the components."""
    w = p._probs
    return sum(
        weight * (c.mean[0] + c.variance[1] + c.mean[1] ** 2)
        for weight, c in zip(w, p._components, strict=True)
    )


def numerical(p, of):
    """Derivatives by all entries, by differences."""
    out = []
    for name, value in p.parameters.items():
        for i in range(value.size):
            h = np.zeros(value.size)
            h[i] = 1e-6
            up, down = (
                of(p.replace(**{name: value + sign * h.reshape(value.shape)})) for sign in (1, -1)
            )
            out.append((up - down) / 2e-6)
    return np.array(out)


@pytest.mark.parametrize("weights", [WEIGHTS, {"probs": [2.0, 1.0, 0.5]}])
def test_density_score_and_gradient(weights):
    p = mixture(**weights)
    x = p.sample(2000, rng=0)
    parts = [c.log_prob(x) + np.log(w) for c, w in zip(p._components, p._probs, strict=True)]
    np.testing.assert_allclose(p.log_prob(x), np.logaddexp.reduce(parts), rtol=1e-13, atol=1e-13)
    near = np.abs(x[:, :2] - [2, 0]).min(axis=1) > 1e-3  # not at the kink of a Laplace
    differences = numerical(p, lambda q: q.log_prob(x[near])).T
    np.testing.assert_allclose(p.score(x[near]), differences, rtol=1e-6, atol=1e-6)
    est = fs.gradient(f, p, n=1_000_000, rng=1)
    z = (est.flat - numerical(p, moment)) / flat(est.grad_stderr)
    assert np.abs(z).max() < 4.5


def test_samples_come_from_the_mixture():
    p = mixture()
    x = p.sample(N, rng=0)
    z = (x.mean(axis=0) - p.mean) / np.sqrt(p.variance / N)
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(x.var(axis=0), p.variance, rtol=0.03)
    assert np.abs(np.corrcoef(x[1:, 0], x[:-1, 0])[0, 1]) < 4.5 / np.sqrt(N)


def test_fisher_is_an_estimate_and_says_so():
    p = mixture()
    assert p.fisher_estimated
    s = p.score(p.sample(N, rng=9))
    np.testing.assert_allclose(p.fisher(), s.T @ s / N, rtol=0.1, atol=0.05)


def test_far_away_and_outside():
    p = fs.Mixture([fs.Exponential(1.0), fs.Exponential(3.0)], probs=[0.5, 0.5])
    assert p.log_prob([[-1.0]])[0] == -np.inf
    assert np.all(p.score([[-1.0]]) == 0)
    np.testing.assert_allclose(p.log_prob([[1e4]]), -1e4 + np.log(0.5))
    assert np.isfinite(p.score([[1e4]])).all()
    assert np.isfinite(mixture().score([[1e200, 0.0]])).all()


def test_a_weight_of_zero_never_comes():
    p = fs.Mixture([fs.Normal(0.0, 1.0), fs.Normal(100.0, 1.0)], logits=[0.0, -np.inf])
    assert p.sample(10_000, rng=0).max() < 50
    est = fs.gradient(njit(lambda x: x[0]), p, n=N, rng=0)
    assert est.grad["1.loc"] == 0
    assert est.grad["logits"][1] == 0
    with pytest.raises(ValueError, match="probs"):
        fs.gradient(f, mixture(probs=[1.0, 1.0, 0.0]), n=10)


def test_discrete_components_and_enumeration():
    p = fs.Mixture([fs.Bernoulli(probs=[0.2, 0.9]), fs.Bernoulli(probs=[0.7, 0.1])], probs=[1, 3])
    g = njit(lambda x: 1.0 * x[0] * x[1])
    exact = fs.gradient(g, p, estimator="exact")
    assert exact.value == pytest.approx(0.25 * 0.18 + 0.75 * 0.07)
    est = fs.gradient(g, p, n=N, rng=0)
    assert np.abs((est.flat - exact.flat) / flat(est.grad_stderr)).max() < 4.5


def test_as_proposal_it_covers_what_its_components_do():
    target = fs.Normal([0.0, 1.0], 0.8)
    exact = np.array([1.0, 2.0, 0.0 + 2 * 0.8])
    est = fs.gradient(f, target, proposals=[mixture()], n=1_000_000, rng=0)
    assert np.abs((est.flat - exact) / flat(est.grad_stderr)).max() < 4.5
    half = fs.Mixture([fs.Exponential(1.0), fs.LogNormal(0.0, 1.0)], probs=[1, 1])
    with pytest.raises(ValueError, match="no proposal reaches"):
        fs.gradient(f, fs.Normal(0.0, 1.0), proposals=[half], n=10)
    both = fs.Mixture([fs.Exponential(1.0), fs.Normal(0.0, 2.0)], probs=[1, 1])
    assert fs.Proposals([half, both]).check(fs.Normal(0.0, 1.0)) == (0,)


def test_threads_do_not_matter_and_pickle():
    p = mixture()
    one, two = (fs.gradient(f, p, n=N, rng=1, threads=k) for k in (1, 2))
    np.testing.assert_array_equal(one.flat, two.flat)
    assert repr(pickle.loads(pickle.dumps(p))) == repr(p)


def test_mixture_of_joints():
    def joint(loc, logit):
        return fs.Joint(a=fs.Normal(loc, 1.0), b=fs.Bernoulli(logits=logit))

    p = fs.Mixture([joint(0.0, 0.0), joint(3.0, 2.0)], probs=[1.0, 1.0])
    est = fs.gradient(njit(lambda x: x.a[0] * x.b[0]), p, n=N, rng=0)
    q = 1 / (1 + np.exp(-2))
    np.testing.assert_allclose(est.grad["1.a.loc"], q / 2, atol=4.5 * est.grad_stderr["1.a.loc"])
    assert p.replace(**{"0.a.loc": 0.5})._components[0].parameters["a.loc"] == 0.5


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: fs.Mixture([], probs=[]), ValueError, "empty"),
        (lambda: fs.Mixture([fs.Normal(0.0, 1.0), 2], probs=[1, 1]), TypeError, r"components\[1\]"),
        (
            lambda: fs.Mixture([fs.Normal(0.0, 1.0), fs.Bernoulli(0.5)], probs=[1, 1]),
            ValueError, "must be alike",
        ),
        (lambda: mixture(probs=[1.0, 2.0]), ValueError, r"shape \(2,\)"),
        (lambda: mixture(probs=[1.0, -2.0, 1.0]), ValueError, "not negative"),
        (lambda: fs.Mixture([fs.Normal(0.0, 1.0)]), TypeError, "probs or logits"),
        (lambda: mixture().replace(**{"7.loc": 0.0}), ValueError, "no parameter '7.loc'"),
        (lambda: fs.Mixture([fs.Gamma(0.01, 1.0)], probs=[1]), ValueError, "underflow"),
    ],
)  # fmt: skip
def test_bad_input(make, error, match):
    with pytest.raises(error, match=match):
        make()
