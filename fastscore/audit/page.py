"""The findings as a page."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from fastscore.audit.findings import Audit, Finding
from fastscore.audit.sizes import count_of, time_of
from fastscore.report import plain, table

_MARKS = {"ok": "✓", "note": "·", "warning": "!", "failure": "✗"}
#: For terminals without them.
_ASCII = str.maketrans({
    "✓": "+", "✗": "X", "·": "*", "±": "+/-", "≠": "!=", "∂": "d", "θ": "theta", "…": "...",
    "→": "->",
    **dict.fromkeys("┏┳┓┡╇┩└┴┘", "+"), **dict.fromkeys("━─", "-"), **dict.fromkeys("┃│", "|"),
})  # fmt: skip
_WIDTH = 100
_MEASURED = " → Sobol' points and all else that applies: fs.compare(f, p) measures their gains"


def page(audit: Audit) -> str:
    """Plain text, of characters that the terminal can show."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [_header(audit), "", verdict(audit), "", _listed(audit.checks)]
    if not any(audit.at("failure")):
        parts += ["", "What would do better", _listed(audit.advice), Text(_MEASURED)]
    if audit.sizes:
        parts += ["", _sizes(audit.sizes)]
    text = plain(Group(*parts), width=_WIDTH)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        text = text.translate(_ASCII).encode("ascii", "replace").decode()
    return text


def _header(audit: Audit) -> Any:
    from rich.text import Text

    return Text(
        f"Audit of {audit.title}\n{audit.n:,} samples, {audit.evaluations:,} evaluations of f, "
        f"{audit.seconds:.2g} s"
    )


def verdict(audit: Audit) -> Any:
    """In a line, whether the gradient is to be trusted."""
    from rich.text import Text

    failures = [finding.name for finding in audit.at("failure")]
    warnings = [finding.name for finding in audit.at("warning")]
    if failures:
        told = f"NOT to be trusted: {', '.join(failures)}"
    elif warnings:
        told = f"To be used with care: {', '.join(warnings)}"
    else:
        told = "Nothing speaks against the score-function gradient and its error bars"
    first = [finding.name for finding in audit.advice]
    better = f". Better: {first[0]}" if first and not failures else ""
    return Text(f"{told}{better}.")


def _listed(findings: Iterable[Finding]) -> Any:
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 1))
    for _ in range(2):
        made.add_column(no_wrap=True)
    made.add_column(ratio=1)
    for finding in findings:
        made.add_row(f" {_MARKS[finding.level]}", Text(finding.name), Text(finding.text))
    return made


def _sizes(sizes: Sequence[Finding]) -> Any:
    names = list(sizes[0].numbers["n"])
    rows = [
        (
            f"{finding.numbers['wanted']:.3g}",
            *(
                f"{count_of(count)} in {time_of(finding.numbers['seconds'][name])}"
                for name, count in finding.numbers["n"].items()
            ),
        )
        for finding in sizes
    ]
    clear, entries = (sizes[0].numbers[name] for name in ("clear", "entries"))
    caption = "standard errors relative to the entries, or to the length of the gradient"
    if clear < entries:
        caption += f"; {entries - clear} of {entries} entries are too near 0 to tell, and left out"
    return table("How many samples", ("relative error", *names), rows, caption)


__all__ = ["page", "verdict"]
