"""Pareto-smoothed importance sampling: how heavy the tail of the weights is, and a lighter one.

Vehtari, Simpson, Gelman, Yao and Gabry (2024), "Pareto smoothed importance sampling", JMLR 25(72),
with the fit of Zhang and Stephens (2009), "A new and efficient estimation method for the
generalized Pareto distribution", Technometrics 51, as R's ``loo`` has them.

The *tail* is the largest M weights, and the *cutoff* the largest weight below it.  What the tail
exceeds the cutoff by has a generalised Pareto distribution, nearly, of shape k: the weights have
1/k finite moments.  Where there is nothing to fit, k is one of

- ``inf``, nothing is known, do not trust the weights: fewer than 5 weights in the tail (up to 20
  samples), fewer than 5 of them above the cutoff (ties with the cutoff do not count), or all
  weights zero;
- ``-inf``, the weights are bounded: the tail equals the cutoff.  So it is if all weights are equal,
  where ``loo`` says ``inf``.
"""

from __future__ import annotations

import math

import numpy as np

from fastscore import checks

#: A fit needs as many weights above the cutoff.
_LEAST = 5
#: Log weights this near the cutoff equal it: densities that cancel leave rounding.
_ROUNDING = 1e-10
#: Log weights this far below the largest count as zero in a fit, which divides by weights.
_NEGLIGIBLE = 600.0


def tail_length(n: int, most: int = 4096, r_eff: float = 1.0) -> int:
    """Weights in the tail of n: ``⌈min(0.2 n, 3 √(n / r_eff))⌉``, but no more than ``most``."""
    n, most, r_eff = checks.count("n", n), checks.count("most", most), _efficiency(r_eff)
    return min(math.ceil(min(0.2 * n, 3 * math.sqrt(n / r_eff))), most)


def threshold(n: int) -> float:
    """``min(1 − 1/log₁₀ n, 0.7)``: n weights are to be trusted if k is below it.

    Negative for n < 10, and ``-inf``, which no k is below, for n = 1.
    """
    n = checks.count("n", n)
    return min(1 - 1 / math.log10(n), 0.7) if n > 1 else -math.inf


def smooth(log_weights: np.ndarray, r_eff: float = 1.0) -> tuple[np.ndarray, float]:
    """Replace the largest weights by quantiles of the generalised Pareto fitted to them.

    Parameters
    ----------
    log_weights : array, shape (n,)
        Up to a constant; ``-inf`` is a weight of zero.
    r_eff : float
        Relative efficiency of the samples, below 1 if they are from a Markov chain.

    Returns
    -------
    smoothed : ndarray, shape (n,)
        Log weights, not normalised: below the tail they are as given, and none exceeds the largest
        given.  All are as given if k is infinite.
    k : float
        Shape of the tail, `pareto_k`.

    Raises
    ------
    ValueError
        If a log weight is NaN or ``inf``, or ``r_eff`` is not positive and finite.
    """
    smoothed = _checked("log_weights", log_weights).copy()
    n = smoothed.size
    first = max(n - tail_length(n, n, r_eff) - 1, 0)
    largest = np.argpartition(smoothed, first)[first:]
    largest = largest[np.argsort(smoothed[largest])]
    k, scale, above = _fit(smoothed[largest])
    if above:
        from scipy.special import boxcox

        top, cutoff = smoothed[largest[-1]], smoothed[largest[0]]
        survival = (np.arange(above, 0, -1) - 0.5) / above
        quantiles = -scale * boxcox(survival, -k)  # or inf, which is cut to the largest weight
        tail = np.log(np.exp(cutoff - top) + quantiles)
        smoothed[largest[-above:]] = np.minimum(tail, 0.0) + top
    return smoothed, k


def pareto_k(tail: np.ndarray, n: int) -> float:
    """Shape k of the tail of n weights, from the largest of them alone.

    Parameters
    ----------
    tail : array, shape (M + 1,)
        Log weights up to a constant, in any order: the tail and its cutoff.  Of more weights than
        ``tail_length(n, most=n) + 1`` the largest are used; with fewer the tail is as much shorter.
    n : int
        Weights that they are the largest of.

    Raises
    ------
    ValueError
        If a log weight is NaN or ``inf``, or there are more than n.
    """
    largest, n = np.sort(_checked("tail", tail)), checks.count("n", n)
    if largest.size > n:
        raise ValueError(f"tail has {largest.size} log weights, more than n={n}: give the largest")
    return _fit(largest[-tail_length(n, n) - 1 :])[0]


def effective_size(log_weights: np.ndarray, r_eff: float = 1.0) -> float:
    """Effective sample size ``r_eff (Σw)²/Σw²`` of log weights of shape (n,); 0 if all w are 0."""
    log_weights, r_eff = _checked("log_weights", log_weights), _efficiency(r_eff)
    top = log_weights.max()
    if top == -math.inf:
        return 0.0
    weights = np.exp(log_weights - top)
    return r_eff * float(weights.sum() ** 2 / (weights @ weights))


def _fit(largest: np.ndarray) -> tuple[float, float, int]:
    """Shape, scale, and how many of these sorted log weights, cutoff first, are fitted."""
    cutoff, top = largest[0], largest[-1]
    if largest.size <= _LEAST or top == -math.inf:
        return math.inf, math.nan, 0
    if top <= cutoff + _ROUNDING:
        return -math.inf, math.nan, 0
    above = largest[largest > max(cutoff + _ROUNDING, top - _NEGLIGIBLE)]
    if above.size < _LEAST:
        return math.inf, math.nan, 0
    return *_generalised_pareto(np.exp(above - top) - np.exp(cutoff - top)), above.size


def _generalised_pareto(x: np.ndarray) -> tuple[float, float]:
    """Shape and scale of sorted positive x, by Zhang and Stephens (2009), section 4.

    θ = −k/scale is the mean of its posterior on a grid, and k follows from θ.  It is then drawn
    towards 1/2 as if by 10 more observations: the weak prior of Vehtari et al. (2024).
    """
    n = x.size
    quartile = x[math.floor(n / 4 + 0.5) - 1]
    points = 30 + math.isqrt(n)
    steps = (1 - np.sqrt(points / (np.arange(points) + 0.5))) / 3
    theta = 1 / x[-1] + steps / quartile
    theta[theta == 0] = _ROUNDING / x[-1]  # the exponential distribution, for which k/θ is 0/0
    k = np.log1p(-theta[:, None] * x).mean(axis=1)
    log_likelihood = n * (np.log(-theta / k) - k - 1)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    mean = float(theta @ posterior / posterior.sum())
    shape = float(np.log1p(-mean * x).mean())
    return (n * shape + 10 * 0.5) / (n + 10), -shape / mean


def _checked(name: str, log_weights: np.ndarray) -> np.ndarray:
    """As float64 of shape (n,), none of them NaN or inf."""
    array = checks.parameter(name, log_weights, least=-math.inf)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}: give a vector of log weights")
    return array


def _efficiency(r_eff: float) -> float:
    value = checks.parameter("r_eff", r_eff)
    if value.ndim or value <= 0:
        raise ValueError(f"r_eff={r_eff!r}: give a positive number, 1 for independent samples")
    return float(value)
