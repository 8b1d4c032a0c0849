"""Kernels alone: ``pytest tests/benchmarks --benchmark-enable``; else each runs once."""

import numpy as np
import pytest
from numba import njit

import fastscore as fs
from fastscore.engine import blocks
from fastscore.engine.memory import pointer
from fastscore.engine.problem import Problem
from fastscore.engine.streams import fill_words, key_of
from fastscore.engine.tiles import tiling
from fastscore.integrand.arguments import Arguments
from fastscore.integrand.compiled import compile_f

DIMENSIONS = [1, 10, 100, 1000]
LENGTH = 4096


@njit
def sample(table, workspace, rows):
    blocks.start_stream(table, pointer(workspace), 0)
    blocks.sample(table, pointer(workspace), rows)


@njit
def evaluate(table, workspace, rows, stop):
    return blocks.evaluate(table, pointer(workspace), rows, stop)


@njit
def absorb(table, workspace, rows, slot):
    return blocks.absorb_tile(table, pointer(workspace), rows, 0, 0.0, pointer(slot), pointer(slot))


@njit
def words(state, out):
    fill_words(pointer(state), pointer(out), out.size)


@pytest.fixture(params=DIMENSIONS)
def tile(request, f):
    """A problem of that many coordinates, and a full tile of samples of it."""
    d = request.param
    p = fs.Normal(np.zeros(d), 1.0 + np.arange(d) / d)
    cut = tiling(10**8, d)
    arguments = Arguments(())
    address = compile_f(f, "sample", d, arguments)
    problem = Problem(p, cut, key_of(0), f=address, args=arguments)
    workspace = problem.workspaces(1)[0]
    sample(problem.table, workspace, cut.rows)
    return problem, workspace, cut.rows


def test_words(benchmark):
    state, out = np.arange(1, 33, dtype=np.uint64), np.empty(LENGTH, np.uint64)
    benchmark(words, state, out)
    assert np.unique(out).size == LENGTH


def test_sample(benchmark, tile):
    problem, workspace, rows = tile
    benchmark(sample, problem.table, workspace, rows)


def test_f(benchmark, tile):
    problem, workspace, rows = tile
    done, status = benchmark(evaluate, problem.table, workspace, rows, np.zeros(1, np.int64))
    assert (done, status) == (rows, 0)


def test_accumulate(benchmark, tile):
    problem, workspace, rows = tile
    evaluate(problem.table, workspace, rows, np.zeros(1, np.int64))
    slot = np.zeros(problem.slot)
    assert benchmark(absorb, problem.table, workspace, rows, slot) == 0
    assert slot[blocks.COUNT] % rows == 0
