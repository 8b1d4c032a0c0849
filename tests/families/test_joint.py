"""Joint, Shared and Fixed: parts by name, parameters that are tied or held."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from cases import flat
from numba import config, njit
from scipy import stats

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000


def parts(loc=0.5, rate=2.0, **logits):
    return fs.Joint(
        noise=fs.Normal([loc, -1.0], 0.7),
        hit=fs.Bernoulli(logits=[0.3, -0.2, 0.1]),
        price=fs.LogNormal(0.1, 0.4),
        wait=fs.Exponential(rate),
    )


@njit
def of_sample(x):
    return x.noise.sum() + x.hit[0] * x.price[0] + x.wait[0] * x.hit[2]


def of_arrays(x):
    return x.noise.sum(axis=1) + x.hit[:, 0] * x.price[:, 0] + x.wait[:, 0] * x.hit[:, 2]


@njit
def of_batch(x, out):
    for i in range(out.size):
        out[i] = x.noise[i].sum() + x.hit[i, 0] * x.price[i, 0] + x.wait[i, 0] * x.hit[i, 2]


def test_samples_are_a_named_tuple_of_arrays():
    x = parts().sample(1000, rng=0)
    assert x._fields == ("noise", "hit", "price", "wait")
    assert [(part.shape, part.dtype) for part in x] == [
        ((1000, 2), np.float64), ((1000, 3), np.int64), ((1000, 1), np.float64),
        ((1000, 1), np.float64),
    ]  # fmt: skip
    assert set(np.unique(x.hit)) == {0, 1}


def test_log_prob_and_score_are_those_of_the_parts():
    p = parts()
    x = p.sample(100, rng=0)
    own = [part.log_prob(xs) for part, xs in zip(p._parts.values(), x, strict=True)]
    np.testing.assert_allclose(p.log_prob(x), np.sum(own, axis=0), rtol=1e-13)
    scores = [part.score(xs) for part, xs in zip(p._parts.values(), x, strict=True)]
    np.testing.assert_allclose(p.score(x), np.hstack(scores), rtol=1e-13)
    np.testing.assert_array_equal(p.log_prob(x._asdict()), p.log_prob(x))


def test_outside_one_part_is_outside():
    p = fs.Joint(a=fs.Exponential(1.0), b=fs.Normal(0.0, 1.0))
    assert p.log_prob(([[-1.0]], [[0.0]]))[0] == -np.inf
    assert p.log_prob(([[-1.0]], [[np.inf]]))[0] == -np.inf


def test_every_kind_of_f_sees_the_same():
    p = parts()
    a, b, c = (fs.gradient(f, p, n=N, rng=1) for f in (of_sample, of_arrays, of_batch))
    np.testing.assert_allclose(a.flat, b.flat, rtol=1e-12)
    np.testing.assert_allclose(a.flat, c.flat, rtol=1e-12)
    one, two = (fs.gradient(of_sample, p, n=N, rng=1, threads=k) for k in (1, 2))
    np.testing.assert_array_equal(one.flat, two.flat)


def test_gradient_meets_the_closed_form():
    """E f = Σ loc + q_0 exp(m + s²/2) + q_2/rate."""
    est = fs.gradient(of_sample, parts(), n=1_000_000, rng=2)
    q = 1 / (1 + np.exp([-0.3, 0.2, -0.1]))
    price = np.exp(0.1 + 0.08)
    exact = {
        "noise.loc": np.ones(2), "noise.scale": 0.0,
        "hit.logits": q * (1 - q) * [price, 0, 0.5],
        "price.loc": q[0] * price, "price.scale": q[0] * price * 0.4,
        "wait.rate": -q[2] / 4,
    }  # fmt: skip
    assert list(est.grad) == list(exact)
    z = (est.flat - flat(exact)) / flat(est.grad_stderr)
    assert np.abs(z).max() < 4.5


def test_the_general_way_agrees_with_the_fused_one():
    """A scalar shared by coordinates sends the sums through columns of scores."""
    shared = fs.Joint(a=fs.Normal([0.5, 0.5], 0.7), b=fs.Exponential(2.0))
    spread = fs.Joint(a=fs.Normal([0.5, 0.5], [0.7, 0.7]), b=fs.Exponential(2.0))

    @njit
    def f(x):
        return x.a[0] * x.a[1] + x.b[0] ** 2

    one, two = (fs.gradient(f, p, n=N, rng=0, baseline=None) for p in (shared, spread))
    np.testing.assert_allclose(one.grad["a.scale"], two.grad["a.scale"].sum(), rtol=1e-10)
    np.testing.assert_allclose(one.grad["b.rate"], two.grad["b.rate"], rtol=1e-10)


def test_fisher_mean_variance_entropy_are_the_parts():
    p = parts()
    s = p.score(p.sample(N, rng=3))
    second = (s * s).T @ (s * s) / N
    error = np.sqrt(np.maximum(second - p.fisher() ** 2, 1e-20) / N)
    assert (np.abs(s.T @ s / N - p.fisher()) < 5 * error + 1e-12).all()
    assert p.mean.hit.shape == (3,)
    np.testing.assert_allclose(p.variance.wait, [0.25])
    entropies = [part.entropy() for part in p._parts.values()]
    assert p.entropy() == pytest.approx(sum(entropies))


def test_enumeration_of_discrete_parts():
    p = fs.Joint(u=fs.Bernoulli(logits=[0.2, 0.3]), v=fs.Categorical(logits=[0.0, 1.0, 2.0]))

    def f(x):
        return x.u[:, 0] * x.v[:, 0] + x.u[:, 1]

    exact = fs.gradient(f, p, estimator="exact")
    for sampling in ("iid", "counts"):
        est = fs.gradient(f, p, n=N, rng=0, sampling=sampling)
        assert np.abs((est.flat - exact.flat) / flat(est.grad_stderr)).max() < 4.5


def test_proposals_adaptive_and_reservoir():
    p = parts()
    exact = fs.gradient(of_sample, p, n=1_000_000, rng=5)
    q = p.replace(**{"wait.rate": 1.5, "noise.loc": [0.7, -0.8]})
    kept = fs.Reservoir()
    kept.draw(of_sample, q, N, rng=1)
    estimates = [
        fs.gradient(of_sample, p, n=N, rng=0, proposals=fs.Proposals([q], defensive=0.2)),
        kept.gradient(p, independent=True, baseline=None),
        fs.pmc(of_sample, p, [q], rounds=2, n=N // 2, rng=0),
    ]
    for est in estimates:
        error = np.hypot(flat(est.grad_stderr), flat(exact.grad_stderr))
        assert np.abs((est.flat - exact.flat) / error).max() < 4.5
    x, _ = fs.Proposals([q]).sample(p, 100, rng=0)
    assert x.hit.dtype == np.int64


def test_a_proposal_must_have_the_same_parts():
    with pytest.raises(ValueError, match=r"proposals\[0\].*\(a: 1 float64\)"):
        fs.gradient(of_sample, parts(), proposals=fs.Joint(a=fs.Normal(0.0, 1.0)), n=10)


def test_a_reservoir_keeps_parts_apart_from_arrays():
    kept = fs.Reservoir()
    kept.draw(of_sample, parts(), 100, rng=0)
    with pytest.raises(ValueError, match=r"7 float64 coordinates, those kept are of \(noise: 2"):
        kept.gradient(fs.Normal(np.zeros(7), 1.0))
    with pytest.raises(ValueError, match="must be alike"):
        kept.add(np.zeros((3, 7)), np.zeros(3), fs.Normal(np.zeros(7), 1.0))


def test_fit_and_replace():
    p = parts()
    x = p.sample(N, rng=0)
    fitted = p.replace(**{"wait.rate": 1.0, "noise.loc": [0.0, 0.0]}).fit(x)
    np.testing.assert_allclose(fitted.parameters["wait.rate"], 2.0, rtol=0.02)
    np.testing.assert_allclose(fitted.parameters["noise.loc"], [0.5, -1], atol=0.02)
    with pytest.raises(ValueError, match=r"no parameter 'wait.scale'"):
        p.replace(**{"wait.scale": 1.0})


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: fs.Joint(), TypeError, "no part"),
        (lambda: fs.Joint(a=1), TypeError, "a=1 is not a distribution"),
        (lambda: fs.Joint(_a=fs.Normal(0.0, 1.0)), ValueError, "'_a' cannot be the name"),
        (lambda: fs.Joint(a=parts()), TypeError, "a is a Joint itself"),
        (
            lambda: fs.Joint(a=fs.Fixed(fs.Normal(0.0, 1.0), "scale")), TypeError,
            "of the Joint fixed",
        ),
        (lambda: parts().log_prob(np.zeros((3, 7))), TypeError, "noise, hit, price, wait"),
        (
            lambda: fs.Joint(a=fs.Normal(0.0, 1.0), b=fs.Normal(0.0, 1.0)).score(
                (np.zeros((3, 1)), np.zeros((2, 1)))
            ),
            ValueError, r"\[3, 2\] samples",
        ),
        (lambda: fs.gradient(njit(lambda x: x.nothing[0]), parts()), TypeError, "named tuple"),
    ],
)  # fmt: skip
def test_bad_input(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_bad_f_is_told_with_its_sample():
    with pytest.raises(ValueError, match=r"x = \(noise=\[.*hit=\["):
        fs.gradient(njit(lambda x: np.log(x.noise[0])), parts(), n=1000)

    @njit
    def raises(x):
        if x.hit[0] == 1:
            raise ValueError("hit")
        return 0.0

    with pytest.raises(ValueError, match=r"^hit") as caught:
        fs.gradient(raises, parts(), n=1000)
    assert "noise=" in caught.value.__notes__[0]


@pytest.mark.parametrize("p", [parts(), fs.Fixed(parts(), ["noise.loc", "hit.logits"])])
def test_pickle_and_repr(p):
    again = pickle.loads(pickle.dumps(p))
    assert repr(again) == repr(p)
    np.testing.assert_array_equal(
        again.source.family.whole.packed.shape, p.source.family.whole.packed.shape
    )


# --- Shared ---


def tied(loc=0.3):
    return fs.Shared(
        fs.Joint(a=fs.Normal(loc, 1.0), b=fs.Normal(loc, 2.0), c=fs.LogNormal(loc, 0.5)),
        loc=("a.loc", "b.loc", "c.loc"),
    )


@njit
def sum_of_logs(x):
    return x.a[0] + 3 * x.b[0] + np.log(x.c[0])


def test_tied_parameters_have_one_score():
    p = tied()
    assert list(p.parameters) == ["loc", "a.scale", "b.scale", "c.scale"]
    x = p.sample(1000, rng=0)
    s = p.inner.score(x)
    np.testing.assert_allclose(p.score(x)[:, 0], s[:, [0, 2, 4]].sum(axis=1), rtol=1e-13)
    est = fs.gradient(sum_of_logs, p, n=N, rng=0)
    exact = np.array([5.0, 0, 0, 0])
    assert np.abs((est.flat - exact) / flat(est.grad_stderr)).max() < 4.5
    np.testing.assert_allclose(p.fisher()[0, 0], 1 + 1 / 4 + 4)


def test_replace_moves_all_that_are_tied():
    p = tied().replace(loc=0.9)
    assert p.inner.parameters["b.loc"] == 0.9
    assert p.mean.a[0] == 0.9
    assert repr(pickle.loads(pickle.dumps(p))) == repr(p)


def test_shared_within_one_family():
    p = fs.Shared(fs.StudentT(df=3.0, loc=3.0, scale=2.0), both=("df", "loc"))
    x = p.sample(10, rng=0)
    s = p.inner.score(x)
    np.testing.assert_allclose(p.score(x), np.column_stack([s[:, 0] + s[:, 1], s[:, 2]]))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: fs.Shared(parts(), m=("noise.loc",)), "at least two"),
        (lambda: fs.Shared(parts(), m=("noise.loc", "nothing")), "nothing"),
        (lambda: fs.Shared(tied().inner, m=("a.scale", "b.scale")), "differ"),
        (
            lambda: fs.Shared(tied().inner, m=("a.loc", "b.loc"), k=("a.loc", "c.loc")),
            "already tied",
        ),
    ],
)
def test_bad_ties(make, match):
    with pytest.raises(ValueError, match=match):
        make()


# --- Fixed ---


def test_fixed_is_wrt_the_others():
    p = fs.Normal([0.2, 0.1], 0.7)
    held = fs.Fixed(p, "scale")
    assert list(held.parameters) == ["loc"]
    assert held.size == 2
    f = njit(lambda x: x[0] * x[1])
    a, b = fs.gradient(f, held, n=N, rng=0), fs.gradient(f, p, wrt="loc", n=N, rng=0)
    np.testing.assert_array_equal(a.flat, b.flat)
    assert list(a.grad) == ["loc"]
    x = held.sample(100, rng=0)
    np.testing.assert_array_equal(held.score(x), p.score(x)[:, :2])
    np.testing.assert_array_equal(held.fisher(), p.fisher()[:2, :2])
    np.testing.assert_array_equal(held.log_prob(x), p.log_prob(x))
    assert held.replace(scale=0.1).whole.parameters["scale"] == 0.1
    with pytest.raises(ValueError, match="scale"):
        fs.gradient(f, held, wrt="scale", n=10)


def test_fixed_with_proposals_and_reservoir():
    p = fs.Fixed(fs.Normal([0.2, 0.1], 0.7), "scale")
    f = njit(lambda x: x[0] + x[1] ** 2)
    q = fs.Fixed(fs.Normal([0.3, 0.2], 0.9), "loc")
    kept = fs.Reservoir()
    kept.draw(f, q, N, rng=1)
    for est in (
        fs.gradient(f, p, proposals=[q], n=N, rng=0),
        kept.gradient(p, independent=True, baseline=None),
        fs.pmc(f, p, [q], wrt="loc", rounds=2, n=N // 2, rng=0),
    ):
        assert np.abs((est.flat - [1, 0.2]) / flat(est.grad_stderr)).max() < 4.5


def test_fixed_refuses():
    p = fs.Normal(0.0, 1.0)
    with pytest.raises(ValueError, match="'rate' is unknown"):
        fs.Fixed(p, "rate")
    with pytest.raises(ValueError, match="leave one free"):
        fs.Fixed(p, ["loc", "scale"])
    f = fs.Integrand(lambda x: x[:, 0], direct=lambda x: np.zeros((len(x), 2)))
    with pytest.raises(TypeError, match="wrt"):
        fs.gradient(f, fs.Fixed(p, "scale"), n=10)


def test_scipy_agrees_on_a_part():
    x = parts().sample(20_000, rng=7)
    assert stats.kstest(x.price[:, 0], stats.lognorm(0.4, scale=np.exp(0.1)).cdf).pvalue > 1e-4
    assert stats.kstest(x.wait[:, 0], stats.expon(scale=0.5).cdf).pvalue > 1e-4
