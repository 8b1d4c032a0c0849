"""Probability families: one file per distribution; ``_family`` holds the contract."""

from fastscore.families._family import Family
from fastscore.families.bernoulli import Bernoulli
from fastscore.families.categorical import Categorical
from fastscore.families.normal import Normal

__all__ = ["Bernoulli", "Categorical", "Family", "Normal"]
