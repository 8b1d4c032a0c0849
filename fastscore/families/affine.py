"""Shift and scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.checks import parameter, require
from fastscore.engine.jit import inlined
from fastscore.engine.vecmath import log
from fastscore.families.bijection import Bijection


@inlined
def _affine(z, loc, scale):
    return loc + scale * z


@inlined
def _inverse(x, loc, scale):
    return (x - loc) / scale


@inlined
def _log_scale(z, loc, scale):
    return log(abs(scale))


class Affine(Bijection):
    """``x = loc + scale z``.

    Parameters
    ----------
    loc, scale : array_like
        Numbers, or arrays with one per coordinate; scale may be negative, but not 0.
    """

    def __init__(self, loc: Any, scale: Any) -> None:
        given = parameter("scale", scale)
        require("scale", given, given != 0, "different from 0")
        super().__init__(_affine, _inverse, _log_scale, args=(parameter("loc", loc), given))

    def mean(self, of_base: np.ndarray) -> np.ndarray:
        """Mean of x from that of z."""
        return np.asarray(self.args[0] + self.args[1] * of_base)

    def variance(self, of_base: np.ndarray) -> np.ndarray:
        """Variance of x from that of z."""
        return np.asarray(self.args[1] ** 2 * of_base)

    def entropy(self, of_base: float, d: int) -> float:
        """Entropy of x from that of z."""
        return of_base + float(np.sum(np.log(np.abs(np.broadcast_to(self.args[1], d)))))

    def __reduce__(self) -> tuple[Any, ...]:
        return Affine, self.args

    def __repr__(self) -> str:
        return f"Affine({self.args[0]}, {self.args[1]})"


__all__ = ["Affine"]
