"""Small supports: exact sums over all outcomes, and counts in place of samples."""

from __future__ import annotations

import itertools
import math
import os

import naive
import numpy as np
import pytest
from cases import flat, z_of_mean
from numba import config, njit

import fastscore as fs
from fastscore.engine.enumeration import MOST_OUTCOMES

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
BASELINES = (None, 0.7, "mean", "scalar", "optimal", "matrix")
#: Of what is summed.
ROUNDING = 1e-13


# --- integrands: one function as three kinds, with an argument ---


@njit
def wave(x, shift):
    total = shift
    for k in range(x.size):
        total += math.cos(1.0 + k + 2.0 * x[k])
    return total * total


@njit
def wave_batch(batch, out, shift):
    for i in range(batch.shape[0]):
        out[i] = wave(batch[i], shift)


def wave_numpy(x, shift=0.4):
    return (shift + np.cos(1.0 + np.arange(x.shape[1]) + 2.0 * x).sum(axis=1)) ** 2


KINDS = {"sample": wave, "batch": wave_batch, "numpy": wave_numpy}


@njit
def picky(x, impossible):
    if x[0] == impossible:
        raise ValueError("there is no such outcome")
    return x[0] * x[0] + 1.0


@njit
def holed(x):
    return math.nan if x[0] == 1 and x[x.size - 1] == 0 else x[0] + 2.0


class Recorder:
    """A NumPy-style f that keeps what it is called with."""

    def __init__(self, f=wave_numpy):
        self.f, self.calls = f, []

    def __call__(self, x):
        self.calls.append(x.copy())
        return self.f(x)


# --- distributions, with the probabilities of each coordinate ---


def bernoulli(d, by):
    probs = 0.5 + 0.45 * np.sin(1.0 + np.arange(d))
    p = fs.Bernoulli(probs) if by == "probs" else fs.Bernoulli(logits=np.log(probs / (1 - probs)))
    return p, np.stack([1 - probs, probs], axis=1)


def categorical(shape, by):
    weights = np.exp(1.5 * np.sin(np.arange(float(np.prod(shape))))).reshape(shape)
    p = fs.Categorical(
        weights if by == "probs" else None, logits=None if by == "probs" else np.log(weights)
    )
    rows = np.atleast_2d(weights)
    return p, rows / rows.sum(axis=1, keepdims=True)


def outcomes_and_weights(probs):
    """Every outcome in turn, and the product of its coordinates' probabilities."""
    outcomes = np.array(list(itertools.product(range(probs.shape[1]), repeat=len(probs))))
    weights = np.prod(probs[np.arange(len(probs)), outcomes], axis=1)
    return outcomes, weights


def exact_gradient(p, probs, f):
    """Value and gradient by conditional means, which know nothing of a score.

    ``∂E[f]/∂p`` of one coordinate is ``E[f | 1] − E[f | 0]``, and that by logit a is
    ``p_a (E[f | a] − E[f])``, of two classes as of many.
    """
    outcomes, weights = outcomes_and_weights(probs)
    values = f(outcomes)
    mean = weights @ values
    given = np.array(
        [
            [
                weights[outcomes[:, k] == a] @ values[outcomes[:, k] == a] / probs[k, a]
                for a in range(probs.shape[1])
            ]
            for k in range(len(probs))
        ]
    )
    name, value = next(iter(p.parameters.items()))
    if isinstance(p, fs.Bernoulli):
        slope = given[:, 1] - given[:, 0]
        return mean, slope if name == "probs" else slope * probs[:, 0] * probs[:, 1]
    if name == "logits":
        return mean, (probs * (given - mean)).ravel()
    return mean, ((given - mean) / np.atleast_2d(value).sum(axis=1, keepdims=True)).ravel()


# --- exact sums ---


