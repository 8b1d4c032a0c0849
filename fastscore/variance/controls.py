"""Control variates with known mean, beside a baseline: ``ĝ = E[F − b S − βᵀ C]``, ``E C = 0``.

Coefficients are cross-fitted and shrunk as those of the baselines are; some may be given.  A
baseline per coordinate is chosen jointly with β: by what the controls leave of F and of S.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    sums = ControlSums.of(moments, chosen)
    given = np.where(np.isnan(sums.given), 0.0, sums.given)
    if moments.n < 2 and not given.any():
        return solve(moments, baseline, chosen, direct, _no_products)
    level = _less_given(moments, sums, given, chosen) if given.any() else moments
    start = solve(level, baseline, chosen, direct, _no_products)
    b = np.append(start.coefficients, np.zeros((len(start.coefficients), 1)), axis=1)
    beta = np.broadcast_to(given, sums.control.shape).copy()
    if moments.n > 1:
        means = level.means_of_others if baseline == "optimal" else None
        _fit(b, beta, sums, moments.n - moments.units, means)
    grad, variance = _gradient(sums, b, beta, moments.n)
    grad[-1] += moments.reference
    stderr = np.sqrt(variance)
    without = solve(moments, None, chosen, direct, _no_products)
    ratio = np.where(stderr[:-1] > 0, np.inf, 1.0)
    np.divide(without.stderr**2, variance[:-1], out=ratio, where=variance[:-1] > 0)
    return Solution(
        grad[:-1], stderr[:-1], ratio, b[:, :-1], value=float(grad[-1]),
        value_stderr=float(stderr[-1]), controls=beta,
    )  # fmt: skip


def _less_given(
    moments: UnitMoments, sums: ControlSums, given: np.ndarray, chosen: np.ndarray
) -> UnitMoments:
    """Of F less the controls whose coefficients are given, for baselines of what is left.

    One that is multiplied by scores leaves ``(f − a h) s``, of the level ``f − a h``.
    """
    less = replace(moments, sums=moments.sums.copy())
    f, fs, ff = sums.less(given)
    less.scores[:, 1, chosen] = f[:, :-1]
    less.scores[:, 3, chosen] = fs[:, :-1]
    less.scores[:, 4, chosen] = ff[:, :-1]
    functions, first = moments.scheme.functions, moments.scheme.controls
    for j in range(len(functions) - functions.by_score, len(functions)):
        values = moments.controls[:, first + j, 0] + functions.means[j] * moments.weights
        less.w_by_fold[:] -= given[first + j] * values
    return less


def _no_products() -> Products:
    raise ValueError("baseline='matrix' does not go with these control variates: take 'optimal'")


@dataclass(frozen=True)
class ControlSums:
    """Sums by fold for each result: E of them, entries of the gradient, and the value as the last.

    Attributes
    ----------
    own : ndarray of shape (folds, 5, E)
        S, F, S², F S, F².  The value has no score, and its F is ``V + ref (W − 1)``.
    control : ndarray of shape (folds, E, C)
        Controls: of proposals and functions; the weight less its mean, 1.
    with_s, with_f : ndarray of shape (folds, E, C)
        Their products with S and F.
    gram : ndarray of shape (folds, E, C, C)
        Their products with each other.
    given : ndarray of shape (C,)
        Coefficients that are not to be fitted, NaN for the others.
    """

    own: np.ndarray
    control: np.ndarray
    with_s: np.ndarray
    with_f: np.ndarray
    gram: np.ndarray
    given: np.ndarray

    @staticmethod
    def of(moments: UnitMoments, chosen: np.ndarray) -> ControlSums:
        """Those of a run."""
        scheme, rows, size = moments.scheme, moments.controls, moments.size
        used = scheme.known + scheme.weight_control
        w_at = 2 * size + 2  # in a row: its sum, products with S, F, V, W, controls
        weight = np.arange(used) >= scheme.known
        plain = rows[:, :used, 0]
        control = plain - weight * moments.units[:, None]
        of_s = rows[:, :used, 1 : 1 + size] - weight[:, None] * moments.scores[:, None, 0]
        of_f = (
            rows[:, :used, 1 + size : 1 + 2 * size] - weight[:, None] * moments.scores[:, None, 1]
        )
        of_v = rows[:, :used, w_at - 1] - weight * moments.w_by_fold[:, None]
        with_weight = rows[:, :used, w_at] - weight * plain - control  # with W − 1
        gram = np.concatenate([rows[:, :used, w_at + 1 :], with_weight[:, :, None]], axis=2)
        gram[:, weight, :-1] = with_weight[:, None, ~weight]
        gram = gram[:, :, :used]

        def each(of_entries: np.ndarray, of_value: np.ndarray) -> np.ndarray:
            return np.concatenate([of_entries, of_value[:, None]], axis=1)

        def for_all(values: np.ndarray) -> np.ndarray:
            return np.repeat(values[:, None], chosen.size + 1, axis=1)

        given = np.full(used, np.nan)
        given[scheme.controls : scheme.known] = scheme.functions.coefficients
        sums = ControlSums(
            _with_value(moments, chosen), for_all(control),
            each(np.swapaxes(of_s[:, :, chosen], 1, 2), np.zeros_like(control)),
            each(np.swapaxes(of_f[:, :, chosen], 1, 2), of_v + moments.reference * with_weight),
            for_all(gram), given,
        )  # fmt: skip
        if scheme.functions.by_score:
            sums._multiply_by_scores(moments, chosen)
        return sums

    def _multiply_by_scores(self, moments: UnitMoments, chosen: np.ndarray) -> None:
        """Put ``h s − ∇E h`` in place of h for the gradient, of the functions that allow it."""
        scheme = moments.scheme
        known, by_score = scheme.known, scheme.functions.by_score
        plain = known - by_score
        entries = slice(0, chosen.size)
        for j, at in enumerate(range(plain, known)):
            rows = np.swapaxes(moments.score_controls[:, j][:, :, chosen], 1, 2)
            total, with_s, with_f, with_w = np.moveaxis(rows[:, :, :4], 2, 0)
            others, alike = rows[:, :, 4 : 4 + plain], rows[:, :, 4 + known :]
            self.control[:, entries, at] = total
            self.with_s[:, entries, at] = with_s
            self.with_f[:, entries, at] = with_f
            self.gram[:, entries, at, :plain] = self.gram[:, entries, :plain, at] = others
            self.gram[:, entries, at, plain:known] = alike
            if scheme.weight_control:
                centred = with_w - total
                self.gram[:, entries, at, known] = self.gram[:, entries, known, at] = centred

    def of_others(self) -> ControlSums:
        """For each fold those of the others."""
        names = ("own", "control", "with_s", "with_f", "gram")
        return replace(self, **{name: sums_of_others(getattr(self, name)) for name in names})

    def less(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums F, F S and F² of F less controls times coefficients."""
        f, fs, ff = self.own[:, 1], self.own[:, 3], self.own[:, 4]
        squares = (self.gram @ a - 2 * self.with_f) @ a
        return f - self.control @ a, fs - self.with_s @ a, ff + squares

    def without_given(self) -> ControlSums:
        """Those that are left to fit, of F less what is given."""
        free = np.isnan(self.given)
        if free.all():
            return self
        a = np.where(free, 0.0, self.given)
        own = self.own.copy()
        own[:, 1], own[:, 3], own[:, 4] = self.less(a)
        gram = self.gram[:, :, free][:, :, :, free]
        return ControlSums(
            own, self.control[:, :, free], self.with_s[:, :, free],
            (self.with_f - self.gram @ a)[:, :, free], gram, self.given[free],
        )  # fmt: skip


