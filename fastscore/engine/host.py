"""What the host process allows: parallel regions, threads, and what a fork leaves of them.

A guest must survive its host (measured with Numba 0.68).  Two Python threads in a ``prange`` of the
workqueue layer abort the process.  A forked child which enters OpenMP is killed, and may hang in
TBB, and so may one which asks Numba for its threads, or loads a kernel, if a thread that the child
lacks held a lock at the fork.  Executors start no threads once the main thread has ended.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

import numba
import numpy as np

from fastscore.engine import blocks, driver
from fastscore.engine.memory import aligned

#: Seconds that a round should take: Ctrl-C, progress and stopping rules wait for its end.
ROUND = 0.05


def _inherited() -> bool:
    """Whether this may be a forked child whose parent has already used the threading layer.

    A false alarm costs some speed.
    """
    try:
        numba.threading_layer()
    except ValueError:  # not started yet
        return False
    tasks = Path("/proc/self/task")  # of a forked child there is one, of a pool of threads more
    few = tasks.exists() and len(list(tasks.iterdir())) < max(2, numba.config.NUMBA_NUM_THREADS)
    return few or multiprocessing.parent_process() is not None


_forked = _inherited()
_threads_at_fork = numba.config.NUMBA_NUM_THREADS


def _before_fork() -> None:
    """Get what a forked child needs, while that is safe."""
    global _threads_at_fork
    if not _forked and driver.run_parallel.compilations is not None:
        warm_up()
        _threads_at_fork = numba.get_num_threads()


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def threads() -> int:
    """Threads that the host wants Numba to use."""
    return _threads_at_fork if _forked else numba.get_num_threads()


def prange_is_safe() -> bool:
    """Whether a parallel region may be entered here, under the layer that the host chose."""
    if _forked:
        return False
    numba.get_num_threads()  # starts the threading layer, as any parallel kernel would
    return numba.threading_layer() != "workqueue"


def warm_up() -> None:
    """Compile the drivers, or load them from the disk cache, by runs of no blocks."""
    table, one = np.zeros(blocks.TABLE, np.int64), np.zeros(1, np.int64)
    flags, sums = np.zeros(driver.FLAGS, np.int64), np.zeros((1, blocks.HEADER))
    for run in (driver.run_serial, *([driver.run_parallel] if prange_is_safe() else [])):
        run(table, 0.0, 0, 0, one, flags, aligned(1, 1), aligned(1, 1), one, sums)
    assert blocks.run_block.address
    driver.merge(table, aligned(1, 1), 0, 0, sums, flags)


def on_threads(works: Iterable[Callable[[], None]]) -> None:
    """Do each of the works on a thread of its own, and wait for all."""
    jobs = [_start(work) for work in works]
    try:
        for job in jobs:
            job.result()
    finally:
        wait(jobs)


def watch(work: Callable[[], None], stop: np.ndarray) -> None:
    """Do long work on a helper thread, so that Ctrl-C reaches Python and stops it."""
    if threading.current_thread() is not threading.main_thread():
        work()
        return None
    job = _start(work)
    try:
        while True:
            try:
                return job.result(timeout=ROUND)
            except FutureTimeoutError:
                if job.done():
                    raise
    except KeyboardInterrupt:
        stop[0] = 1
        raise
    finally:
        wait([job])


def _start(work: Callable[[], None]) -> Future[None]:
    """Work on a thread, or at once where none can be had any more.

    An executor starts none after the end of the main thread, and Python from 3.12 none at exit.
    """
    job: Future[None] = Future()

    def run() -> None:
        try:
            work()
            job.set_result(None)
        except BaseException as error:
            job.set_exception(error)

    try:
        threading.Thread(target=run).start()
    except RuntimeError:
        run()
    return job