def check_exact(p, probs, kind):
    args = () if kind == "numpy" else (0.4,)
    estimate = fs.gradient(KINDS[kind], p, args=args, estimator="exact")
    value, grad = exact_gradient(p, probs, wave_numpy)
    outcomes, weights = outcomes_and_weights(probs)
    size = weights @ (np.abs(wave_numpy(outcomes))[:, None] * np.abs(p.score(outcomes)))
    assert estimate.value == pytest.approx(value, rel=ROUNDING)
    assert np.all(np.abs(estimate.flat - grad) <= 10 * ROUNDING * size)
    assert estimate.n == len(outcomes)


@pytest.mark.parametrize("by", ["probs", "logits"])
@pytest.mark.parametrize("d", range(1, 11))
def test_exact_bernoulli(d, by):
    kind = list(KINDS)[d % 3]
    check_exact(*bernoulli(d, by), kind)


@pytest.mark.parametrize("by", ["probs", "logits"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [1, 2, 3, 100, 1000, (1, 4), (3, 4), (5, 3)])
def test_exact_categorical(shape, kind, by):
    check_exact(*categorical(shape, by), kind)


def test_exact_at_the_largest_support():
    """All of 2¹⁸ outcomes; the gradient of a sum is each coordinate's own."""
    d = MOST_OUTCOMES.bit_length() - 1
    p, probs = bernoulli(d, "logits")
    weights = np.arange(d) - 3.0
    estimate = fs.gradient(lambda x: x @ weights, p, estimator="exact")
    grad = weights * probs[:, 0] * probs[:, 1]
    assert estimate.n == MOST_OUTCOMES
    np.testing.assert_allclose(estimate.flat, grad, rtol=1e-11, atol=1e-12)


def test_exact_has_no_error():
    p, _ = categorical((2, 3), "logits")
    estimate = fs.gradient(wave_numpy, p, estimator="exact")
    assert estimate.exact
    assert estimate.stopped == "enumerated"
    assert estimate.dof == math.inf
    assert estimate.bias == "none"
    assert estimate.value_stderr == 0
    assert (estimate.grad_stderr["logits"] == np.zeros((2, 3))).all()
    assert (estimate.variance_ratio["logits"] == 1).all()
    np.testing.assert_array_equal(estimate.covariance(), np.zeros((6, 6)))
    assert estimate.value_interval() == (estimate.value, estimate.value)
    for end in estimate.interval(0.99)["logits"]:
        np.testing.assert_array_equal(end, estimate.grad["logits"])
    for text in (str(estimate), estimate.summary()):
        assert "exact: all 9 possible outcomes" in text
        assert "±" not in text.splitlines()[0]
    for baseline in BASELINES:
        np.testing.assert_array_equal(estimate.with_baseline(baseline).flat, estimate.flat)
    assert not fs.gradient(wave_numpy, p, n=10, rng=0, sampling="counts").exact


def test_exact_calls_f_once_at_each_outcome():
    f, (p, _) = Recorder(), bernoulli(5, "probs")
    fs.gradient(f, p, estimator="exact")
    (x,) = f.calls
    assert x.dtype == np.int64
    assert sorted(map(tuple, x)) == list(itertools.product((0, 1), repeat=5))


OPTIONS = {"exact": {"estimator": "exact"}, "counts": {"sampling": "counts", "n": 1000, "rng": 0}}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_impossible_outcomes_are_not_visited(options):
    """Where f may well not be defined; the gradient by an excluded logit is 0."""
    p = fs.Categorical(logits=[0.5, -np.inf, -0.5])
    recorder = Recorder(lambda x: x[:, 0] ** 2 + 1.0)
    for f, args in ((recorder, ()), (picky, (1,))):
        estimate = fs.gradient(f, p, args=args, **options)
        assert estimate.grad["logits"][1] == 0
    assert set(recorder.calls[0].ravel()) == {0, 2}
    far = Recorder(lambda x: x[:, 0].astype(float))
    fs.gradient(far, fs.Bernoulli(logits=[-800.0, 0.0]), **options)
    assert set(map(tuple, far.calls[0])) == {(0, 0), (0, 1)}


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"n": 100}, "n=100"),
        ({"rng": 3}, "rng=3"),
        ({"sampling": "counts"}, "sampling='counts'"),
    ],
)
def test_exact_refuses_what_it_would_ignore(options, argument):
    with pytest.raises(ValueError, match=argument):
        fs.gradient(wave_numpy, bernoulli(3, "probs")[0], estimator="exact", **options)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_direct_terms_are_refused(options):
    f = fs.Integrand(wave_numpy, direct=lambda x: x * 1.0)
    with pytest.raises(ValueError, match="direct"):
        fs.gradient(f, bernoulli(3, "probs")[0], **options)


