"""Scores are derivatives of log-densities, have mean 0, and their Fisher matrix as covariance."""

from __future__ import annotations

import numpy as np
import pytest
from families.registry import close, derivatives, drawn, every_differentiable, samples_of, within
from numba import config

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


@every_differentiable
def test_score_is_the_derivative_of_log_prob(example):
    p, x = example.p, drawn(example)[:50]
    x = x[np.isfinite(p.log_prob(x))]
    if example.entry.kink:
        x = x[np.all(np.abs(x - p.mean) > 0.1 * np.sqrt(p.variance), axis=1)]
    exact = derivatives(p, lambda q: q.log_prob(x))
    close(p.score(x), exact, 1e-10, np.sqrt(np.diagonal(p.fisher())))


@every_differentiable
def test_score_has_mean_zero_and_the_fisher_matrix(example):
    source = example.p.source.family  # which has the same score, also where x underflows
    s, fisher = source.score(source.sample(samples_of(example), rng=2)), example.p.fisher()
    n = len(s)
    np.testing.assert_array_equal(fisher, fisher.T)
    within(s.mean(axis=0) / (s.std(axis=0) / np.sqrt(n)))
    mean, second = s.T @ s / n, (s * s).T @ (s * s) / n
    error = np.sqrt(np.maximum(second - mean**2, 0) / n)
    # Of one product that never varies only the rounding of its sum is left.
    within((mean - fisher) / np.hypot(error, 1e-12 * np.sqrt(np.outer(*2 * [mean.diagonal()]))))
