"""Does f jump?  Then its derivative does not tell how ``E f`` moves, and pathwise is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.audit.findings import Finding
from fastscore.audit.subject import Subject

#: Segments that are searched, how often each is halved, and how short half of them start.
_SEGMENTS, _HALVINGS, _SHORT = 256, 45, 0.1
#: A change over a segment of no length is a jump beyond this part of f's mean deviation.
_JUMP = 1e-3
#: Values that a piecewise constant f has at most.
_FEW = 1000
#: A share of one and the same value that leaves too few others.
_USUAL = 0.99


def check_smooth(subject: Subject, x: np.ndarray, f: np.ndarray, share: float) -> Finding:
    """Halve segments between samples towards where f changes most, until they have no length."""
    real = subject.continuous
    finite = f[np.isfinite(f)]
    distinct = len(np.unique(finite))
    numbers: dict[str, Any] = {"distinct": distinct}
    if not real.any():
        return Finding(
            "smooth", "note", "samples are discrete: there is no derivative by them", numbers
        )
    usual = np.unique(finite, return_counts=True)[1].max(initial=0)
    if usual > _USUAL * len(finite):
        return Finding(
            "smooth", "note", f"f is the same at {usual / max(len(finite), 1):.3%} of samples: too "
            "few to tell where it jumps", numbers,
        )  # fmt: skip
    count = int(np.clip(subject.affordable(share) // (_HALVINGS + 2), 16, _SEGMENTS))
    count = min(count, len(x) // 2)
    ends = [x[:count].copy(), x[:count].copy()]
    lengths = np.where(np.arange(count) % 2, 1.0, _SHORT)[:, None]
    ends[1][:, real] += lengths * (x[count : 2 * count] - x[:count])[:, real]
    values = [subject.values(end) for end in ends]
    with np.errstate(invalid="ignore"):
        for _ in range(_HALVINGS):
            middle = ends[0].copy()
            middle[:, real] += 0.5 * (ends[1] - ends[0])[:, real]
            f_middle = subject.values(middle)
            left = np.abs(f_middle - values[0]) >= np.abs(values[1] - f_middle)
            ends = [
                np.where(left[:, None], ends[0], middle),
                np.where(left[:, None], middle, ends[1]),
            ]
            values = [np.where(left, values[0], f_middle), np.where(left, f_middle, values[1])]
        jumps = np.abs(values[1] - values[0])
    jumps = jumps[np.isfinite(jumps)]
    spread = np.abs(finite - np.median(finite)).mean() if finite.size else 0.0
    met = jumps > _JUMP * spread
    numbers |= {"segments": len(jumps), "jumps": int(met.sum())}
    few = f"f takes {distinct:,} value{'s' * (distinct != 1)}" if distinct <= _FEW else ""
    if met.any():
        numbers["jump"] = float(np.median(jumps[met]))
        constant = f"{few}, and " if few and distinct < len(finite) / 2 else ""
        return Finding(
            "smooth", "note",
            f"{constant or 'f '}jumps: on {met.sum()} of {len(jumps)} segments between samples, by "
            f"{numbers['jump']:.3g} (median). The score does not mind; pathwise would be wrong",
            numbers,
        )  # fmt: skip
    return Finding(
        "smooth", "ok", f"f does not jump on any of {len(jumps)} segments between samples", numbers
    )


__all__ = ["check_smooth"]
