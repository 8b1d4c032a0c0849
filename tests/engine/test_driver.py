"""Blocks, folds and threads: the same bits however the work is spread."""

import numpy as np
import pytest
from numba import njit

import fastscore as fs
from fastscore.engine import host, launch
from fastscore.engine.streams import key_of
from fastscore.engine.tiles import FOLDS, stride_of, tile_rows, tiling


def everything(estimate):
    return np.concatenate(
        [[estimate.value, estimate.value_stderr], estimate.flat]
        + [np.ravel(s) for s in estimate.grad_stderr.values()]
    )


@pytest.mark.parametrize("n", [7, 1000, 200_000, 1_000_003])
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_do_not_change_a_bit(f, p, n, threads):
    one = fs.gradient(f, p, n=n, rng=5, threads=1)
    many = fs.gradient(f, p, n=n, rng=5, threads=threads)
    np.testing.assert_array_equal(everything(one), everything(many))


@pytest.mark.parametrize("threads", [2, 5])
def test_python_threads_do_not_change_a_bit(f, p, threads, monkeypatch):
    one = fs.gradient(f, p, n=500_000, rng=5, threads=1)
    monkeypatch.setattr(host, "prange_is_safe", lambda: False)
    many = fs.gradient(f, p, n=500_000, rng=5, threads=threads)
    np.testing.assert_array_equal(everything(one), everything(many))


@pytest.mark.parametrize("seconds", [1e-9, 1e9])
def test_length_of_rounds_does_not_change_a_bit(f, p, seconds, monkeypatch):
    usual = fs.gradient(f, p, n=300_000, rng=5, threads=2)
    monkeypatch.setattr(launch, "ROUND", seconds)
    other = fs.gradient(f, p, n=300_000, rng=5, threads=2)
    np.testing.assert_array_equal(everything(usual), everything(other))


def test_slots_in_flight_do_not_change_a_bit(f, p, monkeypatch):
    usual = fs.gradient(f, p, n=300_000, rng=5, threads=2)
    monkeypatch.setattr(launch, "_IN_FLIGHT", 3)
    other = fs.gradient(f, p, n=300_000, rng=5, threads=2)
    np.testing.assert_array_equal(everything(usual), everything(other))


def test_a_batch_f_sees_the_same_samples(p):
    @njit
    def batch(x, out):
        for t in range(x.shape[0]):
            out[t] = x[t, 0] - 2 * x[t, 2]

    @njit
    def sample(x):
        return x[0] - 2 * x[2]

    estimates = [
        fs.gradient(g, p, n=20_000, rng=1) for g in (batch, sample, lambda x: x[:, 0] - 2 * x[:, 2])
    ]
    for other in estimates[1:]:
        np.testing.assert_allclose(everything(estimates[0]), everything(other), rtol=1e-12)


def test_f_gets_the_samples_of_sample():
    """f records what it sees: exactly p.sample(n, rng), in order."""
    p = fs.Normal(np.zeros(4), 1.0)
    seen = []

    def f(x):
        seen.append(x.copy())
        return x[:, 0]

    fs.gradient(f, p, n=50_000, rng=3)
    np.testing.assert_array_equal(np.concatenate(seen), p.sample(50_000, rng=3))


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 99, 1000, 32_769, 10**9])
@pytest.mark.parametrize("d", [1, 2, 10, 48, 49, 1000, 10**6])
def test_tiling(n, d):
    cut = tiling(n, d)
    assert cut.folds == min(FOLDS, n)
    assert cut.blocks >= cut.folds
    assert sum(cut.rows_of(b) for b in (0, cut.blocks - 1)) >= 1
    assert (cut.blocks - 1) * cut.block + cut.rows_of(cut.blocks - 1) == n
    assert 1 <= cut.rows_of(cut.blocks - 1) <= cut.block
    assert cut.rows % 16 == 0
    assert cut.rows <= tile_rows(d) <= stride_of(d)
    assert cut.stride * 8 % 4096


def test_memory_does_not_grow_with_n():
    """Buffers depend on d alone."""
    p = fs.Normal(np.zeros(10), 1.0)
    sizes = set()
    for n in (10**5, 10**9):
        cut = tiling(n, p.d)
        problem = launch.Problem(p, cut, key_of(0))
        sizes.add((problem.workspaces(2).size, problem.slot, cut.folds))
    assert len(sizes) == 1
