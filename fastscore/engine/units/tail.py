"""The largest of many values, in bounded memory: a heap whose root is the least of those kept."""

from __future__ import annotations

from fastscore.engine.jit import plain


@plain
def keep_largest(values, rows, top, tail, most):
    """Keep the ``most`` largest values that were met, as a heap: ``tail`` has their number, then
    them, the least first."""
    if int(tail[0]) == most and not top > tail[1]:
        return
    for t in range(rows):
        if int(tail[0]) < most:
            tail[0] += 1.0
            _sift_up(tail, int(tail[0]), values[t])
        elif values[t] > tail[1]:
            _sift_down(tail, most, values[t])


@plain
def _sift_up(tail, at, value):
    while at > 1 and tail[at // 2] > value:
        tail[at] = tail[at // 2]
        at //= 2
    tail[at] = value


@plain
def _sift_down(tail, count, value):
    at = 1
    while 2 * at <= count:
        child = 2 * at
        if child < count and tail[child + 1] < tail[child]:
            child += 1
        if not tail[child] < value:
            break
        tail[at] = tail[child]
        at = child
    tail[at] = value
