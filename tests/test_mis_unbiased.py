"""Importance sampling is unbiased at any number of units, and its standard errors are honest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import discrete
import numpy as np
import pytest
from cases import flat, z_of_mean
from numba import config, njit

import fastscore as fs
from fastscore.families import Family

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
BASELINES = (None, 3.0, "mean", "scalar", "optimal")


@dataclass(frozen=True)
class Problem:
    """f, p and proposals of unequal shares, with the exact value and gradient."""

    f: object
    args: tuple
    p: Family
    families: list
    counts: tuple[int, ...]
    value: float
    grad: np.ndarray


@njit
def polynomial(x):
    return (x[0] + 3.0) ** 2 + x[1]


def normals():
    """With proposals that each cover p, and whose weights' fourth moments are moderate."""
    loc, scale = np.array([1.0, -0.5]), np.array([1.0, 0.8])
    return Problem(
        polynomial, (), fs.Normal(loc, scale),
        [fs.Normal(loc - 0.6, 1.3 * scale), fs.Normal(loc + 0.5, [1.2, 1.0])], (1, 2),
        16 + 1 - 0.5, np.array([8.0, 1.0, 2.0, 0.0]),
    )  # fmt: skip


TABLE = np.array([1.0, 2.0, 4.0, 8.0])
PROBS = np.array([0.4, 0.3, 0.2, 0.1])


def looked_up(x):
    return TABLE[x[:, 0]]


def classes(f=discrete.table, args=(TABLE,)):
    """The trap of FORMULAS §3: folds of single proposals gave −0.959 for −0.640."""
    families = [fs.Categorical([0.7, 0.1, 0.1, 0.1]), fs.Categorical([0.1, 0.2, 0.3, 0.4])]
    p = fs.Categorical(logits=np.log(PROBS))
    return Problem(f, args, p, families, (3, 1), 2.6, PROBS * (TABLE - 2.6))


def halves(f=discrete.table, args=(TABLE,)):
    """Proposals which each miss part of the support."""
    families = [fs.Categorical([0.8, 0.2, 0.0, 0.0]), fs.Categorical([0.0, 0.2, 0.4, 0.4])]
    p = fs.Categorical(logits=np.log(PROBS))
    return Problem(f, args, p, families, (1, 3), 2.6, PROBS * (TABLE - 2.6))


PROBLEMS = {
    "normals": normals, "classes": classes, "halves": halves,
    "classes, NumPy": lambda: classes(looked_up, ()),
    "halves, NumPy": lambda: halves(looked_up, ()),
}  # fmt: skip


class Runs:
    """Values, gradients by baseline, and standard errors of both, of many independent runs."""

    def __init__(self, problem, units, count, baselines=BASELINES, **options):
        if options.get("defensive"):
            n = units * (len(problem.families) + 1)  # as all shares are equal there
        elif options.get("heuristic") == "mixture":
            n, options["allocation"] = units, problem.counts
        else:
            n, options["allocation"] = None, np.array(problem.counts) * units
        proposals = fs.Proposals(problem.families, **options)
        shape, seed = (count, problem.grad.size), 10**6 * units
        self.value, self.value_stderr = np.empty((2, count))
        self.grad = {b: np.empty(shape) for b in baselines}
        self.stderr = {b: np.empty(shape) for b in baselines}
        for i in range(count):
            first = fs.gradient(
                problem.f, problem.p, args=problem.args, proposals=proposals, n=n, rng=seed + i,
                threads=1, baseline=baselines[0],
            )  # fmt: skip
            assert first.dof == units - 1
            self.value[i], self.value_stderr[i] = first.value, first.value_stderr
            for b in baselines:
                est = first.with_baseline(b)
                self.grad[b][i], self.stderr[b][i] = est.flat, flat(est.grad_stderr)


def assert_unbiased(runs, problem):
    assert abs(z_of_mean(runs.value, problem.value)) < LIMIT
    for baseline, grad in runs.grad.items():
        z = z_of_mean(grad, problem.grad)
        assert np.abs(z).max() < LIMIT, f"baseline {baseline!r}: z = {z}"


# --- bias ---


