"""Normals with any covariance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.engine.blocks import FORWARD, INVERSE
from fastscore.engine.far import discard_above, mark_nan
from fastscore.engine.jit import tile_kernel
from fastscore.engine.memory import offset, vector
from fastscore.engine.triangles import affine, multiply, solve
from fastscore.families._matrices import INVERTED, LOG_DET, Matrix, places, square
from fastscore.families._pushforward import Pushforward
from fastscore.families._standard_normal import StandardNormal
from fastscore.families._support import Support

#: Beyond, the density is 0: z² overflows.
_FARTHEST = 1e154


@tile_kernel(FORWARD)
def _forward(params, z, rows, d, stride, x):
    loc, zeros, factor, to_solve, _, _ = places(params, d)
    if params[INVERTED] == 0.0:
        multiply(factor, loc, z, rows, d, stride, x)
    else:
        solve(to_solve, zeros, z, rows, d, stride, x)
        for k in range(d):
            column = vector(offset(x, k * stride), rows)
            affine(loc[k], 1.0, column, rows, column)


@tile_kernel(INVERSE)
def _inverse(params, x, rows, d, stride, z, log_det):
    loc, zeros, factor, to_solve, _, _ = places(params, d)
    mark_nan(x, d, rows, stride, log_det)
    if params[INVERTED] == 0.0:
        solve(to_solve, loc, x, rows, d, stride, z)
    else:
        for k in range(d):
            target = vector(offset(z, k * stride), rows)
            affine(-loc[k], 1.0, vector(offset(x, k * stride), rows), rows, target)
        multiply(factor, zeros, z, rows, d, stride, z)
    discard_above(_FARTHEST, z, d, rows, stride, log_det)
    total = vector(log_det, rows)
    affine(params[LOG_DET], 1.0, total, rows, total)


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

    A triangular or symmetric matrix has ``d (d + 1)/2`` free entries: those on and below the
    diagonal, row by row.  The score is by them; of a symmetric matrix one off the diagonal moves
    both of its places.  A gradient comes as a matrix: by L lower triangular, else the symmetric G
    with ``dF = Σ G_ij dΣ_ij``.
    """

    forward_kernel = _forward
    inverse_kernel = _inverse
    base: StandardNormal

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
    ) -> None:
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

    @property
    def mean(self) -> np.ndarray:
        """``loc``."""
        return self.parameters["loc"]

    @property
    def variance(self) -> np.ndarray:
        """The diagonal of Σ."""
        return np.diag(self.base.matrix.covariance)

    def entropy(self) -> float:
        """``log|L| + d (1 + log 2π)/2``."""
        return self.base.matrix.log_det + self.d * (1 + math.log(2 * math.pi)) / 2

    @property
    def support_set(self) -> Support:
        """All reals."""
        return Support.reals(self.d)

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        """Mean and covariance, whose scale in no direction falls below the floor."""
        mean = np.einsum("n,nk->k", shares, x)
        matrix = self.base.matrix
        z = np.einsum("nk,ik->ni", x - mean, matrix.inverse)
        values, vectors = np.linalg.eigh(np.einsum("ni,nj->ij", z * shares[:, None], z))
        scale = matrix.scale @ vectors * np.sqrt(np.maximum(values, least**2))
        return {"loc": mean, matrix.name: matrix.form_of(scale)}


__all__ = ["MultivariateNormal"]
