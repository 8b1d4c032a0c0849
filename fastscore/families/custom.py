"""A user's own distribution, from jitted functions of one sample."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
from numba.core import errors

from fastscore import checks
from fastscore.cached import cached
from fastscore.draw import opened
from fastscore.engine.blocks import LOG_PROBS, SAMPLE, SCORE
from fastscore.engine.jit import TileKernel
from fastscore.engine.memory import as_floats, as_integers, offset, pointer, vector
from fastscore.families._family import Family
from fastscore.families._information import estimated
from fastscore.families._path import Path
from fastscore.families._support import Support

_STEP = 1e-30
_CHECKED, _RELATIVE = 16, 1e-4
_AVERAGED, _STANDARD_ERRORS = 4096, 8

# Rows of a tile are copied to and from ``row``; parameters are views of what is packed.
_SAMPLE = """
def sample(params, stream, scratch, x, rows, d, stride):
    packed = vector(params, {size})
    {names}= {views}
    row = empty(d, dtype)
    source = opened(stream, scratch)
    for t in range(rows):
        own(source, row, {names})
        for k in range(d):
            items(x)[k * stride + t] = row[k]
"""

_LOG_PROBS = """
def log_probs(addresses, columns, count, x, rows, d, stride, out):
    row = empty(d, dtype)
    for j in range(count):
        packed = vector(as_floats(addresses[j]), {size})
        {names}= {views}
        for t in range(rows):
            for k in range(d):
                row[k] = items(x)[k * stride + t]
            out[columns[j] * stride + t] = own(row, {names})
"""

_SCORE = """
def score(params, x, rows, d, stride, index, s):
    packed = vector(params, {size})
    {names}= {views}
    row, values = empty(d, dtype), empty({size}, float64)
    for t in range(rows):
        for k in range(d):
            row[k] = items(x)[k * stride + t]
        values[:] = nan
        own(row, values, {names})
        for j in range({size}):
            s[index[j] * stride + t] += values[j]
"""

# log p at θ + ih in one entry: its imaginary part is h times the derivative, without cancellation.
_COMPLEX_STEP = """
def score(params, x, rows, d, stride, index, s):
    packed = empty({size}, complex128)
    row = empty(d, dtype)
    for j in range({size}):
        packed[j] = params[j]
    for t in range(rows):
        for k in range(d):
            row[k] = items(x)[k * stride + t]
        for j in range({size}):
            packed[j] = params[j] + STEP * 1j
            {names}= {views}
            s[index[j] * stride + t] += own(row, {names}).imag / STEP
            packed[j] = params[j]
