"""Pointers and views: how kernels see tiles without allocating or copying."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastscore.engine.jit import plain

f8 = types.float64
i8 = types.int64
u8 = types.uint64
floats = types.CPointer(f8)
integers = types.CPointer(i8)
words = types.CPointer(u8)
shorts = types.CPointer(types.int16)

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


def _pointer_to(kind: Any) -> Any:
    @intrinsic
    def cast(typingctx, base):
        """A pointer from one to other items, or from an address that Python has put in a table."""

        def codegen(context, builder, signature, args):
            convert = builder.inttoptr if signature.args[0] == i8 else builder.bitcast
            return convert(args[0], context.get_value_type(kind))

        return kind(base), codegen

    return cast


as_floats = _pointer_to(floats)
as_integers = _pointer_to(integers)
as_words = _pointer_to(words)
as_shorts = _pointer_to(shorts)


@intrinsic
def address_of(typingctx, base):
    """The address that a pointer holds."""

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(args[0], ir.IntType(64))

    return i8(base), codegen


@intrinsic
def line_of(typingctx, base):
    """The first cache line that starts at ``base`` or behind it."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        address = builder.add(builder.ptrtoint(args[0], word), ir.Constant(word, 8 * _LINE - 1))
        start = builder.and_(address, ir.Constant(word, -8 * _LINE))
        return builder.inttoptr(start, args[0].type)

    return base(base), codegen


@intrinsic
def multiply_high(typingctx, a, b):
    """The high word of the product of two words."""

    def codegen(context, builder, signature, args):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(arg, wide) for arg in args))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return u8(u8, u8), codegen


def lanes() -> int:
    """Doubles of a vector register of the CPU that is compiled for."""
    features = config.CPU_FEATURES
    if features is None:
        features = binding.get_host_cpu_features().flatten()
    return 8 if "+avx512f" in features else 4


def broadcast(builder: Any, value: Any, lanes: int) -> Any:
    """A vector with ``value`` in each lane."""
    empty = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    same = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, one, same)


@intrinsic
def below_16(typingctx, draws, threshold, flip, out):
    """Write ``(draw < threshold) ^ flip`` for 16 signed draws; returns whether one ties.

    Left to itself LLVM compares words as wide as what is written, four times as many vectors.
    """

    def codegen(context, builder, signature, args):
        lanes, short, long = 16, ir.IntType(16), ir.IntType(64)
        words = builder.bitcast(args[0], ir.VectorType(short, lanes).as_pointer())
        drawn = builder.load(words, align=2)
        limit = broadcast(builder, builder.trunc(args[1], short), lanes)
        below = builder.zext(builder.icmp_signed("<", drawn, limit), ir.VectorType(long, lanes))
        target = builder.bitcast(args[3], ir.VectorType(long, lanes).as_pointer())
        builder.store(builder.xor(below, broadcast(builder, args[2], lanes)), target, align=8)
        ties = builder.bitcast(builder.icmp_signed("==", drawn, limit), ir.IntType(lanes))
        return builder.zext(ties, long)

    return i8(shorts, i8, i8, integers), codegen


@intrinsic
def far_words(typingctx, base):
    """A bit for each of 16 words, lowest first: whether its top six bits are all the same."""

    def codegen(context, builder, signature, args):
        lanes, long = 16, ir.IntType(64)
        wide = ir.VectorType(long, lanes)
        read = builder.load(builder.bitcast(args[0], wide.as_pointer()), align=8)
        moved = builder.add(read, ir.Constant(wide, [2**58] * lanes))
        far = builder.icmp_unsigned("<", moved, ir.Constant(wide, [2**59] * lanes))
        return builder.zext(builder.bitcast(far, ir.IntType(lanes)), long)

    return i8(base), codegen


