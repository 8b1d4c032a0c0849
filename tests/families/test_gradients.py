"""Gradients of expectations of every family, the samples behind them, and fits."""

from __future__ import annotations

import numpy as np
import pytest
from cases import flat
from families.registry import (
    close,
    derivatives,
    drawn,
    every_differentiable,
    sizes,
    truth_of,
    within,
)
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 100_000
#: Families without a fit, and the Laplace whose scales differ under one loc.
UNFITTED = {"LowRankMultivariateNormal", "StudentT", "Laplace-2"}


# Weights differ, since a plain sum of coupled coordinates may always be the same.
@njit
def polynomial(x, linear, square):
    total = 0.0
    for k in range(x.size):
        value = float(x[k])
        total += (k + 1) * (linear * value + square * value * value)
    return total


def of_array(x, linear, square):
    value = x.astype(float)
    return ((linear * value + square * value * value) * np.arange(1, x.shape[1] + 1)).sum(axis=1)


def moment(p, linear, square):
    """Its expectation, from elsewhere."""
    truth = truth_of(p)
    mean = np.broadcast_to(truth.mean(), p.d)
    total = linear * mean
    if square:
        total = total + square * (truth.variance() + mean**2)
    return np.sum(total * np.arange(1, p.d + 1))


def seed_of(example):
    return 100 + example.index


@every_differentiable
@pytest.mark.parametrize("args", [(1.0, 0.0), (0.0, 1.0)], ids=["mean", "square"])
def test_gradient_of_a_moment(example, args):
    p = example.p
    if not np.isfinite(example.truth.variance()).all():
        pytest.skip("x has no variance")
    exact = derivatives(p, lambda q: moment(q, *args))
    jitted, plain = (
        fs.gradient(f, p, args=args, n=N, rng=seed_of(example)) for f in (polynomial, of_array)
    )
    within((jitted.value - moment(p, *args)) / jitted.value_stderr)
    within_errors(jitted, exact)
    np.testing.assert_allclose(plain.flat, jitted.flat, rtol=1e-9, atol=1e-12)


def within_errors(estimate, exact):
    """The gradient, whose exact value is a difference quotient, good to 1e-9 or better."""
    within((estimate.flat - exact) / np.hypot(estimate._solution.stderr, 1e-9 * np.abs(exact)))


@every_differentiable
def test_gradient_is_made_of_its_samples(example):
    """The mean of f and of ``f s``; scores are those of the source, where nothing underflows."""
    p, n, rng = example.p, 5000, seed_of(example)
    z = p.source.family.sample(n, rng=rng)
    x, s = p.sample(n, rng=rng), p.source.family.score(z)
    np.testing.assert_array_equal(p.source.forward(z), x)
    f = of_array(x, 1.0, 0.0)
    estimate = fs.gradient(polynomial, p, args=(1.0, 0.0), n=n, rng=rng, baseline=None)
    assert abs(estimate.value - f.mean()) <= 1e-12 * np.abs(f).mean()
    products = f[:, None] * s
    spread = np.abs(products).mean(axis=0)
    close(estimate._solution.grad, products.mean(axis=0), 1e-12, spread)


@every_differentiable
def test_scores_of_samples_are_those_of_their_source(example):
    p = example.p
    z = p.source.family.sample(1000, rng=0)
    x = p.source.forward(z)
    # Not where x has rounded away what z has.
    ordinary = np.all((np.abs(x) > 1e-290) | (x.dtype == np.int64), axis=1)
    ordinary &= np.all((x < 0.999) | (example.name not in ("Beta", "Kumaraswamy")), axis=1)
    spread = np.sqrt(np.diagonal(p.fisher()))
    close(p.score(x[ordinary]), p.source.family.score(z[ordinary]), 1e-11, spread)


@every_differentiable
def test_threads_do_not_matter(example):
    one, two = (
        fs.gradient(polynomial, example.p, args=(1.0, 0.5), n=N, rng=3, threads=threads)
        for threads in (1, 2)
    )
    assert one.value == two.value
    np.testing.assert_array_equal(one.flat, two.flat)
    np.testing.assert_array_equal(flat(one.grad_stderr), flat(two.grad_stderr))


@every_differentiable
def test_gradient_from_proposals(example):
    """Which are p itself, and p with one of its entries moved by half a standard deviation."""
    p = example.p
    if not np.isfinite(example.truth.variance()).all():
        pytest.skip("x has no variance")
    if p.underflows:
        with pytest.raises(ValueError, match="x may underflow"):
            fs.gradient(of_array, p, args=(1.0, 0.0), proposals=[p], n=N)
        return
    name, value = next(iter(p.parameters.items()))
    unit = p.shaped(name, np.eye(p.free(name))[0], scaled=False)
    moved = p.replace(**{name: value + 0.2 * sizes(p)[0] * unit})
    estimate = fs.gradient(
        of_array, p, args=(1.0, 0.0), proposals=[p, moved], n=N, rng=seed_of(example)
    )
    within((estimate.value - moment(p, 1.0, 0.0)) / estimate.value_stderr)
    within_errors(estimate, derivatives(p, lambda q: moment(q, 1.0, 0.0)))


@every_differentiable
def test_fit(example):
    """The likeliest of all: its score vanishes, and the true parameters are not likelier."""
    p, x = example.p, drawn(example)[:20_000]
    if UNFITTED & {example.name, f"{example.name}-{example.index}"}:
        with pytest.raises(TypeError, match="cannot be fitted"):
            p.fit(x)
        return
    x = x[np.isfinite(p.log_prob(x))]
    q = p.fit(x)
    assert {k: v.shape for k, v in q.parameters.items()} == {
        k: v.shape for k, v in p.parameters.items()
    }
    assert q.log_prob(x).sum() >= p.log_prob(x).sum()
    s = q.score(x)
    # Of a density with a kink it does not vanish, but changes sign at a sample.
    rest = (
        1.01 * np.abs(s).max(axis=0) if example.entry.kink else 1e-6 * np.sqrt((s**2).sum(axis=0))
    )
    close(s.sum(axis=0), np.zeros(p.size), 1, rest)
