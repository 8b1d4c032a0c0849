"""What `Kumaraswamy` draws from: logarithms of x and 1 − x at once, as x alone may round them."""

from __future__ import annotations

from typing import Any

from fastscore.engine.exponentials import fine_exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.vecmath import log_of_rest, split_exp
from fastscore.families.kumaraswamy import Kumaraswamy


@elementwise
def _sample(stream, scratch, w, count, spread):
    fine_exponentials(stream, scratch, w, count, spread)


@inlined
def _score(w, concentration0, by_1, by_0):
    rest, power = split_exp(-w)  # 1 − x^a and x^a
    v = -log_of_rest(power, rest)
    one = (1.0 - v + (concentration0 - 1.0) * (v * (power / rest))) * by_1
    return one, (1.0 - concentration0 * w) * by_0


@inlined
def _log_density(w, concentration0, log_concentration0):
    return log_concentration0 - concentration0 * w


class LogKumaraswamy(
    Kumaraswamy, scores=2,
    low=0.0,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """``w = −log(1 − x^a)`` of Kumaraswamy variables x, exponential; see `Kumaraswamy`."""

    def _closed_paths(self) -> Any:
        """``∂w/∂concentration0 = −w/concentration0``."""
        return None, (0, -self._zero.unit)


__all__ = ["LogKumaraswamy"]
