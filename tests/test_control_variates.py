"""Control variates: what is asked for, closed forms by differentiation, and wrong means caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numba import config, njit

import fastscore as fs
from fastscore.gradient import evaluate
from fastscore.integrand import Integrand
from fastscore.plan import Plan
from fastscore.variance.control_variates import ControlVariate, as_controls, prepare
from fastscore.variance.delta_method import DeltaMethod

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

MATRIX = np.array([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]])
LOC = np.array([0.5, -1.0, 2.0])
HESSIAN = np.array([[1.0, -0.5, 0.3], [-0.5, 2.0, 0.7], [0.3, 0.7, -1.5]])
SLOPE = np.array([0.4, -0.8, 1.2])
TRIL = np.linalg.cholesky(MATRIX)
#: What second differences are good for, ``4 ε |f|/step²``, of values up to 100.
DIFFERENCES = 1e-5

GAUSSIANS = {
    "scale": fs.Normal(LOC, [1.0, 0.5, 2.0]),
    "log_scale": fs.Normal(LOC, log_scale=[0.1, -0.4, 0.3]),
    "shared scale": fs.Normal(LOC, 0.7),
    "shared loc": fs.Normal(0.3, [1.0, 0.5, 2.0]),
    "scale_tril": fs.MultivariateNormal(LOC, scale_tril=TRIL),
    "covariance": fs.MultivariateNormal(LOC, MATRIX),
    "precision": fs.MultivariateNormal(LOC, precision_matrix=np.linalg.inv(MATRIX)),
    "low rank": fs.LowRankMultivariateNormal(
        LOC, [[0.5, 0.1], [-0.2, 0.7], [0.3, 0.0]], [0.4, 0.9, 1.6]
    ),
}


def quadratic(X):
    """``1.5 + g·x + ½ xᵀ H x``."""
    return 1.5 + X @ SLOPE + 0.5 * np.einsum("ni,ij,nj->n", X, HESSIAN, X)


@njit
def first(x):
    return x[0]


@njit
def square(x):
    return x[0] ** 2


@njit
def scaled_square(x, factor):
    return factor * x[0] ** 2


def prepared(controls, p, f=quadratic, args=(), wrt=None, seed=1):
    """Controls as `fs.gradient` prepares them."""
    integrand = Integrand(f)
    plan = Plan(integrand, p, args, 100, seed, 1)
    return prepare(
        as_controls(controls), integrand, p, tuple(p.parameters) if wrt is None else wrt, args,
        seed, lambda h, own, x: evaluate(replace(plan, integrand=h, args=own), x),
    )  # fmt: skip


def values_of(controls, i, p, x):
    """The i-th control at samples (n, d)."""
    h, args = controls.functions[i]
    return evaluate(Plan(h, p, args, 100, 1, 1), x)


def covariance_of(p):
    """Σ, of its parameters alone."""
    match list(p.parameters):
        case ["loc", "scale"]:
            return np.diag(np.broadcast_to(p.parameters["scale"], (3,)) ** 2)
        case ["loc", "log_scale"]:
            return np.diag(np.exp(2 * p.parameters["log_scale"]))
        case ["loc", "scale_tril"]:
            return p.parameters["scale_tril"] @ p.parameters["scale_tril"].T
        case ["loc", "covariance_matrix"]:
            return p.parameters["covariance_matrix"]
        case ["loc", "precision_matrix"]:
            return np.linalg.inv(p.parameters["precision_matrix"])
    factor = p.parameters["cov_factor"]
    return factor @ factor.T + np.diag(p.parameters["cov_diag"])


def exact_mean(p):
    """``E[quadratic]``."""
    loc = np.broadcast_to(p.parameters["loc"], (3,))
    return quadratic(loc[None])[0] + 0.5 * np.sum(HESSIAN * covariance_of(p))


def moved(p, name, place, step):
    """p with one free entry moved, in both of its places if the matrix is symmetric."""
    value = p.parameters[name].copy()
    value[place] += step
    if name in ("covariance_matrix", "precision_matrix") and place[0] != place[1]:
        value[place[::-1]] += step
    return p.replace(**{name: value})


def numerical_gradient(p, step=1e-5):
    """``∇ E[quadratic]`` by free entries, by central differences."""
    out = []
    for name, value in p.parameters.items():
        square = name.endswith("matrix") or name == "scale_tril"
        places = zip(*np.tril_indices(3), strict=True) if square else np.ndindex(value.shape)
        for place in places:
            up, down = (exact_mean(moved(p, name, place, s)) for s in (step, -step))
            out.append((up - down) / (2 * step))
    return np.array(out)


# --- the delta method ---


@pytest.mark.parametrize("p", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize("given", [True, False], ids=["given", "differences"])
def test_polynomial_of_a_quadratic_is_the_quadratic(p, given):
    control = DeltaMethod(lambda m: SLOPE + HESSIAN @ m, HESSIAN) if given else DeltaMethod()
    controls = prepared(control, p)
    rounding = 1e-12 if given else DIFFERENCES
    np.testing.assert_allclose(controls.means, [exact_mean(p)], rtol=rounding)
    expected = numerical_gradient(p)
    np.testing.assert_allclose(controls.gradients[0], expected, rtol=DIFFERENCES, atol=DIFFERENCES)
    x = p.sample(50, rng=2)
    got = values_of(controls, 0, p, x)
    np.testing.assert_allclose(got, quadratic(x), rtol=rounding, atol=10 * rounding)
    assert controls.scored.all()
    assert not controls.score


@pytest.mark.parametrize("d", [1, 2, 7, 12, 32, 48, 49, 70])
def test_values_of_a_full_hessian_in_many_coordinates(d):
    """By columns, of six rows at a time, and beyond 48 by rows."""
    rng = np.random.default_rng(d)
    half, g = rng.normal(size=(d, d)), rng.normal(size=d)
    p = fs.Normal(rng.normal(size=d), rng.uniform(0.5, 2, d))
    hessian = half + half.T
    controls = prepared(DeltaMethod(g, hessian), p, lambda X: np.ones(len(X)))
    x = p.sample(1001, rng=1)
    y = x - p.mean
    expected = 1 + y @ g + np.sum(y @ half * y, axis=1)
    size = np.abs(y) @ np.abs(g) + np.sum(np.abs(y) @ np.abs(hessian) * np.abs(y), axis=1)
    error = np.abs(values_of(controls, 0, p, x) - expected)
    assert np.all(error <= 1e-14 * (1 + size))


@pytest.mark.parametrize("name", ["scale", "scale_tril", "precision", "low rank"])
def test_a_diagonal_hessian_is_that_matrix(name):
    p, curves = GAUSSIANS[name], np.diag(HESSIAN)
    full = prepared(DeltaMethod(SLOPE, np.diag(curves)), p)
    diagonal = prepared(DeltaMethod(SLOPE, curves), p)
    np.testing.assert_allclose(diagonal.means, full.means, rtol=1e-14)
    np.testing.assert_allclose(diagonal.gradients, full.gradients, rtol=1e-13, atol=1e-14)
    x = p.sample(50, rng=2)
    np.testing.assert_allclose(
        values_of(diagonal, 0, p, x), values_of(full, 0, p, x), rtol=1e-12, atol=1e-12
    )


def test_differences_of_separate_terms_leave_a_diagonal():
    controls = prepared(DeltaMethod(), GAUSSIANS["scale"], lambda X: np.exp(X).sum(axis=1))
    half = controls.functions[0][1][2]
    np.testing.assert_allclose(half, np.exp(LOC) / 2, rtol=DIFFERENCES)


def test_of_many_coordinates_the_differences_are_a_diagonal():
    p = fs.Normal(np.linspace(-1, 1, 50), 0.5)
    controls = prepared(DeltaMethod(), p, lambda X: X.sum(axis=1) ** 2)
    loc, g, half, value = controls.functions[0][1]
    np.testing.assert_allclose(half, np.ones(50), rtol=DIFFERENCES)
    np.testing.assert_allclose(g, 2 * loc.sum(), atol=1e-6)
    assert value == pytest.approx(loc.sum() ** 2, abs=1e-12)


def test_differences_far_from_the_origin():
    """Steps are those that float64 resolves: 1.2e-4 of this scale would vanish in rounding."""
    p = fs.Normal([1e9], [1e-2])
    controls = prepared(DeltaMethod(), p, lambda X: (X[:, 0] - 1e9) ** 2)
    np.testing.assert_allclose(controls.functions[0][1][2], [1.0], rtol=1e-3)


def test_step_spans_a_kink():
    p = fs.Normal([0.0], [1.0])
    narrow, wide = (
        prepared(DeltaMethod(step=step), p, lambda X: np.abs(X[:, 0])) for step in (1e-3, 1.0)
    )
    assert narrow.functions[0][1][2][0] == pytest.approx(1e3)
    assert wide.functions[0][1][2][0] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["sample", "batch"])
def test_compiled_f_with_arguments_is_expanded(kind):
    @njit
    def sample(x, factor):
        return factor * x[0] ** 2

    @njit
    def batch(x, out, factor):
        for t in range(len(x)):
            out[t] = factor * x[t, 0] ** 2

    f = sample if kind == "sample" else batch
    controls = prepared(DeltaMethod(), fs.Normal([1.0], [2.0]), f, (3.0,))
    assert controls.means[0] == pytest.approx(15.0, rel=1e-6)


@pytest.mark.parametrize(
    ("control", "f", "message"),
    [
        (DeltaMethod(), lambda X: np.log(X[:, 1]), r"control_variates\[0\].* f is nan at the mean"),
        (DeltaMethod(step=2.0), lambda X: np.log(X[:, 2]), "close to the mean"),
        (DeltaMethod(np.zeros(2)), quadratic, r"gradient has shape \(2,\)"),
        (DeltaMethod(hessian=np.zeros((2, 2))), quadratic, r"hessian has shape \(2, 2\)"),
        (DeltaMethod(hessian=TRIL), quadratic, "symmetric"),
        (DeltaMethod(hessian=[np.nan, 0.0, 0.0]), quadratic, r"hessian\[0\] = nan"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_expansions_that_cannot_be_had_are_refused(control, f, message):
    with pytest.raises(ValueError, match=message):
        prepared(control, GAUSSIANS["scale"], f)


def test_other_families_have_no_delta_method():
    with pytest.raises(ValueError, match="p is a Laplace"):
        prepared(DeltaMethod(), fs.Laplace(0.0, 1.0), lambda X: X[:, 0])


@pytest.mark.parametrize(
    "options", [{"step": 0.0}, {"step": -1.0}, {"coefficient": np.inf}, {"step": [1.0, 2.0]}]
)
def test_options_of_the_delta_method_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DeltaMethod(**options)


# --- what users give ---


def test_one_or_several_in_any_form():
    plain = ControlVariate(first, 0.5)
    assert as_controls(None) == ()
    assert (
        as_controls((first, 0.5)) == as_controls([(first, 0.5)]) == as_controls(plain) == (plain,)
    )
    assert as_controls("score") == ("score",)
    several = (plain, DeltaMethod(), "score")
    assert as_controls(several) == as_controls(list(several)) == several
    assert as_controls(((first, 0.5), (square, 1.0))) == (plain, ControlVariate(square, 1.0))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (3.0, TypeError, "control_variates=3.0"),
        ([first], TypeError, r"control_variates\[0\]="),
        ([(first, 0.5), (first, np.nan)], ValueError, r"control_variates\[1\]: mean=nan"),
        ([(first, "x")], TypeError, r"control_variates\[0\]="),
        ("scores", ValueError, r"control_variates\[0\]='scores' is unknown"),
        (["score", "statistics"], ValueError, "the same controls"),
    ],
)
def test_what_is_no_control_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        as_controls(given)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"f": 1.0, "mean": 0.0}, TypeError),
        ({"f": first, "mean": True}, TypeError),
        ({"f": first, "mean": np.inf}, ValueError),
        ({"f": first, "mean": 0.0, "coefficient": np.nan}, ValueError),
        ({"f": first, "mean": 0.0, "coefficient": "1"}, TypeError),
        ({"f": quadratic, "mean": 0.0, "kind": "sample"}, TypeError),
    ],
)
def test_options_of_a_control_are_checked(options, error):
    with pytest.raises(error):
        ControlVariate(**options)


def test_words_are_for_families_that_have_them():
    assert prepared("statistics", GAUSSIANS["covariance"]).score
    assert prepared("statistics", fs.Joint(a=fs.Poisson(2.0), b=fs.Gamma(2.0, 1.0))).score
    assert prepared("score", fs.Laplace(0.0, 1.0)).score
    with pytest.raises(ValueError, match="Laplace is no exponential family"):
        prepared("statistics", fs.Laplace(0.0, 1.0))
    with pytest.raises(ValueError, match="Joint is no exponential family"):
        prepared("statistics", fs.Joint(a=fs.Poisson(2.0), b=fs.Gumbel(0.0, 1.0)))


#: Statistics T(x) of one coordinate, beyond its score's, by family.
EXPONENTIAL = {
    fs.Bernoulli(0.3): lambda x: [x],
    fs.Beta(2.0, 3.0): lambda x: [np.log(x), np.log1p(-x)],
    fs.Binomial(5, 0.3): lambda x: [x],
    fs.Categorical([0.2, 0.3, 0.5]): lambda x: [x == 0, x == 1],
    fs.Chi2(3.0): lambda x: [np.log(x)],
    fs.Dirichlet([1.0, 2.0, 3.0]): lambda x: list(np.log(x)),
    fs.Exponential(2.0): lambda x: [x],
    fs.Gamma(2.0, 1.5): lambda x: [np.log(x), x],
    fs.Geometric(0.3): lambda x: [x],
    fs.HalfNormal(2.0): lambda x: [x**2],
    fs.InverseGamma(3.0, 2.0): lambda x: [np.log(x), 1 / x],
    fs.LogNormal(0.5, 0.8): lambda x: [np.log(x), np.log(x) ** 2],
    fs.Multinomial(4, [0.2, 0.3, 0.5]): lambda x: list(x[:2]),
    fs.MultivariateNormal([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]]): lambda x: [
        *x, x[0] ** 2, x[0] * x[1], x[1] ** 2
    ],
    fs.Normal(0.5, 0.8): lambda x: [x, x**2],
    fs.Poisson(3.0): lambda x: [x],
    fs.VonMises(0.5, 2.0): lambda x: [np.cos(x), np.sin(x)],
}  # fmt: skip


@pytest.mark.parametrize("p", EXPONENTIAL, ids=lambda p: type(p).__name__)
def test_the_score_of_an_exponential_family_spans_its_statistics(p):
    assert p.exponential_family
    x = p.sample(200, rng=1)
    columns = [np.ravel(t).astype(float) for t in EXPONENTIAL[p](x.T)]
    score = np.column_stack([np.ones(200), p.score(x)])
    for column in columns:
        fitted, *_ = np.linalg.lstsq(score, column, rcond=None)
        np.testing.assert_allclose(score @ fitted, column, atol=1e-9 * np.abs(column).max())


# --- arguments, derivatives and means of functions ---


def test_a_control_gets_the_arguments_of_f_if_it_takes_them():
    p = fs.Normal([1.0], [1.0])
    controls = prepared([(scaled_square, 6.0), (square, 2.0)], p, scaled_square, (3.0,))
    assert [args for _, args in controls.functions] == [(3.0,), ()]
    np.testing.assert_array_equal(controls.means, [6.0, 2.0])
    assert np.isnan(controls.gradients).all()
    assert np.isnan(controls.coefficients).all()
    with pytest.raises(TypeError, match=r"control_variates\[0\]: .* neither with x alone"):
        prepared([(lambda X, factor: factor * X[:, 0], 6.0)], p)


GIVEN = {"loc": [2.0, 0.0], "scale": [2.0, 0.0]}


@pytest.mark.parametrize("given", [GIVEN, [2.0, 0.0, 2.0, 0.0]])
def test_gradient_by_name_or_flat(given):
    p = fs.Normal([1.0, 0.0], [1.0, 2.0])
    controls = prepared(ControlVariate(square, 2.0, given, 1.0), p, lambda X: X[:, 0])
    np.testing.assert_array_equal(controls.gradients, [[2.0, 0.0, 2.0, 0.0]])
    assert controls.coefficients[0] == 1.0
    assert controls.scored[0]


def test_gradient_of_some_parameters_only():
    p = fs.Normal([1.0, 0.0], [1.0, 2.0])
    control = ControlVariate(square, 2.0, {"scale": GIVEN["scale"]})
    controls = prepared(control, p, lambda X: X[:, 0], wrt=("scale",))
    np.testing.assert_array_equal(controls.gradients, [[np.nan, np.nan, 2.0, 0.0]])
    with pytest.raises(ValueError, match=r"control_variates\[0\].gradient has no 'loc'"):
        prepared(control, p, lambda X: X[:, 0])


@pytest.mark.parametrize("name", ["scale_tril", "covariance", "precision"])
def test_gradient_by_a_matrix_is_that_of_an_estimate(name):
    """Of a symmetric matrix the G with ``dE h = Σ G_ij dΣ_ij``, as in ``est.grad``."""
    p = GAUSSIANS[name]
    flat = numerical_gradient(p)
    given = {key: p.shaped(key, part) for key, part in
             zip(p.parameters, np.split(flat, [3]), strict=True)}  # fmt: skip
    control = ControlVariate(quadratic, exact_mean(p), given)
    controls = prepared(control, p)
    np.testing.assert_allclose(controls.gradients[0], flat, rtol=1e-14)


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ([1.0, 2.0], r"gradient has shape \(2,\)"),
        ({"loc": [0.0], "scale": [0.0, 0.0]}, r"gradient\['loc'\] has shape \(1,\)"),
        ({"loc": [0.0, 0.0], "rate": 1.0}, "gradient='rate' is unknown"),
        ({"loc": [0.0, np.inf], "scale": [0.0, 0.0]}, r"gradient\['loc'\]\[1\] = inf"),
    ],
)
def test_gradients_of_another_shape_are_refused(gradient, message):
    p = fs.Normal([1.0, 0.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        prepared(ControlVariate(square, 2.0, gradient), p, lambda X: X[:, 0])


def test_no_derivative_above_the_diagonal_of_a_triangle():
    p = GAUSSIANS["scale_tril"]
    given = {"loc": np.zeros(3), "scale_tril": np.ones((3, 3))}
    with pytest.raises(ValueError, match=r"\['scale_tril'\]\[0, 1\] = 1.0"):
        prepared(ControlVariate(quadratic, 0.0, given), p)


def test_a_wrong_mean_is_caught_whatever_the_seed():
    p = fs.Normal([1.0], [1.0])
    for seed in range(100):
        prepared((square, 2.0), p, seed=seed, f=square)
        with pytest.raises(ValueError, match=r"control_variates\[0\].mean = 3.0, yet 4096 samples"):
            prepared((square, 3.0), p, seed=seed, f=square)


def test_a_wrong_gradient_is_caught_and_not_looked_at_if_so_asked():
    p = fs.Normal([1.0], [1.0])
    with pytest.raises(ValueError, match=r"gradient = -2.0 \(entry 1\)"):
        prepared(ControlVariate(square, 2.0, [2.0, -2.0]), p, square)
    controls = prepared(ControlVariate(square, 3.0, [2.0, -2.0], check=False), p, square)
    assert controls.means[0] == 3.0


def test_the_check_knows_rare_events_and_heavy_tails():
    """It refuses no right mean of which its samples can tell nothing."""
    p = fs.Normal([0.0], [1.0])
    for h, mean in (
        (lambda X: 1.0 * (X[:, 0] > 6), 9.87e-10), (lambda X: 1.0 * (X[:, 0] < 6), 1 - 9.87e-10),
        (lambda X: np.exp(5 * X[:, 0]), np.exp(12.5)), (lambda X: np.full(len(X), 0.1), 0.1),
    ):  # fmt: skip
        for seed in range(30):
            prepared((h, mean), p, seed=seed)
    with pytest.raises(ValueError, match=r"mean = 0\.2"):
        prepared((lambda X: np.full(len(X), 0.1), 0.2), p)


def test_what_a_control_raises_names_it():
    def h(X):
        raise KeyError("lost")

    with pytest.raises(KeyError) as caught:
        prepared([(first, 0.0), (h, 0.0)], fs.Normal([0.0], [1.0]), square)
    assert "control_variates[1]" in " ".join(caught.value.__notes__)


def test_a_control_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"control_variates\[0\] is nan at x = \[-"):
        prepared((njit(lambda x: x[0] ** 0.5), 0.5), fs.Normal([0.0], [1.0]), square)
