"""The user's f, whatever its kind, as one tile kernel.

A tile is stored by columns.  With few coordinates a compiled f sees each sample in place, with
the column stride, and is inlined with d as a constant, so that LLVM vectorises over samples.
With many, or where that does not compile, it sees contiguous copies of a few rows at a time.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numba import njit, types
from numba.core import cgutils, errors
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

from fastscore.checks import one_of
from fastscore.engine import blocks
from fastscore.engine.blocks import INTEGRAND
from fastscore.engine.jit import plain
from fastscore.engine.memory import offset, pointer, transpose_4x4, view_maker
from fastscore.engine.tiles import FEW_COLUMNS, stride_of

Kind = Literal["sample", "batch", "numpy"]
KINDS = ("sample", "batch", "numpy")
POLICIES = {"raise": blocks.RAISE, "propagate": blocks.PROPAGATE, "omit": blocks.OMIT}

#: Rows copied at a time for an f which wants them contiguous.
_PANEL = 32
_OURS = "fastscore:"


@dataclass(frozen=True)
class Integrand:
    """An integrand f with what there is to say about it.

    Parameters
    ----------
    f : callable
        Depending on ``kind``: ``f(x, *args) -> float`` of one sample x of shape (d,), jitted;
        ``f(batch, out, *args)``, jitted, which writes one value per row of ``batch``, of shape
        (rows, d), to ``out``; or any Python callable ``f(X, *args) -> (rows,)``.  It must be
        pure, thread-safe when jitted, and treat the rows of a batch independently: how many there
        are, and their strides, is not promised.  Arrays that it is given are read-only.
    kind : {"sample", "batch", "numpy"}, optional
        Which of them; by default told by whether f is jitted and its number of parameters.
    direct : callable, optional
        ``∇_θ f_θ(x)``, when f itself depends on the parameters (through ``args``), of the same
        kind as f: ``direct(x, out, *args)``, ``direct(batch, out, *args)``, jitted, or
        ``direct(X, *args) -> (rows, P)``, P in the order of ``p.parameters``.
    nonfinite : {"raise", "propagate", "omit"}
        What to do with samples at which f is NaN or infinite: raise, with their number and the
        first; let them through to the estimate; or leave them out, which estimates the
        gradient conditional on a finite f, and is reported as a bias.

    Raises
    ------
    TypeError, ValueError
        If f or direct is not callable, or an option is not one of those listed.
    """

    f: Callable[..., Any]
    kind: Kind | None = None
    direct: Callable[..., Any] | None = None
    nonfinite: Literal["raise", "propagate", "omit"] = "raise"

    def __post_init__(self) -> None:
        for name, function in (("f", self.f), ("direct", self.direct)):
            if not callable(function) and (name == "f" or function is not None):
                raise TypeError(f"{name}={function!r} is not callable: give a function")
        if self.kind is not None:
            one_of("kind", self.kind, KINDS)
        one_of("nonfinite", self.nonfinite, POLICIES)
        if self.kind in ("sample", "batch") and not is_jitted(self.f):
            raise TypeError(f"kind={self.kind!r} needs a compiled f: decorate it with @numba.njit")
        if self.direct is not None and is_jitted(self.direct) != is_jitted(self.f):
            raise TypeError("direct must be of the same kind as f: jit both or neither")

    def resolve(self, args: tuple[Any, ...]) -> Kind:
        """The kind of f, given its arguments.

        Raises
        ------
        TypeError
            If f takes another number of parameters than its kind and ``args`` make.
        """
        kind = self.kind or ("numpy" if not is_jitted(self.f) else None)
        given = len(args)
        if kind is None and _accepts(self.f, 1 + given):
            kind = "sample"
        if kind is None and _accepts(self.f, 2 + given):
            kind = "batch"
        if kind is None or not _accepts(self.f, given + (2 if kind == "batch" else 1)):
            expected = {
                None: "x or (batch, out)", "sample": "x", "batch": "(batch, out)", "numpy": "X",
            }[kind]  # fmt: skip
            raise TypeError(
                f"f{_signature(self.f)} cannot be called with {expected} and the {given} "
                f"argument{'s' * (given != 1)} in args"
            )
        return kind


def is_jitted(function: Any) -> bool:
    """Whether a function is compiled by Numba."""
    return isinstance(function, Dispatcher)


@lru_cache(maxsize=256)
def _accepts(function: Any, count: int) -> bool:
    try:
        inspect.signature(getattr(function, "py_func", function)).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # builtins without a signature
        return True
    return True


def _signature(function: Any) -> str:
    try:
        return str(inspect.signature(getattr(function, "py_func", function)))
    except ValueError:
        return "(…)"


# --- arguments: data that compiled code reads, without being compiled for their values ---


class Arguments:
    """``args`` packed as words, for a compiled f.

    Arrays go by address, shape and item type, numbers by value.
    """

    def __init__(self, args: tuple[Any, ...]) -> None:
        self._kept: list[np.ndarray] = []
        packed: list[int] = []
        self.types = tuple(self._pack(f"args[{i}]", value, packed) for i, value in enumerate(args))
        self.words = np.array(packed or [0], dtype=np.uint64).view(np.int64)

    def _pack(self, name: str, value: Any, packed: list[int]) -> types.Type:
        if isinstance(value, tuple):
            members = [self._pack(f"{name}[{i}]", v, packed) for i, v in enumerate(value)]
            if hasattr(value, "_fields"):
                return types.NamedTuple(members, type(value))
            return types.Tuple(members)
        if isinstance(value, (bool, int, float, complex, np.generic)) or (
            isinstance(value, np.ndarray) and value.ndim == 0
        ):
            return self._pack_number(name, np.asarray(value), packed)
        if not isinstance(value, np.ndarray):
            raise TypeError(
                f"{name} is a {type(value).__name__}: a compiled f takes numbers, arrays and "
                "tuples of them"
            )
        array = np.ascontiguousarray(value)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        try:
            dtype = from_dtype(array.dtype) if array.dtype.kind in "biufc" else None
        except errors.NumbaError:
            dtype = None
        if dtype is None:
            raise TypeError(f"{name} has dtype {array.dtype}: give a numeric array")
        self._kept.append(array)
        packed.extend([array.ctypes.data, *array.shape])
        return types.Array(dtype, array.ndim, "C", readonly=True)

    @staticmethod
    def _pack_number(name: str, value: np.ndarray, packed: list[int]) -> types.Type:
        for kind, wide, numba_type in (
            ("b", np.int64, types.boolean),
            ("i", np.int64, types.int64),
            ("u", np.uint64, types.uint64),
            ("f", np.float64, types.float64),
            ("c", np.complex128, types.complex128),
        ):
            if value.dtype.kind == kind:
                packed.extend(value.astype(wide).reshape(1).view(np.uint64).tolist())
                return numba_type
        raise TypeError(f"{name}={value!r} is not a number that a compiled f can take")


@lru_cache(maxsize=256)
def _unpacker(argument_types: tuple[types.Type, ...]) -> Any:
    """An intrinsic which rebuilds the arguments, as a tuple, from their words."""
    result = types.Tuple(argument_types)

    @intrinsic
    def unpack(typingctx, words):
        def codegen(context, builder, signature, args):
            position = iter(range(1 << 30))

            def word() -> Any:
                at = context.get_constant(types.intp, next(position))
                return builder.load(builder.gep(args[0], [at]))

            def value(ty: types.Type) -> Any:
                if isinstance(ty, types.BaseTuple):
                    return context.make_tuple(builder, ty, [value(member) for member in ty])
                if isinstance(ty, types.Array):
                    return array(ty)
                if ty == types.complex128:
                    number = context.make_complex(builder, ty)
                    number.real = value(types.float64)
                    number.imag = value(types.float64)
                    return number._getvalue()
                if ty == types.float64:
                    return builder.bitcast(word(), context.get_value_type(ty))
                return context.cast(builder, word(), types.int64, ty)

            def array(ty: types.Array) -> Any:
                data = builder.inttoptr(word(), context.get_data_type(ty.dtype).as_pointer())
                shape = [word() for _ in range(ty.ndim)]
                item = context.get_constant(
                    types.intp, context.get_abi_sizeof(context.get_data_type(ty.dtype))
                )
                strides = [item]
                for length in shape[:0:-1]:
                    strides.insert(0, builder.mul(strides[0], length))
                made = context.make_array(ty)(context, builder)
                populate_array(
                    made, data=data, shape=cgutils.pack_array(builder, shape),
                    strides=cgutils.pack_array(builder, strides), itemsize=item, meminfo=None,
                )  # fmt: skip
                return made._getvalue()

            return context.make_tuple(builder, result, [value(ty) for ty in argument_types])

        return result(words), codegen

    return unpack


# --- compilation ---


@intrinsic
def _real(typingctx, value):
    """A float from what f returns, refused at compile time when it is no real number."""
    if not isinstance(value, (types.Integer, types.Float, types.Boolean)):
        raise errors.TypingError(f"{_OURS} f returns {value}, where a float is expected")

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[0], value, types.float64)

    return types.float64(value), codegen


@intrinsic
def _nothing(typingctx, value):
    """What a batch f returns, refused at compile time when it is not nothing."""
    if value != types.none:
        raise errors.TypingError(
            f"{_OURS} f takes a batch and an array for its values, and yet returns {value}. "
            "Is it an f of one sample, whose further arguments are missing in args=?"
        )

    def codegen(context, builder, signature, args):
        return context.get_dummy_value()

    return types.none(value), codegen


_row = view_maker(1, "C", readonly=True)
_writable_row = view_maker(1, "C")
_column_sample = view_maker(1, "A", readonly=True)
_rows = view_maker(2, "C", readonly=True)
_writable_rows = view_maker(2, "C")
_column_batch = view_maker(2, "A", readonly=True)


@plain
def _copy_rows(x, start, rows, d, stride, panel):
    """Rows of a tile that is stored by columns, made contiguous."""
    square = rows // 4 * 4
    for k in range(0, d // 4 * 4, 4):
        for t in range(0, square, 4):
            transpose_4x4(offset(x, k * stride + start + t), stride, offset(panel, t * d + k), d)
    for k in range(d):
        for t in range(square if k < d // 4 * 4 else 0, rows):
            panel[t * d + k] = x[k * stride + start + t]


# In the templates below, ``buffer[0] = 0.0`` keeps the buffer alive: Numba frees an array after its
# last use, and does not see those through a pointer.

_SAMPLE_COLUMNS = """
def evaluate(x, out, rows, d, stride, args):
    {names}= unpack(args)
    for t in range(rows):
        out[t] = real(f(sample(offset(x, t), (D,), (STRIDE,)), {names}))
