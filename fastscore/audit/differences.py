"""The score estimate against common-random-number differences, and whether the support moves."""

from __future__ import annotations

import numpy as np

from fastscore.audit.findings import Finding
from fastscore.audit.moves import Moves
from fastscore.audit.statistics import critical, mean_and_error, standardized
from fastscore.audit.subject import Subject

#: Terms that are not 0, below which their mean has no known error.
_FEW = 30


def check_differences(subject: Subject, moves: Moves) -> Finding:
    """Both estimate ``∇E f`` from the same samples: their difference has a known error."""
    if not all(np.isfinite(moves.f + move.difference).all() for move in moves.along):
        return Finding(
            "finite differences", "note", "not compared: f is not finite everywhere, and where it "
            "is moves with the parameters",
        )  # fmt: skip
    off, error, told = [], [], []
    for move in moves.along:
        f, n = moves.f, len(moves.f)
        if min((move.difference != 0).sum(), (f != np.median(f)).sum()) < _FEW:
            told.append(False)
            off.append(0.0)
            error.append(np.inf)
            continue
        terms = (f - f.mean()) * move.score * n / (n - 1)
        mean, stderr = mean_and_error(terms - move.difference)
        # What extrapolating changed bounds by what it may still be off.
        rough = np.mean(move.difference - move.rough)
        told.append(True)
        off.append(float(mean))
        error.append(float(np.hypot(stderr, rough)))
    z = np.abs(standardized(np.array(off), np.array(error)))
    limit = critical(len(z))
    what = "entries" if moves.single else "random directions"
    numbers = {"z": z, "limit": limit, "labels": [move.label for move in moves.along]}
    if not any(told):
        why = "no parameter can be moved" if not told else "f hardly ever changes"
        return Finding(
            "finite differences", "note",
            f"nothing to compare with: {why} in {len(moves.f):,} samples", numbers,
        )  # fmt: skip
    worst = int(np.argmax(z))
    if z[worst] > limit:
        found = moves.along[worst]
        return Finding(
            "finite differences", "failure",
            f"the score estimate is not the derivative of E[f]: along {found.label} common random "
            f"numbers give {np.mean(found.difference):.3g}, the score "
            f"{np.mean(found.difference) + off[worst]:.3g}, {z[worst]:.1f} standard errors "
            "apart (in units of the distribution). Either the support moves, or f depends on the "
            "parameters by itself and lacks its direct term: fs.Integrand(f, direct=…)", numbers,
        )  # fmt: skip
    fixed = "; args were held fixed" if subject.args else ""
    return Finding(
        "finite differences", "ok",
        f"the score estimate agrees with common-random-number differences of E[f] along "
        f"{sum(told)} {what}: at most {z.max():.1f} standard errors apart{fixed}", numbers,
    )  # fmt: skip


def check_support(subject: Subject, moves: Moves) -> Finding:
    """Does it move with a parameter?  Then no score sees what happens at its ends."""
    escaped = {move.label: move.escaped for move in moves.along if move.escaped > 0}
    if escaped:
        label = max(escaped, key=lambda one: escaped[one])
        return Finding(
            "support", "failure",
            f"the support moves with {', '.join(escaped)}: where it moved to {escaped[label]:.1%} "
            "of samples are impossible at the parameters themselves, or the reverse. No score "
            "sees what happens at its ends: write x as a function of a fixed distribution",
            {"escaped": escaped},
        )  # fmt: skip
    moving = subject.p.moving
    held = (
        f"; {', '.join(moving)} would move it, and there is no derivative by them" if moving else ""
    )
    return Finding("support", "ok", f"it does not move with {', '.join(subject.wrt)}{held}")


def check_direct(subject: Subject) -> list[Finding]:
    """Arguments of f with the very values of a parameter: should they move with it?"""
    if subject.integrand.direct is not None:
        return []
    for i, value in enumerate(subject.args):
        for name in subject.wrt:
            parameter = subject.p.parameters[name]
            same = np.shape(value) == parameter.shape and np.array_equal(value, parameter)
            if not same or np.isin(parameter, (0.0, 1.0)).all():  # which may well be by chance
                continue
            text = (
                f"args[{i}] has the values of {name}: if f is to follow {name}, the gradient lacks "
                "the direct term E[∂f/∂θ], which no check sees: fs.Integrand(f, direct=…)"
            )
            return [Finding("direct term", "warning", text, {"argument": i, "parameter": name})]
    return []


__all__ = ["check_differences", "check_direct", "check_support"]