@pytest.mark.parametrize("heuristic", ["balance", "power", "cutoff", "maximum", "mixture"])
@pytest.mark.parametrize("name", ["normals", "classes", "halves"])
def test_unbiased_under_every_baseline(name, heuristic):
    problem = PROBLEMS[name]()
    for units in (2, 12):
        assert_unbiased(Runs(problem, units, 500, heuristic=heuristic), problem)


@pytest.mark.parametrize("heuristic", ["balance", "mixture"])
@pytest.mark.parametrize("name", ["classes, NumPy", "halves, NumPy"])
def test_unbiased_if_called_by_numpy(name, heuristic):
    """There f's own values give the reference that is subtracted: no result may depend on it."""
    problem = PROBLEMS[name]()
    for units, count in ((2, 1500), (4, 1500), (12, 700)):
        assert_unbiased(Runs(problem, units, count, heuristic=heuristic), problem)


@pytest.mark.parametrize("units", [3, 13, 30])
def test_unbiased_at_every_number_of_units(units):
    problem = classes()
    assert_unbiased(Runs(problem, units, 1200), problem)


def test_unbiased_under_the_matrix_baseline():
    problem = classes()
    assert_unbiased(Runs(problem, 40, 200, ("matrix",)), problem)


@pytest.mark.parametrize("name", ["normals", "classes"])
def test_unbiased_under_constant_weights(name):
    problem = PROBLEMS[name]()
    for weights in (None, [0.9, 0.1]):
        runs = Runs(
            problem, 12, 600, (None, "mean", "optimal"), heuristic="constant", covering=True,
            weights=weights,
        )  # fmt: skip
        assert_unbiased(runs, problem)


CONTROLS = {
    "proposals": {"control_variates": "proposals"},
    "target": {"control_variates": "target"},
    "both": {"control_variates": ("proposals", "target")},
    "optimal": {"heuristic": "optimal"},
}


@pytest.mark.parametrize("controls", ["both", "optimal"])
@pytest.mark.parametrize("name", ["normals", "classes", "halves, NumPy"])
def test_unbiased_with_controls(name, controls):
    problem = PROBLEMS[name]()
    for units in (13, 30):
        runs = Runs(problem, units, 300, (None, "optimal"), **CONTROLS[controls])
        assert_unbiased(runs, problem)


def test_unbiased_with_a_defensive_share_and_a_direct_term():
    """``(x − c loc)²``: its mean is ``loc² (1 − c)² + scale²``."""
    c, loc, scale = -1.5, 1.2, 0.8

    def f(x):
        return (x[:, 0] - c * loc) ** 2

    def direct(x):
        out = np.zeros((len(x), 2))
        out[:, 0] = -2 * c * (x[:, 0] - c * loc)
        return out

    problem = Problem(
        fs.Integrand(f, direct=direct), (), fs.Normal([loc], [scale]), [fs.Normal([2.0], [1.0])],
        (1,), loc**2 * (1 - c) ** 2 + scale**2, np.array([2 * loc * (1 - c) ** 2, 2 * scale]),
    )  # fmt: skip
    for units in (2, 13):
        for options in ({}, {"control_variates": ("proposals", "target")}):
            runs = Runs(
                problem, units, 500, (None, "mean", "optimal"), defensive=0.5, **options
            )  # fmt: skip
            assert_unbiased(runs, problem)


def test_self_normalised_bias_falls_as_one_over_n():
    """It is there at two units, and gone to within what the runs resolve at 1000."""
    problem = classes()
    few = Runs(problem, 2, 2500, (None,), self_normalized=True)
    many = Runs(problem, 1000, 400, (None, "mean"), self_normalized=True)
    assert np.abs(z_of_mean(few.grad[None], problem.grad)).max() > LIMIT
    assert abs(z_of_mean(many.value, problem.value)) < LIMIT
    for grad in many.grad.values():
        assert np.abs(z_of_mean(grad, problem.grad)).max() < LIMIT


# --- standard errors ---


def assert_honest(runs, problem, *, units):
    """``E[se²] = E[(estimate − truth)²]``, the squares being paired."""
    estimates = {"value": (runs.value[:, None], runs.value_stderr[:, None], problem.value)}
    for b, grad in runs.grad.items():
        estimates[b] = grad, runs.stderr[b], problem.grad
    for which, (estimate, stderr, truth) in estimates.items():
        off = (estimate - truth) ** 2 - stderr**2
        z = off.mean(axis=0) / (off.std(axis=0) / math.sqrt(len(off)) + 1e-300)
        exact = np.all(np.abs(estimate - truth) < 1e-13, axis=0)
        assert np.abs(np.where(exact, 0, z)).max() < LIMIT, f"{which!r}, {units} units: z = {z}"


