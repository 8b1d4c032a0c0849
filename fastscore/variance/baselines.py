"""Baselines: what may be subtracted from f without moving the estimate.

``E[b s] = 0`` only if b does not depend on the sample that it multiplies.  So every estimated
coefficient is cross-fitted: the one used in a fold comes from the other folds only, its shrinkage
included, and the estimator is exactly unbiased for any number of samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore.engine.jit import entry, plain
from fastscore.engine.moments import Moments

#: Estimated coefficients by name; a number or None is a constant.
BASELINES = ("mean", "scalar", "optimal")
_CONSTANT, _LEAVE_ONE_OUT, _FOLD_MEAN, _SCALAR, _COORDINATE = range(5)

#: With this many units or fewer in the other folds their mean is used, not the optimum.
_SHRINKAGE = 10.0


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


def solve(
    moments: Moments, baseline: str | float | None, chosen: np.ndarray, direct: bool
) -> Solution:
    """Gradient with a baseline.

    Parameters
    ----------
    moments : Moments
        Sums by fold.
    baseline : {"mean", "scalar", "optimal"}, float or None
        The leave-one-out mean of f, ``Σ (f − f̄) s / (N − 1)`` (with a direct term, the mean of
        the other folds); the scalar of least total variance over the chosen coordinates,
        ``E[f ‖s‖²]/E[‖s‖²]``; the optimum per coordinate ``E[f s²]/E[s²]``; a constant.
    chosen : ndarray of int
        Score coordinates to solve for.
    direct : bool
        Whether F has a direct term.
    """
    constant = -moments.reference
    if baseline is None or (isinstance(baseline, str) and moments.n == 1):
        kind = _CONSTANT
    elif isinstance(baseline, str):
        kind = {"mean": _LEAVE_ONE_OUT, "scalar": _SCALAR, "optimal": _COORDINATE}[baseline]
        if direct and kind == _LEAVE_ONE_OUT:
            kind = _FOLD_MEAN  # leaving one out scales F, and would scale the direct term too
    else:
        kind, constant = _CONSTANT, baseline - moments.reference
    out = np.empty((3, chosen.size))
    _solve(moments.sums, moments.scores, chosen, kind, constant, moments.reference, out)
    return Solution(*out)


@entry
def _solve(header: Any, scores: Any, chosen: Any, kind: int, constant: float, reference: float,
           out: Any) -> None:  # fmt: skip
    folds, units, w = header.shape[0], header[:, 0], header[:, 1]
    optimum = np.zeros((folds, chosen.size))
    if kind in (_SCALAR, _COORDINATE):
        for fold in range(folds):
            _optimum(scores, chosen, fold, units, w, reference, kind == _SCALAR, optimum[fold])
    total, mean = units.sum(), w.sum() / units.sum()
    for i in range(chosen.size):
        s = scores[:, :, chosen[i]]
        _, var0 = _with_constant(s, -reference, total)
        if kind == _CONSTANT:
            g, var = _with_constant(s, constant, total)
        elif kind == _LEAVE_ONE_OUT:
            g, var = _with_constant(s, mean, total)
            inflation = total / (total - 1)
            # The mean over u of (w_u − w̄) S_u, each times N/(N − 1).
            g, var = g * inflation, var * inflation * inflation
        else:
            g, var = _cross_fitted(s, units, w, reference, optimum[:, i], kind == _FOLD_MEAN)
        out[0, i] = g
        if total < 2:
            var0 = var = np.nan
        out[1, i] = np.sqrt(var) if not var < 0 else 0.0
        out[2, i] = var0 / var if not var <= 0 else (1.0 if var0 <= 0 else np.inf)


@plain
def _mean_of_others(fold, units, w, reference):
    """Units of the other folds, and their mean of w; where there are none, that of f = 0."""
    others = units.sum() - units[fold]
    return others, (w.sum() - w[fold]) / others if others > 0 else -reference


@plain
def _optimum(scores, chosen, fold, units, w, reference, scalar, out):
    """``b̂`` from the other folds: the regression of F on S with intercept; 0/0 gives their mean."""
    others, mean = _mean_of_others(fold, units, w, reference)
    up = down = 0.0
    for i in range(chosen.size):
        s = sf = ss = sfs = 0.0
        for k in range(units.size):
            if k != fold:
                s += scores[k, 0, chosen[i]]
                sf += scores[k, 1, chosen[i]]
                ss += scores[k, 2, chosen[i]]
                sfs += scores[k, 3, chosen[i]]
        numerator = sfs - sf * s / others
        denominator = ss - s * s / others
        if scalar:
            up += numerator
            down += denominator
        else:
            out[i] = numerator / denominator if denominator > 1e-13 * ss else mean
    if scalar:
        out[:] = up / down if down > 0 else mean


@plain
def _with_constant(s, b, total):
    """Mean of F − b S over all units, and its variance."""
    g = (s[:, 1].sum() - b * s[:, 0].sum()) / total
    squares = s[:, 4].sum() - 2 * b * s[:, 3].sum() + b * b * s[:, 2].sum()
    return g, (squares - total * g * g) / (total * (total - 1))


@plain
def _cross_fitted(s, units, w, reference, optimum, mean_only):
    """``ĝ = (1/U) Σ_k Σ_{u∈k} (F_u − b_{−k} S_u)`` and its variance.

    ``b = m + λ (b̂ − m)`` with ``λ = max(0, 1 − 10/U')``, U' the other folds' units: at few units
    the estimated optimum is noisier than the mean is wrong.
    """
    total = units.sum()
    g = squares = 0.0
    for k in range(units.size):
        others, mean = _mean_of_others(k, units, w, reference)
        trust = 0.0 if mean_only else max(0.0, 1.0 - _SHRINKAGE / max(others, _SHRINKAGE))
        b = mean + trust * (optimum[k] - mean)
        g += s[k, 1] - b * s[k, 0]
        squares += s[k, 4] - 2 * b * s[k, 3] + b * b * s[k, 2]
    g /= total
    return g, (squares - total * g * g) / (total * (total - 1))
