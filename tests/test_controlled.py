"""Estimates with control variates: held to plain NumPy, to known variances, and unbiased."""

from __future__ import annotations

import math
from dataclasses import replace

import naive
import numpy as np
import pytest
from cases import flat, rows, z_of_mean, z_of_variance
from numba import cfunc, config, njit
from oracle import assert_agrees, labels
from test_control_variates import GAUSSIANS, HESSIAN, SLOPE, exact_mean, numerical_gradient

import fastscore as fs
from fastscore.engine.draw import draw_units
from fastscore.integrand import Integrand
from fastscore.plan import Plan
from fastscore.variance.control_variates import Controls

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
LOC, SCALE = np.array([1.0, -0.5]), np.array([1.0, 0.7])
P = fs.Normal(LOC, SCALE)


# --- f, and controls, compiled and NumPy-style ---


@njit
def waves(x):
    return math.cos(x[0]) + x[0] * x[1] + 3.0


def waves_numpy(X):
    return np.cos(X[:, 0]) + X[:, 0] * X[:, 1] + 3.0


@njit
def line(x):
    return x[0] - x[1]


@njit
def wave(x):
    return math.sin(x[1])


@njit
def square(x):
    return x[0] ** 2


NUMPY = {
    line: lambda X: X[:, 0] - X[:, 1],
    wave: lambda X: np.sin(X[:, 1]),
    square: lambda X: X[:, 0] ** 2,
}
DAMPED = math.exp(-(SCALE[1] ** 2) / 2)
OF_WAVE = {
    "loc": [0.0, DAMPED * math.cos(LOC[1])],
    "scale": [0.0, -SCALE[1] * DAMPED * math.sin(LOC[1])],
}
OF_SQUARE = {"loc": [2 * LOC[0], 0.0], "scale": [2 * SCALE[0], 0.0]}


def controls(check=False, **given):
    """Three: itself, and two multiplied by scores, of which one may be given a coefficient."""
    return [
        fs.ControlVariate(line, LOC[0] - LOC[1], check=check),
        fs.ControlVariate(wave, DAMPED * math.sin(LOC[1]), OF_WAVE, check=check),
        fs.ControlVariate(square, LOC[0] ** 2 + SCALE[0] ** 2, OF_SQUARE, check=check, **given),
    ]


def exact():
    """``E waves`` and its gradient."""
    damped = math.exp(-(SCALE[0] ** 2) / 2)
    wave = math.cos(LOC[0]) * damped
    slope = -math.sin(LOC[0]) * damped
    return wave + LOC[0] * LOC[1] + 3, np.array([slope + LOC[1], LOC[0], -SCALE[0] * wave, 0.0])


# --- the estimator in plain NumPy ---


def samples_and_folds(f, given, n, seed):
    """Samples of a run, and the fold of each: those of units of one sample."""
    plan = Plan(Integrand(f), P, (), n, seed, 1)
    prepared = Controls(
        tuple((Integrand(one.f), ()) for one in given),
        np.array([one.mean for one in given]),
        np.full((len(given), P.size), np.nan), np.full(len(given), np.nan),
        np.zeros(len(given), bool), False,
    )  # fmt: skip
    plan = replace(plan, functions=plan.control_functions(prepared))
    return draw_units(plan._mixture, plan._cut, seed), labels(plan._cut)


