"""What ``fastscore run`` estimates of a study, and prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore.engine.host import warm_up
from fastscore.estimate import Estimate
from fastscore.gradient import gradient
from fastscore.report import footer, table
from fastscore.study import Study

BASELINES: tuple[str | None, ...] = (None, "mean", "scalar", "optimal")


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

    warm_up()
    estimate(study.args, min(n, 16))  # compiles f, so that the run below can be timed
    result = estimate(study.args, n)
    special = None
    if study.special is not None:
        special = estimate(tuple(study.special["args"]), n)
    return Report(study, result, special)


def tables(report: Report) -> list[Any]:
    """What ``fastscore run`` prints."""
    estimate = report.estimate
    entries = zip(
        report.names, *(report.shown(of) for of in (estimate.grad, estimate.grad_stderr)),
        strict=True,
    )  # fmt: skip
    found: list[Any] = [
        table(
            report.study.title,
            ("", "estimate", "standard error"),
            [
                ("value", f"{estimate.value:.6g}", f"{estimate.value_stderr:.2g}"),
                *((name, f"{g:.6g}", f"{s:.2g}") for name, g, s in entries),
            ],
            footer(estimate),
            most=40,
        ),
        table(
            "What each baseline does to the variance",
            ("baseline", "variance / none", "samples saved", f"standard error, {report.names[0]}"),
            (
                (name, f"{relative:.3f}", f"{1 - relative:.0%}", f"{stderr:.2g}")
                for name, (relative, stderr) in report.baselines().items()
            ),
            "all leave the estimate unbiased; variance summed over the entries above",
        ),
    ]
    if report.special is not None and report.study.special is not None:
        found.append(
            table(
                str(report.study.special.get("title", "Special case")),
                ("", "estimate", "standard error", "exact", "difference / error"),
                (
                    (name, f"{g:.6g}", f"{s:.2g}", f"{exact:.6g}", f"{(g - exact) / s:+.2f}")
                    for name, g, s, exact in report.comparison()
                ),
                most=40,
            )
        )
    found.append(
        f"{estimate.n:,} samples in {estimate.seconds:.3g} s: "
        f"{report.samples_per_second / 1e6:.1f} million samples per second on "
        f"{estimate.threads} thread{'s' * (estimate.threads > 1)}, "
        f"{1e9 / report.samples_per_second / estimate.dimension:.2f} ns per coordinate"
    )
    return found


def _default_labels(name: str, shape: tuple[int, ...]) -> list[str]:
    if not shape:
        return [name]
    return [f"{name}[{', '.join(map(str, where))}]" for where in np.ndindex(*shape)]