def test_exact_refuses_to_omit():
    f = fs.Integrand(holed, nonfinite="omit")
    with pytest.raises(ValueError, match="nonfinite='omit'"):
        fs.gradient(f, bernoulli(3, "probs")[0], estimator="exact")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(
    ("p", "why"),
    [
        (fs.Bernoulli(np.full(19, 0.5)), r"d = 19 has 2\*\*19 outcomes"),
        (fs.Bernoulli(np.full(1000, 0.5)), r"d = 1000 has 2\*\*1000 outcomes"),
        (fs.Categorical(logits=np.zeros((10, 10))), r"10\*\*10 outcomes"),
        (fs.Categorical(logits=np.zeros(2**18 + 1)), r"262145\*\*1 outcomes"),
        (fs.Normal([0.0], [1.0]), "Normal has infinitely many outcomes"),
    ],
    ids=["Bernoulli", "wide Bernoulli", "Categorical", "long Categorical", "Normal"],
)
def test_large_supports_are_refused(p, why, options):
    with pytest.raises(ValueError, match=why) as caught:
        fs.gradient(wave_numpy, p, **options)
    assert next(iter(options)) in str(caught.value)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("compiled", [True, False])
def test_f_that_is_not_finite(compiled, options):
    p, _ = bernoulli(3, "probs")
    f = holed if compiled else lambda x: np.where((x[:, 0] == 1) & (x[:, 2] == 0), np.inf, 1.0)
    with pytest.raises(ValueError, match=r"f is NaN or infinite at 2 of.*x = \[1 0 0\]"):
        fs.gradient(f, p, **options)
    through = fs.gradient(fs.Integrand(f, nonfinite="propagate"), p, **options)
    assert not math.isfinite(through.value)
    assert through.nonfinite == 2 or not through.exact


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_f_that_raises(options):
    p, _ = categorical(5, "logits")
    with pytest.raises(ValueError, match="no such outcome") as caught:
        fs.gradient(picky, p, args=(3,), **options)
    assert "x = [3]" in caught.value.__notes__[0]

    def f(x):
        raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        fs.gradient(f, p, **options)


# --- counts ---


def counted(f, p, n, seed, **options):
    return fs.gradient(f, p, n=n, rng=seed, sampling="counts", **options)


def samples_behind(p, n, seed):
    """The samples of a run, in order of outcomes: each one's share is the mean of its indicator."""
    outcomes = p.support(MOST_OUTCOMES)
    counts = [
        counted(lambda x, at=at: (x == at).all(axis=1), p, n, seed).value * n for at in outcomes
    ]
    return np.repeat(outcomes, np.round(counts).astype(int), axis=0)


