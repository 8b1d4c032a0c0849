"""Gradients of expectations from samples, by the score function, at the speed of C.

>>> import fastscore as fs
>>> p = fs.Normal(loc=[0.0, 1.0], scale=1.0)
>>> est = fs.gradient(lambda x: (x**2).sum(axis=1), p, n=100_000, rng=0)
>>> print(est)  # doctest: +SKIP
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from fastscore import families
from fastscore.adaptive import amis, cross_entropy, pmc
from fastscore.audit import Audit, Finding, audit
from fastscore.choice.compare import Comparison, compare
from fastscore.engine.utilities import utilities
from fastscore.estimate import Estimate
from fastscore.gradient import Interrupted, gradient
from fastscore.importance.proposals import Proposals
from fastscore.integrand import Integrand
from fastscore.reservoir import Reservoir
from fastscore.variance.control_variates import ControlVariate
from fastscore.variance.delta_method import DeltaMethod
from fastscore.variance.estimators import Enumerate
from fastscore.variance.sampling import Sobol, Stratified, WithoutReplacement

if TYPE_CHECKING:
    from fastscore import draw
    from fastscore.families import *  # noqa: F403

try:
    __version__ = version("fastscore")
except PackageNotFoundError:  # a source tree on the path
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name == "draw":
        return import_module("fastscore.draw")
    if name not in families.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(families, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    *families.__all__,
    "Audit",
    "Comparison",
    "ControlVariate",
    "DeltaMethod",
    "Enumerate",
    "Estimate",
    "Finding",
    "Integrand",
    "Interrupted",
    "Proposals",
    "Reservoir",
    "Sobol",
    "Stratified",
    "WithoutReplacement",
    "amis",
    "audit",
    "compare",
    "cross_entropy",
    "draw",
    "gradient",
    "pmc",
    "utilities",
]
