"""Rankings: many items, ways to an estimate, fits under bounds, and what is none."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit
from scipy.optimize import minimize

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000
P = fs.PlackettLuce([0.3, -1.0, 2.0, 0.0])


def weights_of(p):
    return np.exp(p.parameters["logits"])


@pytest.mark.parametrize("count", [*range(1, 20), 64, 65, 300])
def test_rankings_of_many(count):
    """Each row has each item once, whatever their number, and rows are many or few."""
    for n in (1, 17, 600):
        x = fs.PlackettLuce(np.linspace(-2, 2, count)).sample(n, rng=0)
        np.testing.assert_array_equal(np.sort(x, axis=1), np.tile(np.arange(count), (n, 1)))


@pytest.mark.parametrize("count", [2, 5, 33, 200])
def test_who_is_before_whom(count):
    """Of each pair the odds are those of their weights, whoever else there is."""
    p = fs.PlackettLuce(np.linspace(-2, 2, count))
    place, w = np.argsort(p.sample(20_000, rng=count), axis=1), weights_of(p)
    for i, j in ((0, 1), (0, count - 1), (count // 2, count - 1)):
        probability = w[i] / (w[i] + w[j]) if i != j else 0.0
        spread = np.sqrt(probability * (1 - probability) / len(place))
        assert abs(np.mean(place[:, i] < place[:, j]) - probability) <= 4.5 * spread


@pytest.mark.parametrize("count", [20, 150])
def test_the_score_of_many(count):
    """As the sums say, in higher precision; and its mean is 0."""
    p = fs.PlackettLuce(np.linspace(-30, 30, count))
    x, w = p.sample(2000, rng=0), weights_of(p).astype(np.longdouble)
    totals = np.cumsum(w[x[:, ::-1]], axis=1)[:, ::-1]
    exact = np.empty(x.shape, np.longdouble)
    np.put_along_axis(exact, x, 1 - w[x] * np.cumsum(1 / totals, axis=1), axis=1)
    s = p.score(x)
    np.testing.assert_allclose(s, exact.astype(float), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        p.log_prob(x), np.log(w[x] / totals).sum(axis=1).astype(float), rtol=1e-13
    )
    np.testing.assert_allclose(s.sum(axis=1), 0, atol=1e-11)


@pytest.mark.parametrize("count", [14, 15])
def test_fisher_of_many(count):
    """Up to 14 items by all sets of them, beyond from samples."""
    p = fs.PlackettLuce(np.linspace(-1, 1, count))
    assert p.fisher_estimated == (count > 14)
    s = p.score(p.sample(N, rng=1))
    spread = 6 * np.sqrt((s * s).T @ (s * s)) / N * (3 if p.fisher_estimated else 1)
    assert np.all(np.abs(p.fisher() - s.T @ s / N) < spread)
    if p.fisher_estimated:
        for closed in (lambda: p.mean, lambda: p.variance, p.entropy):
            with pytest.raises(NotImplementedError, match="no closed form beyond 14 items"):
                closed()


@njit
def late(x):
    """How far behind item 2 is, and whether item 0 comes before item 1."""
    value = 0.0
    for k in range(x.size):
        value += k * k * (x[k] == 2)
        if x[k] <= 1:
            value += 5.0 * (x[k] == 0)
            break
    return value


def test_every_way_agrees():
    exact = fs.gradient(late, P, estimator="exact")
    assert exact.n == 24
    uniform = fs.Categorical(np.ones((4, 4)))
    for options in (
        {}, {"sampling": "counts"}, {"proposals": [fs.PlackettLuce(np.zeros(4))]},
        {"proposals": [uniform]}, {"proposals": [P, uniform]},
    ):  # fmt: skip
        estimate = fs.gradient(late, P, n=N, rng=2, **options)
        assert abs(estimate.value - exact.value) < 4.5 * estimate.value_stderr
        assert np.all(np.abs(estimate.flat - exact.flat) < 4.5 * estimate.flat_stderr)
    np.testing.assert_allclose(exact.flat.sum(), 0, atol=1e-14)


def test_in_a_joint():
    p = fs.Joint(order=P, x=fs.Normal(1.0, 1.0))
    estimate = fs.gradient(lambda x: (x.order[:, 0] == 2) * x.x[:, 0], p, n=N, rng=3)
    first = weights_of(P)[2] / weights_of(P).sum()
    assert abs(estimate.grad["x.loc"] - first) < 4.5 * estimate.grad_stderr["x.loc"]
    exact = first * ((np.arange(4) == 2) - weights_of(P) / weights_of(P).sum())
    error = estimate.grad["order.logits"] - exact
    assert np.all(np.abs(error) < 4.5 * estimate.grad_stderr["order.logits"])


def test_only_ratios_of_scores_matter():
    w = weights_of(P)
    one, other = fs.PlackettLuce(scores=w), fs.PlackettLuce(scores=1e200 * w)
    x = P.sample(100, rng=0)
    np.testing.assert_array_equal(one.sample(100, rng=0), x)
    np.testing.assert_allclose(one.log_prob(x), P.log_prob(x), rtol=1e-13)
    np.testing.assert_allclose(other.log_prob(x), P.log_prob(x), rtol=1e-13)
    np.testing.assert_allclose(one.score(x) * w, P.score(x), rtol=1e-12, atol=1e-14)


def test_proposals_that_are_no_rankings_of_all():
    with pytest.raises(ValueError, match="no proposal reaches"):
        fs.gradient(late, P, proposals=[fs.Categorical(np.ones((4, 3)))])
    with pytest.raises(ValueError, match="no proposal reaches"):
        fs.gradient(lambda x: x[:, 0], fs.Categorical(np.ones((4, 4))), proposals=[P])


@pytest.mark.parametrize("least", [1e-6, 1e-3, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 8, 500])
def test_fit_under_its_bounds(least, n):
    """Against a general optimiser; item 2 is the one that stays."""
    x, free = P.sample(n, rng=n), np.array([0, 1, 3])
    start = P.parameters["logits"]

    def cost(logits):
        q = fs.PlackettLuce(np.insert(logits, 2, start[2]))
        return -q.log_prob(x).sum(), -q.score(x).sum(axis=0)[free]

    room = -np.log(least)
    bounds = [(value - room, value + room) for value in start[free]]
    found = minimize(cost, start[free], jac=True, bounds=bounds, method="L-BFGS-B",
                     options={"ftol": 0, "gtol": 1e-9, "maxiter": 10_000})  # fmt: skip
    q = P.fit(x, least=least)
    assert q.log_prob(x).sum() >= -found.fun - 1e-9 * n
    moved = q.parameters["logits"] - start
    assert moved[2] == 0
    assert np.all(np.abs(moved) <= room + 1e-12)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_fit_of_many(count):
    p = fs.PlackettLuce(scores=np.geomspace(1, 30, count))
    x = p.sample(5000, rng=0)
    q = p.fit(x)
    assert np.all(np.abs(q.score(x).sum(axis=0)) <= 1e-9 * len(x))


@pytest.mark.parametrize("x", [[[0, 1, 2, 2]], [[0, 1, 2, 4]], [[-1, 0, 1, 2]], [[1, 1, 1, 1]]])
def test_what_is_no_ranking(x):
    for method in (P.log_prob, P.score, P.fit):
        with pytest.raises(ValueError, match=r"x must be a ranking of the items from 0 to 3"):
            method(x)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"logits": 1.0}, r"logits has shape \(\): give \(K,\)"),
        ({"logits": [[1.0, 2.0]]}, r"logits has shape \(1, 2\)"),
        ({"scores": [1.0, 0.0]}, r"scores\[1\] = 0.0: scores must be positive"),
        ({"logits": [700.0, 0.0, 99.0]}, r"logits\[1\] = 0.0: .* less than 600 nats below"),
        ({"scores": [1e-200, 1e100]}, r"scores\[0\] = 1e-200"),
    ],
)
def test_bad_weights(keywords, message):
    with pytest.raises(ValueError, match=message):
        fs.PlackettLuce(**keywords)


def test_too_many_rankings():
    with pytest.raises(ValueError, match="PlackettLuce of 20 items has 20! outcomes"):
        fs.gradient(lambda x: x[:, 0], fs.PlackettLuce(np.zeros(20)), estimator="exact")
