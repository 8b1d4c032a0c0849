"""Rejection in bulk: candidates are proposed a run at a time, and moved up over the rejected."""

from __future__ import annotations

from typing import Any

from fastscore.engine.jit import plain
from fastscore.engine.memory import offset
from fastscore.engine.normals import CHUNK, MULTIPLE

#: Candidates of a run: `normals` of these leaves room for two more columns in the scratch.
RUN = CHUNK // 2


def sampler(propose: Any) -> Any:
    """Make ``sample(stream, scratch, out, count, law)``, which writes ``count`` draws to ``out``.

    ``propose(stream, scratch, candidates, length, law)`` writes a multiple of `MULTIPLE` of
    them, NaN in place of the rejected, and may use the first two columns of scratch meanwhile.
    """

    @plain
    def sample(stream, scratch, out, count, law):
        candidates, kept = offset(scratch, 2 * RUN), 0
        while kept < count:
            length = min(-(-(count - kept) // MULTIPLE) * MULTIPLE, RUN)
            propose(stream, scratch, candidates, length, law)
            for i in range(length):
                if kept == count:
                    break
                value = candidates[i]
                out[kept] = value
                kept += value == value

    return sample
