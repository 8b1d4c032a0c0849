"""The pathwise estimator against the exact gradients and variances of the shared cases."""

import numpy as np
import pytest
from cases import rows

import fastscore as fs

CASES = {row["id"]: row for row in rows("pathwise_cases.json")}
N = 400_000


@pytest.mark.parametrize("name", CASES)
def test_variance_of_one_sample(name):
    """Of (x − k)²: within 4.5 standard errors, and so is the gradient."""
    row = CASES[name]
    mu, sigma, k = (row["params"][key] for key in ("mu", "sigma", "k"))
    f = fs.Integrand(lambda x: (x[:, 0] - k) ** 2, kind="numpy", derivative=lambda x: 2 * (x - k))
    p = fs.Normal([mu], [sigma])
    est = fs.gradient(f, p, n=N, rng=8, estimator="pathwise", baseline=None)
    truth = np.array([row["grad"]["mu"], row["grad"]["sigma"]])
    assert np.all(np.abs(est.flat - truth) < 4.5 * est.flat_stderr)

    z = np.random.default_rng(3).standard_normal(N)
    terms = 2 * (mu + sigma * z - k) * np.array([np.ones(N), z])
    centred = terms - terms.mean(axis=1, keepdims=True)
    kurtosis = (centred**4).mean(axis=1) / (centred**2).mean(axis=1) ** 2
    exact = np.array([row["pathwise_var"]["mu"], row["pathwise_var"]["sigma"]])
    error = N * est.flat_stderr**2 / exact - 1
    assert np.all(np.abs(error) < 4.5 * np.sqrt((kurtosis - 1) / N))


@pytest.mark.parametrize("name", CASES)
def test_regressed_on_the_score(name):
    """f's derivative is linear: a combination of scores takes all the noise."""
    row = CASES[name]
    mu, sigma, k = (row["params"][key] for key in ("mu", "sigma", "k"))
    f = fs.Integrand(lambda x: (x[:, 0] - k) ** 2, kind="numpy", derivative=lambda x: 2 * (x - k))
    p = fs.Normal([mu], [sigma])
    est = fs.gradient(f, p, n=10_000, rng=8, estimator="pathwise", baseline="matrix")
    truth = [row["grad"]["mu"], row["grad"]["sigma"]]
    np.testing.assert_allclose(est.flat, truth, atol=1e-9)
    np.testing.assert_allclose(est.flat_stderr, 0, atol=1e-6)
