"""Independent Student's t coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine.jit import inlined
from fastscore.engine.students import FAR, FEWEST, students, tail
from fastscore.families._coordinates import Coordinates
from fastscore.families._parameters import positive, real
from fastscore.families._special import half_digamma_step, half_gamma_step, student_information


@inlined
def _score(x, df, inverse, loc, scale, step, by_df, by_scale):
    z = (x - loc) / scale
    _, share, rest = tail(z, inverse)
    return scores_of(z, share, rest, df, inverse, scale, step, by_df, by_scale)


@inlined
def scores_of(z, share, rest, df, inverse, scale, step, by_df, by_scale):
    """The scores of a z whose `tail` is known."""
    size = min(abs(z), FAR)
    return (
        0.5 * (step + share * inverse - rest) * by_df,
        (df + 1.0) / (df / z + z) / scale,
        (size - 1.0) * (size + 1.0) / (1.0 + size * size * inverse) * by_scale,
    )


@inlined
def _log_density(x, df, inverse, loc, scale, constant):
    logarithm, _, _ = tail((x - loc) / scale, inverse)
    return constant - 0.5 * (df + 1.0) * logarithm


class StudentT(Coordinates, scores=3, sample=students, score=_score, log_density=_log_density):
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
    Moments
        Mean loc, variance ``scale² df/(df − 2)``; neither up to a df of 1, an infinite variance up
        to one of 2; entropy ``log(scale √df B(df/2, 1/2)) + h (ψ(h) − ψ(df/2))``.
    """

    def __init__(
        self, df: Any = None, loc: Any = 0.0, scale: Any = None, *, log_df: Any = None,
        log_scale: Any = None,
    ) -> None:  # fmt: skip
        if scale is None and log_scale is None:
            scale = 1.0
        self._df, (self._loc, _), self._scale = self._set(
            positive("StudentT", "df", df, log_df), real("loc", loc),
            positive("StudentT", "scale", scale, log_scale),
        )  # fmt: skip

    @property
    def centre(self) -> np.ndarray | None:
        """The locations."""
        return self._loc

    def _record(self) -> dict[str, Any]:
        (df, by_df), (scale, by_scale) = self._df, self._scale
        return {
            "df": df, "inverse": 1 / df, "loc": self._loc, "scale": scale, "by_df": df * by_df,
            "by_scale": by_scale, "step": half_digamma_step(df),
            "constant": half_gamma_step(df) - 0.5 * np.log(2 * np.pi) - np.log(scale),
        }  # fmt: skip

    def _closed_paths(self) -> Any:
        """Those of loc and scale."""
        unit = self._scale.unit
        return None, (1, 0), (-self._loc * unit, unit)

    def _information(self) -> Any:
        (df, by_df), (scale, by_scale) = self._df, self._scale
        by_df = df * by_df
        cross = -2 / ((df + 1) * (df + 3)) * by_df * by_scale
        return [
            [student_information(df) * by_df**2, 0, cross],
            [0, (df + 1) / (df + 3) / scale**2, 0],
            [cross, 0, 2 * df / (df + 3) * by_scale**2],
        ]

    def _elsewhere(self) -> tuple[Any, ...] | None:
        """Area hyperbolic sines, where a sample could overflow."""
        from fastscore.families._arsinh_student_t import SINH, ArsinhStudentT

        resolved = self._df.value >= FEWEST
        return None if np.all(resolved) else (ArsinhStudentT, SINH.forward_kernel)

    def _moments(self) -> dict[str, Any]:
        df, scale = self._df.value, self._scale.value
        finite = scale**2 * df / np.where(df > 2, df - 2, 1)
        height = half_gamma_step(df) - 0.5 * np.log(2 * np.pi) - np.log(scale)
        return {
            "mean": np.where(df > 1, self._loc, np.nan),
            "variance": np.where(df > 2, finite, np.where(df > 1, np.inf, np.nan)),
            "entropy": (df + 1) / 2 * (half_digamma_step(df) + 1 / df) - height,
        }


__all__ = ["StudentT", "scores_of"]
