"""What ``fastscore run FILE.py`` reads from a file, and does with it."""

from __future__ import annotations

import runpy
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastscore.families import Family

BASELINES: tuple[str | None, ...] = (None, "mean", "scalar", "optimal")


class StudyError(Exception):
    """A file that cannot be run; its message is one line for the user."""


@dataclass(frozen=True)
class Study:
    """What a file defines: ``f`` and ``p``, and optionally the rest.

    Attributes
    ----------
    f : callable or Integrand
        The integrand.
    p : Family
        Its distribution.
    args : tuple
        Arguments of f.
    n : int
        Number of samples, unless ``--n`` says otherwise.
    title : str
        Headline of the report.
    labels : mapping
        Parameter name -> a label per entry; None leaves the entry out of the tables.
    special : mapping or None
        A special case with a closed form: its ``title``, ``args`` and ``exact``, a mapping of
        ``"value"`` and parameter names to exact answers.
    """

    f: Any
    p: Family
    args: tuple[Any, ...] = ()
    n: int = 1_000_000
    title: str = ""
    labels: Mapping[str, list[str | None]] = field(default_factory=dict)
    special: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.p, Family):
            raise StudyError(f"p={self.p!r} is not a distribution, such as fs.Normal(loc, scale)")
        for name, labels in self.labels.items():
            size = self.p.parameters[name].size if name in self.p.parameters else 0
            if len(labels) != size:
                raise StudyError(
                    f"labels has {len(labels)} entries for {name!r}, of which p has {size}"
                )
        if self.special is not None and not {"args", "exact"} <= set(self.special):
            raise StudyError("special must be a mapping with at least 'args' and 'exact'")


def load(path: Path) -> Study:
    """Run a file and collect what it defines.

    Raises
    ------
    StudyError
        If it cannot be read, fails, or lacks f or p.
    """
    if not path.is_file():
        raise StudyError(f"{path}: there is no such file")
    try:
        names = runpy.run_path(str(path))
    except SyntaxError as error:
        raise StudyError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__)
                 if f.filename == str(path)]  # fmt: skip
        at = f", line {lines[-1]}" if lines else ""
        raise StudyError(f"{path}{at}: {type(error).__name__}: {one_line(error)}") from error
    missing = [name for name in ("f", "p") if name not in names]
    if missing:
        raise StudyError(
            f"{path} defines no {' and no '.join(missing)}: it must define f, the integrand, and "
            "p, its distribution, such as p = fs.Normal(loc, scale)"
        )
    known = Study.__dataclass_fields__
    return Study(**{name: value for name, value in names.items() if name in known})


def one_line(error: BaseException) -> str:
    """An error's message, and its notes, in one line."""
    parts = [str(error).strip().split("\n")[0], *getattr(error, "__notes__", ())]
    return "; ".join(part for part in parts if part)
