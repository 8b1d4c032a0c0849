"""What f sees of samples that are drawn on another space, or in parts: each kind of f, alike."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cfunc, config, njit, types

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 3000


@njit
def of_sample(x):
    total = 0.0
    for k in range(x.size):
        total += x[k]
    return total


@njit
def of_batch(x, out):
    for i in range(out.size):
        out[i] = x[i].sum()


def of_array(x):
    return x.sum(axis=1)


@cfunc(types.float64(types.int32, types.CPointer(types.float64)))
def in_c(d, x):
    total = 0.0
    for k in range(d):
        total += x[k]
    return total


def families(d):
    one = np.ones(d)
    return {
        "LogNormal": fs.LogNormal(0.1 * one, 0.3 * one),
        "Gamma": fs.Gamma(0.03 * one, one),
        "Transformed": fs.Transformed(fs.Normal(one, one), "sigmoid"),
        "LowRank": fs.LowRankMultivariateNormal(one, np.full((d, 2), 0.1), one),
    }


@pytest.mark.parametrize("d", [3, 60, 1500])
@pytest.mark.parametrize("name", list(families(1)))
def test_every_kind_of_f(name, d):
    """Few coordinates are seen in place, many in copies of rows."""
    p = families(d)[name]
    one, *others = (
        fs.gradient(f, p, n=N, rng=1).flat for f in (of_sample, of_batch, of_array, in_c.ctypes)
    )
    for other in others:
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-14 * np.abs(one).max())


@pytest.mark.parametrize("d", [3, 60])
def test_parts_of_many_coordinates(d):
    one = np.ones(d)
    p = fs.Joint(a=fs.LogNormal(0.1 * one, 0.3 * one), b=fs.Poisson(one))
    jitted = fs.gradient(njit(lambda x: x.a.sum() * x.b[0]), p, n=N, rng=1)
    plain = fs.gradient(lambda x: x.a.sum(axis=1) * x.b[:, 0], p, n=N, rng=1)
    np.testing.assert_allclose(
        jitted.flat, plain.flat, rtol=0, atol=1e-14 * np.abs(plain.flat).max()
    )


P = fs.LogNormal([0.1, 0.2], [0.3, 0.4])


@njit
def direct(x, out):
    out[:] = 0.0
    out[0] = x[1]


def direct_of_array(x):
    return np.column_stack([x[:, 1], np.zeros((len(x), 3))])


def test_the_direct_term_sees_x():
    with_it = fs.gradient(fs.Integrand(of_sample, direct=direct), P, n=N, rng=0, baseline=None)
    plain = fs.Integrand(of_array, direct=direct_of_array)
    np.testing.assert_allclose(
        fs.gradient(plain, P, n=N, rng=0, baseline=None).flat, with_it.flat, rtol=1e-12
    )
    without = fs.gradient(of_sample, P, n=N, rng=0, baseline=None)
    mean = P.sample(N, rng=0)[:, 1].mean()
    np.testing.assert_allclose(with_it.flat - without.flat, [mean, 0, 0, 0], atol=1e-12)


@njit
def often_nan(x):
    return np.nan if x[0] > 1.3 else x[0]


def test_omitting_moves_what_the_score_is_taken_from():
    f = fs.Integrand(often_nan, nonfinite="omit")
    est = fs.gradient(f, P, n=N, rng=0, baseline=None)
    x = P.sample(N, rng=0)
    kept = x[:, 0] <= 1.3
    exact = (x[kept, :1] * P.score(x[kept])).mean(axis=0)
    np.testing.assert_allclose(est.flat, exact, rtol=1e-10)
    assert est.nonfinite == (~kept).sum()


def test_messages_tell_x_and_not_its_logarithm():
    with pytest.raises(ValueError, match="x = ") as caught:
        fs.gradient(often_nan, P, n=N, rng=0)
    quoted = str(caught.value).split("x = [")[1].split("]")[0]
    x = P.sample(N, rng=0)
    first = x[np.argmax(x[:, 0] > 1.3)]
    np.testing.assert_allclose(np.array(quoted.split(), float), first, rtol=1e-7)


def test_a_c_function_takes_no_parts():
    with pytest.raises(TypeError, match="one array"):
        fs.gradient(in_c.ctypes, fs.Joint(a=P), n=10)
