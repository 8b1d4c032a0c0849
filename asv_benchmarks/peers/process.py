"""The other side of `worker`: starts the process of a peer, and asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from asv_benchmarks.peers.catalogue import Peer

ROOT = Path(__file__).parents[2]


class PeerError(Exception):
    """Raised when a peer cannot be asked; the message says why."""


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a process that is to use so many threads.

    Libraries read most of these on import, and some at no other time.
    """
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": str(threads) for name in names},
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }


def restrict(process: int, threads: int) -> None:
    """Give a process so many processors, for the libraries that heed none of the variables."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, sorted(os.sched_getaffinity(0))[-threads:])


class PeerProcess:
    """A running peer; a context manager that ends it.

    Parameters
    ----------
    peer : Peer
        Which one.
    threads : int
        How many threads it may use.

    Attributes
    ----------
    workloads : list of str
        Those it knows.
    startup : float
        Seconds from the start of the process until it is ready: imports, for the most part.
    """

    worker = "asv_benchmarks.peers.worker"

    def __init__(self, peer: Peer, threads: int) -> None:
        self.peer, self.threads = peer, threads
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.worker, peer.solvers],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(threads),
        )  # fmt: skip
        restrict(self.process.pid, threads)
        ready = self.heard()
        self.startup = time.perf_counter() - start
        if "unavailable" in ready:
            self.close()
            raise PeerError(ready["unavailable"])
        self.workloads: list[str] = ready["workloads"]

    def ask(self, workload: str, size: int, n: int, seed: int) -> dict[str, Any]:
        """Return the seconds of a call, those of the turn's first, and the gradient."""
        return self.asked(workload=workload, size=size, n=n, seed=seed)

    def asked(self, **question: object) -> dict[str, Any]:
        """Return the answer to any question."""
        print(
            json.dumps({**question, "threads": self.threads}), file=self.process.stdin, flush=True
        )
        return self.heard()

    def heard(self) -> dict[str, Any]:
        """Wait for an answer."""
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            raise PeerError(f"{self.peer.label}: its process ended with status {status}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End the process."""
        self.process.communicate()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
