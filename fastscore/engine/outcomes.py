"""Log-probabilities and scores of given outcomes, of one coordinate at a time."""

from __future__ import annotations

import numpy as np

from fastscore.engine.blocks import log_probs_tile, score_tile
from fastscore.engine.jit import entry
from fastscore.engine.memory import as_floats, offset, pointer


@entry
def of_each(score_at, log_probs_at, laws_at, x, log_probs, scores):
    """Write those of outcomes x (M,) to log_probs (d, M) and scores (d, C, M).

    ``laws_at`` are the addresses, (d,), of what the kernels take for the parameters of a family of
    one coordinate.
    """
    rows, which, none = len(x), np.arange(scores.shape[1]), np.zeros(1, np.int64)
    scores[:] = 0.0
    for k in range(len(laws_at)):
        score_tile(
            score_at,
            (as_floats(laws_at[k]), as_floats(pointer(x)), rows, 1, rows, pointer(which),
             pointer(scores[k])),
        )  # fmt: skip
        log_probs_tile(
            log_probs_at,
            (offset(pointer(laws_at), k), pointer(none), 1, as_floats(pointer(x)), rows, 1, rows,
             pointer(log_probs[k])),
        )  # fmt: skip
    which[0] = none[0] = 0  # they had to live until here
