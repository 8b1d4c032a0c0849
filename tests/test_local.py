"""Local expectation gradients: chosen discrete coordinates are summed out given the others."""

from __future__ import annotations

import math
import warnings

import naive
import numpy as np
import pytest
from cases import flat, z_of_mean, z_of_variance
from numba import config, njit

import fastscore as fs
from fastscore.engine.tiles import tiling
from fastscore.variance.estimators import Enumerate

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
BASELINES = (None, 0.7, "mean", "scalar", "optimal")
LOGITS = np.array([[0.3, -0.2, 0.5], [1.0, 0.0, -1.0], [0.2, 0.1, 0.4]])
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


@njit
def curved(x, a):
    return math.exp(a * x[0] * x[1]) + x[2] * x[1] + 5.0


@njit
def curved_batch(batch, out, a):
    for i in range(batch.shape[0]):
        out[i] = curved(batch[i], a)


def curved_numpy(x, a):
    return np.exp(a * x[:, 0] * x[:, 1]) + x[:, 2] * x[:, 1] + 5.0


KINDS = {"sample": curved, "batch": curved_batch, "numpy": curved_numpy}


def parts_of(x, chosen, values=curved_numpy, a=0.4):
    """f, its local expectations (n, 9) for the chosen variables, and scores of the others."""
    s = naive.categorical_score(x, PROBS, True)
    expected = np.zeros_like(s)
    for i in chosen:
        own = slice(3 * i, 3 * i + 3)
        s[:, own] = 0.0
        for v in range(3):
            changed = x.copy()
            changed[:, i] = v
            one = np.eye(3)[v] - PROBS[i]
            expected[:, own] += PROBS[i, v] * one * values(changed, a)[:, None]
    return values(x, a), expected, s


def labels(n, p):
    cut = tiling(n, p.d, p.size)
    return np.arange(n) // cut.block % cut.folds


@pytest.mark.parametrize("n", [1, 2, 3, 13, 5000])
@pytest.mark.parametrize("chosen", [[0], [2, 0], [0, 1, 2]])
@pytest.mark.parametrize("kind", KINDS)
def test_against_plain_numpy(kind, chosen, n):
    p = fs.Categorical(logits=LOGITS)
    x = p.sample(n, rng=n)
    f, expected, s = parts_of(x, chosen)
    for baseline in BASELINES:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "n=1", RuntimeWarning)
            actual = fs.gradient(
                KINDS[kind], p, n=n, args=(0.4,), rng=n, baseline=baseline,
                estimator=Enumerate(coordinates=chosen),
            )  # fmt: skip
        with np.errstate(invalid="ignore"):
            truth = naive.estimate(f, s, labels(n, p), baseline, expected)
        np.testing.assert_allclose(actual.value, truth.value, rtol=1e-12)
        np.testing.assert_allclose(actual.flat, truth.grad, rtol=0, atol=1e-10)
        np.testing.assert_allclose(
            flat(actual.grad_stderr), truth.stderr, rtol=1e-7, atol=1e-7 / np.sqrt(n)
        )
        assert actual.bias == "none"


def all_outcomes():
    return np.indices((3, 3, 3)).reshape(3, -1).T


@pytest.mark.parametrize("chosen", [[1], [0, 1, 2]])
def test_variance_of_one_sample(chosen):
    """By all 27 outcomes."""
    p, n, count = fs.Categorical(logits=LOGITS), 50, 2000
    x = all_outcomes()
    prob = PROBS[np.arange(3), x].prod(axis=1)
    f, expected, s = parts_of(x, chosen)
    terms = f[:, None] * s + expected
    exact = prob @ (f[:, None] * naive.categorical_score(x, PROBS, True))
    np.testing.assert_allclose(prob @ terms, exact, atol=1e-12)
    variance = prob @ (terms - exact) ** 2
    grads, reported = np.empty((count, 9)), np.empty((count, 9))
    for i in range(count):
        one = fs.gradient(
            curved, p, n=n, args=(0.4,), rng=i, baseline=None,
            estimator=Enumerate(coordinates=chosen),
        )  # fmt: skip
        grads[i], reported[i] = one.flat, n * one.flat_stderr**2
    assert np.abs(z_of_mean(grads, exact)).max() < LIMIT
    assert np.abs(z_of_variance(grads * np.sqrt(n), variance)).max() < LIMIT
    assert np.abs(z_of_mean(reported, variance)).max() < LIMIT


@njit
def of_counts(x):
    return (x[0] + 1.5) ** 2 + 1000.0


@pytest.mark.parametrize(
    "p",
    [
        fs.Categorical(logits=[0.1, 0.5, -1.0]),
        fs.Categorical([0.1, 0.5, 1.0]),
        fs.Bernoulli([0.3]),
        fs.Binomial([6], [0.3]),
        fs.BetaBinomial(5, 2.0, 1.5),
        fs.FiniteDiscrete([-1.5, 0.25, 4.0], [0.2, 0.3, 0.5]),
        fs.FiniteDiscrete([7, -3, 4], logits=[0.2, -np.inf, 0.5]),
        fs.ZeroInflated(fs.Binomial([4], [0.3]), 0.2),
    ],
    ids=repr,
)
def test_one_coordinate_leaves_no_variance(p):
    exact = fs.gradient(of_counts, p, estimator="exact").flat
    for baseline in (None, "optimal"):
        one = fs.gradient(
            of_counts, p, n=100, rng=1, baseline=baseline, estimator=Enumerate(coordinates=[0])
        )
        np.testing.assert_allclose(one.flat, exact, rtol=1e-10, atol=1e-12)
        assert np.all(one.flat_stderr <= 1e-8 * np.abs(exact).max())


