"""Baselines: what may be subtracted from f without moving the estimate.

``E[b s] = 0`` only if b does not depend on the sample that it multiplies.  So every estimated
coefficient is cross-fitted: the one used in a fold comes from the other folds only, its shrinkage
included, and the estimator is exactly unbiased for any number of samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore.engine.jit import entry, plain
from fastscore.engine.moments import ExactMoments, Moments
from fastscore.engine.products import Products
from fastscore.engine.weighting import WeightedMoments
from fastscore.variance import matrix

#: Estimated coefficients by name; a number or None is a constant.
BASELINES = ("mean", "scalar", "optimal", "matrix")
_CONSTANT, _LEAVE_ONE_OUT, _FOLD_MEAN, _SCALAR, _COORDINATE = range(5)

#: With this many units or fewer in the other folds their mean is used, not the optimum.
_FEW = 10.0
#: A variance of the score so small a part of its mean square is what rounding leaves of their
#: difference: 0/0 gives the mean.
_SINGULAR = 1e-13


def as_baseline(value: Any) -> str | float | None:
    """Check a baseline."""
    if value is None:
        return None
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        if not np.isfinite(value):
            raise ValueError(f"baseline={value!r} is not finite: give a finite number")
        return float(value)
    if value not in BASELINES:
        raise ValueError(
            f"baseline={value!r} is unknown: give one of {', '.join(map(repr, BASELINES))}, "
            "a number or None"
        )
    return str(value)


@dataclass(frozen=True)
class Solution:
    """Gradient and its statistics, one entry per chosen score coordinate."""

    grad: np.ndarray
    stderr: np.ndarray
    #: Variance without a baseline over the variance with it.
    variance_ratio: np.ndarray
    #: What multiplied the score in each fold: (folds, chosen), or matrices (folds, chosen, P).
    coefficients: np.ndarray
    #: What the sums were multiplied by: N/(N − 1) for the leave-one-out mean.
    inflation: float = 1.0
    #: The value, where it is not the moments' own.
    value: float | None = None
    value_stderr: float | None = None
    #: Coefficients of control variates, (folds, chosen + 1, C); the last are the value's.
    controls: np.ndarray | None = None


def solve(
    moments: Moments | ExactMoments,
    baseline: str | float | None,
    chosen: np.ndarray,
    direct: bool,
    products: Callable[[], Products],
) -> Solution:
    """Gradient with a baseline.

    Parameters
    ----------
    moments : Moments or ExactMoments
        Sums by fold; of an exact gradient no baseline changes anything.
    baseline : {"mean", "scalar", "optimal", "matrix"}, float or None
        The leave-one-out mean of f, ``Σ (f − f̄) s / (N − 1)`` (with a direct term, the mean of
        the other folds); the scalar of least total variance over the chosen coordinates,
        ``E[f ‖s‖²]/E[‖s‖²]``; the optimum per coordinate ``E[f s²]/E[s²]``; the regression on the
        whole score; a constant.
    chosen : ndarray of int
        Score coordinates to solve for.
    direct : bool
        Whether F has a direct term.
    products : callable
        Gives the products of scores, which ``"matrix"`` needs.
    """
    if isinstance(moments, ExactMoments):
        grad = moments.grad[chosen]
        return Solution(grad, np.zeros_like(grad), np.ones_like(grad), np.zeros((1, chosen.size)))
    if baseline == "matrix" and moments.n > 1:
        return _solve_matrix(moments.folded, products(), chosen)
    if baseline == "scalar" and isinstance(moments, WeightedMoments):  # one for all entries
        moments = moments.about(moments.reference)
    references = np.broadcast_to(moments.subtracted, moments.scores.shape[2])[chosen]
    constant, inflation = -references, 1.0
    if baseline is None or (isinstance(baseline, str) and moments.n == 1):
        kind = _CONSTANT
    elif isinstance(baseline, str):
        kind = {"mean": _LEAVE_ONE_OUT, "scalar": _SCALAR, "optimal": _COORDINATE}[baseline]
        if (direct or not moments.of_samples) and kind == _LEAVE_ONE_OUT:
            # Leaving one out scales F, and would scale the direct term too; under weights, and of
            # several samples, it does not leave one out.
            kind = _FOLD_MEAN
    else:
        kind, constant = _CONSTANT, baseline - references
    if kind == _LEAVE_ONE_OUT:  # (w_u − w̄) N/(N − 1) is w_u less the mean of all others
        inflation = moments.n / (moments.n - 1)
    if kind >= _FOLD_MEAN:
        moments = moments.folded
    folds = len(moments.sums)
    out, b = np.empty((3, chosen.size)), np.empty((folds, chosen.size))
    means = np.broadcast_to(moments.means_of_others.reshape(folds, -1), moments.scores[:, 0].shape)
    means = means.take(chosen, axis=1)
    if kind == _SCALAR and isinstance(moments, WeightedMoments):
        means[:] = means.mean(axis=1, keepdims=True)
    _solve(
        moments.sums, moments.scores, means, chosen, kind, constant,
        references, inflation, out, b,
    )  # fmt: skip
    grad, stderr, ratio = out
    return Solution(grad, stderr, ratio, b, inflation)


def _solve_matrix(moments: Moments, products: Products, chosen: np.ndarray) -> Solution:
    c = matrix.coefficients(moments, products, chosen)
    grad, variance = matrix.gradient(moments, products, c, chosen)
    without = solve(moments, None, chosen, False, lambda: products).stderr ** 2
    ratio = np.where(without > 0, np.inf, 1.0)
    np.divide(without, variance, out=ratio, where=variance > 0)
    return Solution(grad, np.sqrt(variance), ratio, c)


def covariance(
    moments: Moments, solution: Solution, chosen: np.ndarray, products: Products
) -> np.ndarray:
    """Covariance matrix of the gradient of a solution."""
    if moments.n < 2:
        return np.full((chosen.size, chosen.size), np.nan)
    c = solution.coefficients
    if c.ndim == 2:
        each = np.arange(chosen.size)
        folds = len(products.sums)
        c = np.zeros((folds, chosen.size, products.size))
        c[:, each, chosen] = solution.coefficients
    total = moments.n
    out = matrix.covariance(products, c, chosen, solution.grad / solution.inflation, total)
    out *= solution.inflation**2
    np.fill_diagonal(out, solution.stderr**2)
    return out


@entry
def _solve(header: Any, scores: Any, means: Any, chosen: Any, kind: int, constant: Any,
           reference: Any, inflation: float, out: Any, b: Any) -> None:  # fmt: skip
    folds, units, w = header.shape[0], header[:, 0], header[:, 1]
    total = units.sum()
    if kind == _CONSTANT:
        b[:] = constant
    elif kind == _LEAVE_ONE_OUT:
        b[:] = w.sum() / total
    else:
        rest = np.empty(scores.shape[1:])
        for fold in range(folds):
            rest[:] = 0.0
            for other in range(folds):
                if other != fold:
                    rest += scores[other]
            others = total - units[fold]
            _coefficients(rest, chosen, others, means[fold], kind, b[fold])
    without = np.empty(folds)
    for i in range(chosen.size):
        without[:] = -reference[i]
        s = scores[:, :, chosen[i]]
        _, var0 = _with_coefficients(s, without, total)
        g, var = _with_coefficients(s, b[:, i], total)
        g, var = g * inflation, var * inflation * inflation
        if total < 2:
            var0 = var = np.nan
        out[0, i] = g
        out[1, i] = np.sqrt(var) if not var < 0 else 0.0
        out[2, i] = var0 / var if not var <= 0 else (1.0 if var0 <= 0 else np.inf)


@plain
def _coefficients(rest, chosen, others, mean, kind, b):
    """``b_{−k} = m + λ (b̂ − m)`` of one fold: all three from the other folds alone.

    With few units in them λ = 0 leaves their means m, with none those of f = 0.
    """
    b[:] = mean
    if kind == _FOLD_MEAN or others <= _FEW:
        return
    fs_all = ss_all = ff_all = rounding_all = 0.0
    for i in range(chosen.size):
        j = chosen[i]
        s, f = rest[0, j], rest[1, j]
        ss = rest[2, j] - s * s / others
        rounding = _SINGULAR * rest[2, j]
        fs = rest[3, j] - f * s / others
        ff = rest[4, j] - f * f / others
        if kind == _COORDINATE and ss > rounding:
            b[i] = _shrunk(fs, ss, ff, others, mean[i])
        fs_all, ss_all, ff_all = fs_all + fs, ss_all + ss, ff_all + ff
        rounding_all += rounding
    if kind == _SCALAR and ss_all > rounding_all:
        b[:] = _shrunk(fs_all, ss_all, ff_all, others, mean[0])


def optimum(
    fs: np.ndarray, ss: np.ndarray, ff: np.ndarray, squares: np.ndarray, others: float, mean: float
) -> np.ndarray:
    """The shrunk slopes of F on S, of centred sums over the other folds; of 0/0 the mean.

    ``squares`` are sums of S² that are not centred.
    """
    out = np.full(len(fs), mean)
    _shrink(fs, ss, ff, squares, others, mean, out)
    return out


@entry
def _shrink(fs: Any, ss: Any, ff: Any, squares: Any, others: float, mean: float, out: Any) -> None:
    for i in range(out.size):
        if ss[i] > _SINGULAR * squares[i]:
            out[i] = _shrunk(fs[i], ss[i], ff[i], others, mean)


@plain
def _shrunk(fs, ss, ff, others, mean):
    """The slope b̂ of F on S, drawn towards the mean m: at few units it is the noisier of the two.

    ``λ = 1 − (10/U') v/(v + (b̂ − m)²)`` with ``v = U'² Var(b̂)``: about ``1 − 10/U'``, but 1 where
    the regression leaves no residual.
    """
    optimum = fs / ss
    noise = others * max(ff - fs * optimum, 0.0) / ss
    distance = (optimum - mean) ** 2
    doubt = noise / (noise + distance) if noise > 0 else 0.0
    return mean + (1.0 - _FEW / others * doubt) * (optimum - mean)


@plain
def _with_coefficients(s, b, total):
    """``ĝ = (1/U) Σ_k Σ_{u∈k} (F_u − b_k S_u)`` and its variance, a b for each fold."""
    g = squares = 0.0
    for k in range(b.size):
        g += s[k, 1] - b[k] * s[k, 0]
        squares += s[k, 4] - 2 * b[k] * s[k, 3] + b[k] * b[k] * s[k, 2]
    g /= total
    return g, (squares - total * g * g) / (total * (total - 1))
