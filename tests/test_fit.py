"""Families fitted to weighted samples by maximum likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastscore as fs
from fastscore.families import Family

D, N = 3, 200
RNG = np.random.default_rng(7)
WEIGHTS = RNG.gamma(0.5, size=N)
REALS = RNG.normal([-1.0, 0.5, 4.0], [0.3, 1.0, 2.0], size=(N, D))
BITS = (RNG.random((N, D)) < [0.2, 0.5, 0.9]).astype(np.int64)
CLASSES = np.column_stack(
    [RNG.choice(4, N, p=p) for p in ([0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.1, 0.4], np.full(4, 0.25))]
)

NORMALS = [
    fs.Normal(np.zeros(D), np.ones(D)),
    fs.Normal(np.zeros(D), log_scale=np.ones(D)),
    fs.Normal(np.zeros(D), 2.0),
    fs.Normal(0.0, np.ones(D)),
    fs.Normal(0.0, log_scale=np.zeros(D)),
]
BERNOULLIS = [fs.Bernoulli(np.full(D, 0.3)), fs.Bernoulli(logits=np.zeros(D))]
CATEGORICALS = [fs.Categorical(np.ones((D, 4))), fs.Categorical(logits=np.zeros((D, 4)))]
CASES = [
    *[(p, REALS) for p in NORMALS],
    (fs.Normal(np.zeros((3, 1)), np.ones((3, 1))), REALS),
    (fs.Normal(0.0, 1.0), REALS[:, :1]),
    *[(p, BITS) for p in BERNOULLIS],
    (fs.Bernoulli(0.5), BITS[:, :1]),
    *[(p, CLASSES) for p in CATEGORICALS],
    (fs.Categorical(np.ones(4)), CLASSES[:, :1]),
]
every_case = pytest.mark.parametrize(
    ("p", "x"), CASES, ids=lambda one: "" if isinstance(one, np.ndarray) else repr(one)
)


def assert_close(p, q, rtol=1e-10):
    assert list(p.parameters) == list(q.parameters)
    for name, value in p.parameters.items():
        np.testing.assert_allclose(q.parameters[name], value, rtol=rtol, atol=1e-14)


def likelihood(q, x, weights):
    return np.sum(weights * q.log_prob(x))


def nearby(q, size, rng):
    """q with each of its parameters moved."""
    moved = {}
    for name, value in q.parameters.items():
        z = size * rng.normal(size=value.shape)
        if name == "scale":
            moved[name] = value * np.exp(z)
        elif name == "probs":
            moved[name] = value + np.tanh(z) * np.where(z > 0, 1 - value, value)
        else:
            moved[name] = value + z
    return q.replace(**moved)


class TestEveryFamily:
    @every_case
    def test_parameters_keep_names_and_shapes(self, p, x):
        q = p.fit(x, WEIGHTS)
        assert type(q) is type(p)
        assert list(q.parameters) == list(p.parameters)
        for name, value in p.parameters.items():
            assert q.parameters[name].shape == value.shape

    @every_case
    def test_scaled_weights(self, p, x):
        q = p.fit(x, WEIGHTS)
        for factor in (1e-300, 0.1, 1e300):
            assert_close(q, p.fit(x, factor * WEIGHTS))

    @every_case
    def test_equal_weights(self, p, x):
        assert_close(p.fit(x), p.fit(x, np.full(N, 3)))

    @every_case
    def test_a_sample_twice_is_a_weight_doubled(self, p, x):
        twice = np.concatenate([x, x[:50]])
        doubled = np.concatenate([2 * WEIGHTS[:50], WEIGHTS[50:]])
        assert_close(p.fit(x, doubled), p.fit(twice, np.concatenate([WEIGHTS, WEIGHTS[:50]])))

    @every_case
    def test_order_and_samples_of_weight_zero(self, p, x):
        order = np.random.default_rng(1).permutation(N)
        assert_close(p.fit(x, WEIGHTS), p.fit(x[order], WEIGHTS[order]))
        some = np.where(np.arange(N) < 100, WEIGHTS, 0.0)
        assert_close(p.fit(x[:100], WEIGHTS[:100]), p.fit(x, some))

    @every_case
    def test_the_present_parameters_do_not_matter(self, p, x):
        q = p.fit(x, WEIGHTS)
        assert_close(q, q.fit(x, WEIGHTS))

    @every_case
    def test_nothing_nearby_is_likelier(self, p, x):
        q = p.fit(x, WEIGHTS)
        best, rng = likelihood(q, x, WEIGHTS), np.random.default_rng(2)
        for size in (1e-3, 0.1):
            for _ in range(50):
                assert likelihood(nearby(q, size, rng), x, WEIGHTS) <= best + 1e-9 * abs(best)

    @every_case
    def test_the_score_vanishes(self, p, x):
        q = p.fit(x, WEIGHTS)
        gradient = WEIGHTS @ q.score(x)
        scale = np.sqrt(WEIGHTS**2 @ q.score(x) ** 2)
        assert np.all(np.abs(gradient) <= 1e-9 * scale)

    @every_case
    def test_recovers_the_distribution_of_its_samples(self, p, x):
        q = p.fit(x, WEIGHTS)
        again = q.fit(q.sample(400_000, rng=3))
        for name, value in q.parameters.items():
            np.testing.assert_allclose(again.parameters[name], value, rtol=0.05, atol=0.02)

    def test_a_family_without_a_fit_says_so(self):
        class Unfitted(fs.Normal):
            _fit = Family._fit

        with pytest.raises(TypeError, match="Unfitted cannot be fitted"):
            Unfitted(0.0, 1.0).fit(np.zeros((2, 1)), np.ones(2))


class TestClosedForms:
    MEAN = np.average(REALS, axis=0, weights=WEIGHTS)
    VARIANCE = np.average((REALS - MEAN) ** 2, axis=0, weights=WEIGHTS)

    def test_normal(self):
        q = fs.Normal(np.zeros(D), np.ones(D)).fit(REALS, WEIGHTS)
        np.testing.assert_allclose(q.parameters["loc"], self.MEAN)
        np.testing.assert_allclose(q.parameters["scale"], np.sqrt(self.VARIANCE))

    def test_log_scale(self):
        q = fs.Normal(np.zeros(D), log_scale=0.0).fit(REALS, WEIGHTS)
        np.testing.assert_allclose(q.parameters["loc"], self.MEAN)
        np.testing.assert_allclose(q.parameters["log_scale"], np.log(self.VARIANCE.mean()) / 2)

    def test_shared_loc(self):
        """Each of loc and scale is the maximum given the other."""
        q = fs.Normal(0.0, np.ones(D)).fit(REALS, WEIGHTS)
        loc, scale = q.parameters.values()
        np.testing.assert_allclose(loc, np.average(self.MEAN, weights=scale**-2))
        np.testing.assert_allclose(scale**2, self.VARIANCE + (self.MEAN - loc) ** 2)

    @given(st.integers(0, 2**32))
    @settings(max_examples=50, deadline=None)
    def test_shared_loc_with_several_modes(self, seed):
        """The best of all modes, of which coordinates far apart have one each."""
        rng = np.random.default_rng(seed)
        x = rng.normal(rng.uniform(-3, 3, 4), rng.uniform(0.05, 1.0, 4), size=(30, 4))
        mean, variance = x.mean(axis=0), x.var(axis=0)
        loc = np.linspace(mean.min(), mean.max(), 2001)[:, None]
        grid = -30 * np.sum(np.log(variance + (mean - loc) ** 2) / 2, axis=1)
        q = fs.Normal(0.0, np.ones(4)).fit(x)
        constant = -30 * 4 * (np.log(2 * np.pi) + 1) / 2
        assert likelihood(q, x, 1.0) >= grid.max() + constant - 1e-6

    def test_one_normal_for_all(self):
        """A loc and a scale that all coordinates share: the samples of all of them pooled."""
        p = fs.Normal(np.zeros(D), 1.0)
        pooled = fs.Normal(0.0, 1.0).fit(REALS.reshape(-1, 1), np.repeat(WEIGHTS, D))
        mean = self.MEAN.mean()
        np.testing.assert_allclose(pooled.parameters["loc"], mean)
        expected = np.sqrt(np.mean(self.VARIANCE + (self.MEAN - mean) ** 2))
        np.testing.assert_allclose(pooled.parameters["scale"], expected)
        np.testing.assert_allclose(
            p.fit(REALS, WEIGHTS).parameters["scale"], np.sqrt(self.VARIANCE.mean())
        )

    def test_far_from_zero(self):
        q = fs.Normal(np.zeros(D), np.ones(D)).fit(1e9 + REALS, WEIGHTS)
        np.testing.assert_allclose(q.parameters["scale"], np.sqrt(self.VARIANCE), rtol=1e-5)

    def test_bernoulli(self):
        expected = np.average(BITS, axis=0, weights=WEIGHTS)
        p, by_logits = (q.fit(BITS, WEIGHTS) for q in BERNOULLIS)
        np.testing.assert_allclose(p.parameters["probs"], expected)
        np.testing.assert_allclose(
            by_logits.parameters["logits"], np.log(expected / (1 - expected))
        )

    def test_categorical(self):
        expected = np.average(CLASSES[:, :, None] == np.arange(4), axis=0, weights=WEIGHTS)
        p, by_logits = (q.fit(CLASSES, WEIGHTS) for q in CATEGORICALS)
        np.testing.assert_allclose(p.parameters["probs"], expected)
        np.testing.assert_allclose(by_logits.parameters["logits"], np.log(expected))


# --- what must not collapse ---


class TestFloors:
    @pytest.mark.parametrize("p", NORMALS, ids=repr)
    @pytest.mark.parametrize("least", [1e-3, 0.5, 1.0])
    def test_one_sample(self, p, least):
        q = p.fit([[3.0, 3.0, 3.0]], [0.2], least=least)
        np.testing.assert_allclose(q.parameters["loc"], np.full(p.parameters["loc"].shape, 3.0))
        if "scale" in p.parameters:
            expected = least * p.parameters["scale"]
            np.testing.assert_allclose(q.parameters["scale"], expected)
        else:
            expected = np.log(least) + p.parameters["log_scale"]
            np.testing.assert_allclose(q.parameters["log_scale"], expected, atol=1e-14)

    def test_shared_loc_under_floors(self):
        """Two of the scales are held, and weigh their coordinates in the loc accordingly."""
        p = fs.Normal(0.0, [10.0, 1.0, 10.0])
        q = p.fit(REALS, WEIGHTS, least=0.5)
        scale = q.parameters["scale"]
        np.testing.assert_array_equal(scale[[0, 2]], 5.0)
        mean = np.average(REALS, axis=0, weights=WEIGHTS)
        np.testing.assert_allclose(q.parameters["loc"], np.average(mean, weights=scale**-2))
        best, rng = likelihood(q, REALS, WEIGHTS), np.random.default_rng(4)
        for _ in range(200):
            other = nearby(q, 0.1, rng)
            other = other.replace(scale=np.maximum(other.parameters["scale"], [5.0, 0.5, 5.0]))
            assert likelihood(other, REALS, WEIGHTS) <= best

    def test_bernoulli(self):
        p = fs.Bernoulli([0.2, 0.8, 0.5])
        q = p.fit([[1, 1, 0], [1, 0, 0]], least=0.1)
        np.testing.assert_allclose(q.parameters["probs"], [0.92, 0.5, 0.05])
        by_logits = fs.Bernoulli(logits=np.log([0.25, 4.0, 1.0])).fit(
            [[1, 1, 0], [1, 0, 0]], least=0.1
        )
        np.testing.assert_allclose(
            by_logits.parameters["logits"],
            np.log(np.array([0.92, 0.5, 0.05]) / [0.08, 0.5, 0.95]),
            atol=1e-14,
        )

    def test_categorical(self):
        """What the unseen class keeps, the others give in proportion."""
        q = fs.Categorical([5.0, 1.0, 2.0]).fit([[0], [1], [1]], [1.0, 1.0, 2.0], least=0.1)
        np.testing.assert_allclose(q.parameters["probs"], [0.975 / 4, 0.975 * 3 / 4, 0.025])

    @given(st.integers(2, 6), st.floats(1e-3, 1.0), st.integers(0, 2**32))
    @settings(max_examples=200, deadline=None)
    def test_categorical_is_the_maximum_under_floors(self, classes, least, seed):
        """Kuhn and Tucker: seen/fitted is one number above the floor, and not larger at it."""
        rng = np.random.default_rng(seed)
        p = fs.Categorical(rng.dirichlet(np.full(classes, 0.5)))
        seen = rng.dirichlet(np.full(classes, 0.3)) * (rng.random(classes) < 0.8)
        if not seen.any():
            return
        q = p.fit(np.arange(classes)[:, None], seen, least=least)
        fitted, floor = q.parameters["probs"], least * p.parameters["probs"]
        np.testing.assert_allclose(fitted.sum(), 1.0)
        assert np.all(fitted >= floor * (1 - 1e-12))
        ratio = seen / seen.sum() / fitted
        above = fitted > floor * (1 + 1e-9)
        np.testing.assert_allclose(ratio[above], ratio.max())

    def test_supports_do_not_shrink(self):
        one = np.zeros((1, 2), np.int64)
        for p in (
            fs.Bernoulli([0.5, 1e-300]),
            fs.Bernoulli([1 - 2.0**-53, 2.0**-53]),
            fs.Bernoulli(logits=[800.0, -800.0]),
            fs.Categorical([[1.0, 2.0, 0.0], [1e-300, 1.0, 3.0]]),
            fs.Categorical(logits=[[0.0, -700.0], [0.0, 700.0]]),
        ):
            for x in (one, 1 - one):
                q = p.fit(x)
                before, after = (
                    {tuple(pair) for pair in one.support_set.excluded} for one in (p, q)
                )
                assert after <= before

    def test_what_is_seen_is_not_excluded(self):
        q = fs.Categorical([1.0, 0.0, 0.0]).fit([[1]])
        np.testing.assert_allclose(q.parameters["probs"], [1e-3, 0.999, 0.0])
        q = fs.Categorical(logits=[0.0, -np.inf, -np.inf]).fit([[1]])
        np.testing.assert_allclose(q.parameters["logits"], [np.log(1e-3), np.log(0.999), -np.inf])
        np.testing.assert_allclose(fs.Bernoulli([0.0]).fit([[1]]).parameters["probs"], 0.999)

    def test_floors_from_the_target_stay(self):
        p = fs.Normal(0.0, 1.0)
        q = p
        for _ in range(5):
            q = q.fit([[2.0]], least=0.1)
        np.testing.assert_allclose(q.parameters["scale"], 1e-5)
        np.testing.assert_allclose(p.fit([[2.0]], least=0.1).parameters["scale"], 0.1)


# --- bad input ---


class TestBadInput:
    P = fs.Normal(np.zeros(2), np.ones(2))
    X = np.arange(6.0).reshape(3, 2)

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ([0.0, 0.0, 0.0], "weights are all 0"),
            ([1.0, -1.0, 1.0], r"weights\[1\] = -1.0: .*not negative"),
            ([1.0, 1.0, np.nan], r"weights\[2\] = nan: .*finite"),
            ([np.inf, 1.0, 1.0], r"weights\[0\] = inf: .*finite"),
            ([1.0, 1.0], r"weights has shape \(2,\): give one to each of the 3 samples"),
            (np.ones((3, 1)), r"weights has shape \(3, 1\)"),
            ([], "weights has shape"),
        ],
    )
    def test_weights(self, weights, message):
        with pytest.raises(ValueError, match=message):
            self.P.fit(self.X, weights)

    def test_weights_that_are_no_numbers(self):
        with pytest.raises(TypeError, match="weights"):
            self.P.fit(self.X, ["a", "b", "c"])

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_samples_not_finite(self, bad):
        with pytest.raises(ValueError, match=r"x\[1, 0\] = .*finite"):
            self.P.fit([[0.0, 1.0], [bad, 1.0]])

    def test_samples_outside(self):
        with pytest.raises(ValueError, match="a class from 0 to 2"):
            fs.Categorical(np.ones(3)).fit([[3]])
        with pytest.raises(ValueError, match="0 or 1"):
            fs.Bernoulli(0.5).fit([[2]])
        with pytest.raises(ValueError, match="x has shape"):
            self.P.fit(np.zeros((3, 3)))

    @pytest.mark.parametrize("weights", [None, []])
    def test_no_samples(self, weights):
        with pytest.raises(ValueError, match="x has no samples"):
            self.P.fit(np.zeros((0, 2)), weights)

    @pytest.mark.parametrize("least", [0.0, -1.0, 1.5, np.nan])
    def test_least(self, least):
        with pytest.raises(ValueError, match="least = "):
            self.P.fit(self.X, least=least)

    def test_scale_below_what_float64_resolves(self):
        with pytest.raises(ValueError, match="cannot resolve"):
            self.P.fit([[1e12, 0.0], [1e12, 1.0]])
