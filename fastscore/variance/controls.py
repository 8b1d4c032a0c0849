"""Control variates with known mean, beside a baseline: ``ĝ = E[F − b S − βᵀ c]``, ``E c = 0``.

Coefficients are cross-fitted and shrunk as those of the baselines are.  A baseline per coordinate
is chosen jointly with β: by what the controls leave of F and of S.
"""

from __future__ import annotations

import numpy as np

from fastscore.engine.moments import UnitMoments, sums_of_others
from fastscore.engine.products import Products
from fastscore.engine.units import layout
from fastscore.variance.baselines import Solution, optimum, solve
from fastscore.variance.matrix import pseudo_inverse, regress

#: Units in the other folds up to which nothing is regressed.
_FEW = 10


def solve_with_controls(
    moments: UnitMoments, baseline: str | float | None, chosen: np.ndarray, direct: bool
) -> Solution:
    """Value and gradient with the control variates of a run (He and Owen 2014, section 3).

    Parameters
    ----------
    moments : UnitMoments
        Sums by fold.
    baseline : {"mean", "scalar", "optimal"}, float or None
        What multiplies the score.
    chosen : ndarray of int
        Score coordinates to solve for.
    direct : bool
        Whether F has a direct term.
    """
    if moments.n < 2:
        return solve(moments, baseline, chosen, direct, _no_products)
    without = solve(moments, None, chosen, direct, _no_products)
    start = solve(moments, baseline, chosen, direct, _no_products)
    b = np.append(start.coefficients, np.zeros((len(start.coefficients), 1)), axis=1)
    sums = _with_value(moments, chosen)
    controls, products = _centred_controls(moments, chosen)
    beta = np.zeros((len(sums), chosen.size + 1, controls.shape[1]))
    rest, of_controls, of_products = map(sums_of_others, (sums, controls, products))
    for k in range(len(sums)):
        others = moments.n - moments.units[k]
        if others > _FEW:
            joint = moments.means_of_others[k] if baseline == "optimal" else None
            _fit(b[k], beta[k], rest[k], of_controls[k], of_products[k], others, joint)
    grad, variance = _gradient(sums, controls, products, b, beta, moments.n)
    grad[-1] += moments.reference
    stderr = np.sqrt(variance)
    ratio = np.where(stderr[:-1] > 0, np.inf, 1.0)
    np.divide(without.stderr**2, variance[:-1], out=ratio, where=variance[:-1] > 0)
    return Solution(
        grad[:-1], stderr[:-1], ratio, b[:, :-1], value=float(grad[-1]),
        value_stderr=float(stderr[-1]), controls=beta,
    )  # fmt: skip


def _no_products() -> Products:
    raise ValueError("baseline='matrix' does not go with control variates: take 'optimal'")


def _with_value(moments: UnitMoments, chosen: np.ndarray) -> np.ndarray:
    """Sums S, F, S², F S, F² of the chosen coordinates, and of the value, which has no score.

    The value's F is ``V + ref (W − 1)``, of mean ``E f − ref``.
    """
    ref, n = moments.reference, moments.units
    weight, squared = moments.extra(layout.WEIGHT), moments.extra(layout.WEIGHT_SQUARED)
    value = moments.w_by_fold + ref * (weight - n)
    squares = (
        moments.ww_by_fold
        + 2 * ref * (moments.extra(layout.WEIGHT_VALUE) - moments.w_by_fold)
        + ref**2 * (squared - 2 * weight + n)
    )
    nothing = np.zeros_like(value)
    of_value = np.stack([nothing, value, nothing, nothing, squares], axis=1)
    return np.concatenate([moments.scores[:, :, chosen], of_value[:, :, None]], axis=2)


def _centred_controls(moments: UnitMoments, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of controls, (folds, C), and of their products, (folds, C, C + 2 (chosen + 1)).

    The last is the weight, whose mean, 1, is taken off here; it may serve for the value alone.
    """
    rows, mixture = moments.controls, moments.mixture
    used = slice(None if mixture.weight_control else mixture.controls)
    count, size = rows.shape[1], moments.size
    mean = np.zeros(count)
    mean[mixture.controls :] = 1.0
    plain = rows[:, :, 0]
    sums = plain - moments.units[:, None] * mean
    s, f, v, w, c = np.split(rows[:, :, 1:], np.cumsum([size, size, 1, 1]), axis=2)
    pairs = np.concatenate([c, w], axis=2)
    pairs = pairs - mean[:, None] * plain[:, None, :] - sums[:, :, None] * mean
    of_s = s - mean[:, None] * moments.scores[:, None, 0]
    of_f = f - mean[:, None] * moments.scores[:, None, 1]
    of_value = v[:, :, 0] - mean * moments.w_by_fold[:, None] + moments.reference * pairs[:, :, -1]
    parts = (
        pairs[:, :, used], of_s[:, :, chosen], np.zeros_like(sums)[:, :, None],
        of_f[:, :, chosen], of_value[:, :, None],
    )  # fmt: skip
    return sums[:, used], np.concatenate(parts, axis=2)[:, used]


def _fit(
    b: np.ndarray, beta: np.ndarray, sums: np.ndarray, c: np.ndarray, products: np.ndarray,
    n: float, mean: float | None,
) -> None:  # fmt: skip
    """Coefficients of one fold from the sums of the others; b too, if a mean is given."""
    count, size = len(c), sums.shape[1]
    s, f = sums[0], sums[1]
    gram = products[:, :count] - np.outer(c, c) / n
    with_s = products[:, count : count + size] - np.outer(c, s) / n
    with_f = products[:, count + size :] - np.outer(c, f) / n
    ss, fs, ff = sums[2] - s * s / n, sums[3] - f * s / n, sums[4] - f * f / n
    if mean is not None:
        inverse, _ = pseudo_inverse(gram)
        fitted = inverse @ with_s
        b[:-1] = optimum(
            (fs - np.sum(with_f * fitted, axis=0))[:-1],
            (ss - np.sum(with_s * fitted, axis=0))[:-1],
            (ff - np.sum(with_f * (inverse @ with_f), axis=0))[:-1],
            sums[2, :-1], n, mean,
        )  # fmt: skip
    terms = (with_f - b * with_s).T
    regress(beta, gram, terms, ff - 2 * b * fs + b * b * ss, n)


def _gradient(
    sums: np.ndarray, controls: np.ndarray, products: np.ndarray, b: np.ndarray, beta: np.ndarray,
    n: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """``(1/U) Σ_k (F_k − b_k S_k − β_kᵀ c_k)`` and its variance."""
    count, size = controls.shape[1], sums.shape[2]
    s, f, ss, fs, ff = np.moveaxis(sums, 1, 0)
    terms = f - b * s - np.einsum("kic,kc->ki", beta, controls)
    with_s, with_f = products[:, :, count : count + size], products[:, :, count + size :]
    crossed = np.einsum("kic,kci->ki", beta, with_f - b[:, None] * with_s)
    pairs = np.einsum("kic,kcd,kid->ki", beta, products[:, :, :count], beta)
    squares = ff - 2 * b * fs + b * b * ss - 2 * crossed + pairs
    grad = terms.sum(axis=0) / n
    variance = (squares.sum(axis=0) - n * grad**2) / (n * (n - 1))
    return grad, np.maximum(variance, 0.0)
