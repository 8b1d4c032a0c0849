"""The process of one peer: ``python -m asv_benchmarks.peers.variance.worker MODULE``.

It answers each line of JSON from standard input with one to standard output.  The first answer
comes unasked: the methods it knows, or why it cannot run.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from statistics import median
from typing import Any

from asv_benchmarks.peers.variance.problems import PROBLEMS

#: Seconds of a turn, and calls at least.
TURN, CALLS = 0.03, 4


def answer(
    methods: dict[str, Any], method: str, problem: str, d: int, seed: int, threads: int
) -> dict[str, Any]:
    """Time calls for a turn, each of a seed of its own; their median seconds and all gradients.

    The first call of all compiles; a refusal is answered with its reason.
    """
    solve, given = methods[method], PROBLEMS[problem]
    n, seconds, gradients = given.samples(d), [], []
    try:
        solve(given, d, n, seed, threads)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as reason:
        return {"unavailable": str(reason)}
    while sum(seconds) < TURN or len(seconds) < CALLS:
        start = time.perf_counter()
        gradient = solve(given, d, n, seed + len(seconds) + 1, threads)
        seconds.append(time.perf_counter() - start)
        gradients.append(gradient.tolist())
    return {"seconds": median(seconds), "gradients": gradients}


def main() -> None:
    """Import the peer and answer until the input ends."""
    # What libraries print goes to standard error, not between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        methods = importlib.import_module(f"{__package__}.{sys.argv[1]}").METHODS
    except ImportError as reason:
        say({"unavailable": str(reason)})
        return
    say({"workloads": list(methods)})
    for line in sys.stdin:
        say(answer(methods, **json.loads(line)))


if __name__ == "__main__":
    main()
