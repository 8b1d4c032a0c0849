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
from fastscore.families import Bernoulli, Family
from fastscore.variance.differences import DifferenceTerms
from fastscore.variance.estimators import Disarm, InPlace


class ArmTerms(DifferenceTerms):
    """``f(b̃) − f(b)``, to be multiplied by factors of each coordinate.

    Parameters
    ----------
    p : Family
        A `Bernoulli`.
    estimator : Arm or Disarm
        Which factors.

    Raises
    ------
    ValueError
        If p is another family.
    """

    def __init__(self, p: Family, estimator: InPlace) -> None:
        if type(p) is not Bernoulli:
            raise ValueError(
                f"estimator={estimator.word!r} is for fs.Bernoulli, and p is {p!r}: take 'measure' "
                "or 'score'"
            )
        kind = flips.DISARM if isinstance(estimator, Disarm) else flips.ARM
        probs = np.concatenate([p._q, p._p, p._unit])
        self._d = p.d
        super().__init__(
            flips.contract, (probs, np.array([kind])), terms=1, name="f",
            what="f, there or where the uniforms are mirrored,", prepare=flips.prepare,
            evaluate=flips.evaluate, prepared=2 * p.d,
        )  # fmt: skip

    def called(self, f: Callable[[np.ndarray], Any]) -> Callable[..., np.ndarray]:
        """The difference of a NumPy-style f of samples."""

        def at(x: np.ndarray, drawn: np.ndarray, values: np.ndarray) -> np.ndarray:
            other = np.ascontiguousarray(drawn[:, : self._d].view(np.int64))
            return np.asarray(np.asarray(f(other)) - values)[:, None]

        return at


__all__ = ["ArmTerms"]
