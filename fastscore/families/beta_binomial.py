"""Independent beta-binomial counts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastscore.engine.bins import counts
from fastscore.engine.counts import log_root
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.special import deviance, digamma_excess, log_ratio, stirling_error
from fastscore.engine.vecmath import fma, log_minus
from fastscore.families import _special
from fastscore.families._counts import Counts, summed_information
from fastscore.families._parameters import positive
from fastscore.families._trials import Trials

#: Outcomes that the Fisher information is summed over, at most.
_MOST_SUMMED = 2**22


@elementwise
def _sample(stream, scratch, x, count, table):
    counts(stream, scratch, x, count, table)


@inlined
def _above(x, y, a, b, total):
    """``(b x − a y)/(a + b + n)``, rounded where it is small."""
    product = b * x
    return (fma(-a, y, product) + fma(b, x, -product)) / total


@inlined
def _score(
    x, n, a, b, total, q, excess1, excess0, edge, edge1, edge0, by_1, by_0
):  # fmt: skip
    y = n - x
    above = _above(x, y, a, b, total)
    one = log_ratio((a + x) * q, a, above) + (digamma_excess(max(a + x, 1.0)) - excess1)
    zero = log_ratio((b + y) * q, b, -above) + (digamma_excess(max(b + y, 1.0)) - excess0)
    one, zero = (edge1 if y == 0.0 else one), (edge0 if x == 0.0 else zero)
    one, zero = (edge if x == 0.0 else one), (edge if y == 0.0 else zero)
    return one * by_1, zero * by_0


@inlined
def _log_density(x, n, a, b, total, p, q, log_a, log_b, constant, at_none, at_all):
    """Of two negative binomial variables, of a and b failures, given their sum n."""
    y = n - x
    above = _above(x, y, a, b, total)
    one = deviance(a, (a + x) * q, -above) + deviance(x, (a + x) * p, above)
    zero = deviance(b, (b + y) * q, above) + deviance(y, (b + y) * p, -above)
    errors = stirling_error(max(a + x, 1.0)) + stirling_error(max(b + y, 1.0))
    roots = 0.5 * (log_minus(a + x, log_a) + log_minus(b + y, log_b)) + log_root(x) + log_root(y)
    value = constant - (one + zero) + (errors - roots)
    value = at_all if y == 0.0 else value
    return at_none if x == 0.0 else value


class BetaBinomial(
    Trials, Counts, scores=2, low=0.0, high="n", discrete=True,
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent numbers of successes among trials whose probability has a beta distribution.

    Parameters
    ----------
    total_count : array_like
        Numbers of trials n, integers, of shape (d,) or a scalar.  They are no parameters: there is
        no derivative by them.  They come first, as in `Binomial`.
    concentration1 : array_like
        The a of the beta distribution, positive, of the same shape or a scalar.
    concentration0 : array_like
        The b, positive, of the same shape or a scalar.
    log_concentration1, log_concentration0 : array_like
        Their logarithms, in place of them.

    Raises
    ------
    ValueError
        If a number of trials is negative or above 2^50, or a concentration not positive.

    Notes
    -----
    Density
        ``C(n, x) B(a + x, b + n − x)/B(a, b)`` on x = 0, …, n.
    Score
        ``ψ(a + x) − ψ(a) − ψ(a + b + n) + ψ(a + b)``, and with b and n − x in place of a and x; by
        the logarithms times a and b.
    Fisher information
        ``E[s sᵀ]``, summed over all outcomes, of which there may be 2^22.
    Sampler
        From a table of the probabilities, where many in bins, which are met to 2^-52.
    Moments
        Mean ``n a/(a + b)``, variance ``n a b (a + b + n)/((a + b)² (a + b + 1))``.
    """

    floors: ClassVar = {"concentration1": (2, -2), "concentration0": (2, -2)}

    def __init__(
        self, total_count: Any = 1, concentration1: Any = None, concentration0: Any = None, *,
        log_concentration1: Any = None, log_concentration0: Any = None,
    ) -> None:  # fmt: skip
        self._set_trials(total_count)
        self._one, self._zero = self._set(
            positive("BetaBinomial", "concentration1", concentration1, log_concentration1),
            positive("BetaBinomial", "concentration0", concentration0, log_concentration0),
        )

    def _shape(self) -> tuple[np.ndarray, np.ndarray]:
        n, a, b = self._trials, self._one.value, self._zero.value
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = (n * (a - 1) - b + 1) / (a + b - 2)
        return np.floor(np.nan_to_num(turn, posinf=0, neginf=0)) + 1, n

    def _record(self) -> dict[str, Any]:
        n, (a, by_a), (b, by_b) = self._trials, self._one, self._zero
        c, total, some = a + b, a + b + n, np.maximum(n, 1)
        laws = zip(n, a, b, strict=True)
        sums = np.array([_special.beta_binomial_ends(*law) for law in laws])
        error, excess = _special.stirling_error, _special.digamma_excess
        roots = 0.5 * (np.log1p(n / c) + np.log(2 * np.pi * some)) + error(some)
        return {
            "n": n, "a": a, "b": b, "total": total, "p": n / total, "q": c / total,
            "log_a": np.log(a), "log_b": np.log(b),
            "excess1": excess(a) + (excess(total) - excess(c)),
            "excess0": excess(b) + (excess(total) - excess(c)),
            "edge": -_special.digamma_difference(c, n), "edge1": sums[:, 0], "edge0": sums[:, 1],
            "constant": roots - error(total) + error(c) - error(a) - error(b),
            "at_all": -sums[:, 2], "at_none": -sums[:, 3],
            "by_1": a * by_a, "by_0": b * by_b, "table": 0.0,
        }  # fmt: skip

    def _information(self) -> Any:
        last = int(self._trials.max())
        if last > _MOST_SUMMED:
            raise NotImplementedError(
                f"fisher of a BetaBinomial is summed over its outcomes: total_count = {last} are "
                f"more than {_MOST_SUMMED}"
            )
        return summed_information(self, last)

    def _moments(self) -> dict[str, Any]:
        n, a, b = self._trials, self._one.value, self._zero.value
        mean = n * (a / (a + b))
        return {"mean": mean, "variance": mean * (b / (a + b)) * ((a + b + n) / (a + b + 1))}


__all__ = ["BetaBinomial"]
