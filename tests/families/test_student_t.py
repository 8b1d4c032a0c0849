"""What is special to Student's t: few and many degrees of freedom, its moments, defaults."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from numba import config

import fastscore as fs
from fastscore.families._arsinh_student_t import ArsinhStudentT

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


def test_defaults():
    p = fs.StudentT([2.0, 3.0])
    assert {name: value.shape for name, value in p.parameters.items()} == {
        "df": (2,), "loc": (), "scale": (),
    }  # fmt: skip
    assert list(fs.StudentT(log_df=1.0, log_scale=0.0).parameters) == ["log_df", "loc", "log_scale"]
    with pytest.raises(TypeError, match="exactly one"):
        fs.StudentT(1.0, scale=1.0, log_scale=0.0)
    with pytest.raises(TypeError, match="exactly one"):
        fs.StudentT()
    with pytest.raises(TypeError, match="cannot be fitted"):
        p.fit(np.ones((5, 2)))


def test_moments_that_do_not_exist():
    p = fs.StudentT([0.5, 1.0, 1.5, 2.0, 4.0], 3.0, 2.0)
    np.testing.assert_array_equal(p.mean, [np.nan, np.nan, 3.0, 3.0, 3.0])
    np.testing.assert_array_equal(p.variance, [np.nan, np.nan, np.inf, np.inf, 8.0])


@pytest.mark.parametrize("df", [1e4, 1e8, 1e12])
def test_nearly_normal(df):
    """``∂_df`` is 1e-2, 1e-10 or 1e-18 times the terms of its formula: nothing may cancel."""
    x = np.array([0.0, 0.3, 1.0, math.sqrt(1 + math.sqrt(2)), 3.0, -8.0])
    with mp.workdps(60):
        v = mp.mpf(df)
        step = mp.digamma((v + 1) / 2) - mp.digamma(v / 2)
        z = [mp.mpf(float(t)) ** 2 for t in x]
        exact = [float((step - mp.log1p(q / v) + (q - 1) / (v + q)) / 2) for q in z]
    score = fs.StudentT(df).score(x[:, None])[:, 0]
    np.testing.assert_allclose(score, exact, rtol=1e-14, atol=1e-15 / df**2)


@pytest.mark.parametrize("df", [0.02, 0.5, 23.9, 24.1, 1e8])
def test_fisher_by_quadrature(df):
    """``E[s sᵀ]`` over ``y = arsinh x``, where no tail is heavy, by the trapezium rule."""
    p, source = fs.StudentT(df), ArsinhStudentT(df)
    most = 40 / min(df, 1) + 20
    y = np.linspace(-most, most, 1_000_001)[:, None]
    density = np.exp(source.log_prob(y)) * (y[1] - y[0])
    spread = np.sqrt(np.diagonal(p.fisher()))
    s = source.score(y) / spread
    np.testing.assert_allclose(density.sum(), 1, rtol=1e-10)
    information = np.einsum("n,ni,nj->ij", density, s, s)
    expected = p.fisher() / np.outer(spread, spread)
    np.testing.assert_allclose(information, expected, rtol=0, atol=1e-9)


def test_far_out():
    """Squares of x overflow, nothing else: against ``2 log |z| − log df``."""
    df, x = 3.0, np.array([1e139, 1e141, -1e154, 1e300, -1.7e308])
    p = fs.StudentT(df)
    logarithm = 2 * np.log(np.abs(x)) - np.log(df)
    np.testing.assert_allclose(
        p.log_prob(x[:, None]) - p.log_prob([[0.0]]), -(df + 1) / 2 * logarithm, rtol=1e-14
    )
    s = p.score(x[:, None])
    np.testing.assert_allclose(s[:, 0] - p.score([[0.0]])[0, 0], (1 + 1 / df - logarithm) / 2)
    np.testing.assert_allclose(s[:, 1], (df + 1) / x, rtol=1e-14)
    np.testing.assert_allclose(s[:, 2], df, rtol=1e-14)
    np.testing.assert_array_equal(p.log_prob([[np.inf], [-np.inf]]), [-np.inf, -np.inf])
    assert not np.isnan(p.score([[np.inf], [-np.inf]])).any()
