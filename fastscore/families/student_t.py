"""Independent Student's t coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import fill_words
from fastscore.engine.vecmath import ATANH_LIMIT, atanh_tail, expm1, log, minus_log, quarter_turns
from fastscore.families._coordinates import Coordinates
from fastscore.families._family import Source
from fastscore.families._parameters import positive, real
from fastscore.families._special import half_digamma_step, half_gamma_step, student_information

_HALF = CHUNK // 2
#: Beyond it, z is larger by far than √df, and its square could overflow.
_FAR = 1e140
#: Of a smaller df, a draw may overflow: the largest of −log u is 36.04.
_FEWEST = 0.11


@elementwise
def _sample(stream, scratch, x, count, df, loc, scale):
    """Bailey (1994): the polar method, with the radius of a bivariate t.

    Both of its coordinates are Student's t but not independent: one is used.
    """
    words, turns = as_words(scratch), offset(as_words(scratch), _HALF)
    for start in range(0, count, _HALF):
        length = min(_HALF, count - start)
        out = vector(offset(x, start), length)
        fill_words(stream, words, CHUNK)
        _radii(vector(words, length), out, length, df, scale)
        _project(vector(turns, length), out, length, loc)


@elementwise
def _radii(words, out, count, df, scale):
    """``√(df (u^(−2/df) − 1))``, at most e³⁵⁴."""
    power = 2.0 / df
    for i in range(count):
        out[i] = scale * math.sqrt(df * expm1(min(power * minus_log(words[i]), 709.0)))


@elementwise
def _project(words, out, count, loc):
    for i in range(count):
        out[i] = loc + out[i] * quarter_turns(words[i])[0]


@inlined
def tail(z, inverse):
    """``log(1 + q)``, ``q/(1 + q)`` and the difference of both, q = z²/df."""
    size = min(abs(z), _FAR)
    q = size * size * inverse
    share = 1.0 / (1.0 + 1.0 / q)
    far = abs(z) > _FAR
    s = q / (2.0 + q)
    square = s * s
    rest = s * square * atanh_tail(square)
    value = log(abs(z) if far else 1.0 + q)
    value = 2.0 * value + log(inverse) if far else value
    near = s < ATANH_LIMIT
    return (2.0 * s + rest if near else value), share, (s * share + rest if near else value - share)


@inlined
def _score(x, df, inverse, loc, scale, step, by_df, by_scale):
    z = (x - loc) / scale
    _, share, rest = tail(z, inverse)
    return scores_of(z, share, rest, df, inverse, scale, step, by_df, by_scale)


@inlined
def scores_of(z, share, rest, df, inverse, scale, step, by_df, by_scale):
    """The scores of a z whose `tail` is known."""
    size = min(abs(z), _FAR)
    return (
        0.5 * (step + share * inverse - rest) * by_df,
        (df + 1.0) / (df / z + z) / scale,
        (size - 1.0) * (size + 1.0) / (1.0 + size * size * inverse) * by_scale,
    )


@inlined
def _log_density(x, df, inverse, loc, scale, constant):
    logarithm, _, _ = tail((x - loc) / scale, inverse)
    return constant - 0.5 * (df + 1.0) * logarithm


class StudentT(
    Coordinates, scores=3,
    fields=("df", "inverse", "loc", "scale", "step", "constant", "by_df", "by_scale"),
    sample=_sample, score=_score, log_density=_log_density,
):  # fmt: skip
    """Independent Student's t, ``x_k = loc_k + scale_k t_k``.

    Parameters
    ----------
    df : array_like
        Degrees of freedom, positive, of shape (d,), or a scalar shared by all coordinates.
    loc : array_like
        Medians, of the same shape or a scalar.
    scale : array_like
        Positive, of the same shape or a scalar; 1 by default.
    log_df, log_scale : array_like
        Logarithms, in place of ``df`` and ``scale``.

    Raises
    ------
    ValueError
        If a parameter is not finite, df or scale is not positive, or shapes differ.

    Notes
    -----
    Density
        ``Γ(h)/(Γ(df/2) √(π df) scale) (1 + z²/df)^−h``, z being ``(x − loc)/scale`` and h
        ``(df + 1)/2``.
    Score
        ``(ψ(h) − ψ(df/2) − log(1 + z²/df) + (z² − 1)/(df + z²))/2`` by df,
        ``(df + 1) z/(df + z²)/scale`` by loc, ``df (z² − 1)/(df + z²)/scale`` by scale; by the
        logarithms times df and scale.
    Fisher information
        ``(ψ′(df/2) − ψ′(h))/4 − (df + 5)/(2 df (df + 1) (df + 3))`` of df, and with scale
        ``−2/(scale (df + 1) (df + 3))``; ``(df + 1)/(df + 3)/scale²`` of loc, and
        ``2 df/(df + 3)/scale²`` of scale.
    Sampler
        Bailey's (1994) polar method, tails right to 2^-52.  If a df is below 0.11, arsinh x is
        drawn and kept: where x overflows, f sees infinity, and the score is exact.

    There is no mean up to a df of 1, and no finite variance up to one of 2.
    """

    def __init__(
        self,
        df: Any = None,
        loc: Any = 0.0,
        scale: Any = None,
        *,
        log_df: Any = None,
        log_scale: Any = None,
    ) -> None:
        if scale is None and log_scale is None:
            scale = 1.0
        self._df, loc, self._scale = self._set(
            positive("StudentT", "df", df, log_df),
            real("loc", loc),
            positive("StudentT", "scale", scale, log_scale),
        )
        self._loc = loc.value

    def _record(self) -> dict[str, Any]:
        (df, by_df), (scale, by_scale) = self._df, self._scale
        return {
            "df": df, "inverse": 1 / df, "loc": self._loc, "scale": scale, "by_df": df * by_df,
            "by_scale": by_scale, "step": half_digamma_step(df),
            "constant": half_gamma_step(df) - 0.5 * np.log(2 * np.pi) - np.log(scale),
        }  # fmt: skip

    def _information(self) -> Any:
        (df, by_df), (scale, by_scale) = self._df, self._scale
        by_df = df * by_df
        cross = -2 / ((df + 1) * (df + 3)) * by_df * by_scale
        return [
            [student_information(df) * by_df**2, 0, cross],
            [0, (df + 1) / (df + 3) / scale**2, 0],
            [cross, 0, 2 * df / (df + 3) * by_scale**2],
        ]

    @property
    def source(self) -> Source:
        """Area hyperbolic sines, where a sample could overflow."""
        if np.all(self._df.value >= _FEWEST):
            return super().source
        from fastscore.families._arsinh_student_t import SINH

        return Source(self._arsinh, SINH.forward_kernel)

    @cached
    def _arsinh(self) -> Any:
        from fastscore.families._arsinh_student_t import ArsinhStudentT

        return ArsinhStudentT(**self.parameters)

    @property
    def mean(self) -> np.ndarray:
        """``loc`` if df is above 1, otherwise NaN: there is none."""
        return np.where(self._df.value > 1, self._loc, np.nan)

    @property
    def variance(self) -> np.ndarray:
        """``scale² df/(df − 2)``; infinity for df up to 2, NaN up to 1."""
        df = self._df.value
        finite = self._scale.value**2 * df / np.where(df > 2, df - 2, 1)
        return np.where(df > 2, finite, np.where(df > 1, np.inf, np.nan))

    def entropy(self) -> float:
        """``Σ log(scale √df B(df/2, 1/2)) + h(df) (df + 1)/2``."""
        (df, _), (scale, _) = self._df, self._scale
        height = half_gamma_step(df) - 0.5 * np.log(2 * np.pi) - np.log(scale)
        return float(np.sum((df + 1) / 2 * (half_digamma_step(df) + 1 / df) - height))


__all__ = ["StudentT", "scores_of", "tail"]
