"""Measure-valued derivatives: differences of f between two values of a coordinate."""

from __future__ import annotations

import platform
import re
import warnings

import naive
import numpy as np
import pytest
from cases import flat, z_of_mean
from families.registry import derivatives, truth_of
from numba import cfunc, config, njit, types

import fastscore as fs
from fastscore.engine.measures import _move_logistic
from fastscore.engine.tiles import tiling
from fastscore.estimate import entries_of

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
N = 20_000
LOC, SCALE = [0.5, -1.0], [0.7, 2.0]
#: Distributions, the parameters that have a rule if not all, and where a step is.
FAMILIES = {
    "Bernoulli": (fs.Bernoulli([0.5, 0.2]), None, 0),
    "Bernoulli-logits": (fs.Bernoulli(logits=[0.5, -2.0]), None, 0),
    "Binomial": (fs.Binomial([1, 7], [0.5, 0.6]), None, 1),
    "Binomial-logits": (fs.Binomial([4, 9], logits=[0.5, -2.0]), None, 1),
    "Categorical": (fs.Categorical([[0.5, 0.2, 0.9], [1.0, 2.0, 3.0]]), None, 1),
    "Categorical-logits": (fs.Categorical(logits=[0.5, 2.0, 0.0]), None, 1),
    "Cauchy": (fs.Cauchy(LOC, SCALE), None, 0.3),
    "Exponential": (fs.Exponential([0.5, 2.0]), None, 0.3),
    "Gamma": (fs.Gamma([0.5, 2.0], [1.5, 0.7]), ("rate",), 0.3),
    "Gamma-faint": (fs.Gamma([0.05, 2.0], log_rate=[1.5, -0.7]), ("log_rate",), 0.3),
    "Geometric": (fs.Geometric([0.5, 0.2]), None, 1),
    "Geometric-logits": (fs.Geometric(logits=[0.5, -1.0]), None, 1),
    "Gumbel": (fs.Gumbel(LOC, SCALE), ("loc",), 0.3),
    "HalfNormal": (fs.HalfNormal(SCALE), None, 0.3),
    "InverseGamma": (fs.InverseGamma([5.5, 9.0], [1.5, 0.7]), ("rate",), 0.2),
    "Kumaraswamy": (fs.Kumaraswamy([0.5, 2.0], [1.5, 0.7]), ("concentration0",), 0.3),
    "Laplace": (fs.Laplace(LOC, SCALE), None, 0.3),
    "LogNormal": (fs.LogNormal(LOC, [0.3, 0.5]), None, 0.9),
    "Logistic": (fs.Logistic(LOC, log_scale=[0.3, -0.5]), None, 0.3),
    "NegativeBinomial": (fs.NegativeBinomial([0.5, 3.0], [0.4, 0.7]), ("probs",), 1),
    "NegativeBinomial-logits": (
        fs.NegativeBinomial([0.5, 3.0], logits=[0.4, 0.7]), ("logits",), 1
    ),
    "Normal": (fs.Normal(LOC, SCALE), None, 0.3),
    "Normal-shared": (fs.Normal(LOC, log_scale=0.3), None, 0.3),
    "Pareto": (fs.Pareto([0.5, 0.1], [5.5, 6.0]), None, 0.51),
    "Poisson": (fs.Poisson([0.5, 3.0]), None, 1),
    "StudentT": (fs.StudentT([5.0, 8.0], LOC, SCALE), ("loc", "scale"), 0.3),
    "Weibull": (fs.Weibull([0.5, 2.0], [1.5, 0.7]), ("scale",), 0.3),
}  # fmt: skip


def weighted(x):
    return x @ np.arange(1.0, x.shape[1] + 1)


def truths(p, step):
    """Functions of x, coordinate by coordinate, and the expectation of their sum."""
    if np.isfinite(truth_of(p).variance()).all():
        yield lambda x: 1.0 * x * x, lambda q: truth_of(q).variance() + truth_of(q).mean() ** 2
    yield lambda x: 1.0 * (x <= step), lambda q: truth_of(q).law.cdf(np.full((1, q.d), step))


