"""Bernoulli and Categorical against plain NumPy, on the very samples that they draw."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit
from oracle import KINDS, check, flat, holed, holed_numpy, smooth_numpy, twin

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

SIZES = (1, 2, 5, 13, 1000, 5000)


def logits(*shape):
    """Of probabilities from 0.02 to 0.98."""
    return 4 * np.sin(1 + np.arange(np.prod(shape))).reshape(shape)


def probs(*shape):
    return 1 / (1 + np.exp(-logits(*shape)))


def weights(*shape):
    """Of a sum of about half the number of classes."""
    return 0.01 + np.cos(np.arange(np.prod(shape))).reshape(shape) ** 2


DISTRIBUTIONS = {
    "Bernoulli of a scalar": lambda: fs.Bernoulli(0.3),
    "Bernoulli": lambda: fs.Bernoulli(probs(3)),
    "Bernoulli by logits": lambda: fs.Bernoulli(logits=logits(3)),
    "Bernoulli of a matrix": lambda: fs.Bernoulli(probs(3, 2)),
    "50 Bernoulli": lambda: fs.Bernoulli(probs(50)),
    "200 Bernoulli by logits": lambda: fs.Bernoulli(logits=logits(200)),
    "one class": lambda: fs.Categorical([3.0]),
    "two classes": lambda: fs.Categorical(logits=[0.3, -1.0]),
    "five classes": lambda: fs.Categorical(weights(5)),
    "five classes by logits": lambda: fs.Categorical(logits=logits(5)),
    "an excluded class": lambda: fs.Categorical(logits=[0.0, -np.inf, 1.0]),
    "three variables": lambda: fs.Categorical(weights(3, 4)),
    "50 variables by logits": lambda: fs.Categorical(logits=logits(50, 3)),
}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Bernoulli of a scalar", "sample"),
        ("Bernoulli", "batch"),
        ("Bernoulli by logits", "numpy"),
        ("50 Bernoulli", "sample"),
        ("200 Bernoulli by logits", "batch"),
        ("one class", "sample"),
        ("two classes", "sample"),
        ("five classes", "sample"),
        ("five classes by logits", "numpy"),
        ("an excluded class", "sample"),
        ("three variables", "batch"),
        ("50 variables by logits", "batch"),
    ],
)
def test_every_baseline_at_every_size(name, kind, n):
    check(KINDS[kind], DISTRIBUTIONS[name](), n, smooth_numpy, seed=n + 7)


@pytest.mark.parametrize("n", [2, 13, 1000, 5000])
def test_a_thousand_classes(n):
    p = fs.Categorical(weights(1000))
    check(KINDS["sample"], p, n, smooth_numpy, seed=n, baselines=("mean", "scalar", "optimal"))


@pytest.mark.parametrize("n", [12, 13, 25])
@pytest.mark.parametrize("by_logit", [False, True])
def test_equal_scores_in_all_other_folds(by_logit, n):
    """A rare outcome seen once leaves the others without any variance to regress on."""
    given = np.array([0.03, 0.04, 0.93])
    p = fs.Categorical(logits=np.log(given)) if by_logit else fs.Categorical(given)
    lonely = 0
    for seed in range(60):
        lonely += np.bincount(p.sample(n, rng=seed)[:, 0]).max() == n - 1
        check(KINDS["sample"], p, n, smooth_numpy, seed=seed, baselines=("scalar", "optimal"))
    assert lonely > 5


# --- f of the parameters, as a table of them; its direct term; f that is not finite ---


@njit
def entry(x, theta):
    return 3.0 * theta[x[0]]


@njit
def entry_direct(x, out, theta):
    out[:] = 0.0
    out[x[0]] = 3.0


@njit
def entry_batch(batch, out, theta):
    for i in range(batch.shape[0]):
        out[i] = entry(batch[i], theta)


@njit
def entry_direct_batch(batch, out, theta):
    for i in range(batch.shape[0]):
        entry_direct(batch[i], out[i], theta)


def entry_numpy(x, theta):
    return 3.0 * theta[x[:, 0]]


def entry_direct_numpy(x, theta):
    return 3.0 * np.eye(theta.size)[x[:, 0]]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", ["sample", "batch", "numpy"])
def test_direct_term(kind, n):
    f, direct = {
        "sample": (entry, entry_direct),
        "batch": (entry_batch, entry_direct_batch),
        "numpy": (entry_numpy, entry_direct_numpy),
    }[kind]
    p = fs.Categorical(logits=logits(5))
    theta = np.array(p.parameters["logits"])
    check(
        fs.Integrand(f, direct=direct), p, n, lambda x: entry_numpy(x, theta), seed=n,
        direct=lambda x: entry_direct_numpy(x, theta), args=(theta,),
    )  # fmt: skip


@pytest.mark.parametrize("n", [5, 13, 1000, 5000])
@pytest.mark.parametrize("f", [holed, holed_numpy], ids=["sample", "numpy"])
@pytest.mark.parametrize("name", ["five classes", "three variables"])
def test_samples_where_f_is_not_finite(name, f, n):
    p = DISTRIBUTIONS[name]()
    check(fs.Integrand(f, nonfinite="omit"), p, n, holed_numpy, seed=n)
    bad = np.isnan(holed_numpy(p.sample(n, rng=n))).sum()
    spoilt = fs.gradient(fs.Integrand(f, nonfinite="propagate"), p, n=n, rng=n)
    assert spoilt.nonfinite == bad > 0
    assert np.isnan(spoilt.flat).all()
    with pytest.raises(ValueError, match=r"f is NaN or infinite at .* x = \["):
        fs.gradient(f, p, n=n, rng=n)


# --- scores, log-probabilities, Fisher information ---


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_score_log_prob_and_fisher(name):
    p, exact = DISTRIBUTIONS[name](), twin(DISTRIBUTIONS[name]())
    x = p.sample(5000, rng=1)
    np.testing.assert_allclose(p.score(x), exact.score(x), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(p.log_prob(x), exact.log_prob(x), rtol=1e-13)
    np.testing.assert_allclose(p.fisher(), exact.fisher(), rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_all_outcomes(name):
    """Their probabilities add up to 1, with scores of mean 0 and a second moment of Fisher's."""
    p = DISTRIBUTIONS[name]()
    if p.d >= 50:
        with pytest.raises(ValueError, match="outcomes"):
            p.support(10**6)
        return
    x = p.support(10**6)
    assert x.dtype == np.int64
    assert len(np.unique(x, axis=0)) == len(x)
    probability, s = np.exp(p.log_prob(x)), p.score(x)
    assert probability.sum() == pytest.approx(1, rel=1e-13)
    size = np.abs(s).max()
    np.testing.assert_allclose(probability @ s, 0, atol=1e-13 * size)
    np.testing.assert_allclose((probability * s.T) @ s, p.fisher(), atol=1e-13 * size**2)


