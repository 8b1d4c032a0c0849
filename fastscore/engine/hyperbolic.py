"""Hyperbolic functions in kernels: the sine, its inverse, and the logarithm of the cosine."""

from __future__ import annotations

import math

from fastscore.engine.jit import inlined
from fastscore.engine.vecmath import exp, expm1, log1p

__all__ = ["arsinh", "log_cosh", "sinh"]

_LOG_2 = math.log(2)


@inlined
def sinh(y: float) -> float:
    """Hyperbolic sine."""
    size = abs(y)
    far = size > 20.0
    e = expm1(size - _LOG_2 if far else size)
    return math.copysign(e + 1.0 if far else 0.5 * (e + e / (1.0 + e)), y)


@inlined
def arsinh(x: float) -> float:
    """Its inverse."""
    size = abs(x)
    far = size > 1e150
    square = size * size
    value = log1p(size if far else size + square / (1.0 + math.sqrt(1.0 + square)))
    return math.copysign(value + (_LOG_2 if far else 0.0), x)


@inlined
def log_cosh(y: float) -> float:
    """Logarithm of the hyperbolic cosine."""
    return abs(y) - _LOG_2 + log1p(exp(-2.0 * abs(y)))
