"""``args``: data that a compiled f reads, without being compiled for their values."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils, errors
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype


class Arguments:
    """``args`` packed as words, for a compiled f.

    Arrays go by address, shape and item type, numbers by value.
    """

    def __init__(self, args: tuple[Any, ...]) -> None:
        self._kept: list[np.ndarray] = []
        packed: list[int] = []
        self.types = tuple(self._pack(f"args[{i}]", value, packed) for i, value in enumerate(args))
        self.words = np.array(packed or [0], dtype=np.uint64).view(np.int64)

    def led_by(self, *words: int) -> Arguments:
        """The same, with further words in front."""
        other = copy.copy(self)
        other.words = np.concatenate([np.array(words, dtype=np.int64), self.words])
        return other

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
def unpacker(argument_types: tuple[types.Type, ...]) -> Any:
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
