"""Known answers of all cases, the score table, and zero variance."""

from __future__ import annotations

from functools import cache

import discrete
import gaussian
import numpy as np
import pytest
from cases import VARIANCES, flat, rows, runs, z_of_mean, z_of_variance
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

#: Of all z-scores; a single one is beyond it in 7 of a million.
LIMIT = 4.5
CASES = gaussian.cases() | discrete.cases()
WITH_VARIANCE = [name for name, case in CASES.items() if case.var is not None]
LARGE, LARGE_RUNS = 10_000, 2000


def seed_for(name, n):
    """Apart by more than any number of runs, for each case and size."""
    return 10**7 * (1 + list(CASES).index(name)) + 10**9 * n


@cache
def large_runs(name):
    """One set of runs that serves all tests of a case at large n."""
    case = CASES[name]
    return runs(case, LARGE, LARGE_RUNS, (*VARIANCES, case.scalar), seed_for(name, LARGE))


def within(z):
    assert np.max(np.abs(z), initial=0) < LIMIT, f"z = {z}"


@pytest.mark.parametrize("name", WITH_VARIANCE)
def test_value_and_gradient(name):
    case, many = CASES[name], large_runs(name)
    within(z_of_mean(many.value, case.value))
    for grad in many.grad.values():
        within(z_of_mean(grad, case.grad))


@pytest.mark.parametrize("name", WITH_VARIANCE)
def test_variance_of_one_sample(name):
    """Of the gradients themselves, and as the standard errors have it.

    The noise of an estimated coefficient adds O(1/n) to it: up to 0.6 % at this n.  Standard errors
    with the leave-one-out mean contain some of what it adds.
    """
    case, many = CASES[name], large_runs(name)
    for baseline, grad in many.grad.items():
        one, exact = case.variance_of_one(baseline), case.variance(baseline, LARGE)
        some = one > 0
        grad, reported = grad[:, some], LARGE * many.stderr[baseline][:, some] ** 2
        within(z_of_variance(grad * np.sqrt(LARGE), exact[some]))
        if baseline in ("scalar", "optimal"):
            off = np.abs(reported.mean(axis=0) - exact[some])
            assert np.all(off < 0.01 * exact[some] + LIMIT * reported.std(axis=0) / LARGE_RUNS**0.5)
        else:
            assert np.all(z_of_mean(reported, one[some]) > -LIMIT)
            assert np.all(z_of_mean(reported, exact[some]) < LIMIT)


@pytest.mark.parametrize(
    "name", [name for name in WITH_VARIANCE if not CASES[name].var["opt_coord"].any()]
)
@pytest.mark.parametrize("baseline", ["scalar", "optimal", "given"])
def test_optimum_that_leaves_no_variance(name, baseline):
    """Of a single Bernoulli: two outcomes, and two coefficients to fit them."""
    case, many = CASES[name], large_runs(name)
    baseline = case.scalar if baseline == "given" else baseline
    np.testing.assert_allclose(many.grad[baseline] / case.grad, 1, rtol=1e-12)
    reported = LARGE * many.stderr[baseline] ** 2
    assert np.all(reported < 1e-12 * case.var["none"])


@pytest.mark.parametrize(("n", "count"), [(2, 6000), (4, 6000), (16, 3000)])
@pytest.mark.parametrize("name", [name for name in WITH_VARIANCE if not name.endswith("-prob")])
def test_leave_one_out_at_small_n(name, n, count):
    """Cases by probability are those by logit, to a factor (test_discrete_cases.py)."""
    case = CASES[name]
    grad = runs(case, n, count, ("mean",), seed_for(name, n)).grad["mean"]
    within(z_of_mean(grad, case.grad))
    within(z_of_variance(grad, case.var[f"loo_n{n}"]))


@pytest.mark.parametrize("name", [name for name in CASES if name not in WITH_VARIANCE])
def test_gradients_that_peers_test(name):
    case = CASES[name]
    grad = runs(case, 1000, 1000, (None, "optimal"), seed_for(name, 1000)).grad
    for baseline in (None, "optimal"):
        within(z_of_mean(grad[baseline], case.grad))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.fisher is not None])
def test_fisher_information(name):
    case = CASES[name]
    rtol = 1e-14 if "logits" in case.p.parameters else 1e-15  # a logit of a probability rounds
    np.testing.assert_allclose(case.p.fisher(), case.fisher, rtol=rtol)


@pytest.mark.parametrize(
    "p",
    [
        fs.Normal([0.5, -1.0], [0.7, 2.0]),
        fs.Normal([0.5, -1.0], log_scale=[0.3, -0.5]),
        fs.Normal([0.5, -1.0], 0.7),
        fs.Normal(0.5, log_scale=[0.3, -0.5]),
        fs.Bernoulli([0.5, 0.2, 0.95]),
        fs.Bernoulli(logits=[0.5, -2.0, 3.0]),
        fs.Categorical([0.2, 0.3, 0.5]),
        fs.Categorical([[2.0, 0.1], [0.3, 0.5]]),
        fs.Categorical(logits=[0.5, 2.0, -1.0]),
        fs.Categorical(logits=[[0.5, 2.0, -1.0], [0.0, 0.0, 0.0]]),
    ],
    ids=repr,
)
def test_fisher_is_the_second_moment_of_the_score(p):
    s = p.score(p.sample(200_000, rng=8))
    products = s[:, :, None] * s[:, None, :]
    within(z_of_mean(s, 0.0))
    within(z_of_mean(products, p.fisher()))


# --- the score table ---


@pytest.mark.parametrize(
    "row",
    rows("score_normal.json") + rows("score_discrete.json"),
    ids=lambda row: row["tag"] or "ordinary",
)
def test_score_table(row):
    make = {
        "normal": lambda mu, sigma: fs.Normal([mu], [sigma]),
        "normal_logscale": lambda mu, logsigma: fs.Normal([mu], log_scale=[logsigma]),
        "bernoulli_logit": lambda logit: fs.Bernoulli(logits=[logit]),
        "categorical_logits": lambda logits: fs.Categorical(logits=logits),
    }[row["family"]]
    p = make(**row["params"])
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
