"""Mixtures: a component is chosen by its weight, and then a sample from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from fastscore.cached import cached
from fastscore.checks import exactly_one
from fastscore.engine.alias import ENTRY, alias_table, fill_classes
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
from fastscore.engine.vecmath import exp_below, log
from fastscore.families._family import Family
from fastscore.families._information import estimated
from fastscore.families._support import Support
from fastscore.families._wrapped import Composite, plain_part
from fastscore.families.categorical import Categorical
from fastscore.form import Form

# `packed` has the number of components K; of each, addresses of its kernels and of what it has
# packed, and its number of natural score columns; then log-weight, weight, and the factors ``on``
# and ``off`` of each, such that the score by its weight is ``on r − off w``, r being the
# probability that x is of it relative to its weight; and the alias table of the weights.
_ENTRIES = 5
_SAMPLE_AT, _SCORE_AT, _LOG_PROBS_AT, _PACKED_AT, _COLUMNS = range(_ENTRIES)
_LOG_WEIGHT, _ON, _OFF, _ALIAS = range(4)


@plain
def _component(params, i):
    return offset(as_integers(params), 1 + i * _ENTRIES)


@plain
def _weights(params, row):
    count = as_integers(params)[0]
    return offset(params, 1 + count * (_ENTRIES + row))


@tile_kernel(SAMPLE)
def _sample(params, stream, scratch, x, rows, d, stride):
    count = as_integers(params)[0]
    own, drawn = np.empty(rows, np.int64), np.empty(d * stride)
    table = as_words(_weights(params, _ALIAS))
    fill_classes(stream, scratch, as_floats(pointer(own)), rows, table, count)
    for i in range(count):
        chosen = np.flatnonzero(own == i)
        if chosen.size > 0:
            part = _component(params, i)
            sample_tile(
                part[_SAMPLE_AT],
                (as_floats(part[_PACKED_AT]), stream, scratch, pointer(drawn), chosen.size, d,
                 stride),
            )  # fmt: skip
            for k in range(d):
                for t in range(chosen.size):
                    x[k * stride + chosen[t]] = drawn[k * stride + t]
    drawn[0] = 0.0


@plain
def _log_parts(params, x, rows, d, stride, parts):
    """``log w_i p_i(x)`` of each component, a row of ``parts`` each; the last row is their sum."""
    count = as_integers(params)[0]
    at, columns = np.empty(1, np.int64), np.empty(1, np.int64)
    for i in range(count):
        part = _component(params, i)
        at[0], columns[0] = part[_PACKED_AT], i
        log_probs_tile(
            part[_LOG_PROBS_AT],
            (pointer(at), pointer(columns), 1, x, rows, d, stride, pointer(parts)),
        )
        _shift(parts[i], rows, _weights(params, _LOG_WEIGHT)[i])
    at[0] = columns[0] = 0
    _add_up(parts, count, rows)


@elementwise
def _shift(column, rows, by):
    for t in range(rows):
        column[t] += by


@elementwise
def _add_up(parts, count, rows):
    """log Σ exp of the rows, relative to the largest, which may be infinite."""
    top, total = parts[count], parts[count + 1]
    for t in range(rows):
        top[t] = -math.inf
        total[t] = 0.0
    for i in range(count):
        for t in range(rows):
            top[t] = max(top[t], parts[i, t])
    for i in range(count):
        for t in range(rows):
            total[t] += _relative(parts[i, t], top[t])
    for t in range(rows):
        total[t] = top[t] + log(max(total[t], 1.0))


@elementwise
def _relative(part, whole):
    """``exp(part − whole)``, 1 if both are infinite alike and 0 if part is none."""
    difference = part - whole
    ratio = exp_below(min(difference, 0.0))
    ratio = 1.0 if part == whole else ratio
    return 0.0 if part == -math.inf else ratio


@tile_kernel(LOG_PROBS)
def _log_probs(packed, columns, count, x, rows, d, stride, out):
    for j in range(count):
        params = as_floats(packed[j])
        parts = np.empty((as_integers(params)[0] + 2, stride))
        _log_parts(params, x, rows, d, stride, parts)
        total = parts[as_integers(params)[0] + 1]
        column = vector(offset(out, columns[j] * stride), rows)
        for t in range(rows):
            column[t] = total[t]


@tile_kernel(SCORE)
def _score(params, x, rows, d, stride, index, s):
    count = as_integers(params)[0]
    parts = np.empty((count + 2, stride))
    _log_parts(params, x, rows, d, stride, parts)
    column = count
    for i in range(count):
        _responsibilities(parts[i], parts[count + 1], rows)
        weight = vector(offset(s, index[i] * stride), rows)
        _add_weight(
            parts[i], parts[count + 1], rows, _weights(params, _ON)[i], _weights(params, _OFF)[i],
            weight,
        )  # fmt: skip
        part = _component(params, i)
        own = part[_COLUMNS]
        scores, which = np.zeros((own, stride)), np.arange(own)
        score_tile(
            part[_SCORE_AT],
            (as_floats(part[_PACKED_AT]), x, rows, d, stride, pointer(which), pointer(scores)),
        )
        for j in range(own):
            target = vector(offset(s, index[column + j] * stride), rows)
            _add_weighted(scores[j], parts[i], rows, target)
        which[0] = 0
        column += own


@elementwise
def _responsibilities(part, total, rows):
    for t in range(rows):
        part[t] = _relative(part[t], total[t])


@elementwise
def _add_weight(responsibility, total, rows, on, off, score):
    for t in range(rows):
        value = on * responsibility[t] - off
        score[t] += value if total[t] > -math.inf else 0.0


@elementwise
def _add_weighted(score, responsibility, rows, target):
    for t in range(rows):
        value = responsibility[t] * score[t]
        target[t] += value if responsibility[t] > 0.0 else 0.0


class Mixture(Composite):
    """A mixture, of density ``Σ w_i p_i(x)``.

    Parameters
    ----------
    components : sequence of Family
        Distributions p_i, of as many coordinates of the same type.
    probs : array_like
        Weights w_i, of shape (K,); divided by their sum, as in torch.
    logits : array_like
        Their logarithms, up to a constant, in place of ``probs``.

    Raises
    ------
    TypeError, ValueError
        If components differ in their samples or hold parameters fixed, or weights are none.

    Notes
    -----
    Parameters of components are called ``i.parameter``, such as ``"0.loc"``.  With the
    responsibilities ``r_i = w_i p_i(x)/p(x)`` the score is ``r_i`` times that of component i, and
    by the weights ``r_i − w_i`` (logits) or ``(r_i/w_i − 1)/Σ probs``.  The Fisher information has
    no closed form: `fisher` estimates it.
    """

    sample_kernel = _sample
    score_kernel = _score
    log_probs_kernel = _log_probs
    fisher_estimated = True

    def __init__(
        self, components: Sequence[Family], probs: Any = None, *, logits: Any = None
    ) -> None:
        parts = [plain_part("Mixture", f"components[{i}]", p) for i, p in enumerate(components)]
        for i, p in enumerate(parts):
            p.require_density(f"components[{i}]")
        if not parts:
            raise ValueError("components is empty: give distributions")
        for i, p in enumerate(parts):
            if p.form != parts[0].form:
                raise ValueError(
                    f"components[{i}] has samples of {p.form}, components[0] of {parts[0].form}: "
                    "they must be alike"
                )
            if not p.support_set.compatible_with(parts[0].support_set):
                raise ValueError(
                    f"components[{i}]={p!r} ties its real coordinates in another way than "
                    "components[0]: their densities have no sum"
                )
        name, value = exactly_one("Mixture", probs=probs, logits=logits)
        if np.shape(value) != (len(parts),):
            raise ValueError(
                f"{name} has shape {np.shape(value)}: give one to each of {len(parts)} components"
            )
        self._weights = Categorical(**{name: value})
        self._components = parts
        own = {f"{i}.{k}": v for i, p in enumerate(parts) for k, v in p.parameters.items()}
        self.parameters: Mapping[str, np.ndarray] = MappingProxyType(
            {**self._weights.parameters, **own}
        )
        self.constants: Mapping[str, Any] = MappingProxyType(
            {f"{i}.{k}": v for i, p in enumerate(parts) for k, v in p.constants.items()}
        )
        self.moving = tuple(f"{i}.{name}" for i, p in enumerate(parts) for name in p.moving)
        self.d, self.dtype = parts[0].d, parts[0].dtype
        firsts = np.cumsum([len(parts), *(p.size for p in parts)])
        indices = [first + p.index for first, p in zip(firsts, parts, strict=False)]
        self.index = np.concatenate([np.arange(len(parts)), *indices])
        self.size = int(firsts[-1])

    @cached
    def form(self) -> Form:
        """That of the components."""
        return self._components[0].form

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        addresses = [
            [p.sample_kernel.address, p.score_kernel.address, p.log_probs_kernel.address,
             p.packed_at, p.index.size]
            for p in self._components
        ]  # fmt: skip
        w = self._probs
        count, off = len(w), w
        on = np.ones(count)
        if "probs" in self.parameters:
            total = self.parameters["probs"].sum()
            with np.errstate(divide="ignore"):
                on, off = 1 / (w * total), np.full(count, 1 / total)
        with np.errstate(divide="ignore"):
            weights = np.array([np.log(w), on, off])
        table = np.empty(ENTRY * count, np.uint64)
        alias_table(w, table)
        head = np.array([count, *np.ravel(addresses)], dtype=np.int64)
        return np.concatenate([head.view(np.float64), weights.ravel(), table.view(np.float64)])

    @property
    def _probs(self) -> np.ndarray:
        """Weights, of sum 1."""
        return np.asarray(self._weights._probs[0])

    def _of(self, name: str) -> tuple[Family, str]:
        """The component that a parameter belongs to, and its name there."""
        i, dot, own = name.partition(".")
        return (self._components[int(i)], own) if dot else (self._weights, name)

    def _as_samples(self, x: Any) -> np.ndarray:
        return self._components[0]._as_samples(x)

    def require_score(self) -> None:
        """Raise a ValueError where the score does not exist."""
        self._weights.require_score()
        for p in self._components:
            p.require_score()

    def fisher(self, n: int = 100_000, *, rng: Any = 0) -> np.ndarray:
        """Fisher information, (P, P): the mean of ``s sᵀ`` over n samples, an estimate."""
        return estimated(self, n, rng)

    @property
    def mean(self) -> Any:
        """``Σ w_i mean_i``."""
        return self._averaged([p.mean for p in self._components])

    @property
    def variance(self) -> Any:
        """``Σ w_i (variance_i + mean_i²) − mean²``, about the mean."""
        if self.form.parts:
            raise NotImplementedError("a Mixture of Joints has no closed form of its variance")
        return self._averaged([p.variance + (p.mean - self.mean) ** 2 for p in self._components])

    def _averaged(self, values: list[Any]) -> Any:
        """The weighted mean of what components have, in their form."""
        if not self.form.parts:
            return np.tensordot(self._probs, values, 1)
        return self.form.record(
            *(np.tensordot(self._probs, own, 1) for own in zip(*values, strict=True))
        )

    @property
    def support_set(self) -> Support:
        """The components', if it is the same; see `supports`."""
        return self._components[0].support_set

    @property
    def supports(self) -> tuple[Support, ...]:
        """Those of the components that have a weight."""
        own = zip(self._probs, self._components, strict=True)
        return tuple(support for w, p in own if w > 0 for support in p.supports)

    def support(self, most: int) -> np.ndarray:
        """Outcomes of all components, each once."""
        outcomes = [p.support(most).view(np.int64) for p in self._components]
        found = np.unique(np.concatenate(outcomes), axis=0)
        if len(found) > most:
            raise ValueError(f"Mixture has {len(found)} outcomes, of {most} at most")
        return found.view(self.dtype)

    def _with(self, given: Mapping[str, Any]) -> Self:
        changes: list[dict[str, Any]] = [{} for _ in self._components]
        weights = {}
        for name, value in given.items():
            i, dot, own = name.partition(".")
            if dot:
                changes[int(i)][own] = value
            else:
                weights[name] = value
        replaced = [p.replace(**own) for p, own in zip(self._components, changes, strict=True)]
        return type(self)(replaced, **weights)

    def __reduce__(self) -> tuple[Any, ...]:
        return _mixture, (self._components, dict(self._weights.parameters))

    def __repr__(self) -> str:
        ((name, value),) = self._weights.parameters.items()
        return f"Mixture({self._components!r}, {name}={value.tolist()})"


def _mixture(components: Sequence[Family], weights: Mapping[str, Any]) -> Mixture:
    return Mixture(components, **weights)


__all__ = ["Mixture"]
