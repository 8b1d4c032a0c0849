"""The matrix baseline jointly with control variates: F is regressed on all scores and controls."""

from __future__ import annotations

import numpy as np

from fastscore.engine.moments import UnitMoments, sums_of_others
from fastscore.engine.products import Products
from fastscore.variance.baselines import Solution, solve
from fastscore.variance.controls import ControlSums
from fastscore.variance.matrix import regress

#: Units in the other folds up to which nothing is regressed, as in ``controls``.
_FEW = 10


def solve_jointly(
    moments: UnitMoments, products: Products, chosen: np.ndarray, direct: bool
) -> Solution:
    """Value and gradient, ``ĝ = E[F − C S − B c]``, with (C, B) cross-fitted.

    Parameters
    ----------
    moments : UnitMoments
        Sums by fold; of no function that is multiplied by scores.
    products : Products
        Of scores, by fold.
    chosen : ndarray of int
        Score coordinates to solve for.
    direct : bool
        Whether F has a direct term.
    """
    sums = ControlSums.of(moments, chosen)
    size, folds, results = moments.size, len(sums.own), chosen.size + 1
    gram, terms, totals = _pairs(moments, sums, products, chosen)
    fixed = np.concatenate([np.zeros(size), np.where(np.isnan(sums.given), 0.0, sums.given)])
    free = np.concatenate([np.ones(size, bool), np.isnan(sums.given)])
    c = np.zeros((folds, results, fixed.size)) + fixed
    c[:, np.arange(chosen.size), chosen] += moments.means_of_others[:, None]
    rest_gram, rest_terms, rest_totals, rest_own = map(
        sums_of_others, (gram, terms, totals, sums.own)
    )
    for k in range(folds):
        others = moments.n - moments.units[k]
        if others > _FEW:
            _fit(
                c[k], free, rest_gram[k], rest_terms[k], rest_totals[k], rest_own[k], others,
                size if moments.scheme.functions.by_value else 0, size,
            )  # fmt: skip
    f, ff = sums.own[:, 1], sums.own[:, 4]
    own = f - np.einsum("ker,kr->ke", c, totals)
    squares = ff + np.einsum("ker,ker->ke", np.einsum("ker,krq->keq", c, gram) - 2 * terms, c)
    n = moments.n
    grad = own.sum(axis=0) / n
    variance = np.full_like(grad, np.nan)
    if n > 1:
        variance = np.maximum(squares.sum(axis=0) - n * grad**2, 0.0) / (n * (n - 1))
    grad[-1] += moments.reference
    without = solve(moments, None, chosen, direct, lambda: products).stderr ** 2
    ratio = np.where(without > 0, np.inf, 1.0)
    np.divide(without, variance[:-1], out=ratio, where=variance[:-1] > 0)
    stderr = np.sqrt(variance)
    return Solution(
        grad[:-1], stderr[:-1], ratio, c[:, :-1, :size], value=float(grad[-1]),
        value_stderr=float(stderr[-1]), controls=c[:, :, size:],
    )  # fmt: skip


def _pairs(
    moments: UnitMoments, sums: ControlSums, products: Products, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the regressors, scores and then controls: products with each other, with F, and sums."""
    rows, size, scheme = moments.controls, moments.size, moments.scheme
    used = sums.given.size
    weight = np.arange(used) >= scheme.known
    scores = moments.scores
    of_s = rows[:, :used, 1 : 1 + size] - weight[:, None] * scores[:, None, 0]
    control = sums.control[:, 0]
    gram = np.block(
        [[products.scores, np.swapaxes(of_s, 1, 2)], [of_s, sums.gram[:, 0]]]
    )  # fmt: skip
    value = np.zeros((len(rows), 1, size))
    if scheme.functions.by_value:
        with_v, with_w = rows[:, -1, 1 : 1 + size], rows[:, -2, 1 : 1 + size]
        value[:, 0] = with_v + moments.reference * (with_w - scores[:, 0])
    with_s = np.concatenate([products.terms_scores[:, chosen], value], axis=1)
    terms = np.concatenate([with_s, sums.with_f], axis=2)
    return gram, terms, np.concatenate([scores[:, 0], control], axis=1)


def _fit(
    c: np.ndarray, free: np.ndarray, gram: np.ndarray, terms: np.ndarray, totals: np.ndarray,
    own: np.ndarray, n: float, of_value: int, size: int,
) -> None:  # fmt: skip
    """Coefficients of one fold from the sums of the others; ``of_value`` of the ``size`` scores are
    controls of the value."""
    f, ff = own[1], own[4]
    gram = gram - np.outer(totals, totals) / n
    terms = terms - np.outer(f, totals) / n
    spread = ff - f * f / n
    start = np.where(free, 0.0, c)  # what is given is taken off F
    spread = spread + np.einsum("er,er->e", start @ gram - 2 * terms, start)
    terms = terms - start @ gram
    groups = [(slice(None, -1), free), (slice(-1, None), free.copy())]
    groups[1][1][of_value:size] = False
    for results, which in groups:
        at = np.ix_(np.arange(len(c))[results], which)
        c[at] = regress(
            c[at], gram[np.ix_(which, which)], terms[at], spread[results], n
        )  # fmt: skip
