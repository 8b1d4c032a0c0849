"""Self-normalised estimates: ratios of sums, by the sum of weights.

``ĝ = Σ (F − b S) / Σ W`` and ``Σ W f / Σ W``, with errors by the delta method: to first order in
1/n, as is the bias.
"""

from __future__ import annotations

import numpy as np

from fastscore.engine.moments import ImportanceMoments
from fastscore.engine.products import Products
from fastscore.engine.units import layout
from fastscore.variance.baselines import Solution, solve


def solve_ratio(
    moments: ImportanceMoments, baseline: str | float | None, chosen: np.ndarray, direct: bool
) -> Solution:
    """Self-normalised value and gradient (Owen 2013, Monte Carlo theory, section 9.2).

    With baseline ``"mean"``, the value itself, ``Σ W (f − f̂) s / Σ W`` is the gradient of the
    self-normalised value.
    """
    n, ref = moments.n, moments.reference
    weight = moments.extra(layout.WEIGHT).sum()
    centred = moments.w / weight
    value = ref + centred
    squares = (
        moments.ww
        - 2 * centred * moments.extra(layout.WEIGHT_VALUE).sum()
        + centred**2 * moments.extra(layout.WEIGHT_SQUARED).sum()
    )
    constant = value if baseline == "mean" else baseline
    solution = solve(moments, constant, chosen, direct, _no_products)
    grad, variance = _gradient(moments, solution.coefficients, chosen)
    _, without = _gradient(moments, np.full_like(solution.coefficients, -ref), chosen)
    ratio = np.where(variance > 0, 1.0, np.inf)
    np.divide(without, variance, out=ratio, where=variance > 0)
    return Solution(
        grad, np.sqrt(variance), ratio, solution.coefficients,
        value=float(value), value_stderr=float(_root(squares, n) / weight),
    )  # fmt: skip


def _no_products() -> Products:
    raise ValueError("baseline='matrix' does not go with self_normalized: take 'optimal'")


def _gradient(
    moments: ImportanceMoments, b: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``Σ (F − b S) / Σ W`` and its variance, ``Σ (F − b S − ĝ W)² / (Σ W)²``."""
    n = moments.n
    s, f, ss, fs, ff = np.moveaxis(moments.scores[:, :, chosen], 1, 0)
    crossed = moments.controls[:, -1, 1:]
    with_s, with_f = crossed[:, chosen], crossed[:, moments.size + chosen]
    weight = moments.extra(layout.WEIGHT).sum()
    grad = (f - b * s).sum(axis=0) / weight
    squares = (ff - 2 * b * fs + b * b * ss - 2 * grad * (with_f - b * with_s)).sum(axis=0)
    squares += grad**2 * moments.extra(layout.WEIGHT_SQUARED).sum()
    return grad, (_root(squares, n) / weight) ** 2


def _root(squares: np.ndarray, n: int) -> np.ndarray:
    """Standard error of a sum of n terms, of mean 0 by construction."""
    if n < 2:
        return np.full_like(squares, np.nan)
    return np.sqrt(np.maximum(squares, 0.0) * n / (n - 1))
