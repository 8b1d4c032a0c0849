"""What every workload tells about itself."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Workload(Protocol):
    """A distribution with its parameters, an integrand, and the exact answer.

    Attributes
    ----------
    title : str
        What it is, for the report.
    elements : int
        Elements of one call, unless told otherwise.
    sizes : tuple of int
        The sizes measured, unless told otherwise.
    """

    title: ClassVar[str]
    elements: ClassVar[int]
    sizes: ClassVar[tuple[int, ...]]

    @classmethod
    def of_size(cls, size: int) -> Self:
        """Return the workload with `size` coordinates or classes."""
        ...

    @property
    def elements_per_sample(self) -> int:
        """What times are divided by: the random numbers that make up a sample."""
        ...

    def gradient(self) -> Array:
        """Return the exact gradient."""
        ...

    def standard_error(self, n: int) -> Array:
        """Return the standard error of the gradient from `n` samples.

        It is that with the mean as the baseline, or without one where the workload has none, which
        no peer exceeds but for terms of order ``1 / n``; infinite where the gradient is not near
        enough to normal to be judged by it.
        """
        ...
