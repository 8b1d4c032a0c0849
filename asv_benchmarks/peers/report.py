"""Show the measurements: a table for the terminal, Markdown for the README, JSON for a program."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from asv_benchmarks.peers.comparison import Row

HEADER = ("D", "peer", "ns per sample·dimension", "ratio", "max. deviation")


def cells(row: Row) -> tuple[str, ...]:
    """Return the cells of a row, in the order of `HEADER`."""
    return (
        f"{row.d:,}",
        row.peer,
        f"{row.nanoseconds:.2f}",
        f"{row.ratio:.2f}",
        f"{row.deviation:.1f} s.e.",
    )


def title(rows: Sequence[Row]) -> str:
    """Say what was measured and where."""
    threads = rows[0].threads
    return (
        f"Gradient of a diagonal Gaussian, {threads} thread{'s' * (threads > 1)}; "
        f"ratios to {rows[0].peer} ({processor()})"
    )


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Print a table to the terminal, the dimensions apart."""
    table = Table(title=title(rows))
    for number, heading in enumerate(HEADER):
        table.add_column(heading, justify="left" if number == 1 else "right")
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        table.add_row(*cells(row), end_section=following is None or following.d != row.d)
    console.print(table)


def markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table: a line for each peer, a column for each dimension.

    A cell has the nanoseconds per sample and dimension, and the ratio in brackets.
    """
    dimensions = list(dict.fromkeys(row.d for row in rows))
    found = {(row.peer, row.d): f"{row.nanoseconds:.2f} ns ({row.ratio:.2f})" for row in rows}
    lines = [
        "| | " + " | ".join(f"D = {d:,}" for d in dimensions) + " |",
        "|---|" + "---|" * len(dimensions),
    ]
    for peer in dict.fromkeys(row.peer for row in rows):
        line = " | ".join(found.get((peer, d), "-") for d in dimensions)
        lines.append(f"| {peer} | {line} |")
    return "\n".join(lines)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write the rows and the machine to a JSON file."""
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    document = {"machine": machine, "rows": [row.as_dict() for row in rows]}
    path.write_text(json.dumps(document, indent=1) + "\n")
