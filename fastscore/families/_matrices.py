"""The matrix of a multivariate normal, as its Cholesky factor, its covariance or its precision.

Its free entries are those on and below the diagonal, row by row.  In each form the score by one of
them is ``factor · (a_i b_j − c_ij)`` with columns a and b out of z, ``u = L⁻ᵀ z`` and ``y = L z``
(`packed` has c and the factors, ``_standard_normal`` the columns).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.jit import plain
from fastscore.engine.memory import offset
from fastscore.engine.triangles import packed_to_solve, packed_triangle, triangle_size
from fastscore.families._information import MOST_DENSE

#: Numbers at the start of what is packed: whether the factor is that of the precision, ``L⁻¹``;
#: whether the score is by L; log|L⁻¹|; the factors of scores off and on the diagonal.
HEADER = 5
INVERTED, BY_SCALE, LOG_DET, OFF_DIAGONAL, DIAGONAL = range(HEADER)
#: Asymmetry allowed, relative to the diagonal.
_ASYMMETRY = 1e-8
#: Scores by the covariance (precision) overflow when an entry of ``L⁻¹`` (of L) is larger.
_LARGEST = 1e153
#: Columns of a Fisher matrix that are made together.
_AT_ONCE = 64


@dataclass(frozen=True)
class Matrix:
    """A positive definite matrix, given in one of three forms.

    Attributes
    ----------
    name : str
        ``scale_tril``, ``covariance_matrix`` or ``precision_matrix``.
    given : ndarray of shape (d, d)
        What was given.
    scale, inverse : ndarray
        L, lower triangular, and its inverse.
    """

    name: str
    given: np.ndarray
    scale: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, name: str, given: np.ndarray) -> Matrix:
        """Check what was given, and factor it."""
        if name == "scale_tril":
            factor = _checked_triangle(name, given)
        else:
            order = -1 if name == "precision_matrix" else 1
            factor = _cholesky(name, given[::order, ::order])
            # P = Kᵀ K with K lower triangular: the factor of P in reverse order, reversed.
            factor = factor if order == 1 else factor[::-1, ::-1].T
        other = _inverse(factor)
        scale, inverse = (other, factor) if name == "precision_matrix" else (factor, other)
        if not np.all(np.abs([scale, inverse]) < _LARGEST):  # also where it is NaN
            raise ValueError(
                f"{name} is so large, or so close to singular, that scores overflow: rescale x"
            )
        return cls(name, given, scale, inverse)

    @cached
    def covariance(self) -> np.ndarray:
        """``L Lᵀ``."""
        return self.given if self.name == "covariance_matrix" else self.scale @ self.scale.T

    @cached
    def precision(self) -> np.ndarray:
        """Its inverse."""
        return self.given if self.name == "precision_matrix" else self.inverse.T @ self.inverse

    @property
    def log_det(self) -> float:
        """``log|L|``."""
        return float(np.sum(np.log(np.diag(self.scale))))

    def packed(self, loc: np.ndarray) -> np.ndarray:
        """What the kernels read, with the loc; `places` finds it."""
        inverted, by_scale = self.name == "precision_matrix", self.name == "scale_tril"
        sign = -1.0 if inverted else 1.0
        header = [inverted, by_scale, -self.log_det, sign, sign if by_scale else sign / 2]
        factor = self.inverse if inverted else self.scale
        transpose = (packed_triangle if inverted else packed_to_solve)(factor[::-1, ::-1].T)
        shift = self._expected.ravel()
        matrices = [packed_triangle(factor), packed_to_solve(factor), transpose, shift]
        return np.concatenate([header, loc, np.zeros(len(loc)), *matrices, [0.0]])

    @property
    def _expected(self) -> np.ndarray:
        """``E[a bᵀ]``, on and below the diagonal."""
        if self.name == "scale_tril":
            return np.diag(1 / np.diag(self.scale))
        return self._metric

    @property
    def _metric(self) -> np.ndarray:
        """The inverse of what was given, by which its Fisher information is made."""
        return self.covariance if self.name == "precision_matrix" else self.precision

    def form_of(self, scale: np.ndarray) -> np.ndarray:
        """The matrix of this form for the covariance ``S Sᵀ`` of any square S."""
        _, upper = np.linalg.qr(scale.T)
        factor = upper.T * np.where(np.diag(upper) < 0, -1.0, 1.0)
        if self.name == "scale_tril":
            return factor
        if self.name == "covariance_matrix":
            return factor @ factor.T
        inverse = _inverse(factor)
        return inverse.T @ inverse

    def shaped(self, values: np.ndarray, *, scaled: bool) -> np.ndarray:
        """Values by free entries as a matrix; if ``scaled``, derivatives as G or errors of it.

        Of a symmetric matrix G is the symmetric one with ``dF = Σ G_ij dA_ij``: an entry off the
        diagonal stands in two places, each of which has half of its derivative.
        """
        lower = self._lower(values)
        if self.name == "scale_tril":
            return lower
        return (lower + lower.T) / 2 if scaled else lower + np.tril(lower, -1).T

    def _lower(self, values: np.ndarray) -> np.ndarray:
        lower = np.zeros(values.shape[:-1] + self.given.shape)
        lower[..., *self._entries] = values
        return lower

    @cached
    def _entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the free entries."""
        return np.tril_indices(len(self.given))

    def fisher_times(self, values: np.ndarray) -> np.ndarray:
        """Products of the Fisher information of the free entries with vectors (..., k)."""
        lower = self._lower(values)
        if self.name == "scale_tril":
            by_square = np.diag(1 / np.diag(self.scale) ** 2)
            product = self.precision @ lower + by_square * lower
        else:
            both = lower + np.tril(lower, -1).swapaxes(-1, -2)
            product = self._metric @ both @ self._metric
            product *= 1 - np.eye(len(self.given)) / 2
        return product[..., *self._entries]


