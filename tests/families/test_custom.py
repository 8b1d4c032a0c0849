"""A user's own distributions."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from cases import flat
from numba import config, njit
from scipy import stats

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000


@njit
def gumbel(stream, x, loc, scale):
    for k in range(x.size):
        x[k] = loc[k] - scale * np.log(fs.draw.exponential(stream))


@njit
def gumbel_log_prob(x, loc, scale):
    total = 0.0 * scale
    for k in range(x.size):
        z = (x[k] - loc[k]) / scale
        total += -z - np.exp(-z) - np.log(scale)
    return total


@njit
def gumbel_score(x, out, loc, scale):
    out[-1] = 0.0
    for k in range(x.size):
        z = (x[k] - loc[k]) / scale
        out[k] = (1 - np.exp(-z)) / scale
        out[-1] += (z * (1 - np.exp(-z)) - 1) / scale


PARAMETERS = {"loc": [0.0, 1.0], "scale": 2.0}


@pytest.fixture(scope="module")
def by_step():
    return fs.Custom(gumbel, gumbel_log_prob, PARAMETERS, d=2)


@pytest.fixture(scope="module")
def by_score():
    return fs.Custom(gumbel, gumbel_log_prob, PARAMETERS, d=2, score=gumbel_score)


def test_samples_density_and_both_scores(by_step, by_score):
    x = by_step.sample(N, rng=0)
    truth = stats.gumbel_r([0.0, 1.0], 2.0)
    assert min(stats.kstest(truth.cdf(x)[:, k], "uniform").pvalue for k in (0, 1)) > 1e-4
    np.testing.assert_allclose(by_step.log_prob(x), truth.logpdf(x).sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(by_step.score(x), by_score.score(x), rtol=1e-11, atol=1e-13)


def test_gradient_meets_the_closed_form(by_step, by_score):
    """E Σ x = Σ loc + 2 γ scale."""
    f = njit(lambda x: x[0] + x[1])
    exact = np.array([1.0, 1.0, 2 * np.euler_gamma])
    for p in (by_step, by_score):
        est = fs.gradient(f, p, n=N, rng=1)
        assert np.abs((est.flat - exact) / flat(est.grad_stderr)).max() < 4.5
    one, two = (fs.gradient(f, by_step, n=N, rng=1, threads=k) for k in (1, 2))
    np.testing.assert_array_equal(one.flat, two.flat)


def test_replace_compiles_nothing(by_step):
    q = by_step.replace(scale=3.0)
    assert q.score_kernel is by_step.score_kernel
    assert q.sample(N, rng=0).std() > by_step.sample(N, rng=0).std()


def test_as_target_and_as_proposal(by_step):
    f = njit(lambda x: x[0])
    q = fs.Normal([0.5, 1.5], 4.0)
    a = fs.gradient(f, by_step, proposals=[q, by_step], n=N, rng=0)
    exact = np.array([1.0, 0.0, np.euler_gamma])
    assert np.abs((a.flat - exact) / flat(a.grad_stderr)).max() < 4.5
    b = fs.gradient(f, fs.Normal([0.5, 1.5], 1.0), proposals=[by_step, q], n=N, rng=0)
    assert np.abs((b.flat - [1, 0, 0]) / flat(b.grad_stderr)).max() < 4.5


def test_in_a_joint_and_a_mixture(by_step):
    joint = fs.Joint(own=by_step, hit=fs.Bernoulli(probs=0.3))
    est = fs.gradient(njit(lambda x: x.own[0] * x.hit[0]), joint, n=N, rng=0)
    assert np.abs(est.grad["own.loc"][0] - 0.3) < 4.5 * est.grad_stderr["own.loc"][0]
    mixed = fs.Mixture([by_step, fs.Normal([0.0, 0.0], 1.0)], probs=[1, 1])
    est = fs.gradient(njit(lambda x: x[0]), mixed, n=N, rng=0)
    assert np.abs(est.grad["0.loc"][0] - 0.5) < 4.5 * est.grad_stderr["0.loc"][0]


@njit
def dice(stream, x, weight):
    """1 with the weight, else uniform on 2 to 6."""
    x[0] = 1 if fs.draw.uniform(stream) < weight else 2 + int(5 * fs.draw.uniform(stream))


@njit
def dice_log_prob(x, weight):
    if x[0] < 1 or x[0] > 6:
        return -np.inf + 0 * weight
    return np.log(weight) if x[0] == 1 else np.log((1 - weight) / 5)


def test_a_discrete_one():
    p = fs.Custom(dice, dice_log_prob, {"weight": 0.4}, discrete=True, low=1, high=6)
    x = p.sample(N, rng=0)
    assert x.dtype == np.int64
    counts = np.bincount(x[:, 0], minlength=7)[1:]
    assert stats.chisquare(counts, N * np.array([0.4] + [0.12] * 5)).pvalue > 1e-4
    est = fs.gradient(njit(lambda x: 1.0 * x[0]), p, n=N, rng=0)
    assert abs(est.grad["weight"] - (1 - 4)) < 4.5 * est.grad_stderr["weight"]
    assert p.log_prob([[7]])[0] == -np.inf


@njit
def normals(stream, x, matrix, loc):
    for i in range(x.size):
        x[i] = loc[i]
    for j in range(x.size):
        z = fs.draw.normal(stream)
        for i in range(x.size):
            x[i] += matrix[i, j] * z


@njit
def normals_log_prob(x, matrix, loc):
    a, b = matrix[0, 0], matrix[0, 1]
    c, d = matrix[1, 0], matrix[1, 1]
    det = a * d - b * c
    u = (d * (x[0] - loc[0]) - b * (x[1] - loc[1])) / det
    v = (a * (x[1] - loc[1]) - c * (x[0] - loc[0])) / det
    return -0.5 * (u * u + v * v) - np.log(det) - np.log(2 * np.pi)


def test_matrix_parameters():
    matrix = np.array([[1.0, 0.2], [0.5, 2.0]])
    p = fs.Custom(normals, normals_log_prob, {"matrix": matrix, "loc": [1.0, 2.0]}, d=2)
    x = p.sample(N, rng=0)
    np.testing.assert_allclose(np.cov(x.T), matrix @ matrix.T, rtol=0.05)
    est = fs.gradient(njit(lambda x: x[0] * x[1]), p, n=1_000_000, rng=0)
    # E x0 x1 = loc0 loc1 + (M Mᵀ)_01.
    z = (est.grad["matrix"] - matrix[::-1]) / est.grad_stderr["matrix"]
    assert np.abs(z).max() < 4.5


def test_estimated_fisher(by_score):
    assert by_score.fisher_estimated
    np.testing.assert_allclose(by_score.fisher()[0, 0], 0.25, rtol=0.05)


def test_pickle(by_step):
    import cloudpickle

    again = cloudpickle.loads(cloudpickle.dumps(by_step))
    np.testing.assert_array_equal(again.sample(10, rng=0), by_step.sample(10, rng=0))
    assert repr(by_step) == "Custom(loc=[0., 1.], scale=2.)"
    assert pickle.loads(pickle.dumps(by_step)).d == 2


@njit
def laplace(stream, x, loc):
    sign = 1.0 if fs.draw.uniform(stream) < 0.5 else -1.0
    x[0] = loc + sign * fs.draw.exponential(stream)


@njit
def laplace_log_prob(x, loc):
    return -abs(x[0] - loc) - math.log(2.0)


@njit
def laplace_score(x, out, loc):
    out[0] = np.sign(x[0] - loc)


@njit
def wrong_score(x, out, loc):
    out[0] = 1.0


@njit
def by_lgamma(x, loc):
    return -abs(x[0] - loc) + math.lgamma(loc)


@njit
def wider(x, loc):
    return -0.5 * abs(x[0] - 2 * loc) - math.log(4.0)


@njit
def wider_score(x, out, loc):
    out[0] = np.sign(x[0] - 2 * loc)


@njit
def nan_log_prob(x, loc):
    return np.nan * loc


def test_a_log_prob_that_is_not_analytic_needs_a_score():
    p = fs.Custom(laplace, laplace_log_prob, {"loc": 1.0}, score=laplace_score)
    est = fs.gradient(njit(lambda x: x[0]), p, n=N, rng=0)
    assert abs(est.grad["loc"] - 1) < 4.5 * est.grad_stderr["loc"]


@pytest.mark.parametrize(
    ("functions", "parameters", "error", "match"),
    [
        ((laplace, laplace_log_prob, None), {"loc": 1.0}, ValueError, "no analytic function"),
        ((laplace, by_lgamma, None), {"loc": 1.0}, TypeError, "give score="),
        ((laplace, laplace_log_prob, wrong_score), {"loc": 1.0}, ValueError, "by loc"),
        ((laplace, wider, wider_score), {"loc": 1.0}, ValueError, "do not belong together"),
        ((laplace, nan_log_prob, laplace_score), {"loc": 1.0}, ValueError, "log_prob is nan"),
        ((laplace, laplace_log_prob, None), {"loc": 1.0, "b": 2.0}, TypeError, "takes 3 arguments"),
        ((lambda s, x, loc: 0, laplace_log_prob, None), {"loc": 1.0}, TypeError, "not jitted"),
        ((gumbel, laplace_log_prob, laplace_score), {"loc": 1.0}, TypeError, "takes 4 arguments"),
        ((laplace, laplace_log_prob, None), {}, TypeError, "parameters="),
        ((laplace, laplace_log_prob, None), {"loc": np.nan}, ValueError, "loc = nan"),
    ],
)
def test_bad_input(functions, parameters, error, match):
    sample, log_prob, score = functions
    with pytest.raises(error, match=match):
        fs.Custom(sample, log_prob, parameters, score=score)
