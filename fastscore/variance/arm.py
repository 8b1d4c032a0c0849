"""ARM and DisARM: gradients by the logits of zeros and ones, from one further call of f.

M. Yin and M. Zhou, ARM: augment-REINFORCE-merge gradient for stochastic binary networks, ICLR 2019;
Z. Dong, A. Mnih and G. Tucker, DisARM: an antithetic gradient estimator for binary latent
variables, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastscore.engine import flips
from fastscore.families import Family
from fastscore.families._measures import name_of
from fastscore.variance.differences import DifferenceTerms
from fastscore.variance.estimators import Disarm, InPlace


class ArmTerms(DifferenceTerms):
    """``f(b̃) − f(b)``, to be multiplied by factors of each coordinate.

    Parameters
    ----------
    p : Family
        A `Bernoulli`, or a `Joint` of them, whose parameters may be `Shared`.
    estimator : Arm or Disarm
        Which factors.

    Raises
    ------
    ValueError
        If p is another family.
    """

    def __init__(self, p: Family, estimator: InPlace) -> None:
        parts = _parts(p)
        if not all(name_of(part) == "Bernoulli" for part in parts):
            raise ValueError(
                f"estimator={estimator.word!r} is for fs.Bernoulli, and p is {p!r}: take 'measure' "
                "or 'score'"
            )
        kind = flips.DISARM if isinstance(estimator, Disarm) else flips.ARM
        probs = np.hstack([(part._q, part._p, part._unit) for part in parts]).ravel()
        self._d = p.d
        super().__init__(
            flips.contract, (probs, np.array([kind])), terms=1, name="f",
            what="f, there or where the uniforms are mirrored,", prepare=flips.prepare,
            evaluate=flips.evaluate, prepared=2 * p.d,
        )  # fmt: skip

    def called(self, f: Callable[[np.ndarray], Any]) -> Callable[..., np.ndarray]:
        """The difference of a NumPy-style f of samples."""

        def at(x: np.ndarray, drawn: np.ndarray, values: np.ndarray) -> np.ndarray:
            other = np.ascontiguousarray(drawn[:, : self._d]).view(x.dtype)
            return np.asarray(np.asarray(f(other)) - values)[:, None]

        return at


def _parts(p: Any) -> list[Any]:
    """What p is made of."""
    if name_of(p) == "Shared":
        return _parts(p.inner)
    return list(p._parts.values()) if name_of(p) == "Joint" else [p]


__all__ = ["ArmTerms"]
