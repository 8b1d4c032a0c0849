"""Terms that are differences of f: what such estimators have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from fastscore.engine.gradient_terms import GradientTerms


class DifferenceTerms(GradientTerms):
    """Terms made of f alone, at the samples and at others that are drawn beside them."""

    @abstractmethod
    def called(self, f: Callable[[np.ndarray], Any]) -> Callable[..., np.ndarray]:
        """The terms of a NumPy-style f, ``(X, drawn, values) -> (rows, T)``.

        Parameters
        ----------
        f : callable
            Of samples, as tiles hold them, (rows, d).
        """


__all__ = ["DifferenceTerms"]
