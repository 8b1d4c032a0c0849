"""Samplers draw from their distributions, independently."""

from __future__ import annotations

import numpy as np
import pytest
from families.registry import EXAMPLES, drawn, every_example, within
from numba import config
from scipy import stats

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

BINS = 100
#: p-values; there are four tests of each of some 60 coordinates.
RARE = 1e-5


@pytest.fixture(scope="module")
def uniforms():
    known = {}

    def of(example):
        if example not in known:
            rng = np.random.default_rng(EXAMPLES.index(example))
            known[example] = example.truth.uniforms(drawn(example), rng)
        return known[example]

    return of


@every_example
def test_distribution(example, uniforms):
    for k, u in enumerate(uniforms(example).T):
        assert u.min() >= 0
        assert u.max() <= 1
        counts = np.bincount(np.minimum((u * BINS).astype(int), BINS - 1), minlength=BINS)
        for p in (
            stats.kstest(u, "uniform", method="asymp").pvalue,
            stats.chisquare(counts).pvalue,
        ):
            assert p > RARE, f"coordinate {k}"


@every_example
def test_tails(example, uniforms):
    """The number of draws beyond the quantiles of some thousand, hundred and ten of them."""
    for u in uniforms(example).T:
        for expected in (10, 100, 1000):
            for tail in (u, 1 - u):
                count = np.count_nonzero(tail < expected / len(u))
                law = stats.binom(len(u), expected / len(u))
                assert min(law.cdf(count), law.sf(count - 1)) > RARE, (count, expected)


@every_example
def test_independence(example, uniforms):
    """Of coordinates, and of draws, next to each other and as far apart as lanes and chunks."""
    u = np.sqrt(12) * (uniforms(example) - 0.5)
    n, d = u.shape
    within(np.sqrt(n) * (u.T @ u / n)[np.triu_indices(d, 1)])
    for lag in (1, 2, 8, 16, 256, 512):
        within(np.sqrt(n) * (u[lag:].T @ u[:-lag] / n))


@every_example
def test_moments(example):
    """Of the samples, where they have tails light enough for standard errors to mean anything."""
    x, truth = drawn(example).astype(float), example.truth
    mean, variance = np.broadcast_to(truth.mean(), x.shape[1]), truth.variance()
    light = np.isfinite(variance)
    light[light] = stats.kurtosis(x[:, light], axis=0) < 100
    n, off = len(x), x[:, light] - mean[light]
    variance = variance[light]
    within(off.mean(axis=0) / np.sqrt(variance / n))
    # Of a square that never varies only rounding is left.
    error = np.hypot(np.std(off**2, axis=0) / np.sqrt(n), 1e-12 * variance)
    within(((off**2).mean(axis=0) - variance) / error)
