"""Families of independent coordinates, written as scalar functions of one of them.

Each coordinate has a *record*: the numbers that its functions need, made once from its parameters.
A family makes the record, and writes

``sample(stream, scratch, x, count, …)``  so many draws, up to 15 more
``score(x, …)``                           the tuple of ``∂ log p/∂ parameter``
``log_density(x, …)``                     ``log p``

each of which takes the fields it needs, by name: these are the fields of the record.  The kernels
of the contract are these templates around them: Numba inlines a scalar function into the loop over
a column, and LLVM vectorises it.
"""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import errors
from numba.extending import intrinsic

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.blocks import (
    ACCUMULATE,
    LOG_PROBS,
    SAMPLE,
    SCORE,
    five_sums,
    score_tile,
)
from fastscore.engine.jit import kernel_of, plain, tile_kernel
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    f8,
    floats,
    i8,
    integers,
    offset,
    pointer,
    vector,
)
from fastscore.engine.vecmath import as_float
from fastscore.families._family import Family, Source
from fastscore.families._information import assembled
from fastscore.families._path import Path
from fastscore.families._support import Support

#: `packed` starts with the address of the score kernel, the length of a record, and how many
#: parameters a coordinate has.
HEADER = 3
_SCORE_AT, _RECORD, _SCORES = range(HEADER)

# What the templates are made with, in place of these.
_FIELDS: Any = None
_LENGTH: Any = None
_FUNCTION: Any = None
_VALUE: Any = None
_TARGETS: Any = None
_ADD: Any = None
_ENDS: Any = None


def _sample(params, stream, scratch, x, rows, d, stride):
    for k in range(d):
        fields = _FIELDS(offset(params, HEADER + k * _LENGTH))
        _FUNCTION(stream, scratch, offset(x, k * stride), rows, *fields)


def _score(params, x, rows, d, stride, index, s):
    for k in range(d):
        record = offset(params, HEADER + k * _LENGTH)
        fields, (low, high) = _FIELDS(record), _ENDS(record)
        column, targets = offset(x, k * stride), _TARGETS(s, index, d, k, stride)
        for t in range(rows):
            value = _VALUE(column, t)
            inside = not ((value < low) | (value > high))
            _ADD(targets, t, _FUNCTION(value, *fields), inside)


def _log_probs(packed, columns, count, x, rows, d, stride, out):
    for j in range(count):
        total = vector(offset(out, columns[j] * stride), rows)
        for t in range(rows):
            total[t] = 0.0
        for k in range(d):
            record = offset(as_floats(packed[j]), HEADER + k * _LENGTH)
            fields, (low, high) = _FIELDS(record), _ENDS(record)
            column = offset(x, k * stride)
            for t in range(rows):
                value = _VALUE(column, t)
                density = _FUNCTION(value, *fields)
                outside = (value < low) | (value > high) | (abs(value) == math.inf)
                # Where another coordinate's density is infinite, 0 wins.
                outside |= min(density, total[t]) == -math.inf
                total[t] = -math.inf if outside else total[t] + density


@tile_kernel(SCORE)
def _no_score(params, x, rows, d, stride, index, s):
    """Of no parameters."""


@tile_kernel(ACCUMULATE)
def _accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    """Scores of a coordinate at a time, into columns that stay in L1, and their five sums."""
    header = as_integers(params)
    length, scores = header[_RECORD], header[_SCORES]
    buffer, which = np.empty((scores, stride)), np.arange(scores)
    for k in range(d):
        buffer[:, :rows] = 0.0
        score_tile(
            header[_SCORE_AT],
            (offset(params, k * length), offset(x, k * stride), rows, 1, stride,
             pointer(which), pointer(buffer)),
        )  # fmt: skip
        for j in range(scores):
            five_sums(buffer[j], vector(w, rows), vector(ww, rows), rows, sums, size, j * d + k)


