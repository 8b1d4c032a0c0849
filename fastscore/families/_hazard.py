"""Cumulative hazards of Weibull variables: what `Weibull` draws from."""

from __future__ import annotations

from typing import Any

from fastscore.engine.exponentials import fine_exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.vecmath import log_inside
from fastscore.families.weibull import Weibull


@elementwise
def _sample(stream, scratch, v, count):
    fine_exponentials(stream, scratch, v, count, 1.0)


@inlined
def _score(v, by_scale, by_concentration):
    more = v - 1.0
    return more * by_scale, (1.0 - log_inside(v) * more) * by_concentration


@inlined
def _log_density(v):
    return -v


class Hazard(
    Weibull, scores=2, low=0.0,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """``v = (x/scale)^k`` of Weibull variables x, standard exponentials; see `Weibull`."""

    def _closed_paths(self) -> Any:
        """Along which x moves as it should: ``k v/scale``."""
        return (0, self._concentration.value * self._scale.unit), None


__all__ = ["Hazard"]
