"""Control functions of known mean, as the kernels of ``units`` take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine import blocks


@dataclass(frozen=True)
class ControlFunctions:
    """Functions h whose means are known; of the last ones the means' gradients are too.

    Attributes
    ----------
    functions : sequence of int or callable
        Addresses of compiled tile functions; or ``h(X) -> (rows,)``.
    arguments : sequence of Arguments
        What the compiled ones are called with.
    means : ndarray of shape (J,)
        E[h].
    gradients : ndarray of shape (B, P)
        ∇_θ E[h] of the last B of them, which are multiplied by scores.
    coefficients : ndarray of shape (J,)
        What they are multiplied by; NaN where it is to be fitted.
    by_value : bool
        Whether scores are controls of the value: the units' values need products with them.
    kept : tuple
        What must live as long.
    odd : ndarray of bool, of shape (J,)
        Controls that cancel within a pair, but for rounding.
    odd_by_score : ndarray of bool, of shape (B, P)
        The same of their products with scores.
    """

    functions: Sequence[Any] = ()
    arguments: Sequence[Any] = ()
    means: np.ndarray = field(default_factory=lambda: np.empty(0))
    gradients: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    coefficients: np.ndarray = field(default_factory=lambda: np.empty(0))
    by_value: bool = False
    kept: tuple[Any, ...] = ()
    odd: np.ndarray | None = None
    odd_by_score: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.functions)

    def __bool__(self) -> bool:
        return bool(self.functions) or self.by_value

    @property
    def by_score(self) -> int:
        """How many are multiplied by scores, B."""
        return len(self.gradients)

    @cached
    def packed(self) -> np.ndarray:
        """Addresses of each and of its arguments."""
        rows = [
            (blocks.GIVEN, 0) if callable(function) else (function, args.words.ctypes.data)
            for function, args in zip(self.functions, self.arguments, strict=True)
        ]
        return np.array(rows or [(0, 0)], dtype=np.int64)

    @cached
    def packed_gradients(self) -> np.ndarray:
        """∇_θ E[h], one behind the other."""
        return np.ascontiguousarray(self.gradients, dtype=np.float64)

    @cached
    def packed_means(self) -> np.ndarray:
        """E[h]."""
        return np.ascontiguousarray(self.means, dtype=np.float64)


#: No control functions.
NO_FUNCTIONS = ControlFunctions()
