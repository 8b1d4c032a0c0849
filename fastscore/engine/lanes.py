"""Vectors of lanes in code that intrinsics emit: loads and stores, whole or cut off at the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from fastscore.engine.memory import broadcast, counted_loop, i8, lanes

WORD = ir.IntType(64)
#: Doubles start where they may, not where vectors do.
_ALIGN = ir.Constant(ir.IntType(32), 8)
_CONTRACT = ("contract",)


def word(value: int) -> Any:
    """A constant index."""
    return ir.Constant(WORD, value)


@intrinsic
def lane_count(typingctx):
    """`lanes`, for a kernel."""

    def codegen(context, builder, signature, args):
        return context.get_constant(i8, lanes())

    return i8(), codegen


class Lanes:
    """Emits what acts on vectors of doubles.

    Parameters
    ----------
    builder : IRBuilder
        Of the code.
    rows : value, optional
        How many lanes are meant, if not all: the others are neither read nor written, and are 0.
    """

    def __init__(self, builder: Any, rows: Any = None) -> None:
        self.builder, self.count = builder, lanes()
        self.type = ir.VectorType(ir.DoubleType(), self.count)
        self.zero = ir.Constant(self.type, [0.0] * self.count)
        self.mask = None
        if rows is not None:
            numbers = ir.Constant(ir.VectorType(WORD, self.count), list(range(self.count)))
            self.mask = builder.icmp_signed("<", numbers, broadcast(builder, rows, self.count))

    def load(self, base: Any, i: int = 0) -> Any:
        """Vector i behind ``base``."""
        place = self._at(base, i)
        if self.mask is None:
            return self.builder.load(place, align=_ALIGN.constant)
        return self._masked("load", self.type, [place, _ALIGN, self.mask, self.zero])

    def store(self, value: Any, base: Any, i: int = 0) -> None:
        """Write vector i behind ``base``."""
        place = self._at(base, i)
        if self.mask is None:
            self.builder.store(value, place, align=_ALIGN.constant)
        else:
            self._masked("store", ir.VoidType(), [value, place, _ALIGN, self.mask])

    def spread(self, base: Any, i: int = 0) -> Any:
        """The double i behind ``base``, in each lane."""
        return broadcast(
            self.builder, self.builder.load(self.builder.gep(base, [word(i)])), self.count
        )

    def only(self, value: Any) -> Any:
        """A vector in the lanes that are meant, 0 in the others."""
        return value if self.mask is None else self.builder.select(self.mask, value, self.zero)

    def add_product(self, total: Any, a: Any, b: Any) -> Any:
        """``total + a b``, rounded once."""
        product = self.builder.fmul(a, b, flags=_CONTRACT)
        return self.builder.fadd(total, product, flags=_CONTRACT)

    def sums(self, vectors: list[Any]) -> Any:
        """One vector with the sum over the lanes of each of 1, 2 or 4 vectors."""
        count = len(vectors)
        while len(vectors) > 1:
            vectors = [
                self._neighbours(*pair) for pair in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        (total,) = vectors
        while total.type.count > count:
            total = self._neighbours(total)
        return total

    def _neighbours(self, *vectors: Any) -> Any:
        """Sums of neighbouring lanes of one vector, or of two that are put end to end."""
        kind = vectors[0].type
        total = kind.count * len(vectors)
        both = (*vectors, ir.Constant(kind, ir.Undefined))[:2]
        parts = []
        for first in (0, 1):
            every_other = list(range(first, total, 2))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), total // 2), every_other)
            parts.append(self.builder.shuffle_vector(*both, mask))
        return self.builder.fadd(*parts)

    def _at(self, base: Any, i: int) -> Any:
        start = self.builder.gep(base, [word(i * self.count)])
        return self.builder.bitcast(start, self.type.as_pointer())

    def _masked(self, verb: str, result: Any, arguments: list[Any]) -> Any:
        """Call LLVM's intrinsic."""
        module, name = self.builder.module, f"llvm.masked.{verb}.v{self.count}f64.p0"
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return self.builder.call(function, arguments)


def loop_if_any(
    builder: Any, count: Any, states: list[Any], body: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """`counted_loop` which may also have nothing to do."""
    before = builder.block
    with builder.if_then(builder.icmp_signed(">", count, word(0))):
        following = counted_loop(builder, count, states, body)
        inside = builder.block
    merged = [builder.phi(state.type) for state in states]
    for phi, old, new in zip(merged, states, following, strict=True):
        phi.add_incoming(old, before)
        phi.add_incoming(new, inside)
    return merged
