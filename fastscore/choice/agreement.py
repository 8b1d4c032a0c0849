"""Whether the pathwise estimate agrees with the score estimate, and whether one could tell.

The derivative of a digital pay-off is 0 wherever it exists: pathwise it has no variance, and is
wrong.  Only the score estimate, which rests on f alone, can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastscore.choice.pilot import Record

#: Chance that a right derivative is dropped, over all entries.
_LEVEL = 1e-4
#: Errors that the length of the gradient must measure: were all of it missing from the pathwise
#: estimate, it would show.
_POWER = 6.0
#: Rounding of a gradient, relative to its largest entry.
_ROUNDING = 1e-9
#: In place of a variance of 0.
_TINY = 1e-300


@dataclass(frozen=True)
class Verdict:
    """What comparing two estimates said.

    Attributes
    ----------
    agree : bool
        Whether nothing speaks against the pathwise estimate.
    clear : bool
        Whether something would have.
    text : str
        Both numbers, of the entry at which they differ most.
    """

    agree: bool
    clear: bool
    text: str


def compare(pathwise: Record, others: Iterable[Record]) -> Verdict:
    """Compare a pathwise estimate with those that need no derivative, weighted by precision.

    A t test of each entry, at level 1e-4 over them all (Bonferroni); of entries without variance
    only equal ones agree.  It has power only if the error of the other is small: the length of its
    errors must be less than a sixth of that of the gradient.  So near a stationary point nothing
    can be told, nor of rare events.
    """
    from scipy.special import stdtrit

    scores = list(others)
    precision = np.array([1 / max(float(np.sum(r.stderr**2)), _TINY) for r in scores])
    shares = precision / precision.sum()
    score = np.sum([a * r.grad for a, r in zip(shares, scores, strict=True)], axis=0)
    parts = [(a * r.stderr) ** 2 for a, r in zip(shares, scores, strict=True)]
    uncertain = np.sqrt(np.sum(parts, axis=0))
    off, error = pathwise.grad - score, np.hypot(pathwise.stderr, uncertain)
    error = np.maximum(error, _ROUNDING * np.abs(score).max(initial=0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(off == 0, 0.0, np.abs(off) / error)
    at = int(np.argmax(z))
    dof = min(e.dof for r in (pathwise, *scores) for e in r.estimates)
    limit = float(stdtrit(dof, 1 - _LEVEL / z.size / 2))
    length, noise = (float(np.sqrt(np.sum(v**2))) for v in (score, uncertain))
    text = (
        f"{pathwise.grad[at]:.4g} ± {pathwise.stderr[at]:.2g}, and the score estimate is "
        f"{score[at]:.4g} ± {uncertain[at]:.2g} (entry {at} of the gradient)"
    )
    return Verdict(bool(z.max() <= limit), length > _POWER * noise, text)


__all__ = ["Verdict", "compare"]
