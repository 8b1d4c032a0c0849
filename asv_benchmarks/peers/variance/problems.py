"""The problems: independent coordinates, f a sum of one function of each, exact answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Elements of a call, samples times coordinates, and samples at least.
ELEMENTS, SAMPLES = 1_000_000, 100_000


@dataclass(frozen=True)
class Problem:
    """``f(x) = Σ_k g(x_k)``, its coordinates alike.

    Attributes
    ----------
    kind : {"quad", "exp", "cos", "toy"}
        ``(x − k)²``, ``exp(−k x²)``, ``cos k x``, all of normals; ``(x − k)²`` of zeros and ones.
    k : float
        Its parameter.
    first, second : float
        Mean and standard deviation of a normal; probability of 1.
    """

    kind: str
    k: float
    first: float
    second: float = 0.0

    @property
    def normal(self) -> bool:
        """Whether x is normal."""
        return self.kind != "toy"

    def g(self, x: Any) -> Any:
        """Of an array."""
        if self.kind == "exp":
            return np.exp(-self.k * x * x)
        return np.cos(self.k * x) if self.kind == "cos" else (x - self.k) ** 2

    def points(self) -> tuple[Array, Array, Array]:
        """Values of x, their weights, and scores (P, points): sums over them are expectations."""
        if not self.normal:
            x, p = np.array([0.0, 1.0]), np.array([1 - self.first, self.first])
            return x, p, (x - self.first)[None]
        z = np.linspace(-12.0, 12.0, 4801)  # of analytic functions the sum is exact
        weight = np.exp(-0.5 * z * z)
        score = np.stack([z, z * z - 1]) / self.second
        return self.first + self.second * z, weight / weight.sum(), score

    def gradient(self, d: int) -> Array:
        """The entries of each parameter, one behind the other."""
        x, weight, score = self.points()
        return np.repeat(score @ (weight * self.g(x)), d)

    def variance(self, d: int) -> Array:
        """Of one sample, with the mean as the baseline: that of its coordinate, and what the
        others add."""
        x, weight, score = self.points()
        g = self.g(x) - weight @ self.g(x)
        own = score**2 @ (weight * g * g) - (score @ (weight * g)) ** 2
        others = (d - 1) * (weight @ (g * g)) * (score**2 @ weight)
        return np.repeat(own + others, d)

    def samples(self, d: int) -> int:
        """Of a call."""
        return max(ELEMENTS // d, SAMPLES)


def _normals(kind: str, *parameters: tuple[float, float, float]) -> dict[str, Problem]:
    return {
        f"{kind} k={k:g} s={sigma:g}": Problem(kind, k, mu, sigma) for k, mu, sigma in parameters
    }


#: Those of shared/cases, and dimensions.
PROBLEMS = {
    **_normals("quad", *((k, 1.0, 1.0) for k in (-3.0, 0.0, 1.0, 3.0)), (0.1, 1, 1.5), (1, 1, 1.5)),
    **_normals("exp", (0.1, 1, 1), (1, 1, 1), (0.1, 1, 1.5), (10, 1, 1.5)),
    **_normals("cos", (0.5, 1, 1), (1, 1, 1), (2, 1, 1), (0.1, 1, 1.5), (1, 1, 1.5)),
    **{f"toy p={p:g}": Problem("toy", 0.45, p) for p in (0.5, 0.1, 0.01)},
}
SIZES = {True: (1, 10), False: (1, 10, 100)}
