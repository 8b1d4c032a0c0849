"""Unbiased at any n and under any baseline, with standard errors that mean what they say."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from cases import Case, flat, runs, z_of_mean
from gaussian import cases, quadratic, sphere
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
BASELINES = (None, 3.0, "mean", "scalar", "optimal")
ESTIMATED = ("mean", "scalar", "optimal")


def many(case, n, count, first_seed, baselines=BASELINES):
    with warnings.catch_warnings():
        if n == 1:
            warnings.filterwarnings("ignore", "n=1", RuntimeWarning)
        return runs(case, n, count, baselines, first_seed)


# --- bias ---


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 25])
def test_unbiased_at_every_n(n):
    """``(x + 3)²``, whose gradient a mean of the same samples would shrink by 1/n."""
    case = cases()["gauss-quad-k-3-mu1-s1"]
    result = many(case, n, 20_000, 10**6 * n)
    assert abs(z_of_mean(result.value, case.value)) < LIMIT
    for baseline in BASELINES:
        z = z_of_mean(result.grad[baseline], case.grad)
        assert np.abs(z).max() < LIMIT, f"baseline {baseline!r}: z = {z}"
    if n == 1:
        assert np.isnan(result.value_stderr).all()
        assert all(np.isnan(stderr).all() for stderr in result.stderr.values())


@pytest.mark.parametrize("n", [2, 13, 40])
def test_unbiased_in_ten_dimensions(n):
    d, loc, scale = 10, 1.0, 0.5
    exact = np.concatenate([np.full(d, 2 * loc), np.full(d, 2 * scale)])
    p = fs.Normal(np.full(d, loc), np.full(d, scale))
    case = Case("sphere", sphere, p, (), ("loc", "scale"), exact)
    result = many(case, n, 5000, 10**6 * n)
    for baseline in BASELINES:
        z = z_of_mean(result.grad[baseline], exact)
        assert np.abs(z).max() < LIMIT, f"baseline {baseline!r}: z = {z}"


@njit
def follower(x, c, loc):
    """``(x − c loc)²``: its mean is ``loc² (1 − c)² + scale²``."""
    return (x[0] - c * loc) ** 2


@njit
def follower_direct(x, out, c, loc):
    out[0] = -2 * c * (x[0] - c * loc)
    out[1] = 0.0


@pytest.mark.parametrize("n", [1, 2, 3, 8, 25])
def test_unbiased_with_a_direct_term(n):
    c, loc, scale = -1.5, 1.2, 0.8
    exact = np.array([2 * loc * (1 - c) ** 2, 2 * scale])
    f = fs.Integrand(follower, direct=follower_direct)
    case = Case("follower", f, fs.Normal([loc], [scale]), (c, loc), ("loc", "scale"), exact)
    result = many(case, n, 10_000, 10**6 * n)
    for baseline in BASELINES:
        z = z_of_mean(result.grad[baseline], exact)
        assert np.abs(z).max() < LIMIT, f"baseline {baseline!r}: z = {z}"


# --- offsets ---


@njit
def stepped(x, offset):
    """A bounded f in steps of 2⁻²⁰, so that adding 1e9 to it rounds nothing."""
    return math.floor(2.0**20 * math.cos(x[0])) / 2.0**20 + offset


@njit
def plain(x, offset):
    return math.cos(x[0]) + offset


@pytest.mark.parametrize("n", [2, 13, 1000, 100_000])
def test_offset_without_rounding_changes_nothing(n):
    p = fs.Normal([0.7], [1.3])
    for baseline in ESTIMATED:
        small, large = (
            fs.gradient(stepped, p, args=(offset,), n=n, rng=n, baseline=baseline)
            for offset in (0.0, 1e9)
        )
        assert large.value - 1e9 == pytest.approx(small.value, abs=1.2e-7)
        assert large.value_stderr == pytest.approx(small.value_stderr, rel=1e-13)
        np.testing.assert_allclose(large.flat, small.flat, rtol=1e-13)
        np.testing.assert_allclose(flat(large.grad_stderr), flat(small.grad_stderr), rtol=1e-13)


@pytest.mark.parametrize("n", [2, 13, 1000, 100_000])
def test_offset_costs_its_own_rounding_alone(n):
    p = fs.Normal([0.7], [1.3])
    rounding = np.spacing(1e9) / 2
    scores = p.score(p.sample(n, rng=n))
    for baseline in (*ESTIMATED, 0.25):
        small, large = (
            fs.gradient(
                plain, p, args=(offset,), n=n, rng=n,
                baseline=baseline + offset if baseline == 0.25 else baseline,
            )
            for offset in (0.0, 1e9)
        )  # fmt: skip
        # Each f is off by half a spacing at most, and so is the mean that is taken from it.
        error = 4 * rounding * np.abs(scores).mean(axis=0)
        assert np.all(np.abs(large.flat - small.flat) <= error)
        error = 4 * rounding * np.sqrt(np.mean(scores**2, axis=0) / (n - 1))
        assert np.all(np.abs(flat(large.grad_stderr) - flat(small.grad_stderr)) <= error)


@pytest.mark.parametrize("loc", [1e6, 1e8, -1e8])
def test_loc_far_larger_than_scale(loc):
    """As at loc = 0, but for the rounding of x to the doubles near loc."""
    scale, n, rounding = 1.0, 10_000, np.spacing(abs(loc))
    for seed in range(3):
        near, far = (
            fs.gradient(quadratic, fs.Normal([at], [scale]), args=(at - 3.0,), n=n, rng=seed)
            for at in (0.0, loc)
        )
        np.testing.assert_allclose(far.flat, near.flat, rtol=100 * rounding)
        np.testing.assert_allclose(
            flat(far.grad_stderr), flat(near.grad_stderr), rtol=100 * rounding
        )
        z = (far.flat - [6.0, 2.0]) / flat(far.grad_stderr)
        assert np.abs(z).max() < LIMIT


@pytest.mark.parametrize("loc", [1e6, 1e8])
def test_f_that_grows_with_loc(loc):
    """``x²`` has an offset of loc² and the gradient 2 loc."""
    estimate = fs.gradient(quadratic, fs.Normal([loc], [1.0]), args=(0.0,), n=100_000, rng=4)
    z = (estimate.grad["loc"][0] - 2 * loc) / estimate.grad_stderr["loc"][0]
    assert abs(z) < LIMIT
    # (f − b) s = 2 loc z² but for terms of order 1: its variance is 8 loc².
    expected = 2 * loc * math.sqrt(2 / 100_000)
    assert estimate.grad_stderr["loc"][0] == pytest.approx(expected, rel=0.05)


# --- standard errors ---


@pytest.mark.parametrize("name", ["gauss-cos-k1-mu1-s1", "gauss-exp-k1-mu1-s1", "es-sphere-d10"])
def test_standard_errors_are_calibrated(name):
    case, count = cases()[name], 6000
    result = many(case, 1000, count, 31 * 10**6)
    scores = {b: (result.grad[b] - case.grad) / result.stderr[b] for b in BASELINES}
    scores["value"] = ((result.value - case.value) / result.value_stderr)[:, None]
    for which, z in scores.items():
        # The variance of n = 1000 z-scores is 1 to within 0.2 %; that of its estimate:
        error = np.sqrt((np.mean(z**4, axis=0) - 1) / count)
        assert np.all(np.abs(np.mean(z**2, axis=0) - 1) < LIMIT * error), which


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_cover(level):
    case, count = cases()["gauss-cos-k1-mu1-s1"], 6000
    hits = np.zeros(3)
    for seed in range(count):
        estimate = fs.gradient(
            case.f, case.p, args=case.args, n=1000, rng=47 * 10**6 + seed, threads=1
        )
        intervals = [*estimate.interval(level).values(), estimate.value_interval(level)]
        hits += [
            float(np.squeeze(low)) <= exact <= float(np.squeeze(high))
            for (low, high), exact in zip(intervals, [*case.grad, case.value], strict=True)
        ]
    error = math.sqrt(level * (1 - level) / count)
    assert np.all(np.abs(hits / count - level) < LIMIT * error), hits / count


@njit
def identity(x):
    return x[0]


def test_value_intervals_at_two_samples():
    """The mean of two normals: Student's t with one degree of freedom is exact."""
    level, count, p = 0.95, 10_000, fs.Normal([2.0], [3.0])
    covered = 0
    for seed in range(count):
        low, high = fs.gradient(identity, p, n=2, rng=seed).value_interval(level)
        covered += low <= 2.0 <= high
    assert abs(covered / count - level) < LIMIT * math.sqrt(level * (1 - level) / count)
