"""Area hyperbolic sines of Student's t: what `StudentT` draws from where samples could overflow.

Like a logarithm of large values, but of both signs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine.hyperbolic import arsinh, log_cosh, sinh
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.students import arsinh_students, arsinh_tail
from fastscore.families.bijection import Bijection
from fastscore.families.student_t import StudentT, scores_of

SINH = Bijection(sinh, arsinh, log_cosh)


@elementwise
def _sample(stream, scratch, y, count, df, loc, log_scale):
    arsinh_students(stream, scratch, y, count, df, loc, log_scale)


@inlined
def _score(y, df, inverse, loc, scale, log_scale, step, by_df, by_scale):
    z, _, share, rest = arsinh_tail(y, inverse, loc, scale, log_scale)
    return scores_of(z, share, rest, df, inverse, scale, step, by_df, by_scale)


@inlined
def _log_density(y, df, inverse, loc, scale, log_scale, constant):
    _, logarithm, _, _ = arsinh_tail(y, inverse, loc, scale, log_scale)
    return constant - 0.5 * (df + 1.0) * logarithm + log_cosh(y)


class ArsinhStudentT(StudentT, scores=3, sample=_sample, score=_score, log_density=_log_density):
    """``y = arsinh x`` of Student's t; see `StudentT`."""

    @property
    def centre(self) -> np.ndarray | None:
        """Of y: 0 if x has that, else y is not symmetric."""
        return None if self._loc.any() else self._loc

    def _closed_paths(self) -> Any:
        """None is."""
        return None, None, None

    def _record(self) -> dict[str, Any]:
        return {**super()._record(), "log_scale": np.log(self._scale.value)}


__all__ = ["SINH", "ArsinhStudentT"]
