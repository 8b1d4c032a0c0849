"""Independent counts of which some are 0 for another reason."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from fastscore import checks
from fastscore.families._coordinates import Coordinates
from fastscore.families._counts import at_outcomes, laws_at
from fastscore.families._family import common_shape
from fastscore.families._parameters import Spread
from fastscore.families._probability import Probability
from fastscore.families._scoring import most_likely
from fastscore.families._support import Support
from fastscore.families._wrapped import plain_part
from fastscore.families._zero_inflation import FIELDS, log_probs, sample, score


class ZeroInflated(Probability, Coordinates):
    """Counts that are 0 besides with a further probability, the gate.

    Parameters
    ----------
    base : Family
        Distribution of independent counts: `Poisson`, `Geometric`, `Binomial`, `NegativeBinomial`
        or `BetaBinomial`.
    gate : array_like
        Probabilities g of a 0 whatever the base says, of the shape of its parameters or a scalar.
    gate_logits : array_like
        Their log-odds, in place of ``gate``.

    Raises
    ------
    TypeError, ValueError
        If the base is no distribution of independent counts or holds parameters fixed, or a gate
        is not between 0 and 1.  One of 0 or 1 can be sampled from; its score does not exist.

    Notes
    -----
    Density
        ``(1 − g) p(x)``, p being the base's, and besides g at 0.
    Score
        By the logit of the gate ``g (1/p₀ − 1)`` at 0, p₀ being the probability of 0, and ``−g``
        elsewhere; that of the base, at 0 times ``(1 − g) p(0)/p₀``.
    Fisher information
        From that of the base and its score at 0: ``g² (1 − p₀)/p₀`` by the logit of the gate.
    Sampler
        The base's, with zeros put in, to 2^-63.
    Moments
        Mean ``(1 − g) m`` and variance ``(1 − g) (v + g m²)``, m and v being the base's.

    The parameters are the gate and those of the base.
    """

    sample_kernel = sample
    score_kernel = score
    log_probs_kernel = log_probs
    fields = FIELDS
    dtype = np.int64
    _names: ClassVar = ("gate", "gate_logits")

    def __init__(self, base: Any, gate: Any = None, *, gate_logits: Any = None) -> None:
        plain_part("ZeroInflated", "base", base)
        if isinstance(base, ZeroInflated):
            raise TypeError(f"base={base!r} is zero-inflated already: one gate is enough")
        if not isinstance(base, Coordinates) or base.dtype is not np.int64 or base.low != 0:
            raise TypeError(
                f"base={base!r} is not a distribution of independent counts: give a Poisson, "
                "Geometric, Binomial, NegativeBinomial or BetaBinomial"
            )
        if np.any(base.support_set.low != 0):
            raise ValueError(f"base={base!r} has coordinates that are never 0")
        self._base, self.scores = base, 1 + base.scores
        self._set_probability(gate, gate_logits)
        own, size = dict(self.parameters), self.size
        shape = common_shape({**own, **base.parameters, **base.constants})
        if int(np.prod(shape, dtype=int)) != base.d:
            raise ValueError(f"gate has shape {shape}, but base one coordinate: give a scalar")
        self.parameters = MappingProxyType({**own, **base.parameters})
        self.constants = base.constants
        self.index = np.concatenate([np.broadcast_to(self.index, base.d), size + base.index])
        self.d, self.size = base.d, size + base.size
        self._spread_probability(Spread(self._p, self._unit))

    def _record(self) -> dict[str, Any]:
        base, g = self._base, self._p
        integers = {
            "sample_at": base.sample_kernel.address, "score_at": base.score_kernel.address,
            "log_probs_at": base.log_probs_kernel.address, "law_at": laws_at(base, base.packed),
            "own": base.scores, "column": 0,
            "zeros": np.round(g * 2.0**63).astype(np.uint64),
        }  # fmt: skip
        high, (log_zero, zero, other, share, _) = base.support_set.high, self._at_zero
        with np.errstate(invalid="ignore"):  # of a gate that is certain there is no score
            scores = {"gate_zero": g * (other / zero) * self._unit, "gate_other": -g * self._unit}
        bits = {name: np.asarray(value).view(np.float64) for name, value in integers.items()}
        others = {"log_zero": log_zero, "share": share, "log_other": self._log_q}
        return {"high": high, **bits, **others, **scores}

    @property
    def _at_zero(self) -> tuple[np.ndarray, ...]:
        """Log-probability of 0, it, that of all else, which part of it is the base's, and the
        base's score there, (C, d)."""
        log_probs, scores = at_outcomes(self._base, np.zeros(1))
        log_base = log_probs[:, 0]
        other, from_base = self._q * -np.expm1(log_base), self._q * np.exp(log_base)
        zero = np.maximum(self._p + from_base, np.finfo(np.float64).tiny)
        with np.errstate(divide="ignore"):
            small = np.logaddexp(self._log_p, self._log_q + log_base)
            log_zero = np.where(other < 0.5, np.log1p(-np.minimum(other, 0.5)), small)
        share = np.where(
            from_base > 1e-290, from_base / zero, np.exp(self._log_q + log_base - log_zero)
        )
        return log_zero, zero, other, share, scores[:, :, 0].T

    def _information(self) -> Any:
        (_, zero, other, share, s), g, unit = self._at_zero, self._p, self._unit
        cross = list(g * share * s * unit)
        rest = [
            [self._q * entry - share * g * s[i] * s[j] for j, entry in enumerate(row)]
            for i, row in enumerate(self._base._information())
        ]
        gate = g**2 * (other / zero) * unit**2
        return [[gate, *cross], *([one, *row] for one, row in zip(cross, rest, strict=True))]

    def require_score(self) -> None:
        """Raise a ValueError where the score does not exist."""
        super().require_score()
        self._base.require_score()

    def _moments(self) -> dict[str, Any]:
        mean, variance = self._base.mean, self._base.variance
        return {"mean": self._q * mean, "variance": self._q * (variance + self._p * mean**2)}

    def support(self, most: int) -> np.ndarray:
        """Those of the base."""
        return self._base.support(most)

    @property
    def support_set(self) -> Support:
        """That of the base; 0 alone where the gate is 1."""
        return Support.integers(self.d, 0, np.where(self._q > 0, self._base.support_set.high, 0))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> Mapping[str, Any]:
        """Both sides of the probabilities have floors."""
        high = self._base.support_set.high
        checks.require("x", x, (x >= 0) & (x <= high), "inside the support")
        both = dict.fromkeys(("gate_logits", "logits"), (1, -1))
        floors = {"rate": 1, **(self._base.floors or {}), **both, "gate": (1, -1), "probs": (1, -1)}
        return most_likely(self, x, shares, floors, least)

    def _with(self, given: Mapping[str, Any]) -> Self:
        gate = {name: given[name] for name in self._names if name in given}
        rest = {name: value for name, value in given.items() if name not in gate}
        return type(self)(self._base._with(rest), **gate)

    @property
    def _gate(self) -> dict[str, np.ndarray]:
        return {name: self.parameters[name] for name in self._names if name in self.parameters}

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self._base, **self._gate), ()

    def __repr__(self) -> str:
        ((name, value),) = self._gate.items()
        return f"ZeroInflated({self._base!r}, {name}={value.tolist()})"


__all__ = ["ZeroInflated"]
