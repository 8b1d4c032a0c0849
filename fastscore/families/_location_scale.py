"""Families of a loc and a scale, ``x = loc + scale z``: what z alone decides."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive, real


class Standard(NamedTuple):
    """Of a distribution at loc 0 and scale 1."""

    #: Moments; NaN if there is none.
    mean: float
    variance: float
    entropy: float
    #: What the log-density is at z, but for a function of z that the family writes.
    constant: float
    #: Fisher information of the loc, of both, and of the scale.
    information: tuple[float, float, float]


class LocationScale(Coordinates):
    """Independent coordinates ``loc + scale z``.

    A subclass gives its functions, of ``x, loc, scale`` and the fields ``unit`` and ``constant``,
    and what `Standard` asks for.
    """

    standard: ClassVar[Standard]
    floors: ClassVar = {"scale": 1}
    #: Whether z has the distribution of −z.
    symmetric: ClassVar[bool] = True

    def __init_subclass__(cls, **functions: Any) -> None:
        """Make the kernels of `Coordinates`."""
        super().__init_subclass__(
            fields=("loc", "scale", "unit", "constant"), scores=2, **functions
        )

    def __init__(self, loc: Any, scale: Any = None, *, log_scale: Any = None) -> None:
        loc, self._scale = self._set(
            real("loc", loc), positive(type(self).__name__, "scale", scale, log_scale)
        )
        self._loc = loc.value

    @property
    def centre(self) -> np.ndarray | None:
        """The locations, of a symmetric family."""
        return self._loc if self.symmetric else None

    def _closed_paths(self) -> Any:
        """``∂x/∂loc = 1`` and ``∂x/∂scale = z``."""
        unit = self._scale.unit
        return (1, 0), (-self._loc * unit, unit)

    def _record(self) -> dict[str, Any]:
        scale, unit = self._scale
        constant = self.standard.constant - np.log(scale)
        return {"loc": self._loc, "scale": scale, "unit": unit, "constant": constant}

    def _information(self) -> Any:
        (scale, unit), (one, both, other) = self._scale, self.standard.information
        cross = both / scale * unit
        return [[one / scale**2, cross], [cross, other * unit**2]]

    def _moments(self) -> dict[str, Any]:
        scale, standard = self._scale.value, self.standard
        return {
            "mean": self._loc + scale * standard.mean, "variance": scale**2 * standard.variance,
            "entropy": standard.entropy + np.log(scale),
        }  # fmt: skip


__all__ = ["LocationScale", "Standard"]
