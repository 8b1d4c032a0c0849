"""``fs.audit(f, p)``: is the score-function gradient right here, and what would do better?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastscore.audit.alternatives import Case, alternatives
from fastscore.audit.baselines import check_baselines
from fastscore.audit.differences import check_differences, check_direct, check_support
from fastscore.audit.findings import Audit, Finding
from fastscore.audit.moves import moves
from fastscore.audit.paths import check_path
from fastscore.audit.purity import check_deterministic, check_finite
from fastscore.audit.scores import check_scores
from fastscore.audit.sizes import sizes
from fastscore.audit.smoothness import check_smooth
from fastscore.audit.subject import Subject
from fastscore.audit.tails import check_tails
from fastscore.checks import count
from fastscore.engine.streams import seed_of
from fastscore.estimate import Estimate
from fastscore.families import Family
from fastscore.families._moving import reason
from fastscore.gradient import checked, names_of
from fastscore.integrand import Integrand

#: Parts of the time: for the estimate, for moves of the parameters, for segments.
_ESTIMATE, _MOVES, _SEGMENTS = 0.25, 0.5, 0.1
_LEAST = 200


def audit(
    f: Callable[..., Any] | Integrand,
    p: Family,
    *,
    args: tuple[Any, ...] = (),
    wrt: str | Iterable[str] | None = None,
    n: int | None = None,
    rng: Any = None,
    threads: int | None = None,
) -> Audit:
    """Look for what may be wrong with a score-function gradient, and for what would do better.

    ``print(fs.audit(f, p))`` prints a page.

    Parameters
    ----------
    f, p, args, wrt
        As of `gradient`.  What f raises, or returns that is not finite, is reported.
    n : int, optional
        Samples of the estimate, 200 at least, and for each check at most; by default as many as
        about a second is enough for.  Given, findings depend on ``rng`` alone, but for times.
    rng : None, int, Generator, BitGenerator or SeedSequence
        Source of randomness (SPEC 7).
    threads : int, optional
        As of `gradient`.

    Returns
    -------
    Audit
        Whose ``findings`` are: that the score has mean 0, and is the derivative of ``log_prob``;
        that the estimate agrees with differences under common random numbers [1]_; that the
        support stays; that ``f s`` has a variance, by the tail index [2]_; that f is finite, the
        same when asked again, and where it jumps; what baselines, other samplings and estimators
        do to the variance; and how many samples wanted errors take.

    Raises
    ------
    TypeError, ValueError
        For bad input, naming the argument.

    Notes
    -----
    Tests are at a level of 1e-6 for each kind.  That nothing is found proves nothing: samples may
    have missed it.

    References
    ----------
    .. [1] P. Glasserman and D. D. Yao, Some guidelines and guarantees for common random numbers,
       Management Science 38 (1992).
    .. [2] A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry, Pareto smoothed importance
       sampling, JMLR 25 (2024).
    """
    start = time.perf_counter()
    n = None if n is None else count("n", n)
    if n is not None and n < _LEAST:
        raise ValueError(f"n={n}: so few samples tell nothing, give {_LEAST} at least")
    threads = None if threads is None else count("threads", threads)
    seed = seed_of(rng)
    title = _title(f, p)

    def made(found: Iterable[Finding], size: int = 0, subject: Any = None, **more: Any) -> Audit:
        calls = 0 if subject is None else subject.evaluations
        return Audit(title, size, calls, time.perf_counter() - start, tuple(found), **more)

    unmoved = _moving(p, wrt)
    if unmoved is not None:
        return made([Finding("support", "failure", unmoved)])
    integrand, args = checked(f, p, args)
    if integrand.shaping is not None:
        raise ValueError(
            f"shaping={integrand.shaping!r} makes a gradient of another objective than E[f], which "
            "is what audit compares with: leave it out"
        )
    integrand.resolve(args)
    subject = Subject(integrand, p.whole, args, names_of(wrt, p), seed, threads, n is None)
    checks: list[Finding] = []
    try:
        size = n or int(np.clip(subject.affordable(_ESTIMATE), _LEAST, subject.most))
        estimate, seconds, more = _look(subject, size, checks)
    except Exception as error:  # of f, wherever it is called
        checks.append(_raised(error))
        return made(checks, 0, subject)
    if estimate is None:
        return made(checks, 0, subject)
    return made(checks, size, subject, advice=more, sizes=sizes(estimate, seconds / size))


def _look(
    subject: Subject, size: int, checks: list[Finding]
) -> tuple[Estimate | None, float, tuple[Finding, ...]]:
    """Fill in the checks; the estimate, if any could be made, its time, and advice."""
    x, scores = subject.sample(min(size, subject.most))
    values = subject.values(x)
    good = np.isfinite(values)
    pure = check_deterministic(subject, x, values)
    checks += [check_finite(subject, x, values), pure, check_scores(subject, x, scores)]
    if good.sum() < 2 or pure.level != "ok":
        return None, 0.0, ()
    tails = check_tails(subject, values, scores)
    moved = moves(subject, _MOVES, len(x))
    checks += [check_support(subject, moved), check_differences(subject, moved)]
    checks += [*check_direct(subject), tails]
    smooth = check_smooth(subject, x, values, _SEGMENTS)
    estimate = subject.estimate(size)
    seconds = estimate.seconds
    if seconds > 2 * size * subject.cost:  # kernels were compiled, or loaded
        seconds = min(seconds, subject.estimate(size).seconds)
    checks += [smooth, *check_path(subject, estimate), check_baselines(subject, estimate)]
    # Other terms than f s are not those that alternatives are compared with.
    plain = subject.integrand.weighs is None and subject.integrand.direct is None
    case = Case(
        subject, values[good], scores[good], moved, smooth=smooth.level == "ok",
        measured=plain and tails.level in ("ok", "note"),
    )  # fmt: skip
    return estimate, seconds, alternatives(case)


def _title(f: Any, p: Any) -> str:
    function = f.f if isinstance(f, Integrand) else f
    name = getattr(function, "__name__", type(function).__name__)
    return f"{name}(x), x ~ {p!r}"


def _moving(p: Any, wrt: Any) -> str | None:
    """Why there is no derivative at all by what was asked for, if its support moves."""
    if not isinstance(p, Family):
        return None
    if not p.parameters and p.moving and wrt is None:
        return reason(p, p.moving[0])
    names = (wrt,) if isinstance(wrt, str) else tuple(wrt or ())
    told: Iterator[str | None] = (reason(p, name) for name in names if isinstance(name, str))
    return next((why for why in told if why is not None), None)


def _raised(error: Exception) -> Finding:
    notes = "; ".join(getattr(error, "__notes__", ()))
    first = str(error).strip().split("\n")[0]
    return Finding(
        "runs", "failure",
        f"f raises {type(error).__name__}: {first}" + (f" ({notes})" if notes else ""),
        {"type": type(error).__name__},
    )  # fmt: skip


__all__ = ["Audit", "Finding", "audit"]
