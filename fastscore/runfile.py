"""What ``fastscore run FILE.py`` reads from a file, and does with it."""

from __future__ import annotations

import runpy
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastscore.estimate import Estimate
from fastscore.families import Family
from fastscore.gradient import gradient

BASELINES: tuple[str | None, ...] = (None, "mean", "scalar", "optimal")


class RunFileError(Exception):
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
            raise RunFileError(f"p={self.p!r} is not a distribution, such as fs.Normal(loc, scale)")
        for name, labels in self.labels.items():
            size = self.p.parameters[name].size if name in self.p.parameters else 0
            if len(labels) != size:
                raise RunFileError(
                    f"labels has {len(labels)} entries for {name!r}, of which p has {size}"
                )
        if self.special is not None and not {"args", "exact"} <= set(self.special):
            raise RunFileError("special must be a mapping with at least 'args' and 'exact'")


def load(path: Path) -> Study:
    """Run a file and collect what it defines.

    Raises
    ------
    RunFileError
        If it cannot be read, fails, or lacks f or p.
    """
    if not path.is_file():
        raise RunFileError(f"{path}: there is no such file")
    try:
        names = runpy.run_path(str(path))
    except SyntaxError as error:
        raise RunFileError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__)
                 if f.filename == str(path)]  # fmt: skip
        at = f", line {lines[-1]}" if lines else ""
        raise RunFileError(f"{path}{at}: {type(error).__name__}: {one_line(error)}") from error
    missing = [name for name in ("f", "p") if name not in names]
    if missing:
        raise RunFileError(
            f"{path} defines no {' and no '.join(missing)}: it must define f, the integrand, and "
            "p, its distribution, such as p = fs.Normal(loc, scale)"
        )
    known = Study.__dataclass_fields__
    return Study(**{name: value for name, value in names.items() if name in known})


def one_line(error: BaseException) -> str:
    """An error's message, and its notes, in one line."""
    parts = [str(error).strip().split("\n")[0], *getattr(error, "__notes__", ())]
    return "; ".join(part for part in parts if part)


@dataclass(frozen=True)
class Report:
    """The outcome of a study."""

    study: Study
    estimate: Estimate
    special: Estimate | None

    @property
    def samples_per_second(self) -> float:
        """Throughput of the timed run, in which nothing was compiled."""
        return self.estimate.n / self.estimate.seconds

    @property
    def labels(self) -> dict[str, list[str | None]]:
        """A label per gradient entry."""
        return {
            name: list(self.study.labels.get(name) or _default_labels(name, np.shape(grad)))
            for name, grad in self.estimate.grad.items()
        }

    def shown(self, values: Mapping[str, Any]) -> np.ndarray:
        """The labelled entries of a gradient-like mapping, as one vector."""
        return np.array(
            [
                value
                for name, labels in self.labels.items()
                for label, value in zip(labels, np.ravel(values[name]), strict=True)
                if label is not None
            ]
        )

    @property
    def names(self) -> list[str]:
        """The labels of the entries shown."""
        return [label for labels in self.labels.values() for label in labels if label is not None]

    def baselines(self) -> dict[str, tuple[float, float]]:
        """Per baseline: total variance of the entries shown, relative to none, and the standard
        error of the first."""
        stderr = {str(b): self.shown(self.estimate.with_baseline(b).grad_stderr) for b in BASELINES}
        total = (stderr["None"] ** 2).sum()
        return {name: ((s**2).sum() / total, s[0]) for name, s in stderr.items()}

    def comparison(self) -> list[tuple[str, float, float, float]]:
        """Name, estimate, standard error and exact answer of the special case."""
        if self.special is None or self.study.special is None:
            return []
        exact = self.study.special["exact"]
        rows = []
        if "value" in exact:
            rows.append(
                ("value", self.special.value, self.special.value_stderr, float(exact["value"]))
            )
        known = {
            name: exact.get(name, np.full(np.shape(grad), np.nan))
            for name, grad in self.estimate.grad.items()
        }
        columns = zip(
            self.names, self.shown(self.special.grad), self.shown(self.special.grad_stderr),
            self.shown(known), strict=True,
        )  # fmt: skip
        return rows + [row for row in columns if not np.isnan(row[3])]


def run(
    study: Study, *, n: int | None, seed: int, threads: int | None, progress: bool = False
) -> Report:
    """Estimate a study, and its special case if it has one."""
    n = study.n if n is None else n

    def estimate(args: tuple[Any, ...], samples: int) -> Estimate:
        return gradient(
            study.f, study.p, args=args, n=samples, rng=seed, threads=threads, progress=progress
        )

    estimate(study.args, min(n, 100_000))  # compiles, so that the run below can be timed
    start = time.perf_counter()
    result = estimate(study.args, n)
    result.seconds = time.perf_counter() - start
    special = None
    if study.special is not None:
        special = estimate(tuple(study.special["args"]), n)
    return Report(study, result, special)


def _default_labels(name: str, shape: tuple[int, ...]) -> list[str]:
    if not shape:
        return [name]
    return [f"{name}[{', '.join(map(str, where))}]" for where in np.ndindex(*shape)]
