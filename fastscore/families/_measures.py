"""Measure-valued derivatives of families: ``∂p/∂θ = c (p⁺ − p⁻)`` of a coordinate.

Of each parameter a `Rule` says what other value of x has the distribution p⁺ or p⁻ where x itself
has the other; its coefficient is c, negative where the other value has p⁻.  See `engine.measures`
for what there is.  Tiles are those of the `source`: of a log-normal variable its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore.engine import measures as kinds
from fastscore.families._family import Family


@dataclass(frozen=True)
class Rule:
    """Of a parameter of each coordinate; numbers, or arrays of one for each.

    Attributes
    ----------
    kind, law : int
        What the other value is, and of what moves outwards the law.
    coefficient : array_like
        c.
    loc, scale, shape : array_like
        What the kind reads.
    """

    kind: int = kinds.NONE
    coefficient: Any = 0.0
    loc: Any = 0.0
    scale: Any = 1.0
    shape: Any = 0.0
    law: int = kinds.NORMAL


@dataclass(frozen=True)
class Measures:
    """The rules of natural score columns.

    Attributes
    ----------
    owners, kind, law : ndarray of int64, of shape (C,)
        The coordinate of each column, and what its rule is.
    numbers : ndarray of shape (C, 4)
        Coefficient, loc, scale and shape.
    """

    owners: np.ndarray
    kind: np.ndarray
    law: np.ndarray
    numbers: np.ndarray


NO_RULE = Rule()


def _of_location_and_scale(p: Any, law: int, height: Any, shape: Any = 0.0) -> list[Rule]:
    """Of a unimodal density, which is ``height`` at z = 0."""
    scale, unit = p._scale
    loc = p.centre
    return [
        Rule(kinds.ASIDE, height / scale, loc, scale, shape, law),
        Rule(kinds.OUTWARD, unit, loc, scale, shape, law),
    ]


def _normal(p: Any) -> list[Rule]:
    return _of_location_and_scale(p, kinds.NORMAL, 1 / math.sqrt(2 * math.pi))


def _half_normal(p: Any) -> list[Rule]:
    scale, unit = p._scale
    return [Rule(kinds.OUTWARD, unit, 0.0, scale)]


def _laplace(p: Any) -> list[Rule]:
    """To both sides of loc as far as x, which is one of them."""
    _, of_scale = _of_location_and_scale(p, kinds.LAPLACE, 0.5)
    return [Rule(kinds.MIRROR, 0.5 / p._scale.value, p._loc), of_scale]


def _logistic(p: Any) -> list[Rule]:
    return _of_location_and_scale(p, kinds.LOGISTIC, 0.25)


def _cauchy(p: Any) -> list[Rule]:
    return _of_location_and_scale(p, kinds.STUDENT, 1 / math.pi, 1.0)


def _student(p: Any) -> list[Rule]:
    from scipy.special import gammaln

    df = p._df.value
    height = np.exp(gammaln((df + 1) / 2) - gammaln(df / 2)) / np.sqrt(np.pi * df)
    return [NO_RULE, *_of_location_and_scale(p, kinds.STUDENT, height, df)]


def _gumbel(p: Any) -> list[Rule]:
    """``exp(−z)`` is exponential, of a rate that grows with loc."""
    scale = p._scale.value
    return [Rule(kinds.LOG_MORE, -1 / scale, p._loc, scale), NO_RULE]


def _more(rate: Any, events: Any = 1.0) -> Rule:
    """Of the rate of a wait for so many events: one event more."""
    value, unit = rate
    return Rule(kinds.MORE, -events * unit, scale=1 / value)


def _exponential(p: Any) -> list[Rule]:
    return [_more(p._rate)]


def _gamma(p: Any) -> list[Rule]:
    return [NO_RULE, _more(p._rate, p._concentration.value)]


def _log_gamma(p: Any) -> list[Rule]:
    rate, unit = p._rate
    return [NO_RULE, Rule(kinds.LOG_MORE, -p._concentration.value * unit, -np.log(rate), -1.0)]


def _inverse_gamma(p: Any) -> list[Rule]:
    rate, unit = p._rate
    return [NO_RULE, Rule(kinds.INVERSE_MORE, -p._concentration.value * unit, scale=1 / rate)]


def _hazard(p: Any) -> list[Rule]:
    """``x^k`` is exponential, of rate ``scale^−k``; drawn is v, its ratio to the mean."""
    return [Rule(kinds.MORE, p._concentration.value * p._scale.unit), NO_RULE]


def _log_pareto(p: Any) -> list[Rule]:
    return [_more(p._alpha)]


def _log_kumaraswamy(p: Any) -> list[Rule]:
    return [NO_RULE, _more(p._zero)]


def _poisson(p: Any) -> list[Rule]:
    rate, unit = p._rate
    return [Rule(kinds.NEXT, rate * unit)]


def _geometric(p: Any) -> list[Rule]:
    return [Rule(kinds.LATER, -p._q * p._unit, scale=-1 / p._log_q)]


def _negative_binomial(p: Any) -> list[Rule]:
    """One failure more, and a success."""
    return [NO_RULE, Rule(kinds.LATER, p._count.value * p._p * p._unit, scale=-1 / p._log_p)]


def _bernoulli(p: Any) -> list[Rule]:
    return [Rule(kinds.FLIP, p._p * p._q * p._unit)]


def _binomial(p: Any) -> list[Rule]:
    """A success more or none of one of the trials: x has the one or the other."""
    return [Rule(kinds.TRIAL, p.variance * p._unit, shape=p._trials)]


#: By name: a program that needs few families imports no others.
_RULES: dict[str, Callable[[Any], list[Rule]]] = {
    "Bernoulli": _bernoulli, "Binomial": _binomial, "Cauchy": _cauchy,
    "Exponential": _exponential, "Gamma": _gamma, "Geometric": _geometric, "Gumbel": _gumbel,
    "HalfNormal": _half_normal, "Hazard": _hazard, "InverseGamma": _inverse_gamma,
    "Laplace": _laplace, "LogGamma": _log_gamma, "LogKumaraswamy": _log_kumaraswamy,
    "LogPareto": _log_pareto, "Logistic": _logistic, "NegativeBinomial": _negative_binomial,
    "Normal": _normal, "Poisson": _poisson, "StudentT": _student,
}  # fmt: skip


def measures_of(p: Any) -> Measures:
    """The rules of a family's tiles; of those that are not here, or of dependent ones, none.

    A subclass has another distribution than its base, so that types must be the same.
    """
    name = name_of(p)
    if name == "Shared":
        return measures_of(p.inner)
    if name == "Joint":
        return _side_by_side(p)
    if name == "Categorical":
        return _categorical(p)
    if name in _RULES:
        return _packed(np.tile(np.arange(p.d), len(p.index) // p.d), p.d, _RULES[name](p))
    return _packed(np.zeros(p.index.size, np.int64), p.index.size, [NO_RULE])


def name_of(p: Family) -> str:
    """What the package calls a family of its own, and no other."""
    return type(p).__name__ if type(p).__module__.startswith("fastscore.families.") else ""


def _packed(owners: np.ndarray, count: int, rules: list[Rule]) -> Measures:
    """Rules of so many columns each."""
    numbers = [
        np.broadcast_to(number, count)
        for rule in rules
        for number in (rule.coefficient, rule.loc, rule.scale, rule.shape)
    ]
    return Measures(
        owners, np.repeat([rule.kind for rule in rules], count),
        np.repeat([rule.law for rule in rules], count),
        np.reshape(numbers, (len(rules), kinds.NUMBERS, count)).swapaxes(1, 2).reshape(-1, 4),
    )  # fmt: skip


def _categorical(p: Any) -> Measures:
    """``∂p/∂log weight = p_k (δ_k − p)`` by each class k."""
    ((name, given),) = p.parameters.items()
    probs = p._probs.ravel()
    by = probs if name == "logits" else probs / given.ravel()
    classes = np.tile(np.arange(p.classes), p.d)
    return _packed(p.owners, probs.size, [Rule(kinds.CLASS, by, shape=classes)])


def _side_by_side(p: Any) -> Measures:
    parts = [measures_of(part) for part in p._parts.values()]
    firsts = np.cumsum([0, *(part.d for part in p._parts.values())])
    return Measures(
        np.concatenate([first + part.owners for first, part in zip(firsts, parts, strict=False)]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.law for part in parts]),
        np.concatenate([part.numbers for part in parts]),
    )


__all__ = ["Measures", "Rule", "measures_of", "name_of"]
