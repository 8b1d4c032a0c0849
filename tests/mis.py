"""fs.gradient with proposals held to plain NumPy (naive.py) on the very samples that it uses."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field

import naive
import numpy as np
from cases import flat
from oracle import labels, twin

import fastscore as fs
from fastscore.families import Family
from fastscore.importance.proposals import cut_of

#: Of the sums of what is added up, and of the squares which cancel in a variance.
TOLERANCE = 1e-10
SQUARES = 1e-12


@dataclass(frozen=True)
class Scheme:
    """Proposals, the samples of a unit which each of them owes, and the options that say so."""

    families: tuple[Family, ...]
    counts: tuple[int, ...]
    heuristic: str = "balance"
    options: dict = field(default_factory=dict)
    #: Of the heuristic itself.
    shape: dict = field(default_factory=dict)

    def proposals(self, n: int) -> tuple[fs.Proposals, int | None]:
        """With ``n`` as it goes with them: shares that no option gives are given as counts."""
        given = dict(self.options)
        if len(set(self.counts)) > 1 and not {"allocation", "defensive"} & given.keys():
            shares = self.heuristic == "mixture"
            given["allocation"] = np.array(self.counts) * (1 if shares else n // self.size)
            n = n if shares else None
        return fs.Proposals(self.families, heuristic=self.heuristic, **given, **self.shape), n

    @property
    def size(self) -> int:
        """Samples of a unit."""
        return 1 if self.heuristic == "mixture" else sum(self.counts)

    def all_families(self, p) -> tuple[Family, ...]:
        """With p itself the last, if it has a share."""
        return (*self.families, p) if self.options.get("defensive") else self.families


def log_density(p, x):
    """``log p(x)`` in plain NumPy, −∞ off the support of p."""
    inside, out = in_support(p, x), np.full(len(x), -np.inf)
    with np.errstate(over="ignore"):
        out[inside] = twin(p).log_prob(x[inside])
    return out


def in_support(p, x):
    """Which rows of x p can come to, as far as their classes tell."""
    if isinstance(p, fs.Normal):
        return np.full(len(x), True)
    classes = 2 if isinstance(p, fs.Bernoulli) else p.classes
    return np.all((x >= 0) & (x < classes), axis=1)


@dataclass(frozen=True)
class Sums:
    """What plain NumPy makes of a run's samples."""

    W: np.ndarray
    f: np.ndarray
    s: np.ndarray
    direct: np.ndarray
    units: naive.Units
    folds: np.ndarray


def sums(scheme, p, n, values, seed, direct=None, wrt=None) -> Sums:
    """Of the samples of ``Proposals.sample``; f is asked only where p is positive."""
    proposals, given = scheme.proposals(n)
    x, index = proposals.sample(p, given, rng=seed)
    families = scheme.all_families(p)
    log_p, log_q = log_density(p, x), np.array([log_density(q, x) for q in families])
    W = naive.importance_weights(
        scheme.heuristic, log_p, log_q, scheme.counts, index, scheme.options.get("clip"),
        **scheme.shape,
    )  # fmt: skip
    inside = log_p > -np.inf
    f, s, d = np.zeros(len(x)), np.zeros((len(x), p.size)), np.zeros((len(x), p.size))
    if inside.any():
        f[inside], s[inside] = values(x[inside]), twin(p).score(x[inside])
    if inside.any() and direct is not None:
        d[inside] = direct(x[inside])
    if wrt is not None:
        names = np.repeat(list(p.parameters), [value.size for value in p.parameters.values()])
        s, d = s[:, np.isin(names, wrt)], d[:, np.isin(names, wrt)]
    units = naive.unit_sums(W, f, s, scheme.size, d)
    return Sums(W, f, s, d, units, labels(cut_of(*proposals.mixture(p, given))))


def gradient(f, p, scheme, n, **options):
    """A run, of one unit without its warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*standard error", RuntimeWarning)
        proposals, n = scheme.proposals(n)
        return fs.gradient(f, p, proposals=proposals, n=n, **options)


def check(f, p, scheme, n, values, *, seed, baselines, direct=None, wrt=None, **options):
    """Every baseline of one run; ``values`` and ``direct`` are NumPy twins of f's."""
    normalised = scheme.options.get("self_normalized", False)
    run = sums(scheme, p, n, values, seed, direct, wrt)
    units = len(run.units.W)
    for baseline in baselines:
        if baseline == "matrix" and not run.W.any():
            continue  # test_mis_input.py has it
        actual = gradient(f, p, scheme, n, rng=seed, baseline=baseline, wrt=wrt, **options)
        assert actual.n == units * scheme.size
        assert actual.dof == units - 1
        expected = naive.importance_estimate(run.units, run.folds, baseline, normalised)
        assert_agrees(actual, expected, run, baseline, normalised)
    ess = run.W.sum() ** 2 / np.sum(run.W**2) if run.W.any() else 0.0
    np.testing.assert_allclose(actual.ess, ess, rtol=1e-10)


def assert_agrees(actual, expected, run, baseline, normalised):
    """To `TOLERANCE` of what is summed: an entry may cancel to 0, and so may a variance."""
    offset = abs(baseline) if isinstance(baseline, float) else 0.0
    W, f = run.W, np.abs(run.f) + offset
    units, scale = len(run.units.W), 1.0
    if normalised and run.W.any():
        scale = 1 / run.units.W.mean()
    one = W * f * scale
    size = W[:, None] * scale * (f[:, None] * np.abs(run.s) + np.abs(run.direct))
    one, size = (np.sqrt(np.mean(a**2, axis=0)) * len(W) / units for a in (one, size))
    assert abs(actual.value - expected.value) <= TOLERANCE * one
    assert np.all(np.abs(actual.flat - expected.grad) <= TOLERANCE * size), baseline
    if units == 1:
        assert math.isnan(actual.value_stderr)
        assert np.isnan(flat(actual.grad_stderr)).all()
        return
    for got, known, of in (
        (actual.value_stderr, expected.value_stderr, one),
        (flat(actual.grad_stderr), expected.stderr, size),
    ):
        error = TOLERANCE * known**2 + SQUARES * of**2 / (units - 1)
        assert np.all(np.abs(got**2 - known**2) <= error), baseline
    some = expected.stderr**2 > 1e-6 * size**2 / units  # a ratio to mere rounding means nothing
    np.testing.assert_allclose(
        flat(actual.variance_ratio)[some], expected.variance_ratio[some], rtol=1e-6
    )
