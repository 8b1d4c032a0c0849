"""The delta method's control variate: the second Taylor polynomial of f at a Gaussian's mean.

``h(x) = f(μ) + gᵀ y + ½ yᵀ H y`` with ``y = x − μ``, its coefficients held constant, has
``E h = f(μ) + ½ tr(H Σ)``, and derivatives g by μ and H/2 by Σ (J. Paisley, D. Blei and M. Jordan,
Variational Bayesian inference with stochastic search, ICML 2012).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from fastscore import checks
from fastscore.engine.blocks import FORWARD, forward_tile
from fastscore.engine.jit import elementwise, plain, reduction, tile_kernel
from fastscore.engine.memory import line_of, offset, pointer, vector
from fastscore.engine.triangles import affine, multiply, packed_triangle
from fastscore.families import Family
from fastscore.form import shown

#: Coordinates up to which differences make all of the Hessian.
_FULL = 32
#: Default step of differences in standard deviations, at which rounding and truncation errors of
#: second ones balance; and the least one relative to the mean, which float64 must resolve.
_STEP = np.finfo(float).eps ** 0.25
_LEAST_STEP = np.finfo(float).eps ** 0.5
#: Off the diagonal differences so much smaller than the largest entry count as rounding errors.
_NOISE = 1e-6
#: Asymmetry of a Hessian allowed, relative to its largest entry.
_ASYMMETRY = 1e-8
#: Coordinates of points that f is evaluated at together.
_AT_ONCE = 2**22


@dataclass(frozen=True)
class DeltaMethod:
    """The second-order Taylor polynomial of f at the mean of a Gaussian, as a control variate.

    For `Normal`, `MultivariateNormal` and `LowRankMultivariateNormal`.  Before any sample is drawn,
    f is expanded at ``loc``; what is not given is found by central differences of f there, which
    take ``2 d`` evaluations for the gradient and the Hessian's diagonal, and ``d² + d`` for all of
    it, which is done up to d = 32.  Beyond, the Hessian counts as diagonal.

    Parameters
    ----------
    gradient : array_like or callable, optional
        ``∇f`` at the mean, of shape (d,), or a function of the mean that returns it.
    hessian : array_like or callable, optional
        ``∇²f`` there, of shape (d, d), or its diagonal, of shape (d,), or a function of the mean.
    step : float, optional
        Step of the differences in standard deviations of each coordinate; ``ε^¼ ≈ 1.2e-4`` by
        default, but never less than ``√ε`` of the mean.  A large one suits an f with steps or
        kinks.
    coefficient : float, optional
        What multiplies it; by default the cross-fitted coefficients of least variance.

    Raises
    ------
    TypeError, ValueError
        If step is not positive, or coefficient no finite number.

    Notes
    -----
    Whatever g and H are, the estimate stays unbiased.  Of a quadratic f given exactly it has no
    variance left; an f that is far from its polynomial at about one standard deviation may gain
    little, or, with a coefficient of 1, lose.
    """

    gradient: Any = None
    hessian: Any = None
    step: float | None = None
    coefficient: float | None = None

    def __post_init__(self) -> None:
        for name in ("step", "coefficient"):
            value = getattr(self, name)
            if value is None:
                continue
            array = checks.parameter(name, value)
            checks.require(name, array, np.array(array.ndim == 0), "a number")
            if name == "step":
                checks.require(name, array, array > 0, "positive")

    @property
    def scored(self) -> bool:
        """It is multiplied by scores: the gradient of its mean is known."""
        return True

    def expanded(self, name: str, p: Family, f: Callable[[np.ndarray], np.ndarray]) -> Expansion:
        """The polynomial for a Gaussian.

        Parameters
        ----------
        name : str
            Of the control, for messages.
        p : Family
            The distribution.
        f : callable
            f at points (n, d), non-finite where it is.

        Raises
        ------
        ValueError
            If p is no Gaussian, or f has no finite derivatives at its mean.
        """
        expect = _expectation_of(name, p)
        d, loc = p.d, np.asarray(p.mean, dtype=float)
        g = _given(f"{name}.gradient", self.gradient, loc, [(d,)])
        hessian = _given(f"{name}.hessian", self.hessian, loc, [(d,), (d, d)])
        sigma = np.sqrt(np.asarray(p.variance))
        steps = _steps(loc, sigma, _STEP if self.step is None else self.step)
        order = 2 if hessian is None and d <= _FULL else int(hessian is None or g is None)
        value, slopes, curves = _differences(f, loc, steps, order)
        if not np.isfinite(value):
            raise ValueError(
                f"{name}=DeltaMethod(): f is {value} at the mean x = {shown(loc)}, where it has no "
                "Taylor polynomial: take a fs.ControlVariate of your own"
            )
        g = slopes if g is None else g
        hessian = _without_noise(curves, sigma) if hessian is None else hessian
        if not (np.isfinite(g).all() and np.isfinite(hessian).all()):
            raise ValueError(
                f"{name}=DeltaMethod(): f is NaN or infinite close to the mean "
                f"x = {shown(loc)}, and has no differences there: give gradient and hessian, "
                "or a smaller step"
            )
        hessian = _symmetric(f"{name}.hessian", hessian)
        trace, gradient = expect(p, g, hessian)
        known = value + trace / 2, gradient
        if hessian.ndim == 1:
            return Expansion(_separable, "sample", (loc, g, hessian / 2, value), *known)
        lower = np.tril(hessian, -1) + np.diag(np.diag(hessian) / 2)
        packed = np.concatenate([loc, g, packed_triangle(lower)])
        args = loc, g, lower, value, _add_of_columns.address, packed
        return Expansion(_quadratic, "batch", args, *known)


class Expansion(NamedTuple):
    """A polynomial as a jitted function, its kind and arguments, and what is known of it."""

    function: Any
    kind: Literal["sample", "batch"]
    args: tuple[Any, ...]
    mean: float
    #: ``∇E h`` by free entries of the parameters, (P,).
    gradient: np.ndarray


@reduction
def _separable(x, loc, gradient, half, constant):
    """``c + Σ_k y_k (g_k + ½ H_kk y_k)``."""
    total = constant
    for k in range(len(x)):
        y = x[k] - loc[k]
        total += y * (gradient[k] + half[k] * y)
    return total


@plain
def _quadratic(batch, out, loc, gradient, lower, constant, kernel, packed):
    """``c + yᵀ (g + T y)`` of a batch, T being the lower triangle of which ``H/2 = (T + Tᵀ)/2``."""
    rows, d = batch.shape
    if batch.strides[0] == batch.itemsize:
        stride = batch.strides[1] // batch.itemsize
        out[:] = constant
        forward_tile(kernel, (pointer(packed), pointer(batch), rows, d, stride, pointer(out)))
    else:
        for t in range(rows):
            out[t] = constant + _of_row(batch[t], loc, gradient, lower)


@tile_kernel(FORWARD)
def _add_of_columns(params, x, rows, d, stride, out):
    """The same of samples by columns, for six rows of T at a time."""
    loc, gradient, triangle = params, offset(params, d), offset(params, 2 * d)
    room = np.empty(2 * d * stride + 8)
    y = line_of(pointer(room))
    slopes = offset(y, d * stride)
    for k in range(d):
        at = k * stride
        affine(-loc[k], 1.0, vector(offset(x, at), rows), rows, vector(offset(y, at), rows))
    multiply(triangle, gradient, y, rows, d, stride, slopes)
    for k in range(d):
        at = k * stride
        one, other = vector(offset(y, at), rows), vector(offset(slopes, at), rows)
        _add_products(one, other, rows, vector(out, rows))
    room[0] = 0.0  # kept alive till here


@elementwise
def _add_products(a, b, rows, out):
    for t in range(rows):
        out[t] += a[t] * b[t]


@reduction
def _of_row(x, loc, gradient, lower):
    total = 0.0
    for k in range(len(x)):
        slope = gradient[k]
        for j in range(k + 1):
            slope += lower[k, j] * (x[j] - loc[j])
        total += slope * (x[k] - loc[k])
    return total


def _given(
    name: str, value: Any, loc: np.ndarray, shapes: list[tuple[int, ...]]
) -> np.ndarray | None:
    """A derivative that the user gave, as an array or as a function of the mean."""
    if value is None:
        return None
    array = checks.parameter(name, value(loc.copy()) if callable(value) else value)
    if array.shape not in shapes:
        raise ValueError(
            f"{name} has shape {array.shape}: give it the shape {' or '.join(map(str, shapes))}"
        )
    return array


def _symmetric(name: str, hessian: np.ndarray) -> np.ndarray:
    """A Hessian that is exactly symmetric."""
    if hessian.ndim == 1:
        return hessian
    close = np.abs(hessian - hessian.T) <= _ASYMMETRY * np.abs(hessian).max()
    checks.require(name, hessian, close, f"symmetric, to {_ASYMMETRY:g} of its largest entry")
    return hessian / 2 + hessian.T / 2


# --- differences ---


def _steps(loc: np.ndarray, sigma: np.ndarray, step: float) -> np.ndarray:
    """Steps by coordinate that float64 resolves, but no larger than a standard deviation."""
    wanted = step * sigma
    return np.maximum(wanted, np.minimum(sigma, _LEAST_STEP * np.abs(loc)))


def _differences(
    f: Callable[[np.ndarray], np.ndarray], loc: np.ndarray, steps: np.ndarray, order: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """f at the mean, its gradient, and its Hessian or the diagonal, from points around.

    Order 0 asks for f alone, 1 for the diagonal, 2 for all.  With
    ``δ(v) = f(μ + v) + f(μ − v) − 2 f(μ)`` an entry off the diagonal comes from
    ``δ(v_k + v_j) − δ(v_k) − δ(v_j)``.
    """
    d = len(loc)
    one = np.arange(d if order else 0)
    k, j = (np.concatenate([one, off]) for off in np.tril_indices(d if order == 2 else 0, -1))
    sign = np.repeat([0.0, 1.0, -1.0], [1, len(k), len(k)])
    values = _moved(f, loc, steps, np.append(0, np.tile(k, 2)), np.append(0, np.tile(j, 2)), sign)
    value, (up, down) = float(values[0]), values[1:].reshape(2, -1)
    with np.errstate(invalid="ignore", over="ignore"):
        bends = up + down - 2 * value
        if not order:
            return value, bends, bends
        slopes, curves = (up - down)[:d] / (2 * steps), bends[:d] / steps**2
        if order == 1:
            return value, slopes, curves
        k, j, both = k[d:], j[d:], bends[d:]
        hessian = np.diag(curves)
        hessian[k, j] = hessian[j, k] = (both - bends[k] - bends[j]) / (2 * steps[k] * steps[j])
    return value, slopes, hessian


def _moved(
    f: Callable[[np.ndarray], np.ndarray], loc: np.ndarray, steps: np.ndarray,
    k: np.ndarray, j: np.ndarray, sign: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """f at the mean moved along the coordinates k and j, which may be the same."""
    count = max(1, _AT_ONCE // len(loc))
    values = []
    for first in range(0, len(k), count):
        one, other, by = (a[first : first + count] for a in (k, j, sign))
        x = np.tile(loc, (len(one), 1))
        rows = np.arange(len(one))
        x[rows, one] += by * steps[one]
        x[rows, other] += np.where(one == other, 0.0, by * steps[other])
        values.append(f(x))
    return np.concatenate(values)


def _without_noise(hessian: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Differences as a diagonal if nothing else stands out: a sample then takes O(d), not O(d²)."""
    if hessian.ndim == 1:
        return hessian
    scaled = np.abs(hessian * sigma[:, None] * sigma)
    diagonal = np.diag(hessian).copy()
    if np.all(scaled - np.diag(np.diag(scaled)) <= _NOISE * scaled.max()):
        return diagonal
    return hessian


