"""Pathwise gradients: closed forms, plain NumPy, quantiles that stay, and what is refused."""

from __future__ import annotations

import math

import mpmath
import naive
import numpy as np
import pytest
from cases import z_of_mean
from families.registry import EXAMPLES, Independent, derivatives, truth_of
from numba import njit
from oracle import labels
from scipy import stats

import fastscore as fs
from fastscore.engine import stages
from fastscore.engine.draw import draw_samples
from fastscore.engine.jit import entry
from fastscore.engine.memory import pointer
from fastscore.engine.tiles import stride_of, tiling


@entry
def contract(table, params, x, slopes, rows, d, stride, index, out):
    """The last stage, from Python."""
    stages.contract(
        table, pointer(params), pointer(x), pointer(slopes), rows, d, stride, pointer(index),
        pointer(out),
    )  # fmt: skip


def moved(p, z):
    """``Σ_k ∂x_k/∂θ_j`` at draws z of the source, (n, P)."""
    path, (n, d) = p.path, z.shape
    stride = stride_of(d)
    tile, out = np.zeros((d, stride)), np.zeros((p.size, stride))
    tile[:, :n] = z.T
    contract(
        path.table.ctypes.data, p.source.family.packed, tile.ravel(), np.ones(d * stride), n, d,
        stride, p.index, out.ravel(),
    )  # fmt: skip
    return out[:, :n].T


# --- paths ---

CONTINUOUS = [
    example
    for example in EXAMPLES
    # SciPy's distribution function of angles starts at another one.
    if example.name not in ("VonMises", "FiniteDiscrete") and not example.entry.kink
    if isinstance(example.truth, Independent)
    if example.p.dtype is np.float64
    and example.p.parameters
    and not example.p.support_set.integer.any()
]


@pytest.mark.parametrize("example", CONTINUOUS, ids=str)
def test_quantiles_stay(example):
    """``∂x/∂θ = −∂_θ F/p`` by SciPy's F and p, differences as fine as they get."""
    p = example.p
    z = draw_samples(p.source.family, 48, 5)
    x, law = p.source.forward(z), example.truth.law
    with np.errstate(all="ignore"):
        by = derivatives(p, lambda q: truth_of(q).law.cdf(x))
        expected = -by / np.exp(law.logpdf(x))[..., None]
        inside = (np.abs(law.cdf(x) - 0.5) < 0.499) & (x > 1e-250) & np.isfinite(expected).all(2)
    inside = inside.all(axis=1)
    expected = expected.sum(axis=1)[inside]
    size = np.abs(expected) + 0.1 * np.abs(expected).max(axis=0, initial=0.0)
    assert np.all(np.abs(moved(p, z)[inside] - expected) <= 2e-8 * size)


def gamma_below(a, x):
    return mpmath.gammainc(a, 0, x, regularized=True)


def student_below(df, x):
    tail = mpmath.betainc(df / 2, 0.5, 0, df / (df + x * x), regularized=True) / 2
    return tail if x < 0 else 1 - tail


@pytest.mark.parametrize(
    ("p", "below", "at"),
    [
        (fs.Gamma(0.5, 1.0), gamma_below, [1e-12, 1e-3, 0.2, 1.0, 8.0, 30.0]),
        (fs.Gamma(3.0, 1.0), gamma_below, [1e-3, 0.2, 2.0, 8.0, 30.0]),
        (fs.Gamma(50.0, 1.0), gamma_below, [20.0, 40.0, 50.0, 70.0, 110.0]),
        (fs.StudentT(0.2), student_below, [-1e3, -3.0, 2.0, 1e2, 1e6]),
        (fs.StudentT(3.0), student_below, [-1e4, -20.0, -1.0, -0.1, 0.3, 2.0, 50.0]),
        (
            fs.Beta(2.0, 3.0),
            lambda a, x: mpmath.betainc(a, 3, 0, x, regularized=True),
            [1e-9, 1e-3, 0.2, 0.5, 0.9, 0.9999],
        ),
    ],
    ids=["Gamma-0.5", "Gamma-3", "Gamma-50", "StudentT-0.2", "StudentT-3", "Beta-2-3"],
)
def test_digits_of_tables(p, below, at):
    """By the first parameter, tails included, to 1e-8; but where it passes through 0."""
    (given, *_), x = p.parameters.values(), np.array(at)[:, None]
    with mpmath.workdps(40):
        slopes = [
            mpmath.diff(lambda a, one=one: below(a, mpmath.mpf(one)), float(given)) for one in at
        ]
    expected = -np.array([float(one) for one in slopes]) / np.exp(p.log_density(x))
    found = moved(p, x)[:, 0]
    assert np.allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).min())