@pytest.mark.parametrize("name", FAMILIES)
def test_known_gradients(name):
    """Of squares, and of steps, to which no derivative of f leads."""
    p, wrt, step = FAMILIES[name]
    entries = entries_of(p, p.parameters if wrt is None else wrt)
    for function, expectation in truths(p, step):
        exact = derivatives(p, lambda q: weighted(np.broadcast_to(expectation(q), (1, q.d)))[0])  # noqa: B023
        estimate = fs.gradient(
            lambda x: weighted(function(x)), p, n=N, rng=1, wrt=wrt, estimator="measure",  # noqa: B023
            baseline=None,
        )  # fmt: skip
        error = np.hypot(estimate.flat_stderr, 1e-8 * np.abs(exact[entries]) + 1e-12)
        assert np.abs((estimate.flat - exact[entries]) / error).max() < LIMIT


# --- all kinds of rules at once ---

PARTS = fs.Joint(
    zero_one=fs.Bernoulli(logits=[0.3, -0.5]), trials=fs.Binomial(3, [0.4]),
    event=fs.Poisson([2.0]), wait=fs.Geometric([0.4]), which=fs.Categorical([0.2, 0.3, 0.5]),
    normal=fs.Normal([0.3, 0.6], 0.8), laplace=fs.Laplace([0.4], [0.3]),
    logistic=fs.Logistic([0.1], [0.3]), cauchy=fs.Cauchy([0.1], [0.3]),
    time=fs.Gamma([1.5], [2.0]), inverse=fs.InverseGamma([3.0], [2.0]),
    extreme=fs.Gumbel([0.2], [0.4]), life=fs.Weibull([1.5], [0.7]), large=fs.LogNormal([0.1], 0.3),
)  # fmt: skip
WRT = tuple(
    name for name in PARTS.parameters
    if name not in ("time.concentration", "inverse.concentration", "extreme.scale",
                    "life.concentration")
)  # fmt: skip


@njit
def every(x):
    counts = x.zero_one[0] * x.zero_one[1] + x.trials[0] * x.event[0] + x.wait[0] * x.which[0]
    first = x.normal[0] * x.normal[1] + x.laplace[0] * x.logistic[0] + abs(x.cauchy[0]) ** 0.5
    other = x.time[0] * x.inverse[0] + x.extreme[0] * x.life[0] + x.large[0]
    return counts + first * (1.0 + x.zero_one[0]) + other * (1.0 + x.zero_one[1])


def every_of_many(x):
    counts = (
        x.zero_one[:, 0] * x.zero_one[:, 1] + x.trials[:, 0] * x.event[:, 0]
        + x.wait[:, 0] * x.which[:, 0]
    )  # fmt: skip
    first = (
        x.normal[:, 0] * x.normal[:, 1] + x.laplace[:, 0] * x.logistic[:, 0]
        + abs(x.cauchy[:, 0]) ** 0.5
    )  # fmt: skip
    other = x.time[:, 0] * x.inverse[:, 0] + x.extreme[:, 0] * x.life[:, 0] + x.large[:, 0]
    return counts + first * (1.0 + x.zero_one[:, 0]) + other * (1.0 + x.zero_one[:, 1])


@pytest.mark.parametrize("baseline", [None, "optimal", "matrix"])
def test_jitted_or_plain_f(baseline):
    """The same draws and sums, and the gradient that the score gives."""
    one, other = (
        fs.gradient(f, PARTS, n=N, rng=3, wrt=WRT, estimator="measure", baseline=baseline)
        for f in (every, every_of_many)
    )
    np.testing.assert_allclose(one.flat, other.flat, rtol=1e-11)
    np.testing.assert_allclose(one.flat_stderr, other.flat_stderr, rtol=1e-9)
    score = fs.gradient(every_of_many, PARTS, n=N, rng=4, wrt=WRT)
    z = (one.flat - score.flat) / np.hypot(one.flat_stderr, score.flat_stderr)
    assert np.abs(z).max() < LIMIT
    assert one.bias == "none"


def test_threads_do_not_matter():
    one, two = (
        fs.gradient(every, PARTS, n=N, rng=3, wrt=WRT, estimator="measure", threads=threads)
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.flat, two.flat)
    np.testing.assert_array_equal(one.flat_stderr, two.flat_stderr)


