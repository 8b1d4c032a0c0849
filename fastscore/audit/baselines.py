"""Whether a baseline raises the variance, and which to take."""

from __future__ import annotations

import numpy as np

from fastscore.audit.findings import Finding
from fastscore.audit.subject import Subject
from fastscore.estimate import Estimate

_BASELINES: tuple[str | None, ...] = (None, "mean", "scalar", "optimal")
#: Ratios of variances that matter: below the first a baseline hurts.
_HURTS, _GAINS = 0.95, 1.1
#: Logarithms of ratios that are the same for all that matters: then the default is best.
_SAME = 0.02


def check_baselines(subject: Subject, estimate: Estimate) -> Finding:
    """What each does to the variance of each entry, from the sums of one run."""
    ratios = {}
    for baseline in _BASELINES:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = estimate.with_baseline(baseline).flat_variance_ratio
        ratios[str(baseline)] = np.where(np.isfinite(ratio), ratio, 1.0)
    medians = {name: float(np.median(ratio)) for name, ratio in ratios.items()}
    hurt = {name: int((ratio < _HURTS).sum()) for name, ratio in ratios.items()}
    with np.errstate(divide="ignore"):
        score = {name: float(np.mean(np.log(ratio))) for name, ratio in ratios.items()}
    best = max(score, key=lambda name: score[name])
    if score["optimal"] > score[best] - _SAME:
        best = "optimal"
    numbers = {"median": medians, "hurt": hurt, "best": best, "ratios": ratios}
    shown = ", ".join(f"{name!r} {medians[name]:.3g}" for name in ("mean", "scalar", "optimal"))
    text = f"variance without a baseline over that with one (median of entries): {shown}"
    bad = [name for name in ("mean", "scalar") if hurt[name]]
    if bad:
        worst = {name: int(np.argmin(ratios[name])) for name in bad}
        text += ". " + "; ".join(
            f"{name!r} raises that of {hurt[name]} of {len(ratios[name])} entries, of "
            f"{subject.labels[worst[name]]} {1 / ratios[name][worst[name]]:.3g}-fold"
            for name in bad
        )
    if hurt["optimal"]:
        text += (
            f". 'optimal', the default, raises that of {hurt['optimal']} entries, as its "
            "coefficients are estimated, too: draw more, or take baseline=None"
        )
        return Finding("baseline", "warning", text, numbers)
    if medians[best] < _GAINS and not bad:
        return Finding("baseline", "ok", f"{text}. None matters here", numbers)
    text += f". Take {best if best == 'None' else repr(best)}"
    return Finding("baseline", "note" if bad else "ok", text, numbers)


__all__ = ["check_baselines"]