class Coordinates(Family):
    """Independent coordinates, each with a record of the same fields.

    A subclass gives its scalar functions as keywords of the class statement.
    """

    accumulate_kernel = _accumulate
    fields: ClassVar[tuple[str, ...]]
    scores: int
    low: ClassVar[float | str]
    high: ClassVar[float | str]
    #: What `fit` keeps from collapsing, see `_scoring.most_likely`; None if it cannot fit.
    floors: ClassVar[Mapping[str, Any] | None] = None

    def __init_subclass__(
        cls,
        *,
        fields: tuple[str, ...] = (),
        sample: Any = None,
        score: Any = None,
        log_density: Any = None,
        scores: int = 1,
        low: float | str = -math.inf,
        high: float | str = math.inf,
        discrete: bool = False,
    ) -> None:
        """Make the kernels.

        Parameters
        ----------
        fields : tuple of str
            Names of what a record holds, if not just what the functions take.
        sample, score, log_density
            The scalar functions, jitted; see the module.  What coupled coordinates do together is
            a kernel in the body of the class instead.
        scores : int
            Parameters of a coordinate.
        low, high : float or str
            Ends of the support, or the fields that hold them: outside the density is 0, and the
            score is taken as 0.
        discrete : bool
            Whether samples are integers; functions see them as floats all the same.
        """
        super().__init_subclass__()
        # Each with the number of arguments that are its own; the others are fields.
        functions: dict[str, tuple[Callable[..., Any], Any, Any, int]] = {
            "sample_kernel": (_sample, SAMPLE, sample, 4),
            "score_kernel": (_score, SCORE, score, 1),
            "log_probs_kernel": (_log_probs, LOG_PROBS, log_density, 1),
        }
        taken = {
            name: list(inspect.signature(function.py_func).parameters)[own:]
            for name, (_, _, function, own) in functions.items()
            if function is not None
        }
        ends = [end for end in (low, high) if isinstance(end, str)]
        fields = fields or tuple(dict.fromkeys(chain(*taken.values(), ends)))
        if not fields:
            return  # a further base
        cls.fields, cls.scores, cls.low, cls.high = fields, scores, low, high
        cls.dtype = np.int64 if discrete else np.float64
        if not scores:
            cls.score_kernel = _no_score
        about = {
            "_LENGTH": len(fields), "_ENDS": _ends(*map(cls._end, (low, high))),
            "_VALUE": _integer if discrete else _real,
            "_TARGETS": _targets(scores), "_ADD": _add(scores),
        }  # fmt: skip
        for name, names in taken.items():
            template, signature, function, _ = functions[name]
            made = kernel_of(
                template, signature, cls.__qualname__,
                cached=cls.__module__.startswith("fastscore."),
                _FUNCTION=function, _FIELDS=fields_of(tuple(map(fields.index, names))), **about,
            )  # fmt: skip
            setattr(cls, name, made)

    @abstractmethod
    def _record(self) -> dict[str, Any]:
        """The fields, each an array (d,) or a number."""

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read: a header, and a record per coordinate."""
        record = self._record()
        values = np.array([np.broadcast_to(record[name], self.d) for name in self.fields])
        header = np.array([self.score_kernel.address, len(self.fields), self.scores], np.int64)
        return np.concatenate([header.view(np.float64), values.T.ravel()])

    @property
    def source(self) -> Source:
        """This family, or what `_elsewhere` names."""
        return self._other_source or super().source

    @cached
    def _other_source(self) -> Source | None:
        elsewhere = self._elsewhere()
        if elsewhere is None or elsewhere[0] is type(self):
            return None
        family, kernel, *rest = elsewhere
        params = rest[0] if rest else np.zeros(1)
        return Source(
            family(**self.constants, **self.parameters), kernel, params.ctypes.data, params
        )

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """The family to draw from if x itself could round, underflow or overflow.

        It has the same parameters and constants and draws from itself, though it may well be a
        subclass.  After it comes the `FORWARD` kernel that takes its tiles to x, and an array if
        the kernel reads one.
        """
        return None

    @property
    def own_path(self) -> Path:
        """By `_closed_paths`, else implicitly."""
        if self.dtype is np.int64:
            return super().own_path
        return self._implicit_path

    @cached
    def _implicit_path(self) -> Path:
        from fastscore.families._implicit import along

        return along(self, self._closed_paths())

    def _closed_paths(self) -> Sequence[tuple[Any, Any] | None]:
        """Of each parameter a and b with ``∂x/∂θ = a + b x``, or None where it is not so."""
        return (None,) * self.scores

    @abstractmethod
    def _information(self) -> Any:
        """Fisher information of a coordinate, (C, C) nested, of numbers or arrays (d,)."""

    def fisher(self) -> Any:
        """Fisher information, (P, P): a block per coordinate, summed where they share entries.

        Returns
        -------
        ndarray or scipy.sparse.csr_array
            Sparse beyond 4,096 parameter entries.
        """
        self.require_score()
        return assembled(self._information(), self.index.reshape(self.scores, self.d), self.size)

    @property
    def support_set(self) -> Support:
        """An interval of each coordinate."""
        make = Support.integers if self.dtype is np.int64 else Support.reals
        return make(self.d, *map(self._values_of, (self.low, self.high)))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> Mapping[str, Any]:
        """The largest likelihood, by Fisher's scoring."""
        if self.floors is None:
            return super()._fit(x, shares, least)
        from fastscore.families._scoring import most_likely

        support = self.support_set
        low, high = support.low, support.high
        inside = (x >= low) & (x <= high) & (support.integer | ((x > low) & (x < high)))
        checks.require("x", x, inside, "inside the support")
        return most_likely(self, x, shares, self.floors, least)

    @classmethod
    def _end(cls, end: float | str) -> float | int:
        """A number as a float, or the place of a field."""
        return cls.fields.index(end) if isinstance(end, str) else float(end)

    def _values_of(self, end: float | str) -> Any:
        """Of all coordinates."""
        at = self._end(end)
        if isinstance(at, float):
            return at
        return self.packed[HEADER + at :: len(self.fields)]


