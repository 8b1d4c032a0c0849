"""Normals with any covariance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.families._matrices import Matrix, square
from fastscore.families._path import Path
from fastscore.families._pushforward import Pushforward
from fastscore.families._standard_normal import StandardNormal, contract, forward, inverse
from fastscore.families._support import Support, all_reals


class MultivariateNormal(Pushforward):
    """A multivariate normal ``x = loc + L z`` of covariance ``Σ = L Lᵀ``.

    Parameters
    ----------
    loc : array_like of shape (d,)
        Mean.
    covariance_matrix, precision_matrix, scale_tril : array_like of shape (d, d)
        One of Σ, its inverse and L, which is lower triangular with a positive diagonal.

    Raises
    ------
    ValueError
        If a parameter is not finite or has another shape, Σ or its inverse is not symmetric (to
        1e-8 of its diagonal) and positive definite, or L is not lower triangular with a positive
        diagonal.

    Notes
    -----
    Density
        ``exp(−½ yᵀ Σ⁻¹ y)/√det(2πΣ)``, y being ``x − loc``.
    Score
        With ``z = L⁻¹ y`` and ``u = Σ⁻¹ y``: ``u`` by loc, ``u zᵀ − diag 1/L`` by L,
        ``(u uᵀ − Σ⁻¹)/2`` by Σ and ``(Σ − y yᵀ)/2`` by the precision.
    Fisher information
        ``Σ⁻¹`` of loc; ``½ tr(Σ⁻¹ dΣ Σ⁻¹ dΣ′)`` of changes dΣ and dΣ′ of Σ; 0 between the two.
    Sampler
        Standard normals z, of which the score is computed; f sees ``loc + L z``.
    Moments
        Mean loc, variance the diagonal of Σ; entropy ``½ log det(2πe Σ)``.

    A triangular or symmetric matrix has ``d (d + 1)/2`` free entries: those on and below the
    diagonal, row by row.  The score is by them; of a symmetric matrix one off the diagonal moves
    both of its places.  A gradient comes as a matrix: by L lower triangular, else the symmetric G
    with ``dF = Σ G_ij dΣ_ij``.
    """

    exponential_family = True
    forward_kernel = forward
    inverse_kernel = inverse
    base: StandardNormal

    def __init__(
        self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None,
        scale_tril: Any = None,
    ) -> None:  # fmt: skip
        name, value = checks.exactly_one(
            "MultivariateNormal", covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix, scale_tril=scale_tril,
        )  # fmt: skip
        center = checks.parameter("loc", loc)
        if center.ndim != 1:
            raise ValueError(f"loc has shape {center.shape}: give a vector, of shape (d,)")
        matrix = Matrix.of(name, square(name, value, len(center)))
        self._push(StandardNormal(center, matrix))

    @property
    def map_params(self) -> np.ndarray:
        """What the base has packed."""
        return self.base.packed

    @cached
    def path(self) -> Path:
        """``∂x = ∂loc + ∂L z``; of other forms ``½ ∂Σ u``, of the same law."""
        return Path(contract, (self.base.matrix.covariance,))

    @property
    def variance(self) -> np.ndarray:
        """The diagonal of Σ."""
        return np.diag(self.base.matrix.covariance)

    def _moments(self) -> dict[str, Any]:
        entropy = self.base.matrix.log_det + self.d * (1 + math.log(2 * math.pi)) / 2
        return {"mean": self.parameters["loc"], "entropy": entropy}

    @property
    def support_set(self) -> Support:
        """All reals."""
        return all_reals(self.d)

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        """Mean and covariance, whose scale in no direction falls below the floor."""
        mean = np.einsum("n,nk->k", shares, x)
        matrix = self.base.matrix
        z = np.einsum("nk,ik->ni", x - mean, matrix.inverse)
        values, vectors = np.linalg.eigh(np.einsum("ni,nj->ij", z * shares[:, None], z))
        scale = matrix.scale @ vectors * np.sqrt(np.maximum(values, least**2))
        return {"loc": mean, matrix.name: matrix.form_of(scale)}


__all__ = ["MultivariateNormal"]
