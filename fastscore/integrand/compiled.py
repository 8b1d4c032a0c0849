"""A compiled f as one tile kernel.

A tile is stored by columns.  With few coordinates f sees each sample in place, with the column
stride, and is inlined with d as a constant, so that LLVM vectorises over samples.  With many, or
where that does not compile, it sees contiguous copies of a panel of rows at a time; a C function
always does.  Of samples drawn on another space a kernel makes what f sees first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import errors
from numba.extending import intrinsic

from fastscore.engine import driver
from fastscore.engine.blocks import INTEGRAND, forward_tile
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    caller,
    copy_rows,
    floats,
    integers,
    line_of,
    offset,
    pointer,
    view_maker,
)
from fastscore.engine.tiles import FEW_COLUMNS, stride_of
from fastscore.families._family import tiles_of
from fastscore.form import Form
from fastscore.integrand.arguments import Arguments, unpacker
from fastscore.integrand.pointer import CFunction

#: Rows copied at a time for an f which wants them contiguous.
_PANEL = 16
OURS = "fastscore:"


@intrinsic
def _real(typingctx, value):
    """A float from what f returns, refused at compile time when it is no real number."""
    if not isinstance(value, (types.Integer, types.Float, types.Boolean)):
        raise errors.TypingError(f"{OURS} f returns {value}, where a float is expected")

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[0], value, types.float64)

    return types.float64(value), codegen


@intrinsic
def _nothing(typingctx, value):
    """What a batch f returns, refused at compile time when it is not nothing."""
    if value != types.none:
        raise errors.TypingError(
            f"{OURS} f takes a batch and an array for its values, and yet returns {value}. "
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
_writable_column = view_maker(1, "A")
_writable_columns = view_maker(2, "A")


_COLUMNS = """
def evaluate(x, out, rows, d, stride, args):
    {names}= unpack(args)
    {body}
"""

# In front of either: the tile of what f sees, as wide as the tile.  The arguments start with the
# addresses of the kernel that makes it, and of that kernel's parameters.
_FORWARD = """
    tile = empty(d * stride + 8)
    seen = line_of(pointer(tile))
    forward(args[0], (as_floats(args[1]), x, rows, d, stride, seen))
    x, args = seen, offset(args, 2)
"""

# Panels start a cache line, whose rows would else straddle two (0.16 against 0.13 ns an element).
# ``buffer[0] = 0.0`` keeps the buffer alive: Numba frees an array after its last use, and does not
# see those through a pointer.
_ROWS = """
def evaluate(x, out, rows, d, stride, args):
    {names}= unpack(args)
    buffer = empty(PANEL * d + 8)
    panel = line_of(pointer(buffer))
    for start in range(0, rows, PANEL):
        count = min(PANEL, rows - start)
        copy_rows(x, start, count, d, stride, panel, d)
        {body}
    buffer[0] = 0.0
"""

_SAMPLE_COLUMNS = """
for t in range(rows):
    out[t] = real(f({column_sample}, {names}))
"""

_BATCH_COLUMNS = """
values = row(out, (rows,), (1,))
values[:] = nan
nothing(f({column_batch}, values, {names}))
"""

_SAMPLE_ROWS = """
for t in range(count):
    out[start + t] = real(f({row_sample}, {names}))
"""

_BATCH_ROWS = """
values = row(offset(out, start), (count,), (1,))
values[:] = nan
nothing(f({row_batch}, values, {names}))
"""

_SAMPLE_DIRECT = """
values = empty(SIZE)
for t in range(count):
    values[:] = nan
    nothing(f({row_sample}, values, {names}))
    for j in range(SIZE):
        out[j * stride + start + t] = values[j]
"""

_BATCH_DIRECT = """
values = empty((count, SIZE))
values[:] = nan
nothing(f({row_batch}, values, {names}))
for t in range(count):
    for j in range(SIZE):
        out[j * stride + start + t] = values[t, j]
"""


_SAMPLE_DIRECT_COLUMNS = """
for j in range(SIZE):
    row(offset(out, j * stride), (rows,), (1,))[:] = nan
for t in range(rows):
    nothing(f({column_sample}, column(offset(out, t), (SIZE,), (stride,)), {names}))
"""

_BATCH_DIRECT_COLUMNS = """
for j in range(SIZE):
    row(offset(out, j * stride), (rows,), (1,))[:] = nan
nothing(f({column_batch}, columns(out, (rows, SIZE), (1, stride)), {names}))
"""

_C_SAMPLE = """
for t in range(count):
    out[start + t] = call(a0, (int32(d), items(offset(panel, t * d)){user_data}))
