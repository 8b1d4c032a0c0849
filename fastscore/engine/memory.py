"""Pointers and views: how kernels see tiles without allocating or copying."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastscore.engine.jit import plain

f8 = types.float64
i8 = types.int64
u8 = types.uint64
floats = types.CPointer(f8)
integers = types.CPointer(i8)
words = types.CPointer(u8)

#: Doubles in a cache line.
_LINE = 8


def aligned(rows: int, size: int) -> np.ndarray:
    """Uninitialised rows of doubles, each starting a cache line (an odd start costs 4-15 %)."""
    size = -(-size // _LINE) * _LINE
    raw = np.empty(rows * size + _LINE)
    start = -(raw.ctypes.data // 8) % _LINE
    return raw[start : start + rows * size].reshape(rows, size)


@intrinsic
def pointer(typingctx, array):
    """Pointer to the first element of an array."""

    def codegen(context, builder, signature, args):
        return cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def offset(typingctx, base, count):
    """``base + count`` elements."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return base(base, i8), codegen


@intrinsic
def as_words(typingctx, base):
    """The same memory seen as 64-bit words."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(words))

    return words(base), codegen


def _pointer_at(kind: Any) -> Any:
    @intrinsic
    def at(typingctx, address):
        """A pointer from an address."""

        def codegen(context, builder, signature, args):
            return builder.inttoptr(args[0], context.get_value_type(kind))

        return kind(i8), codegen

    return at


#: Pointers from addresses that Python has put into a table.
floats_at = _pointer_at(floats)
integers_at = _pointer_at(integers)


@intrinsic
def take_next(typingctx, counter):
    """The counter's value, which goes up by one; safe among threads."""

    def codegen(context, builder, signature, args):
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", args[0], one, "monotonic")

    return i8(integers), codegen


def view_maker(ndim: int, layout: str, readonly: bool = False) -> Any:
    """An intrinsic ``view(base, shape, strides)`` on memory, strides counted in elements."""

    @intrinsic
    def view(typingctx, base, shape, strides):
        array_type = types.Array(base.dtype, ndim, layout, readonly=readonly)

        def codegen(context, builder, signature, args):
            data, lengths, steps = args
            array = context.make_array(array_type)(context, builder)
            item = context.get_constant(types.intp, 8)
            populate_array(
                array,
                data=data,
                shape=lengths,
                strides=[builder.mul(step, item) for step in cgutils.unpack_tuple(builder, steps)],
                itemsize=item,
                meminfo=None,
            )
            return array._getvalue()

        return array_type(base, shape, strides), codegen

    return view


_contiguous = view_maker(1, "C")


@plain
def vector(base, count):
    """``count`` contiguous elements as a one-dimensional array."""
    return _contiguous(base, (count,), (1,))


@intrinsic
def transpose_4x4(typingctx, source, source_stride, target, target_stride):
    """Write a 4 x 4 square of doubles transposed; plain loops do it at a third of the speed."""

    def codegen(context, builder, signature, args):
        source, source_stride, target, target_stride = args
        four = ir.VectorType(ir.DoubleType(), 4)

        def at(base, stride, i):
            step = builder.mul(stride, ir.Constant(ir.IntType(64), i))
            return builder.bitcast(builder.gep(base, [step]), four.as_pointer())

        def shuffle(a, b, *lanes):
            mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), list(lanes))
            return builder.shuffle_vector(a, b, mask)

        a, b, c, d = (builder.load(at(source, source_stride, i), align=8) for i in range(4))
        ab_even, ab_odd = shuffle(a, b, 0, 4, 2, 6), shuffle(a, b, 1, 5, 3, 7)
        cd_even, cd_odd = shuffle(c, d, 0, 4, 2, 6), shuffle(c, d, 1, 5, 3, 7)
        for i, (x, y, lanes) in enumerate(
            (
                (ab_even, cd_even, (0, 1, 4, 5)),
                (ab_odd, cd_odd, (0, 1, 4, 5)),
                (ab_even, cd_even, (2, 3, 6, 7)),
                (ab_odd, cd_odd, (2, 3, 6, 7)),
            )
        ):
            builder.store(shuffle(x, y, *lanes), at(target, target_stride, i), align=8)
        return context.get_dummy_value()

    return types.void(floats, i8, floats, i8), codegen


def caller(signature: Any) -> Any:
    """An intrinsic ``call(address, arguments)`` of a C function of that signature."""

    @intrinsic
    def call(typingctx, address, arguments):
        def codegen(context, builder, _, args):
            target = ir.FunctionType(
                ir.VoidType()
                if signature.return_type == types.void
                else context.get_value_type(signature.return_type),
                [context.get_value_type(argument) for argument in signature.args],
            )
            function = builder.inttoptr(args[0], target.as_pointer())
            result = builder.call(function, cgutils.unpack_tuple(builder, args[1]))
            return context.get_dummy_value() if signature.return_type == types.void else result

        return signature.return_type(i8, types.Tuple(signature.args)), codegen

    return call


def native_caller(signature: Any) -> Any:
    """An intrinsic ``call(address, arguments)`` of a jitted function, for its status.

    It speaks Numba's own calling convention, ``status f(result *, exception **, ...)``:
    a C callback would print and swallow an exception; here status != 0 tells of it.
    """

    @intrinsic
    def call(typingctx, address, arguments):
        def codegen(context, builder, _, args):
            result = context.get_value_type(signature.return_type)
            exception = ir.IntType(8).as_pointer()
            target = ir.FunctionType(
                ir.IntType(32),
                [result.as_pointer(), exception.as_pointer()]
                + [context.get_value_type(argument) for argument in signature.args],
            )
            function = builder.inttoptr(args[0], target.as_pointer())
            status = builder.call(
                function,
                [
                    cgutils.alloca_once(builder, result),
                    cgutils.alloca_once(builder, exception),
                    *cgutils.unpack_tuple(builder, args[1]),
                ],
            )
            return builder.zext(status, ir.IntType(64))

        return i8(i8, types.Tuple(signature.args)), codegen

    return call
