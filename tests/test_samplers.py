"""Bernoulli and Categorical draws have the frequencies that they should, and no correlation."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit
from scipy.stats import chi2, norm

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
#: As improbable as |z| > LIMIT.
RARE = 7e-6


@njit
def total(x):
    count = 0
    for k in range(x.size):
        count += x[k]
    return count


# --- Bernoulli: 16 random bits against a threshold, and 64 more where they tie ---

PROBABILITIES = np.array(
    [0.001, 0.01, 0.3, 0.5, 0.7, 0.999, 1 / 2**16, 12345 / 2**16, 1 - 1 / 2**16, 12345.5 / 2**16]
)


@pytest.mark.parametrize("by_logit", [False, True])
def test_frequencies_of_a_bernoulli(by_logit):
    p, n = PROBABILITIES, 1_000_000
    family = fs.Bernoulli(logits=np.log(p / (1 - p))) if by_logit else fs.Bernoulli(p)
    count = family.sample(n, rng=21 + by_logit).sum(axis=0)
    z = (count - n * p) / np.sqrt(n * p * (1 - p))
    assert np.abs(z).max() < LIMIT, z


@pytest.mark.parametrize("p", [2.0**-18, 3e-6, 1.5 * 2.0**-16, 2.75 * 2.0**-16, 0.5 - 2.0**-18])
@pytest.mark.parametrize("common", [False, True])
def test_ties_of_16_bits(p, common):
    """Settled all one way, they would move the four smaller p by 25 % and more."""
    d, n = 4, 10_000_000
    family = fs.Bernoulli(np.full(d, 1 - p if common else p))
    count = round(fs.gradient(total, family, n=n, rng=5).value * n)
    rare = d * n - count if common else count
    assert abs(rare - d * n * p) < LIMIT * np.sqrt(d * n * p * (1 - p))


@pytest.mark.parametrize("d", [1, 8, 60])
def test_coordinates_and_samples_are_independent(d):
    n = 2_000_000 // d
    p = np.resize([0.5, 0.1, 0.9, 0.3], d)
    x = (fs.Bernoulli(p).sample(n, rng=d) - p) / np.sqrt(p * (1 - p))
    between = (x.T @ x / n)[np.triu_indices(d, 1)]
    after = [x[lag:].T @ x[:-lag] / n for lag in (1, 2, 16)]
    z = np.sqrt(n) * np.concatenate([between, *(np.ravel(a) for a in after)])
    assert np.abs(z).max() < norm.isf(RARE / 2 / z.size)
    assert abs(np.mean(z**2) - 1) < LIMIT * np.sqrt(2 / z.size)


# --- Categorical: the alias method ---

WEIGHTS = {
    "one class": [2.0],
    "two classes": [0.3, 0.7],
    "three classes": [1.0, 2.0, 3.0],
    "excluded classes": [0.0, 1.0, 0.0, 0.0, 5.0, 2.0, 0.0],
    "rare classes": [1.0, 1e-4, 3e-4, 0.5],
    "a thousand equal": np.ones(1000),
    "a thousand skewed": 1 / (1 + np.arange(1000.0)),
    "a thousand, half of them excluded": np.arange(1000.0) % 2,
}


def assert_frequencies(count, p):
    """Pearson's test; what cannot occur did not."""
    n, possible = count.sum(), p > 0
    assert count[~possible].sum() == 0
    square = np.sum((count - n * p)[possible] ** 2 / (n * p[possible]))
    freedom = possible.sum() - 1
    assert square == 0 if freedom == 0 else chi2.sf(square, freedom) > RARE


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("by_logit", [False, True])
def test_frequencies_of_a_categorical(name, by_logit):
    w = np.array(WEIGHTS[name])
    with np.errstate(divide="ignore"):
        family = fs.Categorical(logits=np.log(w)) if by_logit else fs.Categorical(w)
    x = family.sample(1_000_000, rng=31 + by_logit)[:, 0]
    assert_frequencies(np.bincount(x, minlength=w.size), w / w.sum())


def test_variables_are_independent():
    """The joint frequencies of two of them, and of one with its predecessor."""
    w = np.array([[1.0, 2.0, 3.0], [5.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    p = w / w.sum(axis=1, keepdims=True)
    x = fs.Categorical(w).sample(500_000, rng=9)
    for i, j, one, two in [
        (0, 1, x[:, 0], x[:, 1]),
        (0, 2, x[:, 0], x[:, 2]),
        (1, 2, x[:, 1], x[:, 2]),
        (0, 0, x[::2, 0], x[1::2, 0]),
        (2, 0, x[::2, 2], x[1::2, 0]),
    ]:
        count = np.bincount(3 * one + two, minlength=9)
        assert_frequencies(count, np.outer(p[i], p[j]).ravel())