"""

_C_BATCH = """
call(a0, (count, int32(d), items(panel), offset(out, start){user_data}))
"""

_BODIES = {
    "sample": (_SAMPLE_COLUMNS, _SAMPLE_ROWS),
    "batch": (_BATCH_COLUMNS, _BATCH_ROWS),
}
_DIRECT_BODIES = {
    "sample": (_SAMPLE_DIRECT_COLUMNS, _SAMPLE_DIRECT),
    "batch": (_BATCH_DIRECT_COLUMNS, _BATCH_DIRECT),
}

# What f gets: coordinates from the first on of a tile's or of a panel's rows.
_VIEWS = {
    "column_sample": "sample({items}(offset(x, t + {first} * stride)), ({d},), (stride,))",
    "column_batch": "batch({items}(offset(x, {first} * stride)), (rows, {d}), (1, stride))",
    "row_sample": "sample({items}(offset(panel, t * d + {first})), ({d},), (1,))",
    "row_batch": "batch({items}(offset(panel, {first})), (count, {d}), (d, 1))",
}

#: How a tile's eight-byte items are seen, by type.
_ITEMS: dict[type, str] = {np.float64: "as_floats", np.int64: "as_integers"}


def compile_f(
    f: Any, kind: str, form: Form, arguments: Arguments, forward: bool = False
) -> TileFunction:
    """The tile kernel of a jitted f of samples of that form.

    Parameters
    ----------
    f, kind, form, arguments
        f, how it is called, what it sees, and its further arguments.
    forward : bool
        Whether tiles are of another space, and the words of the arguments led by two addresses:
        of the kernel that makes what f sees, and of its parameters.

    Raises
    ------
    TypeError
        If f does not compile for such samples, or does not return what its kind should.
    """
    return _compiled_f(f, kind, form, arguments.types, forward)


def compile_direct(
    direct: Any, kind: str, size: int, form: Form, arguments: Arguments, forward: bool = False
) -> TileFunction:
    """The tile kernel of a jitted direct term."""
    return _compiled_direct(direct, kind, size, form, arguments.types, forward)


def compile_pointer(
    function: CFunction, form: Form, forward: bool = False
) -> tuple[TileFunction, Arguments]:
    """The tile kernel which calls a C function, and the arguments that name it."""
    arguments = Arguments((function.address, function.user_data))
    kernel = _calling(
        function.batch, function.takes_user_data, form.dtype, arguments.types, forward
    )
    return kernel, arguments


@lru_cache
def _calling(
    batch: bool, takes_user_data: bool, dtype: type, argument_types: tuple[types.Type, ...],
    forward: bool,
) -> TileFunction:  # fmt: skip
    """One kernel for all C functions of a signature."""
    items = floats if dtype is np.float64 else integers
    last = (types.int64,) if takes_user_data else ()
    if batch:
        body, signature = _C_BATCH, types.void(types.int64, types.int32, items, floats, *last)
    else:
        body, signature = _C_SAMPLE, types.float64(types.int32, items, *last)
    body = body.replace("{user_data}", ", a1" if takes_user_data else "")
    scope = {
        "call": caller(signature), "int32": np.int32,
        "items": as_floats if dtype is np.float64 else as_integers,
    }  # fmt: skip
    return _build(_ROWS, body, None, Form(0, dtype), argument_types, forward, scope)


def written_by(
    function: int | TileFunction, arguments: Arguments, count: int, kept: Any = None
) -> Callable[[np.ndarray], np.ndarray]:
    """What a tile function writes, so many numbers a row, at samples (n, d).

    NaN if it fails; ``kept`` must live as long.
    """
    address = function.address if isinstance(function, TileFunction) else function

    def at(x: np.ndarray) -> np.ndarray:
        out = np.empty((len(x), count))
        columns = np.empty((count, stride_of(x.shape[1])))
        for rows, tile in tiles_of(x):
            write = len(rows), x.shape[1], columns.shape[1], arguments.words
            if driver.write_terms(address, tile, columns.ravel(), *write) != 0:
                return np.full((len(x), count), np.nan)  # the run will tell
            out[rows] = columns[:, : len(rows)].T
        return out

    at.kept = function, kept  # type: ignore[attr-defined]
    return at


class TileFunction:
    """A jitted tile function, kept alive, and the address of its native code."""

    def __init__(self, dispatcher: Any) -> None:
        self.dispatcher = dispatcher
        dispatcher.compile(INTEGRAND.args)
        result = dispatcher.overloads[INTEGRAND.args]
        self.address = int(result.library.get_pointer_to_function(result.fndesc.mangled_name))
        #: Whether it enters parallel regions, its own or those of what it calls.
        self.parallel = "numba_parallel_for" in result.library.get_llvm_str()


@lru_cache(maxsize=256)
def _compiled_f(
    f: Any, kind: str, form: Form, argument_types: tuple[types.Type, ...], forward: bool
) -> TileFunction:
    columns, rows = _BODIES[kind]
    few = form.d <= FEW_COLUMNS
    if few:
        kernel = _on_columns(columns, f, form, argument_types, forward)
        if kernel is not None:
            return kernel
    form = form if few or form.parts else replace(form, d=0)  # one kernel for all of many
    return _on_rows(rows, f, form, argument_types, forward)


def _on_columns(
    body: str, f: Any, form: Form, argument_types: tuple[types.Type, ...], forward: bool,
    **constants: int,
) -> TileFunction | None:  # fmt: skip
    """The kernel of a function on columns, if it can be."""
    # Explicit signatures fix the type of x, and an f with a prange of its own cannot be inlined.
    if not f._can_compile or f.targetoptions.get("parallel"):
        return None
    scope = {
        "f": njit(f.py_func, inline="always", **_options(f)),
        "sample": _column_sample, "batch": _column_batch, **constants,
    }  # fmt: skip
    try:
        return _build(_COLUMNS, body, f, form, argument_types, forward, scope)
    except errors.NumbaError:
        return None  # it may need contiguous rows; if it fails there too, that error is told


@lru_cache(maxsize=256)
def _compiled_direct(
    direct: Any, kind: str, size: int, form: Form, argument_types: tuple[types.Type, ...],
    forward: bool,
) -> TileFunction:  # fmt: skip
    columns, rows = _DIRECT_BODIES[kind]
    if form.d <= FEW_COLUMNS and size <= 2 * FEW_COLUMNS:
        kernel = _on_columns(columns, direct, form, argument_types, forward, SIZE=size)
        if kernel is not None:
            return kernel
    form = form if form.parts else replace(form, d=0)
    return _on_rows(rows, direct, form, argument_types, forward, SIZE=size)


def _on_rows(
    body: str, f: Any, form: Form, argument_types: tuple[types.Type, ...], forward: bool,
    **constants: int,
) -> TileFunction:  # fmt: skip
    inner = _rows if f._can_compile else _writable_rows
    scope = {
        "f": f,
        "sample": _row if f._can_compile else _writable_row,
        "batch": _column_batch if form.parts else inner,
        **constants,
    }
    try:
        return _build(_ROWS, body, f, form, argument_types, forward, scope)
    except errors.NumbaError as error:
        raise TypeError(_explain(f, error, form)) from error


def _build(
    frame: str, body: str, f: Any, form: Form, argument_types: tuple[types.Type, ...],
    forward: bool, scope: dict[str, Any],
) -> TileFunction:  # fmt: skip
    """Compile a body within its frame, under f's own floating-point options."""
    scope = {
        "unpack": unpacker(argument_types), "as_floats": as_floats, "as_integers": as_integers,
        "row": _writable_row, "column": _writable_column, "columns": _writable_columns,
        "record": form.record if form.parts else None,
        "real": _real, "nothing": _nothing, "offset": offset, "pointer": pointer,
        "line_of": line_of, "copy_rows": copy_rows, "empty": np.empty, "nan": math.nan,
        "PANEL": _PANEL, "forward": forward_tile, **scope,
    }  # fmt: skip
    names = "".join(f"a{i}, " for i in range(len(argument_types)))
    if not names:
        frame = frame.replace("    {names}= unpack(args)\n", "")
    if forward:
        head, line, tail = frame.partition("args):\n")
        frame = f"{head}{line}{_FORWARD[1:]}{tail}    tile[0] = 0.0\n"
    indent = frame[: frame.index("{body}")].rpartition("\n")[2]
    source = frame.replace("{body}", body.strip().replace("\n", "\n" + indent))
    views = {name: _view(template, form) for name, template in _VIEWS.items()}
    exec(source.format(names=names, **views), scope)
    return TileFunction(njit(**_options(f))(scope["evaluate"]))


