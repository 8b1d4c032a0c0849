"""Which combinations of estimator, sampling, baseline and control variates may compete.

Those of which every estimate is unbiased whatever f is.  What the structure of f and p rules out is
left out before anything is compiled or drawn, with the reason; what a run refuses, it says itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from fastscore.engine.enumeration import MOST_OUTCOMES
from fastscore.engine.sobol import MOST_COORDINATES
from fastscore.estimate import entries_of
from fastscore.families import Family
from fastscore.integrand import Integrand
from fastscore.plan import Plan
from fastscore.variance.delta_method import DeltaMethod
from fastscore.variance.estimators import Enumerate, Estimator
from fastscore.variance.measures import required
from fastscore.variance.patterns import MOST_ORTHOGONAL
from fastscore.variance.sampling import Sampling, WithoutReplacement

#: Up to here all entries of the score are regressed on: O(P²) per sample.
_MOST_REGRESSED = 64
#: Coordinates up to which differences for `DeltaMethod` are worth their evaluations.
_MOST_DIFFERENCED = 8
#: Values of coordinates that are summed out, and evaluations of f for each sample.
_MOST_SWEPT = 32
#: Outcomes up to which a set is a part of them that counts.
_MOST_IN_SETS = 2**10
#: Outcomes of a set without replacement, and most probable ones summed.
_SET, _TOP = 4, 16

_BASELINES = (None, "mean", "scalar", "optimal")


@dataclass(frozen=True)
class Combination:
    """Keywords of `gradient` that say how it estimates; its defaults by default."""

    estimator: str | Estimator = "score"
    sampling: str | Sampling = "iid"
    baseline: str | float | None = "optimal"
    control_variates: Any = None

    @property
    def options(self) -> dict[str, Any]:
        """Those that are not the defaults."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            field.name: own[field.name] for field in fields(self)
            if own[field.name] is not field.default and own[field.name] != field.default
        }  # fmt: skip

    @property
    def exact(self) -> bool:
        """Whether nothing is sampled."""
        return self.estimator == "exact"

    @property
    def scored(self) -> bool:
        """Whether f multiplies scores, so that baselines of one run are to be had for nothing."""
        return self.estimator == "score" and self.control_variates is None

    @property
    def pathwise(self) -> bool:
        """Whether it rests on a derivative that users gave."""
        return self.estimator == "pathwise"

    def __str__(self) -> str:
        parts = [_word(self.estimator), _word(self.sampling)]
        if not self.exact:
            parts.append(f"baseline {self.baseline!r}")
        if self.control_variates is not None:
            controls = self.control_variates
            listed = controls if isinstance(controls, (list, tuple)) else [controls]
            parts.append("controls " + ", ".join(map(_word, listed)))
        return parts[0] if self.exact else ", ".join(parts)


def _word(value: Any) -> str:
    """A short name of an option's value."""
    if isinstance(value, str):
        return value
    if isinstance(value, DeltaMethod):
        return "DeltaMethod"
    if isinstance(value, Enumerate):
        return "Enumerate(coordinates)" if value.top is None else f"Enumerate(top={value.top})"
    return repr(value) if len(repr(value)) <= 40 else type(value).__name__


@dataclass(frozen=True)
class Field:
    """What competes, the default first and then in order of promise; why others do not."""

    combinations: tuple[Combination, ...]
    refused: dict[str, str]

    @property
    def few(self) -> tuple[Combination, ...]:
        """Where there are Sobol' points, without what they replace.

        That is Latin hypercubes, which are dearer strata, and independent samples under a Taylor
        polynomial.
        """
        first, *others = self.combinations
        if not any(one.sampling == "sobol" for one in others):
            return self.combinations
        return first, *(
            one for one in others
            if one.sampling != "stratified"
            and (one.control_variates is None or one.sampling == "sobol" or first.options)
        )  # fmt: skip


