"""Independent parts, each of its own family, under names of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import product
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from fastscore.cached import cached
from fastscore.engine.blocks import (
    ACCUMULATE,
    FORWARD,
    LOG_PROBS,
    SAMPLE,
    SCORE,
    accumulate_tile,
    forward_tile,
    log_probs_tile,
    sample_tile,
    score_tile,
)
from fastscore.engine.jit import tile_kernel
from fastscore.engine.memory import as_floats, as_integers, offset, pointer, vector
from fastscore.families._family import Family, Source
from fastscore.families._information import block_diagonal
from fastscore.families._path import Path, side_by_side
from fastscore.families._support import Support
from fastscore.families._wrapped import Composite, plain_part
from fastscore.form import Form, Part

# `packed` has the number of parts, and of each: addresses of its kernels and of what it has packed,
# its first coordinate and their number, its first natural score column, which is that of the sums
# too, and the address of the kernel that takes its tile to what f sees with that of its parameters.
_ENTRIES = 9
(_SAMPLE_AT, _SCORE_AT, _LOG_PROBS_AT, _ACCUMULATE_AT, _PACKED_AT, _FIRST, _D, _COLUMN,
 _FORWARD_AT) = range(_ENTRIES)  # fmt: skip
_MOST_SUPPORTS = 64


@tile_kernel(SAMPLE)
def _sample(params, stream, scratch, x, rows, d, stride):
    count = as_integers(params)[0]
    for i in range(count):
        part = offset(as_integers(params), 1 + i * _ENTRIES)
        sample_tile(
            part[_SAMPLE_AT],
            (as_floats(part[_PACKED_AT]), stream, scratch, offset(x, part[_FIRST] * stride), rows,
             part[_D], stride),
        )  # fmt: skip


@tile_kernel(SCORE)
def _score(params, x, rows, d, stride, index, s):
    count = as_integers(params)[0]
    for i in range(count):
        part = offset(as_integers(params), 1 + i * _ENTRIES)
        score_tile(
            part[_SCORE_AT],
            (as_floats(part[_PACKED_AT]), offset(x, part[_FIRST] * stride), rows, part[_D], stride,
             offset(index, part[_COLUMN]), s),
        )  # fmt: skip


@tile_kernel(ACCUMULATE)
def _accumulate(params, x, w, ww, sum_w, sum_ww, rows, d, stride, sums, size):
    count = as_integers(params)[0]
    for i in range(count):
        part = offset(as_integers(params), 1 + i * _ENTRIES)
        accumulate_tile(
            part[_ACCUMULATE_AT],
            (as_floats(part[_PACKED_AT]), offset(x, part[_FIRST] * stride), w, ww, sum_w, sum_ww,
             rows, part[_D], stride, offset(sums, part[_COLUMN]), size),
        )  # fmt: skip


@tile_kernel(LOG_PROBS)
def _log_probs(packed, columns, count, x, rows, d, stride, out):
    one, own, at = np.empty(stride), np.zeros(1, np.int64), np.empty(1, np.int64)
    for j in range(count):
        params = as_integers(packed[j])
        total = vector(offset(out, columns[j] * stride), rows)
        for t in range(rows):
            total[t] = 0.0
        for i in range(params[0]):
            part = offset(params, 1 + i * _ENTRIES)
            at[0] = part[_PACKED_AT]
            log_probs_tile(
                part[_LOG_PROBS_AT],
                (pointer(at), pointer(own), 1, offset(x, part[_FIRST] * stride), rows, part[_D],
                 stride, pointer(one)),
            )  # fmt: skip
            for t in range(rows):
                # Outside one part's support it is none of the distribution's, whatever the others.
                total[t] = -np.inf if min(one[t], total[t]) == -np.inf else total[t] + one[t]
    at[0] = own[0] = 0


@tile_kernel(FORWARD)
def _forward(params, z, rows, d, stride, x):
    """What f sees: each part's own, or as it is.  The addresses of parameters lie behind."""
    count = as_integers(params)[0]
    for i in range(count):
        part = offset(as_integers(params), 1 + i * _ENTRIES)
        first = part[_FIRST] * stride
        if part[_FORWARD_AT] != 0:
            at = as_integers(params)[1 + count * _ENTRIES + i]
            forward_tile(
                part[_FORWARD_AT],
                (as_floats(at), offset(z, first), rows, part[_D], stride, offset(x, first)),
            )
        else:
            for k in range(part[_D]):
                for t in range(rows):
                    x[first + k * stride + t] = z[first + k * stride + t]