@plain
def places(params, d):
    """Where `packed` has loc, zeros, the factor to multiply by and to solve for, its transpose to
    make ``u = L⁻ᵀ z``, and the shift c."""
    loc = offset(params, HEADER)
    factor = offset(loc, 2 * d)
    size = triangle_size(d)
    transpose = offset(factor, 2 * size)
    return loc, offset(loc, d), factor, offset(factor, size), transpose, offset(transpose, size)


def matrix_of(times: Callable[[np.ndarray], np.ndarray], size: int) -> Any:
    """The symmetric matrix of these products with vectors (..., P).

    It is dense, or a LinearOperator where that would be large.
    """
    if size <= MOST_DENSE:
        out = np.empty((size, size))
        for first in range(0, size, _AT_ONCE):
            last = min(first + _AT_ONCE, size)
            rows = times(np.eye(last - first, size, first))[:, :last]
            square = rows[:, first:]
            rows[:, first:] = square / 2 + square.T / 2
            out[first:last, :last], out[:last, first:last] = rows, rows.T
        return out
    from scipy.sparse.linalg import LinearOperator

    def product(v: np.ndarray) -> np.ndarray:
        return times(v.ravel())

    return LinearOperator((size, size), matvec=product, rmatvec=product, dtype=np.float64)


def square(name: str, value: Any, d: int) -> np.ndarray:
    """A checked parameter of shape (d, d); a symmetric one exactly so."""
    given = checks.parameter(name, value)
    if given.shape != (d, d):
        raise ValueError(f"{name} has shape {given.shape}: give it the shape ({d}, {d}), as of loc")
    if name == "scale_tril":
        return given
    scale = np.sqrt(np.abs(np.diag(given)))
    close = np.abs(given - given.T) <= _ASYMMETRY * scale[:, None] * scale
    checks.require(name, given, close, f"symmetric, to {_ASYMMETRY:g} of its diagonal")
    given = given / 2 + given.T / 2
    given.flags.writeable = False
    return given


def _checked_triangle(name: str, given: np.ndarray) -> np.ndarray:
    above = np.triu(np.ones(given.shape, dtype=bool), 1)
    checks.require(name, given, ~above | (given == 0), "lower triangular, 0 above the diagonal")
    positive = ~np.eye(len(given), dtype=bool) | (given > 0)
    checks.require(name, given, positive, "positive on the diagonal")
    return given


def _cholesky(name: str, given: np.ndarray) -> np.ndarray:
    from scipy.linalg import LinAlgError, cholesky, eigvalsh

    try:
        factor: np.ndarray = cholesky(given, lower=True)
    except LinAlgError:
        least = float(eigvalsh(given)[0])
        raise ValueError(
            f"{name} is not positive definite: its smallest eigenvalue is {least!r}"
        ) from None
    return factor


def _inverse(factor: np.ndarray) -> np.ndarray:
    from scipy.linalg import solve_triangular

    inverse: np.ndarray = solve_triangular(factor, np.eye(len(factor)), lower=True)
    return inverse
