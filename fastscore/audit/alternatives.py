"""What would do better, and by how much: estimated on the samples that were checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastscore.audit.findings import Finding
from fastscore.audit.moves import Moves
from fastscore.audit.statistics import critical, mean_and_error, standardized
from fastscore.audit.subject import Subject
from fastscore.engine.draw import draw_samples
from fastscore.engine.enumeration import MOST_OUTCOMES

#: Gains in variance that are worth a line, and those that leave nothing.
_WORTH, _NOTHING = 1.2, 1e6
#: A share of samples with anything but f's usual value that is rare, and too few of these.
_RARE, _FEW = 0.01, 100
#: Samples for each entry that a regression on all of them takes, and entries at most.
_PER_ENTRY, _ENTRIES = 20, 200
_ROWS = 20_000


@dataclass(frozen=True)
class Case:
    """What alternatives are judged by.

    Attributes
    ----------
    subject : Subject
        f and p.
    f, scores : ndarray
        At samples where f is finite.
    moves : Moves
        Of the parameters.
    smooth : bool
        Whether f has a derivative that counts.
    measured : bool
        Whether variances can be compared: there is one.
    """

    subject: Subject
    f: np.ndarray
    scores: np.ndarray
    moves: Moves
    smooth: bool
    measured: bool


def alternatives(case: Case) -> tuple[Finding, ...]:
    """Those that would do better, the best first."""
    found = [*_rare(case), *_enumerate(case)]
    if case.measured and not any(finding.level == "warning" for finding in found):
        found += [finding for one in (_pathwise, _antithetic, _matrix) for finding in one(case)]
    return tuple(sorted(found, key=lambda finding: -finding.numbers.get("gain", np.inf)))


def _rare(case: Case) -> Iterator[Finding]:
    """Does f hardly ever say anything?"""
    values, counts = np.unique(case.f, return_counts=True)
    usual, n = values[np.argmax(counts)], len(case.f)
    hits = n - int(counts.max())
    numbers = {"usual": float(usual), "rate": hits / n, "hits": hits, "of": n}
    if hits > _RARE * n:
        return
    if not hits:
        yield Finding(
            "importance sampling", "warning",
            f"f is {usual:.6g} at all {n:,} samples, so that the gradient is 0 ± 0, which may be "
            "far off: is it constant? Else sample where it is not: proposals=…, fs.cross_entropy",
            numbers,
        )  # fmt: skip
        return
    few = " Too few for error bars." if hits < _FEW else ""
    yield Finding(
        "importance sampling", "warning" if few else "note",
        f"f ≠ {usual:.6g} at {hits / n:.1e} of samples ({hits:,} of {n:,}).{few} Draw from "
        "proposals where it is not: proposals=…, which fs.cross_entropy finds", numbers,
    )  # fmt: skip


def _enumerate(case: Case) -> Iterator[Finding]:
    """Has p few outcomes?"""
    integrand = case.subject.integrand
    if integrand.direct is not None or integrand.weighs is not None:
        return
    try:
        states = len(case.subject.p.support(MOST_OUTCOMES))
    except ValueError:
        return
    yield Finding(
        "enumerate", "note",
        f"p has {states:,} outcomes: estimator='exact' sums them all, in as many evaluations of f, "
        "without error", {"states": states},
    )  # fmt: skip


def _pathwise(case: Case) -> Iterator[Finding]:
    """Would f's derivative do?  Differences of a tiny step are its terms."""
    if not case.smooth or not case.moves.along:
        return
    try:
        case.subject.p.path  # noqa: B018
    except ValueError:
        return
    ratios, off, error = [], [], []
    for move in case.moves.along:
        good = np.isfinite(case.moves.f + move.path + move.difference)
        f, s = case.moves.f[good], move.score[good]
        own = _left(((f - f.mean()) * s)[:, None], s[:, None])[0]
        path = _left(move.path[good][:, None], s[:, None])[0]
        mean, stderr = mean_and_error(move.path[good] - (f - f.mean()) * s)
        off.append(mean)
        error.append(stderr)
        ratios.append(path / own if own > 0 else 1.0)
    z = np.abs(standardized(np.array(off), np.array(error)))
    gain = _gain(np.array(ratios))
    if z.max() > critical(len(z)) or gain < _WORTH:
        return
    numbers = {"gain": gain, "ratios": np.array(ratios), "z": z}
    given = case.subject.integrand.derivative is not None
    what = "f's derivative is given, and" if given else "f does not jump, and given its derivative"
    how = "estimator='pathwise'" if given else (
        "fs.Integrand(f, derivative=…) and estimator='pathwise'"
    )  # fmt: skip
    yield Finding(
        "pathwise", "note", f"use pathwise: {what} the variance would be {_part(gain)} ({how})",
        numbers,
    )  # fmt: skip