@intrinsic
def trailing_zeros(typingctx, word):
    """Zeros below the lowest one of a word."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return i8(i8), codegen


@intrinsic
def add_three(typingctx, base, a, b, c):
    """Add to three doubles, and 0 to the one behind them, as one vector."""

    def codegen(context, builder, signature, args):
        four = ir.VectorType(ir.DoubleType(), 4)
        at = builder.bitcast(args[0], four.as_pointer())
        added = ir.Constant(four, [0.0] * 4)
        for lane, value in enumerate(args[1:]):
            added = builder.insert_element(added, value, ir.Constant(ir.IntType(32), lane))
        builder.store(builder.fadd(builder.load(at, align=8), added), at, align=8)
        return context.get_dummy_value()

    return types.void(floats, f8, f8, f8), codegen


@intrinsic
def take_next(typingctx, counter):
    """The counter's value, which goes up by one; safe among threads."""

    def codegen(context, builder, signature, args):
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", args[0], one, "monotonic")

    return i8(integers), codegen


def counted_loop(builder: Any, count: Any, states: list[Any], body: Any) -> list[Any]:
    """Emit ``for i in range(count): states = body(i, states)``, the states kept in registers.

    ``count`` is at least 1.
    """
    word = ir.IntType(64)
    before = builder.block
    loop, after = (builder.append_basic_block(name) for name in ("loop", "loop.done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(word)
    now = [builder.phi(state.type) for state in states]
    following = body(index, now)
    next_index = builder.add(index, ir.Constant(word, 1))
    for phi, first, value in zip(
        [index, *now], [ir.Constant(word, 0), *states], [next_index, *following], strict=True
    ):
        phi.add_incoming(first, before)
        phi.add_incoming(value, builder.block)
    builder.cbranch(builder.icmp_unsigned("<", next_index, count), loop, after)
    builder.position_at_end(after)
    return following


def view_maker(ndim: int, layout: str, readonly: bool = False) -> Any:
    """An intrinsic ``view(base, shape, strides)`` on memory, strides counted in elements."""

    @intrinsic
    def view(typingctx, base, shape, strides):
        array_type = types.Array(base.dtype, ndim, layout, readonly=readonly)

        def codegen(context, builder, signature, args):
            data, lengths, steps = args
            array = context.make_array(array_type)(context, builder)
            item = context.get_constant(
                types.intp, context.get_abi_sizeof(context.get_data_type(base.dtype))
            )
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
def transpose_8x8(typingctx, source, source_stride, target, target_stride):
    """Write an 8 x 8 square of doubles transposed; plain loops do it at half the speed."""

    def codegen(context, builder, signature, args):
        source, source_stride, target, target_stride = args
        eight = ir.VectorType(ir.DoubleType(), 8)

        def at(base, stride, i):
            step = builder.mul(stride, ir.Constant(ir.IntType(64), i))
            return builder.bitcast(builder.gep(base, [step]), eight.as_pointer())

        def exchange(rows, step):
            """Transpose each 2 x 2 of squares of side ``step``: the two off the diagonal swap."""
            low = [n if not n & step else 8 + n - step for n in range(8)]
            high = [n + step if not n & step else 8 + n for n in range(8)]
            for i in (i for i in range(8) if not i & step):
                pair = rows[i], rows[i + step]
                for row, lanes in ((i, low), (i + step, high)):
                    mask = ir.Constant(ir.VectorType(ir.IntType(32), 8), lanes)
                    rows[row] = builder.shuffle_vector(*pair, mask)

        rows = [builder.load(at(source, source_stride, i), align=8) for i in range(8)]
        for step in (1, 2, 4):
            exchange(rows, step)
        for i, row in enumerate(rows):
            builder.store(row, at(target, target_stride, i), align=8)
        return context.get_dummy_value()

    return types.void(floats, i8, floats, i8), codegen


@plain
def copy_rows(columns, start, rows, count, stride, panel, width):
    """Rows of what is stored by columns, one behind the other, ``width`` apart in a panel.

    Of integers the bits are moved.
    """
    square = rows // 8 * 8
    for k in range(0, count // 8 * 8, 8):
        for t in range(0, square, 8):
            source = offset(columns, k * stride + start + t)
            transpose_8x8(source, stride, offset(panel, t * width + k), width)
    for k in range(count):
        for t in range(square if k < count // 8 * 8 else 0, rows):
            panel[t * width + k] = columns[k * stride + start + t]


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
