"""The matrix baseline and the covariance of a gradient: products of scores, and what they give."""

from __future__ import annotations

import itertools
import math
import warnings
from functools import cache

import naive
import numpy as np
import pytest
from cases import flat, z_of_mean, z_of_variance
from discrete import distance, table
from numba import config, njit
from oracle import holed, holed_numpy, labels, smooth, smooth_numpy, twin

import fastscore as fs
from fastscore.engine.tiles import tiling

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
BASELINES = (None, 0.7, "mean", "scalar", "optimal", "matrix")
TOLERANCE = 1e-8


# --- integrands ---


@njit
def quadratic(x, target):
    total = 0.0
    for k in range(x.size):
        total += (x[k] - target) ** 2
    return total


@njit
def whole(x, offset):
    """Whole numbers, to which 1e9 may be added without rounding."""
    total = offset
    for k in range(x.size):
        total += math.floor(3 * math.cos(x[k] + k))
    return total


@njit
def model_direct(x, out, theta):
    for j in range(out.size):
        out[j] = -2 * (x[j % x.size] - theta[j % x.size]) + 0.1 * j


def model_numpy(x, theta):
    return ((x - theta[: x.shape[1]]) ** 2).sum(axis=1)


def model_direct_numpy(x, theta):
    j = np.arange(len(theta))
    return -2 * (x - theta[: x.shape[1]])[:, j % x.shape[1]] + 0.1 * j


# --- distributions ---


def normal(d, scale=None):
    k = np.arange(d)
    return fs.Normal(0.3 + 0.5 * np.sin(k), 0.8 + 0.4 * np.cos(k) if scale is None else scale)


P = {
    "Normal 1": lambda: normal(1),
    "Normal 3": lambda: normal(3),
    "Normal 3, shared": lambda: normal(3, 0.9),
    "Normal 41": lambda: normal(41),
    "Normal 100, shared": lambda: normal(100, 1.1),
    "Normal 100": lambda: normal(100),
    "Bernoulli 17": lambda: fs.Bernoulli(0.5 + 0.4 * np.sin(np.arange(17))),
    "Categorical 5": lambda: fs.Categorical(logits=np.cos(np.arange(5.0))),
    "Categorical 3 4": lambda: fs.Categorical(1 + np.cos(np.arange(12.0).reshape(3, 4)) ** 2),
}


def plain_terms(p, n, seed, f, direct=None):
    """f, F, s and folds of the samples behind a run, f not finite left out."""
    x = p.sample(n, rng=seed)
    f_x, s, folds = f(x), twin(p).score(x), labels(tiling(n, p.d, p.size))
    kept = np.isfinite(f_x)
    d_x = 0.0 if direct is None else direct(x)[kept]
    f_x, s, folds = f_x[kept], s[kept], folds[kept]
    return f_x, f_x[:, None] * s + d_x, s, folds


def by_matrix(f, p, n, seed, **options):
    return fs.gradient(f, p, n=n, rng=seed, baseline="matrix", **options)


# --- products of scores ---


def check_products(estimate, f, F, s, folds):
    """By fold, about the reference; to rounding of what is summed and centred."""
    products, reference = estimate._with_products(2), estimate._moments.reference
    w_s = F - reference * s
    size_s, size_F = (np.sqrt(np.sum(a**2, axis=0)) for a in (s, np.abs(F) + np.abs(w_s)))
    for k in range(len(products.sums)):
        own = folds == k
        for actual, expected, size in (
            (products.scores[k], s[own].T @ s[own], np.outer(size_s, size_s)),
            (products.terms_scores[k], w_s[own].T @ s[own], np.outer(size_F, size_s)),
            (products.terms[k], w_s[own].T @ w_s[own], np.outer(size_F, size_F)),
        ):
            assert np.all(np.abs(actual - expected) <= 1e-13 * size)


