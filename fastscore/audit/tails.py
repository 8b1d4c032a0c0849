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
_LIKELY, _SURELY = 1.0, 3.0
#: A fit goes to the tail and to this part of it.
_SHORTER = 4
#: Without a variance so large a part of the squares is of so few samples.
_SQUARES, _OF = 0.1, 0.001


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
    # Of the fit, if terms just have no variance.
    error = (1 + _NO_VARIANCE) / np.sqrt(tail_length(n) / _SHORTER)
    beyond = (k - _NO_VARIANCE) / error
    if _NO_MEAN + _LIKELY * error < value < np.inf:
        return Finding(
            "variance", "failure", f"f itself may have no mean: Pareto k = {value:.2f} of |f|, "
            "and above 1 E[f] does not exist", numbers,
        )  # fmt: skip
    if beyond > _LIKELY:
        also = f", and of |f| {value:.2f}" if value > _NO_VARIANCE else ""
        surely = beyond > _SURELY
        return Finding(
            "variance", "failure" if surely else "warning",
            f"{'' if surely else 'perhaps '}infinite variance: Pareto k = {k:.2f} of |f·s| by "
            f"{label}{also}, and above 0.5 there is none. Standard errors mean nothing, and more "
            "samples help little: draw from proposals with heavier tails, or bound f", numbers,
        )  # fmt: skip
    if not known.any():
        text = "terms f·s have no few that count for much"
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
    """Pareto k of ``|terms|``: the least of two, since tails that end or wave look heavy to one.

    Minus infinity where no few terms have much of the squares; infinite where there is no fit.
    """
    sizes, n = np.sort(np.abs(terms)), len(terms)
    squares = sizes**2
    few = max(int(np.ceil(_OF * n)), 1)
    if squares[-few:].sum() < _SQUARES * squares.sum():
        return -np.inf
    length = tail_length(n, n)
    with np.errstate(divide="ignore"):
        logs = np.log(sizes[-min(length + 1, n) :])
    return min(pareto_k(tail, n) for tail in (logs, logs[-(length // _SHORTER + 1) :]))


__all__ = ["check_tails", "shape_of"]
