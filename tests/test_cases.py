"""Known answers of the Gaussian cases, the score table, and zero variance."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from gaussian import DATA, VARIANCES, cases, flat, runs, z_of_mean, z_of_variance
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

#: Of all z-scores; a single one is beyond it in 7 of a million.
LIMIT = 4.5
WITH_VARIANCE = [name for name, case in cases().items() if case.var is not None]
LARGE, LARGE_RUNS = 10_000, 2000


def seed_for(name, n):
    """Apart by more than any number of runs, for each case and size."""
    return 10**7 * (1 + list(cases()).index(name)) + 10**9 * n


@cache
def large_runs(name):
    """One set of runs that serves all tests of a case at large n."""
    case = cases()[name]
    return runs(case, LARGE, LARGE_RUNS, (*VARIANCES, case.scalar), seed_for(name, LARGE))


def within(z):
    assert np.max(np.abs(z)) < LIMIT, f"z = {z}"


@pytest.mark.parametrize("name", WITH_VARIANCE)
def test_value_and_gradient(name):
    case, many = cases()[name], large_runs(name)
    within(z_of_mean(many.value, case.value))
    for grad in many.grad.values():
        within(z_of_mean(grad, case.grad))


@pytest.mark.parametrize("name", WITH_VARIANCE)
def test_variance_of_one_sample(name):
    """Of the gradients themselves, and as the standard errors have it.

    The noise of an estimated coefficient adds O(1/n) to it: up to 0.6 % at this n.
    """
    case, many = cases()[name], large_runs(name)
    for baseline, grad in many.grad.items():
        exact = case.var[VARIANCES.get(baseline, "opt_scalar")]
        within(z_of_variance(grad * np.sqrt(LARGE), exact))
        reported = LARGE * many.stderr[baseline] ** 2
        if baseline in ("scalar", "optimal"):
            np.testing.assert_allclose(reported.mean(axis=0), exact, rtol=0.01)
        else:
            within(z_of_mean(reported, exact))


@pytest.mark.parametrize(("n", "count"), [(2, 6000), (4, 6000), (16, 3000)])
@pytest.mark.parametrize("name", WITH_VARIANCE)
def test_leave_one_out_at_small_n(name, n, count):
    case = cases()[name]
    grad = runs(case, n, count, ("mean",), seed_for(name, n)).grad["mean"]
    within(z_of_mean(grad, case.grad))
    within(z_of_variance(grad, case.var[f"loo_n{n}"]))


@pytest.mark.parametrize("name", [name for name in cases() if name not in WITH_VARIANCE])
def test_gradients_that_peers_test(name):
    case = cases()[name]
    grad = runs(case, 1000, 1000, (None, "optimal"), seed_for(name, 1000)).grad
    for baseline in (None, "optimal"):
        within(z_of_mean(grad[baseline], case.grad))


@pytest.mark.parametrize(
    "name", [name for name, case in cases().items() if case.fisher is not None]
)
def test_fisher_information(name):
    case = cases()[name]
    np.testing.assert_allclose(case.p.fisher(), case.fisher, rtol=1e-15)


@pytest.mark.parametrize(
    "p",
    [
        fs.Normal([0.5, -1.0], [0.7, 2.0]),
        fs.Normal([0.5, -1.0], log_scale=[0.3, -0.5]),
        fs.Normal([0.5, -1.0], 0.7),
        fs.Normal(0.5, log_scale=[0.3, -0.5]),
    ],
    ids=["scale", "log scale", "shared scale", "shared loc"],
)
def test_fisher_is_the_second_moment_of_the_score(p):
    s = p.score(p.sample(200_000, rng=8))
    products = s[:, :, None] * s[:, None, :]
    within(z_of_mean(s, 0.0))
    within(z_of_mean(products, p.fisher()))


# --- the score table ---


@pytest.mark.parametrize(
    "row",
    json.loads((DATA / "score_normal.json").read_text()),
    ids=lambda row: row["tag"] or "ordinary",
)
def test_score_table(row):
    mu = [row["params"]["mu"]]
    if row["family"] == "normal":
        p = fs.Normal(mu, [row["params"]["sigma"]])
    else:
        p = fs.Normal(mu, log_scale=[row["params"]["logsigma"]])
    rtol = 1e-12 if row["tag"] else 1e-14
    x = np.array([[row["x"]]])
    exact = [float(value) for value in row["score"].values()]
    np.testing.assert_allclose(p.score(x)[0], exact, rtol=rtol, atol=0)
    np.testing.assert_allclose(p.log_prob(x), float(row["logpdf"]), rtol=rtol, atol=0)


# --- zero variance ---


@njit
def constant(x, c):
    return c


@njit
def inverse_score(x, b, c, loc, scale, by_loc):
    """``b + c/s``, s the score by loc or by scale: ``(f − b) s = c`` has no variance at all."""
    z = (x[0] - loc) / scale
    return b + c * scale / (z if by_loc else (z - 1) * (z + 1))


@pytest.mark.parametrize("n", [2, 3, 13, 1000, 50_000])
@pytest.mark.parametrize("c", [7.3, -1e9, 0.0])
def test_constant_f_has_no_variance(n, c):
    p = fs.Normal([0.3, -2.0], [0.5, 3.0])
    for baseline in ("mean", "scalar", "optimal", c):
        estimate = fs.gradient(constant, p, args=(c,), n=n, rng=n, baseline=baseline)
        assert estimate.value == pytest.approx(c, rel=1e-15)
        assert estimate.value_stderr == 0
        np.testing.assert_array_equal(estimate.flat, 0)
        np.testing.assert_array_equal(flat(estimate.grad_stderr), 0)


@pytest.mark.parametrize(
    ("wrt", "n"), [("loc", 5), ("loc", 1000), ("scale", 5), ("scale", 1000), ("scale", 50_000)]
)
def test_given_optimal_baseline_leaves_no_variance(wrt, n):
    b, c, loc, scale = 4.0, -2.0, 0.5, 1.5
    args = (b, c, loc, scale, wrt == "loc")
    p = fs.Normal([loc], [scale])
    estimate = fs.gradient(inverse_score, p, args=args, wrt=wrt, n=n, rng=n, baseline=b)
    unaided = estimate.with_baseline(None)
    assert estimate.grad[wrt][0] == pytest.approx(c, rel=1e-13)
    variance = estimate.grad_stderr[wrt][0] ** 2
    assert variance < 1e-12 * unaided.grad_stderr[wrt][0] ** 2