def by_moments(p, n=20_000, seed=3):
    """z-scores of the gradients of E[x] and E[x²] against differences of the moments."""

    def truth(power):
        def moment(q):
            return np.sum(q.mean if power == 1 else q.variance + q.mean**2)

        return derivatives(p, moment)

    for power in (1, 2):
        f = fs.Integrand(
            lambda X, k=power: (X**k).sum(axis=1), derivative=lambda X, k=power: k * X ** (k - 1)
        )
        e = fs.gradient(f, p, n=n, rng=seed, estimator="pathwise", baseline=None)
        expected = truth(power)
        rounding = 1e-8 * (1 + np.abs(expected))
        yield np.abs(e.flat - expected) / np.hypot(e.flat_stderr, rounding)


@pytest.mark.parametrize(
    "p",
    [
        fs.VonMises([0.3, 2.5], [0.7, 30.0]),
        fs.TruncatedNormal([0.3, 2.5], [0.7, 3.0], [-1.0, 0.0], [1.0, np.inf]),
        fs.Dirichlet([[0.5, 2.0, 3.0], [0.3, 1.0, 9.0]]),
        fs.Dirichlet([0.03, 2.0, 0.5]),
        fs.MultivariateNormal([0.3, -1.0], [[1.0, 0.4], [0.4, 2.0]]),
        fs.MultivariateNormal([0.3, -1.0], precision_matrix=[[1.0, 0.4], [0.4, 2.0]]),
        fs.MultivariateNormal([0.3, -1.0], scale_tril=[[1.0, 0.0], [0.4, 2.0]]),
        fs.LowRankMultivariateNormal([0.3, -1.0], [[0.5], [1.2]], [0.7, 0.3]),
    ],
    ids=lambda p: f"{type(p).__name__}-{'-'.join(p.parameters)}-{p.d}",
)
def test_gradients_of_moments(p):
    for z in by_moments(p):
        assert np.all(z < 4.5)


def test_directions_of_matrices():
    """f = x0 x1: entries off the diagonal move both coordinates."""
    f = fs.Integrand(lambda X: X[:, 0] * X[:, 1], derivative=lambda X: X[:, ::-1])
    loc, scale = np.array([0.3, -1.0]), np.array([[1.0, 0.0], [0.4, 2.0]])
    covariance = scale @ scale.T
    precision = np.linalg.inv(covariance)

    def gradient(**matrix):
        p = fs.MultivariateNormal(loc, **matrix)
        e = fs.gradient(f, p, n=100_000, rng=5, estimator="pathwise")
        (_, name) = p.parameters
        return e.grad[name], e.grad_stderr[name]

    half = np.array([[0.0, 0.5], [0.5, 0.0]])
    for matrix, truth in (
        ({"covariance_matrix": covariance}, half),
        ({"precision_matrix": precision}, -covariance @ half @ covariance),
        ({"scale_tril": scale}, np.tril(2 * half @ scale)),
    ):
        grad, error = gradient(**matrix)
        assert np.all(np.abs(grad - truth) < 4.5 * error + 1e-12)


