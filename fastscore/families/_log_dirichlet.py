"""Logarithms of Dirichlet vectors: what `Dirichlet` draws from where its own could underflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastscore.engine.blocks import SAMPLE
from fastscore.engine.dirichlets import log_dirichlets
from fastscore.engine.jit import inlined, tile_kernel
from fastscore.engine.memory import offset
from fastscore.families._coordinates import HEADER
from fastscore.families._special import digamma_difference
from fastscore.families.dirichlet import Dirichlet

_FIELDS = ("classes", "concentration", "power", "constant", "step", "by")
_LENGTH = len(_FIELDS)


@tile_kernel(SAMPLE)
def _sample(params, stream, scratch, y, rows, d, stride):
    for k in range(0, d, int(params[HEADER])):
        record = offset(params, HEADER + k * _LENGTH)
        log_dirichlets(stream, scratch, offset(y, k * stride), rows, stride, record, _LENGTH)


@inlined
def _score(y, step, by):
    return ((y + step) * by,)


@inlined
def _log_density(y, power, constant):
    return constant + power * y


class LogDirichlet(
    Dirichlet, high=0.0, fields=_FIELDS, score=_score, log_density=_log_density,
):  # fmt: skip
    """``y = log x`` of Dirichlet vectors x, of the first K − 1; see `Dirichlet`."""

    sample_kernel = _sample
    _logarithms = True

    def _record(self) -> dict[str, Any]:
        from scipy.special import gammaln

        a, total, low = self._rows
        value, unit = self._concentration
        power, constant = a.copy(), np.zeros(a.shape)
        power[:, -1] -= 1
        constant[:, 0] = gammaln(total[:, 0]) - gammaln(a).sum(axis=1)
        return {
            "classes": self.classes, "concentration": value, "by": value * unit,
            "step": digamma_difference(a, total - a + low).ravel(),
            "power": power.ravel(), "constant": constant.ravel(),
        }  # fmt: skip


__all__ = ["LogDirichlet"]
