"""Tables for people, by rich."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscore.variance.tails import heavy

if TYPE_CHECKING:
    from rich.table import Table

    from fastscore.estimate import Estimate
    from fastscore.importance.diagnostics import Diagnostics


def plain(*renderables: Any, width: int = 100) -> str:
    """What a terminal without colours would show."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, color_system=None, force_terminal=False).print(*renderables)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "",
          most: int | None = None) -> Table:  # fmt: skip
    """A table with its first column to the left; the middle of a long one is left out."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title), caption=Text(caption) if caption else None)
    for i, column in enumerate(columns):
        made.add_column(Text(column), justify="right" if i else "left")
    rows = list(rows)
    if most is not None and len(rows) > most:
        gap = [f"… {len(rows) - most} more"] + [""] * (len(columns) - 1)
        rows = [*rows[: most // 2], gap, *rows[len(rows) - (most - most // 2) :]]
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def estimate_table(estimate: Estimate, most: int) -> Table:
    """Gradient entries with standard errors and what the baseline bought."""
    error = "(exact)" if estimate.exact else f"± {estimate.value_stderr:.2g}"
    return table(
        f"E[f] = {estimate.value:.6g} {error}",
        ("d E[f] / d …", "gradient", "standard error", "variance ratio"),
        estimate.rows(),
        footer(estimate),
        most,
    )


def footer(estimate: Estimate) -> str:
    """What the numbers rest on, in a line."""
    if estimate.exact:
        biased = "" if estimate.bias == "none" else f", biased: {estimate.bias}"
        biased += "" if estimate.options is None else ", chosen by 'auto'"
        return f"exact: all {estimate.n:,} possible outcomes enumerated{biased}"
    parts = [f"n = {estimate.n:,}", f"baseline {estimate.baseline!r}"]
    if estimate.estimator != "score":
        parts.append(f"estimator {estimate.estimator!r}")
    if estimate.sampling not in ("iid", "counts"):
        parts.append(f"sampling {estimate.sampling!r} in {estimate.units:,} units")
    if estimate.seed is not None:
        parts.append(f"seed {estimate.seed}")
    if estimate.options is not None:
        own = {k: v for k, v in estimate.options.items() if k not in ("n", "rng")}
        listed = ", ".join(f"{name}={value!r}" for name, value in own.items())
        part = estimate.pilot_seconds / estimate.seconds
        parts.append(f"'auto' took {listed or 'the default'} by a pilot of {part:.0%} of the time")
    if estimate.importance is not None:
        parts.append(f"ESS {estimate.ess:,.0f}, Pareto k {estimate.pareto_k:.2f}")
    if estimate.nonfinite:
        parts.append(f"{estimate.nonfinite:,} non-finite f")
    if estimate.bias != "none":
        parts.append(f"biased: {estimate.bias}")
    if estimate.stopped != "n":
        parts.append(estimate.stopped)
    if estimate.importance is not None and not estimate.importance.trusted:
        parts.append("NOT TO BE TRUSTED: see summary()")
    return ", ".join(parts)


def advice(estimate: Estimate) -> str:
    """Plain words on how far to trust an estimate."""
    if estimate.exact and not estimate.nonfinite:
        told = "" if estimate.bias == "none" else f" Bias: {estimate.bias}."
        return f"Summed over all outcomes, not sampled: standard errors are zero.{told}"
    grads, stderrs = estimate.flat, estimate.flat_stderr
    ratios = estimate.flat_variance_ratio
    unit = "outcome" if estimate.exact else "sample"
    lines = [f"Standard errors have {estimate.dof:,} degrees of freedom; bias: {estimate.bias}."]
    if estimate.dof < 1:
        one = "sample" if estimate.importance is None else "unit of proposals"
        return lines[0] + f" One {one} tells nothing of its error: draw more."
    if not np.isfinite(grads).all():
        return (
            f"{lines[0]}\nf was NaN or infinite at {estimate.nonfinite:,} {unit}s, and the policy "
            "'propagate' let it through: nothing can be said."
        )
    unclear = int((np.abs(grads) < 2 * stderrs).sum())
    if unclear:
        lines.append(
            f"{unclear} of {grads.size} entries lie within two standard errors of zero: "
            "four times the samples halve their errors."
        )
    if estimate.baseline is not None:
        ratio = np.median(ratios)
        bought = f"divides the variance by {ratio:.3g}" if ratio < 1e12 else "leaves no variance"
        lines.append(f"The baseline {bought} (median over entries).")
        worse = int((ratios < 0.999).sum())
        if worse:
            other = "None" if estimate.baseline == "optimal" else "'optimal'"
            lines.append(
                f"It raises the variance of {worse} entries: compare with baseline={other}."
            )
    errors = estimate.flat_stderr_error
    tailed = heavy(errors, estimate.dof)
    if tailed.any():
        lines.append(
            f"The standard errors of {int(tailed.sum())} entries are themselves uncertain by up to "
            f"{errors[tailed].max():.0%}: f times the score has heavy tails, and intervals may be "
            "too short. Draw more, or from proposals that reach these tails."
        )
    if estimate.sampling == "sobol":
        lines.append(
            f"Errors of {estimate.units} scrambled replicates are far from normal where f is "
            "smooth and has few coordinates: 95% intervals may then cover as little as 83%. The "
            "errors are small there; judge by them, or take more replicates, not by the level."
        )
    if estimate.even:
        lines.append(
            f"{estimate.even} of {grads.size} entries have the same score at both samples of a "
            "pair, as those by scales have: pairs hurt them where f is even about the centre, up "
            "to √2 in the error, and the others where it is odd. Compare with sampling='iid'."
        )
    if estimate.nonfinite:
        lines.append(f"f was NaN or infinite at {estimate.nonfinite:,} samples.")
    if estimate.importance is not None:
        lines += _advice_on_weights(estimate.importance)
    return "\n".join(lines)


def _advice_on_weights(importance: Diagnostics) -> list[str]:
    """What the weights of proposals' samples say."""
    lines = [
        f"{importance.n:,} weighted samples are worth {importance.ess:,.0f} of p's own "
        f"(Pareto k = {importance.pareto_k:.2f}; the largest weight has "
        f"{importance.largest_share:.2%} of all)."
    ]
    if importance.partial:
        listed = ", ".join(map(str, importance.partial))
        lines.append(f"Missing part of p's support, which others reach: proposals {listed}.")
    if not importance.trusted:
        lines.append("This result is NOT to be trusted: " + "; ".join(importance.warnings) + ".")
        lines.append(
            "Bring proposals nearer to p, widen them, or give p itself a share: "
            "fs.Proposals(…, defensive=0.2)."
        )
    return lines
