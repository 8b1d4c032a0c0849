"""Rao-Blackwellization: score entries weighted by terms of f, or by conditional expectations."""

from __future__ import annotations

import math
import warnings

import discrete
import naive
import numpy as np
import pytest
from cases import flat, z_of_mean, z_of_variance
from numba import config, njit

import fastscore as fs
from fastscore.engine.tiles import tiling

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
BASELINES = (None, 0.7, "mean", "scalar", "optimal")
SIZES = (1, 2, 3, 5, 8, 13, 1000, 20_000)

# --- terms of a chain, each of a coordinate and the next, in three kinds; and of one each ---


@njit
def chain(x, out, offset):
    for k in range(x.size - 1):
        out[k] = math.cos(x[k] + 0.5 * x[k + 1]) * (k + 1)
    out[x.size - 1] = offset


@njit
def chain_batch(batch, out, offset):
    for i in range(batch.shape[0]):
        for k in range(batch.shape[1] - 1):
            out[i, k] = math.cos(batch[i, k] + 0.5 * batch[i, k + 1]) * (k + 1)
        out[i, batch.shape[1] - 1] = offset


def chain_numpy(x, offset):
    k = np.arange(1, x.shape[1])
    pairs = np.cos(x[:, :-1] + 0.5 * x[:, 1:]) * k
    return np.column_stack([pairs, np.full(len(x), offset)])


def chain_depends(d):
    depends = np.zeros((d, d), bool)
    for k in range(d - 1):
        depends[k, k : k + 2] = True
    return depends


CHAINS = {"sample": (chain, None), "batch": (chain_batch, "batch"), "numpy": (chain_numpy, None)}


def chain_of(d, kind="sample"):
    f, said = CHAINS[kind]
    return fs.Integrand(f, kind=said, depends=chain_depends(d))


@njit
def squared_distances(x, out, t):
    for k in range(x.size):
        out[k] = (x[k] - t[k]) ** 2


@njit
def distance(x, t):
    total = 0.0
    for k in range(x.size):
        total += (x[k] - t[k]) ** 2
    return total


# --- the oracle: weights (n, C) of natural scores (n, C), which belong to entries (C,) ---


def oracle(f, weights, natural, entries, folds, baseline, direct=0.0):
    size, n = entries.max() + 1, len(f)
    owner = np.eye(size)[entries]
    F, s = (weights * natural) @ owner + direct, natural @ owner
    own = weights @ owner / owner.sum(axis=0)
    b = np.full_like(s, 0.0 if baseline is None else np.nan)
    if isinstance(baseline, float):
        b[:] = baseline
    for k in np.unique(folds) if isinstance(baseline, str) else ():
        others = folds != k
        mean = own[others].mean(axis=0) if others.any() else np.zeros(size)
        if baseline == "scalar":
            mean = np.full(size, mean.mean())
        b[~others] = mean
        if baseline != "mean" and others.sum() > 10:
            b[~others] = naive.shrunk_optimum(F[others], s[others], mean, baseline == "scalar")
    terms = F - (0.0 if n == 1 and isinstance(baseline, str) else b) * s
    return f.mean(), naive.standard_error(f), terms.mean(axis=0), naive.standard_error(terms)


def assert_agrees(actual, expected, size):
    value, value_stderr, grad, stderr = expected
    np.testing.assert_allclose(actual.value, value, rtol=0, atol=1e-10 * size)
    np.testing.assert_allclose(actual.value_stderr, value_stderr, rtol=1e-7, atol=1e-10 * size)
    np.testing.assert_allclose(actual.flat, grad, rtol=0, atol=1e-10 * size)
    np.testing.assert_allclose(flat(actual.grad_stderr), stderr, rtol=1e-7, atol=1e-10 * size)


def run(f, p, n, **options):
    with warnings.catch_warnings():
        if n == 1:
            warnings.filterwarnings("ignore", "n=1", RuntimeWarning)
        return fs.gradient(f, p, n=n, **options)


def labels(n, p):
    cut = tiling(n, p.d, p.size)
    return np.arange(n) // cut.block % cut.folds


def weights_of(terms, depends, owners):
    return terms @ depends[:, owners]