def test_shared_parameters():
    """The differences of an entry's columns, summed."""
    parts = fs.Joint(a=fs.Poisson([2.0, 2.0]), b=fs.Poisson([2.0, 2.0]))
    shared = fs.Shared(parts, rate=("a.rate", "b.rate"))

    def f(x):
        return x.a[:, 0] * x.b[:, 1] + x.a[:, 1] * x.a[:, 1] * x.b[:, 0]

    one = fs.gradient(f, shared, n=1000, rng=1, estimator="measure", baseline=None)
    many = fs.gradient(f, parts, n=1000, rng=1, estimator="measure", baseline=None)
    np.testing.assert_allclose(one.flat, many.flat[:2] + many.flat[2:], rtol=1e-13)


# --- against plain NumPy, where nothing but x is drawn ---


def product(x):
    return np.exp(0.3 * x[:, 0] * x[:, 1]) + x[:, 1]


def poisson_terms(x):
    """``f(x + e_k) − f(x)``, (n, d)."""
    return np.stack([product(x + one) - product(x) for one in np.eye(2, dtype=int)], axis=1)


@pytest.mark.parametrize("n", [1, 2, 13, 5000])
@pytest.mark.parametrize("baseline", [None, "optimal"])
def test_against_plain_numpy(baseline, n):
    rate = np.array([0.6, 1.1])
    p = fs.Poisson(rate)
    x = p.sample(n, rng=n)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n=1", RuntimeWarning)
        actual = fs.gradient(product, p, n=n, rng=n, baseline=baseline, estimator="measure")
    cut = tiling(n, p.d, p.size)
    labels = np.arange(n) // cut.block % cut.folds
    # There is no w s: f of the oracle is 0, and the differences are its direct terms.
    truth = naive.estimate(np.zeros(n), x / rate - 1, labels, baseline, direct=poisson_terms(x))
    np.testing.assert_allclose(actual.flat, truth.grad, rtol=1e-9)
    np.testing.assert_allclose(flat(actual.grad_stderr), truth.stderr, rtol=1e-7)
    np.testing.assert_allclose(actual.value, product(x).mean(), rtol=1e-12)


@pytest.mark.parametrize("n", [2, 12])
@pytest.mark.parametrize("name", ["Normal", "Binomial", "Geometric"])
def test_unbiased_at_small_n(name, n):
    p, _, _ = FAMILIES[name]
    exact = derivatives(p, lambda q: np.prod(truth_of(q).mean() + 1))
    found = [
        fs.gradient(
            lambda x: (x + 1.0).prod(axis=1), p, n=n, rng=10**6 * n + i, estimator="measure"
        ).flat
        for i in range(1000)
    ]
    assert np.abs(z_of_mean(np.array(found), exact)).max() < LIMIT


@pytest.mark.parametrize(
    ("p", "by_mean"),
    [
        (fs.Bernoulli([0.3, 0.6, 0.8]), np.array([0.4, -0.2, -0.6])),
        (fs.Poisson([0.3, 0.6, 2.0]), np.ones(3)),
    ],
    ids=str,
)
def test_the_scores_of_others_explain_a_quadratic(p, by_mean):
    """``by_mean`` is the derivative of a coordinate's variance."""
    a = np.array([1.0, -2.0, 0.5])
    estimate = fs.gradient(
        lambda x: (x @ a + 3.0) ** 2, p, n=1000, rng=1, estimator="measure", baseline="matrix"
    )
    np.testing.assert_allclose(
        estimate.flat, 2 * a * (p.mean @ a + 3.0) + a**2 * by_mean, rtol=1e-10
    )
    # Half of the digits: of sums of squares that cancel.
    assert np.all(estimate.flat_stderr < 1e-8)


def test_only_what_is_wanted_is_evaluated():
    """f is called once, and once or twice more for each entry in ``wrt``."""
    rows = []

    def f(x):
        rows.append(len(x))
        return x.sum(axis=1)

    for wrt, calls in (("loc", 4), ("scale", 2), (("loc", "scale"), 6)):
        rows.clear()
        fs.gradient(f, fs.Normal(LOC, SCALE), n=1000, rng=1, wrt=wrt, estimator="measure")
        assert sum(rows) == (1 + calls) * 1000


