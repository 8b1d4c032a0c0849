"""Variables with one of K classes each."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.alias import ENTRY, alias_table, draw_classes
from fastscore.engine.blocks import ACCUMULATE, FINISH, LOG_PROBS, SAMPLE, SCORE
from fastscore.engine.jit import plain, tile_kernel
from fastscore.engine.memory import add_three, as_floats, as_integers, as_words, offset, vector
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import LANES, fill_words
from fastscore.families._family import Family
from fastscore.families._fitting import probabilities
from fastscore.families._information import block_diagonal
from fastscore.families._support import Support
from fastscore.families._two_valued import FAINTEST, RAW, taken, write_sums

#: Larger weights would overflow in their sum.
_LARGEST = 1e300
# `packed` has on, off and log-probability of each class of each variable, then the alias tables.
_ON, _OFF, _LOG_PROB, _ALIAS = range(4)


@tile_kernel(SAMPLE)
def _sample(params, stream, scratch, x, rows, d, stride):
    words, size = as_words(scratch), int(params[0])
    classes = size // d
    for k in range(d):
        table = as_words(offset(params, 1 + _ALIAS * size + ENTRY * k * classes))
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            fill_words(stream, words, -(-count // LANES) * LANES)
            draw_classes(words, table, classes, count, as_integers(offset(x, k * stride + start)))


@tile_kernel(LOG_PROBS)
def _log_probs(packed, columns, count, x, rows, d, stride, out):
    for j in range(count):
        params, log_prob = as_floats(packed[j]), offset(out, columns[j] * stride)
        size = int(params[0])
        classes = size // d
        for t in range(rows):
            log_prob[t] = 0.0
        for k in range(d):
            column = as_integers(offset(x, k * stride))
            log_probs = offset(params, 1 + _LOG_PROB * size + k * classes)
            for t in range(rows):
                a = column[t]
                log_prob[t] += log_probs[a] if 0 <= a < classes else -math.inf


@tile_kernel(SCORE)
def _score(params, x, rows, d, stride, index, s):
    size = int(params[0])
    on, off = offset(params, 1), offset(params, 1 + size)
    for j in range(size):
        column = vector(as_integers(offset(x, j // (size // d) * stride)), rows)
        score = vector(offset(s, index[j] * stride), rows)
        for t in range(rows):
            score[t] += on[j] if column[t] == j % (size // d) else off[j]


@tile_kernel(ACCUMULATE)
def _accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    for k in range(d):
        column = as_integers(offset(x, k * stride))
        _add_by_class(column, w, rows, offset(sums, RAW * k * (size // d)))


@plain
def _add_by_class(column, w, rows, raw):
    """To each sample's class: 1, w and w²."""
    for t in range(rows):
        value = w[t]
        add_three(offset(raw, RAW * column[t]), 1.0, value, value * value)


@tile_kernel(FINISH)
def _finish(params, count, sum_w, sum_ww, sums, d, size):
    on, off, classes = offset(params, 1), offset(params, 1 + size), size // d
    raw = taken(sums, size)
    for k in range(d):
        first = k * classes
        top = first
        for j in range(first, first + classes):
            top = j if raw[RAW * j] > raw[RAW * top] else top
            n, w, ww = raw[RAW * j], raw[RAW * j + 1], raw[RAW * j + 2]
            write_sums(sums, size, j, n, w, ww, count - n, sum_w - w, sum_ww - ww, on[j], off[j])
        # Of the commonest class the others are added up: a difference would lose their digits.
        n = w = ww = 0.0
        for j in range(first, first + classes):
            if j != top:
                n, w, ww = n + raw[RAW * j], w + raw[RAW * j + 1], ww + raw[RAW * j + 2]
        write_sums(
            sums, size, top, raw[RAW * top], raw[RAW * top + 1], raw[RAW * top + 2], n, w, ww,
            on[top], off[top],
        )  # fmt: skip