@pytest.mark.parametrize(
    ("bijection", "cdf"),
    [
        (fs.Affine(1.0, -2.0), lambda x, q: stats.gamma(q[0], scale=1 / q[1]).sf((1 - x) / 2)),
        ("sigmoid", lambda x, q: stats.gamma(q[0], scale=1 / q[1]).cdf(np.log(x) - np.log1p(-x))),
    ],
)
def test_chains_through_maps(bijection, cdf):
    """Falling ones too."""
    p = fs.Transformed(fs.Gamma(2.5, 2.0), bijection)
    z = draw_samples(p.source.family, 48, 5)
    x, h = p.source.forward(z), 1e-3
    by = [(cdf(x, (2.5 + h * (k == 0), 2 + h * (k == 1)))
           - cdf(x, (2.5 - h * (k == 0), 2 - h * (k == 1)))) / (2 * h) for k in (0, 1)]  # fmt: skip
    expected = -np.concatenate(by, axis=1) / np.exp(p.log_density(x))[:, None]
    assert np.allclose(moved(p, z), expected, rtol=1e-5)


# --- the estimator ---


@njit
def product(x, by):
    return np.exp(0.3 * x[0]) + by[0] * x[0] * x[1] + 100


@njit
def slopes_of_product(x, out, by):
    out[0] = 0.3 * np.exp(0.3 * x[0]) + by[0] * x[1]
    out[1] = by[0] * x[0]


@njit
def product_of_batch(batch, out, by):
    for i in range(len(out)):
        out[i] = np.exp(0.3 * batch[i, 0]) + by[0] * batch[i, 0] * batch[i, 1] + 100


def products(X, by):
    return np.exp(0.3 * X[:, 0]) + by[0] * X[:, 0] * X[:, 1] + 100


LOC, SCALE, ARGS = np.array([0.1, 0.2]), np.array([0.7, 1.1]), (np.array([1.5]),)
P = fs.Normal(LOC, SCALE)
GIVEN = fs.Integrand(product, derivative=slopes_of_product)
_MEAN = 0.3 * math.exp(0.3 * LOC[0] + 0.045 * SCALE[0] ** 2)
TRUTH = np.array([_MEAN + 1.5 * LOC[1], 1.5 * LOC[0], 0.3 * SCALE[0] * _MEAN, 0.0])


def pathwise(f=GIVEN, p=P, n=20_000, rng=1, args=ARGS, **options):
    return fs.gradient(f, p, args=args, n=n, rng=rng, estimator="pathwise", **options)


def test_variances_of_a_square():
    """f = x²: terms 2x and 2xz, of variances 4σ² and 4μ² + 8σ²; the score of loc explains all."""
    f = fs.Integrand(lambda X: X[:, 0] ** 2, derivative=lambda X: 2 * X)
    p, n = fs.Normal([0.4], [1.3]), 4000
    found = np.array([
        np.concatenate([e.flat, n * e.flat_stderr**2])
        for e in (pathwise(f, p, n, seed, (), baseline=None) for seed in range(100))
    ])  # fmt: skip
    truth = [0.8, 2.6, 4 * 1.69, 4 * 0.16 + 8 * 1.69]
    assert np.all(np.abs(z_of_mean(found, np.array(truth))) < 4.5)
    e = pathwise(f, p, n, 1, (), baseline="matrix")
    assert np.abs(e.flat[0] - 0.8) < 1e-3 * fs.gradient(f, p, n=n, rng=1).flat_stderr[0]