@pytest.mark.parametrize("n", [2, 11, 40, 5000])
@pytest.mark.parametrize("coefficient", [None, 0.7])
@pytest.mark.parametrize("kind", ["sample", "numpy"])
def test_three_controls_are_those_of_the_oracle(n, coefficient, kind):
    given = controls(coefficient=coefficient)
    f = waves
    if kind == "numpy":
        f, given = waves_numpy, [replace(one, f=NUMPY[one.f]) for one in given]
    x, folds = samples_and_folds(f, given, n, seed=3)
    s, values = naive.normal_score(x, LOC, SCALE), waves_numpy(x)
    twins = [
        naive.Control(
            NUMPY.get(one.f, one.f)(x), one.mean,
            None if one.gradient is None else flat(one.gradient), one.coefficient,
        )
        for one in given
    ]  # fmt: skip
    for baseline in (None, 0.7, "mean", "scalar", "optimal"):
        actual = fs.gradient(f, P, n=n, rng=3, baseline=baseline, control_variates=given, threads=1)
        expected = naive.unit_estimate(values, s, np.arange(n), folds, baseline, twins)
        assert_agrees(actual, expected, np.abs(values) + 3, s)
        assert actual.bias == "none"


# --- known variances: cv-delta-cos-k0.5 and -k1 ---


@njit
def cosine(x, k):
    return math.cos(k * x[0])


def delta(k, **options):
    return fs.DeltaMethod([-k * math.sin(k)], [-k * k * math.cos(k)], **options)


RUNS, N = 1000, 2000


@pytest.mark.parametrize("case", rows("control_cases.json"), ids=lambda c: c["id"])
def test_known_variances_of_the_delta_method(case):
    """Of f = cos kx at N(1, 1), with a coefficient of 1, the best one, and beside a baseline."""
    k, p = case["params"]["k"], fs.Normal([1.0], [1.0])
    found = {name: np.empty((RUNS, 2)) for name in case["var"] if name != "none"}
    for seed in range(RUNS):
        options = {"args": (k,), "n": N, "rng": seed, "threads": 1}
        whole = fs.gradient(
            cosine, p, baseline=None, control_variates=delta(k, coefficient=1.0), **options
        )
        joint = fs.gradient(cosine, p, control_variates=delta(k), **options)
        found["delta_cv_a1"][seed] = whole.flat
        found["delta_cv_aopt"][seed] = joint.with_baseline(None).flat
        found["delta_cv+baseline_opt"][seed] = joint.flat
    truth = np.array([case["grad"]["mu"], case["grad"]["sigma"]])
    for name, grads in found.items():
        known = np.array([case["var"][name]["mu"], case["var"][name]["sigma"]])
        assert np.abs(z_of_mean(grads, truth)).max() < LIMIT, name
        z = z_of_variance(np.sqrt(N) * grads, known)
        assert np.abs(z).max() < LIMIT, f"{name}: z = {z}"


# --- no variance is left ---


@njit
def quadratic(x, slope, hessian):
    total = 1.5
    for i in range(x.size):
        total += slope[i] * x[i]
        for j in range(x.size):
            total += 0.5 * hessian[i, j] * x[i] * x[j]
    return total


