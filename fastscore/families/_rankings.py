"""Rankings of items by their weights: sums over all sets of items, and the largest likelihood."""

from __future__ import annotations

import numpy as np

from fastscore.families._scoring import bounded_step

#: Rounds of a fit at most, and the step of logits after which it ends: convergence is quadratic.
_ROUNDS, _CLOSE = 200, 1e-8


class Sets:
    """All sets of K items, in the order of the numbers whose bits they are.

    Parameters
    ----------
    weights : ndarray
        Of the items, of shape (K,), positive.

    Attributes
    ----------
    left : ndarray
        Probability that a set is what is left at some place, of shape (2^K,).
    shares, others : ndarray
        Of the weight of a set that of each item in it, and of all others in it: (2^K, K).
    """

    def __init__(self, weights: np.ndarray) -> None:
        count = len(weights)
        sets, bits = np.arange(2**count), 1 << np.arange(count)
        inside = (sets[:, None] & bits) > 0
        totals = np.einsum("sk,k->s", inside, weights)
        totals[0] = 1.0  # of no item
        self.shares = inside * weights / totals[:, None]
        self.others = inside * totals[sets[:, None] & ~bits] / totals[:, None]
        self.others[bits, np.arange(count)] = 0.0
        self.sizes = inside.sum(axis=1)
        self.left = np.zeros(len(sets))
        self.left[-1] = 1.0
        for size in range(count, 0, -1):
            for k, bit in enumerate(bits):
                at = sets[(self.sizes == size) & inside[:, k]]
                self.left[at - bit] += self.left[at] * self.shares[at, k]

    def information(self) -> np.ndarray:
        """Fisher information by logits, (K, K)."""
        likely = np.sqrt(self.left)[:, None] * self.shares
        out: np.ndarray = -(likely.T @ likely)  # BLAS knows it to be symmetric
        np.fill_diagonal(out, np.einsum("s,sk,sk->k", self.left, self.shares, self.others))
        return out

    def places(self) -> np.ndarray:
        """Probabilities of each item at each place, (place, item)."""
        chosen = self.left[:, None] * self.shares
        return np.array([chosen[self.sizes == s].sum(axis=0) for s in range(self.sizes[-1], 0, -1)])

    def entropy(self) -> float:
        """Of each choice, and summed over them."""
        from scipy.special import entr

        return float(np.sum(self.left * entr(self.shares).sum(axis=1)))


def most_likely_logits(
    logits: np.ndarray, x: np.ndarray, shares: np.ndarray, least: float
) -> np.ndarray:
    """Logits of the largest likelihood of weighted rankings x, (n, K).

    By Newton's method, from the present ones.  Of all logits only differences matter: the largest
    one stays, and of the others' weights none changes by more than ``least`` or its inverse.
    """
    logits, place = logits.copy(), np.argsort(x, axis=1)
    free = np.arange(len(logits)) != np.argmax(logits)
    ends = logits[free] + np.array([[1], [-1]]) * np.log(least)
    for _ in range(_ROUNDS):
        gradient, curvature = _slopes(np.exp(logits), x, place, shares)
        room = ends - logits[free]
        step = bounded_step(curvature[free][:, free], gradient[free], room)
        longest = np.abs(step).max(initial=0)
        logits[free] += step / max(longest, 1)
        if longest < _CLOSE:
            break
    return logits


def _slopes(
    weights: np.ndarray, x: np.ndarray, place: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean log-likelihood by logits, and minus its second derivatives.

    With w the weights and S the totals at places up to an item's own they are made of the
    means of ``w Σ 1/S``, and of ``w_i w_j Σ 1/S²`` up to the first of two.
    """
    inverse = 1 / np.cumsum(weights[x[:, ::-1]], axis=1)[:, ::-1]
    inverse[:, -1] = 0  # the last place is no choice
    once, twice = (
        np.take_along_axis(np.cumsum(inverse**power, axis=1), place, axis=1) for power in (1, 2)
    )
    passed = weights * np.einsum("n,nk->k", shares, once)
    both = [np.einsum("n,nk->k", shares, np.minimum(own[:, None], twice)) for own in twice.T]
    chosen = np.einsum("n,nk->k", shares, place < x.shape[1] - 1)
    return chosen - passed, np.diag(passed) - np.outer(weights, weights) * both


__all__ = ["Sets", "most_likely_logits"]
