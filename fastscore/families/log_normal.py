"""Independent log-normal coordinates: exponentials of normals."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.families._pushforward import Pushforward
from fastscore.families._support import Support
from fastscore.families.bijection import EXP
from fastscore.families.normal import Normal


class LogNormal(Pushforward):
    """Independent log-normals, ``x_k = exp(loc_k + scale_k z_k)``.

    Parameters
    ----------
    loc : array_like
        Means of log x, of shape (d,), or a scalar shared by all coordinates.
    scale : array_like
        Standard deviations of log x, positive, of the same shape or a scalar.
    log_scale : array_like
        Their logarithms, in place of ``scale``.

    Raises
    ------
    ValueError
        As `Normal` does.

    Notes
    -----
    Score and Fisher information are those of the normal at log x.  It is drawn and kept as log x:
    where x overflows or underflows, f sees infinity or 0, and the score is exact.
    """

    forward_kernel = EXP.forward_kernel
    inverse_kernel = EXP.inverse_kernel
    base: Normal

    def __init__(self, loc: Any, scale: Any = None, *, log_scale: Any = None) -> None:
        self._push(Normal(loc, scale, log_scale=log_scale))

    @property
    def mean(self) -> np.ndarray:
        """``exp(loc + scale²/2)``."""
        with np.errstate(over="ignore"):
            return np.exp(self.base.mean + self.base.variance / 2)

    @property
    def variance(self) -> np.ndarray:
        """``(exp(scale²) − 1) exp(2 loc + scale²)``."""
        square = self.base.variance
        with np.errstate(over="ignore"):
            return np.expm1(square) * np.exp(2 * self.base.mean + square)

    def entropy(self) -> float:
        """That of the normal and ``Σ loc``."""
        return self.base.entropy() + float(np.sum(self.base.mean))

    @property
    def support_set(self) -> Support:
        """All that is positive."""
        return Support.reals(self.d, 0.0)

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        return dict(self.base._fit(np.log(x), shares, least))


__all__ = ["LogNormal"]
