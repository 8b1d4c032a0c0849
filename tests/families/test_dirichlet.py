"""What is special to Dirichlet: the simplex, many proportions, and those that underflow."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit
from scipy import special, stats

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 200_000


@pytest.mark.parametrize("a", [[0.3, 2.0], [1.0, 1.0], [5e3, 20.0], [1e7, 1e7]])
def test_of_two_proportions_the_first_is_a_beta(a):
    p, q = fs.Dirichlet(a), fs.Beta(*a)
    x = np.linspace(0.01, 0.99, 13)
    pairs = np.column_stack([x, 1 - x])
    np.testing.assert_allclose(p.log_prob(pairs), q.log_prob(x[:, None]), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(p.score(pairs), q.score(x[:, None]), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(p.fisher(), q.fisher(), rtol=1e-13)
    np.testing.assert_allclose(p.entropy(), q.entropy(), rtol=1e-13)


def test_many_proportions():
    a = np.linspace(0.1, 4.0, 1000)
    p, law = fs.Dirichlet(a), stats.dirichlet(a)
    x = p.sample(20, rng=0)
    np.testing.assert_allclose(x.sum(axis=1), 1, rtol=1e-14)
    exact = [law.logpdf(row / row.sum()) for row in x]
    np.testing.assert_allclose(p.log_prob(x), exact, rtol=1e-12)
    np.testing.assert_allclose(p.entropy(), law.entropy(), rtol=1e-12)


def test_off_the_simplex():
    """Which is as thick as torch has it."""
    p = fs.Dirichlet([[2.0, 3.0, 0.5], [1.0, 1.0, 1.0]])
    inside = np.array([0.2, 0.3, 0.5, 0.1, 0.1, 0.8])
    assert np.isfinite(p.log_prob([inside, inside + 1e-7])).all()
    moved = inside + np.outer([1e-5, -1e-5], [0, 0, 0, 0, 1, 0])
    beyond = [[1.2, -0.2, 0.0, *inside[3:]], np.zeros(6), np.full(6, np.inf)]
    np.testing.assert_array_equal(p.log_prob([*moved, *beyond]), -np.inf)


def test_corners():
    """Where two infinities meet, 0 wins."""
    p = fs.Dirichlet([0.5, 2.0, 1.0])
    x = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0], [0, 0, 1]])
    finite = np.log([0.5, 0.5]) @ [-0.5, 1] + special.gammaln(3.5) - special.gammaln(0.5)
    np.testing.assert_allclose(p.log_prob(x), [np.inf, -np.inf, finite, -np.inf], rtol=1e-14)
    assert not np.isnan(p.score(x)).any()


def test_proportions_that_underflow():
    """Half of the first ones do; their logarithms have the scores."""
    p = fs.Dirichlet([[1e-3, 0.4, 50.0], [2.0, 3.0, 4.0]])
    x = p.sample(N, rng=3)
    np.testing.assert_allclose(x.reshape(N, 2, 3).sum(axis=2), 1, rtol=1e-14)
    share = stats.beta(1e-3, 50.4).cdf(2.0**-1000) * 2.0 ** (-75 * 1e-3)  # of the cdf at 2**-1075
    assert abs(np.mean(x[:, 0] == 0) - share) < 4.5 * np.sqrt(share * (1 - share) / N)

    source = p.source.family
    assert source is not p
    assert source.source.family is source
    assert fs.Dirichlet([0.06, 1.0]).source.family.mean[0] == 0.06 / 1.06
    s, fisher = source.score(source.sample(N, rng=4)), p.fisher()
    spread = np.sqrt(np.diagonal(fisher))
    assert np.all(np.abs(s.mean(axis=0)) < 4.5 * spread / np.sqrt(N))
    for i in range(p.size):
        product = s * s[:, [i]]
        error = 5 * product.std(axis=0) / np.sqrt(N) + 1e-9 * spread * spread[i]
        assert np.all(np.abs(product.mean(axis=0) - fisher[i]) < error)


def test_density_of_logarithms():
    """That of the first K − 1 proportions, times ``dx/dlog x`` of each of them."""
    p = fs.Dirichlet([0.05, 0.7, 3.0])
    source = p.source
    z = source.family.sample(1000, rng=5)
    x = source.forward(z)
    keep = x.min(axis=1) > 1e-290
    exact = p.log_prob(x) + z[:, :-1].sum(axis=1)
    np.testing.assert_allclose(source.family.log_prob(z)[keep], exact[keep], rtol=1e-12)


@njit
def below(x):
    return x[0] < 0.7


def test_gradient_where_it_underflows():
    p = fs.Dirichlet([0.02, 0.03])
    estimate = fs.gradient(below, p, n=N, rng=5)
    for i, error in enumerate(estimate.grad_stderr["concentration"]):
        step = 1e-4 * np.array([0.02, 0.03]) * (np.arange(2) == i)
        ends = [special.betainc(*([0.02, 0.03] + t), 0.7) for t in (step, -step)]
        exact = (ends[0] - ends[1]) / (2 * step.sum())
        assert abs(estimate.grad["concentration"][i] - exact) < 4.5 * error


def test_fits_have_a_floor():
    p = fs.Dirichlet([2.0, 3.0, 5.0])
    x = np.full((5, 3), 1 / 3)
    assert np.all(p.fit(x, least=0.1).parameters["concentration"] <= 100 * np.array([2, 3, 5.0]))
    for bad in ([0.5, 0.5, 0.0], [0.5, 0.5, 0.5]):
        with pytest.raises(ValueError, match="positive, and sum to 1"):
            p.fit([bad])


@pytest.mark.parametrize("bad", [2.0, [2.0], np.ones((2, 1)), np.ones((1, 2, 2))])
def test_shapes(bad):
    with pytest.raises(ValueError, match="concentration has shape"):
        fs.Dirichlet(bad)


def test_proposals_are_on_the_simplex():
    p, f = fs.Dirichlet([2.0, 3.0]), lambda x: x[:, 0]
    estimate = fs.gradient(f, p, proposals=[fs.Dirichlet([1.0, 1.0])], n=N, rng=0)
    assert abs(estimate.value - 0.4) < 4.5 * estimate.value_stderr
    with pytest.raises(ValueError, match="tied in different ways"):
        fs.gradient(f, p, proposals=[fs.Beta([2.0, 2.0], [2.0, 2.0])], n=N)