@plain
def _real(column, t):
    return column[t]


@plain
def _integer(column, t):
    return as_float(as_integers(column)[t])


@lru_cache
def fields_of(which: tuple[int, ...]) -> Any:
    """Make an intrinsic that loads those numbers of a record, as a tuple."""

    @intrinsic
    def load(typingctx, record):
        kind = types.Tuple((f8,) * len(which))

        def codegen(context, builder, signature, args):
            at = [builder.gep(args[0], [ir.Constant(ir.IntType(64), i)]) for i in which]
            return context.make_tuple(builder, kind, [builder.load(place) for place in at])

        return kind(floats), codegen

    return load


@lru_cache(typed=True)  # a place is an int, an end a float
def _ends(*ends: float | int) -> Any:
    """Make an intrinsic: the ends of a coordinate's support, of which integers are fields."""

    @intrinsic
    def load(typingctx, record):
        def codegen(context, builder, signature, args):
            values = [
                ir.Constant(ir.DoubleType(), end)
                if isinstance(end, float)
                else builder.load(builder.gep(args[0], [ir.Constant(ir.IntType(64), end)]))
                for end in ends
            ]
            return context.make_tuple(builder, signature.return_type, values)

        return types.UniTuple(f8, len(ends))(floats), codegen

    return load


@lru_cache
def _targets(count: int) -> Any:
    """Make an intrinsic: pointers to the score columns of coordinate k."""

    @intrinsic
    def find(typingctx, s, index, d, k, stride):
        kind = types.UniTuple(floats, count)

        def codegen(context, builder, signature, args):
            s, index, d, k, stride = args
            found = []
            for j in range(count):
                natural = builder.add(builder.mul(d, ir.Constant(d.type, j)), k)
                column = builder.load(builder.gep(index, [natural]))
                found.append(builder.gep(s, [builder.mul(column, stride)]))
            return context.make_tuple(builder, kind, found)

        return kind(floats, integers, i8, i8, i8), codegen

    return find


@lru_cache
def _add(count: int) -> Any:
    """Make an intrinsic: add values to row t of columns, or 0 where a sample is not inside."""

    @intrinsic
    def add(typingctx, targets, t, values, inside):
        if not (isinstance(values, types.UniTuple) and values.count == count):
            raise errors.TypingError(f"a score of {count} parameters is expected, not {values}")

        def codegen(context, builder, signature, args):
            targets, t, values, inside = args
            for j in range(count):
                at = builder.gep(builder.extract_value(targets, j), [t])
                value = builder.select(
                    inside, builder.extract_value(values, j), ir.Constant(ir.DoubleType(), 0.0)
                )
                builder.store(builder.fadd(builder.load(at), value), at)
            return context.get_dummy_value()

        pair = types.UniTuple(f8, count)
        return types.void(types.UniTuple(floats, count), i8, pair, types.boolean), codegen

    return add


__all__ = ["HEADER", "Coordinates", "fields_of"]
