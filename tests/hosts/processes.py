"""Hosts with children: spawned ones, and forked ones, at the worst of times."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from guest import call, forked, host, report, turns
from joblib import Parallel, delayed


def forks():
    """Bits by way of forking."""
    host(turns(stopped=True))
    ways = {"fork after the host's prange, before the import": [forked()]}
    call()
    ways["fork after use"] = [forked()]
    ways["fork of a fork"] = [forked(lambda: forked())]
    ended = threading.Event()

    def keep_calling():
        while not ended.is_set():
            call()

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(keep_calling)
        try:
            ways["fork during a call"] = [forked() for _ in range(5)]
            ways["fork from another thread"] = [pool.submit(forked).result() for _ in range(5)]
        finally:
            ended.set()
        running.result()
    ways["fork after the threads"] = [forked()]
    return ways


if __name__ == "__main__":
    ways = forks() if hasattr(os, "fork") else {"before": [call()]}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        ways["spawn"] = [pool.submit(call).result()]
    ways["loky"] = Parallel(2, backend="loky")(delayed(call)() for _ in range(2))
    report(ways)