# --- expectations: tr(H Σ), and the derivatives of E h by the free entries of the parameters ---

Expectation = Callable[[Any, np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def _expectation_of(name: str, p: Family) -> Expectation:
    """The closed forms for a family."""
    from fastscore.families import LowRankMultivariateNormal, MultivariateNormal, Normal

    known: dict[type, Expectation] = {
        Normal: _normal, MultivariateNormal: _multivariate, LowRankMultivariateNormal: _low_rank,
    }  # fmt: skip
    if type(p) not in known:
        raise ValueError(
            f"{name}=DeltaMethod(): p is a {type(p).__name__}, and the moments of a quadratic are "
            "known here for Normal, MultivariateNormal and LowRankMultivariateNormal only: give "
            "fs.ControlVariate(h, mean)"
        )
    return known[type(p)]


def _times(hessian: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``H A`` for a Hessian or its diagonal."""
    return hessian[:, None] * columns if hessian.ndim == 1 else hessian @ columns


def _diagonal(hessian: np.ndarray) -> np.ndarray:
    return hessian if hessian.ndim == 1 else np.diag(hessian)


def _normal(p: Any, g: np.ndarray, hessian: np.ndarray) -> tuple[float, np.ndarray]:
    """``∂_σ = H_kk σ``, by η as ``H_kk σ² ∂ log σ/∂η``; a shared scalar sums coordinates."""
    scale, unit = p._scale
    squares = _diagonal(hessian) * scale**2
    natural = np.concatenate([g, squares * unit])
    return float(squares.sum()), np.bincount(p.index, weights=natural, minlength=p.size)


def _multivariate(p: Any, g: np.ndarray, hessian: np.ndarray) -> tuple[float, np.ndarray]:
    """``∂_L = tril(H L)``, ``∂_Σ = H/2``, and ``∂_P = −Σ H Σ/2`` by ``P = Σ⁻¹``."""
    matrix = p.base.matrix
    moved = _times(hessian, matrix.scale)
    trace = float(np.sum(matrix.scale * moved))
    if matrix.name == "scale_tril":
        by_places = moved
    elif matrix.name == "covariance_matrix":
        by_places = _times(hessian, np.eye(p.d))
    else:
        by_places = -matrix.covariance @ _times(hessian, matrix.covariance)
    if matrix.name != "scale_tril":  # an entry off the diagonal has two places
        by_places = by_places - np.diag(np.diag(by_places)) / 2
    return trace, np.concatenate([g, by_places[np.tril_indices(p.d)]])


def _low_rank(p: Any, g: np.ndarray, hessian: np.ndarray) -> tuple[float, np.ndarray]:
    """``∂_W = H W`` and ``∂_D = diag(H)/2``."""
    factor, diagonal = p.parameters["cov_factor"], p.parameters["cov_diag"]
    moved, curves = _times(hessian, factor), _diagonal(hessian)
    trace = float(np.sum(factor * moved) + np.sum(curves * diagonal))
    return trace, np.concatenate([g, moved.ravel(), curves / 2])


__all__ = ["DeltaMethod"]
