"""Pairs, orthogonal sets and Latin hypercubes: known variances, no bias, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from cases import flat, rows, z_of_mean, z_of_variance
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
PATTERNS = {"antithetic": 2, "orthogonal": 2, "stratified": 16, "four strata": 4}


@njit
def quadratic(x, k):
    total = 0.0
    for value in x:
        total += (value - k) ** 2
    return total


@njit
def uneven(x):
    return np.exp(0.4 * x[0]) + x[0] * x[1] ** 2


def sampling_of(name):
    return fs.Stratified(4) if name == "four strata" else name


def case(name):
    return next(row for row in rows("pair_cases.json") if row["id"] == name)


@pytest.mark.parametrize("name", ["gauss-quad-mirrored-k-3", "gauss-quad-mirrored-k3"])
def test_known_variance_of_pairs(name):
    known = case(name)
    truth = known["var"]["mirrored_pair"]
    p, k = fs.Normal([1.0], [1.0]), float(known["params"]["k"])
    hold(quadratic, p, (k,), known["grad"], truth)


def test_known_variance_of_pairs_on_the_sphere():
    known = case("es-sphere-d10")
    p = fs.Normal(np.ones(10), 0.5)
    each = {"loc": 10 * [known["var"]["mirrored_pair"]["mu_i"]]}
    hold(quadratic, p, (0.0,), {"loc": 10 * [known["grad"]["mu_i"]]}, each)


def hold(f, p, args, grad, variance, pairs=100, count=2000):
    """Means and variances of many runs, and what their standard errors say."""
    many, stated = [], []
    for seed in range(count):
        est = fs.gradient(
            f, p, args=args, n=2 * pairs, rng=seed, baseline=None, sampling="antithetic", threads=1,
            wrt=list(p.parameters)[: len(grad)],
        )  # fmt: skip
        many.append(est.flat)
        stated.append(est.flat_stderr**2 * pairs)
    many, stated = np.array(many), np.array(stated)
    grad, variance = flat(grad), flat(variance)
    assert np.abs(z_of_mean(many, grad)).max() < LIMIT
    assert np.abs(z_of_variance(many * np.sqrt(pairs), variance)).max() < LIMIT
    assert np.abs(z_of_mean(stated, variance)).max() < LIMIT


@pytest.mark.parametrize("units", [2, 3, 5, 8, 25])
@pytest.mark.parametrize("name", PATTERNS)
def test_no_bias_in_few_units(name, units):
    p = fs.Normal([0.3, -0.2], [0.8, 1.1])
    a = np.exp(0.4 * 0.3 + 0.08 * 0.64)
    truth = [0.4 * a + 0.04 + 1.21, -0.12, 0.16 * 0.8 * a, 2 * 0.3 * 1.1]
    found = {baseline: [] for baseline in (None, "mean", "optimal", "scalar")}
    for seed in range(1500):
        est = fs.gradient(
            uneven, p, n=units * PATTERNS[name], rng=seed, sampling=sampling_of(name), threads=1
        )
        assert (est.units, est.n, est.bias) == (units, units * PATTERNS[name], "none")
        for baseline, all_of_it in found.items():
            all_of_it.append(est.with_baseline(baseline).flat)
    for grads in found.values():
        assert np.abs(z_of_mean(np.array(grads), truth)).max() < LIMIT


@pytest.mark.parametrize("name", PATTERNS)
def test_same_bits_for_any_threads_and_kind_of_f(name):
    p, sampling = fs.Normal(np.arange(3.0), 0.5), sampling_of(name)
    one, two = (
        fs.gradient(quadratic, p, args=(1.0,), n=300_000, rng=1, sampling=sampling, threads=t)
        for t in (1, 2)
    )
    np.testing.assert_array_equal(one.flat, two.flat)
    called = fs.gradient(
        lambda x: ((x - 1) ** 2).sum(axis=1), p, n=300_000, rng=1, sampling=sampling
    )
    np.testing.assert_allclose(called.flat, one.flat, rtol=1e-9)
    np.testing.assert_allclose(called.flat_stderr, one.flat_stderr, rtol=1e-9)


@pytest.mark.parametrize(
    "p",
    [
        fs.Normal([0.5, 1.0], [1.0, 2.0]),
        fs.Normal(0.5, log_scale=[0.3, 0.1]),
        fs.MultivariateNormal([0.0, 1.0], scale_tril=[[1.0, 0.0], [0.5, 2.0]]),
        fs.LowRankMultivariateNormal([0.0, 1.0], [[1.0], [0.5]], [0.5, 2.0]),
        fs.LogNormal([0.1, 0.2], 0.3),
        fs.Laplace([0.5, 1.0], [1.0, 2.0]),
        fs.Logistic([0.5, 1.0], [1.0, 2.0]),
        fs.StudentT(8.0, [0.5, 1.0], [1.0, 2.0]),
        fs.Joint(a=fs.Normal([0.0], 1.0), b=fs.Laplace([1.0], 2.0)),
    ],
    ids=lambda p: type(p).__name__,
)
def test_pairs_of_families_agree_with_independent_samples(p):
    def f(x):
        x = np.concatenate(x, axis=1) if isinstance(x, tuple) else x
        return np.tanh(x).sum(axis=1) + np.cos(x[:, 0])

    pairs = fs.gradient(f, p, n=200_000, rng=1, sampling="antithetic")
    alone = fs.gradient(f, p, n=200_000, rng=2)
    z = (pairs.flat - alone.flat) / np.hypot(pairs.flat_stderr, alone.flat_stderr)
    assert np.abs(z).max() < LIMIT
    assert abs(pairs.value - alone.value) < LIMIT * np.hypot(pairs.value_stderr, alone.value_stderr)


def test_samples_of_an_orthogonal_set_are_orthogonal():
    seen = []

    def f(x):
        seen.append(x.copy())
        return x[:, 0]

    fs.gradient(f, fs.Normal(np.zeros(3), 1.0), n=9, rng=0, sampling="orthogonal")
    for unit in np.concatenate(seen).reshape(3, 3, 3):  # three blocks of one unit each
        gram = unit @ unit.T
        np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("p", "options", "match"),
    [
        (fs.Gumbel(0.0, 1.0), {"sampling": "antithetic"}, "not symmetric"),
        (fs.Laplace(0.0, 1.0), {"sampling": "orthogonal"}, "independent Gaussian"),
        (fs.Gamma(2.0, 1.0), {"sampling": "stratified"}, "sampler"),
        (fs.Normal(np.zeros(200), 1.0), {"sampling": "orthogonal"}, "at most 128"),
        (fs.Normal(0.0, 1.0), {"sampling": "mirrored"}, "choose one of"),
        (fs.Normal(0.0, 1.0), {"sampling": "without replacement"}, "WithoutReplacement"),
        (
            fs.Normal(0.0, 1.0),
            {"sampling": "antithetic", "proposals": fs.Normal(0.0, 2.0)},
            "proposals",
        ),
    ],
)
def test_refused_with_the_reason(p, options, match):
    with pytest.raises(ValueError, match=match):
        fs.gradient(lambda x: x[:, 0], p, n=100, **options)


def test_summary_says_where_pairs_hurt():
    est = fs.gradient(quadratic, fs.Normal([1.0], 1.0), args=(1.0,), n=2000, sampling="antithetic")
    assert est.even == 1
    assert "pairs hurt them where f is even" in est.summary()
    assert "sampling 'antithetic' in 1,000 units" in " ".join(str(est).split())