@pytest.mark.parametrize("baseline", [None, "optimal", "matrix"])
@pytest.mark.parametrize("n", [7, 5000])
def test_oracle(baseline, n):
    """F and S of the very samples, in plain NumPy."""
    e = pathwise(n=n, rng=4, baseline=baseline)
    x = P.sample(n, rng=4)
    slopes = np.column_stack([0.3 * np.exp(0.3 * x[:, 0]) + 1.5 * x[:, 1], 1.5 * x[:, 0]])
    F = np.concatenate([slopes, slopes * (x - LOC) / SCALE], axis=1)
    S, zero, folds = naive.normal_score(x, LOC, SCALE), np.zeros(n), labels(tiling(n, 2, 4))
    terms = (
        naive.matrix_terms(zero, F, S, folds) if baseline == "matrix"
        else F - naive.coefficients(zero, F, S, folds, baseline, direct=True) * S
    )  # fmt: skip
    spread = terms.std(axis=0) + np.abs(terms.mean(axis=0))
    assert np.all(np.abs(e.flat - terms.mean(axis=0)) < 1e-11 * spread)
    assert np.allclose(e.flat_stderr, naive.standard_error(terms), rtol=1e-9)
    assert e.value == pytest.approx(products(x, ARGS[0]).mean(), rel=1e-13)


@njit
def first(x, by):
    return x[0] ** 2


@njit
def by_direct(x, out, by):
    out[0], out[1], out[2], out[3] = 1.0, 2.0, 0.0, -x[0]


