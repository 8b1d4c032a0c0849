"""Values of classes, and classes of values, by a table that all columns of a tile share."""

from __future__ import annotations

import numpy as np

from fastscore.engine.blocks import FORWARD, INVERSE
from fastscore.engine.jit import tile_kernel
from fastscore.engine.memory import as_integers, offset


def table(values: np.ndarray) -> np.ndarray:
    """What the kernels read: how many values, they by class, and sorted by their bits with the
    class of each.  Known by their bits, floats and integers are alike."""
    bits = values.view(np.int64)
    order = np.argsort(bits)
    return np.concatenate([[len(bits)], bits, bits[order], order]).view(np.float64)


@tile_kernel(FORWARD)
def values_of(params, z, rows, d, stride, x):
    """The value of each class."""
    values = offset(as_integers(params), 1)
    for k in range(d):
        classes, out = as_integers(offset(z, k * stride)), as_integers(offset(x, k * stride))
        for t in range(rows):
            out[t] = values[classes[t]]


@tile_kernel(INVERSE)
def classes_of(params, x, rows, d, stride, z, log_det):
    """The class of each value, −1 of one that is not in the table: it has probability 0."""
    size, first = as_integers(params)[0], np.empty(rows, np.int64)
    ordered = offset(as_integers(params), 1 + size)
    classes = offset(ordered, size)
    for k in range(d):
        values, out = as_integers(offset(x, k * stride)), as_integers(offset(z, k * stride))
        first[:] = 0
        left = size
        while left > 1:  # all rows take a step of the search at once, without a branch
            half = left // 2
            for t in range(rows):
                first[t] += half * np.int64(ordered[first[t] + half] <= values[t])
            left -= half
        for t in range(rows):
            out[t] = classes[first[t]] if ordered[first[t]] == values[t] else -1


__all__ = ["classes_of", "table", "values_of"]