def _view(template: str, form: Form) -> str:
    """The expression of what f gets."""
    if not form.parts:
        # A constant d lets LLVM unroll loops over it.
        return template.format(items=_ITEMS[form.dtype], first=0, d=form.d or "d")
    views = (template.format(items=_ITEMS[p.dtype], first=p.first, d=p.d) for p in form.parts)
    return f"record({', '.join(views)})"


def _options(f: Any) -> dict[str, Any]:
    """f's own floating-point options, under which it is inlined."""
    given = getattr(f, "targetoptions", {})
    names = ("fastmath", "error_model", "boundscheck")
    return {name: given[name] for name in names if given.get(name) is not None}


def _explain(f: Any, error: Exception, form: Form) -> str:
    """Numba's message, cut down to what is about f."""
    name = getattr(f, "__name__", "f")
    for line in str(error).splitlines():
        if OURS in line:
            return line.split(OURS, 1)[1].strip().replace("f ", f"f ({name}) ", 1)
    return (
        f"f ({name}) does not compile for {_described(form)}; Numba says: "
        f"{str(error).strip()[:2000]}"
    )


def _described(form: Form) -> str:
    """What f is compiled for."""
    if not form.parts:
        return f"a read-only {form.dtype.__name__} array"
    fields = ", ".join(f"{part.name} ({part.dtype.__name__})" for part in form.parts)
    return f"a named tuple of read-only arrays {fields}"
