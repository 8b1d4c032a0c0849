"""Uniforms have nothing to differentiate by: what goes with them all the same."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000
P = fs.Uniform([0.0, -2.0], 3.0)


def test_nothing_is_empty():
    x = P.sample(5, rng=0)
    assert P.size == 0
    assert dict(P.parameters) == {}
    assert P.score(x).shape == (5, 0)
    assert P.fisher().shape == (0, 0)
    assert fs.Joint(u=P).fisher().shape == (0, 0)
    assert fs.Joint(u=P).score((x,)).shape == (5, 0)


def test_copies():
    for q in (pickle.loads(pickle.dumps(P)), copy.deepcopy(P), P.replace(), P.fit(P.sample(9))):
        assert repr(q) == repr(P) == "Uniform(low=[ 0., -2.], high=3.)"
    assert repr(P.replace(low=1.0)) == "Uniform(low=1., high=3.)"
    assert repr(fs.Uniform()) == "Uniform(low=0., high=1.)"


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (1.0, 1.0, r"low.* = 1.0: low must be below high"),
        ([0.0, 2.0], 1.0, r"low\[1\] = 2.0: low must be below high"),
        (-1e308, 1e308, "high must be nearer to low"),
        ([0.0, 1.0], [2.0, 3.0, 4.0], "the same shape"),
    ],
)
def test_bad_bounds(low, high, message):
    with pytest.raises(ValueError, match=message):
        fs.Uniform(low, high)


def test_draws_stay_inside():
    """Also where low + (high − low) rounds to more than high."""
    low, high = 1.0, 1.0 + 3 * 2.0**-52
    x = fs.Uniform(low, high).sample(N, rng=0)
    assert set(np.unique(x)) == {low, 1 + 2.0**-52, 1 + 2.0**-51, high}


@njit
def product(x):
    return x.u[0] * x.z[0] ** 2


def product_of_array(x):
    return x.u[:, 0] * x.z[:, 0] ** 2


@pytest.mark.parametrize("baseline", ["optimal", "scalar", "mean", "matrix", 0.3, None])
@pytest.mark.parametrize("f", [product, product_of_array], ids=["jitted", "plain"])
def test_as_a_part(f, baseline):
    """E[u] and E[z²] multiply: 1.5 (loc² + scale²)."""
    p = fs.Joint(u=fs.Uniform(0.0, 3.0), z=fs.Normal(1.0, 2.0))
    estimate = fs.gradient(f, p, n=N, rng=1, baseline=baseline)
    assert abs(estimate.value - 7.5) < 4.5 * estimate.value_stderr
    assert np.all(np.abs(estimate.flat - [3.0, 6.0]) < 4.5 * estimate.flat_stderr)
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(estimate.covariance())), estimate.flat_stderr, rtol=1e-9
    )


def test_as_a_part_that_is_fitted():
    p = fs.Joint(u=fs.Uniform(0.0, 3.0), z=fs.Normal(1.0, 2.0))
    fitted = p.fit(p.sample(N, rng=0))
    assert fitted.constants == p.constants
    assert abs(fitted.parameters["z.loc"] - 1) < 4.5 * 2 / np.sqrt(N)


@njit
def first(x):
    return x[0]


@pytest.mark.parametrize(
    "proposals",
    [
        [fs.Uniform(0.0, 1.0)],
        fs.Proposals([fs.Uniform(0.0, 0.6), fs.Uniform(0.4, 1.0)], heuristic="optimal"),
        fs.Proposals([fs.Uniform(0.0, 1.0), fs.Beta(1.0, 1.0)], heuristic="power"),
    ],
)
def test_as_a_proposal(proposals):
    """Of a beta, whose mean is a/(a + b)."""
    estimate = fs.gradient(first, fs.Beta(2.0, 3.0), n=N, rng=2, proposals=proposals)
    assert abs(estimate.value - 0.4) < 4.5 * estimate.value_stderr
    assert np.all(np.abs(estimate.flat - [0.12, -0.08]) < 4.5 * estimate.flat_stderr)


def test_as_a_proposal_that_covers_too_little():
    with pytest.raises(ValueError, match="no proposal reaches x"):
        fs.gradient(first, fs.Beta(2.0, 3.0), proposals=[fs.Uniform(0.0, 0.9)])


def test_as_a_component():
    """Its weight has a derivative: the difference of the means."""
    p = fs.Mixture([fs.Uniform(0.0, 1.0), fs.Uniform(-1.0, 3.0)], probs=[0.3, 0.7])
    estimate = fs.gradient(first, p, n=N, rng=3)
    exact = np.array([0.5, 1.0]) - 0.85
    assert np.all(np.abs(estimate.flat - exact) < 4.5 * estimate.flat_stderr)
