"""What is special to betas: both ends of the support, and fits."""

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
    ("a", "b", "log_prob", "score"),
    [
        (0.5, 2.0, INF, [-INF, special.digamma(2.5) - special.digamma(2.0)]),
        (1.0, 2.0, math.log(2), [-INF, 0.5]),
        (1.5, 2.0, -INF, [0.0, 0.0]),
        (50.0, 20.0, -INF, [0.0, 0.0]),
    ],
)
def test_at_the_ends(a, b, log_prob, score):
    """The limits, of both ends alike; where the density is 0 the score is taken as 0."""
    for p, end, order in (
        (fs.Beta(a, b), 0.0, slice(None)),
        (fs.Beta(b, a), 1.0, slice(None, None, -1)),
    ):
        np.testing.assert_allclose(p.log_prob([[end]]), [log_prob], rtol=1e-14)
        np.testing.assert_allclose(p.score([[end]])[0], score[order], rtol=1e-14)


def test_uniform():
    x = np.array([0.0, 1e-300, 0.3, 1 - 2.0**-53, 1.0])[:, None]
    np.testing.assert_array_equal(fs.Beta(1.0, 1.0).log_prob(x), np.zeros(5))


@pytest.mark.parametrize(("a", "b"), [(1e8, 1e8), (1e8, 3.0), (1e-3, 1e8), (1e12, 1e3)])
def test_entropy_of_large_concentrations(a, b):
    """``−E[log p]`` of samples: the terms of the closed form are a million times as large."""
    p = fs.Beta(a, b)
    z = p.source.family.sample(100_000, rng=1)
    x = p.source.forward(z)
    x, z = (values[(x[:, 0] > 0) & (x[:, 0] < 1)] for values in (x, z))
    if p.source.family is p:
        log_prob = p.log_prob(x)
        error = log_prob.std() / np.sqrt(len(x))
        assert abs(p.entropy() + log_prob.mean()) < 4.5 * error
    else:  # log p(x) = log x (a − 1) − x b + …, of a gamma: x is tiny
        exact = special.gammaln(a) + a + (1 - a) * special.digamma(a) - np.log(b)
        np.testing.assert_allclose(p.entropy(), exact, rtol=1e-8)


RNG = np.random.default_rng(3)
X = RNG.beta([0.1, 2.0, 3e4], [1.0, 0.5, 2e4], size=(300, 3)).clip(1e-300, 1 - 1e-16)
WEIGHTS = RNG.gamma(0.5, size=300) / 300


def test_fit():
    """``ψ(a) − ψ(a + b) = mean log x`` and ``ψ(b) − ψ(a + b) = mean log(1 − x)``."""
    a, b = fs.Beta(np.ones(3), np.ones(3)).fit(X, WEIGHTS, least=1e-6).parameters.values()
    shares = WEIGHTS / WEIGHTS.sum()
    total = special.digamma(a + b)
    np.testing.assert_allclose(special.digamma(a) - total, shares @ np.log(X), rtol=1e-9)
    np.testing.assert_allclose(special.digamma(b) - total, shares @ np.log1p(-X), rtol=1e-9)


@pytest.mark.parametrize("name", ["concentration0", "log_concentration0"])
def test_fit_of_equal_samples(name):
    """Their concentrations stop at a million times the present ones, in the right ratio."""
    given = {"concentration1": np.ones(2), name: np.ones(2) - name.startswith("log")}
    x = np.column_stack([np.full(300, 0.3), np.full(300, 0.9)])
    q = fs.Beta(**given).fit(x)
    np.testing.assert_allclose(q.mean, [0.3, 0.9], rtol=1e-6)
    a, b = q.parameters.values()
    np.testing.assert_allclose([np.exp(b[0]) if name != "concentration0" else b[0], a[1]], 1e6)
    with pytest.raises(ValueError, match="x"):
        fs.Beta(**given).fit(x + 0.1)
