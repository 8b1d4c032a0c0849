"""The pathwise gradient ``E[∇f(x) ∂x/∂θ]``: by f's derivative, at fixed randomness.

D. P. Kingma and M. Welling, Auto-encoding variational Bayes, ICLR 2014; implicitly, where x is no
closed function of the randomness: M. Figurnov, S. Mohamed and A. Mnih, Implicit reparameterization
gradients, NeurIPS 2018.
"""

from __future__ import annotations

from typing import Any

from fastscore.engine.gradient_terms import GradientTerms
from fastscore.families import Family


def pathwise_terms(p: Family, derivative: int, kept: Any = None) -> GradientTerms:
    """Terms of a run over p's source.

    Parameters
    ----------
    p : Family
        The distribution.
    derivative : int
        Address of the tile function that writes ∇f, or `blocks.GIVEN`.
    kept : object
        What must live as long.
    """
    path = p.path
    return GradientTerms(
        path.kernel, path.data, terms=p.d, name="derivative", what="f or its derivative",
        direct=derivative, kept=(path, kept),
    )  # fmt: skip


__all__ = ["pathwise_terms"]