def competitors(integrand: Integrand, p: Family, args: tuple[Any, ...], fixed: Combination,
                most_outcomes: int, wrt: tuple[str, ...] | None = None) -> Field:  # fmt: skip
    """What may compete for a gradient.

    Parameters
    ----------
    integrand, p, args
        f, its distribution and its arguments.
    fixed : Combination
        What the user chose: options that are not the default stay as they are.
    most_outcomes : int
        Outcomes up to which all are summed.
    wrt : tuple of str, optional
        Parameters; all by default.
    """
    if integrand.shaping is not None:
        raise ValueError(
            f"shaping={integrand.shaping!r} makes another objective of f, whose estimates are "
            "biased for this one: there is nothing to compare"
        )
    refused: dict[str, str] = {}
    free = fixed.options.keys()
    samplings = (
        [fixed.sampling] if "sampling" in free else ["iid", *_samplings(integrand, p, refused)]
    )
    found = [replace(fixed, sampling=sampling) for sampling in samplings]
    found += _pathwise(integrand, p, fixed, samplings, refused)
    found += _differences(integrand, p, fixed, tuple(p.parameters) if wrt is None else wrt, refused)
    found += _discrete(integrand, p, args, fixed, most_outcomes, refused)
    found += _regressed(p, fixed, found, refused)
    found += _controlled(integrand, p, fixed, samplings)
    first, *others = found
    return Field((first, *sorted(others, key=_promise)), refused)


def with_baselines(combination: Combination) -> Iterator[Combination]:
    """Those which the samples of one run serve besides its own, if its baseline is the default."""
    if combination.scored and combination.baseline == "optimal":
        for baseline in _BASELINES[:-1]:
            yield replace(combination, baseline=baseline)


def _promise(combination: Combination) -> int:
    """Rank of those which gain most, as a rule, for what they cost to try."""
    if combination.exact:
        return 0
    slow = combination.baseline == "matrix" or combination.control_variates is not None
    plain = ("score", "pathwise")
    sampling = _word(combination.sampling)
    order = ["sobol", "iid", "antithetic"] if combination.pathwise else ["sobol", "antithetic"]
    first = order.index(sampling) if sampling in order else len(order)
    return 1 + first + 3 * (combination.estimator not in plain) + 8 * slow


def _samplings(integrand: Integrand, p: Family, refused: dict[str, str]) -> Iterator[str]:
    """Ways to draw dependent samples that go with p."""
    source = p.source.family
    if integrand.weighs is not None or integrand.nonfinite == "omit":
        refused["dependent samples"] = (
            "nonfinite='omit'" if integrand.weighs is None else str(integrand.weighs)
        )
        return
    words = source.words
    if words is None or words > MOST_COORDINATES:
        refused["sobol, stratified"] = f"{type(p).__name__} inverts no uniform for each value"
    else:
        yield "sobol"
        yield "stratified"
    if source.centre is None:
        refused["antithetic"] = f"{type(p).__name__} is not symmetric"
    else:
        yield "antithetic"
    if source.spread is None or not 1 < source.d <= MOST_ORTHOGONAL:
        refused["orthogonal"] = f"p is not 2 to {MOST_ORTHOGONAL} independent Gaussian coordinates"
    else:
        yield "orthogonal"


def _pathwise(
    integrand: Integrand, p: Family, fixed: Combination, samplings: list[Any],
    refused: dict[str, str],
) -> Iterator[Combination]:  # fmt: skip
    """The pathwise estimator, by each way to sample."""
    if not _takes_terms(integrand, fixed):
        return
    if integrand.derivative is None:
        refused["pathwise"] = "the derivative of f is not given"
        return
    try:
        assert p.path is not None
    except ValueError:
        refused["pathwise"] = f"samples of {type(p).__name__} do not move with its parameters"
        return
    for sampling in samplings:
        yield replace(fixed, estimator="pathwise", sampling=sampling)