@pytest.mark.parametrize("kind", ["sample", "numpy"])
@pytest.mark.parametrize("name", P)
def test_products(name, kind):
    p = P[name]()
    f = smooth if kind == "sample" else smooth_numpy
    for n in (13, 3000):
        estimate = fs.gradient(f, p, n=n, rng=n)
        check_products(estimate, *plain_terms(p, n, n, smooth_numpy))


@pytest.mark.parametrize("kind", ["sample", "numpy"])
@pytest.mark.parametrize("name", ["Normal 1", "Normal 3, shared", "Normal 41", "Categorical 3 4"])
def test_products_with_a_direct_term(name, kind):
    """F sᵀ is then not symmetric."""
    p, n = P[name](), 3000
    theta = np.cos(np.arange(float(p.size)))
    f, direct = (distance, model_direct) if kind == "sample" else (model_numpy, model_direct_numpy)
    estimate = fs.gradient(fs.Integrand(f, direct=direct), p, args=(theta,), n=n, rng=1)
    expected = plain_terms(
        p, n, 1, lambda x: model_numpy(x, theta), lambda x: model_direct_numpy(x, theta)
    )
    check_products(estimate, *expected)
    check_gradient(estimate.with_baseline("matrix"), *expected)


@pytest.mark.parametrize("kind", ["sample", "numpy"])
@pytest.mark.parametrize("d", [1, 3, 41])
def test_products_leave_out_what_is_not_finite(d, kind):
    f = fs.Integrand(holed if kind == "sample" else holed_numpy, nonfinite="omit")
    for n in (30, 3000):
        estimate = fs.gradient(f, normal(d), n=n, rng=n)
        expected = plain_terms(normal(d), n, n, holed_numpy)
        assert estimate.n == len(expected[0]) < n
        check_products(estimate, *expected)
        check_gradient(estimate.with_baseline("matrix"), *expected)


# --- gradient ---


def check_gradient(actual, f, F, s, folds):
    """The cross-fitted formula, to `TOLERANCE` of what is summed."""
    terms = naive.matrix_terms(f, F, s, folds)
    size = np.sqrt(np.mean(F**2, axis=0))
    assert np.all(np.abs(actual.flat - terms.mean(axis=0)) <= TOLERANCE * size)
    variance, expected = flat(actual.grad_stderr) ** 2, naive.standard_error(terms) ** 2
    assert np.all(np.abs(variance - expected) <= TOLERANCE * size**2 / (len(f) - 1))
    unaided = naive.standard_error(F) ** 2
    some = expected > TOLERANCE * unaided
    np.testing.assert_allclose(
        flat(actual.variance_ratio)[some], (unaided / expected)[some], rtol=1e-6
    )


@pytest.mark.parametrize("n", [2, 5, 11, 12, 13, 20, 30, 100, 3000])
@pytest.mark.parametrize("name", P)
def test_gradient(name, n):
    """From the mean of the other folds alone, at few samples, to the regression."""
    p = P[name]()
    check_gradient(by_matrix(smooth, p, n, n), *plain_terms(p, n, n, smooth_numpy))


@pytest.mark.parametrize("name", ["Normal 3", "Bernoulli 17", "Categorical 5"])
def test_gradient_numpy_style(name):
    p = P[name]()
    for n in (30, 3000):
        check_gradient(by_matrix(smooth_numpy, p, n, n), *plain_terms(p, n, n, smooth_numpy))


RARE = {
    "Categorical": fs.Categorical(logits=np.log([0.5, 0.45, 0.05])),
    "rare class": fs.Categorical(logits=np.log([0.6, 0.399, 0.001])),
    "Bernoulli": fs.Bernoulli([0.03, 0.5, 0.7]),
    "rare Bernoulli": fs.Bernoulli([1e-4, 0.5]),
}