OPTIONS = {
    "plain": {},
    "antithetic": {"sampling": "antithetic"},
    "sobol": {"sampling": fs.Sobol(replicates=8)},
    "stratified": {"sampling": "stratified"},
    "orthogonal": {"sampling": "orthogonal"},
    "control": {"control_variates": fs.ControlVariate(first, mean=0.5)},
    "control-of-gradient": {
        "control_variates": fs.ControlVariate(first, mean=0.5, gradient=[0.2, 0.0, 1.4, 0.0])
    },
    "direct": {"f": fs.Integrand(product, derivative=slopes_of_product, direct=by_direct)},
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_unbiased(options):
    """Means of a thousand tiny runs."""
    found = np.array([pathwise(n=24, rng=seed, **options).flat for seed in range(1000)])
    truth = TRUTH + ([1.0, 2.0, 0.0, -0.1] if "f" in options else 0.0)
    assert np.all(np.abs(z_of_mean(found, truth)) < 4.5)


def test_unbiased_by_a_table():
    """d E[x²]/da of gammas is (2a + 1)/b²."""
    f = fs.Integrand(lambda X: X[:, 0] ** 2, derivative=lambda X: 2 * X)
    p = fs.Gamma([1.5], [2.0])
    found = np.array([pathwise(f, p, 12, seed, ()).flat for seed in range(1000)])
    assert np.all(np.abs(z_of_mean(found, np.array([1.0, -2 * 1.5 * 2.5 / 8]))) < 4.5)


def test_bits_and_products():
    """One answer for any number of threads, and a covariance that fits the errors."""
    one, two = (pathwise(n=300_000, threads=threads) for threads in (1, 2))
    assert (one.flat == two.flat).all()
    assert (one.flat_stderr == two.flat_stderr).all()
    assert np.allclose(np.sqrt(np.diag(one.covariance())), one.flat_stderr, rtol=1e-9)
    assert one.estimator == "pathwise"
    assert "estimator 'pathwise'" in str(one)
    assert fs.gradient(product, P, args=ARGS, n=100).estimator == "score"


def test_parts():
    """Of a `Joint` those that move; `Shared` and `Fixed` parameters."""
    p = fs.Joint(a=fs.Normal([0.1], [0.7]), k=fs.Poisson(2.0), g=fs.Gamma([2.0, 0.5], 1.0))

    def f(x):
        return x.a[:, 0] ** 2 * x.k[:, 0] + x.g[:, 0] * x.g[:, 1] * np.exp(0.1 * x.a[:, 0])

    smooth = fs.Integrand(f, derivative="complex step")
    with pytest.raises(ValueError, match="Poisson do not move smoothly"):
        pathwise(smooth, p, args=())
    names = [name for name in p.parameters if name != "k.rate"]
    both = (pathwise(smooth, q, args=(), **options) for q, options in (
        (p, {"wrt": names}), (fs.Fixed(p, "k.rate"), {})))  # fmt: skip
    e, fixed = both
    assert (e.flat == fixed.flat).all()
    score = fs.gradient(f, p, n=200_000, rng=2, wrt=names)
    error = np.hypot(e.flat_stderr, score.flat_stderr)
    assert np.all(np.abs(e.flat - score.flat) < 4.5 * error)
    q = fs.Shared(fs.Normal([0.7, 1.1], [0.7, 1.1]), u=("loc", "scale"))
    apart = pathwise(p=q.inner, baseline=None).flat
    assert np.allclose(pathwise(p=q, baseline=None).flat, apart[:2] + apart[2:], rtol=1e-12)


# --- derivatives ---


@pytest.mark.parametrize("f", [product, product_of_batch, products], ids=lambda f: f.__name__)
def test_complex_step(f):
    """As if the derivative were given."""
    found = pathwise(fs.Integrand(f, derivative="complex step"), n=5000).flat
    assert np.allclose(found, pathwise(n=5000).flat, rtol=1e-12)


@njit
def real_part(x):
    return x[0] * x[0].real


@njit
def size(x):
    return abs(x[0])


@njit
def step(x):
    return 1.0 if x[0] > 0.3 else 0.0


@njit
def hinge(x):
    return x[0] - 0.3 if x[0] > 0.3 else 0.0


@njit
def slope_of_hinge(x, out):
    out[0], out[1] = (1.0 if x[0] > 0.3 else 0.0), 0.0


@njit
def zero(x, out):
    out[:] = 0.0


@njit
def half_of_it(x, out):
    out[0], out[1] = (0.5 if x[0] > 0.3 else 0.0), 0.0


@pytest.mark.parametrize(
    ("f", "derivative", "error", "message"),
    [
        (real_part, "complex step", ValueError, r"it is .* where differences of f give"),
        (size, "complex step", TypeError, "returns a real number of complex x"),
        (step, "complex step", TypeError, "does not compile for complex x.*np.exp, not math.exp"),
        (lambda X: np.abs(X[:, 0]), "complex step", TypeError, "returns a real number"),
        (hinge, half_of_it, ValueError, r"by x\[0\] it is 0.5 .* differences of f give 1"),
        (hinge, zero, ValueError, r"it is 0 at .* differences of f give 1"),
        (hinge, "complex", ValueError, "derivative='complex' is unknown"),
    ],
)
def test_wrong_derivatives(f, derivative, error, message):
    with pytest.raises(error, match=message):
        pathwise(fs.Integrand(f, derivative=derivative), args=())


def test_kinks_and_steps():
    """A kink is none too many; of a step the derivative is 0, and so is the estimate."""
    assert np.abs(pathwise(fs.Integrand(hinge, derivative=slope_of_hinge), args=()).flat[1]) == 0
    assert not pathwise(fs.Integrand(step, derivative=zero), args=()).flat.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"f": fs.Integrand(product)}, "needs the derivative of f"),
        ({"p": fs.Poisson([1.0, 2.0])}, "samples of Poisson do not move smoothly"),
        ({"p": fs.Mixture([P, fs.Normal(LOC + 1, SCALE)], [0.5, 0.5])}, "samples of Mixture"),
        ({"baseline": "mean"}, "has no f to subtract it from"),
        ({"proposals": P}, "takes no proposals"),
        (
            {"f": fs.Integrand(product, derivative=slopes_of_product, nonfinite="omit")},
            "nonfinite='omit' does not go",
        ),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pathwise(**options)


def test_not_finite():
    """A derivative, too, must be finite."""

    def slopes(X):
        return np.where(X > 1.5, np.nan, 1.0)

    f = fs.Integrand(lambda X: X.sum(axis=1), derivative=slopes)
    with pytest.raises(ValueError, match="f or its derivative is NaN or infinite"):
        pathwise(f, args=())