HONEST = {
    "balance": {}, "power": {"heuristic": "power"}, "cutoff": {"heuristic": "cutoff"},
    "maximum": {"heuristic": "maximum"}, "mixture": {"heuristic": "mixture"},
    "constant": {"heuristic": "constant", "covering": True}, "defensive": {"defensive": 1 / 3},
    "never clipped": {"clip": 1e6}, "self-normalised": {"self_normalized": True},
    "self-normalised mixture": {"self_normalized": True, "heuristic": "mixture"},
    "self-normalised power": {"self_normalized": True, "heuristic": "power"},
    "both": CONTROLS["both"], "optimal": CONTROLS["optimal"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("classes", options) for options in HONEST),
        *(("normals", options) for options in ("balance", "self-normalised", "both", "optimal")),
    ],
)
def test_standard_errors_are_honest(name, options):
    problem, options = PROBLEMS[name](), HONEST[options]
    runs = Runs(problem, 500, 400, (None, "mean", "optimal"), **options)
    assert_honest(runs, problem, units=500)
    if not options.get("self_normalized"):
        assert_unbiased(runs, problem)


@pytest.mark.parametrize("heuristic", ["balance", "power", "cutoff", "maximum", "mixture"])
def test_standard_errors_without_a_baseline_are_exact_at_two_units(heuristic):
    problem = classes()
    runs = Runs(problem, 2, 1000, (None,), heuristic=heuristic)
    assert_honest(runs, problem, units=2)


def test_intervals_cover():
    problem, level, count = normals(), 0.9, 1000
    proposals = fs.Proposals(problem.families, allocation=problem.counts)
    hits = np.zeros(1 + problem.grad.size)
    for seed in range(count):
        est = fs.gradient(
            problem.f, problem.p, proposals=proposals, n=1500, rng=10**7 + seed, threads=1
        )
        low, high = (
            np.concatenate([np.ravel(v[i]) for v in est.interval(level).values()]) for i in (0, 1)
        )
        hits[1:] += (low <= problem.grad) & (problem.grad <= high)
        low, high = est.value_interval(level)
        hits[0] += low <= problem.value <= high
    error = math.sqrt(level * (1 - level) / count)
    assert np.all(np.abs(hits / count - level) < LIMIT * error), hits / count


# --- what controls buy ---


@pytest.mark.parametrize("name", ["normals", "classes", "halves"])
def test_controls_do_not_raise_the_variance_at_many_units(name):
    problem = PROBLEMS[name]()
    plain = Runs(problem, 1000, 30, (None,))
    for options in CONTROLS.values():
        runs = Runs(problem, 1000, 30, (None,), **options)
        assert np.all(runs.stderr[None] < 1.01 * plain.stderr[None])
        assert np.all(runs.value_stderr < 1.01 * plain.value_stderr)


def test_controls_and_baseline_are_fitted_together():
    """Beside its own score a coordinate gains from controls what neither gives alone."""
    problem = normals()
    separate = Runs(problem, 1000, 20, (None, "optimal"))
    joint = Runs(problem, 1000, 20, (None, "optimal"), **CONTROLS["both"])
    best = np.minimum(separate.stderr["optimal"], joint.stderr[None])
    assert np.all(joint.stderr["optimal"] < 1.01 * best)


def test_controls_leave_nothing_where_they_are_all_there_is():
    """``f = q₀/p`` weighs in at a control, ``q₀/q̄``: no variance is left of its mean, 1."""
    p = fs.Normal([0.0], [1.0])
    families = [fs.Normal([0.5], [1.2]), fs.Normal([-0.5], [1.5])]

    def ratio(x):
        return np.exp(families[0].log_prob(x) - p.log_prob(x))

    proposals = fs.Proposals(families, heuristic="optimal")
    est = fs.gradient(ratio, p, proposals=proposals, n=20_000, rng=1)
    assert est.value == pytest.approx(1.0, rel=1e-9)
    assert est.value_stderr < 1e-8