"""

_BATCH_COLUMNS = """
def evaluate(x, out, rows, d, stride, args):
    {names}= unpack(args)
    for t in range(rows):
        out[t] = nan
    nothing(f(batch(x, (rows, D), (1, STRIDE)), row(out, (rows,), (1,)), {names}))
"""

_SAMPLE_ROWS = """
def evaluate(x, out, rows, d, stride, args):
    {names}= unpack(args)
    buffer = empty(PANEL * d)
    panel = pointer(buffer)
    for start in range(0, rows, PANEL):
        count = min(PANEL, rows - start)
        copy_rows(x, start, count, d, stride, panel)
        for t in range(count):
            out[start + t] = real(f(sample(offset(panel, t * d), (d,), (1,)), {names}))
    buffer[0] = 0.0
"""

_BATCH_ROWS = """
def evaluate(x, out, rows, d, stride, args):
    {names}= unpack(args)
    buffer = empty(PANEL * d)
    panel = pointer(buffer)
    for start in range(0, rows, PANEL):
        count = min(PANEL, rows - start)
        copy_rows(x, start, count, d, stride, panel)
        values = row(offset(out, start), (count,), (1,))
        values[:] = nan
        nothing(f(batch(panel, (count, d), (d, 1)), values, {names}))
    buffer[0] = 0.0
