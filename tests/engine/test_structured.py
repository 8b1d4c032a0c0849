"""Words that are not random: Sobol' points as SciPy knows them, and strata."""

import numpy as np
import pytest
from numba import njit
from scipy.special import ndtri
from scipy.stats import chi2, qmc

from fastscore.engine.inverse_normal import quantiles
from fastscore.engine.memory import pointer
from fastscore.engine.sobol import _directions, scrambled_points
from fastscore.engine.streams import STATE_WORDS, fill_words, seed_stream
from fastscore.engine.structured import kernels, next_tile, set_kernels, set_points, set_strata


@njit
def words_of_points(kernels_at, table_at, block, size, tile, chunk, d):
    """Words (d, size) of a block, in tiles and chunks."""
    state, out = np.empty(STATE_WORDS, np.uint64), np.empty((d, size), np.uint64)
    seed_stream(pointer(state), np.uint64(1), np.uint64(2), block)
    set_kernels(pointer(state), kernels_at)
    set_points(pointer(state), table_at, block, size)
    for start in range(0, size, tile):
        next_tile(pointer(state), tile)
        for k in range(d):
            for at in range(start, start + tile, chunk):
                fill_words(pointer(state), pointer(out[k, at:]), chunk)
    return out


def unscrambled(d, bits, replicates=1):
    table = np.zeros((replicates, d, bits + 2), np.uint64)
    table[:, :, 1:-1] = _directions(d, bits)
    header = np.array([replicates, d * (bits + 2), bits + 2], np.uint64)
    return np.concatenate([header, table.ravel()])


@pytest.mark.parametrize(("bits", "tile", "chunk"), [(4, 16, 8), (6, 64, 16), (10, 256, 64)])
def test_unscrambled_words_are_scipys_points(bits, tile, chunk):
    d, n = 40, 2**bits
    table = unscrambled(d, bits)
    expected = qmc.Sobol(d, scramble=False).random(n).T
    found = words_of_points(kernels().ctypes.data, table.ctypes.data, 0, n, tile, chunk, d)
    np.testing.assert_array_equal(found / 2.0**64, expected)


def test_blocks_belong_to_replicates_in_turn():
    d, bits, size = 3, 7, 32
    table = scrambled_points(d, 2**bits, 4, 5)
    whole = [
        words_of_points(kernels().ctypes.data, table.ctypes.data, r, 2**bits, 64, 32, d)
        for r in range(4)
    ]
    for block in range(16):
        found = words_of_points(kernels().ctypes.data, table.ctypes.data, block, size, 16, 16, d)
        start = block // 4 * size
        np.testing.assert_array_equal(found, whole[block % 4][:, start : start + size])


def test_scrambled_points_are_a_net():
    """Of each replicate every interval of the right length has one point, by coordinate, and in the
    first two coordinates every rectangle."""
    d, bits = 5, 8
    table = scrambled_points(d, 2**bits, 8, 3)
    all_words = [
        words_of_points(kernels().ctypes.data, table.ctypes.data, r, 2**bits, 256, 256, d)
        for r in range(8)
    ]
    assert len({words.tobytes() for words in all_words}) == 8
    for words in all_words:
        for column in words:
            assert len(np.unique(column >> np.uint64(64 - bits))) == 2**bits
        for i in range(1, bits):
            rows, columns = words[0] >> np.uint64(64 - i), words[1] >> np.uint64(64 - bits + i)
            assert len(np.unique(rows << np.uint64(bits - i) | columns)) == 2**bits


def test_each_point_is_uniform():
    """Over scramblings a single point's top five bits, and its lower ones, are."""
    firsts = []
    for seed in range(250):
        table = scrambled_points(2, 16, 8, seed)
        words = [
            words_of_points(kernels().ctypes.data, table.ctypes.data, r, 16, 16, 16, 2)
            for r in range(8)
        ]
        firsts += [own[:, 5] for own in words]
    found = np.array(firsts)  # (2000, 2)
    for shift in (59, 40, 12):
        counts = [np.bincount(c >> np.uint64(shift) & np.uint64(31), minlength=32) for c in found.T]
        for count in counts:
            assert np.sum((count - 62.5) ** 2 / 62.5) < chi2.ppf(1 - 1e-6, 31)


@njit
def words_of_strata(kernels_at, keys, bits, rows, seed):
    """Words (draws, d, rows) of sets of ``2**bits`` draws."""
    d, stride = keys.shape
    state = np.empty(STATE_WORDS, np.uint64)
    out = np.empty((1 << bits, d, stride), np.uint64)
    seed_stream(pointer(state), np.uint64(seed), np.uint64(2), 0)
    set_kernels(pointer(state), kernels_at)
    for draw in range(1 << bits):
        set_strata(pointer(state), keys.ctypes.data, stride, bits, draw, rows)
        for k in range(d):
            for at in range(0, stride, 16):
                fill_words(pointer(state), pointer(out[draw, k, at:]), 16)
    return out[:, :, :rows]


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
def test_strata(bits):
    """Each draw of a set lies in a stratum of its own, in every coordinate; and anywhere in it."""
    d, rows, m = 3, 1000, 2**bits
    keys = np.random.default_rng(bits).integers(0, 2**64, (d, 1008), dtype=np.uint64)
    words = words_of_strata(kernels().ctypes.data, keys, bits, rows, 7)
    strata = (words >> np.uint64(64 - bits)).astype(int)
    np.testing.assert_array_equal(
        np.sort(strata, axis=0), np.broadcast_to(np.arange(m)[:, None, None], strata.shape)
    )
    u = words / 2.0**64
    for draw in {0, 1, m // 2, m - 1}:
        for k in range(d):
            one = u[draw, k]
            assert abs(one.mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / rows)
            assert abs(one.var() - 1 / 12) < 4.5 * np.sqrt(1 / 180 / rows)
        assert np.abs(np.corrcoef(u[draw]) - np.eye(d)).max() < 4.5 / np.sqrt(rows)
    # Of two draws all pairs of places are as frequent.
    for one, two in {(0, 1), (0, m - 1), (m // 2, m - 1)} - {(1, 1)}:
        pairs = np.bincount((strata[one] * m + strata[two]).ravel(), minlength=m * m)
        possible, expected = m * (m - 1), d * rows / (m * (m - 1))
        statistic = np.sum((pairs - expected) ** 2) / expected - m * expected  # m never occur
        assert statistic < chi2.ppf(1 - 1e-6, possible - 1)
    within = (u * m) % 1.0
    assert abs(within.mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / within.size)


@njit
def normals_of(words):
    out, scratch = np.empty(words.size), np.empty(256)
    for start in range(0, words.size, 512):
        count = min(512, words.size - start)
        quantiles(pointer(words[start:]), pointer(scratch), pointer(out[start:]), count, 0.0, 1.0)
    return out


WORDS = {
    "random": np.random.default_rng(0).integers(0, 2**64, 2**18, dtype=np.uint64),
    "all far out": np.arange(512, dtype=np.uint64) << np.uint64(49),
    "farthest": np.arange(1024, dtype=np.uint64) << np.uint64(12),
    "the other tail": ~(np.arange(528, dtype=np.uint64) << np.uint64(12)),
}


@pytest.mark.parametrize("name", WORDS)
def test_normal_quantiles(name):
    words = WORDS[name]
    upper = words >> np.uint64(63) == 1
    least = (np.where(upper, ~words, words) >> np.uint64(12)) + 0.5
    expected = np.where(upper, -1.0, 1.0) * ndtri(least * 2.0**-52)
    np.testing.assert_allclose(normals_of(words), expected, rtol=6e-13, atol=3e-16)