@pytest.mark.parametrize("baseline", ["scalar", "optimal", "matrix"])
@pytest.mark.parametrize("name", RARE)
def test_an_outcome_that_the_other_folds_lack(name, baseline):
    """It tells nothing of a coefficient: the score's entry is constant there, and 0/0 gives m.

    What cancels to 0 must not leave a rounding behind that is taken for a slope, least of all one
    that depends on the fold's own samples.
    """
    p, n = RARE[name], 40
    rare = np.zeros(p.d, int) if p.d == 1 else np.r_[1, np.zeros(p.d - 1, int)]
    rare = np.array([2]) if isinstance(p, fs.Categorical) else rare
    seen = 0
    for seed in range(2000):
        x = p.sample(n, rng=seed)
        if (x[:, 0] == rare[0]).sum() != 1:
            continue
        f, F, s, folds = plain_terms(p, n, seed, smooth_numpy)
        if baseline == "matrix":
            terms = naive.matrix_terms(f, F, s, folds)
        else:
            terms = F - naive.coefficients(f, F, s, folds, baseline) * s
        size = np.sqrt(np.mean(F**2, axis=0))
        for kind in (smooth, smooth_numpy):
            actual = fs.gradient(kind, p, n=n, rng=seed, baseline=baseline, threads=1)
            np.testing.assert_array_less(np.abs(actual.flat - terms.mean(0)), TOLERANCE * size)
        seen += 1
        if seen == 10:
            break
    assert seen > 3


@pytest.mark.parametrize("n", [2, 5, 10, 11])
@pytest.mark.parametrize("name", ["Normal 1", "Normal 3", "Categorical 5"])
def test_few_samples_give_the_mean_of_the_other_folds(name, n):
    """λ = 0 where the other folds hold ten or fewer."""
    p = P[name]()
    f, F, s, folds = plain_terms(p, n, n, smooth_numpy)
    b = naive.coefficients(f, F, s, folds, "mean", direct=True)
    actual = by_matrix(smooth, p, n, n)
    np.testing.assert_allclose(actual.flat, (F - b * s).mean(axis=0), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["Normal 3", "Categorical 5", "Categorical 3 4"])
def test_wrt(name):
    """A part of the gradient is regressed on the whole score, as in the whole gradient."""
    p, n = P[name](), 1000
    every = by_matrix(smooth, p, n, 1)
    for which in p.parameters:
        part = by_matrix(smooth, p, n, 1, wrt=which)
        np.testing.assert_allclose(part.grad[which], every.grad[which], rtol=1e-12)
        np.testing.assert_allclose(part.grad_stderr[which], every.grad_stderr[which], rtol=1e-12)
        assert part.covariance().shape == (part.flat.size, part.flat.size)


