"""Shared by all tests: integrands compiled once, and a way to run Python in a fresh process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import fastscore as fs


@njit
def squares(x):
    """Sum of (x_k - 3)^2, whose gradient is 2 (loc - 3) and 2 scale."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - 3.0) ** 2
    return total


@pytest.fixture(scope="session")
def f():
    return squares


@pytest.fixture(scope="session")
def p():
    return fs.Normal(loc=np.linspace(-0.5, 0.5, 3), scale=np.linspace(0.5, 1.5, 3))


@pytest.fixture
def python(tmp_path):
    """Run a script in a fresh process; returns what it printed."""

    def run(script: str, *, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        path = tmp_path / "script.py"
        path.write_text(script)
        done = subprocess.run(
            [sys.executable, str(path)],
            env={**os.environ, **env}, cwd=tmp_path, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run


PACKAGE = Path(fs.__file__).parent
