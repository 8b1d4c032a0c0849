"""Kernels alone: ``pytest tests/benchmarks --benchmark-enable -n0``; else each runs once."""

import numpy as np
import pytest
from numba import njit

import fastscore as fs
from fastscore.engine import blocks
from fastscore.engine.memory import pointer
from fastscore.engine.problem import Problem
from fastscore.engine.products import FOR_BASELINE
from fastscore.engine.streams import STATE_WORDS, fill_words, key_of
from fastscore.engine.tiles import tiling
from fastscore.integrand.arguments import Arguments
from fastscore.integrand.compiled import compile_f

LENGTH = 4096
FAMILIES = {
    **{f"normal {d}": fs.Normal(np.zeros(d), 1.0 + np.arange(d) / d) for d in (1, 10, 100, 1000)},
    "bernoulli 200": fs.Bernoulli(logits=np.linspace(-2, 1, 200)),
    "categorical 1000": fs.Categorical(logits=np.linspace(-2, 1, 1000)),
}


@njit
def sample(table, workspace, rows):
    blocks.start_stream(pointer(table), pointer(workspace), 0)
    blocks.sample(pointer(table), pointer(workspace), rows)


@njit
def evaluate(table, workspace, rows, stop):
    return blocks.evaluate(pointer(table), pointer(workspace), rows, pointer(stop))


@njit
def absorb(table, workspace, rows, slot, products):
    return blocks.absorb_tile(
        pointer(table), pointer(workspace), rows, 0, 0.0, pointer(slot), pointer(products)
    )


@njit
def words(state, out):
    fill_words(pointer(state), pointer(out), out.size)


@pytest.fixture(params=FAMILIES)
def tile(request, f):
    """A problem of that family, and a full tile of samples of it."""
    return _tile(FAMILIES[request.param], f)


def _tile(p, f, **options):
    cut = tiling(10**8, p.d, p.size)
    arguments = Arguments(())
    address = compile_f(f, "sample", p.form, arguments).address
    problem = Problem(p, cut, key_of(0), f=address, args=arguments, **options)
    workspace = problem.workspaces(1)[0]
    sample(problem.table, workspace, cut.rows)
    return problem, workspace, cut.rows


def test_words(benchmark):
    state, out = np.zeros(STATE_WORDS, np.uint64), np.empty(LENGTH, np.uint64)
    state[:32] = np.arange(1, 33)
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
    slot, products = np.zeros(problem.slot), problem.products_by_fold()
    assert benchmark(absorb, problem.table, workspace, rows, slot, products) == 0
    assert slot[blocks.COUNT] % rows == 0


def test_products(benchmark, f):
    """Sums, scores and their products, of P = 200 entries."""
    problem, workspace, rows = _tile(FAMILIES["normal 100"], f, products=FOR_BASELINE)
    test_accumulate(benchmark, (problem, workspace, rows))
