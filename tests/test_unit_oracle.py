"""Units of several draws and control variates held to plain NumPy on the very samples used."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from cases import flat
from numba import config, njit
from oracle import labels, smooth, smooth_numpy, twin

import fastscore as fs
from fastscore.integrand import Integrand
from fastscore.plan import Plan
from fastscore.variance.sampling import as_sampling

pytestmark = [
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler"),
    pytest.mark.filterwarnings("ignore:.*standard error:RuntimeWarning"),  # of one unit
]

SIZES = (1, 2, 3, 5, 8, 12, 13, 200, 5000)
BASELINES = (None, 0.7, "mean", "scalar", "optimal")
LOC, SCALE = np.array([0.3, -0.4, 0.9]), np.array([0.8, 1.2, 0.6])
NORMAL = fs.Normal(LOC, SCALE)


@njit
def total(x):
    return x[0] + x[1] + x[2]


@njit
def squares(x):
    return x[0] ** 2 + x[1] ** 2 + x[2] ** 2


@njit
def wave(x):
    return math.cos(x[0])


#: By function: its NumPy twin, its mean, and the gradient of this.
KNOWN = {
    total: (lambda x: x.sum(axis=1), LOC.sum(), np.repeat([1.0, 0.0], 3)),
    squares: (
        lambda x: (x**2).sum(axis=1), (LOC**2 + SCALE**2).sum(), np.concatenate([LOC, SCALE]) * 2
    ),
    wave: (
        lambda x: np.cos(x[:, 0]), math.cos(LOC[0]) * math.exp(-(SCALE[0] ** 2) / 2),
        -math.exp(-(SCALE[0] ** 2) / 2)
        * np.array([math.sin(LOC[0]), 0, 0, SCALE[0] * math.cos(LOC[0]), 0, 0]),
    ),
}  # fmt: skip

#: By name: functions, whether each goes by the score, and coefficients that are given.
CONTROLS = {
    "one": [(total, False, None)],
    "one by the score": [(squares, True, None)],
    "several": [(total, False, None), (squares, False, None), (wave, True, None)],
    "given": [(total, False, 0.6)],
    "given and fitted": [(total, False, 0.6), (squares, True, None), (wave, False, None)],
}


class Recorded:
    """f, NumPy-style, and what it is asked for."""

    def __init__(self):
        self.x = []

    def __call__(self, x):
        self.x.append(x.copy())
        return smooth_numpy(x)


def paired(x):
    """The unit of each sample and its mirror image about LOC, by their first appearance."""
    units = {}
    keys = [tuple(row) for row in np.round(np.abs(x - LOC), 9)]
    return np.array([units.setdefault(key, len(units)) for key in keys])


def samples(sampling, n, seed):
    """What a run draws: x, units, and folds of units."""
    f = Recorded()
    fs.gradient(f, NORMAL, n=n, rng=seed, sampling=sampling, threads=1)
    x = np.concatenate(f.x)
    unit = paired(x) if sampling == "antithetic" else np.arange(len(x))
    plan = Plan(Integrand(f), NORMAL, (), n, seed, 1, sampling=as_sampling(sampling))
    assert np.all(np.bincount(unit) == (2 if sampling == "antithetic" else 1))
    return x, unit, labels(plan._cut)


def check(sampling, n, controls=()):
    x, unit, folds = samples(sampling, n, seed=n)
    assert unit.max() + 1 == len(folds)
    given, twins = [], []
    for h, by_score, coefficient in controls:
        values, mean, gradient = KNOWN[h]
        gradient = gradient if by_score else None
        given.append(fs.ControlVariate(h, float(mean), gradient, coefficient))
        twins.append(naive.Control(values(x), mean, gradient, coefficient))
    options = {"control_variates": given} if controls else {}
    f, s = smooth_numpy(x), twin(NORMAL).score(x)
    for baseline in BASELINES:
        actual = fs.gradient(
            smooth, NORMAL, n=n, rng=n, baseline=baseline, sampling=sampling, **options
        )
        expected = naive.unit_estimate(f, s, unit, folds, baseline, twins)
        assert actual.n == len(x)
        size = np.sqrt(np.mean(f**2) * np.mean(s**2, axis=0))
        np.testing.assert_allclose(actual.value, expected.value, rtol=1e-11)
        np.testing.assert_array_less(np.abs(actual.flat - expected.grad), 1e-10 * size)
        error = {"rtol": 1e-8, "atol": 1e-7 * size.max() / math.sqrt(n), "equal_nan": True}
        np.testing.assert_allclose(actual.value_stderr, expected.value_stderr, **error)
        np.testing.assert_allclose(flat(actual.grad_stderr), expected.stderr, **error)


@pytest.mark.parametrize("n", SIZES)
def test_pairs(n):
    check("antithetic", n)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", CONTROLS)
def test_controls(name, n):
    check("iid", n, CONTROLS[name])


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", CONTROLS)
def test_controls_in_pairs(name, n):
    """Some cancel within pairs: no coefficient may be fitted to what rounding leaves of them."""
    check("antithetic", n, CONTROLS[name])