def _with_value(moments: UnitMoments, chosen: np.ndarray) -> np.ndarray:
    """Sums S, F, S², F S, F² of the chosen coordinates, and of the value."""
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


def _fit(
    b: np.ndarray, beta: np.ndarray, sums: ControlSums, others: np.ndarray,
    means: np.ndarray | None,
) -> None:  # fmt: skip
    """Coefficients of all folds, each from the others; b too, if means of f are given."""
    free = np.isnan(sums.given)
    rest = sums.of_others().without_given()
    n = np.maximum(others, 1)[:, None]
    s, f, squares, fs, ff = np.moveaxis(rest.own, 1, 0)
    ss, fs, ff = squares - s * s / n, fs - f * s / n, ff - f * f / n
    c = rest.control
    with_s = rest.with_s - c * (s / n)[:, :, None]
    with_f = rest.with_f - c * (f / n)[:, :, None]
    gram = rest.gram - c[..., :, None] * c[..., None, :] / n[..., None, None]
    enough = np.flatnonzero(others > _FEW)
    if means is not None:
        inverse, _ = pseudo_inverse(gram)
        fitted = np.einsum("kecd,ked->kec", inverse, with_s)
        of_f = np.einsum("kecd,ked->kec", inverse, with_f)
        left_fs = fs - np.sum(with_f * fitted, axis=2)
        left_ss = ss - np.sum(with_s * fitted, axis=2)
        left_ff = ff - np.sum(with_f * of_f, axis=2)
        for k in enough:
            b[k, :-1] = optimum(
                left_fs[k, :-1], left_ss[k, :-1], left_ff[k, :-1], squares[k, :-1], others[k],
                means[k],
            )  # fmt: skip
    terms = with_f - b[:, :, None] * with_s
    spread = ff - 2 * b * fs + b * b * ss
    start = np.zeros_like(terms)
    fitted = regress(start[:, :, None], gram, terms[:, :, None], spread[:, :, None], n)[:, :, 0]
    beta[np.ix_(enough, np.arange(beta.shape[1]), np.flatnonzero(free))] = fitted[enough]


def _gradient(
    sums: ControlSums, b: np.ndarray, beta: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(1/U) Σ_k (F_k − b_k S_k − β_kᵀ C_k)`` and its variance."""
    s, f, ss, fs, ff = np.moveaxis(sums.own, 1, 0)
    terms = f - b * s - np.sum(beta * sums.control, axis=2)
    crossed = np.sum(beta * (sums.with_f - b[:, :, None] * sums.with_s), axis=2)
    pairs = np.einsum("kec,kecd,ked->ke", beta, sums.gram, beta)
    squares = ff - 2 * b * fs + b * b * ss - 2 * crossed + pairs
    grad = terms.sum(axis=0) / n
    if n < 2:
        return grad, np.full_like(grad, np.nan)
    variance = (squares.sum(axis=0) - n * grad**2) / (n * (n - 1))
    return grad, np.maximum(variance, 0.0)
