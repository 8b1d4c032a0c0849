"""Logarithms of Weibull variables: what `Weibull` draws from."""

from __future__ import annotations

from fastscore.engine.exponentials import log_exponentials
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.vecmath import exp
from fastscore.families.weibull import Weibull, scores_of


@elementwise
def _sample(stream, scratch, y, count, log_scale, spread):
    log_exponentials(stream, scratch, y, count, log_scale, spread)


@inlined
def _score(y, log_scale, concentration, by_scale, by_concentration):
    return scores_of(concentration * (y - log_scale), by_scale, by_concentration)


@inlined
def _log_density(y, log_scale, concentration, log_concentration):
    w = concentration * (y - log_scale)
    return log_concentration + w - exp(w)


class LogWeibull(
    Weibull, scores=2,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """``y = log x`` of Weibull variables x; see `Weibull`."""


__all__ = ["LogWeibull"]
