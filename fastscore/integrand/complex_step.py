"""∇f by complex step: ``Im f(x + i h e_k)/h``, without cancellation and thus at a tiny h.

W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM
Review 40 (1998).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import errors
from numba.extending import intrinsic

from fastscore.form import Form
from fastscore.integrand.compiled import OURS

_STEP = 1e-30
_REAL = (
    "returns a real number of complex x, so that no derivative comes by complex step: comparisons "
    "and abs drop the imaginary part; give derivative=, a function"
)


@intrinsic
def _imaginary(typingctx, value):
    """The imaginary part, refused at compile time of what is real."""
    if not isinstance(value, types.Complex):
        raise errors.TypingError(f"{OURS} f {_REAL}")

    def codegen(context, builder, signature, args):
        return context.make_complex(builder, value, args[0]).imag

    return value.underlying_float(value), codegen


# A part is copied, moved, and put back; integers stay as they are.
_SAMPLE = """
def derivative(x, out, {names}):
    {copies}
    z = {record}
    for k in range(len(out)):
        out[k] = 0.0
{moves}
"""
_MOVE_SAMPLE = """
    for k in range(len(z{i})):
        kept = z{i}[k]
        z{i}[k] = kept + STEP
        out[{first} + k] = imaginary(f(z, {names})) / SIZE
        z{i}[k] = kept
"""
_BATCH = """
def derivative(x, out, {names}):
    {copies}
    z = {record}
    out[:] = 0.0
    values = empty(len(out), complex128)
{moves}
"""
_MOVE_BATCH = """
    for k in range(z{i}.shape[1]):
        z{i}[:, k] += STEP
        f(z, values, {names})
        out[:, {first} + k] = values.imag / SIZE
        z{i}[:, k] = x{i}[:, k]
"""


@lru_cache(maxsize=256)
def jitted(f: Any, kind: str, form: Form, count: int) -> Any:
    """``∇f`` of a jitted f of a sample or a batch, as a direct term is called.

    Parameters
    ----------
    f, kind, form
        f, how it is called, and what it sees.
    count : int
        Its further arguments.
    """
    frame, move = (_SAMPLE, _MOVE_SAMPLE) if kind == "sample" else (_BATCH, _MOVE_BATCH)
    names = ", ".join(f"a{i}" for i in range(count))
    copies, members, moves = [], [], []
    for i, (first, real) in enumerate(_parts(form)):
        copies.append(f"x{i} = x[{i}]" if form.parts else f"x{i} = x")
        members.append(f"z{i}" if real else f"x{i}")
        if real:
            copies.append(f"z{i} = x{i}.astype(complex128)")
            moves.append(move.format(i=i, first=first, names=names))
    source = frame.format(
        names=names, copies="\n    ".join(copies), moves="".join(moves),
        record=f"record({', '.join(members)})" if form.parts else "z0",
    )  # fmt: skip
    scope = {
        "f": f, "imaginary": _imaginary, "record": form.record if form.parts else None,
        "STEP": complex(0.0, _STEP), "SIZE": _STEP, "empty": np.empty,
        "complex128": np.complex128,
    }  # fmt: skip
    exec(source, scope)
    given = getattr(f, "targetoptions", {})
    options = {name: given[name] for name in ("fastmath", "error_model") if name in given}
    made = scope["derivative"]
    made.__name__ = f.__name__  # by which errors call it
    return njit(**options)(made)


def explained(error: TypeError) -> str:
    """What would do where f did not compile."""
    if _REAL in str(error):
        return f"derivative='complex step': {error}"
    return (
        "derivative='complex step': f does not compile for complex x. It must be smooth, without "
        "comparisons (np.exp, not math.exp); or give derivative=, a function. " + str(error)
    )


def _parts(form: Form) -> list[tuple[int, bool]]:
    """First coordinates of the arrays that f sees, and whether they are real numbers."""
    if not form.parts:
        return [(0, form.dtype is np.float64)]
    return [(part.first, part.dtype is np.float64) for part in form.parts]


def called(f: Callable[..., Any], form: Form) -> Callable[..., np.ndarray]:
    """``∇f`` of a NumPy-style f, (rows, d)."""

    def derivative(x: Any, *args: Any) -> np.ndarray:
        arrays = list(x) if form.parts else [x]
        out = np.zeros((len(arrays[0]), form.d))
        for i, (first, real) in enumerate(_parts(form)):
            for k in range(arrays[i].shape[1] if real else 0):
                z = arrays[i].astype(np.complex128)
                z[:, k] += complex(0.0, _STEP)
                moved = [*arrays[:i], z, *arrays[i + 1 :]]
                try:
                    value = np.asarray(f(form.record(*moved) if form.parts else z, *args))
                except TypeError as error:
                    error.add_note("raised by f of complex x: see derivative='complex step'")
                    raise
                if value.dtype.kind != "c":
                    raise TypeError(f"derivative='complex step': f {_REAL}")
                out[:, first + k] = value.imag / _STEP
        return out

    return derivative


__all__ = ["called", "explained", "jitted"]
