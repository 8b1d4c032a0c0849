"""Which options do not go together, and what to do instead."""

from __future__ import annotations

from types import NoneType
from typing import Any

from fastscore.importance.proposals import Proposals
from fastscore.integrand import Integrand
from fastscore.variance.estimators import Estimator, InPlace, Pathwise, Score
from fastscore.variance.sampling import (
    Antithetic,
    Counts,
    Independent,
    Orthogonal,
    Sampling,
    Sobol,
    Stratified,
    WithoutReplacement,
)


def check_sampling(sampling: Sampling, estimator: Estimator, integrand: Integrand) -> None:
    """Refuse what does not go with samples that depend on each other."""
    counted = isinstance(sampling, Counts) and not isinstance(estimator, InPlace)
    if isinstance(sampling, Independent) or counted:
        return
    pathwise = isinstance(estimator, Pathwise) and not isinstance(
        sampling, (Counts, WithoutReplacement)
    )
    if not isinstance(estimator, Score) and not pathwise:
        raise ValueError(
            f"estimator={estimator!r} takes no sampling={sampling.word!r}: leave it out"
        )
    if integrand.nonfinite == "omit":
        raise ValueError(
            f"nonfinite='omit' does not go with sampling={sampling.word!r}, whose samples make up "
            "for each other: let f return what such samples are to count, or take 'raise'"
        )


def check_in_place(estimator: InPlace, integrand: Integrand, baseline: Any) -> None:
    """Refuse what does not go with terms in place of ``f s``."""
    name = f"estimator={estimator.word!r}"
    if isinstance(estimator, Pathwise) and integrand.derivative is None:
        raise ValueError(
            f"{name} needs the derivative of f: fs.Integrand(f, derivative=…), or "
            "derivative='complex step' where f is smooth"
        )
    if baseline not in ("optimal", "matrix", None):
        raise ValueError(
            f"baseline={baseline!r}: {name} has no f to subtract it from, only scores to regress "
            "on; take 'optimal', 'matrix' or None"
        )
    for option in ("depends", "conditional", "shaping"):
        if getattr(integrand, option) is not None:
            raise ValueError(
                f"{option} is about what multiplies scores, and {name} multiplies none: leave one "
                "of them out"
            )
    if integrand.nonfinite == "omit":
        raise ValueError(
            f"nonfinite='omit' does not go with {name}: let f return what such samples are to "
            "count, or take 'raise'"
        )


def check_controls(
    controls: tuple[Any, ...], integrand: Integrand, baseline: Any, sampling: Sampling,
    estimator: Estimator, sources: Proposals | None,
) -> Any:  # fmt: skip
    """Refuse what does not go with control variates; the baseline that they ask for."""
    for name, value, kinds in (
        ("sampling", sampling, (Independent, Antithetic, Orthogonal, Stratified, Sobol)),
        ("estimator", estimator, (Score, Pathwise)),
    ):  # fmt: skip
        if not isinstance(value, kinds):
            raise ValueError(f"control_variates do not go with {name}={value!r}: leave one out")
    if integrand.nonfinite == "omit":
        raise ValueError(
            "nonfinite='omit' does not go with control variates, whose means are not those given "
            "a finite f: let f return what such samples are to count, or take 'raise'"
        )
    if integrand.shaping is not None:
        raise ValueError(
            f"control_variates do not go with shaping={integrand.shaping!r}: leave one out"
        )
    if sources is not None and sources.self_normalized:
        raise ValueError("control_variates do not go with self_normalized=True: leave one out")
    if integrand.weighs is not None:
        raise ValueError(
            f"control_variates do not go with {integrand.weighs}, which puts values of its own in "
            "place of f: leave one out"
        )
    words = [control for control in controls if isinstance(control, str)]
    if (words or baseline == "matrix") and any(
        not isinstance(control, str) and control.scored for control in controls
    ):
        other = repr(words[0]) if words else "baseline='matrix'"
        raise ValueError(
            f"control_variates: {other} regresses all entries on the same controls, and one whose "
            "gradient is known is another for each entry: leave one out"
        )
    if not words:
        return baseline
    if baseline not in ("optimal", "matrix"):
        raise ValueError(
            f"baseline={baseline!r} would be ignored: the control variate 'score' regresses on "
            "the whole score, as baseline='matrix' does"
        )
    return "matrix"


def check_proposals(
    proposals: Proposals,
    integrand: Integrand,
    baseline: Any,
    *,
    sampling: Sampling,
    estimator: Estimator,
) -> None:
    """Refuse what does not go with proposals."""
    for name, value, other in (
        ("sampling", sampling, Independent), ("estimator", estimator, Score),
    ):  # fmt: skip
        if not isinstance(value, other):
            raise ValueError(f"{name}={value!r} takes no proposals: leave one of them out")
    if integrand.nonfinite == "omit":
        raise ValueError(
            "nonfinite='omit' does not go with proposals, under whose weights it would have no "
            "meaning: let f return what such samples are to count, or take 'raise'"
        )
    if baseline == "matrix" and (proposals.controls or proposals.self_normalized):
        raise ValueError(
            "baseline='matrix' goes neither with control variates of proposals nor with "
            "self_normalized: take 'optimal'"
        )


def check_shaping(shaping: str, **options: Any) -> None:
    """Refuse what has no ranks among independent samples of p."""
    for name, value in options.items():
        if not isinstance(value, (NoneType, Independent, Score)):
            raise ValueError(
                f"shaping={shaping!r} ranks f among independent samples of p, which "
                f"{name}={value!r} does not draw: leave one of them out"
            )


def check_exact(integrand: Integrand, *, n: Any, rng: Any, sampling: Sampling) -> None:
    """Refuse what an exact sum would ignore."""
    for name, value in (("n", n), ("rng", rng)):
        if value is not None:
            raise ValueError(
                f"{name}={value!r}: estimator='exact' draws no samples, leave {name} out"
            )
    if not isinstance(sampling, Independent):
        raise ValueError(
            f"sampling={sampling.word!r}: estimator='exact' draws no samples, leave it out"
        )
    if integrand.nonfinite == "omit":
        raise ValueError(
            "nonfinite='omit' would make an exact sum one of another expectation: let f return "
            "what such outcomes are to count, or sample"
        )


__all__ = [
    "check_controls",
    "check_exact",
    "check_in_place",
    "check_proposals",
    "check_sampling",
    "check_shaping",
]
