"""Has the estimator a variance?  The tails of ``|f s|`` and of f."""

from __future__ import annotations

import numpy as np

from fastscore.audit.findings import Finding
from fastscore.audit.subject import Subject
from fastscore.importance.psis import pareto_k, tail_length

#: Entries that are fitted: those with the largest terms for their size.
_ENTRIES = 32
#: Shapes from which on there is no variance, and no mean.
_NO_VARIANCE, _NO_MEAN = 0.5, 1.0
#: Standard errors of k beyond which there is likely, and surely, no variance.
_LIKELY, _SURELY = 2.0, 4.5


def check_tails(subject: Subject, f: np.ndarray, scores: np.ndarray) -> Finding:
    """Generalised Pareto fits: terms have 1/k finite moments."""
    good = np.isfinite(f)
    f, scores = f[good], scores[good]
    n = len(f)
    centred = f - np.median(f)
    value = shape_of(centred)
    rms = np.sqrt(np.mean((centred[:, None] * scores) ** 2, axis=0))
    largest = np.abs(centred[:, None] * scores).max(axis=0)
    ratio = np.divide(largest, rms, out=np.zeros_like(rms), where=rms > 0)
    tried = np.argsort(-ratio)[:_ENTRIES]
    shapes = np.array([shape_of(centred * scores[:, j]) for j in tried])
    known = np.isfinite(shapes)
    numbers = {
        "k_value": value,
        "k": dict(zip((subject.labels[j] for j in tried), shapes.tolist(), strict=True)),
    }
    if (shapes == np.inf).all():
        return Finding(
            "variance", "note", f"too few terms f·s differ from 0 to tell how heavy their tails "
            f"are, in {n:,} samples", numbers,
        )  # fmt: skip
    worst = int(np.argmax(np.where(known, shapes, -np.inf)))
    k, label = float(shapes[worst]), subject.labels[tried[worst]]
    numbers["worst"] = k
    # Standard errors of a fit to terms that just have no variance; of many entries the worst is seen.
    error = (1 + _NO_VARIANCE) / np.sqrt(tail_length(n))
    beyond = (k - _NO_VARIANCE) / error
    if value > _NO_MEAN:
        return Finding(
            "variance", "failure", f"f itself may have no mean: Pareto k = {value:.2f} of |f|, "
            "and above 1 E[f] does not exist", numbers,
        )  # fmt: skip
    if beyond > _LIKELY:
        also = f", and of |f| {value:.2f}" if value > _NO_VARIANCE else ""
        return Finding(
            "variance", "failure" if beyond > _SURELY else "warning",
            f"{'in' if beyond > _SURELY else 'perhaps in'}finite variance: Pareto k = {k:.2f} of |f·s| by {label}{also}, and above 0.5 there "
            "is none. Standard errors mean nothing, and more samples help little: draw from "
            "proposals with heavier tails, or bound f", numbers,
        )  # fmt: skip
    if not known.any():
        text = "terms f·s are bounded"
    else:
        text = f"finite: Pareto k of |f·s| is at most {k:.2f} ({label}), below 0.5"
    if k > _NO_VARIANCE:
        return Finding(
            "variance", "note", f"terms have heavy tails: Pareto k = {k:.2f} of |f·s| by {label}; "
            f"with {n:,} samples 0.5, from which on there is no variance, cannot be told from it",
            numbers,
        )  # fmt: skip
    return Finding("variance", "ok", text, numbers)


def shape_of(terms: np.ndarray) -> float:
    """Pareto k of ``|terms|``."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(terms))
    tail = min(tail_length(len(logs), len(logs)) + 1, len(logs))
    return pareto_k(np.partition(logs, len(logs) - tail)[-tail:], len(logs))


__all__ = ["check_tails", "shape_of"]