class Joint(Composite):
    """Independent parts; f gets a named tuple with an array for each.

    Parameters
    ----------
    **parts : Family
        The parts, under the names by which f finds them: ``x.arrivals`` of
        ``fs.Joint(arrivals=fs.Poisson(rate=3.0), …)`` is an array of that family's type.

    Raises
    ------
    TypeError, ValueError
        If there is no part, one is no distribution, is a `Joint` itself or holds parameters fixed,
        or a name is none of a field.

    Notes
    -----
    Parameters are called ``part.parameter``, as in ``est.grad["arrivals.rate"]``.  The score is
    that of the parts, side by side, and the Fisher information block-diagonal.
    """

    def __init__(self, **parts: Family) -> None:
        if not parts:
            raise TypeError("Joint has no part: give distributions by name")
        for name, p in parts.items():
            if name.startswith("_") or not name.isidentifier():
                raise ValueError(f"{name!r} cannot be the name of a field: choose another")
            if plain_part("Joint", name, p).form.parts:
                raise TypeError(f"{name} is a Joint itself: give its parts beside the others")
        self._parts = parts
        self.parameters: Mapping[str, np.ndarray] = MappingProxyType(self._named("parameters"))
        self.constants = MappingProxyType(self._named("constants"))
        self.moving = tuple(f"{part}.{name}" for part, p in parts.items() for name in p.moving)
        self.d = sum(p.d for p in parts.values())
        self.size = sum(p.size for p in parts.values())
        self.fisher_estimated = any(p.fisher_estimated for p in parts.values())
        self.exponential_family = all(p.exponential_family for p in parts.values())
        firsts = np.cumsum([0, *(p.size for p in parts.values())])
        pairs = zip(firsts, parts.values(), strict=False)
        self.index = np.concatenate([first + p.index for first, p in pairs])
        fusable = not self.shares and all(
            p.accumulate_kernel is not None and p.finish_kernel is None for p in parts.values()
        )
        self.accumulate_kernel = _accumulate if fusable else None

    sample_kernel = _sample
    score_kernel = _score
    log_probs_kernel = _log_probs

    def _named(self, what: str) -> dict[str, Any]:
        """A mapping of all parts."""
        return {
            f"{part}.{name}": value
            for part, p in self._parts.items()
            for name, value in getattr(p, what).items()
        }

    def _of(self, name: str) -> tuple[Family, str]:
        """The part that a parameter belongs to, and its name there."""
        part, _, own = name.partition(".")
        return self._parts[part], own

    @property
    def owners(self) -> np.ndarray:
        """The parts', side by side."""
        parts = zip(self.form.parts, self._parts.values(), strict=True)
        return np.concatenate([part.first + p.owners for part, p in parts])

    @property
    def path(self) -> Path:
        """The parts', side by side."""
        return side_by_side(list(self._parts.values()))

    @cached
    def packed(self) -> np.ndarray:
        """What the kernels read."""
        return self._packed([0] * len(self._parts), [0] * len(self._parts))

    def _packed(self, forward: list[int], params: list[int]) -> np.ndarray:
        entries, column = [], 0
        for part, p, at in zip(self.form.parts, self._parts.values(), forward, strict=True):
            accumulate = p.accumulate_kernel
            fused = self.accumulate_kernel is not None and accumulate is not None
            entries += [
                p.sample_kernel.address, p.score_kernel.address, p.log_probs_kernel.address,
                accumulate.address if fused and accumulate is not None else 0,
                p.packed_at, part.first, p.d, column, at,
            ]  # fmt: skip
            column += p.index.size
        packed = np.array([len(self._parts), *entries, *params], dtype=np.int64)
        return packed.view(np.float64)

    @cached
    def form(self) -> Form:
        """A field for each part."""
        parts, first = [], 0
        for name, p in self._parts.items():
            parts.append(Part(name, first, p.d, p.dtype))
            first += p.d
        return Form(self.d, np.float64, tuple(parts))

    @property
    def centre(self) -> np.ndarray | None:
        """About what all parts are symmetric."""
        return _side_by_side([p.centre for p in self._parts.values()])

    @property
    def spread(self) -> np.ndarray | None:
        """Standard deviations, if all parts are Gaussian."""
        return _side_by_side([p.spread for p in self._parts.values()])

    @cached
    def source(self) -> Source:
        """The parts' sources."""
        sources = [p.source for p in self._parts.values()]
        kernels = [source.kernel for source in sources]
        if not any(kernels):
            return Source(self)
        families = dict(zip(self._parts, (source.family for source in sources), strict=True))
        drawn = type(self)(**families)
        params = drawn._packed(
            [0 if kernel is None else kernel.address for kernel in kernels],
            [source.params_at for source in sources],
        )
        return Source(drawn, _forward, params.ctypes.data, (params, *sources))

    @property
    def words(self) -> int | None:
        """Words of a sample: those of the parts."""
        words = [p.words for p in self._parts.values()]
        return None if None in words else sum(filter(None, words))

    def _as_samples(self, x: Any) -> np.ndarray:
        fields = self.form.fields(x)
        samples = [p._as_samples(xs) for p, xs in zip(self._parts.values(), fields, strict=True)]
        if len({len(own) for own in samples}) > 1:
            raise ValueError(f"x has {[len(own) for own in samples]} samples: give as many of each")
        return self.form.columns(samples)

    @property
    def underflows(self) -> bool:
        """Whether samples of some part may underflow."""
        return any(p.underflows for p in self._parts.values())

    def require_score(self) -> None:
        """Raise a ValueError where a part has no score."""
        for p in self._parts.values():
            p.require_score()

    def fisher(self) -> Any:
        """Fisher information, (P, P): a block for each part; sparse beyond 4,096 entries."""
        return block_diagonal([p.fisher() for p in self._parts.values()], self.size)

    @property
    def mean(self) -> Any:
        """Expectations, a named tuple of arrays (d,)."""
        return self.form.record(*(p.mean for p in self._parts.values()))

    @property
    def variance(self) -> Any:
        """Variances, a named tuple of arrays (d,)."""
        return self.form.record(*(p.variance for p in self._parts.values()))

    def entropy(self) -> float:
        """The sum over the parts."""
        return sum(p.entropy() for p in self._parts.values())

    def support(self, most: int) -> np.ndarray:
        """All combinations of the parts' outcomes."""
        outcomes, count = [], 1
        for p in self._parts.values():
            outcomes.append(p.support(most // count).view(np.float64))
            count *= len(outcomes[-1])
        grid = np.indices([len(own) for own in outcomes]).reshape(len(outcomes), -1)
        return np.hstack([own[at] for own, at in zip(outcomes, grid, strict=True)])

    @property
    def support_set(self) -> Support:
        """The product of the parts'."""
        return reduce(Support.times, (p.support_set for p in self._parts.values()))

    @property
    def supports(self) -> tuple[Support, ...]:
        """Products of the parts'."""
        each = [p.supports for p in self._parts.values()]
        if np.prod([len(own) for own in each]) > _MOST_SUPPORTS:
            raise ValueError(
                f"the support of {type(self).__name__} has too many pieces, over {_MOST_SUPPORTS}, "
                "to tell whether proposals cover it: use fewer mixtures with different supports"
            )
        return tuple(reduce(Support.times, chosen) for chosen in product(*each))

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> dict[str, Any]:
        fitted = {}
        for part, p in zip(self.form.parts, self._parts.values(), strict=True):
            own: np.ndarray = x[:, part.first : part.first + p.d].view(p.dtype)
            for name, value in p._fit(own, shares, least).items():
                fitted[f"{part.name}.{name}"] = value
        return fitted

    def _with(self, given: Mapping[str, Any]) -> Self:
        changes: dict[str, dict[str, Any]] = {part: {} for part in self._parts}
        for name, value in given.items():
            part, _, own = name.partition(".")
            changes[part][own] = value
        return type(self)(**{part: p.replace(**changes[part]) for part, p in self._parts.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        return _joint, (self._parts,)

    def __repr__(self) -> str:
        return f"Joint({', '.join(f'{name}={p!r}' for name, p in self._parts.items())})"


def _joint(parts: Mapping[str, Family]) -> Joint:
    return Joint(**parts)


def _side_by_side(vectors: list[np.ndarray | None]) -> np.ndarray | None:
    """One vector of those of all parts, if all have one."""
    found = [v for v in vectors if v is not None]
    return np.concatenate(found) if len(found) == len(vectors) else None


__all__ = ["Joint"]