# --- integers and threads ---


@pytest.mark.parametrize("name", ["Bernoulli", "three variables"])
def test_samples_are_those_that_f_sees(name):
    p, seen = DISTRIBUTIONS[name](), []

    def f(x):
        assert x.dtype == np.int64
        seen.append(x.copy())
        return x.sum(axis=1)

    fs.gradient(f, p, n=5000, rng=3)
    x = p.sample(5000, rng=3)
    assert x.dtype == np.int64
    assert x.shape == (5000, p.d)
    np.testing.assert_array_equal(np.concatenate(seen), x)


@njit
def bits(x):
    """What only integers do."""
    total = 0
    for k in range(x.size):
        total = (total << 3) ^ (x[k] % 3) | x[k] >> 1
    return total


def bits_numpy(x):
    total = np.zeros(len(x), np.int64)
    for k in range(x.shape[1]):
        total = (total << 3) ^ (x[:, k] % 3) | x[:, k] >> 1
    return total


@pytest.mark.parametrize("name", ["three variables", "50 Bernoulli"])
def test_integers_in_a_jitted_f(name):
    p = DISTRIBUTIONS[name]() if name == "three variables" else fs.Bernoulli(np.full(41, 0.3))
    check(bits, p, 1000, lambda x: bits_numpy(x).astype(float), seed=2)


@pytest.mark.parametrize("name", ["Bernoulli", "50 Bernoulli", "five classes by logits"])
def test_threads_change_no_bit(name):
    one, two = (
        fs.gradient(KINDS["sample"], DISTRIBUTIONS[name](), n=300_000, rng=5, threads=threads)
        for threads in (1, 2)
    )
    assert one.value == two.value
    np.testing.assert_array_equal(one.flat, two.flat)
    np.testing.assert_array_equal(flat(one.grad_stderr), flat(two.grad_stderr))
