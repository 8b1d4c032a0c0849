"""Show the measurements: a table for the terminal, Markdown for the README, JSON for a program."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from asv_benchmarks.peers.catalogue import PEERS
from asv_benchmarks.peers.comparison import Case, Row

MARKERS = ("<!-- peers table -->", "<!-- end of peers table -->")


def title(rows: Sequence[Row]) -> str:
    """Say what was measured and where."""
    threads = rows[0].threads
    return (
        f"Nanoseconds per sample and coordinate (ratio to {rows[0].peer}), "
        f"{threads} thread{'s' * (threads > 1)}, {processor()}"
    )


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def short(number: float) -> str:
    """Format a number with three digits, or as an integer."""
    digits = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{digits}f}"


def headings(rows: Sequence[Row]) -> dict[Case, str]:
    """Return a short heading for each case; the size only where a workload has several."""
    cases = list(dict.fromkeys(row.case for row in rows))
    names = [case.workload for case in cases]
    return {
        case: f"{case.workload}, D = {case.size}"
        if names.count(case.workload) > 1
        else case.workload
        for case in cases
    }


def cells(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the cells of each peer: nanoseconds and, in brackets, the ratio; "-" if none."""
    found = {(row.peer, row.case): f"{short(row.nanoseconds)} ({short(row.ratio)})" for row in rows}
    labels = {row.peer for row in rows}
    peers = [peer.label for peer in PEERS if peer.label in labels]
    return {peer: [found.get((peer, case), "-") for case in headings(rows)] for peer in peers}


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Print a table to the terminal.

    Its last column is what one waits for in a fresh process: until it is ready, and for the first
    call of the first case.
    """
    first = {row.peer: row for row in reversed(rows)}
    table = Table("", *headings(rows).values(), "first result", title=title(rows))
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for peer, line in cells(rows).items():
        wait = first[peer].startup + first[peer].first_call
        table.add_row(peer, *line, f"{wait:.1f} s")
    console.print(table)


def markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table: a line for each peer, a column for each case."""
    columns = list(headings(rows).values())
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[peer, *line] for peer, line in cells(rows).items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write the rows and the machine to a JSON file."""
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    document = {"machine": machine, "rows": [row.as_dict() for row in rows]}
    path.write_text(json.dumps(document, indent=1) + "\n")


def replace_table(rows: Sequence[Row], page: Path) -> None:
    """Replace the table between the markers of a page, `MARKERS`."""
    start, end = MARKERS
    table = f"{start}\n{markdown(rows)}\n{end}"
    between = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    text, count = between.subn(lambda _: table, page.read_text())
    if count != 1:
        raise ValueError(f"{page} must have {start} and {end} once, not {count} times")
    page.write_text(text)
