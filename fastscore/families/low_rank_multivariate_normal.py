"""Normals whose covariance is a matrix of low rank and a diagonal: for many coordinates."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.families._family import Family
from fastscore.families._low_rank import (
    LowRank,
    accumulate,
    contract,
    log_probs,
    sample,
    score,
)
from fastscore.families._matrices import matrix_of
from fastscore.families._path import Path
from fastscore.families._support import Support, all_reals

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
    Moments
        Mean loc, variance the diagonal of Σ; entropy ``½ log det(2πe Σ)``.

    Sampling, score and log-density take O(d r) per sample, by the identity of Woodbury.
    """

    sample_kernel = sample
    score_kernel = score
    log_probs_kernel = log_probs
    accumulate_kernel = accumulate

    @property
    def words(self) -> int:
        """Words of a sample: those of the common normals too."""
        return self.d + self.parameters["cov_factor"].shape[1]

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
        self._matrix = LowRank.of(factor, diagonal)
        self.packed = self._matrix.packed(loc)

    def _moments(self) -> dict[str, Any]:
        loc, factor, diagonal = self.parameters.values()
        entropy = self._matrix.log_det + self.d * (1 + math.log(2 * math.pi)) / 2
        variance = np.sum(factor**2, axis=1) + diagonal
        return {"mean": loc, "variance": variance, "entropy": entropy}

    @property
    def centre(self) -> np.ndarray:
        """The mean."""
        return self.parameters["loc"]

    @property
    def own_path(self) -> Path:
        """``∂x = ∂loc + ∂W e + ∂√D ε``, averaged given x."""
        return Path(contract, ())

    def fisher(self) -> Any:
        """Fisher information, (P, P).

        Returns
        -------
        ndarray or scipy.sparse.linalg.LinearOperator
            An operator beyond 4,096 parameter entries, whose products take ``O(d r²)``.
        """
        return matrix_of(self._matrix.fisher_times, self.size)

    @property
    def support_set(self) -> Support:
        """All reals."""
        return all_reals(self.d)


__all__ = ["LowRankMultivariateNormal"]
