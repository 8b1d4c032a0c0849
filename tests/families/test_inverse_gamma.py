"""What is special to inverse gammas: the ends of the support, and moments that do not exist."""

from __future__ import annotations

import numpy as np
import pytest
from families.registry import within
from numba import config
from scipy import special, stats

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


def test_it_is_the_inverse_of_a_gamma():
    """Of the same random bits, whether logarithms are kept or not."""
    for concentration in (0.02, 0.3, 5.0):
        p, q = fs.InverseGamma(concentration, 2.0), fs.Gamma(concentration, 2.0)
        x, z = p.sample(1000, rng=1), q.sample(1000, rng=1)
        inside = (z > 1e-300) & (x > 1e-300)
        np.testing.assert_allclose(x[inside], 1 / z[inside], rtol=1e-13)
        np.testing.assert_allclose(p.score(x[inside][:, None]), q.score(z[inside][:, None]),
                                   rtol=1e-9, atol=1e-9)  # fmt: skip
        jacobian = 2 * np.log(z[inside])
        np.testing.assert_allclose(
            p.log_prob(x[inside][:, None]), q.log_prob(z[inside][:, None]) + jacobian, rtol=1e-12
        )


def test_scores_survive_an_overflow():
    """The gradient of ``P(x > 1)``, by logarithms of which 3 in 4 are beyond those of floats."""
    p = fs.InverseGamma(2e-3, 1.0)
    assert np.isinf(p.sample(100, rng=2)).sum() > 10
    estimate = fs.gradient(lambda x: (x[:, 0] > 1) * 1.0, p, n=200_000, rng=3)
    by_rate = stats.gamma(2e-3).pdf(1.0)
    h = 1e-5
    by_concentration = (special.gammainc(2e-3 + h, 1) - special.gammainc(2e-3 - h, 1)) / (2 * h)
    for name, exact in (("concentration", by_concentration), ("rate", by_rate)):
        within((estimate.grad[name] - exact) / estimate.grad_stderr[name])
    with pytest.raises(ValueError, match="small a shape parameter"):
        fs.gradient(lambda x: x[:, 0], p, proposals=p, n=100)


def test_moments_that_do_not_exist():
    p = fs.InverseGamma([0.5, 1.0, 1.5, 2.0, 3.0], 1.0)
    np.testing.assert_allclose(p.mean, [np.inf, np.inf, 2.0, 1.0, 0.5])
    np.testing.assert_allclose(p.variance, [np.nan, np.nan, np.inf, np.inf, 0.25])


def test_at_the_ends():
    """Where 1/x overflows there is no probability, nor a score."""
    p = fs.InverseGamma([0.5], 3.0)
    x = np.array([[0.0], [1e-320], [1e308], [np.inf]])
    assert list(p.log_prob(x) > -np.inf) == [False, False, True, False]
    np.testing.assert_array_equal(p.score(x)[:2], 0.0)
    expected = [np.log(3.0) - np.log(1e308) - special.digamma(0.5), 0.5 / 3]
    np.testing.assert_allclose(p.score(x)[2], expected, rtol=1e-14)
