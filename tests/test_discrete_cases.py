"""Bernoulli and Categorical problems with known answers that ask for more than test_cases.py."""

from __future__ import annotations

import discrete
import numpy as np
import pytest
from cases import Case, flat, rows, runs, z_of_mean, z_of_variance
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
BASELINES = (None, 0.5, "mean", "scalar", "optimal")
ESTIMATED = ("mean", "scalar", "optimal")


def assert_unbiased(result, case):
    assert abs(z_of_mean(result.value, case.value)) < LIMIT
    for baseline, grad in result.grad.items():
        z = z_of_mean(grad, case.grad)
        assert np.abs(z).max() < LIMIT, f"baseline {baseline!r}: z = {z}"


# --- bias at small n ---


@pytest.mark.parametrize("n", [2, 3, 8])
def test_no_bias_where_plugin_baselines_have_one(n):
    """A mean of the same samples has a bias of 1/n, far beyond what these runs resolve."""
    params, answers = (
        discrete.entries()[f"plugin-bias-bern-n{n}"][key] for key in ("params", "small_n")
    )
    p, t = discrete.bernoulli_of_logit([params["theta"]]), params["t"]
    value = params["theta"] * (1 - 2 * t) + t**2
    case = Case(
        "plugin", discrete.distance, p, (np.array([t]),), ("logits",),
        np.array([answers["true_grad"]]), value,
    )  # fmt: skip
    result = runs(case, n, 20_000, BASELINES, 10**6 * n)
    assert_unbiased(result, case)
    left_out = result.grad["mean"]
    assert abs(z_of_variance(left_out, answers["leave_one_out"]["var"])[0]) < LIMIT
    for plugin in ("inbatch_mean", "inbatch_optimal"):
        assert abs(z_of_mean(left_out, answers[plugin]["mean"])[0]) > 2 * LIMIT


@pytest.mark.parametrize("n", [13, 25])
@pytest.mark.parametrize("name", ["bern-t0.45-th0.1-prob", "cat3"])
def test_unbiased_where_folds_may_miss_an_outcome(name, n):
    case = discrete.cases()[name]
    assert_unbiased(runs(case, n, 10_000, BASELINES, 10**7 * n), case)


# --- parametrisations ---


@pytest.mark.parametrize("name", [name for name in discrete.cases() if name.endswith("-prob")])
def test_estimates_by_probability_are_those_by_logit_to_a_factor(name):
    case, other = discrete.cases()[name], discrete.cases()[name.replace("-prob", "-logit")]
    p = case.p.parameters["probs"]
    for n in (2, 4, 16, 1000):
        by_prob, by_logit = (
            fs.gradient(c.f, c.p, args=c.args, n=n, rng=n, baseline=None) for c in (case, other)
        )
        size = np.abs(by_logit.flat).max()
        for baseline in BASELINES:
            one, two = by_prob.with_baseline(baseline), by_logit.with_baseline(baseline)
            np.testing.assert_allclose(one.flat * p * (1 - p), two.flat, atol=1e-12 * size)


def test_one_logit_for_three_coordinates():
    """By the chain rule: the gradient by a shared logit is the sum of its coordinates'."""
    row, count, n = discrete.entries()["bern-shared-eta-kool"], 2000, 10_000
    targets, eta = np.array(row["params"]["p"]), float(row["params"]["eta"])
    case = Case(
        row["id"], discrete.distance, fs.Bernoulli(logits=np.full(3, eta)), (targets,),
        ("logits",), (1 - 2 * targets) / 4, row["value"],
    )  # fmt: skip
    scalar = row["baseline"]["opt_scalar"]
    result = runs(case, n, count, (None, scalar, *ESTIMATED), 10**8)
    assert_unbiased(result, case)
    columns = {None: "none", "mean": "mean_baseline", "optimal": "opt_coord"}
    for baseline, grad in result.grad.items():
        shared, exact = grad.sum(axis=1), row["var"][columns.get(baseline, "opt_scalar")]["eta"]
        assert abs(z_of_mean(shared, row["grad"]["eta"])) < LIMIT
        assert abs(z_of_variance(shared * np.sqrt(n), exact)) < LIMIT


# --- f of the parameters ---


@pytest.mark.parametrize("n", [2, 13, 1000])
def test_divergence_with_its_direct_term(n):
    """``log p(x) − log q(x)`` depends on p: a direct term of mean 0, the score itself.

    One sample then varies as ``(f + 1) s`` does.
    """
    case = discrete.cases()["tfp-kl-bernoulli"]
    p, q = case.args
    f = fs.Integrand(discrete.log_ratio, direct=lambda x, p, q: (x - p) / (p * (1 - p)))
    whole = Case(case.name, f, case.p, case.args, case.wrt, case.grad, case.value)
    result = runs(whole, n, 5000, BASELINES, 10**6 * n)
    assert_unbiased(result, whole)
    outcomes = np.array([[0], [1]])
    terms = (discrete.log_ratio(outcomes, p, q) + 1) * (outcomes[:, 0] - p) / (p * (1 - p))
    exact = p * (1 - p) * (terms[1] - terms[0]) ** 2
    assert np.abs(z_of_variance(result.grad[None] * np.sqrt(n), exact)).max() < LIMIT


