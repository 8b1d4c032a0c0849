"""Kernels of counts of which some are 0 for another reason, around those of the base."""

from __future__ import annotations

import numpy as np

from fastscore.engine.blocks import (
    LOG_PROBS,
    SAMPLE,
    SCORE,
    log_probs_tile,
    sample_tile,
    score_tile,
)
from fastscore.engine.jit import elementwise, plain, tile_kernel
from fastscore.engine.memory import as_floats, as_integers, as_words, offset, pointer, vector
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import LANES, fill_words
from fastscore.engine.vecmath import as_float
from fastscore.families._coordinates import HEADER

# A record has addresses of the base's kernels and of its coordinate, the number of its parameters,
# and a column's number, 0; of a fraction of 2^63 so many are zeros; the base's
# largest outcome; then what is at 0, and else.
FIELDS = (
    "sample_at", "score_at", "log_probs_at", "law_at", "own", "column", "zeros",
    "high", "log_zero", "gate_zero", "share", "log_other", "gate_other",
)  # fmt: skip
(_SAMPLE_AT, _SCORE_AT, _LOG_PROBS_AT, _LAW_AT, _OWN, _COLUMN, _ZEROS,
 _HIGH, _LOG_ZERO, _GATE_ZERO, _SHARE, _LOG_OTHER, _GATE_OTHER) = range(len(FIELDS))  # fmt: skip
_LENGTH = len(FIELDS)
_1 = np.uint64(1)


@plain
def _record(params, k):
    return offset(params, HEADER + k * _LENGTH)


@tile_kernel(SAMPLE)
def sample(params, stream, scratch, x, rows, d, stride):
    """The base's counts, some of them blanked."""
    for k in range(d):
        record, column = as_integers(_record(params, k)), offset(x, k * stride)
        law = as_floats(record[_LAW_AT])
        sample_tile(record[_SAMPLE_AT], (law, stream, scratch, column, rows, 1, stride))
        for start in range(0, rows, CHUNK):
            length = min(CHUNK, rows - start)
            fill_words(stream, as_words(scratch), -(-length // LANES) * LANES)
            _blank(
                vector(as_words(scratch), length), np.uint64(record[_ZEROS]),
                vector(as_integers(offset(column, start)), length), length,
            )  # fmt: skip


@elementwise
def _blank(words, zeros, x, count):
    for t in range(count):
        x[t] = 0 if words[t] >> _1 < zeros else x[t]


@tile_kernel(LOG_PROBS)
def log_probs(packed, columns, count, x, rows, d, stride, out):
    """The base's, a coordinate at a time; of 0 the gate's share is in it."""
    own = np.empty(rows)
    for j in range(count):
        total = vector(offset(out, columns[j] * stride), rows)
        total[:] = 0.0
        for k in range(d):
            record = _record(as_floats(packed[j]), k)
            at, column = as_integers(record), offset(x, k * stride)
            law, zero = offset(at, _LAW_AT), offset(at, _COLUMN)
            log_probs_tile(at[_LOG_PROBS_AT], (law, zero, 1, column, rows, 1, stride, pointer(own)))
            _add_log(
                vector(as_integers(column), rows), own, total, rows, record[_LOG_ZERO],
                record[_LOG_OTHER],
            )  # fmt: skip
    own[:] = 0.0  # it had to live until here


@elementwise
def _add_log(x, own, total, rows, at_zero, other):
    for t in range(rows):
        total[t] += at_zero if x[t] == 0 else own[t] + other


@tile_kernel(SCORE)
def score(params, x, rows, d, stride, index, s):
    """The gate's, and the base's by its share at 0."""
    count = as_integers(_record(params, 0))[_OWN]
    buffer, which = np.empty((count, stride)), np.arange(count)
    for k in range(d):
        record, at = _record(params, k), as_integers(_record(params, k))
        column, law = offset(x, k * stride), as_floats(at[_LAW_AT])
        values = vector(as_integers(column), rows)
        buffer[:, :rows] = 0.0
        score_tile(at[_SCORE_AT], (law, column, rows, 1, stride, pointer(which), pointer(buffer)))
        _add_gate(
            values, vector(offset(s, index[k] * stride), rows), rows, record[_HIGH],
            record[_GATE_ZERO], record[_GATE_OTHER],
        )  # fmt: skip
        for j in range(count):
            target = vector(offset(s, index[(j + 1) * d + k] * stride), rows)
            _add_share(values, buffer[j], target, rows, record[_SHARE])
    which[:] = 0


@elementwise
def _add_gate(x, target, rows, high, at_zero, other):
    for t in range(rows):
        value = as_float(x[t])
        score = at_zero if value == 0.0 else other
        target[t] += score if (value >= 0.0) & (value <= high) else 0.0


@elementwise
def _add_share(x, score, target, rows, share):
    for t in range(rows):
        target[t] += score[t] * (share if x[t] == 0 else 1.0)
