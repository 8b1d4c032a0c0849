"""Compare variance times seconds: ``python -m asv_benchmarks.peers.variance``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from asv_benchmarks.peers.catalogue import Peer
from asv_benchmarks.peers.process import PeerError, PeerProcess
from asv_benchmarks.peers.variance.comparison import Measured, Refusals, compare
from asv_benchmarks.peers.variance.problems import PROBLEMS, SIZES
from asv_benchmarks.peers.variance.report import print_details, print_refusals, print_table

PEERS = (
    Peer("fastscore", "fastscore", "fastscore"),
    Peer("numpy", "NumPy", "numpy"),
    Peer("torch", "PyTorch", "torch"),
    Peer("jax", "JAX", "jax"),
)


class VarianceProcess(PeerProcess):
    """A peer of this comparison."""

    worker = "asv_benchmarks.peers.variance.worker"


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m asv_benchmarks.peers.variance", description=__doc__
    )
    add = parser.add_argument
    add("--problems", nargs="+", default=[""], help="beginnings of names, such as cos")
    add("--sizes", type=int, nargs="+", default=[1, 10, 100], help="dimensions")
    add("--rounds", type=int, default=9, help="turns of each method, of at least four calls")
    add("--threads", type=int, nargs="+", default=[1])
    add("--details", action="store_true", help="every method, not the best alone")
    add("--json", type=Path, help="write the measurements to this file")
    return parser.parse_args()


def measured(
    options: argparse.Namespace, refusals: Refusals, console: Console
) -> Sequence[Measured]:
    """Run the comparison."""
    found: list[Measured] = []
    for threads in options.threads:
        with ExitStack() as stack, console.status("starting") as status:
            peers = []
            for peer in PEERS:
                try:
                    peers.append(stack.enter_context(VarianceProcess(peer, threads)))
                except PeerError as reason:
                    console.print(f"skipped {peer.label}: {reason}", style="yellow")
            for name, problem in PROBLEMS.items():
                for d in SIZES[problem.normal]:
                    if name.startswith(tuple(options.problems)) and d in options.sizes:
                        status.update(f"{name}, d = {d}, {threads} threads")
                        found += compare(peers, name, d, options.rounds, refusals)
    return found


def main() -> None:
    """Run the comparison and show it."""
    options, console = arguments(), Console()
    refusals = Refusals()
    found = measured(options, refusals, Console(stderr=True))
    if options.json is not None:
        options.json.write_text(json.dumps([m.as_dict() for m in found], indent=1) + "\n")
    if options.details:
        print_details(found, console)
    print_table(found, console)
    print_refusals(refusals, console)


if __name__ == "__main__":
    main()
