"""The process of one peer: ``python -m asv_benchmarks.peers.worker MODULE:SOLVERS``.

It answers each line of JSON from standard input with one to standard output.  The first answer
comes unasked: the workloads it knows, or why it cannot run.
"""

from __future__ import annotations

import json
import os
import pkgutil
import sys
import time
from functools import cache
from statistics import median
from typing import Any

from asv_benchmarks.peers.workloads import WORKLOADS, Workload

#: Seconds of a turn.
TURN = 0.05


@cache
def workload_of(name: str, size: int) -> Workload:
    """Return a workload, made once."""
    return WORKLOADS[name].of_size(size)


def answer(
    solvers: dict[str, Any], workload: str, size: int, n: int, seed: int, threads: int
) -> dict[str, Any]:
    """Time calls for a turn; return their median seconds, those of the first, and a gradient.

    The first meets caches that the other peers have emptied, and does not count if there are more.
    """
    solve, problem = solvers[workload], workload_of(workload, size)
    seconds: list[float] = []
    while sum(seconds) < TURN:
        start = time.perf_counter()
        gradient = solve(problem, n, seed, threads)
        seconds.append(time.perf_counter() - start)
    return {
        "seconds": median(seconds[1:] or seconds),
        "first": seconds[0],
        "gradient": gradient.tolist(),
    }


def main() -> None:
    """Import the peer and answer until the input ends."""
    # What libraries print goes to standard error, not between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        solvers = pkgutil.resolve_name(f"{__package__}.implementations.{sys.argv[1]}")
    except ImportError as reason:
        say({"unavailable": str(reason)})
        return
    say({"workloads": list(solvers)})
    for line in sys.stdin:
        say(answer(solvers, **json.loads(line)))


if __name__ == "__main__":
    main()
