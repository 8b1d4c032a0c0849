"""Bijections of single coordinates, from scalar functions: kernels of pushforwards."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.engine.blocks import FORWARD, INVERSE
from fastscore.engine.jit import TileKernel, inlined, kernel_of
from fastscore.engine.memory import offset, vector
from fastscore.engine.vecmath import exp, expit, log, log1p, log1pexp
from fastscore.families._coordinates import fields_of

# What the templates are made with, in place of these.
_FIELDS: Any = None
_LENGTH: Any = None
_IMAGE: Any = None
_OF: Any = None
_INVERSE_OF: Any = None
_LOG_DERIVATIVE: Any = None


def _forward(params, z, rows, d, stride, x):
    for k in range(d):
        fields = _FIELDS(offset(params, k * _LENGTH))
        source, target = offset(z, k * stride), offset(x, k * stride)
        for t in range(rows):
            target[t] = _OF(source[t], *fields)


def _by_columns(params, z, rows, d, stride, x):
    for k in range(d):
        source, target = vector(offset(z, k * stride), rows), vector(offset(x, k * stride), rows)
        _OF(source, target, rows, *_FIELDS(offset(params, k * _LENGTH)))


def _slope(params, z, rows, d, stride, columns):
    for k in range(d):
        fields = _FIELDS(offset(params, k * _LENGTH))
        source, target = offset(z, k * stride), offset(columns, k * stride)
        for t in range(rows):
            target[t] *= exp(_LOG_DERIVATIVE(source[t], *fields))


def _inverse(params, x, rows, d, stride, z, log_det):
    low, high, point = _IMAGE
    for k in range(d):
        fields = _FIELDS(offset(params, k * _LENGTH))
        source, target = offset(x, k * stride), offset(z, k * stride)
        for t in range(rows):
            inside = (source[t] > low) & (source[t] < high)
            value = _INVERSE_OF(source[t] if inside else point, *fields)
            log_det[t] -= _LOG_DERIVATIVE(value, *fields) if inside else math.inf
            target[t] = value


class Bijection:
    """A smooth, strictly monotone map of each coordinate, for `Transformed`.

    Parameters
    ----------
    forward, inverse : jitted functions
        ``x = forward(z, *args)`` and ``z = inverse(x, *args)``, of numbers.
    log_derivative : jitted function
        ``log |dx/dz|`` at z, ``log_derivative(z, *args)``.
    args : tuple, optional
        Constants of the map: numbers, or arrays with one per coordinate.
    image : tuple of float, optional
        The open interval that x lies in; all reals by default.

    Raises
    ------
    TypeError, ValueError
        If functions are not jitted, or ``image`` is no interval.
    """

    def __init__(
        self, forward: Any, inverse: Any, log_derivative: Any, *, args: tuple[Any, ...] = (),
        image: tuple[float, float] = (-math.inf, math.inf),
    ) -> None:  # fmt: skip
        given = {"forward": forward, "inverse": inverse, "log_derivative": log_derivative}
        for name, function in given.items():
            if not hasattr(function, "py_func"):
                raise TypeError(f"{name}={function!r} is not jitted: decorate it with @njit")
        low, high = map(float, image)
        if not low < high:
            raise ValueError(f"image={image!r} is no interval: give (low, high)")
        self.args = tuple(checks.parameter(f"args[{i}]", arg) for i, arg in enumerate(args))
        self.image = low, high
        self.functions = forward, inverse, log_derivative
        kernels = _kernels(*self.functions, len(self.args), self.image)
        self.forward_kernel: TileKernel = kernels[0]
        self.inverse_kernel: TileKernel = kernels[1]

    def params(self, d: int) -> np.ndarray:
        """The constants, those of each coordinate side by side."""
        for i, arg in enumerate(self.args):
            if arg.shape not in ((), (d,)):
                raise ValueError(
                    f"args[{i}] has shape {arg.shape}: give a number, or one to each of the {d} "
                    "coordinates"
                )
        spread = [np.broadcast_to(arg, d) for arg in self.args]
        return np.array([np.zeros(d), *spread])[1:].T.ravel() if spread else np.zeros(1)

    def __reduce__(self) -> tuple[Any, ...]:
        return _bijection, (self.functions, self.args, self.image)


def _bijection(functions: Any, args: Any, image: Any) -> Bijection:
    return Bijection(*functions, args=args, image=image)


@lru_cache
def _kernels(
    forward: Any, inverse: Any, log_derivative: Any, count: int, image: tuple[float, float]
) -> tuple[TileKernel, TileKernel]:
    low, high = image
    ends = [end for end in image if math.isfinite(end)]
    inner = 0.0 if not ends else sum(ends) / len(ends)
    point = inner if low < inner < high else (low + 1 if math.isfinite(low) else high - 1)
    name = forward.py_func.__qualname__
    # Of a user's functions the cache would not notice an edit.
    own = all(f.py_func.__module__.startswith("fastscore.") for f in (forward, inverse))
    bound = {
        "_FIELDS": fields_of(tuple(range(count))), "_LENGTH": count, "_IMAGE": (low, high, point),
        "_OF": forward, "_INVERSE_OF": inverse, "_LOG_DERIVATIVE": log_derivative,
    }  # fmt: skip
    made = kernel_of(_forward, FORWARD, name, cached=own, **bound)
    made.derivative = kernel_of(_slope, FORWARD, name, cached=own, **bound)
    return made, kernel_of(_inverse, INVERSE, name, cached=own, **bound)


def map_of_columns(to_x: Any, name: str, count: int, slope: Any) -> TileKernel:
    """The `FORWARD` kernel of ``to_x(z, x, rows, …)``, which fills a column of x in its own passes.

    It takes so many numbers, those of each coordinate side by side in what the kernel reads.
    ``slope(z, column, rows, …)`` multiplies a column by ``|dx/dz|``.
    """
    bound = {"_FIELDS": fields_of(tuple(range(count))), "_LENGTH": count}
    made = kernel_of(_by_columns, FORWARD, name, cached=True, _OF=to_x, **bound)
    made.derivative = kernel_of(
        _by_columns, FORWARD, f"{name}_slope", cached=True, _OF=slope, **bound
    )
    return made


@inlined
def _identity(z):
    return z


@inlined
def _logit(x):
    return log(x) - log1p(-x)


@inlined
def _log_sigmoid_derivative(z):
    return -abs(z) - 2.0 * log1pexp(-abs(z))


@inlined
def _inverse_exp(z):
    return exp(-z)


@inlined
def _minus_log(x):
    return -log(x)


@inlined
def _minus(z):
    return -z


#: ``x = exp z``.
EXP = Bijection(exp, log, _identity, image=(0.0, math.inf))
#: ``x = exp(−z)``.
INVERSE_EXP = Bijection(_inverse_exp, _minus_log, _minus, image=(0.0, math.inf))
#: ``x = 1/(1 + exp(−z))``.
SIGMOID = Bijection(expit, _logit, _log_sigmoid_derivative, image=(0.0, 1.0))

__all__ = ["EXP", "INVERSE_EXP", "SIGMOID", "Bijection"]