"""


class _Functions(NamedTuple):
    """What kernels are made from."""

    sample: Any
    log_prob: Any
    score: Any


class Custom(Family):
    """A distribution from a user's jitted functions of one sample x, of shape (d,).

    Parameters
    ----------
    sample : jitted function
        ``sample(stream, x, *parameters)`` fills x, with random numbers from
        ``fs.draw.normal(stream)``, ``uniform`` and ``exponential``.
    log_prob : jitted function
        ``log_prob(x, *parameters)`` returns the log-density, ``-inf`` where it is 0.
    parameters : mapping of str to array_like
        Parameters by name, in the order in which the functions take them: a scalar as a number,
        an array as an array.
    score : jitted function, optional
        ``score(x, out, *parameters)`` fills out, of shape (P,), with the derivatives of
        ``log_prob`` by all entries of the parameters, in their order.  Left out, they come by
        complex step [1]_: ``log_prob`` is compiled for complex parameters, and must be an analytic
        function of them (``np.log``, ``np.exp``, powers; not ``abs`` or ``math.lgamma``).
    d : int
        Coordinates of a sample, 1 by default.
    discrete : bool
        Whether x is int64.
    low, high : float
        Ends of the support of all coordinates.

    Raises
    ------
    TypeError, ValueError
        If a function is not jitted or takes other arguments, if ``log_prob`` is not finite at
        samples, if the score differs from finite differences of ``log_prob`` there or averages to
        something else than 0, or if no complex step can be taken.

    Notes
    -----
    The kernels run at the speed of the functions, compiled once per process; they do not vectorise
    over samples, as those of the built-in families do.  The Fisher information is estimated.

    References
    ----------
    .. [1] W. Squire and G. Trapp, Using complex variables to estimate derivatives of real
       functions, SIAM Review 40 (1998).
    """

    fisher_estimated = True

    def __init__(
        self, sample: Any, log_prob: Any, parameters: Mapping[str, Any], *, score: Any = None,
        d: int = 1, discrete: bool = False, low: float = -np.inf, high: float = np.inf,
    ) -> None:  # fmt: skip
        d = checks.count("d", d)
        self._options: dict[str, Any] = {"d": d, "discrete": discrete, "low": low, "high": high}
        self.d, self.dtype = d, np.int64 if discrete else np.float64
        if not isinstance(parameters, Mapping) or not parameters:
            raise TypeError(f"parameters={parameters!r}: give a mapping of names to values")
        arrays = {name: checks.parameter(name, value) for name, value in parameters.items()}
        self.parameters: Mapping[str, np.ndarray] = MappingProxyType(arrays)
        self.size = sum(array.size for array in arrays.values())
        self.index = np.arange(self.size)
        self._functions = _Functions(sample, log_prob, score)
        self._check_functions()
        shapes = tuple(array.shape for array in arrays.values())
        kernels = _kernels(self._functions, shapes, discrete)
        self.sample_kernel, self.log_probs_kernel, self.score_kernel = kernels
        self._check_values()

    def _check_functions(self) -> None:
        """Jitted, and of as many arguments."""
        own = {"sample": 2, "log_prob": 1, "score": 2}
        for name, function in self._functions._asdict().items():
            if name == "score" and function is None:
                continue
            if not hasattr(function, "py_func"):
                raise TypeError(f"{name}={function!r} is not jitted: decorate it with @njit")
            expected = own[name] + len(self.parameters)
            given = len(inspect.signature(function.py_func).parameters)
            if given != expected:
                first = ("stream, x", "x", "x, out")[list(own).index(name)]
                raise TypeError(
                    f"{name} takes {given} arguments: {name}({first}, "
                    f"{', '.join(self.parameters)}) is expected"
                )

    def _check_values(self) -> None:
        """The functions against each other, at a few samples."""
        self._compile()
        x = self.drawn(_CHECKED, 0)
        density, s = self.log_density(x), self.scores_of(x)
        if not np.isfinite(density).all():
            i = int(np.argmin(np.isfinite(density)))
            raise ValueError(f"log_prob is {density[i]} at x = {x[i]}, which sample drew")
        flat = self.packed
        for j in range(self.size):
            h = 1e-5 * max(abs(flat[j]), 1e-2)
            above, below = (self._at(flat, j, step).log_density(x) for step in (h, -h))
            slope = (above - below) / (2 * h)
            # Where a step leaves the domain of the parameters nothing can be said.
            known = np.isfinite(slope)
            noise = 1e-15 * np.abs(density) / h
            wrong = known & (np.abs(slope - s[:, j]) > _RELATIVE * (1 + np.abs(slope)) + 10 * noise)
            wrong |= ~np.isfinite(s[:, j])
            if wrong.any():
                i = int(np.argmax(wrong))
                raise ValueError(
                    f"score: the derivative of log_prob by {self._label(j)} is {s[i, j]:.6g} at "
                    f"x = {x[i]}, where finite differences give {slope[i]:.6g}: "
                    + (
                        "log_prob is no analytic function of its parameters (abs? max?), give score"
                        if self._functions.score is None
                        else "mend score or log_prob"
                    )
                )
        self._check_mean_score()

    def _check_mean_score(self) -> None:
        """Scores average to 0 if samples are of that density, and the support stays in place."""
        s = self.scores_of(self.drawn(_AVERAGED, 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            z = s.mean(axis=0) / (s.std(axis=0) / np.sqrt(_AVERAGED))
        if (np.abs(z) > _STANDARD_ERRORS).any():
            j = int(np.nanargmax(np.abs(z)))
            raise ValueError(
                f"sample and log_prob do not belong together: the score by {self._label(j)} has "
                f"mean {s[:, j].mean():.4g} over {_AVERAGED} samples, {abs(z[j]):.3g} standard "
                "errors from 0. Mend either; or does the support move with the parameter?"
            )

    def _at(self, flat: np.ndarray, j: int, step: float) -> Custom:
        """The same with one entry moved, unchecked."""
        moved = object.__new__(type(self))
        packed = flat.copy()
        packed[j] += step
        moved.__dict__.update({**self.__dict__, "packed": packed})
        moved.__dict__.pop("packed_at", None)
        return moved

    def _label(self, j: int) -> str:
        """What entry j of the score is by."""
        for name, array in self.parameters.items():
            if j < array.size:
                return f"{name}[{j}]" if array.ndim else name
            j -= array.size
        raise IndexError(j)

    def _compile(self) -> None:
        """Compile the kernels, with errors that name the function."""
        kernels = self.sample_kernel, self.log_probs_kernel, self.score_kernel
        for name, kernel in zip(self._functions._fields, kernels, strict=True):
            try:
                _ = kernel.address
            except errors.NumbaError as error:
                if name == "score" and self._functions.score is None:
                    raise TypeError(
                        "score is left out, and log_prob does not compile for complex parameters, "
                        "by which it would come: give score=. Numba says: "
                        f"{str(error).strip()[:1000]}"
                    ) from error
                raise TypeError(
                    f"{name} does not compile: Numba says: {str(error).strip()[:2000]}"
                ) from error

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        return np.concatenate([array.ravel() for array in self.parameters.values()])

    @cached
    def own_path(self) -> Path:
        """Implicitly, of one continuous coordinate."""
        if self.d > 1 or self.dtype is np.int64:
            return super().own_path
        from fastscore.families._implicit import of_one

        return of_one(self)

    def fisher(self, n: int = 100_000, *, rng: Any = 0) -> np.ndarray:
        """Fisher information, (P, P): the mean of ``s sᵀ`` over n samples, an estimate."""
        return estimated(self, n, rng)

    @property
    def support_set(self) -> Support:
        """The interval from ``low`` to ``high``."""
        make = Support.integers if self.dtype is np.int64 else Support.reals
        return make(self.d, self._options["low"], self._options["high"])

    def _with(self, given: Mapping[str, Any]) -> Self:
        functions = self._functions
        return type(self)(
            functions.sample, functions.log_prob, given, score=functions.score, **self._options
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _custom, (type(self), self._functions, dict(self.parameters), self._options)


def _custom(cls: Any, functions: _Functions, parameters: Any, options: Any) -> Any:
    return cls(functions.sample, functions.log_prob, parameters, score=functions.score, **options)


@lru_cache(maxsize=64)
def _kernels(
    functions: _Functions, shapes: tuple[tuple[int, ...], ...], discrete: bool
) -> tuple[TileKernel, TileKernel, TileKernel]:
    """Kernels around the functions, for parameters of those shapes."""
    views, names, start = [], [], 0
    for i, shape in enumerate(shapes):
        end = start + int(np.prod(shape, dtype=int))
        view = f"packed[{start}]" if not shape else f"packed[{start}:{end}]"
        views.append(f"{view}.reshape({shape})" if len(shape) > 1 else view)
        names.append(f"p{i}")
        start = end
    texts = {
        "size": str(start), "names": "".join(f"{name}, " for name in names),
        "views": "".join(f"{view}, " for view in views),
    }  # fmt: skip

    def kernel(source: str, signature: Any, function: Any) -> TileKernel:
        scope = {
            "own": function, "vector": vector, "offset": offset, "pointer": pointer,
            "as_floats": as_floats, "empty": np.empty, "opened": opened, "nan": np.nan,
            "items": as_integers if discrete else as_floats, "STEP": _STEP,
            "dtype": np.int64 if discrete else np.float64,
            "float64": np.float64, "complex128": np.complex128,
        }  # fmt: skip
        exec(source.format(**texts), scope)
        name = source.partition("(")[0].split()[-1]
        return TileKernel(scope[name], signature, cached=False)

    by = (_SCORE, functions.score) if functions.score is not None else (
        _COMPLEX_STEP, functions.log_prob
    )  # fmt: skip
    return (
        kernel(_SAMPLE, SAMPLE, functions.sample),
        kernel(_LOG_PROBS, LOG_PROBS, functions.log_prob),
        kernel(by[0], SCORE, by[1]),
    )


__all__ = ["Custom"]
