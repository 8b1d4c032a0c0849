"""What an audit found, for programs and, as a page, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["ok", "note", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes
    ----------
    name : str
        What was looked at, such as ``"variance"``.
    level : {"ok", "note", "warning", "failure"}
        How bad it is.
    text : str
        In words.
    numbers : mapping
        What the words rest on.
    """

    name: str
    level: Level
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Audit:
    """The findings of `audit`; printed, a page.

    Attributes
    ----------
    title : str
        f and p.
    n : int
        Samples of the estimate that numbers rest on; 0 if none could be made.
    evaluations : int
        How often f was evaluated in all.
    seconds : float
        Wall time, compilation included.
    checks, advice, sizes : tuple of Finding
        What was checked, what would do better, and how many samples errors of some sizes take.
    """

    title: str
    n: int
    evaluations: int
    seconds: float
    checks: tuple[Finding, ...]
    advice: tuple[Finding, ...] = ()
    sizes: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return (*self.checks, *self.advice, *self.sizes)

    @property
    def ok(self) -> bool:
        """Whether no check failed, nor warns."""
        return not [*self.at("failure"), *self.at("warning")]

    def at(self, level: Level) -> Iterator[Finding]:
        """Findings of a level."""
        return (finding for finding in self.findings if finding.level == level)

    def __getitem__(self, name: str) -> Finding:
        """The finding of a name."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"{name!r} is none of {', '.join(found.name for found in self.findings)}")

    def __contains__(self, name: object) -> bool:
        return any(finding.name == name for finding in self.findings)

    def __str__(self) -> str:
        from fastscore.audit.page import page

        return page(self)

    def __repr__(self) -> str:
        levels = ", ".join(f"{found.name}: {found.level}" for found in self.findings)
        return f"<Audit of {self.title}: {levels}>"


__all__ = ["Audit", "Finding", "Level"]
