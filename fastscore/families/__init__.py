"""Probability families: one file per distribution; ``_family`` holds the contract.

A family is imported at its first use, `LogNormal` from ``log_normal``.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastscore.families._family import Family

if TYPE_CHECKING:
    from fastscore.families.affine import Affine
    from fastscore.families.bernoulli import Bernoulli
    from fastscore.families.beta import Beta
    from fastscore.families.beta_binomial import BetaBinomial
    from fastscore.families.bijection import Bijection
    from fastscore.families.binomial import Binomial
    from fastscore.families.categorical import Categorical
    from fastscore.families.cauchy import Cauchy
    from fastscore.families.chi2 import Chi2
    from fastscore.families.custom import Custom
    from fastscore.families.dirichlet import Dirichlet
    from fastscore.families.exponential import Exponential
    from fastscore.families.finite_discrete import FiniteDiscrete
    from fastscore.families.fixed import Fixed
    from fastscore.families.gamma import Gamma
    from fastscore.families.geometric import Geometric
    from fastscore.families.gumbel import Gumbel
    from fastscore.families.half_normal import HalfNormal
    from fastscore.families.inverse_gamma import InverseGamma
    from fastscore.families.joint import Joint
    from fastscore.families.kumaraswamy import Kumaraswamy
    from fastscore.families.laplace import Laplace
    from fastscore.families.log_normal import LogNormal
    from fastscore.families.logistic import Logistic
    from fastscore.families.low_rank_multivariate_normal import LowRankMultivariateNormal
    from fastscore.families.mixture import Mixture
    from fastscore.families.multinomial import Multinomial
    from fastscore.families.multivariate_normal import MultivariateNormal
    from fastscore.families.negative_binomial import NegativeBinomial
    from fastscore.families.normal import Normal
    from fastscore.families.one_hot_categorical import OneHotCategorical
    from fastscore.families.pareto import Pareto
    from fastscore.families.plackett_luce import PlackettLuce
    from fastscore.families.poisson import Poisson
    from fastscore.families.shared import Shared
    from fastscore.families.student_t import StudentT
    from fastscore.families.transformed import Transformed
    from fastscore.families.truncated_normal import TruncatedNormal
    from fastscore.families.uniform import Uniform
    from fastscore.families.von_mises import VonMises
    from fastscore.families.weibull import Weibull
    from fastscore.families.zero_inflated import ZeroInflated


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Affine",
    "Bernoulli",
    "Beta",
    "BetaBinomial",
    "Bijection",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "Custom",
    "Dirichlet",
    "Exponential",
    "Family",
    "FiniteDiscrete",
    "Fixed",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfNormal",
    "InverseGamma",
    "Joint",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "LowRankMultivariateNormal",
    "Mixture",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "Pareto",
    "PlackettLuce",
    "Poisson",
    "Shared",
    "StudentT",
    "Transformed",
    "TruncatedNormal",
    "Uniform",
    "VonMises",
    "Weibull",
    "ZeroInflated",
]
