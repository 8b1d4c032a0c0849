"""How many samples a wanted error takes."""

from __future__ import annotations

import numpy as np

from fastscore.audit.findings import Finding
from fastscore.estimate import Estimate

_WANTED = (0.1, 0.01, 0.001)
#: Entries less than so many standard errors from 0 have no relative error yet.
_CLEAR = 4.0


def sizes(estimate: Estimate, seconds: float) -> tuple[Finding, ...]:
    """Samples for relative errors of entries, and of the whole gradient.

    Parameters
    ----------
    estimate : Estimate
        Of some samples.
    seconds : float
        That each takes.
    """
    grads, errors, n = estimate.flat, estimate.flat_stderr, estimate.n
    # Of the square of an estimate its error is a part: what is left is that of the truth.
    clear = np.abs(grads) > _CLEAR * errors
    relative = errors[clear] / np.abs(grads[clear])
    squared, noise = float(grads @ grads), float(errors @ errors)
    truth = squared - noise
    whole = np.sqrt(noise / truth) if truth > 2 * noise else np.inf
    found = []
    for wanted in _WANTED:
        needed = {
            "half of the entries": _quantile(relative, 0.5),
            "nine in ten": _quantile(relative, 0.9),
            "the whole gradient": float(whole),
        }
        counts = {name: n * (error / wanted) ** 2 for name, error in needed.items()}
        numbers = {
            "wanted": wanted, "n": counts, "clear": int(clear.sum()), "entries": len(grads),
            "seconds": {name: count * seconds for name, count in counts.items()},
        }  # fmt: skip
        text = ", ".join(f"{name}: {count_of(count)}" for name, count in counts.items())
        found.append(Finding(f"n for {wanted:.3g}", "note", text, numbers))
    return tuple(found)


def _quantile(relative: np.ndarray, share: float) -> float:
    return float(np.quantile(relative, share)) if relative.size else np.inf


def count_of(number: float) -> str:
    """Samples, in few digits."""
    if not np.isfinite(number):
        return "unknown"
    if number >= 1e6:
        return f"{number:.1e}".replace("e+0", "e").replace("e+", "e")
    return f"{max(round(number), 1):,}"


def time_of(seconds: float) -> str:
    """A time, in few digits."""
    if not np.isfinite(seconds):
        return "?"
    for size, unit in ((86400 * 365, "years"), (86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s" if seconds >= 0.1 else f"{1e3 * seconds:.2g} ms"


__all__ = ["count_of", "sizes", "time_of"]
