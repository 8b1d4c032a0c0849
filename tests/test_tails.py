"""Errors of standard errors: known ones, and warnings where tails are heavy."""

from __future__ import annotations

import numpy as np
import pytest
from cases import z_of_mean
from numba import config

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

WARNING = "standard errors of 1 entries are themselves uncertain"


def square(x):
    return x[:, 0] ** 2


@pytest.mark.parametrize(
    ("f", "p", "kurtosis"),
    [
        (lambda x: np.ones(len(x)), fs.Normal([0.0], 1.0), 0.0),  # z itself
        (lambda x: x[:, 0], fs.Normal([0.0], 1.0), 12.0),  # z², a χ² of one degree of freedom
    ],
    ids=["normal", "chi2"],
)
def test_error_of_a_standard_error_is_that_of_a_variance(f, p, kurtosis):
    """``Var(v̂)/v² = (κ + 2)/n``, of which the spread over ten folds tells without bias."""
    n, count = 2000, 1000
    runs = [fs.gradient(f, p, wrt="loc", n=n, rng=i, baseline=None) for i in range(count)]
    told = np.array([run.flat_stderr_error[0] for run in runs])
    # Of order 1/n besides: the gradient's own error.
    assert abs(z_of_mean(4 * n * told**2, kurtosis + 2)) < 4.5


@pytest.mark.parametrize("baseline", [None, 1.5, "scalar", "optimal"])
def test_it_is_the_spread_over_folds(baseline):
    n, p = 1000, fs.Normal([0.5], 1.0)
    run = fs.gradient(square, p, n=n, rng=3, baseline=baseline)
    x = p.sample(n, rng=3)
    f, s = square(x)[:, None], p.score(x)
    folds = np.arange(n) // (n // 10)
    b = run._solution.coefficients[folds]
    squares = ((f - run._moments.reference - b) * s - run.flat) ** 2
    by_fold = np.array([squares[folds == k].mean(axis=0) for k in range(10)])
    expected = by_fold.std(axis=0, ddof=1) / np.sqrt(10) / by_fold.mean(axis=0) / 2
    np.testing.assert_allclose(run.flat_stderr_error, expected, rtol=0.01)


def test_heavy_tails_are_told():
    """The issue's own trap: ``E[e^{1.2 x}]`` at rate 2 has a gradient without a variance."""
    p = fs.Exponential([2.0])
    warned = [
        WARNING in fs.gradient(lambda x: np.exp(1.2 * x[:, 0]), p, n=1000, rng=i).summary()
        for i in range(50)
    ]
    assert np.mean(warned) > 0.9
    light = fs.gradient(lambda x: np.cos(x[:, 0]), fs.Normal([1.0], 1.0), n=20_000, rng=0)
    assert "themselves uncertain" not in light.summary()
    assert np.all(light.flat_stderr_error < 0.02)


def test_no_variance_has_no_tails():
    """Of f s = sign(x − 2)²/1.5 nothing is left but rounding."""
    p = fs.Laplace([2.0], 1.5)
    for i in range(20):
        run = fs.gradient(
            lambda x: np.sign(x[:, 0] - 2), p, wrt="loc", n=2000, rng=i, baseline=None
        )
        assert np.isnan(run.flat_stderr_error).all()
        assert "themselves uncertain" not in run.summary()


def test_by_name_and_where_it_is_not_known():
    p = fs.Normal([0.5, 1.0], 1.0)
    run = fs.gradient(square, p, n=1000, rng=0)
    assert run.stderr_error["loc"].shape == (2,)
    np.testing.assert_array_equal(run.clipped(1.0).flat_stderr_error, run.flat_stderr_error)
    assert np.isnan(run.with_baseline("matrix").flat_stderr_error).all()
    assert np.isnan(fs.gradient(square, p, n=2, rng=0).flat_stderr_error).all()
    exact = fs.gradient(lambda x: x[:, 0], fs.Bernoulli([0.5]), estimator="exact")
    assert np.isnan(exact.flat_stderr_error).all()
