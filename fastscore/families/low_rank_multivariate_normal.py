"""Normals whose covariance is a matrix of low rank and a diagonal: for many coordinates."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.families._family import Family
from fastscore.families._low_rank import accumulate, log_probs, packed, sample, score
from fastscore.families._matrices import matrix_of
from fastscore.families._support import Support

#: Below, scores by the diagonal would overflow.
_LEAST = 1e-300


class LowRankMultivariateNormal(Family):
    """A multivariate normal of covariance ``Σ = W Wᵀ + diag D``: ``x = loc + W e + √D ε``.

    Parameters
    ----------
    loc : array_like of shape (d,)
        Mean.
    cov_factor : array_like of shape (d, r)
        W.
    cov_diag : array_like of shape (d,)
        D, at least 1e-300.

    Raises
    ------
    ValueError
        If a parameter is not finite or has another shape, or D is too small.

    Notes
    -----
    Density
        ``exp(−½ yᵀ Σ⁻¹ y)/√det(2πΣ)``, y being ``x − loc``.
    Score
        With ``u = Σ⁻¹ y``: ``u`` by loc, ``u (Wᵀ u)ᵀ − Σ⁻¹ W`` by W and ``(u² − diag Σ⁻¹)/2`` by D.
    Fisher information
        ``Σ⁻¹`` of loc; ``½ tr(Σ⁻¹ dΣ Σ⁻¹ dΣ′)`` of changes dΣ and dΣ′ of Σ; 0 between the two.
    Sampler
        d + r standard normals e and ε.

    Sampling, score and log-density take O(d r) per sample, by the identity of Woodbury.
    """

    sample_kernel = sample
    score_kernel = score
    log_probs_kernel = log_probs
    accumulate_kernel = accumulate

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any) -> None:
        given = {"loc": loc, "cov_factor": cov_factor, "cov_diag": cov_diag}
        arrays = {name: checks.parameter(name, value) for name, value in given.items()}
        loc, factor, diagonal = arrays.values()
        if not (loc.ndim == 1 and factor.ndim == 2 and len(factor) == len(diagonal) == len(loc)):
            raise ValueError(
                f"loc, cov_factor and cov_diag have shapes {loc.shape}, {factor.shape} and "
                f"{diagonal.shape}: give them (d,), (d, r) and (d,)"
            )
        checks.require("cov_diag", diagonal, diagonal >= _LEAST, f"at least {_LEAST}")
        self.parameters = MappingProxyType(arrays)
        self.d, self.rank = factor.shape
        self.size = self.d * (self.rank + 2)
        self.index = np.arange(self.size)
        # Of orthonormal columns of [W/√D, 1]: Σ⁻¹ = (1 − Q Qᵀ)/√D√D, without squaring W.
        root = np.sqrt(diagonal)
        columns, triangle = np.linalg.qr(np.vstack([factor / root[:, None], np.eye(self.rank)]))
        self._root, self._columns = root, columns[: self.d]
        self._log_det = float(np.sum(np.log(root)) + np.sum(np.log(np.abs(np.diag(triangle)))))
        self._solved = np.linalg.solve(triangle, self._columns.T).T / root[:, None]
        expected = (1 - np.sum(self._columns**2, axis=1)) / diagonal
        constant = -self._log_det - self.d * math.log(2 * math.pi) / 2
        vectors = [loc, diagonal, root, expected]
        self.packed = packed(self.rank, constant, factor, self._solved, vectors)

    @property
    def mean(self) -> np.ndarray:
        """``loc``."""
        return self.parameters["loc"]

    @property
    def variance(self) -> np.ndarray:
        """The diagonal of Σ."""
        return np.sum(self.parameters["cov_factor"] ** 2, axis=1) + self.parameters["cov_diag"]

    def entropy(self) -> float:
        """``½ log|Σ| + d (1 + log 2π)/2``."""
        return self._log_det + self.d * (1 + math.log(2 * math.pi)) / 2

    def fisher(self) -> Any:
        """Fisher information, (P, P).

        Returns
        -------
        ndarray or scipy.sparse.linalg.LinearOperator
            An operator beyond 4,096 parameter entries, whose products take ``O(d r²)``.
        """
        return matrix_of(self._fisher_times, self.size)

    def _fisher_times(self, v: np.ndarray) -> np.ndarray:
        """Of changes of W and D, and thus dΣ: ``Σ⁻¹ dΣ Σ⁻¹ W`` and ``½ diag Σ⁻¹ dΣ Σ⁻¹``."""
        factor, diagonal = self.parameters["cov_factor"], self.parameters["cov_diag"]
        loc, by_factor, by_diagonal = np.split(v, [self.d, self.size - self.d], axis=-1)
        change, solved = by_factor.reshape(*v.shape[:-1], *factor.shape), self._solved
        moved = change @ (factor.T @ solved) + factor @ (change.swapaxes(-1, -2) @ solved)
        moved += by_diagonal[..., None] * solved
        basis = self._columns / self._root[:, None]
        inner = basis.T * by_diagonal[..., None, :] @ basis
        diagonals = np.sum(basis @ inner * basis + 2 * self._solve(change) * solved, axis=-1)
        diagonals += by_diagonal / diagonal * (1 / diagonal - 2 * np.sum(basis**2, axis=1))
        parts = [self._solve(loc[..., None]), self._solve(moved), diagonals / 2]
        return np.concatenate([part.reshape(*v.shape[:-1], -1) for part in parts], axis=-1)

    def _solve(self, columns: np.ndarray) -> np.ndarray:
        """``Σ⁻¹`` times columns (..., d, k)."""
        scaled = columns / self._root[:, None]
        return (scaled - self._columns @ (self._columns.T @ scaled)) / self._root[:, None]

    @property
    def support_set(self) -> Support:
        """All reals."""
        return Support.reals(self.d)


__all__ = ["LowRankMultivariateNormal"]