def loc_scale(d):
    k = np.arange(d)
    return 0.3 + 0.5 * np.sin(k), 0.8 + 0.4 * np.cos(k)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    ("d", "kind"), [(3, "sample"), (3, "batch"), (3, "numpy"), (50, "sample"), (50, "batch")]
)
def test_every_baseline_at_every_size(n, d, kind):
    p = fs.Normal(*loc_scale(d))
    x = p.sample(n, rng=n)
    terms, owners = chain_numpy(x, 2.0), np.tile(np.arange(d), 2)
    weights = weights_of(terms, chain_depends(d), owners)
    natural = naive.normal_score(x, *loc_scale(d))
    for baseline in BASELINES:
        actual = run(chain_of(d, kind), p, n, args=(2.0,), rng=n, baseline=baseline)
        expected = oracle(
            terms.sum(axis=1), weights, natural, np.arange(2 * d), labels(n, p), baseline
        )
        assert_agrees(actual, expected, 10 * d)
        assert actual.bias == "none"


@pytest.mark.parametrize("shared", ["loc", "scale"])
@pytest.mark.parametrize("n", [2, 13, 2000])
@pytest.mark.parametrize("kind", ["sample", "numpy"])
def test_shared_parameters(shared, n, kind):
    d = 4
    loc, scale = loc_scale(d)
    if shared == "loc":
        p, loc = fs.Normal(0.4, scale), np.full(d, 0.4)
        entries = np.concatenate([np.zeros(d, int), 1 + np.arange(d)])
    else:
        p, scale = fs.Normal(loc, 1.3), np.full(d, 1.3)
        entries = np.concatenate([np.arange(d), np.full(d, d)])
    x = p.sample(n, rng=n)
    terms = chain_numpy(x, 100.0)
    weights = weights_of(terms, chain_depends(d), np.tile(np.arange(d), 2))
    natural = naive.normal_score(x, loc, scale)
    for baseline in BASELINES:
        actual = run(chain_of(d, kind), p, n, args=(100.0,), rng=n, baseline=baseline)
        expected = oracle(terms.sum(axis=1), weights, natural, entries, labels(n, p), baseline)
        assert_agrees(actual, expected, 100)


@njit
def of_parts(x, out):
    out[0] = x.a[0] * x.b[0]
    out[1] = x.b[1] ** 2
    out[2] = x.a[1]


def of_parts_numpy(x):
    return np.column_stack([x.a[:, 0] * x.b[:, 0], x.b[:, 1] ** 2.0, x.a[:, 1]])


@pytest.mark.parametrize("f", [of_parts, of_parts_numpy])
def test_parts_of_a_joint(f):
    loc, scale = loc_scale(2)
    logits = np.array([[0.1, 0.5, -0.3], [1.0, 0.0, 0.2]])
    p = fs.Joint(a=fs.Normal(loc, scale), b=fs.Categorical(logits=logits))
    depends = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    n = 1000
    x = p.sample(n, rng=4)
    natural = np.hstack(
        [naive.normal_score(x.a, loc, scale), naive.categorical_score(x.b, np.exp(logits), True)]
    )
    owners, terms = np.array([0, 1, 0, 1, 2, 2, 2, 3, 3, 3]), of_parts_numpy(x)
    weights = weights_of(terms, depends, owners)
    for baseline in BASELINES:
        actual = run(fs.Integrand(f, depends=depends), p, n, rng=4, baseline=baseline)
        expected = oracle(
            terms.sum(axis=1), weights, natural, np.arange(10), labels(n, p), baseline
        )
        assert_agrees(actual, expected, 10)


