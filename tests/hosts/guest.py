"""What the hosts share: the guest's call and its bits, a host's kernel, and a forked child.

fastscore is imported at the first call only: a host may have done anything before it.
"""

import ctypes
import faulthandler
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import numba
import numpy as np
from numba import njit, prange

if os.environ.get("NUMBA_THREADING_LAYER") == "tbb":
    # pip puts the library where no loader looks; Numba finds it once it is loaded.
    ctypes.CDLL(str(Path(sys.prefix, "lib", "libtbb.so.12")), ctypes.RTLD_GLOBAL)


@njit
def f(x):
    return x[0] * x[0] + x[1]


@njit(parallel=True, nogil=True, cache=True)
def host(turns):
    """A parallel region of the host's own, which goes on until it is stopped through turns[0].

    A compiler would read that once for all, were the array not written to in the same loop.
    """
    for i in prange(1, turns.size):
        turns[i] += 1
        while turns[0] == 0:
            turns[i] += 1


def turns(stopped):
    """What `host` works on, a few units of work."""
    return np.array([stopped, 0, 0, 0, 0])


def call(f=f, threads=2):
    """The guest's work, as bits: enough of it for two threads."""
    import fastscore as fs

    estimate = fs.gradient(f, fs.Normal([1.0, 2.0], 0.5), n=400_000, rng=0, threads=threads)
    return f"{estimate.value!r} {estimate.flat.tobytes().hex()}"


def forked(work=call):
    """What ``work()`` gives in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # A child which hangs tells where, and does not outlive the test.
            faulthandler.register(signal.SIGALRM, chain=True)
            signal.alarm(30)
            os.write(write, work().encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as pipe:
        result = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"the child ended with {status}"
    return result


def report(ways):
    """Tell the test the layer in use, and the bits by way of calling."""
    print(json.dumps({"layer": numba.threading_layer(), "ways": ways}))
