"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from asv_benchmarks.peers.report import processor
from asv_benchmarks.peers.variance.comparison import Measured, Refusals

#: How many times the work of the best peer fastscore's is to be at most.
GOAL = 20.0


def cases(found: Sequence[Measured]) -> Iterator[tuple[list[Measured], list[Measured], Measured]]:
    """Of each problem, size and number of threads: all, fastscore's, and the best peer."""
    for key in dict.fromkeys((m.problem, m.d, m.threads) for m in found):
        here = [m for m in found if (m.problem, m.d, m.threads) == key]
        ours, peers = [m for m in here if m.ours], [m for m in here if not m.ours]
        if ours and peers:
            yield here, ours, min(peers, key=lambda m: m.work)


def number(x: float) -> str:
    """Three digits."""
    return "∞" if np.isinf(x) else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def print_table(found: Sequence[Measured], console: Console) -> None:
    """Of each problem the best peer, fastscore's default, and its best method."""
    table = Table(title=f"Variance × seconds: best peer over fastscore, {processor()}")
    for name in ("problem", "d", "threads", "best peer", "ns per sample"):
        table.add_column(name, justify="left" if name in ("problem", "best peer") else "right")
    for name in ("default", "best", "worst entry", "by"):
        table.add_column(name, justify="left" if name == "by" else "right")
    reached, count = 0, 0
    for _, ours, peer in cases(found):
        default = next((m for m in ours if m.method == "default"), ours[0])
        best = max(ours, key=lambda m: m.gain(peer)[0])
        total, worst = best.gain(peer)
        reached, count = reached + (total >= GOAL), count + 1
        table.add_row(
            peer.problem, str(peer.d), str(peer.threads), peer.method,
            f"{np.median(peer.seconds) / peer.n * 1e9:.1f}", number(default.gain(peer)[0]),
            number(total), number(worst), best.method, style="" if total >= GOAL else "yellow",
        )  # fmt: skip
    console.print(table)
    console.print(f"{reached} of {count} by {GOAL:g} times or more")


def print_details(found: Sequence[Measured], console: Console) -> None:
    """Every method of every problem."""
    table = Table(title="Every method")
    for name in ("problem", "d", "threads", "method"):
        table.add_column(name)
    for name in ("ns per sample", "n Var", "spread", "calls", "gain", "worst entry"):
        table.add_column(name, justify="right")
    for here, _, peer in cases(found):
        for m in here:
            total, worst = m.gain(peer)
            table.add_row(
                m.problem, str(m.d), str(m.threads), m.method,
                f"{np.median(m.seconds) / m.n * 1e9:.2f}", f"{m.n * np.sum(m.variance):.4g}",
                f"{m.spread:.2f}", str(m.calls), number(total), number(worst),
            )  # fmt: skip
        table.add_section()
    console.print(table)


def print_refusals(refusals: Refusals, console: Console) -> None:
    """What was left out, and why."""
    for (method, reason), where in refusals.items():
        places = "; ".join(where[:3]) + f" and {len(where) - 3} more" * (len(where) > 3)
        console.print(f"left out: {method} at {places}: {reason}", style="dim", highlight=False)
