"""Gradients of expectations from samples, by the score function, at the speed of C.

>>> import fastscore as fs
>>> p = fs.Normal(loc=[0.0, 1.0], scale=1.0)
>>> est = fs.gradient(lambda x: (x**2).sum(axis=1), p, n=100_000, rng=0)
>>> print(est)  # doctest: +SKIP
"""

from importlib.metadata import PackageNotFoundError, version

from fastscore.adaptive import amis, cross_entropy, pmc
from fastscore.estimate import Estimate
from fastscore.families import Bernoulli, Categorical, Family, Normal
from fastscore.gradient import Interrupted, gradient
from fastscore.importance.proposals import Proposals
from fastscore.integrand import Integrand
from fastscore.reservoir import Reservoir

try:
    __version__ = version("fastscore")
except PackageNotFoundError:  # a source tree on the path
    __version__ = "0+unknown"

__all__ = [
    "Bernoulli",
    "Categorical",
    "Estimate",
    "Family",
    "Integrand",
    "Interrupted",
    "Normal",
    "Proposals",
    "Reservoir",
    "amis",
    "cross_entropy",
    "gradient",
    "pmc",
]
