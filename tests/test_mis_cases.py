"""Multiple importance sampling held to problems with known answers: mean and variance of schemes.

No order among the heuristics is assumed: each has its own variance.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import discrete
import gaussian
import naive
import numpy as np
import pytest
from cases import rows, z_of_mean, z_of_variance
from numba import config, njit

import fastscore as fs
from fastscore.families import Family

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
CASES = {row["id"]: row for row in rows("mis_cases.json")}
VALUES = [name for name in CASES if name.startswith("mis-")]
GRADIENTS = [name for name in CASES if name.startswith("misgrad-")]
#: Whose proposals each miss part of the support.
PARTIAL = "mis-disc2-partialsupport"
RUNS = 1000
#: By the names of the file, how to ask for a scheme whose weights need no estimate.
SCHEMES = {
    "balance": {"heuristic": "balance"},
    "power2": {"heuristic": "power"},
    "max": {"heuristic": "maximum"},
    "cutoff0.1": {"heuristic": "cutoff"},
    "const": {"heuristic": "constant", "covering": True},
    "one_sample_mixture_N": {"heuristic": "mixture"},
}
#: The proposals of the cases with normals, loc and scale.
NORMALS = {
    "misgrad-gauss-2prop": [(-1.0, 1.5), (2.0, 1.0)],
    "misgrad-gauss-narrow+wide": [(0.0, 0.6), (1.0, 1.5)],
}


def exact(text):
    return np.array([float(Fraction(t)) for t in text])


@dataclass(frozen=True)
class Problem:
    """f with its arguments, p, proposals, samples of each in a unit, and the true gradient."""

    f: object
    args: tuple
    p: Family
    families: list
    counts: tuple[int, ...]
    grad: np.ndarray


@cache
def problem(name):
    row = CASES[name]
    counts = tuple(row["params"]["n"])
    if name in NORMALS:
        families = [fs.Normal([loc], [scale]) for loc, scale in NORMALS[name]]
        grad = np.array(list(row["grad"].values()))
        return Problem(
            gaussian.quadratic, (0.0,), fs.Normal([0.0], [1.0]), families, counts, grad
        )  # fmt: skip
    probs, table = exact(row["params"]["p"]), exact(row["params"]["f"])
    families = [fs.Categorical(exact(q)) for q in row["params"]["q"]]
    p, grad = fs.Categorical(logits=np.log(probs)), probs * (table - probs @ table)
    return Problem(discrete.table, (table,), p, families, counts, grad)


def estimates(name, proposals, n, count, seed):
    """Values (R,) and gradients (R, P) of many independent runs without a baseline."""
    case = problem(name)
    value, flat = np.empty(count), np.empty((count, case.grad.size))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*standard error", RuntimeWarning)
        for i in range(count):
            est = fs.gradient(
                case.f, case.p, args=case.args, proposals=proposals, n=n, rng=seed + i,
                baseline=None, threads=1,
            )  # fmt: skip
            value[i], flat[i] = est.value, est.flat
    assert n is None or est.n == n
    return value, flat


def in_units(name, units=1, **options):
    """Proposals of a case that give each its samples in so many units: counts, without an n."""
    case = problem(name)
    return fs.Proposals(case.families, allocation=np.array(case.counts) * units, **options)


def variance_of(name, scheme):
    row = CASES[name]
    return float(Fraction(row["var_exact"][scheme]))


def assert_mean(samples, truth):
    z = z_of_mean(samples, truth)
    assert np.abs(z).max() < LIMIT, z


def assert_variance(samples, truth):
    z = z_of_variance(samples, truth)
    assert np.abs(z).max() < LIMIT, z


# --- the oracle itself, without a sample: E and Var of one unit, outcome by outcome ---


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", VALUES)
def test_weights_in_plain_numpy(name, scheme):
    params = CASES[name]["params"]
    p, f, q = exact(params["p"]), exact(params["f"]), np.array([exact(q) for q in params["q"]])
    counts, outcomes = np.array(params["n"]), np.arange(len(p))
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(p), np.log(q)
    heuristic = SCHEMES[scheme]["heuristic"]
    if heuristic == "mixture":
        q, times = counts / counts.sum() @ q, [counts.sum()]
    else:
        times = counts
    mean = variance = 0.0
    for j, (q_j, count) in enumerate(zip(q.reshape(len(times), -1), times, strict=True)):
        x = outcomes[q_j > 0]  # of a sample from q_j
        weights = naive.importance_weights(
            heuristic, log_p[x], log_q[:, x], counts, np.full(len(x), j)
        )
        terms = weights * f[x] / (count if heuristic == "mixture" else 1)
        one = q_j[x] @ terms
        mean += count * one
        variance += count * q_j[x] @ (terms - one) ** 2
    truth = CASES[name].get("biased", {}).get(scheme, CASES[name]["value_exact"])
    assert mean == pytest.approx(float(Fraction(truth)), rel=1e-14)
    assert variance == pytest.approx(variance_of(name, scheme), rel=1e-13, abs=1e-15)


# --- sums over four outcomes: the value ---


@pytest.mark.parametrize(
    ("name", "scheme"),
    [(n, s) for n in VALUES for s in SCHEMES if (n, s) != (PARTIAL, "const")],  # which is refused
)
def test_value(name, scheme):
    value, grad = estimates(name, in_units(name, **SCHEMES[scheme]), None, RUNS, 10**5)
    assert_mean(value, CASES[name]["value"])
    assert_mean(grad, problem(name).grad)
    variance = variance_of(name, scheme)
    if variance:
        assert_variance(value, variance)
    else:
        assert np.abs(value - CASES[name]["value"]).max() < 1e-14


@pytest.mark.parametrize("heuristic", ["balance", "cutoff", "mixture", "optimal"])
def test_perfect_mixture(heuristic):
    """``p = q̄`` and f = 1: each sample has the same weight, whoever it comes from."""
    case = problem("mis-disc2-perfectmix")
    proposals = fs.Proposals(case.families, heuristic=heuristic)
    for n in (10, 2000, 100_000):
        est = fs.gradient(case.f, case.p, args=case.args, proposals=proposals, n=n, rng=n)
        assert abs(est.value - 1) < 1e-14
        assert est.value_stderr < 1e-8
        assert est.ess == pytest.approx(n, rel=1e-12)
        assert est.pareto_k == (np.inf if n == 10 else -np.inf)  # too few, bounded


@pytest.mark.parametrize("name", VALUES)
def test_optimal_weights_of_the_value(name):
    """Controls with estimated coefficients: at many units, the variance of the known ones."""
    units = 2000
    value, grad = estimates(name, in_units(name, units, heuristic="optimal"), None, 1000, 10**6)
    assert_mean(value, CASES[name]["value"])
    assert_mean(grad, problem(name).grad)
    variance = variance_of(name, "optimal")
    if variance:
        assert_variance(value * np.sqrt(units), variance)
    else:
        assert np.abs(value - CASES[name]["value"]).max() < 1e-13


@pytest.mark.parametrize(
    ("name", "which"),
    [(n, j) for n in VALUES if n != PARTIAL for j in range(len(CASES[n]["params"]["q"]))],
)
def test_one_proposal_alone(name, which):
    case = problem(name)
    value, flat = estimates(name, case.families[which], sum(case.counts), RUNS, 10**5)
    assert_mean(value, CASES[name]["value"])
    assert_mean(flat, case.grad)
    assert_variance(value, CASES[name]["single_proposal_var_N_draws"][which])


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("name", ["mis-disc2", "mis-disc2-perfectmix"])
def test_self_normalised_value(name, n):
    """Biased: its mean is not the value, but known."""
    answers = CASES[name]["snis_q0"][f"n{n}"]
    proposals = fs.Proposals(problem(name).families[:1], self_normalized=True)
    value, _ = estimates(name, proposals, n, 2500, 10**5 * n)
    assert_mean(value, answers["mean"])
    if answers["var"]:
        assert_variance(value, answers["var"])
        assert abs(z_of_mean(value, CASES[name]["value"])) > LIMIT
    else:
        assert np.abs(value - 1).max() < 1e-15


# --- the gradient ---


GRADIENT_SCHEMES = [
    (name, scheme)
    for name in GRADIENTS
    for scheme in SCHEMES
    if scheme in CASES[name]["var"]  # constant weights of normals: a variance out of reach
]


@pytest.mark.parametrize(("name", "scheme"), GRADIENT_SCHEMES)
def test_gradient(name, scheme):
    _, grad = estimates(name, in_units(name, **SCHEMES[scheme]), None, RUNS, 10**5)
    assert_mean(grad, list(CASES[name]["grad"].values()))
    assert_variance(grad, list(CASES[name]["var"][scheme].values()))


@pytest.mark.parametrize("name", GRADIENTS)
def test_optimal_weights_of_the_gradient(name):
    units = 2000
    _, grad = estimates(name, in_units(name, units, heuristic="optimal"), None, 1000, 10**6)
    assert_mean(grad, list(CASES[name]["grad"].values()))
    key = next(key for key in CASES[name]["var"] if key.startswith("optimal"))
    assert_variance(grad * np.sqrt(units), list(CASES[name]["var"][key].values()))


def test_constant_weights_of_narrow_normals():
    """A narrow proposal covers p, if badly: it is declared to, and ``pareto_k`` objects."""
    case = problem("misgrad-gauss-narrow+wide")
    constant = fs.Proposals(case.families, heuristic="constant", covering=True)
    est, balance = (
        fs.gradient(case.f, case.p, args=case.args, proposals=proposals, n=100_000, rng=1)
        for proposals in (constant, case.families)
    )
    assert est.pareto_k > 0.5 > balance.pareto_k
    assert est.ess < balance.ess


def test_one_proposal_of_two_draws():
    name = "misgrad-gauss-2prop"
    _, grad = estimates(name, problem(name).families[0], 2, RUNS, 10**5)
    assert_mean(grad, list(CASES[name]["grad"].values()))
    assert_variance(grad, list(CASES[name]["var"]["q1_alone_2draws"].values()))


@pytest.mark.parametrize("name", ["mis-disc2-n13", "mis-disc3-n234"])
def test_counts_are_met_with_n_and_without(name):
    """Whole numbers of samples are shares that a small n meets exactly too."""
    case, size = problem(name), sum(problem(name).counts)
    proposals = in_units(name)
    for n in (size, 2 * size, 7 * size, None):
        _, index = proposals.sample(case.p, n, rng=1)
        met = np.bincount(index)
        np.testing.assert_array_equal(met, np.array(case.counts) * ((n or size) // size))


# --- support ---


def run(proposals, n):
    case = problem(PARTIAL)
    return fs.gradient(case.f, case.p, args=case.args, proposals=proposals, n=n, rng=0)


def test_constant_weights_are_refused_where_they_are_biased():
    families = problem(PARTIAL).families
    for covering in (False, True):
        with pytest.raises(ValueError, match=r"heuristic='constant'"):
            run(fs.Proposals(families, heuristic="constant", covering=covering), 1000)


@pytest.mark.parametrize("which", [0, 1])
def test_one_proposal_that_misses_outcomes_is_refused(which):
    family = problem(PARTIAL).families[which]
    missed = r"\[2\]" if which == 0 else r"\[0\]"
    for n in (1, 2, 1000):
        for options in ({}, {"self_normalized": True}, {"heuristic": "mixture"}):
            with pytest.raises(ValueError, match=rf"no proposal reaches x = {missed}"):
                run(fs.Proposals([family], **options), n)
    est = run(fs.Proposals([family], defensive=0.1), 100_000)
    assert abs(est.value - CASES[PARTIAL]["value"]) < LIMIT * est.value_stderr


# --- a defensive share ---


@njit
def tail(x):
    return 1.0 if x[0] > 3 else 0.0


@pytest.mark.parametrize(
    ("key", "units", "of_unit", "options"),
    [
        ("q_alone", 1000, 1, {}),
        ("defensive_.1", 1000, 1, {"heuristic": "mixture", "defensive": 0.1}),
        (
            "defensive_.1+cv_p (Owen-Zhou beta*)", 1000, 10,
            {"defensive": 0.1, "control_variates": "target"},
        ),
    ],
)  # fmt: skip
def test_tail_of_a_normal(key, units, of_unit, options):
    case = CASES["is-defensive-tail3"]
    p, q = fs.Normal([0.0], [1.0]), fs.Normal([3.3], [0.8])
    proposals, n = fs.Proposals([q], **options), units * of_unit
    value = np.array([
        fs.gradient(tail, p, proposals=proposals, n=n, rng=10**6 + i, threads=1).value
        for i in range(1000)
    ])  # fmt: skip
    assert_mean(value, case["value"])
    assert_variance(value * np.sqrt(n), case["var"][key]["I"])
