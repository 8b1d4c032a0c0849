"""Where f's derivative is given: do pathwise and score estimates agree?"""

from __future__ import annotations

import numpy as np

from fastscore.audit.findings import Finding
from fastscore.audit.statistics import critical, standardized
from fastscore.audit.subject import Subject
from fastscore.estimate import Estimate
from fastscore.variance.slopes import WrongDerivative


def check_path(subject: Subject, estimate: Estimate) -> list[Finding]:
    """Both estimate the same gradient, from samples of their own; nothing if none is given."""
    if subject.integrand.derivative is None:
        return []
    try:
        path = subject.estimate(estimate.n, estimator="pathwise", rng=subject.seed + 1)
    except WrongDerivative as why:
        return [Finding("derivative", "failure", f"differences of f disagree. {why}")]
    except (ValueError, TypeError, ArithmeticError) as why:
        return [Finding("derivative", "note", f"not compared: {why}")]
    error = np.hypot(path.flat_stderr, estimate.flat_stderr)
    z = np.abs(standardized(path.flat - estimate.flat, error))
    worst, limit = int(np.argmax(z)), critical(len(z))
    numbers = {"z": z, "limit": limit, "worst": subject.labels[worst]}
    if z[worst] > limit:
        sides = [
            f"{one.flat[worst]:.4g} ± {one.flat_stderr[worst]:.2g}" for one in (path, estimate)
        ]
        text = (
            f"pathwise and score disagree: {' and '.join(sides)} by {subject.labels[worst]}. "
            "Either the derivative is wrong, or f jumps: take estimator='score'"
        )
        return [Finding("derivative", "failure", text, numbers)]
    text = (
        f"pathwise and score agree on {len(z)} entries: at most {z.max():.1f} standard errors apart"
    )
    return [Finding("derivative", "ok", text, numbers)]


__all__ = ["check_path"]
