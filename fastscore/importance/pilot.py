"""The pilot: a few samples that tell which shares of proposals make the gradient's variance least.

With g² = p² (f − b)² ‖s‖² a sample of the mixture ``q̄_α = Σ α_j q_j``, weighed by p/q̄_α, has
second moments of total ``V(α) = ∫ g²/q̄_α``: convex in α, and estimated for all α at once from
samples of any one mixture q̄₀, as ``Σ g²/(q̄₀ q̄_α)``.  The minimum is that of He and Owen (2014),
"Optimal mixture weights in multiple importance sampling", arXiv:1411.3954.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from fastscore.engine.streams import derived_seed
from fastscore.families import Family
from fastscore.importance.proposals import Proposals

#: What tells the pilot's random streams from others of the seed.
_STREAM = 2
#: Samples of a pilot by default.
SAMPLES = 2000
#: No share falls below this part of an equal one: what the pilot misjudged is still sampled.
_FLOOR = 0.1
#: Relative excess of V over its minimum, and steps, after which the search ends.
_TOLERANCE, _STEPS = 1e-4, 2000
#: Entries of scores held at a time.
_SCORES = 2**22


def with_best_shares(
    proposals: Proposals, p: Family, wrt: Collection[str], baseline: str | float | None, seed: int,
    evaluate: Callable[[np.ndarray], np.ndarray],
) -> Proposals:  # fmt: skip
    """The same proposals, with the shares that a pilot finds best for the balance heuristic.

    A defensive share stays as it is.  Where the pilot meets no variance shares are equal.

    Parameters
    ----------
    proposals : Proposals
        With ``allocation="pilot"``.
    p : Family
        The target, which they fit.
    wrt : collection of str
        Parameters over which the gradient's variance is totalled.
    baseline : str, float or None
        b; a name stands for the scalar of least variance.
    seed : int
        Of the run, whose samples the pilot's have nothing to do with.
    evaluate : callable
        f at samples (n, d); those that p does not reach are left out.
    """
    equal = Proposals(proposals.families, defensive=proposals.defensive)
    count = len(equal.families)
    if count == 1:
        return replace(proposals, allocation=None, pilot=None)
    samples = SAMPLES if proposals.pilot is None else proposals.pilot
    x, index = equal.drawn(p, samples, derived_seed(seed, _STREAM))
    drawn = np.bincount(index, minlength=len(equal.members(p)))
    x = x[p.log_density(x) > -np.inf]
    log_q = np.array([q.log_density(x) for q in equal.members(p)])
    log_mixed = np.logaddexp.reduce(log_q + np.log(drawn / drawn.sum())[:, None])
    log_weight = p.log_density(x) - log_mixed
    squares = _squares(log_weight, evaluate(x), squared_scores(p, x, wrt), baseline)
    ratios = np.exp(log_q - log_mixed)
    least = _FLOOR / count
    # Each column is a mixture that one proposal has all of but the floors and the defensive share.
    columns = least * ratios[:count].sum(axis=0) + (1 - _FLOOR) * ratios[:count]
    columns *= 1 - proposals.defensive
    if proposals.defensive:
        columns += proposals.defensive * ratios[count]
    shares = least + (1 - _FLOOR) * best_shares(squares, columns)
    return replace(proposals, allocation=shares, pilot=None)


def squared_scores(p: Family, x: np.ndarray, wrt: Collection[str]) -> np.ndarray:
    """``‖s‖²`` over the parameters in ``wrt`` at samples (n, d), of shape (n,)."""
    sizes = [p.free(name) for name in p.parameters]
    chosen = np.repeat([name in wrt for name in p.parameters], sizes)
    step = max(1, _SCORES // p.size)
    parts = [np.sum(p.scores_of(x[i : i + step])[:, chosen] ** 2, axis=1)
             for i in range(0, len(x), step)]  # fmt: skip
    return np.concatenate([np.empty(0), *parts])


def _squares(
    log_weight: np.ndarray, f: np.ndarray, scores: np.ndarray, baseline: str | float | None
) -> np.ndarray:
    """``(W (f − b) ‖s‖)²`` but for a factor; 0 where f is not finite."""
    finite = np.isfinite(f)
    with np.errstate(divide="ignore"):
        log_square = np.where(finite, 2 * log_weight + np.log(scores), -np.inf)
    top = log_square.max(initial=-np.inf)
    weight = np.exp(log_square - top) if top > -np.inf else np.zeros(len(f))
    f = np.where(finite, f, 0.0)
    if isinstance(baseline, str):
        b = float(np.sum(weight * f) / weight.sum()) if weight.any() else 0.0
    else:
        b = 0.0 if baseline is None else baseline
    off = np.abs(f - b)
    return np.asarray(weight * (off / max(off.max(initial=0.0), np.finfo(float).tiny)) ** 2)


def best_shares(squares: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Shares α of sum 1 that minimise ``V = Σ_i squares_i / Σ_j α_j ratios_ji``.

    Multiplicative steps ``α_j ∝ α_j √(−∂V/∂α_j)`` lower V each time (Yu 2010, "Monotonic
    convergence of a general algorithm for computing optimal designs", Annals of Statistics 38).
    They end when V is proved to be at its minimum: it is convex, so that it exceeds that by no
    more than ``max_j −∂V/∂α_j − V``.  Sums go without BLAS, whose threads would change their last
    bits.

    Parameters
    ----------
    squares : ndarray of shape (n,)
        Not negative.
    ratios : ndarray of shape (J, n)
        Not negative; some positive one wherever the square is.
    """
    count = len(ratios)
    shares = np.full(count, 1 / count)
    counted = squares > 0
    squares, ratios = squares[counted], ratios[:, counted]
    if not squares.size:
        return shares
    squares = squares / squares.sum()
    for _ in range(_STEPS):
        mixed = np.einsum("j,ji->i", shares, ratios)
        slopes = np.einsum("i,ji->j", squares / mixed**2, ratios)
        variance = float(np.sum(squares / mixed))
        if slopes.max() <= (1 + _TOLERANCE) * variance:
            break
        shares = shares * np.sqrt(slopes)
        shares /= math.fsum(shares)
    return shares
