"""What a parameter may be given as: by its natural value, or by an unconstrained one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastscore import checks

#: Of a smaller probability the square of the score, its inverse, would overflow.
FAINTEST = 1e-150
_LARGEST_LOG = 700


@dataclass(frozen=True)
class Given:
    """A parameter as the user gave it.

    Attributes
    ----------
    name : str
        Of the parameter that was given, such as ``scale`` or ``log_scale``.
    value : array_like
        Its value.
    check : callable
        Checks the value, an array.
    natural : callable
        From arrays of the values to those of the natural parameter.
    unit : callable
        From arrays of natural values v to ``∂ log v/∂ given``, or for probabilities
        ``∂ logit v/∂ given``; of unconstrained parameters it is 1.
    """

    name: str
    value: Any
    check: Callable[[str, np.ndarray], None]
    natural: Callable[[np.ndarray], np.ndarray]
    unit: Callable[[np.ndarray], np.ndarray]


class Spread(NamedTuple):
    """A parameter, one value per coordinate."""

    #: Natural values, (d,).
    value: np.ndarray
    #: ``∂ log value/∂ given`` (of probabilities: of the logit), (d,).
    unit: np.ndarray


def real(name: str, value: Any) -> Given:
    """Any real number."""
    return Given(name, value, _check_nothing, _same, np.ones_like)


def positive(owner: str, name: str, value: Any, log_value: Any) -> Given:
    """A positive number, or its logarithm under the name ``log_…``."""
    chosen, given = checks.exactly_one(owner, **{name: value, f"log_{name}": log_value})
    if chosen == name:
        return Given(chosen, given, _check_positive, _same, lambda v: 1 / v)
    return Given(chosen, given, _check_log, np.exp, np.ones_like)


def probability(
    owner: str, probs: Any, logits: Any, names: tuple[str, str] = ("probs", "logits")
) -> Given:
    """A probability, or its log-odds."""
    from scipy.special import expit

    chosen, given = checks.exactly_one(owner, **dict(zip(names, (probs, logits), strict=True)))
    if chosen == names[0]:
        return Given(chosen, given, _check_probability, _same, lambda p: 1 / (p * (1 - p)))
    return Given(chosen, given, _check_nothing, expit, np.ones_like)


def _same(value: np.ndarray) -> np.ndarray:
    return value


def _check_nothing(name: str, given: np.ndarray) -> None:
    """It is finite, as all parameters are."""


def _check_positive(name: str, given: np.ndarray) -> None:
    checks.require(name, given, given > 0, "positive")


def _check_log(name: str, given: np.ndarray) -> None:
    within = np.abs(given) < _LARGEST_LOG
    checks.require(name, given, within, f"between -{_LARGEST_LOG} and {_LARGEST_LOG}")


def _check_probability(name: str, given: np.ndarray) -> None:
    checks.require(name, given, (given >= 0) & (given <= 1), "between 0 and 1")
