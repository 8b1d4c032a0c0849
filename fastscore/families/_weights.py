"""Families whose parameters are weights of K classes, or their logarithms: what they share."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.families._family import Family
from fastscore.families._fitting import probabilities
from fastscore.families._information import block_diagonal
from fastscore.families._two_valued import FAINTEST

#: Larger weights would overflow in their sum.
_LARGEST = 1e300


class Weights(Family):
    """One variable of K classes, or several independent ones.

    Attributes
    ----------
    classes : int
        K.
    """

    classes: int
    #: Of each class of each variable, (variables, K).
    _probs: np.ndarray
    _log_probs: np.ndarray
    #: How often each variable is drawn.
    _trials: Any = 1

    def _set_weights(self, probs: Any, logits: Any) -> None:
        """Validate and store the parameter; make the probabilities."""
        name, value = checks.exactly_one(type(self).__name__, probs=probs, logits=logits)
        given = checks.parameter(name, value, least=-np.inf if name == "logits" else None)
        if given.ndim not in (1, 2):
            raise ValueError(
                f"{name} has shape {given.shape}: give (K,) for one variable of K classes, or "
                "(d, K) for d of them"
            )
        if name == "probs":
            checks.require("probs", given, given >= 0, "not negative")
            checks.require("probs", given, given < _LARGEST, f"below {_LARGEST}")
            with np.errstate(divide="ignore"):
                weights = np.log(given)
        else:
            weights = given
        rows = weights.reshape(-1, given.shape[-1])
        if np.isneginf(rows).all(axis=1).any():
            raise ValueError(f"{name} excludes every class of a variable: give one that can occur")
        self.parameters = MappingProxyType({name: given})
        self.classes = rows.shape[1]
        self.size = given.size
        self.index = np.arange(self.size)
        from scipy.special import log_softmax

        with np.errstate(over="ignore"):
            self._log_probs = log_softmax(rows, axis=1)
        self._probs = np.exp(self._log_probs)

    def _complements(self) -> np.ndarray:
        """``1 − p``; of the most probable class as a sum, since its p may round to 1."""
        rest = 1 - self._probs
        top = self._probs.argmax(axis=1)
        others = self._probs.copy()
        np.put_along_axis(others, top[:, None], 0.0, axis=1)
        np.put_along_axis(rest, top[:, None], others.sum(axis=1)[:, None], axis=1)
        return rest

    def require_score(self) -> None:
        """Raise a ValueError at a probability of 0, which has no score."""
        if "probs" in self.parameters:
            probs = self.parameters["probs"]
            faint = (probs <= FAINTEST) | (self._probs.reshape(probs.shape) <= FAINTEST)
            checks.require(
                "probs", probs, ~faint,
                f"above {FAINTEST}, also of the sum, for its score to exist (logits=-inf excludes "
                "a class, with gradient 0)",
            )  # fmt: skip

    def fisher(self) -> Any:
        """Fisher information, (P, P), a block for each variable; singular by logits and probs.

        Sparse beyond 4,096 parameter entries.
        """
        self.require_score()
        blocks = []
        ((name, given),) = self.parameters.items()
        by_logit, weights = name == "logits", given.reshape(self._probs.shape)
        trials = np.broadcast_to(self._trials, len(weights))
        rows = zip(trials, self._probs, self._complements(), weights, strict=True)
        for n, p, rest, weight in rows:
            block = -np.outer(p, p)
            np.fill_diagonal(block, p * rest)
            # By weights θ with p = θ/S: ∂ log p_a/∂θ = (∂ by log θ)/θ.
            blocks.append(n * (block if by_logit else block / np.outer(weight, weight)))
        return block_diagonal(blocks, self.size)

    def _fit_weights(self, shares: np.ndarray, least: float) -> dict[str, Any]:
        """From the share of each class of each variable, rows that sum to 1."""
        fitted = probabilities(shares, self._probs, least)
        if "probs" in self.parameters:
            return {"probs": fitted}
        with np.errstate(divide="ignore"):
            return {"logits": np.log(fitted)}


def table_moments(probs: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    """Those of variables with these probabilities, (d, K), of the values (K,)."""
    from scipy.special import entr

    mean = probs @ values
    variance = np.sum(probs * (values - mean[:, None]) ** 2, axis=1)
    return {"mean": mean, "variance": variance, "entropy": entr(probs)}


__all__ = ["Weights", "table_moments"]
