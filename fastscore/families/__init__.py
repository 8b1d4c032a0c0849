"""Probability families: one file per distribution; ``_family`` holds the contract."""

from fastscore.families._family import Family
from fastscore.families.normal import Normal

__all__ = ["Family", "Normal"]
