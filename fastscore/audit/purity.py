"""Is f finite, and a function of its sample alone?"""

from __future__ import annotations

import numpy as np

from fastscore.audit.findings import Finding, Level
from fastscore.audit.subject import Subject
from fastscore.form import rows_of, shown

#: Samples at which f is evaluated again, and what sums in another order may change.
_AGAIN, _ROUNDING = 512, 1e-9
#: Of the time.
_SHARE = 0.1


def check_finite(subject: Subject, x: np.ndarray, f: np.ndarray) -> Finding:
    """How often f is NaN or infinite, and where first."""
    bad = np.flatnonzero(~np.isfinite(f))
    numbers = {"rate": len(bad) / len(f), "count": len(bad), "of": len(f)}
    if not len(bad):
        return Finding("finite", "ok", f"f is finite at all {len(f):,} samples", numbers)
    at = shown(rows_of(subject.seen(x[bad[0]]), 0))
    level: Level = "failure" if len(bad) == len(f) else "warning"
    return Finding(
        "finite", level,
        f"f is {f[bad[0]]} at {len(bad):,} of {len(f):,} samples ({numbers['rate']:.2g}), first "
        f"at x = {at}. Mend f, or choose fs.Integrand(f, nonfinite='omit'), which is another "
        "expectation", {**numbers, "first": x[bad[0]]},
    )  # fmt: skip


def check_deterministic(subject: Subject, x: np.ndarray, f: np.ndarray) -> Finding:
    """The same samples once more, and then fewer of them in another order."""
    rows = int(np.clip(subject.affordable(_SHARE), 16, _AGAIN))
    x, f = x[:rows], f[:rows]
    scale = np.abs(f[np.isfinite(f)]).max(initial=0.0)
    first = subject.values(x)
    again = subject.values(x)
    other = np.arange(len(x))[::-2]
    apart = subject.values(x[other])
    if not _same(first, again, 0.0):
        share = float(np.mean(~_near(first, again, 0.0)))
        return Finding(
            "deterministic", "failure",
            f"f is not: of {len(x)} samples {share:.0%} gave another value when asked again. "
            "Randomness of f is to be part of p, or noise of its own that the samples carry",
            {"share": share},
        )  # fmt: skip
    if not _same(first[other], apart, _ROUNDING * scale):
        share = float(np.mean(~_near(first[other], apart, _ROUNDING * scale)))
        return Finding(
            "deterministic", "failure",
            f"f of a sample depends on the others in its batch, or on earlier calls: {share:.0%} "
            "changed when fewer came in another order. f is to treat rows independently",
            {"share": share},
        )  # fmt: skip
    return Finding(
        "deterministic", "ok", "f of a sample is the same when asked again, and among others"
    )


def _near(a: np.ndarray, b: np.ndarray, rounding: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= rounding)


def _same(a: np.ndarray, b: np.ndarray, rounding: float) -> bool:
    return bool(_near(a, b, rounding).all())


__all__ = ["check_deterministic", "check_finite"]
