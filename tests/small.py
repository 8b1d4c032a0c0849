"""Small supports: distributions with all their outcomes, and how runs over these are judged."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cases import z_of_mean

import fastscore as fs

BASELINES = (None, 0.7, "mean", "scalar", "optimal", "matrix")
LIMIT = 4.5


@dataclass
class Small:
    """A distribution, and f as a function of outcomes."""

    p: fs.families.Family
    f: object

    @cached_property
    def outcomes(self):
        x = self.p.support(2**18)
        return x[np.isfinite(self.p.log_prob(x))]

    @cached_property
    def probs(self):
        return np.exp(self.p.log_prob(self.outcomes))

    @cached_property
    def values(self):
        return np.asarray(self.f(self.outcomes), float)

    @cached_property
    def scores(self):
        return self.p.score(self.outcomes)

    @property
    def value(self):
        return self.probs @ self.values

    @property
    def grad(self):
        return (self.probs * self.values) @ self.scores


def polynomial(x):
    """Unlike in all outcomes."""
    return 1.0 + ((x + 0.7 * np.arange(1, x.shape[1] + 1)) ** 2).sum(axis=1)


PROBLEMS = {
    "peaked": Small(fs.Categorical([0.8, 0.1, 0.06, 0.04]), polynomial),
    "three": Small(fs.Categorical(logits=np.log([0.5, 0.45, 0.05])), lambda x: 5.0 - x[:, 0] ** 2),
    "coins": Small(fs.Bernoulli([0.3, 0.9, 0.55]), polynomial),
    "table": Small(fs.Categorical(logits=[[0.5, 2.0, -np.inf], [0.0, 0.3, -1.0]]), polynomial),
    "counts": Small(fs.Binomial([3, 2], probs=[0.3, 0.8]), polynomial),
}


def unbiased(problem, n, count, first_seed, baselines=BASELINES, **options):
    """Whether value and gradient under every baseline are right on average over many runs."""
    values, grads = np.empty(count), {b: np.empty((count, problem.p.size)) for b in baselines}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n=", RuntimeWarning)
        for i in range(count):
            estimate = fs.gradient(
                problem.f, problem.p, n=n, rng=first_seed + i, baseline=None, **options
            )
            values[i] = estimate.value
            for b, grad in grads.items():
                grad[i] = estimate.with_baseline(b).flat
    assert abs(z_of_mean(values, problem.value)) < LIMIT
    for b, grad in grads.items():
        varies = grad.std(axis=0) > 1e-12
        z = z_of_mean(grad[:, varies], problem.grad[varies])
        assert np.abs(z).max(initial=0) < LIMIT, f"baseline {b!r}: z = {z}"
        constant = grad[:, ~varies].mean(axis=0)
        np.testing.assert_allclose(constant, problem.grad[~varies], atol=1e-12)


def agree_to_rounding(stderr, expected, terms):
    """Of two standard errors, computed from sums: where terms hardly vary their squares cancel."""
    n = len(terms)
    floor = 1e-15 * np.sum(np.square(terms), axis=0) / max(n - 1, 1)
    np.testing.assert_array_less(
        np.abs(stderr**2 - expected**2), 1e-9 * expected**2 + floor + 1e-30
    )


def coverage(problem, n, count, first_seed, **options):
    """z-scores of the share of 95 % intervals that hold the truth: the value's, and gradients'."""
    held = np.empty((count, 1 + problem.p.size))
    for i in range(count):
        estimate = fs.gradient(problem.f, problem.p, n=n, rng=first_seed + i, **options)
        half = estimate._quantile(0.95) * np.concatenate(
            [[estimate.value_stderr], estimate.flat_stderr]
        )
        off = np.concatenate([[estimate.value - problem.value], estimate.flat - problem.grad])
        held[i] = np.abs(off) <= half + 1e-12
    return (held.mean(axis=0) - 0.95) / np.sqrt(0.95 * 0.05 / count)
