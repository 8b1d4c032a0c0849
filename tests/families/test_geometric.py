"""What is special to Geometric: probabilities close to 0 and 1, and their log-odds."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from numba import config

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

X = np.array([0, 1, 2, 3, 7, 1000, 10**9, 10**12, 10**14])


def assert_exact(p, by_probability, chance):
    """Against 400 digits, of which 1 − p takes 300."""
    with mp.workdps(400):
        chance = chance()
        rest = 1 - chance
        for x, log_prob, score in zip(
            X.tolist(), p.log_prob(X[:, None]), p.score(X[:, None])[:, 0], strict=True
        ):
            exact = mp.log(chance) + x * mp.log(rest)
            slope = 1 / chance - x / rest if by_probability else rest - chance * x
            assert abs(log_prob - exact) <= 1e-15 * abs(exact)
            assert abs(score - slope) <= 2e-15 * abs(slope)


@pytest.mark.parametrize("p", [3e-14, 1e-12, 1e-6, 0.2, 0.5, 0.9, 0.999, 1 - 1e-12, 1 - 2**-53])
def test_log_prob_and_score(p):
    assert_exact(fs.Geometric(p), True, lambda: mp.mpf(p))


@pytest.mark.parametrize("logit", [-30.0, -3.0, -0.1, 0.0, 1.0, 10.0, 50.0, 700.0])
def test_by_the_logit(logit):
    assert_exact(fs.Geometric(logits=logit), False, lambda: 1 / (1 + mp.exp(-mp.mpf(logit))))


def test_success_is_certain():
    p = fs.Geometric([1.0, 0.5])
    np.testing.assert_array_equal(p.log_prob([[0, 0], [1, 0]]), [math.log(0.5), -math.inf])
    np.testing.assert_array_equal(p.support_set.high, [0, math.inf])
    assert p.entropy() == pytest.approx(2 * math.log(2))
    with pytest.raises(ValueError, match="probs must be above 1e-150 and below 1 for its score"):
        p.score([[0, 0]])


def test_outside():
    p = fs.Geometric([0.3, 0.5])
    assert p.log_prob([[-1, 0]]) == -math.inf
    np.testing.assert_array_equal(p.score([[-1, -5]]), [[0.0, 0.0]])


def test_probabilities_whose_samples_would_not_fit():
    with pytest.raises(ValueError, match=r"probs\[1\] = 1e-14: probs must be at least 2.84217e-14"):
        fs.Geometric([0.5, 1e-14])
    with pytest.raises(ValueError, match=r"logits must be at least -31\.1916"):
        fs.Geometric(logits=-32.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        fs.Geometric(1.5)


@pytest.mark.parametrize("name", ["probs", "logits"])
def test_fit(name):
    """``1/(1 + mean)``, with floors for both outcomes of a trial; of a shared one of all means."""
    x, weights = np.array([[0, 3, 7], [0, 4, 1], [0, 5, 0]]), [1.0, 2.0, 1.0]
    start = np.full(3, 0.5) if name == "probs" else np.zeros(3)
    q = fs.Geometric(**{name: start}).fit(x, weights, least=0.01)
    np.testing.assert_allclose(q.mean, [0.005 / 0.995, 4.0, 2.25], rtol=1e-13)
    far = fs.Geometric(**{name: start}).fit(1000 * x, weights, least=0.01)
    np.testing.assert_allclose(far.mean, [0.005 / 0.995, 0.995 / 0.005, 0.995 / 0.005], rtol=1e-13)
    with pytest.raises(ValueError, match="not negative"):
        q.fit([[-1, 0, 0]])
