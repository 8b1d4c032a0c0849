"""Hosts with parallel regions of their own, beside the guest, around it and inside of it."""

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

from guest import call, host, report, turns
from numba import njit, prange

CALLS = 5


def calls():
    return [call() for _ in range(CALLS)]


def during_the_hosts():
    """The guest is called while another thread is in the host's region."""
    work = turns(stopped=False)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(host, work)
        try:
            while not (work.any() or running.done()):
                time.sleep(0.001)
            found = calls()
            assert not running.done()
        finally:
            work[0] = True
        running.result()
    return found


def during_the_guests():
    """The host enters its region, again and again, while another thread calls the guest."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(calls)
        while not running.done():
            host(turns(stopped=True))
        return running.result()


def within_the_hosts():
    """The guest is called from the threads of the host's region itself."""
    found = []

    @ctypes.CFUNCTYPE(None)
    def call_back():
        found.append(call())

    @njit(parallel=True, nogil=True)
    def region():
        for _ in prange(CALLS):
            call_back()

    region()
    assert len(found) == CALLS
    return found


@njit(parallel=True)
def parallel_f(x):
    """f, with a parallel region for one sample in forty."""
    if x[0] < 2.0:
        return x[0] * x[0] + x[1]
    total = 0.0
    for k in prange(2):
        total += x[k] * x[k] if k == 0 else x[k]
    return total


report(
    {
        "during the host's": during_the_hosts(),
        "during the guest's": during_the_guests(),
        "within the host's": within_the_hosts(),
        "within f": [call(parallel_f)],
    }
)
