"""Compare the peers: ``python -m asv_benchmarks.peers``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from asv_benchmarks.peers.catalogue import PEERS
from asv_benchmarks.peers.comparison import Case, Row, compare
from asv_benchmarks.peers.process import PeerError, PeerProcess
from asv_benchmarks.peers.report import markdown, print_table, replace_table, title, write_json
from asv_benchmarks.peers.workloads import WORKLOADS


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m asv_benchmarks.peers", description=__doc__)
    add = parser.add_argument
    add("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="W")
    add("--peers", nargs="+", choices=names, default=names, metavar="PEER", help=", ".join(names))
    add("--d", type=int, nargs="+", default=WORKLOADS["W1"].sizes, help="dimensions of W1")
    add("--elements", type=int, help="samples times coordinates of a call")
    add("--repeats", type=int, default=9, help="timed calls of each peer")
    add("--threads", type=int, default=1)
    add("--reference", type=Path, help="another C library to add to the peers")
    add("--json", type=Path, help="write the measurements to this file")
    add("--readme", type=Path, help="replace the table of this page")
    add("--markdown", action="store_true", help="print Markdown, not a table")
    return parser.parse_args()


def started(options: argparse.Namespace, console: Console, stack: ExitStack) -> list[PeerProcess]:
    """Start the peers that can run here; say which cannot, and why."""
    if options.reference is not None:
        os.environ["PEERS_REFERENCE"] = str(options.reference.resolve())
    peers = []
    for peer in PEERS:
        if peer.name in options.peers:
            try:
                peers.append(stack.enter_context(PeerProcess(peer, options.threads)))
            except PeerError as reason:
                console.print(f"skipped {peer.label}: {reason}", style="yellow", highlight=False)
    return peers


def measured(options: argparse.Namespace, console: Console) -> Sequence[Row]:
    """Run the comparison."""
    rows: list[Row] = []
    with ExitStack() as stack, console.status("starting") as status:
        peers = started(options, console, stack)
        for workload in options.workloads:
            for size in options.d if workload == "W1" else WORKLOADS[workload].sizes:
                case = Case.of_elements(workload, size, options.elements)
                status.update(case.title)
                rows += compare(peers, case, options.repeats)
    return rows


def main() -> None:
    """Run the comparison and show it."""
    options = arguments()
    rows = measured(options, Console(stderr=True))
    if options.json is not None:
        write_json(rows, options.json)
    if options.readme is not None:
        replace_table(rows, options.readme)
    if options.markdown:
        print(title(rows), markdown(rows), sep="\n\n")
    else:
        print_table(rows, Console())


if __name__ == "__main__":
    main()
