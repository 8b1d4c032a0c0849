"""Ctrl-C stops within a tenth of a second or so, and loses nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a child process")

SCRIPT = """
import sys, time
import numpy as np
from numba import njit
import fastscore as fs

@njit
def quick(x):
    return x[0] * x[0]

@njit
def slow(x):
    total = 0.0
    for i in range({work}):
        total += np.sin(x[0] + i)
    return total

def python(x):
    time.sleep(0.001)
    return x[:, 0]

f, n = {{"quick": (quick, 10**12), "slow": (slow, 10**7), "python": (python, 10**9)}}[sys.argv[1]]
p = fs.Normal([0.0], 1.0)
threads = int(sys.argv[2])
fs.gradient(f, p, n=20, rng=0, threads=threads)
fs.gradient(f, p, n=20_000 if f is quick else 20, rng=0, threads=threads)
print("ready", flush=True)
try:
    fs.gradient(f, p, n=n, rng=0, threads=threads)
except KeyboardInterrupt as stop:
    stopped = time.time()
    estimate = stop.estimate
    if estimate is not None:
        assert estimate.stopped == "interrupted"
        assert np.isfinite(estimate.flat).all()
    print(stopped, 0 if estimate is None else estimate.n, flush=True)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("kind", "work"), [("quick", 0), ("slow", 20_000), ("python", 0)])
def test_ctrl_c(tmp_path, kind, work, threads):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(work=work))
    command = [sys.executable, str(path), kind, str(threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        time.sleep(1.0)
        sent = time.time()
        child.send_signal(signal.SIGINT)
        stopped, n = child.stdout.readline().split()
    assert child.returncode == 0
    print("stopped after", float(stopped) - sent, "s with", n)
    assert float(stopped) - sent < 1.0  # 0.1 s on an idle machine
    assert int(n) > 0
    if kind == "slow":  # a block takes minutes: what was done of it is kept
        assert int(n) > 16