class Categorical(Family):
    """One variable of K classes, or d independent ones; x holds the class, from 0 to K − 1.

    Parameters
    ----------
    probs : array_like
        Probabilities of the classes, of shape (K,), or (d, K) for d variables.  As in torch they
        are weights: not negative, and divided by their sum.
    logits : array_like
        Log-weights in place of ``probs``; ``-inf`` excludes a class.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or those of a variable are all 0.  A weight of 0 can
        be sampled from; its score does not exist, and asking for a gradient raises.

    Notes
    -----
    With p the probabilities and S the sum of ``probs``, the score at class a is
    ``1[a = k] − p_k`` by logit k, and ``(1[a = k]/p_k − 1)/S`` by probability k.  The Fisher
    information by logits, ``diag(p) − p pᵀ``, is singular: adding a constant to all logits changes
    nothing.
    """

    sample_kernel = _sample
    score_kernel = _score
    log_probs_kernel = _log_probs
    accumulate_kernel = _accumulate
    finish_kernel = _finish
    dtype = np.int64

    def __init__(self, probs: Any = None, *, logits: Any = None) -> None:
        name, value = checks.exactly_one("Categorical", probs=probs, logits=logits)
        given = checks.parameter(name, value, least=-np.inf if name == "logits" else None)
        if given.ndim not in (1, 2):
            raise ValueError(
                f"{name} has shape {given.shape}: give (K,) for one variable of K classes, or "
                "(d, K) for d of them"
            )
        if name == "probs":
            checks.require("probs", given, given >= 0, "not negative")
            checks.require("probs", given, given < _LARGEST, f"below {_LARGEST}")
            with np.errstate(divide="ignore"):
                weights = np.log(given)
        else:
            weights = given
        rows = weights.reshape(-1, given.shape[-1])
        if np.isneginf(rows).all(axis=1).any():
            raise ValueError(f"{name} excludes every class of a variable: give one that can occur")
        self.parameters = MappingProxyType({name: given})
        self.d, self.classes = rows.shape
        self.size = given.size
        self.index = np.arange(self.size)
        from scipy.special import log_softmax

        with np.errstate(over="ignore"):
            self._log_probs = log_softmax(rows, axis=1)
        self._probs = np.exp(self._log_probs)

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        on, off = self._complements(), -self._probs
        if "probs" in self.parameters:
            total = self.parameters["probs"].reshape(self.d, -1).sum(axis=1, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                on, off = on / self._probs / total, np.broadcast_to(-1 / total, off.shape)
        tables = np.empty((self.d, ENTRY * self.classes), np.uint64)
        for probs, table in zip(self._probs, tables, strict=True):
            alias_table(probs, table)
        parts = (on, off, self._log_probs, tables.view(np.float64))
        return np.concatenate([[self.size], *(part.ravel() for part in parts)])

    def _complements(self) -> np.ndarray:
        """``1 − p``; of the most probable class as a sum, since its p may round to 1."""
        rest = 1 - self._probs
        top = self._probs.argmax(axis=1)
        others = self._probs.copy()
        np.put_along_axis(others, top[:, None], 0.0, axis=1)
        np.put_along_axis(rest, top[:, None], others.sum(axis=1)[:, None], axis=1)
        return rest

    def require_score(self) -> None:
        """Raise a ValueError at a probability of 0, which has no score."""
        if "probs" in self.parameters:
            probs = self.parameters["probs"]
            faint = (probs <= FAINTEST) | (self._probs.reshape(probs.shape) <= FAINTEST)
            checks.require(
                "probs", probs, ~faint,
                f"above {FAINTEST}, also of the sum, for its score to exist (logits=-inf excludes "
                "a class, with gradient 0)",
            )  # fmt: skip

    def fisher(self) -> Any:
        """Fisher information, (P, P), a block for each variable; singular by logits and probs.

        Sparse beyond 4,096 parameter entries.
        """
        self.require_score()
        blocks = []
        ((name, given),) = self.parameters.items()
        by_logit, weights = name == "logits", given.reshape(self.d, -1)
        for k, (p, rest) in enumerate(zip(self._probs, self._complements(), strict=True)):
            block = -np.outer(p, p)
            np.fill_diagonal(block, p * rest)
            # By weights θ with p = θ/S: ∂ log p_a/∂θ = (∂ by log θ)/θ.
            blocks.append(block if by_logit else block / np.outer(weights[k], weights[k]))
        return block_diagonal(blocks, self.size)

    @property
    def mean(self) -> np.ndarray:
        """Mean class of each variable."""
        return self._probs @ np.arange(self.classes)

    @property
    def variance(self) -> np.ndarray:
        """Variance of the class of each variable."""
        about = np.arange(self.classes) - self.mean[:, None]
        return np.sum(self._probs * about**2, axis=1)

    def entropy(self) -> float:
        """``−Σ p log p``."""
        from scipy.special import entr

        return float(np.sum(entr(self._probs)))

    def support(self, most: int) -> np.ndarray:
        """All ``K**d`` outcomes, of shape (K**d, d)."""
        if self.classes**self.d > most:
            raise ValueError(
                f"Categorical of {self.d} variables with {self.classes} classes has "
                f"{self.classes}**{self.d} outcomes, of {most} at most"
            )
        grid = np.indices((self.classes,) * self.d, dtype=np.int64)
        return grid.reshape(self.d, -1).T

    @property
    def support_set(self) -> Support:
        """The classes of each variable whose probability is not 0."""
        return Support.integers(self.d, 0, self.classes - 1, np.argwhere(self._probs == 0))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        counted = [np.bincount(column, shares, minlength=self.classes) for column in x.T]
        fitted = probabilities(np.array(counted), self._probs, least)
        if "probs" in self.parameters:
            return {"probs": fitted}
        with np.errstate(divide="ignore"):
            return {"logits": np.log(fitted)}

    def _as_samples(self, x: Any) -> np.ndarray:
        samples = super()._as_samples(x)
        inside = (samples >= 0) & (samples < self.classes)
        checks.require("x", samples, inside, f"a class from 0 to {self.classes - 1}")
        return samples


__all__ = ["Categorical"]
