"""Sums of squares ``Σ_k ((x_k − a_k) b_k)²`` of a tile's samples, for several a and b at once.

The log-densities of normals under many parameters are such sums.  They stay in registers while the
coordinates pass by; a loop per set of parameters would load and store them for each coordinate.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastscore.engine.jit import plain
from fastscore.engine.memory import (
    as_floats,
    broadcast,
    counted_loop,
    floats,
    i8,
    lanes,
    offset,
)

#: Sets of parameters at a time: their sums, two vectors each, fill half of the registers.
_SETS = 4
_VECTORS = 2


@intrinsic
def _rows_at_once(typingctx):
    def codegen(context, builder, signature, args):
        return context.get_constant(i8, _VECTORS * lanes())

    return i8(), codegen


def _sums_of(sets: int) -> Any:
    """Make an intrinsic for so many sets of parameters."""

    @intrinsic
    def add(typingctx, x, stride, d, a, b, out):
        """Write the sums of a few rows; a, b and out are tuples of pointers."""

        def codegen(context, builder, signature, args):
            x, stride, d, *groups = args
            a, b, out = ([builder.extract_value(group, i) for i in range(sets)] for group in groups)
            vector = ir.VectorType(ir.DoubleType(), lanes())

            def part(base: Any, i: int) -> Any:
                start = builder.gep(base, [ir.Constant(ir.IntType(64), i * lanes())])
                return builder.bitcast(start, vector.as_pointer())

            def step(k: Any, sums: list[Any]) -> list[Any]:
                column = builder.gep(x, [builder.mul(k, stride)])
                values = [builder.load(part(column, i), align=8) for i in range(_VECTORS)]
                added = []
                for j in range(sets):
                    low = broadcast(builder, builder.load(builder.gep(a[j], [k])), lanes())
                    by = broadcast(builder, builder.load(builder.gep(b[j], [k])), lanes())
                    for i, value in enumerate(values):
                        z = builder.fmul(builder.fsub(value, low), by)
                        square = builder.fmul(z, z, flags=("contract",))
                        total = sums[j * _VECTORS + i]
                        added.append(builder.fadd(total, square, flags=("contract",)))
                return added

            zeros = [ir.Constant(vector, [0.0] * lanes())] * (sets * _VECTORS)
            for i, total in enumerate(counted_loop(builder, d, zeros, step)):
                target = part(out[i // _VECTORS], i % _VECTORS)
                builder.store(total, target, align=8)
            return context.get_dummy_value()

        pointers = types.UniTuple(floats, sets)
        return types.void(floats, i8, i8, pointers, pointers, pointers), codegen

    return add


_sums_of_one = _sums_of(1)
_sums_of_all = _sums_of(_SETS)


@plain
def sums_of_squares(packed, columns, count, a, b, x, rows, d, stride, out):
    """Write the sums of each set of parameters to its column of ``out``.

    The parameters of set j start at the address ``packed[j]``, a and b so many doubles on.  Up to
    15 rows more are written.
    """
    whole = count // _SETS * _SETS
    for start in range(0, rows, _rows_at_once()):
        at, to = offset(x, start), offset(out, start)
        for j in range(0, whole, _SETS):
            p0, p1 = as_floats(packed[j]), as_floats(packed[j + 1])
            p2, p3 = as_floats(packed[j + 2]), as_floats(packed[j + 3])
            _sums_of_all(
                at, stride, d,
                (offset(p0, a), offset(p1, a), offset(p2, a), offset(p3, a)),
                (offset(p0, b), offset(p1, b), offset(p2, b), offset(p3, b)),
                (offset(to, columns[j] * stride), offset(to, columns[j + 1] * stride),
                 offset(to, columns[j + 2] * stride), offset(to, columns[j + 3] * stride)),
            )  # fmt: skip
        for j in range(whole, count):
            p = as_floats(packed[j])
            _sums_of_one(
                at, stride, d, (offset(p, a),), (offset(p, b),), (offset(to, columns[j] * stride),)
            )