def test_classes_that_cannot_occur_are_not_tried():
    def f(x):
        assert x.max() < 2
        return 1.0 * x[:, 0]

    p = fs.Categorical(logits=[0.3, -0.2, -np.inf])
    estimate = fs.gradient(f, p, n=1000, rng=1, estimator="measure")
    one = p.fisher()[0, 0]
    np.testing.assert_allclose(estimate.flat[2], 0, atol=0)
    assert abs(estimate.flat[1] - one) < LIMIT * estimate.flat_stderr[1] + 1e-12


def test_no_trials():
    assert fs.gradient(
        lambda x: x[:, 0] + 1.0, fs.Binomial(0, 0.5), n=10, rng=1, estimator="measure"
    ).flat == [0.0]  # fmt: skip


@njit
def product_batch(batch, out):
    for i in range(batch.shape[0]):
        out[i] = np.exp(0.3 * batch[i, 0] * batch[i, 1]) + batch[i, 1]


@cfunc(types.float64(types.intc, types.CPointer(types.int64)))
def product_in_c(d, x):
    return np.exp(0.3 * x[0] * x[1]) + x[1]


@pytest.mark.parametrize("f", [product_batch, product_in_c.ctypes], ids=["batch", "C"])
def test_other_kinds_of_f(f):
    p = fs.Poisson([0.6, 1.1])
    one, other = (fs.gradient(g, p, n=N, rng=1, estimator="measure") for g in (f, product))
    np.testing.assert_allclose(one.flat, other.flat, rtol=1e-12)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
def test_moves_are_vectorised():
    """Both roots of the logistic one, among the dearest."""
    x, out = np.linspace(-1, 1, 64), np.ones(64)
    _move_logistic(x, 64, 0.1, 0.7, 0.0, out)
    z, moved = (x - 0.1) / 0.7, (out - 0.1) / 0.7
    np.testing.assert_allclose(np.cosh(moved / 2), np.cosh(z / 2) * np.exp(0.5), rtol=1e-14)
    assembly = "\n".join(_move_logistic.inspect_asm().values())
    assert len(re.findall(r"\bvsqrtpd\b.*%[yz]mm", assembly)) >= 2
    assert not re.search(r"call\w*\s+\S*\b(exp|log|sqrt|copysign)\b", assembly)


def f(x):
    return 1.0 * x.sum(axis=1)


@pytest.mark.parametrize(
    ("p", "options", "message"),
    [
        (fs.Gamma(2.0, 1.0), {}, r"by concentration: take wrt=\['rate'\]"),
        (fs.Joint(a=fs.Beta(2.0, 1.0), b=fs.Poisson(1.0)), {}, r"by a.concentration1: take wrt"),
        (fs.Beta(2.0, 1.0), {}, "take 'score'"),
        (fs.MultivariateNormal([0.0, 0.0], np.eye(2)), {}, "take 'score'"),
        (fs.Poisson(1.0), {"sampling": "antithetic"}, "takes no sampling='antithetic'"),
        (fs.Bernoulli(0.3), {"sampling": "counts"}, "takes no sampling='counts'"),
        (fs.Poisson(1.0), {"proposals": fs.Poisson(2.0)}, "proposals"),
        (fs.Poisson(1.0), {"baseline": "mean"}, "no f to subtract it from"),
        (fs.Poisson(1.0), {"control_variates": "score"}, "control_variates"),
    ],
    ids=str,
)
def test_refusals(p, options, message):
    with pytest.raises(ValueError, match=message):
        fs.gradient(f, p, n=100, rng=1, estimator="measure", **options)


def test_other_values_must_be_finite():
    """One that no sample has."""
    with pytest.raises(ValueError, match="f, there or at another value of a coordinate, is NaN"):
        fs.gradient(
            lambda x: np.where(x[:, 0] < 1, 0.0, np.nan), fs.Poisson(1e-9), n=10, rng=1,
            estimator="measure",
        )  # fmt: skip