def test_products_of_scores_agree_with_sums():
    """``baseline="matrix"`` and covariances, on one thread per fold."""
    d, n = 3, 3000
    p = fs.Normal(*loc_scale(d))
    x = p.sample(n, rng=6)
    terms, folds = chain_numpy(x, 1.0), labels(n, p)
    s = naive.normal_score(x, *loc_scale(d))
    F = weights_of(terms, chain_depends(d), np.tile(np.arange(d), 2)) * s
    actual = fs.gradient(chain_of(d), p, n=n, args=(1.0,), rng=6, baseline=None)
    cov = np.cov(F.T) / n
    np.testing.assert_allclose(actual.covariance(), cov, rtol=1e-9, atol=1e-14)
    matrix = fs.gradient(chain_of(d), p, n=n, args=(1.0,), rng=6, baseline="matrix")
    own = F / s
    rows = np.empty_like(F)
    for k in np.unique(folds):
        others = folds != k
        c = np.diag(own[others].mean(axis=0))
        c += naive.shrunk_regression(F[others] - s[others] @ c.T, s[others])
        rows[~others] = F[~others] - s[~others] @ c.T
    np.testing.assert_allclose(matrix.flat, rows.mean(axis=0), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(
        flat(matrix.grad_stderr), naive.standard_error(rows), rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("baseline", ["optimal", "matrix"])
def test_same_bits_for_any_threads(baseline):
    p = fs.Normal(0.4, loc_scale(5)[1])
    one, two = (
        fs.gradient(chain_of(5), p, n=200_000, args=(1.0,), rng=2, threads=t, baseline=baseline)
        for t in (1, 2)
    )
    assert two.threads == 2
    np.testing.assert_array_equal(one.flat, two.flat)
    np.testing.assert_array_equal(flat(one.grad_stderr), flat(two.grad_stderr))


@njit
def depends_on_loc(x, out, loc):
    for k in range(x.size):
        out[k] = (x[k] - 2 * loc[k]) ** 2


@njit
def direct_of_loc(x, out, loc):
    for k in range(x.size):
        out[k] = -4 * (x[k] - 2 * loc[k])
        out[x.size + k] = 0.0


@pytest.mark.parametrize("kind", ["sample", "numpy"])
def test_with_a_direct_term(kind):
    loc, scale = loc_scale(3)
    p, n = fs.Normal(loc, scale), 1500
    x = p.sample(n, rng=9)
    terms = (x - 2 * loc) ** 2
    direct = np.hstack([-4 * (x - 2 * loc), np.zeros_like(x)])
    f, d = (
        (depends_on_loc, direct_of_loc)
        if kind == "sample"
        else (
            lambda x, loc: (x - 2 * loc) ** 2,
            lambda x, loc: np.hstack([-4 * (x - 2 * loc), np.zeros_like(x)]),
        )
    )
    f = fs.Integrand(f, depends=np.eye(3, dtype=bool), direct=d)
    for baseline in BASELINES:
        actual = run(f, p, n, args=(loc,), rng=9, baseline=baseline)
        expected = oracle(
            terms.sum(axis=1), np.tile(terms, 2), naive.normal_score(x, loc, scale), np.arange(6),
            labels(n, p), baseline, direct,
        )  # fmt: skip
        assert_agrees(actual, expected, 20)


# --- conditional expectations ---


@njit
def product(x, means):
    total = 1.0
    for k in range(x.size):
        total *= 1.0 + x[k]
    return total


@njit
def product_given(x, out, means):
    """Given one coordinate alone, the others are averaged."""
    whole = 1.0
    for k in range(x.size):
        whole *= 1.0 + means[k]
    for k in range(x.size):
        out[k] = whole / (1.0 + means[k]) * (1.0 + x[k])


def product_given_numpy(x, means):
    return np.prod(1 + means) / (1 + means) * (1 + x)


@pytest.mark.parametrize("kind", ["sample", "numpy"])
@pytest.mark.parametrize("n", [1, 5, 2000])
def test_conditional_expectations(kind, n):
    loc, scale = loc_scale(3)
    p = fs.Normal(loc, scale)
    x = p.sample(n, rng=3)
    values, given = np.prod(1 + x, axis=1), product_given_numpy(x, loc)
    f = (
        fs.Integrand(product, conditional=product_given)
        if kind == "sample"
        else fs.Integrand(lambda x, m: np.prod(1 + x, axis=1), conditional=product_given_numpy)
    )
    for baseline in BASELINES:
        actual = run(f, p, n, args=(loc,), rng=3, baseline=baseline)
        expected = oracle(
            values, np.tile(given, 2), naive.normal_score(x, loc, scale), np.arange(6),
            labels(n, p), baseline,
        )  # fmt: skip
        assert_agrees(actual, expected, 20)


# --- variances and bias ---


def case():
    row = discrete.entries()["bern-prod3-relax-tests"]
    p = discrete.bernoulli_of_logit(row["params"]["theta"])
    f = fs.Integrand(squared_distances, depends=np.eye(3, dtype=bool))
    exact = np.array(list(row["grad"].values()))
    return f, p, np.array(row["params"]["t"]), exact, row


def test_variance_of_the_relax_case():
    f, p, t, exact, row = case()
    n, count = 200, 2000
    runs = [fs.gradient(f, p, args=(t,), n=n, rng=s, baseline=None) for s in range(count)]
    grads = np.array([one.flat for one in runs])
    variance = np.array(list(row["var"]["local_rb(drop independent terms)"].values()))
    assert np.abs(z_of_mean(grads, exact)).max() < LIMIT
    assert np.abs(z_of_variance(grads * np.sqrt(n), variance)).max() < LIMIT
    reported = np.array([n * one.flat_stderr**2 for one in runs])
    assert np.abs(z_of_mean(reported, variance)).max() < LIMIT


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_unbiased_at_every_n(n):
    f, p, t, exact, row = case()
    grads = {b: np.empty((2500, 3)) for b in BASELINES}
    values = np.empty(2500)
    for i in range(2500):
        one = fs.gradient(f, p, args=(t,), n=n, rng=10**6 * n + i)
        values[i] = one.value
        for baseline, rows in grads.items():
            rows[i] = one.with_baseline(baseline).flat
    assert abs(z_of_mean(values, row["value"])) < LIMIT
    for baseline, rows in grads.items():
        assert np.abs(z_of_mean(rows, exact)).max() < LIMIT, baseline


@pytest.mark.parametrize("n", [2, 5, 13])
def test_unbiased_under_shared_parameters(n):
    """One location of two coordinates, whose terms differ much."""
    t = np.array([0.3, 50.0])
    p = fs.Shared(fs.Joint(a=fs.Normal(0.5, 1.2), b=fs.Normal(0.5, 1.2)), loc=("a.loc", "b.loc"))
    exact = np.array([2 * (0.5 - t[0]) + 2 * (0.5 - t[1]), 2.4, 2.4])
    f = fs.Integrand(
        lambda x, t: np.hstack([(x.a - t[0]) ** 2, (x.b - t[1]) ** 2]),
        depends=np.eye(2, dtype=bool),
    )
    grads = {b: np.empty((2000, 3)) for b in BASELINES}
    for i in range(2000):
        one = fs.gradient(f, p, args=(t,), n=n, rng=10**6 * n + i)
        for baseline, rows in grads.items():
            rows[i] = one.with_baseline(baseline).flat
    for baseline, rows in grads.items():
        assert np.abs(z_of_mean(rows, exact)).max() < LIMIT, baseline


@njit
def of_proportions(x, out):
    out[0] = x[0] ** 2
    out[1] = x[3] * x[4]


def test_tied_coordinates_count_as_one():
    """Two vectors of proportions: a term of one is noise to the other alone."""
    p = fs.Dirichlet([[1.0, 2.0, 3.0], [2.0, 1.5, 0.7]])
    depends = np.zeros((2, 6), bool)
    depends[0, 0] = depends[1, 3:5] = True
    n = 50_000
    f = fs.Integrand(of_proportions, depends=depends)
    actual = fs.gradient(f, p, n=n, rng=1, baseline=None)
    x = p.sample(n, rng=1)
    s = p.score(x)
    terms = np.column_stack([x[:, 0] ** 2, x[:, 3] * x[:, 4]])
    np.testing.assert_allclose(
        actual.flat, np.mean(s * np.repeat(terms, 3, axis=1), axis=0), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    "p",
    [
        fs.FiniteDiscrete([-1.5, 0.5, 3.0], logits=[[0.1, 0.2, 0.3], [1.0, 0.0, 0.0]]),
        fs.Transformed(fs.Normal([0.1, 0.3], [0.5, 0.7]), "exp"),
        fs.Gamma([0.01, 2.0], [1.0, 1.5]),
        fs.Binomial([3, 5], [0.3, 0.6]),
        fs.ZeroInflated(fs.Poisson([1.0, 2.0]), 0.3),
        fs.Fixed(fs.Normal([0.1, 0.3], [0.5, 0.7]), "scale"),
    ],
    ids=lambda p: type(p).__name__,
)
def test_families_that_are_drawn_elsewhere_or_wrapped(p):
    """Every entry of a sum of one function per coordinate is that of the coordinate alone."""
    f = fs.Integrand(lambda x: np.sqrt(1.0 + np.abs(x)), depends=np.eye(2, dtype=bool))
    n = 20_000
    actual = fs.gradient(f, p, n=n, rng=5, baseline=None)
    x = p.sample(n, rng=5)
    np.testing.assert_allclose(actual.value, np.sqrt(1.0 + np.abs(x)).sum(axis=1).mean())
    plain = fs.gradient(
        lambda x: np.sqrt(1.0 + np.abs(x)).sum(axis=1), p, n=400_000, rng=6, baseline="optimal"
    )
    error = np.hypot(actual.flat_stderr, plain.flat_stderr)
    assert np.all(np.abs(actual.flat - plain.flat) < LIMIT * error)


# --- non-finite f ---


@njit
def far(x, out, t):
    for k in range(x.size):
        out[k] = math.inf if x[k] > 3.0 else x[k]


@njit
def holed(x, out):
    out[0] = math.nan if x[0] > 1.0 else x[0]
    out[1] = x[1] ** 2


@pytest.mark.parametrize("compiled", [True, False])
def test_omitted_samples(compiled):
    p, n = fs.Normal([0.3, 0.1], [1.0, 0.8]), 5000
    x = p.sample(n, rng=8)

    def numpy(x):
        return np.column_stack([np.where(x[:, 0] > 1, np.nan, x[:, 0]), x[:, 1] ** 2])

    f = fs.Integrand(holed if compiled else numpy, depends=np.eye(2, dtype=bool), nonfinite="omit")
    kept = x[:, 0] <= 1
    terms, s = numpy(x)[kept], naive.normal_score(x, np.array([0.3, 0.1]), np.array([1.0, 0.8]))
    for baseline in (None, "optimal"):
        actual = fs.gradient(f, p, n=n, rng=8, baseline=baseline)
        assert actual.nonfinite == n - kept.sum()
        expected = oracle(
            terms.sum(axis=1), np.tile(terms, 2), s[kept], np.arange(4), labels(n, p)[kept],
            baseline,
        )  # fmt: skip
        assert_agrees(actual, expected, 10)
    with pytest.raises(ValueError, match="NaN or infinite at"):
        fs.gradient(fs.Integrand(f.f, depends=f.depends), p, n=n, rng=8)


@pytest.mark.parametrize("compiled", [True, False])
def test_conditional_that_is_not_finite(compiled):
    p = fs.Normal([0.3, 0.1], [1.0, 0.8])
    f = fs.Integrand(
        distance if compiled else lambda x, t: ((x - t) ** 2).sum(axis=1),
        conditional=far if compiled else lambda x, t: np.where(x > 3, np.inf, x),
    )
    with pytest.raises(ValueError, match="f or its conditional expectation is NaN or infinite at"):
        fs.gradient(f, p, n=5000, args=(np.zeros(2),), rng=8)


# --- refusals ---

NORMAL = fs.Normal([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])


@pytest.mark.parametrize("d", [3, 300])
@pytest.mark.parametrize("kind", ["sample", "numpy"])
def test_wrong_matrix(d, kind):
    wrong = chain_depends(d)
    wrong[1, 2] = False
    f = fs.Integrand(CHAINS[kind][0], depends=wrong)
    with pytest.raises(ValueError, match=r"term 1 of f changes with coordinate 2"):
        fs.gradient(f, fs.Normal(np.zeros(d), np.ones(d)), args=(1.0,), n=100)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda f: fs.Integrand(f, depends=np.eye(3)), "dtype float64"),
        (lambda f: fs.Integrand(f, depends=[True, False]), r"shape \(2,\)"),
        (lambda f: fs.Integrand(f, depends=np.eye(3, dtype=bool), conditional=f), "give one"),
        (lambda f: fs.Integrand(f, conditional=3), "not callable"),
        (lambda f: fs.Integrand(f, conditional=lambda x: x), "same kind"),
    ],
)
def test_bad_integrands(make, match):
    with pytest.raises((TypeError, ValueError), match=match):
        make(squared_distances)


