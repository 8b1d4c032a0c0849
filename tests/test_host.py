"""A guest in its host: threads, forks and threading layers."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastscore as fs

FORK = """
import os, sys
import numpy as np
from numba import njit
import fastscore as fs

@njit
def f(x):
    return x[0] * x[0] + x[1]

p = fs.Normal([1.0, 2.0], 0.5)
here = fs.gradient(f, p, n=400_000, rng=0, threads=2)
child = os.fork()
if child == 0:
    there = fs.gradient(f, p, n=400_000, rng=0, threads=2)
    os._exit(0 if np.array_equal(here.flat, there.flat) else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
import numba
print(numba.threading_layer(), repr(here.value))
"""

THREADS = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from numba import njit
import fastscore as fs

@njit
def f(x):
    return x[0] * x[0] + x[1]

p = fs.Normal([1.0, 2.0], 0.5)
alone = fs.gradient(f, p, n=400_000, rng=0, threads=1)
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda _: fs.gradient(f, p, n=400_000, rng=0, threads=2), range(16)))
assert all(np.array_equal(alone.flat, other.flat) for other in found)
import numba
print(numba.threading_layer(), repr(alone.value))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
@pytest.mark.parametrize("script", [FORK, THREADS])
def test_no_crash_and_the_same_bits(python, script, layer):
    used, value = python(script, NUMBA_THREADING_LAYER=layer).stdout.split()
    assert used == layer
    assert value == python(script, NUMBA_THREADING_LAYER="omp").stdout.split()[1]


def test_first_use_from_many_threads(python):
    """Kernels are compiled once, and their addresses stay valid."""
    script = THREADS.replace("alone = fs", "alone = None; later = lambda: fs").replace(
        "assert all", "alone = later(); assert all"
    )
    python(script)


def test_calls_from_many_threads(f, p):
    alone = fs.gradient(f, p, n=50_000, rng=0)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: fs.gradient(f, p, n=50_000, rng=0), range(32)))
    for other in found:
        np.testing.assert_array_equal(alone.flat, other.flat)
