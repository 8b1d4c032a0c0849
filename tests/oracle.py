"""fs.gradient held to plain NumPy (naive.py) on the very samples that it uses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import naive
import numpy as np
import pytest
from cases import flat
from numba import njit
from scipy.linalg import block_diag

import fastscore as fs
from fastscore.engine.tiles import tiling

BASELINES = (None, 0.7, "mean", "scalar", "optimal")
TOLERANCE = 1e-11
#: Of sums of squares which cancel in a variance.
SQUARES = 1e-13


# --- integrands: one function as three kinds, and one that is not finite everywhere ---


@njit
def smooth(x):
    total = 2.0
    for k in range(x.size):
        total += x[k] * x[k] / (k + 1) + math.cos(x[k] + k)
    return total


@njit
def smooth_batch(batch, out):
    for i in range(batch.shape[0]):
        out[i] = 2.0
        for k in range(batch.shape[1]):
            out[i] += batch[i, k] * batch[i, k] / (k + 1) + math.cos(batch[i, k] + k)


def smooth_numpy(x):
    k = np.arange(x.shape[1])
    return 2.0 + np.sum(x**2 / (k + 1) + np.cos(x + k), axis=1)


@njit
def holed(x):
    """Not finite at about a quarter of the samples."""
    if x[0] > 1.0:
        return math.nan
    if x[0] < -0.5:
        return -math.inf
    return x[0] * x[0] + x[x.size - 1]


def holed_numpy(x):
    f = x[:, 0] ** 2 + x[:, -1]
    return np.where(x[:, 0] > 1, np.nan, np.where(x[:, 0] < -0.5, -np.inf, f))


@njit
def model(x, loc):
    """``Σ (x − 2 loc)²``: through loc, a function of the parameters too."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - 2 * loc[k]) ** 2
    return total


@njit
def model_direct(x, out, loc):
    for k in range(x.size):
        out[k] = -4 * (x[k] - 2 * loc[k])
        out[x.size + k] = 0.0


def model_numpy(x, loc):
    return np.sum((x - 2 * loc) ** 2, axis=1)


def model_direct_numpy(x, loc):
    return np.concatenate([-4 * (x - 2 * loc), np.zeros_like(x)], axis=1)


KINDS = {"sample": smooth, "batch": smooth_batch, "numpy": smooth_numpy}


# --- distributions: log-probability, score and Fisher information from the parameters ---


@dataclass
class Twin:
    """A distribution in plain NumPy: functions of samples (n, d), and a matrix."""

    log_prob: Callable
    score: Callable
    fisher: Callable


def twin(p):
    return {
        fs.Normal: normal_twin, fs.Bernoulli: bernoulli_twin, fs.Categorical: categorical_twin
    }[type(p)](p)  # fmt: skip


def normal_twin(p):
    """A shared parameter's score sums over its coordinates."""
    by_log = "log_scale" in p.parameters
    loc, scale = (np.ravel(v) for v in np.broadcast_arrays(*p.parameters.values()))
    scale = np.exp(scale) if by_log else scale
    owner = block_diag(
        *(np.eye(p.d) if value.ndim else np.ones((p.d, 1)) for value in p.parameters.values())
    )
    return Twin(
        lambda x: naive.normal_log_prob(x, loc, scale),
        lambda x: naive.normal_score(x, loc, scale, by_log) @ owner,
        lambda: owner.T @ naive.normal_fisher(scale, by_log) @ owner,
    )


def bernoulli_twin(p):
    by_logit = "logits" in p.parameters
    given = next(iter(p.parameters.values())).ravel()
    probs = 1 / (1 + np.exp(-given)) if by_logit else given
    return Twin(
        lambda x: naive.bernoulli_log_prob(x, probs),
        lambda x: naive.bernoulli_score(x, probs, by_logit),
        lambda: naive.bernoulli_fisher(probs, by_logit),
    )


def categorical_twin(p):
    by_logit = "logits" in p.parameters
    given = next(iter(p.parameters.values())).reshape(p.d, -1)
    weights = np.exp(given) if by_logit else given
    return Twin(
        lambda x: naive.categorical_log_prob(x, weights),
        lambda x: naive.categorical_score(x, weights, by_logit),
        lambda: naive.categorical_fisher(weights, by_logit),
    )


# --- the comparison ---


def labels(cut):
    """Fold of each sample: blocks of samples deal themselves round the folds."""
    return np.arange(cut.n) // cut.block % cut.folds


def run(f, p, n, **options):
    if n > 1:
        return fs.gradient(f, p, n=n, **options)
    with pytest.warns(RuntimeWarning, match="one sample"):
        return fs.gradient(f, p, n=n, **options)


def assert_agrees(actual, expected, f, s):
    """To `TOLERANCE` of what is summed: an entry may cancel to 0, and so may a variance.

    A variance comes from sums of squares, which leave it an error of a few roundings of these.
    """
    n, one = len(f), np.sqrt(np.mean(f**2))
    size = one * np.sqrt(np.mean(s**2, axis=0))
    assert abs(actual.value - expected.value) <= TOLERANCE * one
    assert np.all(np.abs(actual.flat - expected.grad) <= TOLERANCE * size)
    if n == 1:
        assert math.isnan(actual.value_stderr)
        assert np.isnan(flat(actual.grad_stderr)).all()
        assert np.isnan(flat(actual.variance_ratio)).all()
        return
    cancelled = SQUARES * one**2 / (n - 1)
    expected_variance = expected.value_stderr**2
    assert abs(actual.value_stderr**2 - expected_variance) <= (
        TOLERANCE * expected_variance + cancelled
    )
    variance, expected_variance = flat(actual.grad_stderr) ** 2, expected.stderr**2
    cancelled = SQUARES * size**2 / (n - 1)
    error = TOLERANCE * expected_variance + cancelled
    assert np.all(np.abs(variance - expected_variance) <= error)
    some = expected_variance > cancelled  # a ratio to mere rounding means nothing
    ratio, expected_ratio = flat(actual.variance_ratio)[some], expected.variance_ratio[some]
    error = (1 + expected_ratio) * cancelled[some] / expected_variance[some]
    assert np.all(np.abs(ratio - expected_ratio) <= 2 * TOLERANCE * expected_ratio + error)


def check(f, p, n, values, *, seed, baselines=BASELINES, direct=None, wrt=None, **options):
    """Every baseline of one run; ``values`` and ``direct`` are NumPy twins of f's."""
    x = p.sample(n, rng=seed)
    f_x, s, folds = values(x), twin(p).score(x), labels(tiling(n, p.d, p.size))
    d_x = None if direct is None else direct(x)
    if wrt is not None:
        sizes = [value.size for value in p.parameters.values()]
        names = np.repeat(list(p.parameters), sizes)
        s = s[:, np.isin(names, wrt)]
    finite = np.isfinite(f_x)
    f_x, s, folds = f_x[finite], s[finite], folds[finite]
    d_x = None if d_x is None else d_x[finite]
    for baseline in baselines:
        actual = run(f, p, n, rng=seed, baseline=baseline, wrt=wrt, **options)
        assert actual.n == finite.sum()
        assert actual.nonfinite == n - finite.sum()
        F = np.abs(f_x) + (abs(baseline) if isinstance(baseline, float) else 0)
        F = F if direct is None else F + np.abs(d_x).max()
        assert_agrees(actual, naive.estimate(f_x, s, folds, baseline, d_x), F, s)
