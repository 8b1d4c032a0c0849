"""Dirichlet vectors: proportions that sum to 1."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.gammas import FEWEST
from fastscore.families._coordinates import Coordinates
from fastscore.families._information import block_diagonal
from fastscore.families._parameters import positive
from fastscore.families._path import Path
from fastscore.families._scoring import most_likely
from fastscore.families._simplex import FIELDS, entropy, log_constant, log_probs, sample, score
from fastscore.families._special import digamma_excess, trigamma_difference
from fastscore.families._support import Support, Tie
from fastscore.families.bijection import EXP


class Dirichlet(Coordinates, low=0.0, high=1.0, fields=FIELDS, score=score):
    """One vector of K proportions that sum to 1, or several independent ones side by side.

    Parameters
    ----------
    concentration : array_like
        The a, positive, of shape (K,), or (m, K) for m vectors; x has all ``m K`` proportions.
    log_concentration : array_like
        Their logarithms, in place of them.

    Raises
    ------
    ValueError
        If a concentration is not positive or not finite, or a vector has no two of them.

    Notes
    -----
    Density
        ``Γ(A)/(Γ(a_1) … Γ(a_K)) Π x_i^(a_i − 1)``, A being the sum of the a, of the first K − 1
        proportions; 0 where they and the last do not sum to 1 within 1e-6.
    Score
        ``log x_i − ψ(a_i) + ψ(A)``; by the logarithm times a_i.
    Fisher information
        Of a vector ``diag ψ′(a_i) − ψ′(A)``; by the logarithms times a_i and a_j.
    Sampler
        Gammas, divided by their sum.  If a concentration is below 0.06, log x is drawn and kept:
        where x underflows, f sees 0, and the score is exact.
    Moments
        Mean ``a/A``, variance ``a (A − a)/(A² (A + 1))``; entropy of a vector
        ``Σ log Γ(a_i) − log Γ(A) + (A − K) ψ(A) − Σ (a_i − 1) ψ(a_i)``.
    """

    exponential_family = True
    sample_kernel = sample
    log_probs_kernel = log_probs
    floors: ClassVar[dict[str, float]] = {"concentration": -2}

    def __init__(self, concentration: Any = None, *, log_concentration: Any = None) -> None:
        given = positive("Dirichlet", "concentration", concentration, log_concentration)
        (self._concentration,) = self._set(given)
        shape = self.parameters[given.name].shape
        if len(shape) not in (1, 2) or shape[-1] < 2:
            raise ValueError(
                f"{given.name} has shape {shape}: give (K,) for one vector of K proportions, or "
                "(m, K) for m of them, K at least 2"
            )
        self.classes = shape[-1]

    @property
    def _rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Concentrations, (m, K), their totals, (m, 1), and what these lack for being rounded."""
        a = self._concentration.value.reshape(-1, self.classes)
        total = np.array([[math.fsum(row)] for row in a])
        low = np.array([[math.fsum([*row, -one])] for row, (one,) in zip(a, total, strict=True)])
        return a, total, low

    def _record(self) -> dict[str, Any]:
        a, total, low = self._rows
        value, unit = self._concentration
        constant = np.zeros(a.shape)
        constant[:, 0] = log_constant(a, total[:, 0])
        return {
            "classes": self.classes, "concentration": value, "by": value * unit,
            "total": np.repeat(total, self.classes), "total_low": np.repeat(low, self.classes),
            "constant": constant.ravel(),
            "excess": (digamma_excess(a) - digamma_excess(total)).ravel(),
        }  # fmt: skip

    def _information(self) -> Any:
        """Of each vector, (K, K)."""
        from scipy.special import polygamma

        a, total, low = self._rows
        blocks = np.broadcast_to(-polygamma(1, total)[:, :, None], (*a.shape, self.classes)).copy()
        diagonal = np.arange(self.classes)
        blocks[:, diagonal, diagonal] = trigamma_difference(a, total - a + low)
        unit = a * self._concentration.unit.reshape(a.shape)
        return blocks * unit[:, :, None] * unit[:, None, :]

    def fisher(self) -> Any:
        """Fisher information, (P, P), a block for each vector; sparse beyond 4,096 entries."""
        return block_diagonal(list(self._information()), self.size)

    @property
    def underflows(self) -> bool:
        """Whether samples may underflow."""
        return bool(np.any(self._concentration.value < FEWEST))

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """Logarithms, where a sample could underflow."""
        from fastscore.families._log_dirichlet import LogDirichlet

        return (LogDirichlet, EXP.forward_kernel) if self.underflows else None

    #: Whether samples are logarithms of x.
    _logarithms: ClassVar[bool] = False

    @cached
    def _implicit_path(self) -> Path:
        """By that of each proportion."""
        from fastscore.families._simplex_path import of_simplex

        a, total, low = self._rows
        by = self._concentration.value * self._concentration.unit
        return of_simplex(a, total - a + low, by, logarithms=self._logarithms)

    def _moments(self) -> dict[str, Any]:
        a, total, low = self._rows
        mean = a / total
        variance = mean * ((total - a + low) / total) / (total + 1)
        return {"mean": mean.ravel(), "variance": variance.ravel(), "entropy": entropy(a, total)}

    @property
    def support_set(self) -> Support:
        """A simplex for each vector."""
        starts = range(0, self.d, self.classes)
        ties = [Tie(start, start + self.classes, "simplex") for start in starts]
        return Support.reals(self.d, 0.0, 1.0, ties=ties)

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        """An x may round to 1."""
        on_simplex = np.isfinite(self.log_density(x))[:, None]
        checks.require("x", x, (x > 0) & on_simplex, "positive, and sum to 1")
        return most_likely(self, x, shares, self.floors, least)


__all__ = ["Dirichlet"]
