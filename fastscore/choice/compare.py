"""``fs.compare``: what each way to estimate a gradient costs here, and what it gains."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastscore.checks import count
from fastscore.choice import agreement
from fastscore.choice.combinations import Combination, competitors, with_baselines
from fastscore.choice.pilot import KNOWN, Pilot, Record
from fastscore.engine.streams import seed_of
from fastscore.families import Family
from fastscore.gradient import checked, names_of
from fastscore.integrand import Integrand
from fastscore.pictures import pyplot
from fastscore.progress import progress_bar
from fastscore.report import plain, table
from fastscore.variance.control_variates import as_controls

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Runs of each combination, between which those of others come.
_ROUNDS = 5
#: Samples of a run that only compiles.
_WARM = 64
#: Samples of a combination by default.
_SAMPLES = 50_000
#: Rows of a printed table.
_ROWS = 40


@dataclass(frozen=True)
class Row:
    """A combination against the default.

    Attributes
    ----------
    combination : str
        What it is.
    options : mapping
        Keywords of `gradient` for it, those that are not defaults.
    variance_ratio, variance_error : float
        Variance of the gradient for as many samples, over that of the default, and the relative
        standard error of it.
    seconds_ratio, seconds_error : float
        The same of seconds per sample; of an exact sum, of those for n samples.
    """

    combination: str
    options: Mapping[str, Any]
    variance_ratio: float
    variance_error: float
    seconds_ratio: float
    seconds_error: float

    @property
    def gain(self) -> float:
        """How many times less variance × seconds is."""
        work = self.variance_ratio * self.seconds_ratio
        return 1 / work if work else math.inf

    @property
    def gain_error(self) -> float:
        """Standard error of it."""
        if not self.variance_ratio:
            return 0.0
        return self.gain * math.hypot(self.variance_error, self.seconds_error)

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        gain = "∞" if math.isinf(self.gain) else f"{self.gain:.3g} ± {self.gain_error:.1g}"
        return self.combination, f"{self.variance_ratio:.3g}", f"{self.seconds_ratio:.3g}", gain


class Comparison:
    """What `compare` found: rows in order of gain, and the best.

    Attributes
    ----------
    rows : list of Row
        Of the greatest gain first.
    best : Row
        That whose gain less its standard error is greatest; the default, if no gain is greater
        than 1 by its error, or the variance of the default is not known to within a half.
    refused : dict of str to str
        What is not applicable, and why.
    n : int
        Samples of each combination.
    seed : int
        Where they came from.
    """

    def __init__(
        self, rows: list[Row], best: Row, refused: dict[str, str], n: int, seed: int
    ) -> None:
        self.rows, self.best, self.refused, self.n, self.seed = rows, best, refused, n, seed

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of `gradient` for the best."""
        return dict(self.best.options)

    def __str__(self) -> str:
        caption = (
            f"n = {self.n:,} each, seed {self.seed}; gain: variance × seconds of the default, "
            "over those of the row"
        )
        drawn = plain(table(
            f"Best: {self.best.combination}",
            ("combination", "variance", "seconds", "gain"),
            (row.cells() for row in self.rows), caption, most=_ROWS,
        ))  # fmt: skip
        reasons: dict[str, list[str]] = {}
        for name, reason in self.refused.items():
            reasons.setdefault(reason, []).append(name)
        left = [f"Not {'; '.join(names)}: {reason}." for reason, names in reasons.items()]
        return "\n".join([drawn, *left])

    def __repr__(self) -> str:
        return (
            f"<Comparison of {len(self.rows)}: {self.best.combination}, gain {self.best.gain:.3g}>"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the gains with their standard errors; those without variance at the right edge.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Raises
        ------
        ImportError
            If matplotlib is not installed: ``pip install 'fastscore[plot]'``.
        """
        if ax is None:
            height = 1 + 0.3 * len(self.rows)
            _, ax = pyplot().subplots(layout="constrained", figsize=(7, height))
        finite = [row.gain for row in self.rows if math.isfinite(row.gain)]
        edge = 10 * max(finite, default=1.0)
        for place, row in enumerate(reversed(self.rows)):
            if math.isinf(row.gain):
                ax.plot([edge], [place], marker=">", color="C0")
                continue
            error = [[min(row.gain_error, 0.99 * row.gain)], [row.gain_error]]
            ax.errorbar([row.gain], [place], xerr=error, fmt="o", color="C0", capsize=2)
        ax.axvline(1, color="0.7", linewidth=0.8, zorder=0)
        ax.set_xscale("log")
        ax.set_yticks(range(len(self.rows)), [row.combination for row in reversed(self.rows)])
        ax.set_xlabel("gain in variance × seconds over the default")
        return ax


def compare(
    f: Callable[..., Any] | Integrand, p: Family, *, args: tuple[Any, ...] = (),
    wrt: str | Iterable[str] | None = None, n: int = _SAMPLES, rng: Any = None,
    control_variates: Any = None, threads: int | None = None, progress: bool = False,
) -> Comparison:  # fmt: skip
    """Compare ways to estimate a gradient: estimators, samplings, baselines, control variates.

    Parameters
    ----------
    f, p, args, wrt, threads, progress
        As of `gradient`.
    n : int
        Samples of each combination, in five runs between which those of others come; of so many
        outcomes all are summed, at most.
    rng : None, int, Generator, BitGenerator or SeedSequence
        As of `gradient`: the samples are others than those which it draws from the same seed.
    control_variates : ControlVariate, DeltaMethod, (h, mean), "score", or list of them, optional
        Which compete as well.

    Returns
    -------
    Comparison
        To print, to plot, and with ``options`` for `gradient` (for ``"exact"`` without n and rng).

    Raises
    ------
    TypeError, ValueError
        As `gradient` does.

    Notes
    -----
    What counts is variance × seconds [1]_: the trace of the gradient's covariance over the entries
    in ``wrt`` times the median of the seconds that a sample takes, on one thread, once all is
    compiled.  Only what is unbiased whatever f is competes, and ``"pathwise"`` if f's derivative is
    given; it is left out where it disagrees with the score estimate (t tests at level 1e-4 over all
    entries), and cannot be the best where the error of that exceeds a sixth of the gradient, which
    tells nothing.  The variance of Sobol' points falls faster than 1/n: for more samples than n
    they gain more.  Their replicates are few, and the error of their variance is large.

    References
    ----------
    .. [1] P. W. Glynn and W. Whitt, The asymptotic efficiency of simulation estimators, Operations
       Research 40 (1992).
    """
    integrand, args = checked(f, p, args)
    n, seed = max(_ROUNDS * _WARM, count("n", n)), seed_of(rng)
    as_controls(control_variates)
    found = competitors(integrand, p.whole, args, Combination(), n, names_of(wrt, p))
    combinations, refused = list(found.combinations), dict(found.refused)
    if control_variates is not None:
        combinations += [
            replace(one, control_variates=control_variates) for one in combinations
            if one.scored and one.baseline == "optimal"
        ]  # fmt: skip
    pilot = Pilot(f, p, seed, args=args, wrt=wrt, threads=threads)
    records = [pilot.add(combination) for combination in combinations]
    with progress_bar((1 + _ROUNDS) * len(records), progress) as advance:
        for turn in range(1 + _ROUNDS):
            for place, record in enumerate(records):
                if not record.refused and not (record.combination.exact and turn > 1):
                    pilot.run(record, n // _ROUNDS if turn else _WARM, keep=bool(turn))
                if advance is not None:
                    advance(turn * len(records) + place + 1)
    refused |= {str(r.combination): r.refused for r in records if r.refused}
    usable = [record for record in records if not record.refused]
    unclear = _check_pathwise(usable, refused)
    usable += [r.under(b) for r in usable for b in with_baselines(r.combination)]
    rows = [_row(record, records[0]) for record in usable]
    best = _best([row for row in rows if row.combination not in unclear], records[0])
    return Comparison(sorted(rows, key=lambda row: -row.gain), best, refused, n, seed)


def _check_pathwise(usable: list[Record], refused: dict[str, str]) -> set[str]:
    """Leave out pathwise estimates that are wrong; those of which one cannot tell."""
    others = [r for r in usable if not r.combination.pathwise and not r.combination.exact]
    unclear = set()
    for record in [r for r in usable if r.combination.pathwise]:
        verdict, name = agreement.compare(record, others), str(record.combination)
        if not verdict.agree:
            usable.remove(record)
            refused[name] = f"it disagrees with the score estimate: it is {verdict.text}"
        elif not verdict.clear:
            unclear.add(name)
            refused[f"the best, {name}"] = (
                "the score's error is too large to tell whether it is right"
            )
    return unclear


def _best(rows: list[Row], default: Record) -> Row:
    """The row of the greatest gain, one standard error down; ties go to the default, the first."""
    exact = [row for row in rows if row.options.get("estimator") == "exact"]
    if exact:
        return exact[0]
    if not default.variance or default.variance_error() > KNOWN:
        return rows[0]
    best = max(rows, key=lambda row: row.gain - row.gain_error)
    return best if best.gain - best.gain_error > 1 else rows[0]


def _row(record: Record, default: Record) -> Row:
    """A combination's row."""
    own, same = record.variance, record is default
    ratio = own / default.variance if default.variance else math.inf if own else 1.0
    error = math.hypot(default.variance_error(), record.variance_error(default.variance_error()))
    seconds = record.second / default.second
    if record.combination.exact:  # it takes as long whatever n is
        seconds *= record.estimates[0].n / sum(estimate.n for estimate in default.estimates)
    timing = math.hypot(record.second_error, default.second_error)
    return Row(
        str(record.combination), record.combination.options, ratio, 0.0 if same else error,
        seconds, 0.0 if same else timing,
    )  # fmt: skip


__all__ = ["Comparison", "Row", "compare"]
