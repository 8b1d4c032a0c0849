"""Bernoulli and Categorical at their boundaries: extreme parameters, bad input, outcomes."""

from __future__ import annotations

import numpy as np
import pytest
from cases import flat
from numba import config
from oracle import smooth

import fastscore as fs

BASELINES = (None, 0.7, "mean", "scalar", "optimal")
needs_jit = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


def ones(x):
    return np.ones(len(x))


# --- extreme logits ---


class TestExtremeLogits:
    #: So far from 0 that ``1 − p`` would round to 1; the rare outcome's probability is e^−|logit|.
    LOGITS = np.array([700.0, -700.0, 40.0, -40.0])
    COMMON = np.array([[1, 0, 1, 0]])

    def test_samples(self):
        x = fs.Bernoulli(logits=self.LOGITS).sample(100_000, rng=1)
        np.testing.assert_array_equal(x, np.broadcast_to(self.COMMON, x.shape))

    def test_scores(self):
        p, sign = fs.Bernoulli(logits=self.LOGITS), np.sign(self.LOGITS)
        rare = np.exp(-np.abs(self.LOGITS))
        np.testing.assert_allclose(p.score(self.COMMON)[0], sign * rare, rtol=1e-14)
        np.testing.assert_array_equal(p.score(1 - self.COMMON)[0], -sign)
        np.testing.assert_allclose(p.fisher(), np.diag(rare), rtol=1e-14)

    def test_log_probabilities(self):
        for logit, common in zip(self.LOGITS, self.COMMON[0], strict=True):
            p = fs.Bernoulli(logits=[logit])
            log_prob = p.log_prob([[common], [1 - common]])
            rare = np.exp(-abs(logit))
            np.testing.assert_allclose(log_prob, [-rare, -abs(logit)], rtol=1e-14)

    @needs_jit
    @pytest.mark.parametrize("n", [2, 13, 10_000])
    def test_gradient(self, n):
        estimate = fs.gradient(smooth, fs.Bernoulli(logits=self.LOGITS), n=n, rng=1)
        bound = 10 * np.exp(-np.abs(self.LOGITS))
        for baseline in BASELINES:
            one = estimate.with_baseline(baseline)
            assert np.all(np.abs(one.flat) <= bound)
            assert np.all(flat(one.grad_stderr) <= bound)
            assert not np.isnan(flat(one.variance_ratio)).any()

    @needs_jit
    def test_ordinary_coordinate_beside_them(self):
        """f is a sum over coordinates: neighbours that do not vary change nothing."""

        def f(x):
            return (x[:, 1] - 0.45) ** 2 + x[:, 0]

        p = fs.Bernoulli(logits=[700.0, 0.3, -40.0])
        estimate = fs.gradient(f, p, n=10_000, rng=4)
        chance = 1 / (1 + np.exp(-0.3))
        exact = np.array([0, chance * (1 - chance) * 0.1, 0])
        np.testing.assert_allclose(estimate.flat, exact, rtol=1e-12, atol=1e-15)

    def test_categorical(self):
        p = fs.Categorical(logits=[700.0, -700.0, 0.0])
        assert not p.sample(100_000, rng=1).any()
        np.testing.assert_allclose(p.log_prob([[0], [1], [2]]), [0, -1400, -700], atol=1e-300)
        rare = np.exp(-700.0)
        expected = [[rare, 0, -rare], [-1, 1, -rare], [-1, 0, 1]]
        np.testing.assert_allclose(p.score([[0], [1], [2]]), expected, rtol=1e-13)

    @needs_jit
    @pytest.mark.parametrize("n", [2, 13, 10_000])
    def test_gradient_of_a_categorical(self, n):
        estimate = fs.gradient(smooth, fs.Categorical(logits=[700.0, -700.0, 0.0]), n=n, rng=1)
        for baseline in BASELINES:
            one = estimate.with_baseline(baseline)
            assert np.all(np.abs(one.flat) < 1e-300)
            assert np.all(flat(one.grad_stderr) < 1e-300)


# --- excluded outcomes ---