# --- Fisher information ---


def test_closed_forms_of_the_fisher_information():
    forms = {row["family"]: row["fisher"] for row in rows("fisher_forms.json")}
    p = np.array([0.1, 0.35, 0.5])
    assert forms["bernoulli(p)"] == "1/(p(1-p))"
    np.testing.assert_allclose(fs.Bernoulli(p).fisher(), np.diag(1 / (p * (1 - p))), rtol=1e-15)
    assert forms["bernoulli(logit)"] == "p(1-p)"
    fisher = discrete.bernoulli_of_logit(p).fisher()
    np.testing.assert_allclose(fisher, np.diag(p * (1 - p)), rtol=1e-14)
    assert forms["categorical(logits)"] == "diag(p)-pp^T, rank K-1"
    p = np.array([0.1, 0.35, 0.55])
    fisher = fs.Categorical(logits=np.log(p)).fisher()
    np.testing.assert_allclose(fisher, np.diag(p) - np.outer(p, p), rtol=1e-14)
    assert np.linalg.matrix_rank(fisher) == 2


@pytest.mark.parametrize("name", ["cat3", "cat6-storch"])
def test_singular_fisher(name):
    """A constant added to all logits changes nothing; the gradient is orthogonal to it."""
    case, row = discrete.cases()[name], discrete.entries()[name]
    fisher = case.p.fisher()
    assert row["fisher_singular"]
    assert np.linalg.matrix_rank(fisher) == len(fisher) - 1
    np.testing.assert_allclose(fisher.sum(axis=0), 0, atol=1e-16)
    natural = np.array(list(row["natural_grad_pinv"].values()))
    np.testing.assert_allclose(np.linalg.pinv(fisher) @ case.grad, natural, rtol=1e-12)
    estimate = fs.gradient(case.f, case.p, args=case.args, n=10_000, rng=2)
    for baseline in (None, 0.5, "mean", "scalar"):  # one b for all coordinates
        assert abs(estimate.with_baseline(baseline).flat.sum()) < 1e-13
    z = (estimate.flat - case.grad) / flat(estimate.grad_stderr)
    assert np.abs(z).max() < LIMIT


def test_scores_by_weights_are_orthogonal_to_them():
    """Weights count relative to their sum alone; twice the weights halve the gradient."""
    w, table = np.array([2.0, 3.0, 5.0]), np.array([1.0, 2.0, 4.0])
    one, two = (
        fs.gradient(discrete.table, fs.Categorical(w * factor), args=(table,), n=1000, rng=1)
        for factor in (1, 2)
    )
    np.testing.assert_allclose(two.flat, one.flat / 2, rtol=1e-13)
    assert abs(w @ one.with_baseline("mean").flat) < 1e-13
    np.testing.assert_allclose(fs.Categorical(w).fisher() @ w, 0, atol=1e-16)
    exact = (table - (w @ table) / w.sum()) / w.sum()
    assert np.abs((one.flat - exact) / flat(one.grad_stderr)).max() < LIMIT


# --- offsets ---


@njit
def steps(x, offset):
    """``2.4 × index`` of cat6-storch, in integers, so that adding 100 rounds nothing."""
    return 24 * (x[0] + 1) + offset


@pytest.mark.parametrize("n", [2, 13, 1000, 100_000])
def test_offset_changes_nothing(n):
    p = discrete.cases()["cat6-storch"].p
    small, large = (fs.gradient(steps, p, args=(offset,), n=n, rng=n) for offset in (0, 1000))
    assert large.value - 1000 == pytest.approx(small.value, rel=1e-13)
    for baseline in ESTIMATED:
        one, two = small.with_baseline(baseline), large.with_baseline(baseline)
        size = np.abs(one.flat).max()
        np.testing.assert_allclose(two.flat, one.flat, rtol=1e-13, atol=1e-14 * size)
        np.testing.assert_allclose(
            flat(two.grad_stderr), flat(one.grad_stderr), rtol=1e-13, atol=1e-14 * size
        )


def test_offset_costs_variance_without_a_baseline():
    """``Var((f + c) s) = Var(f s) + 2 c Cov(f s, s) + c² E[s²]``."""
    case, count, n, offset = discrete.cases()["cat6-storch"], 2000, 1000, 100.0
    table = case.args[0] + offset
    shifted = Case(case.name, case.f, case.p, (table,), case.wrt, case.grad, case.value + offset)
    result = runs(shifted, n, count, (None, "optimal"), 10**9)
    assert_unbiased(result, shifted)
    square, best = (
        case.fisher.diagonal(),
        np.array(list(discrete.entries()[case.name]["baseline"]["opt_coord"].values())),
    )
    exact = case.var["none"] + square * offset * (offset + 2 * best)
    assert np.abs(z_of_variance(result.grad[None] * np.sqrt(n), exact)).max() < LIMIT
    assert np.all(exact > 50 * case.var["none"])
