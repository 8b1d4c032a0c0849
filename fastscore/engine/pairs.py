"""The five sums of scores that are products of two columns, ``s_ij = a_i b_j − c_ij``.

Blocks of a few columns a and b share their loads, and all of a block's sums stay in registers; the
products themselves are never stored.  Where they are wanted there is `add_pair_score`.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from fastscore.engine.jit import elementwise, plain
from fastscore.engine.lanes import Lanes, loop_if_any, word
from fastscore.engine.memory import floats, i8, lanes, offset

_SUMS = 5
#: Room for the sums of a block.
SCRATCH = 4 * _SUMS


def _sides() -> tuple[int, int]:
    """Columns a and b of a block, whose sums fill two thirds of the registers."""
    return lanes() // 4, 2


@intrinsic
def _block_sides(typingctx):
    result = types.UniTuple(i8, 2)

    def codegen(context, builder, signature, args):
        sides = [context.get_constant(i8, side) for side in _sides()]
        return context.make_tuple(builder, result, sides)

    return result(), codegen


@intrinsic
def _sums_of_block(typingctx, a, a_step, b, b_step, c, c_step, w, rows, out):
    """Write the sums of a block, those of one kind side by side; steps lead to the next a, b, c."""

    def codegen(context, builder, signature, args):
        a, a_step, b, b_step, c, c_step, w, rows, out = args
        high, wide = _sides()
        whole = Lanes(builder)

        def steps(base: Any, step: Any, count: int) -> list[Any]:
            return [builder.gep(base, [builder.mul(step, word(i))]) for i in range(count)]

        firsts, seconds = steps(a, a_step, high), steps(b, b_step, wide)
        shifts = [whole.spread(row, j) for row in steps(c, c_step, high) for j in range(wide)]

        def add(use: Lanes, start: Any, sums: list[Any]) -> list[Any]:
            x, y, (weight,) = (
                [use.load(builder.gep(column, [start])) for column in columns]
                for columns in (firsts, seconds, [w])
            )
            pairs = [(left, right) for left in x for right in y]
            out = []
            for k, ((left, right), shift) in enumerate(zip(pairs, shifts, strict=True)):
                s = use.add_product(builder.fneg(use.only(shift)), left, right)
                f = builder.fmul(weight, s)
                now = sums[_SUMS * k : _SUMS * (k + 1)]
                out += [builder.fadd(total, term) for total, term in zip(now, (s, f), strict=False)]
                factors = ((s, s), (f, s), (f, f))
                out += [
                    use.add_product(total, *p) for total, p in zip(now[2:], factors, strict=True)
                ]
            return out

        def body(t: Any, sums: list[Any]) -> list[Any]:
            return add(whole, builder.mul(t, side), sums)

        side = word(lanes())
        count = builder.sdiv(rows, side)
        done = builder.mul(count, side)
        sums = loop_if_any(builder, count, [whole.zero] * (_SUMS * high * wide), body)
        left = builder.sub(rows, done)
        some = builder.zext(builder.icmp_signed(">", left, word(0)), left.type)
        sums = loop_if_any(
            builder, some, sums, lambda _, sums: add(Lanes(builder, left), done, sums)
        )
        for kind in range(_SUMS):
            totals = whole.sums(sums[kind::_SUMS])
            place = builder.gep(out, [word(kind * high * wide)])
            builder.store(totals, builder.bitcast(place, totals.type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(floats, i8, floats, i8, floats, i8, floats, i8, floats), codegen


@plain
def add_pair_sums(
    a, b, shape, triangular, c, off_diagonal, diagonal, w, rows, stride, scratch, sums, size
):
    """Add the sums of ``factor · (a_i b_j − c_ij)`` to ``sums``, entries row by row.

    ``shape`` has the numbers of columns a and b; of a triangle there are only entries j ≤ i, and
    the factor on its diagonal is another one.  ``c``, of that shape, has a double more.
    """
    high, wide = _block_sides()
    count = high * wide
    d, r = shape
    for i in range(0, d, high):
        # Of a column that does not exist another one stands in, and is not added.
        whole = i + high <= d
        for j in range(0, min(i + high, d) if triangular else r, wide):
            _sums_of_block(
                offset(a, i * stride), stride if whole else 0,
                offset(b, j * stride), stride if j + wide <= r else 0,
                offset(c, i * r + j), r if whole else 0, w, rows, scratch,
            )  # fmt: skip
            for row in range(i, min(i + high, d)):
                before = row * (row + 1) // 2 if triangular else row * r
                for column in range(j, min(j + wide, row + 1 if triangular else r)):
                    factor = diagonal if triangular and row == column else off_diagonal
                    of_block = offset(scratch, (row - i) * wide + column - j)
                    for kind in range(_SUMS):
                        by = factor if kind < 2 else factor * factor
                        sums[kind * size + before + column] += by * of_block[kind * count]


@elementwise
def add_pair_score(a, b, shift, factor, rows, s):
    """Add one such score to a column."""
    for t in range(rows):
        s[t] += factor * (a[t] * b[t] - shift)
