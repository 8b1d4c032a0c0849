"""Kernels of rankings of items by their weights."""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.blocks import LOG_PROBS, SAMPLE, SCORE
from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.races import races
from fastscore.engine.vecmath import log1p

# What they read has the weight of each item relative to the largest, and ∂ logit/∂ parameter.


@tile_kernel(SAMPLE)
def sample(params, stream, scratch, x, rows, d, stride):
    """The weights are rates of a race."""
    races(stream, scratch, x, rows, d, stride, params)


@tile_kernel(SCORE)
def score(params, x, rows, d, stride, index, s):
    """``1 − w Σ 1/S`` of an item, over the totals S of what is left up to its own place.

    The last of the terms is with the 1: S − w, what is left behind it, is a sum too.
    """
    rest, passed = np.zeros((d + 1, rows)), np.zeros(rows)
    weight, value = np.empty((d, rows)), np.empty(rows)
    for k in range(d - 1, -1, -1):
        items = vector(as_integers(offset(x, k * stride)), rows)
        for t in range(rows):
            weight[k, t] = params[items[t]]
        _add(rest[k + 1], weight[k], rows, rest[k])
    for k in range(d):
        _take_place(rest[k], rest[k + 1], weight[k], rows, passed, value)
        items = vector(as_integers(offset(x, k * stride)), rows)
        for t in range(rows):
            item = items[t]
            s[index[item] * stride + t] += value[t] * params[d + item]


@elementwise
def _add(one, other, rows, out):
    for t in range(rows):
        out[t] = one[t] + other[t]


@elementwise
def _take_place(total, behind, weight, rows, passed, out):
    for t in range(rows):
        inverse = 1.0 / total[t]
        out[t] = behind[t] * inverse - weight[t] * passed[t]
        passed[t] += inverse


@tile_kernel(LOG_PROBS)
def log_probs(packed, columns, count, x, rows, d, stride, out):
    """``Σ log w/S``, S being the total of what is left, the item's own weight included."""
    possible, rest, weight = np.empty(rows), np.empty(rows), np.empty(rows)
    _find_rankings(x, rows, d, stride, possible)
    for j in range(count):
        log_prob = vector(offset(out, columns[j] * stride), rows)
        log_prob[:] = possible
        rest[:] = 0.0
        for k in range(d - 1, -1, -1):
            items, weights = as_integers(offset(x, k * stride)), as_floats(packed[j])
            for t in range(rows):
                weight[t] = weights[items[t] if 0 <= items[t] < d else 0]
            _add_log_share(weight, rows, rest, log_prob)


@plain
def _find_rankings(x, rows, d, stride, out):
    """0 where each item comes once, else minus infinity."""
    seen = np.zeros((d, rows), np.bool_)
    for k in range(d):
        items = as_integers(offset(x, k * stride))
        for t in range(rows):
            if 0 <= items[t] < d:
                seen[items[t], t] = True
    out[:] = 0.0
    for k in range(d):
        for t in range(rows):
            out[t] = out[t] if seen[k, t] else -math.inf


@elementwise
def _add_log_share(weight, rows, rest, log_prob):
    """``log w/(w + rest)``."""
    for t in range(rows):
        log_prob[t] -= log1p(rest[t] / weight[t])
        rest[t] += weight[t]


__all__ = ["log_probs", "sample", "score"]