@pytest.mark.parametrize("n", [2, 3, 13, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_sums_over_their_samples(kind, n):
    """Baselines that need no folds, against plain NumPy on the samples themselves."""
    p, _ = categorical((2, 3), "logits")
    x = samples_behind(p, n, seed=n)
    assert len(x) == n
    f, s = wave_numpy(x), p.score(x)
    args = () if kind == "numpy" else (0.4,)
    for baseline in (None, 0.7, "mean"):
        actual = counted(KINDS[kind], p, n, n, args=args, baseline=baseline)
        expected = naive.estimate(f, s, np.zeros(n), baseline)
        assert actual.n == n
        assert actual.stopped == "n"
        assert actual.value == pytest.approx(expected.value, rel=ROUNDING)
        assert actual.value_stderr == pytest.approx(expected.value_stderr, rel=1e-11, abs=1e-14)
        np.testing.assert_allclose(actual.flat, expected.grad, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(
            flat(actual.grad_stderr), expected.stderr, rtol=1e-11, atol=1e-13
        )


@pytest.mark.parametrize("kind", KINDS)
def test_counts_of_one_sample(kind):
    args = () if kind == "numpy" else (0.4,)
    with pytest.warns(RuntimeWarning, match="one sample"):
        estimate = counted(KINDS[kind], bernoulli(3, "probs")[0], 1, 0, args=args)
    assert estimate.n == 1
    assert np.isnan(estimate.grad_stderr["probs"]).all()


@pytest.mark.parametrize("n", [2, 3, 10, 30, 100])
def test_counts_are_unbiased(n):
    """Every baseline, with a class that other folds may not see; and the variance of a sample.

    n se² of a given baseline is an unbiased estimate of that variance.
    """
    count, of_matrix = 2000 if n == 30 else 5000, 2000
    values, probs = np.array([0.0, 10.0, 5.0]), np.array([[0.5, 0.45, 0.05]])
    p = fs.Categorical(logits=np.log(probs[0]))

    def f(x):
        return values[x[:, 0]]

    value, grad = exact_gradient(p, probs, f)
    means = np.empty(count)
    gradients, variances = (
        {b: np.empty((of_matrix if b == "matrix" else count, 3)) for b in BASELINES}
        for _ in range(2)
    )
    for i in range(count):
        estimate = counted(f, p, n, 10**6 * n + i)
        means[i] = estimate.value
        for baseline in BASELINES if i < of_matrix else BASELINES[:-1]:
            one = estimate.with_baseline(baseline)
            gradients[baseline][i] = one.flat
            variances[baseline][i] = n * one.grad_stderr["logits"] ** 2
    assert abs(z_of_mean(means, value)) < LIMIT
    for baseline, each in gradients.items():
        z = z_of_mean(each, grad)
        assert np.abs(z).max() < LIMIT, f"baseline {baseline!r}: z = {z}"
    outcomes, weights = outcomes_and_weights(probs)
    for constant in (None, 0.7):
        terms = (f(outcomes) - (constant or 0.0))[:, None] * p.score(outcomes)
        variance = weights @ terms**2 - (weights @ terms) ** 2
        z = z_of_mean(variances[constant], variance)
        assert np.abs(z).max() < LIMIT, f"baseline {constant!r}: z = {z}"


def test_counts_follow_the_seed():
    p, _ = bernoulli(4, "logits")
    one, same, other = (counted(wave_numpy, p, 1000, seed) for seed in (5, 5, 6))
    for baseline in BASELINES:
        np.testing.assert_array_equal(
            one.with_baseline(baseline).flat, same.with_baseline(baseline).flat
        )
    assert one.value == same.value != other.value
    assert one.seed == 5


def test_another_baseline_is_a_run_with_it():
    p, _ = bernoulli(4, "logits")
    first = counted(wave_numpy, p, 500, 7, baseline=None)
    for baseline in BASELINES:
        again, derived = (
            counted(wave_numpy, p, 500, 7, baseline=baseline),
            first.with_baseline(baseline),
        )
        np.testing.assert_array_equal(again.flat, derived.flat)
        np.testing.assert_array_equal(flat(again.grad_stderr), flat(derived.grad_stderr))
        np.testing.assert_array_equal(again.covariance(), derived.covariance())


@pytest.mark.parametrize("baseline", BASELINES)
def test_huge_numbers_of_samples(baseline):
    """At the cost of a few; sums of 10¹² samples keep their digits."""
    p, probs = bernoulli(3, "probs")
    value, grad = exact_gradient(p, probs, wave_numpy)
    estimate = counted(wave_numpy, p, 10**12, 3, baseline=baseline)
    assert estimate.n == 10**12
    assert abs(estimate.value - value) < LIMIT * estimate.value_stderr
    z = (estimate.flat - grad) / flat(estimate.grad_stderr)
    assert np.abs(z).max() < LIMIT


@pytest.mark.parametrize("n", [2, 7, 10, 11, 1000, 10**9])
def test_folds_add_up_to_all_samples(n):
    """The samples are dealt out to the folds, not drawn again."""
    p, _ = categorical((2, 3), "logits")
    moments = counted(wave_numpy, p, n, n)._moments
    folded = moments.folded
    assert len(folded.sums) == min(10, n)
    assert len(moments.sums) == 1
    assert folded.units.sum() == n
    np.testing.assert_allclose(folded.total, moments.total, rtol=ROUNDING)
    _, _, ss, _, ff = moments.scores[0]
    summed = np.sqrt([n * ss, n * ff, ss * ss, ss * ff, ff * ff])
    assert np.all(np.abs(folded.scores.sum(axis=0) - moments.scores[0]) <= ROUNDING * summed)


def test_fold_products_belong_to_the_fold_sums():
    """The matrix baseline multiplies out the very split that the sums have."""
    p, _ = bernoulli(3, "logits")
    estimate = counted(wave_numpy, p, 1000, 1, baseline="matrix")
    products, folded = estimate._with_products(2), estimate._moments.folded
    for k, (_, _, ss, fs_, ff) in enumerate(folded.scores):
        np.testing.assert_allclose(np.diag(products.scores[k]), ss, rtol=1e-12)
        np.testing.assert_allclose(np.diag(products.terms_scores[k]), fs_, rtol=1e-12)
        np.testing.assert_allclose(np.diag(products.terms[k]), ff, rtol=1e-12)


def test_counts_call_f_once_at_distinct_outcomes():
    f, (p, _) = Recorder(), bernoulli(10, "probs")
    estimate = counted(f, p, 50, 0)
    estimate.with_baseline("matrix").covariance()
    (x,) = f.calls
    assert len(x) == len(set(map(tuple, x))) <= 50


@pytest.mark.parametrize("compiled", [True, False])
def test_omission_counts_samples(compiled):
    """Not outcomes; what is left is as if it alone had been drawn."""
    p, n, seed = bernoulli(3, "probs")[0], 1000, 4

    def holed_numpy(x):
        return np.where((x[:, 0] == 1) & (x[:, -1] == 0), np.nan, x[:, 0] + 2.0)

    x = samples_behind(p, n, seed)
    f_x = holed_numpy(x)
    kept = np.isfinite(f_x)
    f = fs.Integrand(holed if compiled else holed_numpy, nonfinite="omit")
    estimate = counted(f, p, n, seed, baseline="mean")
    assert estimate.nonfinite == (~kept).sum() > 0
    assert estimate.n == kept.sum()
    assert "conditional" in estimate.bias
    expected = naive.estimate(f_x[kept], p.score(x[kept]), np.zeros(kept.sum()), "mean")
    np.testing.assert_allclose(estimate.flat, expected.grad, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(flat(estimate.grad_stderr), expected.stderr, rtol=1e-11)
    for baseline in ("scalar", "optimal", "matrix"):
        assert estimate.with_baseline(baseline)._moments.folded.units.sum() == kept.sum()


SCRIPT = """
import os, signal, threading, time
import numpy as np
from numba import njit
import fastscore as fs

@njit
def slow(x):
    total = 0.0
    for i in range(10_000_000):
        total += np.sin(x[0] + i)
    return total

def python(x):
    time.sleep(600)

p = fs.Bernoulli(np.full(14, 0.5))
fs.gradient(slow, fs.Bernoulli([0.5]), estimator="exact")
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    fs.gradient(KIND, p, **OPTIONS)
except fs.Interrupted as stop:
    print("interrupted", stop.estimate)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a child process")
@pytest.mark.parametrize(("options", "kind"), [("exact", "slow"), ("counts", "python")])
def test_ctrl_c(python, options, kind):
    """Part of the outcomes is no estimate; all of them would take minutes."""
    script = SCRIPT.replace("KIND", kind).replace("OPTIONS", repr(OPTIONS[options]))
    assert python(script).stdout == "interrupted None\n"
