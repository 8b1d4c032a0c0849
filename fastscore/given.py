"""Estimates from samples that are given, with f and their weights."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from fastscore.engine.given import GivenRun
from fastscore.engine.moments import ImportanceMoments
from fastscore.engine.products import FOR_BASELINE, NO_PRODUCTS, Products
from fastscore.estimate import Estimate, entries_of
from fastscore.families import Family
from fastscore.importance import heuristics, psis


def estimate_given(
    p: Family, wrt: tuple[str, ...], x: np.ndarray, f: np.ndarray, log_weights: np.ndarray, *,
    baseline: str | float | None, self_normalized: bool, biased: Sequence[str], seed: int | None,
    start: float,
) -> Estimate:  # fmt: skip
    """The estimate from weighted samples, which are taken to be independent.

    Parameters
    ----------
    p, wrt, baseline
        As of `gradient`, checked.
    x, f, log_weights : ndarray
        Samples (n, d), f and logarithms of weights of mean 1, of shape (n,).  Consecutive samples
        form a fold.
    self_normalized : bool
        Whether to divide by the sum of weights.
    biased : sequence of str
        What else it is biased by.
    seed : int or None
        What made the samples, if anything.
    start : float
        When the work on it began.
    """
    if baseline == "matrix" and self_normalized:
        raise ValueError("baseline='matrix' does not go with self_normalized: take 'optimal'")

    def run(products: int, details: bool = False) -> GivenRun:
        made = GivenRun(
            p, x, f, log_weights, heuristic=heuristics.balance, normalized=self_normalized,
            tail=psis.tail_length(len(x)) + 1, chosen=entries_of(p, wrt), details=details,
            products=products,
        )  # fmt: skip
        made.rounds()
        return made

    def detailed() -> ImportanceMoments:
        moments = run(NO_PRODUCTS, details=True).moments
        assert isinstance(moments, ImportanceMoments)
        return moments

    def replay(wanted: int) -> Products | None:
        return run(wanted).products

    first = run(FOR_BASELINE if baseline == "matrix" else NO_PRODUCTS)
    labels = ["self-normalised, O(1/n)"] if self_normalized else []
    return Estimate(
        p, wrt, first.moments, baseline, seed=seed, nonfinite_policy="raise", direct=False,
        stopped="n", threads=1, seconds=time.perf_counter() - start, products=first.products,
        replay=replay, biased=[*biased, *labels], detailed=detailed,
    )  # fmt: skip
