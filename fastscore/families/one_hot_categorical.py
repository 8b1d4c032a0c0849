"""Variables with one of K classes each, as vectors of zeros and a one."""

from __future__ import annotations

from typing import Any

from fastscore.families.multinomial import Multinomial


class OneHotCategorical(Multinomial):
    """One variable of K classes, or several side by side; x has a 1 at the class, and else 0.

    Parameters
    ----------
    probs : array_like
        Probabilities of the classes, of shape (K,), or (m, K) for m variables; x has all ``m K``
        entries.  As in torch they are weights: not negative, and divided by their sum.
    logits : array_like
        Log-weights in place of ``probs``; ``-inf`` excludes a class.

    Raises
    ------
    ValueError
        As `Categorical` does.

    Notes
    -----
    Density
        ``Π p_k^x_k``, p being ``probs/S`` and S their sum; 0 unless x is one 1 among zeros.
    Score
        ``(x_k/p_k − 1)/S`` by probability k; by logit k ``x_k − p_k``.
    Fisher information
        Of a variable ``(diag(1/p) − 1)/S²``; by the logits ``diag(p) − p pᵀ``.  Both are singular:
        a common factor of the weights changes nothing.
    Sampler
        The alias method, of one random word: probabilities are met to 2^-52.
    Moments
        Mean ``p``, variance ``p (1 − p)``; entropy ``−Σ p_k log p_k`` of a variable.
    """

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
        self._set_weights(probs, logits)
        self._set_trials(1)

    def _moments(self) -> dict[str, Any]:
        from scipy.special import entr

        return {**super()._moments(), "entropy": entr(self._probs)}


__all__ = ["OneHotCategorical"]
