"""Independent chi-squared coordinates: gammas of rate ½."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastscore.engine.gammas import gammas, log_gammas
from fastscore.engine.jit import inlined
from fastscore.families import _log_gamma as logarithm
from fastscore.families._parameters import Spread, positive
from fastscore.families.bijection import EXP
from fastscore.families.gamma import Gamma, log_density, score


@inlined
def _score(x, concentration, rate, log_mean, excess, by_concentration):
    return (score(x, concentration, rate, log_mean, excess, by_concentration, 0.0)[0],)


class Chi2(Gamma, low=0.0, sample=gammas, score=_score, log_density=log_density):
    """Independent chi-squared distributions, of mean ``df``.

    Parameters
    ----------
    df : array_like
        Degrees of freedom, positive, of shape (d,), or a scalar for a single coordinate.
    log_df : array_like
        Their logarithms, in place of ``df``.

    Raises
    ------
    ValueError
        If a number of degrees of freedom is not positive or not finite.

    Notes
    -----
    Density
        ``x^(df/2 − 1) exp(−x/2)/(2^(df/2) Γ(df/2))`` on x ≥ 0.
    Score
        ``(log(x/2) − ψ(df/2))/2``; by the logarithm times df.
    Fisher information
        Diagonal, ``ψ′(df/2)/4``; by the logarithm times df².
    Sampler
        As of a `Gamma`, exactly.  If a df is below 0.12, log x is drawn and kept: where x
        underflows, f sees 0, and the score is exact.
    Moments
        Mean ``df``, variance ``2 df``; entropy ``log 2 + h + log Γ(h) + (1 − h) ψ(h)``, h being
        ``df/2``.

    With a df below 0.12 neither proposals nor mixtures can be had: they need x itself.
    """

    floors: ClassVar = {}

    def __init__(self, df: Any = None, *, log_df: Any = None) -> None:
        ((value, unit),) = self._set(positive("Chi2", "df", df, log_df))
        self._concentration = Spread(value / 2, unit)
        self._rate = Spread(np.full(self.d, 0.5), np.zeros(self.d))

    def _closed_paths(self) -> Any:
        """None is."""
        return (None,)

    def _information(self) -> Any:
        return [super()._information()[0][:1]]

    def _elsewhere(self) -> tuple[Any, ...] | None:
        return (LogChi2, EXP.forward_kernel) if self.underflows else None


@inlined
def _score_of_log(y, log_mean, excess, by_concentration):
    return (((y - log_mean) - excess) * by_concentration,)


class LogChi2(
    logarithm.LogGamma, Chi2,
    sample=log_gammas, score=_score_of_log, log_density=logarithm.log_density,
):  # fmt: skip
    """``y = log x`` of chi-squared x."""

    def _closed_paths(self) -> Any:
        """None is."""
        return (None,)


__all__ = ["Chi2"]
