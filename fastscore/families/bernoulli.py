"""Independent coordinates of 0 or 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.checks import require
from fastscore.engine.blocks import ACCUMULATE, FINISH, LOG_PROBS, SAMPLE, SCORE
from fastscore.engine.jit import plain, reduction, tile_kernel
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    as_shorts,
    as_words,
    below_16,
    offset,
    vector,
)
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import LANES, fill_words
from fastscore.families._information import assembled
from fastscore.families._probability import Probability
from fastscore.families._support import Support
from fastscore.families._two_valued import RAW, taken, write_sums

# Rows of `packed`, d entries each.  The *rare* outcome is the less probable one: everything is
# counted by it, so that nothing is lost where the other's probability rounds to 1.
#: Samples that are drawn at a time.
_LANES = 16
_COMMON, _THRESHOLD, _REST, _ON, _OFF, _LOG_RARE, _LOG_COMMON = range(7)


@tile_kernel(SAMPLE)
def _sample(params, stream, scratch, x, rows, d, stride):
    words, need = as_words(scratch), -(-rows // _LANES) * _LANES // 4
    have = used = 0
    for k in range(d):
        if used + need > have:
            used, have = 0, min(CHUNK, (d - k) * need)
            fill_words(stream, words, -(-have // LANES) * LANES)
        draws, column = as_shorts(offset(words, used)), as_integers(offset(x, k * stride))
        common, threshold = int(params[_COMMON * d + k]), int(params[_THRESHOLD * d + k])
        ties = 0
        for t in range(0, rows, _LANES):
            ties |= below_16(offset(draws, t), threshold, common, offset(column, t))
        if ties != 0:
            rest = as_words(params)[_REST * d + k]
            _settle(draws, rows, threshold, rest, common, stream, offset(words, CHUNK), column)
        used += need


@plain
def _settle(draws, rows, threshold, rest, common, stream, word, column):
    """The threshold's further 64 bits decide ties, one draw in 65536."""
    for t in range(rows):
        if draws[t] == threshold:
            fill_words(stream, word, LANES)
            column[t] = common ^ (1 if word[0] < rest else 0)


@tile_kernel(LOG_PROBS)
def _log_probs(packed, columns, count, x, rows, d, stride, out):
    for j in range(count):
        params, log_prob = as_floats(packed[j]), vector(offset(out, columns[j] * stride), rows)
        for t in range(rows):
            log_prob[t] = 0.0
        for k in range(d):
            column = vector(as_integers(offset(x, k * stride)), rows)
            common = int(params[_COMMON * d + k])
            rare, other = params[_LOG_RARE * d + k], params[_LOG_COMMON * d + k]
            for t in range(rows):
                inside = rare if column[t] == 1 - common else -math.inf
                log_prob[t] += other if column[t] == common else inside


@tile_kernel(SCORE)
def _score(params, x, rows, d, stride, index, s):
    for k in range(d):
        column = vector(as_integers(offset(x, k * stride)), rows)
        common, on, off = int(params[_COMMON * d + k]), params[_ON * d + k], params[_OFF * d + k]
        score = vector(offset(s, index[k] * stride), rows)
        for t in range(rows):
            score[t] += off if column[t] == common else on


@tile_kernel(ACCUMULATE)
def _accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    f, ff = vector(w, rows), vector(ww, rows)
    for k in range(d):
        column = vector(as_integers(offset(x, k * stride)), rows)
        n, a, b = _rare_sums(column, f, ff, rows, int(params[_COMMON * d + k]))
        sums[RAW * k] += n
        sums[RAW * k + 1] += a
        sums[RAW * k + 2] += b


@reduction
def _rare_sums(column, w, ww, rows, common):
    n = 0
    a = b = 0.0
    for t in range(rows):
        rare = column[t] != common
        n += 1 if rare else 0
        a += w[t] if rare else 0.0
        b += ww[t] if rare else 0.0
    return n, a, b