class TestExcludedClass:
    P = fs.Categorical(logits=[0.0, -np.inf, 1.0])
    #: The same without it.
    Q = fs.Categorical(logits=[0.0, 1.0])

    def test_never_drawn(self):
        x = self.P.sample(100_000, rng=1)
        assert np.array_equal(np.unique(x), [0, 2])
        np.testing.assert_array_equal(self.P.log_prob([[1]]), -np.inf)

    def test_others_as_if_it_were_not_there(self):
        kept = [0, 2]
        x, y = np.array([[0], [2]]), np.array([[0], [1]])
        np.testing.assert_array_equal(self.P.log_prob(x), self.Q.log_prob(y))
        np.testing.assert_array_equal(self.P.score(x)[:, kept], self.Q.score(y))
        np.testing.assert_array_equal(self.P.fisher()[np.ix_(kept, kept)], self.Q.fisher())

    @needs_jit
    @pytest.mark.parametrize("n", [2, 13, 10_000])
    def test_gradient_of_exactly_zero(self, n):
        np.testing.assert_array_equal(self.P.score([[0], [2]])[:, 1], 0)
        np.testing.assert_array_equal(self.P.fisher()[1], 0)
        estimate = fs.gradient(smooth, self.P, n=n, rng=1)
        for baseline in BASELINES:
            one = estimate.with_baseline(baseline)
            assert one.flat[1] == one.grad_stderr["logits"][1] == 0
            assert np.isfinite(one.flat).all()
            assert not np.isnan(flat(one.variance_ratio)).any()


@pytest.mark.parametrize(
    ("p", "possible", "impossible"),
    [
        (fs.Bernoulli([0.0, 0.4]), [0, 1], [1, 1]),
        (fs.Bernoulli([0.4, 1.0]), [0, 1], [0, 0]),
        (fs.Categorical([[0.3, 0.0, 0.7], [1.0, 1.0, 1.0]]), [2, 1], [1, 1]),
    ],
    ids=repr,
)
def test_probabilities_of_0_and_1(p, possible, impossible):
    """They can be drawn from and have probabilities; of scores there are none."""
    x = p.sample(10_000, rng=1)
    assert np.isfinite(p.log_prob(x)).all()
    log_prob = p.log_prob([possible, impossible])
    assert np.isfinite(log_prob[0])
    assert log_prob[1] == -np.inf
    for ask in (
        p.fisher, lambda: p.score(x), lambda: fs.gradient(ones, p, n=10),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"probs\[.*score.*logits"):
            ask()


# --- bad input ---

CLASSES = {"Bernoulli": fs.Bernoulli, "Categorical": fs.Categorical}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("kwargs", [{}, {"probs": [0.5, 0.5], "logits": [0.0, 0.0]}])
def test_one_of_probs_and_logits(name, kwargs):
    with pytest.raises(TypeError, match=f"{name} takes either probs or logits"):
        CLASSES[name](**kwargs)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("Bernoulli", {"probs": [0.5, -0.1]}, r"probs\[1\] = -0\.1"),
        ("Bernoulli", {"probs": [1.5, 0.5]}, r"probs\[0\] = 1\.5"),
        ("Bernoulli", {"probs": [0.5, np.nan]}, r"probs\[1\] = nan.*finite"),
        ("Bernoulli", {"probs": []}, "probs has shape"),
        ("Bernoulli", {"logits": [0.0, np.inf]}, r"logits\[1\] = inf.*finite"),
        ("Bernoulli", {"logits": -np.inf}, "logits = -inf.*finite"),
        ("Categorical", {"probs": [0.5, -0.1]}, r"probs\[1\] = -0\.1.*negative"),
        ("Categorical", {"probs": [np.inf, 1.0]}, r"probs\[0\] = inf.*finite"),
        ("Categorical", {"probs": [[0.5, 0.5], [0.5, np.nan]]}, r"probs\[1, 1\] = nan.*finite"),
        ("Categorical", {"probs": [0.0, 0.0]}, "probs excludes every class"),
        ("Categorical", {"probs": [[0.5, 0.5], [0.0, 0.0]]}, "probs excludes every class"),
        ("Categorical", {"probs": []}, "probs has shape"),
        ("Categorical", {"probs": np.ones((2, 0))}, "probs has shape"),
        ("Categorical", {"probs": 0.5}, r"probs has shape \(\)"),
        ("Categorical", {"probs": np.ones((2, 2, 2))}, r"probs has shape \(2, 2, 2\)"),
        ("Categorical", {"logits": [np.inf, 0.0]}, r"logits\[0\] = inf"),
        ("Categorical", {"logits": [np.nan, 0.0]}, r"logits\[0\] = nan"),
        ("Categorical", {"logits": [-np.inf, -np.inf]}, "logits excludes every class"),
        ("Categorical", {"logits": np.ones((2, 2, 2))}, r"logits has shape \(2, 2, 2\)"),
    ],
)
def test_parameters_that_make_no_distribution(name, kwargs, message):
    with pytest.raises(ValueError, match=message):
        CLASSES[name](**kwargs)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("argument", ["probs", "logits"])
