"""A guest in any host: no crash, no hang, the same bits, and nothing of the host's changed."""

import json
import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hosts import guest

HOSTS = Path(__file__).parent / "hosts"
#: Where the test extra has TBB from.
TBB = sys.platform == "linux" and platform.machine() == "x86_64"
OMP = find_spec("numba.np.ufunc.omppool") is not None


@pytest.fixture(scope="module")
def alone():
    """The bits of a call that enters no threading layer."""
    return guest.call(threads=1)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param("omp", marks=pytest.mark.skipif(not OMP, reason="Numba came without OpenMP")),
        "workqueue",
        pytest.param("tbb", marks=pytest.mark.skipif(not TBB, reason="no wheel of TBB")),
    ],
)
@pytest.mark.parametrize("host", ["threads", "processes", "regions", "exits", "settings"])
def test_the_same_bits_in_any_host(host, layer, alone):
    done = subprocess.run(
        [sys.executable, str(HOSTS / f"{host}.py")],
        env={**os.environ, "NUMBA_THREADING_LAYER": layer},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Numba's TBB layer prints what it thinks of a fork, and where it likes.
    told = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert told, done.stderr
    found = json.loads(told[0])
    assert found["layer"] == layer
    for way, bits in found["ways"].items():
        assert set(bits) == {alone}, way
