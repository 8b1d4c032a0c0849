"""Tables for people, by rich."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.table import Table

    from fastscore.estimate import Estimate


def plain(*renderables: Any, width: int = 100) -> str:
    """What a terminal without colours would show."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, color_system=None, force_terminal=False).print(*renderables)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def estimate_table(
    estimate: Estimate, most: int, labels: Mapping[str, list[str]] | None = None
) -> Table:
    """Gradient entries with standard errors; the middle of a long table is left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"E[f] = {estimate.value:.6g} ± {estimate.value_stderr:.2g}"),
        caption=Text(footer(estimate)),
    )
    table.add_column("d E[f] / d …")
    for heading in ("gradient", "standard error", "variance ratio"):
        table.add_column(heading, justify="right")
    rows = list(estimate.rows(labels))
    for i, row in enumerate(rows):
        if len(rows) <= most or i < most // 2 or i >= len(rows) - most // 2:
            table.add_row(*map(Text, row))
        elif i == most // 2:
            table.add_row(Text(f"… {len(rows) - 2 * (most // 2)} more"), "", "", "")
    return table


def footer(estimate: Estimate) -> str:
    """What the numbers rest on, in a line."""
    parts = [f"n = {estimate.n:,}", f"baseline {estimate.baseline!r}", f"seed {estimate.seed}"]
    if estimate.nonfinite:
        parts.append(f"{estimate.nonfinite:,} non-finite f")
    if estimate.bias != "none":
        parts.append(f"biased: {estimate.bias}")
    if estimate.stopped != "n":
        parts.append(estimate.stopped)
    return ", ".join(parts)


def advice(estimate: Estimate) -> str:
    """Plain words on how far to trust an estimate."""
    ratios = np.concatenate([np.ravel(r) for r in estimate.variance_ratio.values()])
    grads = np.concatenate([np.ravel(g) for g in estimate.grad.values()])
    stderrs = np.concatenate([np.ravel(s) for s in estimate.grad_stderr.values()])
    lines = [f"Standard errors have {estimate.dof:,} degrees of freedom; bias: {estimate.bias}."]
    if estimate.dof < 1:
        return lines[0] + " One sample tells nothing of its error: draw more."
    unclear = int((np.abs(grads) < 2 * stderrs).sum())
    if unclear:
        lines.append(
            f"{unclear} of {grads.size} entries lie within two standard errors of zero: "
            "four times the samples halve their errors."
        )
    if estimate.baseline is not None:
        lines.append(
            f"The baseline divides the variance by {np.median(ratios):.3g} (median over entries)."
        )
        worse = int((ratios < 0.999).sum())
        if worse:
            lines.append(
                f"It raises the variance of {worse} entries: compare with baseline='optimal'."
            )
    if estimate.nonfinite:
        lines.append(f"f was NaN or infinite at {estimate.nonfinite:,} samples.")
    return "\n".join(lines)
