"""What is special to Binomial: the number of trials, and probabilities close to 0 and 1."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from numba import config

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

TRIALS = [1, 2, 3, 10, 1000, 10**6, 10**9]
#: Rounding of p, where it is not given but follows from a logit, moves n p by so much.
ULP = 2.0**-53


def outcomes(n, p):
    near = n * p + math.sqrt(n * p * (1 - p)) * np.array([-8, -1, -0.1, 0.1, 1, 3, 9, 30])
    x = np.concatenate([[0, 1, n - 1, n, n // 2, n // 3], near])
    return np.unique(np.clip(x, 0, n).astype(np.int64))


def assert_exact(p, x, chance, by_probability, error):
    """Against 400 digits, of which 1 − p takes 300; ``error`` is the smaller of p and 1 − p's."""
    with mp.workdps(400):
        chance, n = chance(), int(p.constants["total_count"])
        rest = 1 - chance
        for k, log_prob, score in zip(
            x.tolist(), p.log_prob(x[:, None]), p.score(x[:, None])[:, 0], strict=True
        ):
            ways = mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)
            exact = ways + k * mp.log(chance) + (n - k) * mp.log(rest)
            slope = k - n * chance
            moved = error * n * min(chance, rest)
            assert abs(log_prob - exact) <= 4e-15 * abs(exact) + moved * abs(slope) / (
                n * chance * rest
            )
            unit = chance * rest if by_probability else 1
            assert abs(score * unit - slope) <= 2e-15 * abs(slope) + moved


@pytest.mark.parametrize("n", TRIALS)
@pytest.mark.parametrize("p", [1e-12, 1e-9, 1e-3, 0.3, 0.5, 0.7, 0.999, 1 - 1e-9, 1 - 1e-12])
def test_log_prob_and_score(n, p):
    assert_exact(fs.Binomial(n, p), outcomes(n, p), lambda: mp.mpf(p), True, 0.0)


@pytest.mark.parametrize("n", TRIALS)
@pytest.mark.parametrize("logit", [-700, -100, -30, -3.3, -0.1, 0, 0.2, 5, 40, 100, 700])
def test_by_the_logit(n, logit):
    x = outcomes(n, 1 / (1 + math.exp(-logit)))
    chance = lambda: 1 / (1 + mp.exp(-mp.mpf(logit)))  # noqa: E731
    assert_exact(fs.Binomial(n, logits=logit), x, chance, False, 4 * ULP)


@pytest.mark.parametrize(
    ("n", "p", "only"), [(0, 0.3, 0), (0, 0.0, 0), (0, 1.0, 0), (7, 0.0, 0), (7, 1.0, 7)]
)
def test_one_outcome(n, p, only):
    family = fs.Binomial(n, p)
    log_prob = family.log_prob(np.arange(-1, 9)[:, None])
    np.testing.assert_array_equal(log_prob, np.where(np.arange(-1, 9) == only, 0.0, -math.inf))
    np.testing.assert_array_equal([family.support_set.low, family.support_set.high], [[only]] * 2)
    if 0 < p < 1:
        assert family.score([[0]]) == 0.0
    else:
        with pytest.raises(ValueError, match="for its score to exist"):
            family.score([[0]])


def test_outside():
    """Above the number of trials of a coordinate, which differ."""
    p = fs.Binomial([2, 5], 0.3)
    x = [[3, 3], [2, 6], [-1, 0], [10**15, 0]]
    np.testing.assert_array_equal(p.log_prob(x), -math.inf)
    one_by_one = fs.Binomial([2, 5], [0.3, 0.3]).score(x)
    np.testing.assert_array_equal(one_by_one[[0, 1, 2, 3], [0, 1, 0, 0]], 0.0)


class TestTotalCount:
    def test_is_no_parameter(self):
        p = fs.Binomial([2, 5], [0.3, 0.4])
        assert list(p.parameters) == ["probs"]
        np.testing.assert_array_equal(p.constants["total_count"], [2, 5])
        q = p.replace(total_count=[3, 6])
        np.testing.assert_array_equal(q.mean, [3 * 0.3, 6 * 0.4])
        np.testing.assert_array_equal(q.parameters["probs"], [0.3, 0.4])

    def test_gives_the_shape_to_a_shared_probability(self):
        p = fs.Binomial([1, 10, 1000], 0.3)
        assert (p.d, p.size) == (3, 1)
        np.testing.assert_allclose(p.fisher(), [[1011 / 0.21]])
        x = p.sample(10, rng=0)
        np.testing.assert_allclose(p.score(x)[:, 0], (x.sum(axis=1) - 1011 * 0.3) / 0.21)

    @pytest.mark.parametrize("n", [-1, 2.5, 2**51, [3, -2]])
    def test_is_a_number_of_trials(self, n):
        with pytest.raises(ValueError, match="must be an integer from 0 to 2\\*\\*50"):
            fs.Binomial(n, 0.5)

    def test_has_the_shape_of_the_probabilities(self):
        with pytest.raises(ValueError, match="give all the same shape"):
            fs.Binomial([1, 2], [0.1, 0.2, 0.3])

    def test_one_trial_is_bernoulli(self):
        p, q = fs.Binomial(probs=[0.3, 0.9]), fs.Bernoulli([0.3, 0.9])
        x = p.support(4)
        np.testing.assert_array_equal(np.sort(x, axis=0), np.sort(q.support(4), axis=0))
        np.testing.assert_allclose(p.log_prob(x), q.log_prob(x), rtol=1e-14)
        np.testing.assert_allclose(p.score(x), q.score(x), rtol=1e-14)


def test_support():
    p = fs.Binomial([1, 3], 0.3)
    x = p.support(8)
    assert len({tuple(row) for row in x.tolist()}) == 8
    assert np.exp(p.log_prob(x)).sum() == pytest.approx(1, abs=1e-15)
    with pytest.raises(ValueError, match="has 8 outcomes, of 7 at most"):
        p.support(7)
    with pytest.raises(ValueError, match=r"has 1e\+30 outcomes"):
        fs.Binomial(np.full(2, 10**15), 0.5).support(1000)
    with pytest.raises(ValueError, match=r"has more than 1e\+300 outcomes"):
        fs.Binomial(np.full(200, 10**9), 0.5).support(1000)


@pytest.mark.parametrize("name", ["probs", "logits"])
@pytest.mark.parametrize("shared", [False, True])
def test_fit(name, shared):
    """Of successes among trials; without any trials nothing changes; both outcomes have floors."""
    n, x, weights = [0, 4, 10], np.array([[0, 4, 3], [0, 4, 1], [0, 4, 0]]), [1.0, 2.0, 1.0]
    start = np.full(3, 0.5) if name == "probs" else np.zeros(3)
    q = fs.Binomial(n, **{name: start[0] if shared else start}).fit(x, weights, least=0.01)
    chance = (4 + 1.25) / 14 if shared else np.array([0.5, 0.995, 0.125])
    np.testing.assert_allclose(q.mean, chance * np.array(n), rtol=1e-13)
    given = q.parameters[name]
    by_name = chance if name == "probs" else np.log(chance / (1 - chance))
    np.testing.assert_allclose(given, by_name, rtol=1e-12, atol=1e-15)
    with pytest.raises(ValueError, match="a count from 0 to total_count"):
        q.fit([[1, 0, 0]])
