"""Fastscore: one way to estimate behind the other, with standard errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

import fastscore as fs
from asv_benchmarks.peers.variance.problems import Array, Problem
from fastscore.engine import vecmath


@njit(fastmath=True)
def quad(x: Array, k: float) -> float:
    """Return ``Σ (x − k)²``."""
    total = 0.0
    for i in range(x.size):
        total += (x[i] - k) ** 2
    return total


@njit(fastmath=True)
def exp(x: Array, k: float) -> float:
    """Return ``Σ exp(−k x²)``; this exp LLVM vectorises, and not that of `math`."""
    total = 0.0
    for i in range(x.size):
        total += vecmath.exp(-k * x[i] * x[i])
    return total


@njit(fastmath=True)
def cos(x: Array, k: float) -> float:
    """Return ``Σ cos k x``, likewise."""
    total = 0.0
    for i in range(x.size):
        total += vecmath.sincos(k * x[i])[1]
    return total


@njit(fastmath=True)
def exp_of_math(x: Array, k: float) -> float:
    """The same by `math`."""
    total = 0.0
    for i in range(x.size):
        total += math.exp(-k * x[i] * x[i])
    return total


@njit(fastmath=True)
def cos_of_math(x: Array, k: float) -> float:
    """The same by `math`."""
    total = 0.0
    for i in range(x.size):
        total += math.cos(k * x[i])
    return total


@njit(fastmath=True)
def quad_terms(x: Array, out: Array, k: float) -> None:
    """The terms of `quad`."""
    for i in range(x.size):
        out[i] = (x[i] - k) ** 2


@njit(fastmath=True)
def exp_terms(x: Array, out: Array, k: float) -> None:
    """The terms of `exp`."""
    for i in range(x.size):
        out[i] = vecmath.exp(-k * x[i] * x[i])


@njit(fastmath=True)
def cos_terms(x: Array, out: Array, k: float) -> None:
    """The terms of `cos`."""
    for i in range(x.size):
        out[i] = vecmath.sincos(k * x[i])[1]


F = {"quad": quad, "exp": exp, "cos": cos, "toy": quad}
OF_MATH = {**F, "exp": exp_of_math, "cos": cos_of_math}
TERMS = {"quad": quad_terms, "exp": exp_terms, "cos": cos_terms, "toy": quad_terms}


def by_options(options: Callable[[], dict[str, Any]], terms: bool = False, f_of: Any = F) -> Any:
    """A method from options of `gradient`, which may not be there yet."""

    def solve(problem: Problem, d: int, n: int, seed: int, threads: int) -> Array:
        f: Any = f_of[problem.kind]
        if terms:
            f = fs.Integrand(TERMS[problem.kind], depends=np.eye(d, dtype=bool))
        first, second = np.full(d, problem.first), np.full(d, problem.second)
        p = fs.Normal(first, second) if problem.normal else fs.Bernoulli(logits=logits(first))
        estimate = fs.gradient(f, p, args=(problem.k,), n=n, rng=seed, threads=threads, **options())
        parts = (estimate.grad, estimate.grad_stderr)
        return np.concatenate([part[name] for part in parts for name in part])

    return solve


def logits(p: Array) -> Array:
    """Of probabilities."""
    return np.log(p / (1 - p))


def sampled(sampling: Any, **more: Any) -> Any:
    """A method by its sampling."""
    return by_options(lambda: {"sampling": sampling, **more})


def delta(**more: Any) -> Any:
    """A method with the control variate of the delta method."""
    return by_options(lambda: {"control_variates": [fs.DeltaMethod()], **more})


METHODS = {
    "default": by_options(dict),
    "default, f by math": by_options(dict, f_of=OF_MATH),
    "counts": sampled("counts"),
    "antithetic": sampled("antithetic"),
    "orthogonal": sampled("orthogonal"),
    "stratified": sampled("stratified"),
    "stratified 256": by_options(lambda: {"sampling": fs.Stratified(256)}),
    "sobol": sampled("sobol"),
    "delta": delta(),
    "delta, antithetic": delta(sampling="antithetic"),
    "delta, stratified": delta(sampling="stratified"),
    "delta, sobol": delta(sampling="sobol"),
    "terms": by_options(dict, terms=True),
    "terms, sobol": by_options(lambda: {"sampling": "sobol"}, terms=True),
}