@njit
def mixed(x):
    return x.b[0] * x.a[0] + x.b[1] * math.cos(x.a[0]) + x.c[0]


def mixed_numpy(x):
    return x.b[:, 0] * x.a[:, 0] + x.b[:, 1] * np.cos(x.a[:, 0]) + x.c[:, 0]


JOINT = fs.Joint(
    a=fs.Normal([0.3], [0.8]),
    b=fs.Binomial([3, 4], [0.4, 0.4]),
    c=fs.FiniteDiscrete([0.5, 2.0], [0.3, 0.7]),
)


@pytest.mark.parametrize("f", [mixed, mixed_numpy])
@pytest.mark.parametrize("baseline", ["optimal", "matrix"])
def test_parts_of_a_joint(f, baseline):
    """Discrete ones of a mixed distribution; they come to the truth, and nearer than without."""
    n = 20_000
    plain = fs.gradient(f, JOINT, n=400_000, rng=2, baseline="optimal")
    one = fs.gradient(
        f, JOINT, n=n, rng=3, baseline=baseline, estimator=Enumerate(coordinates=[1, 2, 3])
    )
    assert np.all(
        np.abs(one.flat - plain.flat) < LIMIT * np.hypot(one.flat_stderr, plain.flat_stderr)
    )
    # By every part in closed form: E[x.a] = 0.3 multiplies b[0], and b has means n p.
    np.testing.assert_allclose(one.flat[2], 3 * 0.3, atol=LIMIT * one.flat_stderr[2])
    discrete = slice(2, 6)
    assert np.all(n * one.flat_stderr[discrete] ** 2 < 4e5 * plain.flat_stderr[discrete] ** 2)


def test_same_bits_for_any_threads():
    p = fs.Categorical(logits=LOGITS)
    one, two = (
        fs.gradient(
            curved, p, n=200_000, args=(0.4,), rng=2, threads=t,
            estimator=Enumerate(coordinates=[0, 2]),
        )
        for t in (1, 2)
    )  # fmt: skip
    assert two.threads == 2
    np.testing.assert_array_equal(one.flat, two.flat)
    np.testing.assert_array_equal(one.flat_stderr, two.flat_stderr)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_unbiased_when_enumerated_and_sampled_entries_are_one(n):
    """A probability that two coordinates share, of which one is summed out."""
    p = fs.Shared(
        fs.Joint(a=fs.Bernoulli([0.3]), b=fs.Bernoulli([0.3])), probs=("a.probs", "b.probs")
    )

    @njit
    def f(x):
        return 2.0 * x.a[0] + 5.0 * x.b[0] + 3.0 * x.a[0] * x.b[0] + 10.0

    exact = 2 + 5 + 2 * 3 * 0.3
    grads = {b: np.empty((3000, 1)) for b in BASELINES}
    for i in range(3000):
        one = fs.gradient(f, p, n=n, rng=10**6 * n + i, estimator=Enumerate(coordinates=[0]))
        for baseline, rows in grads.items():
            rows[i] = one.with_baseline(baseline).flat
    for baseline, rows in grads.items():
        assert np.abs(z_of_mean(rows, exact)).max() < LIMIT, baseline


@njit
def holed(x, a):
    return math.nan if x[0] == 2 and x[1] == 0 else 1.0


def test_not_finite_at_another_value():
    """Even where no sample itself meets it."""
    p = fs.Categorical(logits=[[5.0, 5.0, -40.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    options = {"n": 1000, "args": (0.4,), "rng": 1}
    assert fs.gradient(holed, p, **options).nonfinite == 0
    with pytest.raises(ValueError, match="another value of an enumerated coordinate, is NaN"):
        fs.gradient(holed, p, estimator=Enumerate(coordinates=[0]), **options)


@pytest.mark.parametrize(
    ("p", "coordinates", "match"),
    [
        (JOINT, [0], "0 has infinitely many values"),
        (fs.Poisson([1.0, 2.0]), [1], "1 has infinitely many values"),
        (fs.Multinomial(3, [0.2, 0.3, 0.5]), [0], "0 has no values of its own"),
        (fs.Binomial([10_000], [0.5]), [0], "10001 values"),
        (fs.Bernoulli([0.5, 0.5]), [2], "distinct numbers from 0 to 1"),
        (fs.Bernoulli([0.5, 0.5]), [0, 0], "distinct"),
        (fs.Bernoulli([0.5, 0.5]), [], "give the numbers of coordinates"),
        (fs.Bernoulli([0.5, 0.5]), [0.5], "give the numbers of coordinates"),
        (fs.PlackettLuce([0.0, 0.0]), [0], "PlackettLuce is no product"),
    ],
)
def test_coordinates_that_cannot_be(p, coordinates, match):
    with pytest.raises((TypeError, ValueError), match=match):
        fs.gradient(lambda x: np.zeros(1), p, n=10, estimator=Enumerate(coordinates=coordinates))


@pytest.mark.parametrize(
    ("f", "options", "match"),
    [
        (fs.Integrand(curved_numpy, nonfinite="omit"), {}, "omit"),
        (fs.Integrand(curved_numpy, conditional=curved_numpy), {}, "conditional goes with"),
        (curved_numpy, {"sampling": "counts"}, "sampling"),
        (curved_numpy, {"proposals": fs.Categorical(logits=LOGITS)}, "proposals"),
    ],
)
def test_refused(f, options, match):
    p = fs.Categorical(logits=LOGITS)
    with pytest.raises(ValueError, match=match):
        fs.gradient(f, p, n=10, args=(0.4,), estimator=Enumerate(coordinates=[0]), **options)