@pytest.mark.parametrize("value", ["a", [0.5, "b"], 1j, {"a": 1}, [[0.5, 0.5], [1.0]]])
def test_parameters_that_are_no_numbers(name, argument, value):
    with pytest.raises(TypeError, match=argument):
        CLASSES[name](**{argument: value})


@pytest.mark.parametrize("p", [fs.Bernoulli([0.3, 0.6]), fs.Categorical(np.ones((2, 3)))], ids=repr)
class TestOutcomes:
    @pytest.mark.parametrize("bad", [0.5, -1, 3, 1e300, 2**63, np.nan, np.inf, -np.inf])
    def test_no_outcome(self, p, bad):
        for ask in (p.score, p.log_prob):
            with pytest.raises(ValueError, match=r"^x\b"):
                ask([[0, 1], [1, bad]])

    @pytest.mark.parametrize("x", [0, [0, 1], [[0]], [[0, 1, 0]], [[[0, 1]]]])
    def test_shape(self, p, x):
        for ask in (p.score, p.log_prob):
            with pytest.raises(ValueError, match=r"x has shape .*\(n, 2\)"):
                ask(x)

    @pytest.mark.parametrize("x", [[["a", "b"]], [[1j, 0]], [[None, 0]]])
    def test_no_numbers(self, p, x):
        for ask in (p.score, p.log_prob):
            with pytest.raises((TypeError, ValueError), match=r"^x\b"):
                ask(x)

    @pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32, np.float64])
    def test_integers_of_any_type(self, p, dtype):
        x = np.array([[0, 1], [1, 0]])
        np.testing.assert_array_equal(p.score(x.astype(dtype)), p.score(x))
        np.testing.assert_array_equal(p.log_prob(x.astype(dtype)), p.log_prob(x))


def test_two_is_no_outcome_of_a_bernoulli():
    with pytest.raises(ValueError, match=r"x\[1, 0\] = 2.*0 or 1"):
        fs.Bernoulli(0.3).score([[1], [2]])


# --- shapes ---


@pytest.mark.parametrize(
    ("p", "d", "size"),
    [
        (fs.Bernoulli(0.3), 1, 1),
        (fs.Bernoulli(logits=0.3), 1, 1),
        (fs.Bernoulli([0.3]), 1, 1),
        (fs.Bernoulli(np.full((2, 3), 0.3)), 6, 6),
        (fs.Categorical([1.0, 2.0, 3.0]), 1, 3),
        (fs.Categorical([[1.0, 2.0, 3.0]]), 1, 3),
        (fs.Categorical(logits=np.zeros((4, 3))), 4, 12),
    ],
    ids=repr,
)
def test_shapes(p, d, size):
    assert (p.d, p.size) == (d, size)
    x = p.sample(7, rng=1)
    assert x.shape == (7, d)
    assert x.dtype == np.int64
    assert p.score(x).shape == (7, size)
    assert p.log_prob(x).shape == (7,)
    assert p.fisher().shape == (size, size)
    estimate = fs.gradient(ones, p, n=7, rng=1)
    for name, given in p.parameters.items():
        assert np.shape(estimate.grad[name]) == given.shape


def test_parameters_are_copies_that_cannot_be_written_to():
    for make in CLASSES.values():
        given = np.array([0.25, 0.75])
        p = make(given)
        given[0] = 0.5
        np.testing.assert_array_equal(p.parameters["probs"], [0.25, 0.75])
        with pytest.raises(ValueError, match="read-only"):
            p.parameters["probs"][0] = 0.5


def test_replace_keeps_the_parametrisation():
    p = fs.Categorical(logits=[0.0, 1.0]).replace(logits=[0.0, 2.0])
    np.testing.assert_array_equal(p.parameters["logits"], [0, 2])
    with pytest.raises(ValueError, match="no parameter 'probs'"):
        p.replace(probs=[0.5, 0.5])