@pytest.mark.parametrize("name", ["Normal 3", "Bernoulli 17", "Categorical 3 4"])
@pytest.mark.parametrize("kind", ["sample", "numpy"])
def test_with_baseline_is_a_run_with_it(name, kind):
    p, f = P[name](), smooth if kind == "sample" else smooth_numpy
    direct = by_matrix(f, p, 1000, 3)
    replayed = fs.gradient(f, p, n=1000, rng=3, baseline=None).with_baseline("matrix")
    np.testing.assert_array_equal(direct.flat, replayed.flat)
    np.testing.assert_array_equal(flat(direct.grad_stderr), flat(replayed.grad_stderr))
    np.testing.assert_array_equal(direct.covariance(), replayed.covariance())
    back = direct.with_baseline("optimal")
    expected = fs.gradient(f, p, n=1000, rng=3)
    np.testing.assert_allclose(back.flat, expected.flat, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("n", [2, 13, 1000])
def test_offset_changes_nothing(n):
    p = normal(3)
    small, large = (by_matrix(whole, p, n, n, args=(offset,)) for offset in (0.0, 1e9))
    np.testing.assert_allclose(large.flat, small.flat, rtol=1e-12)
    np.testing.assert_allclose(flat(large.grad_stderr), flat(small.grad_stderr), rtol=1e-12)
    np.testing.assert_allclose(large.covariance(), small.covariance(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("by", ["logits", "probs"])
@pytest.mark.parametrize("classes", [2, 5, 20])
def test_no_variance_is_left_of_a_categorical(classes, by):
    """F is linear in the one-hot scores, whatever f is, once every fold's others saw each class."""
    weights = 1 + np.cos(np.arange(classes)) ** 2
    probs = weights / weights.sum()
    p = fs.Categorical(weights) if by == "probs" else fs.Categorical(logits=np.log(weights))
    values = np.random.default_rng(0).normal(size=classes)
    estimate = by_matrix(table, p, 4000, 1, args=(values,))
    centred = values - probs @ values
    exact = centred / weights.sum() if by == "probs" else probs * centred
    np.testing.assert_allclose(estimate.flat, exact, rtol=1e-9, atol=1e-10)
    unaided = flat(estimate.with_baseline(None).grad_stderr)
    assert np.all(flat(estimate.grad_stderr) < 1e-6 * unaided)


# --- bias and variance, over many runs ---


def runs_of(f, p, args, n, count, first_seed):
    """Gradients, and n se², of many runs."""
    grad, variance = np.empty((2, count, p.size))
    with warnings.catch_warnings():
        if n == 1:
            warnings.filterwarnings("ignore", "n=1", RuntimeWarning)
        for i in range(count):
            one = by_matrix(f, p, n, first_seed + i, args=args, threads=1)
            grad[i], variance[i] = one.flat, n * flat(one.grad_stderr) ** 2
    return grad, variance


NORMAL = fs.Normal([0.5], [1.2])
CLASSES, VALUES = np.array([0.5, 0.45, 0.05]), np.array([0.0, 10.0, 5.0])
UNBIASED = {
    "Normal": (quadratic, NORMAL, (-1.0,), np.array([3.0, 2.4])),
    "Categorical": (
        lambda x: VALUES[x[:, 0]],
        fs.Categorical(logits=np.log(CLASSES)),
        (),
        CLASSES * (VALUES - CLASSES @ VALUES),
    ),
}


@pytest.mark.parametrize(
    ("name", "n"),
    [
        *[("Normal", n) for n in (1, 5, 13, 30)],
        *[("Categorical", n) for n in (2, 12, 30, 100)],
    ],
)
def test_unbiased(name, n):
    """Where λ is 0, where it starts, and where it is not.

    Folds may lack a class; a NumPy-style f is centred by a median of the samples themselves: none
    of it must show.
    """
    f, p, args, exact = UNBIASED[name]
    grad, variance = runs_of(f, p, args, n, 3000, 10**6 * n)
    z = z_of_mean(grad, exact)
    assert np.abs(z).max() < LIMIT, f"z = {z}"
    assert np.isnan(variance).all() == (n == 1)


@cache
def quadrature(d, loc, scale, degree=8):
    """Nodes (M, d) and weights, exact for polynomials of degree 15 in each coordinate."""
    z, w = np.polynomial.hermite_e.hermegauss(degree)
    nodes = np.array(list(itertools.product(z, repeat=d)))
    weights = np.prod(list(itertools.product(w / w.sum(), repeat=d)), axis=1)
    return loc + scale * nodes, weights


@pytest.mark.parametrize("d", [1, 3])
def test_variance_is_the_optimum(d):
    """``Var(F − C* s)``, by Gauss-Hermite; the noise of C adds about r/n of it, 0.15 % at most."""
    n, count = 4000, 200
    loc, scale = 0.5, 1.2
    p = fs.Normal(np.full(d, loc), np.full(d, scale))
    x, weights = quadrature(d, loc, scale)
    s = naive.normal_score(x, loc, np.full(d, scale))
    F = np.sum((x + 1.0) ** 2, axis=1)[:, None] * s
    c = (F.T * weights) @ s @ np.linalg.inv((s.T * weights) @ s)
    left = F - s @ c.T
    optimum = weights @ left**2 - (weights @ left) ** 2
    grad, variance = runs_of(quadratic, p, (-1.0,), n, count, 10**8)
    excess = 2 * p.size / n
    error = variance.std(axis=0) / np.sqrt(count)
    assert np.all(variance.mean(axis=0) > optimum - LIMIT * error)
    assert np.all(variance.mean(axis=0) < optimum * (1 + excess) + LIMIT * error)
    assert np.abs(z_of_variance(grad * np.sqrt(n), optimum)).max() < LIMIT
    unaided = weights @ F**2 - (weights @ F) ** 2
    assert np.all(optimum < 0.6 * unaided)


# --- threads and hosts ---

BITS = """
import numpy as np
from numba import njit
import fastscore as fs

@njit
def f(x):
    total = 0.0
    for k in range(x.size):
        total += (x[k] - 1.0) ** 2
    return total

bits = set()
for threads in (1, 2, 3):
    p = fs.Normal(np.linspace(-1, 1, 20), 1.0)
    estimate = fs.gradient(f, p, n=100_000, rng=1, baseline="matrix", threads=threads)
    assert estimate.threads == threads
    bits.add((estimate.flat.tobytes(), estimate.covariance().tobytes()))
assert len(bits) == 1
print(repr(estimate.flat.tolist()), repr(estimate.covariance().sum()))
"""


def test_same_bits_for_any_threads_and_layer(python):
    """Also under the layer within which two parallel regions would abort the process."""
    printed = {python(BITS, **env).stdout for env in ({}, {"NUMBA_THREADING_LAYER": "workqueue"})}
    assert len(printed) == 1


# --- covariance ---


def naive_covariance(f, F, s, folds, baseline):
    """Of the mean of the terms, by `numpy.cov`."""
    if baseline == "matrix":
        terms = naive.matrix_terms(f, F, s, folds)
    else:
        terms = F - naive.coefficients(f, F, s, folds, baseline) * s
    return np.atleast_2d(np.cov(terms.T)) / len(f), terms


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("name", ["Normal 1", "Normal 3, shared", "Normal 41", "Categorical 3 4"])
def test_covariance(name, baseline):
    p = P[name]()
    for n, kind in ((2, smooth), (30, smooth_numpy), (3000, smooth)):
        estimate = fs.gradient(kind, p, n=n, rng=n, baseline=baseline)
        actual = estimate.covariance()
        f, F, s, folds = plain_terms(p, n, n, smooth_numpy)
        expected, _ = naive_covariance(f, F, s, folds, baseline)
        size = np.sqrt(np.mean(F**2, axis=0) / (n - 1))
        assert np.all(np.abs(actual - expected) <= TOLERANCE * np.outer(size, size))
        np.testing.assert_array_equal(np.diag(actual), flat(estimate.grad_stderr) ** 2)
        rounding = 1e-12 * size.max() ** 2
        np.testing.assert_allclose(actual, actual.T, rtol=0, atol=rounding)
        assert np.linalg.eigvalsh(actual).min() >= -p.size * rounding


def test_covariance_with_a_direct_term_and_omission():
    p, n = normal(3), 3000
    theta = np.cos(np.arange(6.0))

    def f(x, theta):
        return np.where(x[:, 0] > 1.0, np.nan, model_numpy(x, theta))

    integrand = fs.Integrand(f, direct=model_direct_numpy, nonfinite="omit")
    expected = plain_terms(p, n, 2, lambda x: f(x, theta), lambda x: model_direct_numpy(x, theta))
    for baseline in (None, "optimal", "matrix"):
        estimate = fs.gradient(integrand, p, args=(theta,), n=n, rng=2, baseline=baseline)
        covariance, _ = naive_covariance(*expected, baseline)
        size = np.sqrt(np.mean(expected[1] ** 2, axis=0) / estimate.n)
        error = np.abs(estimate.covariance() - covariance)
        assert np.all(error <= TOLERANCE * np.outer(size, size))


@pytest.mark.parametrize("baseline", BASELINES)
def test_covariance_wrt(baseline):
    """A block of the whole matrix; but the scalar baseline minimises the chosen entries alone."""
    p = normal(3)
    every = fs.gradient(smooth, p, n=1000, rng=1, baseline=baseline).covariance()
    part = fs.gradient(smooth, p, n=1000, rng=1, baseline=baseline, wrt="scale").covariance()
    assert part.shape == (3, 3)
    if baseline != "scalar":
        np.testing.assert_allclose(part, every[3:, 3:], rtol=1e-10, atol=1e-14)


def test_covariance_of_one_sample():
    with pytest.warns(RuntimeWarning, match="one sample"):
        estimate = by_matrix(smooth, normal(3), 1, 0)
    assert np.isnan(estimate.covariance()).all()
    assert estimate.covariance().shape == (6, 6)


@pytest.mark.parametrize("baseline", ["mean", "matrix"])
def test_covariance_is_that_of_many_gradients(baseline):
    """Off the diagonal too; both sides have standard errors, from runs of their own."""
    p, n = fs.Normal([0.5, -0.5], [1.2, 0.8]), 300

    def many(seeds):
        return (
            fs.gradient(quadratic, p, args=(-1.0,), n=n, rng=seed, baseline=baseline, threads=1)
            for seed in seeds
        )

    grads = np.array([one.flat for one in many(range(10**7, 10**7 + 2000))])
    reported = np.array([one.covariance() for one in many(range(400))])
    centred = grads - grads.mean(axis=0)
    products = centred[:, :, None] * centred[:, None, :] * len(grads) / (len(grads) - 1)
    error = np.sqrt(products.var(axis=0) / len(products) + reported.var(axis=0) / len(reported))
    z = (products.mean(axis=0) - reported.mean(axis=0)) / error
    assert np.abs(z).max() < LIMIT


# --- what goes wrong ---


def interrupted(baseline):
    """An estimate of the first batches, after which Ctrl-C came."""
    calls = []

    def f(x):
        calls.append(len(x))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return smooth_numpy(x)

    with pytest.raises(fs.Interrupted) as stop:
        fs.gradient(f, normal(3), n=10**6, rng=0, baseline=baseline)
    return stop.value.estimate


def test_interrupted_estimates():
    """What was summed is there; what would need the samples once more is refused."""
    estimate = interrupted("matrix")
    assert estimate.stopped == "interrupted"
    assert 0 < estimate.n < 10**6
    assert np.isfinite(estimate.flat).all()
    for attempt in (
        estimate.covariance,
        interrupted("optimal").covariance,
        lambda: interrupted("optimal").with_baseline("matrix").flat,
    ):
        with pytest.raises(RuntimeError, match=r"interrupted.*cannot be repeated"):
            attempt()


@njit
def bounded(x):
    if x[0] > 4.0:
        raise ValueError("too large")
    return x[0]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_exceptions_of_f(threads):
    """Its own, at the first sample of all folds, whichever thread met one first."""
    p, n = fs.Normal([0.0], 1.0), 10**6
    first = np.argmax(p.sample(n, rng=0)[:, 0] > 4.0)
    with pytest.raises(ValueError, match="too large") as caught:
        by_matrix(bounded, p, n, 0, threads=threads)
    assert f"sample {first}," in caught.value.__notes__[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_f_that_is_not_finite(threads):
    p = normal(3)
    first = np.argmax(~np.isfinite(holed_numpy(p.sample(100_000, rng=0))))
    with pytest.raises(ValueError, match=f"first at sample {first},"):
        by_matrix(holed, p, 100_000, 0, threads=threads)


def test_too_many_entries_are_refused():
    """Before the memory for them is asked for."""
    p = fs.Normal(np.zeros(3000), np.ones(3000))
    with pytest.raises(ValueError, match="P = 6000"):
        fs.gradient(lambda x: x.sum(axis=1), p, n=20, rng=0, baseline="matrix")
    estimate = fs.gradient(lambda x: x.sum(axis=1), p, n=20, rng=0)
    with pytest.raises(ValueError, match="P = 6000"):
        estimate.covariance()
