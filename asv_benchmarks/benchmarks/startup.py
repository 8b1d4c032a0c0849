"""What a fresh process waits for, with the kernels in the disk cache."""

import subprocess
import sys
import time

FIRST_GRADIENT = """
import time
start = time.perf_counter()
import numba
numba_imported = time.perf_counter()
import fastscore as fs
@numba.njit
def f(x):
    return x[0] * x[1]
fs.gradient(f, fs.Normal([0.0, 1.0], 1.0), n=1000, rng=0).grad
print(time.perf_counter() - numba_imported)
"""


def _python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    done.check_returncode()
    return done.stdout


class Startup:
    """Fresh processes."""

    timeout = 120

    def setup(self):
        _python(FIRST_GRADIENT)

    def track_import(self):
        """Seconds of ``import fastscore``, process start included."""
        start = time.perf_counter()
        _python("import fastscore")
        return time.perf_counter() - start

    def track_first_gradient(self):
        """Seconds from ``import numba`` to a first gradient of a new f."""
        return float(_python(FIRST_GRADIENT))

    track_import.unit = track_first_gradient.unit = "s"
