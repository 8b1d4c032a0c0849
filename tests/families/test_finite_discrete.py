"""Tables of values: what f sees, by every way to an estimate, and the table itself."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000
PROBS = np.array([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])
TABLES = {"reals": [0.5, -1.25, 3.0], "integers": [5, -2, 10]}
every_table = pytest.mark.parametrize("outcomes", TABLES.values(), ids=TABLES)


@njit
def jitted(x):
    return x[0] * x[1] * x[1]


def plain(x):
    return x[:, 0] * x[:, 1] ** 2


def exact(outcomes):
    """E of f and its gradient: by probability ``E[f | x_k = a] − E[f]``."""
    one, square = np.asarray(outcomes, float), np.asarray(outcomes, float) ** 2
    a, b = PROBS @ np.stack([one, square]).T
    value = a[0] * b[1]
    return value, np.concatenate([one * b[1] - value, square * a[0] - value])


@every_table
@pytest.mark.parametrize("f", [jitted, plain], ids=["jitted", "plain"])
def test_every_way(f, outcomes):
    p, (value, grad) = fs.FiniteDiscrete(outcomes, PROBS), exact(outcomes)
    for options in (
        {},
        {"sampling": "counts"},
        {"proposals": [fs.FiniteDiscrete(outcomes, np.ones((2, 3)))]},
    ):
        estimate = fs.gradient(f, p, n=N, rng=1, **options)
        assert abs(estimate.value - value) < 4.5 * estimate.value_stderr
        assert np.all(np.abs(estimate.flat - grad) < 4.5 * estimate.flat_stderr)
    estimate = fs.gradient(f, p, estimator="exact")
    assert estimate.n == 9
    np.testing.assert_allclose(estimate.value, value, rtol=1e-14)
    np.testing.assert_allclose(estimate.flat, grad, rtol=1e-13)


@every_table
def test_beside_others(outcomes):
    """In a joint and in a mixture f sees values too."""
    p = fs.FiniteDiscrete(outcomes, PROBS[0])
    joint = fs.Joint(a=p, b=fs.LogNormal(0.0, 0.5))
    mixture = fs.Mixture([p, fs.FiniteDiscrete(outcomes, PROBS[1])], probs=[0.3, 0.7])
    x = joint.sample(N, rng=0)
    assert x.a.dtype == p.dtype
    assert set(np.unique(x.a)) == set(outcomes)
    assert set(np.unique(mixture.sample(1000, rng=0))) == set(outcomes)
    exact = fs.gradient(lambda x: x[:, 0], mixture, estimator="exact")
    np.testing.assert_allclose(exact.value, [0.3, 0.7] @ PROBS @ outcomes, rtol=1e-13)


def test_samples_have_the_type_of_the_table():
    for outcomes, kind in (([1, 2], np.int64), ([True, False], np.int64), ([1.0, 2.0], float)):
        assert fs.FiniteDiscrete(outcomes, logits=[0.0, 0.0]).sample(3).dtype == kind


@every_table
def test_what_is_not_in_the_table(outcomes):
    p = fs.FiniteDiscrete(outcomes, PROBS)
    x = [[outcomes[0], 77], [77, outcomes[1]], [-(10**9), 10**9]]
    assert np.all(p.log_prob(x) == -np.inf)
    s = p.score(x).reshape(3, 2, 3)
    np.testing.assert_allclose(s[0, 0], [1 / 0.2 - 1, -1, -1], rtol=1e-14)
    np.testing.assert_allclose(s[1, 1], [-1, 1 / 0.8 - 1, -1], rtol=1e-14)
    assert not s[[0, 1, 2, 2], [1, 0, 0, 1]].any()
    with pytest.raises(ValueError, match=r"x\[0, 1\] = 77.0: x must be among the outcomes"):
        p.fit(x)


def test_both_zeros_are_one():
    p = fs.FiniteDiscrete([-0.0, 1.0], [0.25, 0.75])
    np.testing.assert_array_equal(p.log_prob([[-0.0], [0.0]]), np.log([0.25, 0.25]))
    assert np.all(p.log_prob([[np.nan], [np.inf], [5e-324]]) == -np.inf)
    with pytest.raises(ValueError, match="distinct"):
        fs.FiniteDiscrete([-0.0, 0.0], [0.5, 0.5])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 1000])
def test_tables_of_all_sizes(size):
    """Each value is found, and those between none."""
    rng = np.random.default_rng(size)
    outcomes = np.cumsum(rng.uniform(0.1, 1, size))
    outcomes = rng.permutation(outcomes - outcomes.mean())
    probs = rng.dirichlet(np.ones(size))
    p = fs.FiniteDiscrete(outcomes, probs)
    np.testing.assert_allclose(p.log_prob(outcomes[:, None]), np.log(probs), rtol=1e-14)
    assert np.all(p.log_prob(outcomes[:, None] + 0.05) == -np.inf)
    fitted = p.fit(outcomes[:, None], probs).parameters["probs"]
    np.testing.assert_allclose(fitted, probs, rtol=1e-12)


def test_values_that_are_excluded():
    p = fs.FiniteDiscrete([1, 2, 3], logits=[0.0, -np.inf, 0.0])
    assert set(np.unique(p.sample(1000, rng=0))) == {1, 3}
    assert p.support_set.excluded.tolist() == [[0, 2]]
    real = fs.FiniteDiscrete([1.0, 2.0, 3.0], logits=[0.0, 0.0, -np.inf])
    assert (real.support_set.low, real.support_set.high) == (1, 2)


@pytest.mark.parametrize(
    ("p", "q", "message"),
    [
        (fs.FiniteDiscrete([1, 5], [0.5, 0.5]), fs.FiniteDiscrete([1, 6], [0.5, 0.5]), "no prop"),
        (fs.FiniteDiscrete([1, 5], [0.5, 0.5]), fs.FiniteDiscrete([1, 5], [1, 0]), "no proposal"),
        (fs.Poisson(3.0), fs.FiniteDiscrete([0, 1], [0.5, 0.5]), "no proposal reaches"),
        (fs.FiniteDiscrete([0.5], [1.0]), fs.Normal(0.0, 1.0), "tied in different ways"),
        (fs.Normal(0.0, 1.0), fs.FiniteDiscrete([0.5], [1.0]), "tied in different ways"),
        (fs.FiniteDiscrete([0.5], [1.0]), fs.FiniteDiscrete([0.6], [1.0]), "different ways"),
    ],
)
def test_proposals_that_miss(p, q, message):
    with pytest.raises(ValueError, match=message):
        fs.gradient(lambda x: x[:, 0], p, proposals=[q])


def test_a_proposal_with_more_outcomes():
    """Of integers any that covers the table will do."""
    p = fs.FiniteDiscrete([0, 5], [0.3, 0.7])
    estimate = fs.gradient(lambda x: x[:, 0], p, n=N, rng=0, proposals=[fs.Poisson(3.0)])
    assert abs(estimate.value - 3.5) < 4.5 * estimate.value_stderr
    assert np.all(np.abs(estimate.flat - [-3.5, 1.5]) < 4.5 * estimate.flat_stderr)


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ([1, 2, 1], r"outcomes\[2\] = 1.0: outcomes must be distinct"),
        ([1.5, 1.5, 2], r"outcomes\[1\] = 1.5: outcomes must be distinct"),
        ([1, 2], r"outcomes has shape \(2,\) and probs has 3 classes"),
        ([[1, 2, 3]], r"outcomes has shape \(1, 3\)"),
        ([1, 2, 2**52], r"outcomes\[2\] = 4503599627370496.0: outcomes must be below"),
    ],
)
def test_bad_tables(outcomes, message):
    with pytest.raises(ValueError, match=message):
        fs.FiniteDiscrete(outcomes, [0.2, 0.3, 0.5])
