"""Truncated normals in bulk, by rejection from exponentials on either side of the mode."""

from __future__ import annotations

import math

import numpy as np

from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.rejection import RUN, sampler
from fastscore.engine.streams import fill_words
from fastscore.engine.vecmath import exp_below, log1p, one_and_fraction


def hat(slope: np.ndarray, below: np.ndarray, above: np.ndarray) -> dict[str, np.ndarray]:
    """What candidates are drawn from, by side of the mode: ``exp(touch²/2 − rate t)``.

    It is the tangent of ``−slope t − t²/2``, which is concave, at touch.  There the mean of the
    exponential lies, about half of a narrow width, or else, by Robert (1995), where the area is
    least.  A candidate is taken with probability ``exp(−(t − touch)²/2)``: 3 in 4, or more.

    Parameters
    ----------
    slope : ndarray
        Of minus the log-density at the mode, in units of scale; not negative.
    below, above : ndarray
        From the mode to the bounds, in units of scale.

    Returns
    -------
    dict
        Of each side rate, touch, and the reach, the part of a whole exponential; and the share of
        the area below the mode.
    """
    fields: dict[str, np.ndarray] = {}
    areas = []
    for name, width in (("below", below), ("above", above)):
        touch = np.minimum(2 / (slope + np.hypot(slope, 2)), width / 2)
        rate = slope + touch
        with np.errstate(invalid="ignore"):
            reach = -np.expm1(-rate * width)
            area = np.exp(touch**2 / 2) * reach / rate
        fields |= {f"rate_{name}": rate, f"reach_{name}": reach, f"touch_{name}": touch}
        areas.append(np.where(width > 0, area, 0.0))
    return {**fields, "share": areas[0] / (areas[0] + areas[1])}


@plain
def _propose(stream, scratch, out, count, law):
    words, others = as_words(scratch), offset(as_words(scratch), RUN)
    fill_words(stream, words, count)
    fill_words(stream, others, count)
    _place(vector(words, count), vector(others, count), vector(out, count), count, law)


@elementwise
def _place(words, others, out, count, law):
    mode, scale, low, high, share, below, above = law
    for i in range(count):
        choice = one_and_fraction(words[i]) - 1.0
        left = choice < share
        rate = below[0] if left else above[0]
        reach = below[1] if left else above[1]
        touch = below[2] if left else above[2]
        fraction = one_and_fraction(others[i]) - (1.0 - 2.0**-53)
        t = -log1p(-reach * fraction) / rate
        off = t - touch
        chance = exp_below(-0.5 * off * off) * (share if left else 1.0 - share)
        step = scale * t
        x = mode - step if left else mode + step
        taken = (choice if left else 1.0 - choice) < chance
        out[i] = min(max(x, low), high) if taken else math.nan


_draw = sampler(_propose)


@plain
def truncated_normals(
    stream, scratch, out, count, mode, scale, low, high, share,
    rate_below, reach_below, touch_below, rate_above, reach_above, touch_above,
):  # fmt: skip
    """Write ``count`` draws to ``out``, with a `hat`."""
    below, above = (rate_below, reach_below, touch_below), (rate_above, reach_above, touch_above)
    _draw(stream, scratch, out, count, (mode, scale, low, high, share, below, above))
