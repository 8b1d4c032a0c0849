"""A distribution taken through a fixed bijection of each coordinate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from fastscore.cached import cached
from fastscore.checks import require
from fastscore.engine.driver import inverse
from fastscore.engine.tiles import stride_of
from fastscore.families._family import tiles_of
from fastscore.families._pushforward import Pushforward
from fastscore.families._support import Support
from fastscore.families._wrapped import plain_part
from fastscore.families.affine import Affine
from fastscore.families.bijection import EXP, SIGMOID, Bijection

_BY_NAME = {"exp": EXP, "sigmoid": SIGMOID}
_CHECKED, _STEP, _TOLERANCE = 64, 1e-6, 1e-5


class Transformed(Pushforward):
    """The distribution of ``x_k = T(z_k)``, z from a base, T a fixed bijection.

    Parameters
    ----------
    base : Family
        Of z, continuous; its parameters are those of x.
    bijection : {"exp", "sigmoid"}, Affine or Bijection
        T.

    Raises
    ------
    TypeError, ValueError
        If the base is discrete, a `Joint` or on a simplex, or T at samples of the base is not
        inverted by its inverse, or has not the derivative that it says.

    Notes
    -----
    ``p(x) = p(z) |dz/dx|``: score and Fisher information are those of the base at z, since T does
    not depend on the parameters.
    """

    def __init__(self, base: Any, bijection: str | Bijection) -> None:
        plain_part("Transformed", "base", base).require_density("base")
        if base.form.parts or base.dtype is not np.float64:
            raise TypeError(f"base={base!r} has samples of {base.form}: give a continuous one")
        if any(support.ties for support in base.supports):
            raise TypeError(
                f"base={base!r} has coordinates that are tied to each other or to a table: their "
                "density does not change by T's derivatives alone"
            )
        if isinstance(bijection, str):
            bijection = _BY_NAME.get(bijection, bijection)
        if not isinstance(bijection, Bijection):
            raise TypeError(
                f"bijection={bijection!r}: give {', '.join(map(repr, _BY_NAME))}, an fs.Affine or "
                "an fs.Bijection"
            )
        self._push(base)
        self.constants = base.constants
        self._bijection = bijection
        self.forward_kernel = bijection.forward_kernel
        self.inverse_kernel = bijection.inverse_kernel
        self._check()

    @property
    def owners(self) -> np.ndarray:
        """As of the base: each coordinate has an image of its own."""
        return self.base.owners

    @cached
    def map_params(self) -> np.ndarray:
        """Constants of T."""
        return self._bijection.params(self.d)

    def _check(self) -> None:
        """T against its inverse and its derivative, at samples of the base."""
        if type(self._bijection) is not Bijection or self._bijection in _BY_NAME.values():
            return
        z = self.base.sample(_CHECKED, rng=0)
        h = _STEP * np.maximum(np.abs(z), 1)
        x, above, below = (self.source.forward(at) for at in (z, z + h, z - h))
        if not np.isfinite(x).all():
            raise ValueError("bijection: forward is not finite at samples of the base")
        back, found = self._inverted(x)
        if not np.allclose(back, z, rtol=_TOLERANCE, atol=_TOLERANCE):
            at = np.unravel_index(np.argmax(np.abs(back - z)), z.shape)
            raise ValueError(
                f"bijection: inverse(forward({z[at]})) = {back[at]}, and not {z[at]}: "
                "mend inverse, or image"
            )
        with np.errstate(divide="ignore"):
            expected = -np.log(np.abs(above - below) / (2 * h)).sum(axis=1)
        if not np.allclose(found, expected, rtol=1e-3, atol=1e-3 * self.d):
            i = int(np.argmax(np.abs(found - expected)))
            raise ValueError(
                f"bijection: log_derivative sums to {-found[i]} at z = {z[i]}, where finite "
                f"differences of forward give {-expected[i]}"
            )

    def _inverted(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z of samples x, and ``log |dz/dx|``."""
        z, log_det = np.empty_like(x), np.zeros(len(x))
        for rows, tile in tiles_of(x):
            own = np.zeros(len(rows))
            inverse(
                self.inverse_kernel.address, self.map_params.ctypes.data, tile, len(rows), self.d,
                stride_of(self.d), own,
            )  # fmt: skip
            z[rows], log_det[rows] = tile.reshape(self.d, -1)[:, : len(rows)].T, own
        return z, log_det

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> Mapping[str, Any]:
        z, log_det = self._inverted(x)
        require("x", x, np.broadcast_to(log_det[:, None] > -np.inf, x.shape), "in the image of T")
        return self.base._fit(z, shares, least)

    @property
    def _affine(self) -> Affine:
        """T, if moments pass through it."""
        if isinstance(self._bijection, Affine):
            return self._bijection
        raise NotImplementedError(f"{self!r} has no closed form of its moments")

    @property
    def mean(self) -> np.ndarray:
        """Expectation of each coordinate, if T is affine."""
        return self._affine.mean(self.base.mean)

    @property
    def variance(self) -> np.ndarray:
        """Variance of each coordinate, if T is affine."""
        return self._affine.variance(self.base.variance)

    def entropy(self) -> float:
        """Entropy in nats, if T is affine."""
        return self._affine.entropy(self.base.entropy(), self.d)

    @property
    def support_set(self) -> Support:
        """The image of the base's."""
        base = self.base.support_set
        ends = self.source.forward(np.array([base.low, base.high]))
        return Support.reals(self.d, ends.min(axis=0), ends.max(axis=0))

    def _with(self, given: Mapping[str, Any]) -> Self:
        return type(self)(self.base.replace(**given), self._bijection)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.base, self._name)

    @property
    def _name(self) -> Any:
        """T, by its name if it has one."""
        names = [name for name, known in _BY_NAME.items() if known is self._bijection]
        return names[0] if names else self._bijection

    def __repr__(self) -> str:
        return f"Transformed({self.base!r}, {self._name!r})"


__all__ = ["Transformed"]
