"""Random streams: one per block, keyed by (seed, block), so that no answer depends on threads.

The generator is xoshiro256++ (Blackman and Vigna 2021) in eight lanes, each seeded by
splitmix64 (Steele, Lea and Flood 2014).  Lane l of step i gives word 8 i + l.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastscore.engine.jit import plain
from fastscore.engine.memory import counted_loop, i8, words
from fastscore.engine.structured import (
    CONTROL_WORDS,
    LANES,
    POINTS,
    RANDOM,
    fill_structured,
    kind_of,
    set_random,
)

_GENERATOR_WORDS = 4 * LANES
#: Words of a stream's state: four words of xoshiro256++ in each lane, and whether they are used.
STATE_WORDS = _GENERATOR_WORDS + CONTROL_WORDS

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def seed_of(rng: Any) -> int:
    """The integer that stands for ``rng`` (SPEC 7): itself, or 128 bits drawn from it.

    Raises
    ------
    TypeError, ValueError
        If ``rng`` is none of None, a non-negative integer, a ``SeedSequence``, a
        ``BitGenerator`` or a ``Generator``.
    """
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        if rng < 0:
            raise ValueError(f"rng={rng!r} is negative: give a non-negative integer seed")
        return int(rng)
    if rng is None:
        return secrets.randbits(128)
    try:
        if isinstance(rng, bool):
            raise TypeError
        generator = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"rng={rng!r} is no source of randomness: give None, an integer, or a "
            "numpy.random Generator, BitGenerator or SeedSequence"
        ) from error
    low, high = generator.integers(0, 2**64, size=2, dtype=np.uint64)
    return int(high) << 64 | int(low)


def derived_seed(seed: int, *which: int) -> int:
    """The seed of something apart, whose streams have nothing in common with the seed's own."""
    low, high = np.random.SeedSequence(seed, spawn_key=which).generate_state(2, np.uint64)
    return int(high) << 64 | int(low)


def key_of(seed: int) -> np.ndarray:
    """The two words which, with a block's index, determine the block's stream."""
    return np.random.SeedSequence(seed).generate_state(2, np.uint64)


@plain
def splitmix64(counter):
    """One output of splitmix64 for the given counter."""
    z = (counter ^ (counter >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@plain
def seed_stream(state, key0, key1, block):
    """Fill the state of a stream from its key and block index."""
    start = splitmix64(key0 + (np.uint64(block) + np.uint64(1)) * _GOLDEN) ^ key1
    start = splitmix64(start)
    for i in range(_GENERATOR_WORDS):
        state[i] = splitmix64(start + np.uint64(i + 1) * _GOLDEN)
    set_random(state)


@plain
def fill_words(state, out, count):
    """Write ``count`` words, a positive multiple of `LANES`: random ones, or see ``structured``."""
    kind = kind_of(state)
    if kind != POINTS:
        _fill_random(state, out, count)
    if kind != RANDOM:
        fill_structured(state, out, count)


@intrinsic
def _fill_random(typingctx, state, out, count):
    """Write ``count`` random words, a positive multiple of `LANES`; the state stays in registers.

    Plain loops over lanes leave the state in memory and run at half the speed (0.75-1.1
    against 0.38 ns a word), hence the vector type.
    """

    def codegen(context, builder, signature, args):
        lanes = ir.VectorType(ir.IntType(64), LANES)
        index = ir.IntType(64)
        state, out = (builder.bitcast(p, lanes.as_pointer()) for p in args[:2])
        steps = builder.udiv(args[2], ir.Constant(index, LANES))
        slots = [builder.gep(state, [ir.Constant(index, i)]) for i in range(4)]

        def step(i: Any, now: list[Any]) -> list[Any]:
            word, following = _xoshiro256pp(builder, lanes, now)
            builder.store(word, builder.gep(out, [i]), align=8)
            return following

        first = [builder.load(slot, align=8) for slot in slots]
        following = counted_loop(builder, steps, first, step)
        for slot, last in zip(slots, following, strict=True):
            builder.store(last, slot, align=8)
        return context.get_dummy_value()

    return types.void(words, words, i8), codegen


def _xoshiro256pp(builder: Any, lanes: Any, state: list[Any]) -> tuple[Any, list[Any]]:
    """Output word and next state, lane by lane."""

    def constant(value: int) -> Any:
        return ir.Constant(lanes, [value] * LANES)

    def rotl(x: Any, count: int) -> Any:
        return builder.or_(builder.shl(x, constant(count)), builder.lshr(x, constant(64 - count)))

    s0, s1, s2, s3 = state
    word = builder.add(rotl(builder.add(s0, s3), 23), s0)
    t = builder.shl(s1, constant(17))
    s2 = builder.xor(s2, s0)
    s3 = builder.xor(s3, s1)
    s1 = builder.xor(s1, s2)
    s0 = builder.xor(s0, s3)
    s2 = builder.xor(s2, t)
    return word, [s0, s1, s2, rotl(s3, 45)]


__all__ = [
    "LANES",
    "STATE_WORDS",
    "derived_seed",
    "fill_words",
    "key_of",
    "seed_of",
    "seed_stream",
    "splitmix64",
]