@tile_kernel(FINISH)
def _finish(params, count, sum_w, sum_ww, sums, d, size):
    raw = taken(sums, size)
    for k in range(d):
        n, w, ww = raw[RAW * k], raw[RAW * k + 1], raw[RAW * k + 2]
        write_sums(
            sums, size, k, n, w, ww, count - n, sum_w - w, sum_ww - ww,
            params[_ON * d + k], params[_OFF * d + k],
        )  # fmt: skip


class Bernoulli(Probability):
    """Independent coordinates that are 1 with probability ``probs``, else 0.

    Parameters
    ----------
    probs : array_like
        Probabilities of 1, of shape (d,), or a scalar for a single coordinate.
    logits : array_like
        Their log-odds ``log(p/(1 − p))``, in place of ``probs``.

    Raises
    ------
    ValueError
        If a probability is not between 0 and 1, or a logit is not finite.  A probability of 0 or
        1 can be sampled from; its score does not exist, and asking for a gradient raises.

    Notes
    -----
    Density
        ``p`` at 1, ``1 − p`` at 0.
    Score
        ``(x − p)/(p (1 − p))``; by the logit ``x − p``.
    Fisher information
        Diagonal, ``1/(p (1 − p))``; by the logit ``p (1 − p)``.
    Sampler
        Probabilities are met to 80 bits, so that rare events are not distorted: 16 random bits
        decide unless they tie.
    """

    sample_kernel = _sample
    score_kernel = _score
    log_probs_kernel = _log_probs
    accumulate_kernel = _accumulate
    finish_kernel = _finish
    dtype = np.int64

    def __init__(self, probs: Any = None, *, logits: Any = None) -> None:
        self._set_probability(probs, logits)

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        p, q = self._p, self._q
        with np.errstate(divide="ignore", over="ignore"):
            score = (1 / p, -1 / q) if "probs" in self.parameters else (q, -p)
        common = (p > 0.5).astype(float)
        rare = np.where(common, q, p)
        threshold = np.floor(rare * 2.0**16)
        rest = ((rare * 2.0**16 - threshold) * 2.0**64).astype(np.uint64)

        def by_outcome(one: np.ndarray, zero: np.ndarray) -> list[np.ndarray]:
            return [np.where(common, zero, one), np.where(common, one, zero)]

        tables = (*by_outcome(*score), *by_outcome(self._log_p, self._log_q))
        return np.concatenate([common, threshold - 2.0**15, rest.view(np.float64), *tables])

    def fisher(self) -> Any:
        """Fisher information, (P, P): ``p (1 − p)`` by logits, its inverse by probabilities.

        Sparse beyond 4,096 parameter entries.
        """
        self.require_score()
        blocks = [[self.variance * self._unit**2]]
        return assembled(blocks, self.index.reshape(1, self.d), self.size)

    @property
    def mean(self) -> np.ndarray:
        """Probabilities of 1, p."""
        return self._p.copy()

    @property
    def variance(self) -> np.ndarray:
        """``p (1 − p)``."""
        return self._p * self._q

    def entropy(self) -> float:
        """``−Σ p log p + (1 − p) log(1 − p)``."""
        from scipy.special import entr

        return float(np.sum(entr(self._p) + entr(self._q)))

    def support(self, most: int) -> np.ndarray:
        """All ``2**d`` outcomes, of shape (2**d, d)."""
        if self.d > 62 or 2**self.d > most:
            raise ValueError(
                f"Bernoulli of d = {self.d} has 2**{self.d} outcomes, of {most} at most"
            )
        return np.arange(2**self.d)[:, None] >> np.arange(self.d)[::-1] & 1

    @property
    def support_set(self) -> Support:
        """0 and 1, without an outcome of probability 0."""
        return Support.integers(self.d, 0, 1, np.argwhere(np.column_stack([self._q, self._p]) == 0))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        failures, successes = (np.einsum("n,nk->k", shares, x == outcome) for outcome in (0, 1))
        return self._fit_probability(failures, successes, least)

    def _as_samples(self, x: Any) -> np.ndarray:
        samples = super()._as_samples(x)
        require("x", samples, (samples == 0) | (samples == 1), "0 or 1")
        return samples


__all__ = ["Bernoulli"]