def _differences(
    integrand: Integrand, p: Family, fixed: Combination, wrt: tuple[str, ...],
    refused: dict[str, str],
) -> Iterator[Combination]:  # fmt: skip
    """Estimators by differences of f."""
    if not _takes_terms(integrand, fixed) or "sampling" in fixed.options:
        return
    try:
        required(p, p.source.family, entries_of(p, wrt))
    except ValueError as error:
        refused["measure"] = str(error)
    else:
        yield replace(fixed, estimator="measure")
    if type(p).__name__ == "Bernoulli":
        for word in ("disarm", "arm"):
            yield replace(fixed, estimator=word)


def _takes_terms(integrand: Integrand, fixed: Combination) -> bool:
    """Whether terms may stand in place of ``f s``."""
    free = fixed.baseline in ("optimal", "matrix", None) and fixed.control_variates is None
    return free and integrand.weighs is None and integrand.nonfinite != "omit"


def _discrete(
    integrand: Integrand, p: Family, args: tuple[Any, ...], fixed: Combination, most: int,
    refused: dict[str, str],
) -> Iterator[Combination]:  # fmt: skip
    """What takes the outcomes of p one by one."""
    if p.dtype is not np.int64 or integrand.nonfinite == "omit" or integrand.weighs is not None:
        if p.dtype is not np.int64:
            refused["exact, Enumerate, WithoutReplacement"] = "p is not discrete"
        return
    if fixed.options:
        return
    outcomes = 0
    try:
        outcomes = len(p.support(min(2 * most, MOST_OUTCOMES)))
    except ValueError as error:
        refused["exact, WithoutReplacement"] = str(error)
    if outcomes and integrand.direct is not None:
        refused["exact, WithoutReplacement"] = "f has a direct term"
    elif outcomes:
        if outcomes <= most:
            yield replace(fixed, estimator="exact")
        else:
            refused["exact"] = f"{outcomes:,} outcomes are more evaluations than samples"
        if 2 * _SET < outcomes <= _MOST_IN_SETS:
            yield replace(fixed, sampling=WithoutReplacement(_SET))
        if outcomes > 2 * _TOP:
            yield replace(fixed, estimator=Enumerate(top=_TOP))
    if p.d == 1 and outcomes:
        return  # summed out, it would be the exact sum
    sweep = Enumerate(coordinates=tuple(range(p.d)))
    try:
        plan = Plan(integrand, p, args, 1, 0, None, estimator=sweep)
        values = sum(len(one.values) for one in plan._enumerated)
    except ValueError as error:
        refused["Enumerate(coordinates)"] = str(error)
        return
    if values > _MOST_SWEPT:
        refused["Enumerate(coordinates)"] = f"{values} values take as many evaluations a sample"
        return
    yield replace(fixed, estimator=sweep)


def _regressed(
    p: Family, fixed: Combination, found: list[Combination], refused: dict[str, str]
) -> list[Combination]:
    """Those with all entries of the score as regressors, which the control "score" is, too."""
    if "baseline" in fixed.options or "control_variates" in fixed.options:
        return []
    if not 1 < p.size <= _MOST_REGRESSED:
        refused["baseline 'matrix'"] = f"it takes P² sums, and P = {p.size}"
        return []
    plain = ("iid", "antithetic", "stratified", "orthogonal")
    return [
        replace(one, baseline="matrix") for one in found
        if one.estimator in ("score", "pathwise") and _word(one.sampling) in plain
    ]  # fmt: skip


def _controlled(
    integrand: Integrand, p: Family, fixed: Combination, samplings: list[Any]
) -> list[Combination]:
    """The Taylor polynomial of few Gaussians."""
    from fastscore.families import LowRankMultivariateNormal, MultivariateNormal, Normal

    gaussian = isinstance(p, (Normal, MultivariateNormal, LowRankMultivariateNormal))
    if fixed.options.keys() - {"sampling"} or not gaussian:
        return []
    if p.d > _MOST_DIFFERENCED or integrand.nonfinite == "omit" or integrand.weighs is not None:
        return []
    return [
        replace(fixed, sampling=sampling, control_variates=DeltaMethod())
        for sampling in samplings if _word(sampling) in ("iid", "sobol")
    ]  # fmt: skip


__all__ = ["Combination", "Field", "competitors", "with_baselines"]
