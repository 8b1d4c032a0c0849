"""The matrix baseline: F = f s is regressed on the whole score, not on its own entry alone.

``ĝ = E[F − C s]`` with ``C* = E[f s sᵀ] E[s sᵀ]⁻¹``, cross-fitted and shrunk as the baselines per
coordinate are; and the covariance matrix of a gradient, for any baseline.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine.moments import Moments, sums_of_others
from fastscore.engine.products import Products

#: Units in the other folds, beyond twice the rank of their scores, up to which λ is 0.
_FEW = 10
#: A variance so small a part of the sum of squares is rounding.
_ROUNDING = 1e-13
#: An eigenvalue of the scores' correlations so small a part of the largest is rounding.
_SINGULAR = 1e-10


def coefficients(moments: Moments, products: Products, chosen: np.ndarray) -> np.ndarray:
    """``C_{−k} = m + λ (Ĉ − m)`` of each fold from the others, of shape (folds, chosen, P)."""
    sums, units = moments.scores, moments.units
    rest = sums_of_others(sums)
    out = np.zeros((len(sums), chosen.size, products.size))
    for k, c in enumerate(out):
        others = units.sum() - units[k]
        c[np.arange(chosen.size), chosen] = moments.means_of_others[k]
        if others <= _FEW:
            continue
        s, f, squares, _, ff = rest[k]
        scores = _without(products.scores, k) - np.outer(s, s) / others
        constant = (np.diag(scores) <= _ROUNDING * squares) | (squares == 0)
        scores[constant] = scores[:, constant] = 0.0
        terms = (_without(products.terms_scores, k) - np.outer(f, s) / others)[chosen]
        spread = ff[chosen] - f[chosen] ** 2 / others
        c[:] = regress(c, scores, terms, spread, others)
    return out


def _without(folds: np.ndarray, k: int) -> np.ndarray:
    """The sum of all folds but one."""
    total = np.zeros(folds.shape[1:])
    for other, fold in enumerate(folds):
        if other != k:
            total += fold
    return total


def regress(
    c: np.ndarray, scores: np.ndarray, terms: np.ndarray, spread: np.ndarray, units: Any
) -> np.ndarray:
    """c, the mean m, drawn towards the regression Ĉ, row by row.

    Of c and terms, (…, rows, R), spread (…, rows), and scores (…, R, R) that all rows share.

    With r the rank of the scores and σ² the variance that Ĉ leaves, it costs σ² r/(U' − r − 1) in
    new samples, and explains δ more than m does, less what noise alone would.  Each row moves by
    ``λ = δ/(δ + cost) · (1 − (10 + 2 r)/U')``, whose second factor has the scores' heavy tails in
    mind: it is 0 with few units, and nearly 1 where the regression leaves no residual.
    """
    inverse, rank = pseudo_inverse(scores)
    rank, units = rank[..., None], np.asarray(units)[..., None]
    free = units - rank - 1
    possible = (free >= 1) & (rank > 0)
    free = np.where(possible, free, 1.0)
    fitted = terms @ inverse
    residual = np.maximum(spread - np.einsum("...ij,...ij->...i", fitted, terms), 0.0) / free
    step = (terms - c @ scores) @ inverse  # Ĉ − m, but 0 where the scores do not vary: 0/0 is m
    explained = np.einsum("...ij,...ij->...i", step @ scores, step) / units
    gained = np.maximum(explained - residual * rank / units, 0.0)
    cost = residual * rank / free
    noisy = cost > 0
    rate = np.divide(gained, gained + cost, out=np.ones_like(cost), where=noisy)
    doubt = np.divide(residual, residual + gained / units, out=np.zeros_like(cost), where=noisy)
    rate *= np.maximum(1 - (_FEW + 2 * rank) / units * doubt, 0.0)
    moved: np.ndarray = c + np.where(possible, rate, 0.0)[..., None] * step
    return moved


def pseudo_inverse(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of positive semidefinite matrices, by their correlations, and their ranks."""
    scale = np.sqrt(np.maximum(np.diagonal(scores, axis1=-2, axis2=-1), 0.0))
    inverse_scale = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    pairs = inverse_scale[..., :, None] * inverse_scale[..., None, :]
    values, vectors = np.linalg.eigh(scores * pairs)
    kept = values > _SINGULAR * np.maximum(values[..., -1:], 0.0)
    vectors = vectors * inverse_scale[..., None]
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=kept)
    return (vectors * inverse[..., None, :]) @ np.swapaxes(vectors, -1, -2), kept.sum(axis=-1)


def gradient(
    moments: Moments, products: Products, c: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and its variances: ``ĝ = (1/U) Σ_k (F_k − C_{−k} S_k)``."""
    sums, total = moments.scores, moments.n
    g, squares = np.zeros(chosen.size), np.zeros(chosen.size)
    for k, (own, c_k) in enumerate(zip(sums, c, strict=True)):
        g += own[1, chosen] - c_k @ own[0]
        mixed = c_k @ products.scores[k] - 2 * products.terms_scores[k][chosen]
        squares += own[4, chosen] + np.einsum("ij,ij->i", mixed, c_k)
    g /= total
    if total < 2:
        return g, np.full_like(g, np.nan)
    return g, np.maximum(squares - total * g * g, 0.0) / (total * (total - 1))


def covariance(
    products: Products, c: np.ndarray, chosen: np.ndarray, grad: np.ndarray, total: int
) -> np.ndarray:
    """Covariance matrix of the gradient, under any coefficients c of shape (folds, chosen, P)."""
    out = -total * np.outer(grad, grad)
    for k, c_k in enumerate(c):
        crossed = products.terms_scores[k][chosen] @ c_k.T
        out += products.terms[k][np.ix_(chosen, chosen)] - crossed - crossed.T
        out += c_k @ products.scores[k] @ c_k.T
    return out / (total * (total - 1))
