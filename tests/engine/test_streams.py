"""Known answers for the random bits."""

import numpy as np
import pytest
from numba import njit

import fastscore as fs
from fastscore.engine.memory import pointer
from fastscore.engine.streams import (
    LANES,
    STATE_WORDS,
    fill_words,
    key_of,
    seed_of,
    seed_stream,
    splitmix64,
)

MASK = 2**64 - 1


@njit
def words(state, count):
    out = np.empty(count, np.uint64)
    fill_words(pointer(state), pointer(out), count)
    return out


@njit
def state_of(key, block):
    state = np.empty(STATE_WORDS, np.uint64)
    seed_stream(pointer(state), key[0], key[1], block)
    return state


def splitmix(counter):
    z = ((counter ^ (counter >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_splitmix64_matches_the_published_sequence():
    golden = np.uint64(0x9E3779B97F4A7C15)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    with np.errstate(over="ignore"):
        counters = np.uint64(1234567) + golden * np.arange(1, 5, dtype=np.uint64)
    assert [splitmix64(counter) for counter in counters] == expected


def test_xoshiro256pp_matches_the_published_sequence_in_every_lane():
    state = np.zeros(STATE_WORDS, np.uint64)
    state[: 4 * LANES] = np.repeat(np.arange(1, 5, dtype=np.uint64), LANES)
    found = words(state, 10 * LANES).reshape(10, LANES)
    expected = [
        41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205,
        9973669472204895162, 14011001112246962877, 12406186145184390807, 15849039046786891736,
        10450023813501588000,
    ]  # fmt: skip
    np.testing.assert_array_equal(found, np.repeat(expected, LANES).reshape(10, LANES))


def test_a_stream_continues_where_it_stopped():
    whole, parts = state_of(key_of(7), 0), state_of(key_of(7), 0)
    np.testing.assert_array_equal(
        words(whole, 64), np.concatenate([words(parts, 40), words(parts, 24)])
    )


def test_seeding_in_plain_integers():
    key, block, golden = key_of(2024), 5, 0x9E3779B97F4A7C15
    start = splitmix((int(key[0]) + (block + 1) * golden) & MASK) ^ int(key[1])
    start = splitmix(start)
    expected = [splitmix((start + i * golden) & MASK) for i in range(1, 4 * LANES + 1)]
    np.testing.assert_array_equal(state_of(key, block)[: 4 * LANES], np.array(expected, np.uint64))


def test_known_samples():
    """The very numbers that a seed gives: a change of these is a breaking change."""
    x = fs.Normal([0.0, 10.0], 1.0).sample(3, rng=12345)
    expected = [
        [-0.19927124763213866, 11.825636127685748],
        [0.4644819278256833, 10.2365225714875],
        [-0.11092148471367498, 11.385753237813638],
    ]
    np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_blocks_and_seeds_do_not_share_words():
    streams = [words(state_of(key_of(seed), b), 512) for seed in (0, 1) for b in (-1, 0, 1, 2)]
    assert np.unique(np.concatenate(streams)).size == 8 * 512


def test_bits_are_balanced_and_uncorrelated():
    bits = np.unpackbits(words(state_of(key_of(3), 0), 2**16).view(np.uint8))
    assert abs(bits.mean() - 0.5) < 4.5 * 0.5 / np.sqrt(bits.size)
    lanes = words(state_of(key_of(4), 0), 2**16).reshape(-1, LANES) / 2.0**64
    correlation = np.corrcoef(lanes.T) - np.eye(LANES)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(lanes))


class TestRng:
    """SPEC 7."""

    def test_a_seed_is_itself(self):
        assert seed_of(5) == 5
        assert seed_of(np.int64(5)) == 5

    def test_none_is_fresh(self):
        assert seed_of(None) != seed_of(None)

    def test_a_generator_is_drawn_from(self):
        rng = np.random.default_rng(1)
        assert seed_of(rng) != seed_of(rng)
        assert seed_of(np.random.default_rng(1)) == seed_of(np.random.default_rng(1))
        assert seed_of(np.random.PCG64(1)) == seed_of(np.random.default_rng(1))
        assert seed_of(np.random.SeedSequence(1)) == seed_of(np.random.default_rng(1))

    @pytest.mark.parametrize("rng", ["seed", 1.5, -1, True])
    def test_anything_else_is_refused(self, rng):
        with pytest.raises((TypeError, ValueError), match="rng="):
            seed_of(rng)

    def test_the_seed_of_an_estimate_gives_it_again(self, f, p):
        once = fs.gradient(f, p, n=100, rng=np.random.default_rng(8))
        again = fs.gradient(f, p, n=100, rng=once.seed)
        np.testing.assert_array_equal(once.flat, again.flat)

    def test_numpy_state_is_left_alone(self, f, p):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        fs.gradient(f, p, n=100)
        np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
