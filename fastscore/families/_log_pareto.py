"""Logarithms of Pareto variables, over their scales: what `Pareto` draws from."""

from __future__ import annotations

from typing import Any

from fastscore.engine.exponentials import exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.families.pareto import Pareto


@elementwise
def _sample(stream, scratch, y, count, spread):
    exponentials(stream, scratch, y, count, spread)


@inlined
def _score(y, alpha, unit):
    return ((1.0 - alpha * y) * unit,)


@inlined
def _log_density(y, alpha, log_alpha):
    return log_alpha - alpha * y


class LogPareto(
    Pareto, low=0.0,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """``y = log(x/scale)`` of Pareto variables x, exponential; see `Pareto`."""

    def _closed_paths(self) -> Any:
        """``∂y/∂alpha = −y/alpha``."""
        return ((0, -self._alpha.unit),)


__all__ = ["LogPareto"]