def test_a_reservoir_takes_no_terms():
    f = fs.Integrand(squared_distances, depends=np.eye(3, dtype=bool))
    with pytest.raises(ValueError, match="a reservoir takes no depends"):
        fs.Reservoir().draw(f, NORMAL, 100, args=(np.zeros(3),))


@pytest.mark.parametrize(
    ("p", "options", "match"),
    [
        (fs.Normal([0.0, 0.0], [1.0, 1.0]), {}, r"depends has shape \(3, 3\), and p 2 coord"),
        (fs.MultivariateNormal(np.zeros(3), np.eye(3)), {}, "MultivariateNormal is no product"),
        (fs.PlackettLuce([0.0, 0.0, 0.0]), {}, "PlackettLuce is no product"),
        (
            fs.Mixture([NORMAL, fs.Normal([1.0] * 3, [1.0] * 3)], [0.5, 0.5]), {},
            "Mixture is no product",
        ),
        (NORMAL, {"proposals": fs.Normal([0.0] * 3, [2.0] * 3)}, "not with proposals"),
        (fs.Bernoulli([0.5] * 3), {"sampling": "counts"}, "not with sampling"),
        (fs.Bernoulli([0.5] * 3), {"estimator": "exact"}, "not with estimator"),
    ],
)  # fmt: skip
def test_refused(p, options, match):
    f = fs.Integrand(squared_distances, depends=np.eye(3, dtype=bool))
    n = {} if "estimator" in options else {"n": 100}
    with pytest.raises(ValueError, match=match):
        fs.gradient(f, p, args=(np.zeros(3),), **n, **options)
