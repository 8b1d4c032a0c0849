"""Compare the peers: ``python -m asv_benchmarks.peers``."""

from __future__ import annotations

import os

# Before NumPy is imported: its matrix products would take all cores beside one-thread peers.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from asv_benchmarks.peers.c_peer import CPeer
from asv_benchmarks.peers.comparison import compare
from asv_benchmarks.peers.fastscore_peer import FastscorePeer, of_batch, of_sample
from asv_benchmarks.peers.numpy_peer import NumpyPeer
from asv_benchmarks.peers.peer import Peer, UnavailableError
from asv_benchmarks.peers.problem import Mode
from asv_benchmarks.peers.reference_peer import ReferencePeer
from asv_benchmarks.peers.report import markdown, print_table, title, write_json


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m asv_benchmarks.peers", description=__doc__)
    parser.add_argument("--d", type=int, nargs="+", default=[1, 10, 100, 1000], help="dimensions")
    parser.add_argument(
        "--elements", type=int, default=10_000_000, help="samples times dimensions of a call"
    )
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each peer")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reference", type=Path, help="another C library to add to the peers")
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.add_argument("--markdown", action="store_true", help="print Markdown, not a table")
    return parser.parse_args()


def found_peers(reference: Path | None, console: Console) -> list[Peer]:
    """Return the peers that can run here, the project's C first; say which cannot and why."""
    makers: list[Callable[[], Peer]] = [
        lambda: CPeer("SIMD C", Mode.OPTIMAL),
        lambda: CPeer("SIMD C, standard errors", Mode.STANDARD_ERRORS),
        lambda: FastscorePeer("fastscore, f of a sample", of_sample),
        lambda: FastscorePeer("fastscore, f of a batch", of_batch),
        NumpyPeer,
    ]
    if reference is not None:
        makers.append(lambda: ReferencePeer(reference))
    peers = []
    for make in makers:
        try:
            peers.append(make())
        except UnavailableError as reason:
            console.print(f"skipped: {reason}", style="yellow")
    return peers


def main() -> None:
    """Run the comparison."""
    options = arguments()
    messages = Console(stderr=True)
    peers = found_peers(options.reference, messages)
    rows = []
    for d in options.d:
        with messages.status(f"D = {d}"):
            rows += compare(peers, d, options.elements, options.repeats, options.threads)
    if options.json is not None:
        write_json(rows, options.json)
    if options.markdown:
        print(title(rows), markdown(rows), sep="\n\n")
    else:
        print_table(rows, Console())


if __name__ == "__main__":
    main()
