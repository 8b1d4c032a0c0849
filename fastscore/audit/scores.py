"""Is the score the derivative of the log-density, and of mean zero?"""

from __future__ import annotations

import numpy as np

from fastscore.audit.findings import Finding
from fastscore.audit.statistics import critical, mean_and_error, standardized
from fastscore.audit.subject import Subject

#: Samples at which the log-density is differentiated, entries that it is by, and the step.
_ROWS, _ENTRIES, _STEP = 256, 64, 1e-4
#: What differences may be off by, of the score's own size; and of the log-density, by rounding.
_OFF, _ROUNDING = 1e-3, 1e-14


def check_scores(subject: Subject, x: np.ndarray, scores: np.ndarray) -> Finding:
    """``E[s] = 0``, and s against finite differences of ``log_prob``."""
    mean, error = mean_and_error(scores)
    z = np.abs(standardized(mean, error))
    worst = int(np.argmax(np.where(np.isfinite(scores).all(axis=0), z, np.inf)))
    limit, label = critical(len(mean)), subject.labels[worst]
    numbers = {"z": z, "limit": limit, "worst": label}
    if not np.isfinite(scores).all():
        return Finding("score", "failure", f"the score by {label} is NaN or infinite", numbers)
    if z[worst] > limit:
        return Finding(
            "score", "failure",
            f"E[score] is not 0: by {label} it is {mean[worst]:.3g} ± {error[worst]:.2g} over "
            f"{len(x):,} samples. Samples and density do not belong together, or the support "
            "moves with the parameter", numbers,
        )  # fmt: skip
    if subject.p.underflows:
        compared = "samples may underflow, so log_prob was not differentiated"
    else:
        off, label = _against_differences(subject, x[:_ROWS], scores[:_ROWS])
        numbers["off"] = off
        if off > _OFF:
            return Finding(
                "score", "failure",
                f"the score by {label} is not the derivative of log_prob: they differ by "
                f"{off:.2g} of its size", numbers,
            )  # fmt: skip
        compared = "it is the derivative of log_prob"
    return Finding(
        "score", "ok",
        f"E[score] = 0: of {len(mean)} entries none is more than {z.max():.1f} standard errors "
        f"off; {compared}", numbers,
    )  # fmt: skip


def _against_differences(subject: Subject, x: np.ndarray, scores: np.ndarray) -> tuple[float, str]:
    """How far the score is off, relative to its size, where it is most; NaN differences apart."""
    size = np.sqrt(np.mean(scores**2, axis=0))
    largest, label = 0.0, subject.labels[0]
    density, values = subject.p.log_density(x), np.abs(subject.entries)
    for j in np.unique(np.linspace(0, len(size) - 1, min(len(size), _ENTRIES)).astype(int)):
        if not size[j]:
            continue
        h = _STEP * min(1 / size[j], 10 * values[j] if values[j] else 100.0)
        step = np.zeros(len(size))
        step[j] = h
        try:
            above, below = (subject.moved(by).log_density(x) for by in (step, -step))
        except ValueError:  # no such parameters
            continue
        with np.errstate(invalid="ignore"):
            slope = (above - below) / (2 * h)
        known = np.isfinite(slope)
        noise = _ROUNDING * np.abs(density) / h
        off = np.abs(slope - scores[:, j]) - noise
        relative = off[known] / (size[j] + np.abs(scores[known, j]))
        if relative.size and relative.max() > largest:
            largest, label = float(relative.max()), subject.labels[j]
    return largest, label


__all__ = ["check_scores"]