@pytest.mark.parametrize("p", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize("coefficient", [None, 1.0])
def test_a_quadratic_has_no_variance(p, coefficient):
    """1e-12 of what it has: rounding of sums of squares that cancel."""
    control = fs.DeltaMethod(lambda m: SLOPE + HESSIAN @ m, HESSIAN, coefficient=coefficient)
    options = {"args": (SLOPE, HESSIAN), "n": 500, "rng": 1}
    plain = fs.gradient(quadratic, p, **options)
    estimate = fs.gradient(quadratic, p, control_variates=control, **options)
    variance, before = flat(estimate.grad_stderr) ** 2, flat(plain.grad_stderr) ** 2
    assert np.all(variance <= 1e-12 * before.max())
    assert estimate.value_stderr**2 <= 1e-12 * plain.value_stderr**2
    assert estimate.value == pytest.approx(exact_mean(p), rel=1e-12)
    np.testing.assert_allclose(estimate.flat, numerical_gradient(p), rtol=1e-8, atol=1e-8)


@njit
def polynomial(x):
    return 2.0 + x[0] - 3.0 * x[1] + x[0] ** 2 + 0.5 * x[1] ** 2


@pytest.mark.parametrize("word", ["score", "statistics"])
def test_statistics_leave_no_variance_of_the_value_that_they_span(word):
    estimate = fs.gradient(polynomial, P, n=2000, rng=1, control_variates=word)
    plain = fs.gradient(polynomial, P, n=2000, rng=1, baseline="matrix")
    assert estimate.value_stderr <= 1e-6 * plain.value_stderr
    assert estimate.value == pytest.approx(
        2 + LOC[0] - 3 * LOC[1] + LOC[0] ** 2 + SCALE[0] ** 2 + (LOC[1] ** 2 + SCALE[1] ** 2) / 2,
        rel=1e-9,
    )  # fmt: skip
    np.testing.assert_allclose(
        estimate.flat, [3.0, -3.5, 2.0, 0.7], atol=5 * plain.grad_stderr["loc"].max()
    )


# --- what adds nothing changes nothing ---


@njit
def twice(x):
    return 2 * (x[0] - x[1])


@njit
def five(x):
    return 5.0


@pytest.mark.parametrize("baseline", [None, "mean", "scalar", "matrix"])
def test_collinear_and_constant_controls_change_nothing(baseline):
    one = fs.ControlVariate(line, LOC[0] - LOC[1])
    others = [fs.ControlVariate(twice, 2 * one.mean), fs.ControlVariate(five, 5.0)]
    options = {"n": 2000, "rng": 1, "baseline": baseline}
    alone = fs.gradient(waves, P, control_variates=one, **options)
    many = fs.gradient(waves, P, control_variates=[one, *others], **options)
    np.testing.assert_allclose(many.flat, alone.flat, rtol=1e-9)
    np.testing.assert_allclose(flat(many.grad_stderr), flat(alone.grad_stderr), rtol=1e-9)
    assert many.value == pytest.approx(alone.value, rel=1e-11)


# --- unbiased ---


@pytest.mark.parametrize("n", [2, 3, 5, 8, 13])
def test_unbiased_at_every_n(n):
    """Given coefficients, cross-fitted ones (which are 0 with few units), and the score."""
    value, grad = exact()
    by_score = [controls(check=False)[0], "score"]
    for given, baselines in (
        (controls(coefficient=0.7), (None, "optimal")), (by_score, ("matrix",)),
    ):  # fmt: skip
        estimates = [
            fs.gradient(waves, P, n=n, rng=10_000 * n + i, threads=1, control_variates=given)
            for i in range(1000)
        ]
        assert abs(z_of_mean(np.array([e.value for e in estimates]), value)) < LIMIT
        for baseline in baselines:
            grads = np.array([e.with_baseline(baseline).flat for e in estimates])
            z = z_of_mean(grads, grad)
            assert np.abs(z).max() < LIMIT, f"{baseline!r}: z = {z}"


@pytest.mark.parametrize("sampling", ["antithetic", "orthogonal", "stratified"])
def test_unbiased_in_units_of_several_samples(sampling):
    value, grad = exact()
    sampling = fs.Stratified(4) if sampling == "stratified" else sampling
    estimates = [
        fs.gradient(
            waves, P, n=60, rng=i, threads=1, sampling=sampling, control_variates=controls()
        )
        for i in range(1000)
    ]  # fmt: skip
    assert abs(z_of_mean(np.array([e.value for e in estimates]), value)) < LIMIT
    z = z_of_mean(np.array([e.flat for e in estimates]), grad)
    assert np.abs(z).max() < LIMIT


def test_standard_errors_are_those_of_many_runs():
    estimates = [
        fs.gradient(waves, P, n=500, rng=i, threads=1, control_variates=controls())
        for i in range(1000)
    ]
    grads = np.array([e.flat for e in estimates])
    told = np.mean([flat(e.grad_stderr) ** 2 for e in estimates], axis=0)
    z = z_of_variance(grads, told)
    assert np.abs(z).max() < LIMIT


# --- what does not go together ---


@njit
def terms(x, out):
    out[0], out[1] = math.cos(x[0]), x[1]


@pytest.mark.parametrize(
    ("f", "options", "message"),
    [
        (waves, {"control_variates": ["score", *controls()]}, "another for each entry"),
        (waves, {"control_variates": fs.DeltaMethod(), "baseline": "matrix"}, "another for each"),
        (waves, {"control_variates": "score", "baseline": "mean"}, "baseline='mean' would be"),
        (waves, {"control_variates": "score", "estimator": "exact", "n": None}, "estimator"),
        (
            fs.Integrand(terms, depends=np.eye(2, dtype=bool)), {"control_variates": controls()},
            "do not go with depends",
        ),
        (
            fs.Integrand(waves, nonfinite="omit"), {"control_variates": controls()},
            "nonfinite='omit'",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_with_controls_is_refused(f, options, message):
    with pytest.raises(ValueError, match=message):
        fs.gradient(f, P, **{"n": 100, **options})


def test_a_plain_python_control_of_a_compiled_f_is_refused():
    with pytest.raises(TypeError, match="a control variate is a plain Python function"):
        fs.gradient(waves, P, n=100, control_variates=(NUMPY[line], 1.5))


def test_a_compiled_control_of_a_plain_python_f():
    plain = fs.gradient(waves_numpy, P, n=1000, rng=1, control_variates=controls())
    given = [replace(one, f=NUMPY[one.f]) for one in controls()]
    both = fs.gradient(waves_numpy, P, n=1000, rng=1, control_variates=given)
    np.testing.assert_allclose(plain.flat, both.flat, rtol=1e-10)


def test_a_control_that_is_not_finite_in_the_run_is_an_error():
    holed = njit(lambda x: math.nan if x[0] > 2 else x[0])
    with pytest.raises(ValueError, match="a control variate is NaN"):
        fs.gradient(waves, P, n=100, control_variates=fs.ControlVariate(holed, 1.0, check=False))


# --- samples that are no array of float64 ---


@njit
def counted(x):
    return math.sqrt(x.a[0] + 1.0) + x.b[0] ** 2


@njit
def both(x):
    return x.a[0] + x.b[0]


def test_controls_see_samples_as_f_does():
    """As a named tuple, of a Joint."""
    p = fs.Joint(a=fs.Poisson([3.0]), b=fs.Normal([1.0], [1.0]))
    options = {"n": 2000, "rng": 1}
    compiled = fs.gradient(counted, p, control_variates=(both, 4.0), **options)
    called = fs.gradient(
        lambda X: np.sqrt(X.a[:, 0] + 1.0) + X.b[:, 0] ** 2, p,
        control_variates=(lambda X: X.a[:, 0] + X.b[:, 0], 4.0), **options,
    )  # fmt: skip
    np.testing.assert_allclose(compiled.flat, called.flat, rtol=1e-10)
    plain = fs.gradient(counted, p, **options)
    assert compiled.value_stderr < 0.9 * plain.value_stderr
    with pytest.raises(ValueError, match=r"is nan at x = \(a=\["):
        fs.gradient(counted, p, control_variates=(njit(lambda x: math.nan), 1.0), **options)


def test_a_c_function_as_a_control():
    @cfunc("float64(int32, CPointer(float64))")
    def first(d, x):
        return x[0]

    jitted = njit(lambda x: x[0])
    options = {"n": 2000, "rng": 1}
    by_pointer = fs.gradient(waves, P, control_variates=(first, LOC[0]), **options)
    by_jit = fs.gradient(waves, P, control_variates=(jitted, LOC[0]), **options)
    np.testing.assert_array_equal(by_pointer.flat, by_jit.flat)


def test_one_seed_gives_the_same_bits_for_any_number_of_threads():
    one, two = (
        fs.gradient(waves, P, n=400_000, rng=1, threads=k, control_variates=controls())
        for k in (1, 2)
    )
    np.testing.assert_array_equal(one.flat, two.flat)
    assert one.value == two.value
