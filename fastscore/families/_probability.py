"""Families of one probability per coordinate, given as such or by its log-odds."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastscore import checks
from fastscore.families._family import Family
from fastscore.families._fitting import probabilities
from fastscore.families._parameters import FAINTEST, Spread, probability


class Probability(Family):
    """What they share: p and q = 1 − p, both and their logarithms to all digits.

    Attributes
    ----------
    p, q, log_p, log_q : ndarray
        Of shape (d,).
    unit : ndarray
        Derivative of the log-odds by the parameter, (d,).
    """

    #: Of the parameter.
    _names: ClassVar = ("probs", "logits")

    def _set_probability(self, probs: Any, logits: Any) -> None:
        (spread,) = self._set(probability(type(self).__name__, probs, logits, self._names))
        self._spread_probability(spread)

    def _spread_probability(self, spread: Spread) -> None:
        """Once `d` is known."""
        self._p, self._unit = (np.broadcast_to(value, self.d) for value in spread)
        if self._names[0] in self.parameters:
            self._q = 1 - self._p
            with np.errstate(divide="ignore"):
                self._log_p, self._log_q = np.log(self._p), np.log1p(-self._p)
        else:
            from scipy.special import expit, log_expit

            logit = np.broadcast_to(self.parameters[self._names[1]].ravel(), self.d)
            self._q = expit(-logit)
            self._log_p, self._log_q = log_expit(logit), log_expit(-logit)

    def require_score(self) -> None:
        """Raise a ValueError at a probability of 0 or 1, which has no score."""
        name, logits = self._names
        if name in self.parameters:
            probs = self.parameters[name]
            checks.require(
                name, probs, (probs > FAINTEST) & (probs < 1),
                f"above {FAINTEST} and below 1 for its score to exist (by {logits} it always does)",
            )  # fmt: skip

    def _fit_probability(
        self, failures: np.ndarray, successes: np.ndarray, least: float
    ) -> dict[str, Any]:
        """From how many of each there are in the samples, by coordinate; none at all change
        nothing."""
        current = np.column_stack([self._q, self._p])
        counted = np.column_stack([failures, successes])
        ((name, given),) = self.parameters.items()
        if given.size < self.d:
            current, counted = current[:1], counted.sum(axis=0, keepdims=True)
        total = counted.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, counted / np.maximum(total, 1e-300), current)
        zero, one = probabilities(shares, current, least).T
        if name == "logits":
            zero, one = np.maximum((zero, one), np.finfo(np.float64).tiny)
            return {name: np.log(one) - np.log(zero)}
        # One that is not certain must not round to 1.
        return {name: np.where(zero > 0, np.minimum(one, np.nextafter(1.0, 0.0)), one)}