"""

_SAMPLE_DIRECT = """
def evaluate(x, out, rows, d, stride, args):
    {names}= unpack(args)
    buffer = empty(PANEL * d)
    panel = pointer(buffer)
    values = empty(SIZE)
    for start in range(0, rows, PANEL):
        count = min(PANEL, rows - start)
        copy_rows(x, start, count, d, stride, panel)
        for t in range(count):
            values[:] = nan
            nothing(f(sample(offset(panel, t * d), (d,), (1,)), values, {names}))
            for j in range(SIZE):
                out[j * stride + start + t] = values[j]
    buffer[0] = 0.0
"""

_BATCH_DIRECT = """
def evaluate(x, out, rows, d, stride, args):
    {names}= unpack(args)
    buffer = empty(PANEL * d)
    panel = pointer(buffer)
    values = empty((PANEL, SIZE))
    for start in range(0, rows, PANEL):
        count = min(PANEL, rows - start)
        copy_rows(x, start, count, d, stride, panel)
        values[:] = nan
        nothing(f(batch(panel, (count, d), (d, 1)), values[:count], {names}))
        for t in range(count):
            for j in range(SIZE):
                out[j * stride + start + t] = values[t, j]
    buffer[0] = 0.0
"""


def compile_f(f: Any, kind: Kind, d: int, arguments: Arguments) -> int:
    """Address of the tile kernel of a jitted f.

    Raises
    ------
    TypeError
        If f does not compile for a float64 array, or does not return what its kind should.
    """
    return _compiled(f, kind, d if d <= FEW_COLUMNS else 0, arguments.types).address


def compile_direct(direct: Any, kind: Kind, size: int, arguments: Arguments) -> int:
    """Address of the tile kernel of a jitted direct term."""
    return _compiled_direct(direct, kind, size, arguments.types).address


class _Compiled:
    """A jitted tile function, kept alive, and the address of its native code."""

    def __init__(self, dispatcher: Any) -> None:
        self.dispatcher = dispatcher
        dispatcher.compile(INTEGRAND.args)
        result = dispatcher.overloads[INTEGRAND.args]
        self.address = int(result.library.get_pointer_to_function(result.fndesc.mangled_name))


@lru_cache(maxsize=256)
def _compiled(f: Any, kind: Kind, d: int, argument_types: tuple[types.Type, ...]) -> _Compiled:
    options = f.targetoptions
    # Explicit signatures fix the type of x; an f which is parallel itself is not to be inlined.
    pinned = not f._can_compile
    templates = [_SAMPLE_ROWS if kind == "sample" else _BATCH_ROWS]
    if d and not pinned and not options.get("parallel"):
        templates.insert(0, _SAMPLE_COLUMNS if kind == "sample" else _BATCH_COLUMNS)
    failure: Exception | None = None
    for template in templates:
        inlined = template in (_SAMPLE_COLUMNS, _BATCH_COLUMNS)
        try:
            return _build(template, f, argument_types, inlined, pinned, D=d,
                          STRIDE=stride_of(max(d, 1)))  # fmt: skip
        except errors.NumbaError as error:
            failure = error
    raise TypeError(_explain(f, failure)) from failure


@lru_cache(maxsize=256)
def _compiled_direct(
    direct: Any, kind: Kind, size: int, argument_types: tuple[types.Type, ...]
) -> _Compiled:
    template = _SAMPLE_DIRECT if kind == "sample" else _BATCH_DIRECT
    try:
        return _build(template, direct, argument_types, False, not direct._can_compile, SIZE=size)
    except errors.NumbaError as error:
        raise TypeError(_explain(direct, error)) from error


def _build(
    template: str,
    f: Any,
    argument_types: Sequence[types.Type],
    inlined: bool,
    pinned: bool,
    **constants: int,
) -> _Compiled:
    """Compile a template around f, under f's own floating-point options."""
    options = {
        name: f.targetoptions[name]
        for name in ("fastmath", "error_model", "boundscheck")
        if f.targetoptions.get(name) is not None
    }
    contiguous = _writable_row if pinned else _row
    rows = _writable_rows if pinned else _rows
    scope: dict[str, Any] = {
        "f": njit(f.py_func, inline="always", **options) if inlined else f,
        "unpack": _unpacker(tuple(argument_types)),
        "sample": _column_sample if inlined else contiguous,
        "batch": _column_batch if inlined else rows,
        "row": _writable_row,
        "real": _real,
        "nothing": _nothing,
        "offset": offset,
        "pointer": pointer,
        "copy_rows": _copy_rows,
        "empty": np.empty,
        "nan": math.nan,
        "PANEL": _PANEL,
        **constants,
    }
    names = "".join(f"a{i}, " for i in range(len(argument_types)))
    if not names:
        template = template.replace("    {names}= unpack(args)\n", "")
    exec(template.format(names=names), scope)
    return _Compiled(njit(**options)(scope["evaluate"]))


def _explain(f: Any, error: Exception | None) -> str:
    """Numba's message, cut down to what is about f."""
    name = getattr(f, "__name__", "f")
    for line in str(error).splitlines():
        if _OURS in line:
            return line.split(_OURS, 1)[1].strip().replace("f ", f"f ({name}) ", 1)
    return (
        f"f ({name}) does not compile for a read-only float64 array; Numba says: "
        f"{str(error).strip()[:2000]}"
    )