def _antithetic(case: Case) -> Iterator[Finding]:
    """Would pairs of mirror images do?"""
    subject = case.subject
    family = subject.p.source.family
    if family.centre is None or subject.integrand.weighs is not None:
        return
    rows = min(_ROWS, len(case.f), subject.affordable(0.1))
    drawn = draw_samples(family, rows, subject.seed)
    sides = [subject.carried(side) for side in (drawn, 2 * family.centre - drawn)]
    values = [subject.values(x)[:, None] for x, _ in sides]
    good = np.isfinite(values[0] + values[1])[:, 0]
    if not good.all() or rows < _FEW:
        return
    centre = np.mean(values)
    terms = [(f - centre) * scores for f, (_, scores) in zip(values, sides, strict=True)]
    alone = _left(terms[0], sides[0][1])
    paired = _left((terms[0] + terms[1]) / 2, (sides[0][1] + sides[1][1]) / 2) * 2
    ratios = np.divide(paired, alone, out=np.ones_like(alone), where=alone > 0)
    gain = _gain(ratios)
    if gain < _WORTH:
        return
    worse = int((ratios > _WORTH).sum())
    hurts = f", but {ratios.max():.2g} times as large for {worse} entries" if worse else ""
    yield Finding(
        "antithetic", "note",
        f"use sampling='antithetic': for as many evaluations of f the variance would be "
        f"{_part(gain)} (mean over entries){hurts}", {"gain": gain, "ratios": ratios},
    )  # fmt: skip


def _matrix(case: Case) -> Iterator[Finding]:
    """Would a regression on all entries of the score do?"""
    f, scores = case.f, case.scores
    n, entries = min(len(f), _ROWS), scores.shape[1]
    if not 1 < entries <= min(_ENTRIES, n // _PER_ENTRY):
        return
    f, scores = f[:n], scores[:n]
    terms = (f - f.mean())[:, None] * scores
    # By normal equations, of which there are few; collinear entries do no harm.
    squares, products = (
        np.einsum("np,nq->pq", scores, of, optimize=True) for of in (scores, terms)
    )
    fitted = scores @ (np.linalg.pinv(squares, hermitian=True) @ products)
    left = (terms - fitted).var(axis=0) * n / (n - entries)
    alone = _left(terms, scores)
    ratios = np.divide(left, alone, out=np.ones_like(alone), where=alone > 0)
    gain = _gain(ratios)
    if gain < _WORTH:
        return
    yield Finding(
        "matrix baseline", "note",
        f"use baseline='matrix': regressed on all {entries} entries of the score the variance "
        f"would be {_part(gain)} (mean over entries)", {"gain": gain, "ratios": ratios},
    )  # fmt: skip


def _left(terms: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Variances that the optimal baseline of each entry leaves."""
    squares = np.einsum("np,np->p", scores, scores)
    products = np.einsum("np,np->p", terms, scores)
    slope = np.divide(products, squares, out=np.zeros_like(squares), where=squares > 0)
    return (terms - slope * scores).var(axis=0)


def _gain(ratios: np.ndarray) -> float:
    """By how much variances of all entries fall, on the mean: of those that rise each counts."""
    mean = float(np.mean(ratios))
    return 1 / mean if mean > 0 else np.inf


def _part(gain: float) -> str:
    """A part of a variance."""
    if gain > _NOTHING:
        return "next to nothing"
    return f"1/{gain:.0f}" if gain >= 3 else f"{1 / gain:.0%} of what it is"


__all__ = ["Case", "alternatives"]
