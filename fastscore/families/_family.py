"""The contract of a family: what a distribution owes to the engine and to its users.

A family is one file.  It names its parameters, and writes tile kernels, each a few lines over
columns of a tile (``engine/blocks.py`` has their signatures); of independent coordinates
``_coordinates`` makes them from scalar functions:

``sample``       fill the tile
``score``        add each *natural* score column to the parameter column that it belongs to
``log_probs``    the log-densities of each sample under several distributions of the family
``accumulate``   optionally, score and sums in one pass, for speed
``finish``       optionally, what turns a block of such sums into the standard ones
``add_weighted`` optionally, weighted scores of proposals' samples in one pass, for speed

A natural column belongs to one parameter of one coordinate; a scalar shared by all coordinates
owns d of them, and its score is their sum.  Samples are float64 or, of discrete families, int64:
both fill eight bytes, and tiles hold either.

Samples may also be drawn on another space: the `source` of a family has the same parameters and
the same score, and a kernel takes its tiles to what f sees (``_pushforward``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from fastscore import checks
from fastscore.cached import cached
from fastscore.engine.draw import draw_samples
from fastscore.engine.driver import forward, log_probs, scores
from fastscore.engine.jit import TileKernel
from fastscore.engine.problem import Problem
from fastscore.engine.streams import seed_of
from fastscore.engine.tiles import stride_of, tile_rows
from fastscore.families._fitting import shares_of
from fastscore.families._moving import reason
from fastscore.families._parameters import Given, Spread
from fastscore.families._path import Path, chained
from fastscore.families._support import Support
from fastscore.form import Form


class Family(ABC):
    """A distribution of d independent coordinates; a sample is a vector of all of them.

    Attributes
    ----------
    constants : mapping of str to object
        What else was given, and is not differentiated by.
    dtype : dtype
        Of samples: float64, or int64 if the distribution is discrete.
    parameters : mapping of str to ndarray
        The free parameters, in the order of the score, in the shapes they were given in.
    d : int
        Number of coordinates of a sample.
    size : int
        Number of free parameter entries, P.
    """

    sample_kernel: TileKernel
    score_kernel: TileKernel
    log_probs_kernel: TileKernel
    accumulate_kernel: TileKernel | None = None
    finish_kernel: TileKernel | None = None
    add_weighted_kernel: TileKernel | None = None
    dtype: type = np.float64
    #: Whether each value is made, coordinate by coordinate, from one word by inversion, and so may
    #: be made of other words than random ones, see ``structured``.
    by_inversion: bool = False
    #: Whether `fisher` is an estimate from samples, for want of a closed form.
    fisher_estimated: bool = False
    #: Whether all entries of the score together span sufficient statistics of a sample.
    exponential_family: bool = False

    #: Whether natural score columns are, parameter by parameter, one of each coordinate.
    _by_coordinate: bool = False

    parameters: Mapping[str, np.ndarray]
    constants: Mapping[str, Any] = MappingProxyType({})
    #: Constants with which the support moves: there is no derivative by them.
    moving: tuple[str, ...] = ()
    d: int
    size: int
    #: Natural score column -> parameter entry.
    index: np.ndarray
    #: What the kernels read: the family's own packing of its parameters.
    packed: Any

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Without the logarithm of what moves the support, which others take: it says why."""
        for name in given.keys() & {f"log_{own}" for own in cls.moving}:
            raise TypeError(f"{cls.__name__} takes no {name}: {reason(cls, name)}")
        return super().__new__(cls)

    def _set_parameters(self, **values: Any) -> dict[str, np.ndarray]:
        """Validate and store parameters; return them spread to one entry per coordinate.

        They have one common shape, or are scalars shared by all coordinates; arrays that were set
        as constants before have it too.
        """
        arrays = {name: checks.parameter(name, value) for name, value in values.items()}
        shape = common_shape({**arrays, **self.constants})
        self._by_coordinate = True
        self.d = int(np.prod(shape, dtype=int))
        self.parameters = MappingProxyType(arrays)
        self.size = sum(array.size for array in arrays.values())
        index, start = [np.zeros(0, np.int64)], 0
        for array in arrays.values():
            entries = np.arange(start, start + array.size).reshape(array.shape)
            index.append(np.broadcast_to(entries, shape).ravel())
            start += array.size
        self.index = np.concatenate(index)
        return {name: np.broadcast_to(a, shape).ravel() for name, a in arrays.items()}

    def _set(self, *given: Given) -> list[Spread]:
        """Validate and store parameters; return each spread to one value per coordinate."""
        spread = self._set_parameters(**{one.name: one.value for one in given})
        out = []
        for one in given:
            one.check(one.name, self.parameters[one.name])
            with np.errstate(divide="ignore", over="ignore"):
                value = one.natural(spread[one.name])
                out.append(Spread(value, one.unit(value)))
        return out

    @cached
    def packed_at(self) -> int:
        """Address of `packed`."""
        return int(self.packed.ctypes.data)

    @cached
    def index_at(self) -> int:
        """Address of `index`."""
        return int(self.index.ctypes.data)

    @cached
    def form(self) -> Form:
        """How f sees samples."""
        return Form(self.d, self.dtype)

    @property
    def source(self) -> Source:
        """What a run without proposals draws from: this family, and f sees its tiles as they are.

        Another one has the same parameters and score, and a kernel that takes its tiles to f.
        """
        return Source(self)

    @property
    def centre(self) -> np.ndarray | None:
        """About what the coordinates are symmetric, all at once, (d,); None if they are not."""
        return None

    @property
    def spread(self) -> np.ndarray | None:
        """Standard deviations, (d,), if coordinates are independent and Gaussian; else None."""
        return None

    @property
    def own_path(self) -> Path:
        """How its own tiles move with the parameters.

        Raises
        ------
        ValueError
            If they do not smoothly.
        """
        raise ValueError(
            f"estimator='pathwise': samples of {type(self).__name__} do not move smoothly with its "
            "parameters, take 'score'"
        )

    @property
    def path(self) -> Path:
        """How what f sees of the tiles of its `source` moves with the parameters."""
        return chained(self.source)

    @property
    def words(self) -> int | None:
        """Words of a sample; None if they are not inverted one by one."""
        return self.d if self.by_inversion else None

    @property
    def whole(self) -> Family:
        """This distribution with all parameters, also those held fixed."""
        return self

    def free(self, name: str) -> int:
        """Number of free entries of a parameter."""
        return self.parameters[name].size

    def shaped(
        self,
        name: str,
        values: np.ndarray,
        *,
        scaled: bool = True,  # noqa: ARG002
    ) -> np.ndarray:
        """Derivatives by the free entries of a parameter, in its shape, and their errors.

        Of a symmetric matrix half of a derivative stands in either of two places; values that
        are none, such as ratios, are not ``scaled``.
        """
        return values.reshape(self.parameters[name].shape)

    @property
    def mean(self) -> Any:
        """Expectation of each coordinate, (d,)."""
        return self._closed("mean")

    @property
    def variance(self) -> Any:
        """Variance of each coordinate, (d,)."""
        return self._closed("variance")

    def entropy(self) -> float:
        """``−E[log p(x)]`` in nats, of all coordinates together."""
        return float(np.sum(self._closed("entropy")))

    def _moments(self) -> Mapping[str, Any]:
        """The mean, variance and entropy of each coordinate, as far as they are closed.

        Limits may divide by 0 and overflow: nobody is warned.
        """
        return {}

    def _closed(self, name: str) -> Any:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            moments = self._moments()
        if name not in moments:
            raise NotImplementedError(f"{type(self).__name__} has no closed form of its {name}")
        return moments[name]

    @property
    def owners(self) -> np.ndarray:
        """The coordinate whose distribution each natural score column is by.

        Raises
        ------
        ValueError
            If this is no product of distributions of coordinates, or groups of them.
        """
        if not self._by_coordinate:
            raise ValueError(
                f"{type(self).__name__} is no product of distributions of its coordinates"
            )
        return np.arange(self.index.size) % self.d

    @property
    def groups(self) -> np.ndarray:
        """A label of each coordinate, (d,), the same of those that are not independent."""
        label = np.arange(self.d)
        for start, stop, _ in self.support_set.ties:
            label[start:stop] = start
        return label

    @property
    def shares(self) -> bool:
        """Whether some parameter entry is shared by several coordinates."""
        return self.size < self.index.size

    def replace(self, **changes: Any) -> Self:
        """The same family with some parameters changed.

        Raises
        ------
        ValueError
            If a name is not a parameter of this distribution.
        """
        known = {**self.parameters, **self.constants}
        unknown = changes.keys() - known.keys()
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no parameter {sorted(unknown)[0]!r}: "
                f"its parameters are {', '.join(known)}"
            )
        return self._with({**known, **changes})

    def _with(self, given: Mapping[str, Any]) -> Self:
        """The same with other parameters and constants."""
        return type(self)(**given)

    def sample(self, n: int, *, rng: Any = None) -> Any:
        """Draw n samples, of shape (n, d); of a `Joint` a named tuple of such arrays.

        They are the very samples that ``fs.gradient(f, p, n=n, rng=rng)`` uses (not those behind
        ``sampling="counts"``).
        """
        return self.form.seen(self.drawn(n, rng))

    def drawn(self, n: int, rng: Any) -> np.ndarray:
        """The same side by side, (n, d), whatever their form."""
        source = self.source
        return source.forward(draw_samples(source.family, checks.count("n", n), seed_of(rng)))

    def score(self, x: Any) -> np.ndarray:
        """Score ``∇_θ log p(x)`` of samples (n, d), of shape (n, P) in parameter order."""
        self.require_score()
        return self.scores_of(self._as_samples(x))

    def scores_of(self, samples: np.ndarray) -> np.ndarray:
        """The same of samples (n, d) of its type."""
        return self._scores_by(self.index, self.size, samples)

    def natural_scores_of(self, samples: np.ndarray) -> np.ndarray:
        """Natural score columns of the same, each by itself."""
        count = self.index.size
        return self._scores_by(np.arange(count), count, samples)

    def _scores_by(self, index: np.ndarray, size: int, samples: np.ndarray) -> np.ndarray:
        out = np.empty((len(samples), size))
        columns = np.empty((size, stride_of(self.d)))
        problem = Problem.of_family(self)
        for rows, tile in tiles_of(samples):
            scores(problem, self.packed, index, tile, len(rows), columns.ravel())
            out[rows] = columns[:, : len(rows)].T
        return out

    def log_prob(self, x: Any) -> np.ndarray:
        """Log-density, or log-probability, of samples (n, d), of shape (n,)."""
        return self.log_density(self._as_samples(x))

    def log_density(self, samples: np.ndarray) -> np.ndarray:
        """The same of samples (n, d) of its type, −∞ where they are none of this distribution."""
        out = np.empty(len(samples))
        address, stride = self.log_probs_kernel.address, stride_of(self.d)
        packed, column = np.array([self.packed_at]), np.zeros(1, np.int64)
        for rows, tile in tiles_of(samples):
            values = np.empty(stride)
            log_probs(address, packed, column, tile, len(rows), self.d, stride, values)
            out[rows] = values[: len(rows)]
        return out

    @abstractmethod
    def fisher(self) -> Any:
        """Fisher information ``E[s sᵀ]``, of shape (P, P)."""

    @property
    def underflows(self) -> bool:
        """Whether samples may underflow, overflow or round: their score needs more than they say.

        Their `source` carries what it needs; whoever works with x alone must refuse.
        """
        return False

    def require_density(self, what: str) -> None:
        """Raise a ValueError where x alone does not tell its density: see `underflows`."""
        if self.underflows:
            raise ValueError(
                f"{what} = {self!r}: at so small a shape parameter x may underflow to 0, overflow "
                "or round to 1, where its density is unknown. A plain gradient carries log x or "
                "the like, but weights and mixtures need x itself: take a larger one"
            )

    def require_score(self) -> None:
        """Raise a ValueError where the score does not exist, at a parameter on its boundary."""
        return

    def support(self, most: int) -> np.ndarray:
        """All outcomes, of shape (M, d).

        Raises
        ------
        ValueError
            If they are infinitely many, or more than ``most``.
        """
        raise ValueError(
            f"{type(self).__name__} has infinitely many outcomes, and not {most} at most"
        )

    @property
    @abstractmethod
    def support_set(self) -> Support:
        """Where the probability is not 0, by coordinate."""

    @property
    def supports(self) -> tuple[Support, ...]:
        """Sets whose union has all the probability."""
        return (self.support_set,)

    def fit(self, x: Any, weights: Any = None, *, least: float = 1e-3) -> Self:
        """The distribution of this family that is most likely to have given weighted samples.

        It maximises ``Σ weights · log q(x)`` over distributions q with the same parameters in the
        same shapes, so that a shared scalar stays shared.

        Parameters
        ----------
        x : array_like
            Samples, of shape (n, d).
        weights : array_like, optional
            Of shape (n,), not negative; only their ratios matter.  Equal by default.
        least : float
            No scale and no probability falls below so many times its present value, so that few
            samples cannot make the distribution collapse or its support shrink: the maximum is
            one under this constraint, and where nothing gets that small, the plain one.

        Raises
        ------
        TypeError
            If this family cannot be fitted.
        ValueError
            If a sample is not finite or not in the domain of the family, or a weight is negative
            or not finite, or all are 0; or of a `Normal` if a fitted scale is so much smaller than
            its loc that float64 could not resolve it.

        Notes
        -----
        The present values matter to ``least`` alone.  In a sequence of fits, those from one fixed
        distribution, say the target, keep one floor; from the previous fit, floors sink in turn.
        """
        return self.fitted(self._as_samples(x), weights, least=least)

    def fitted(self, samples: np.ndarray, weights: Any, *, least: float) -> Self:
        """The same to samples (n, d) of its type."""
        checks.require("x", samples, np.isfinite(samples), "finite")
        floor = checks.parameter("least", least)
        checks.require("least", floor, (floor > 0) & (floor <= 1), "above 0 and at most 1")
        fitted = self._fit(samples, shares_of(weights, len(samples)), float(floor))
        return self.replace(
            **{name: np.reshape(fitted[name], old.shape) for name, old in self.parameters.items()}
        )

    def _fit(self, x: np.ndarray, shares: np.ndarray, least: float) -> Mapping[str, Any]:  # noqa: ARG002
        """Values of the parameters, flat; ``shares`` are weights that sum to 1."""
        raise TypeError(f"a {type(self).__name__} cannot be fitted to samples")

    def _as_samples(self, x: Any) -> np.ndarray:
        given = np.asarray(x)
        if given.dtype.kind not in "biuf":
            raise TypeError(f"x={x!r} has dtype {given.dtype}: give real numbers")
        if self.dtype is np.int64:
            integral = (np.abs(given) < 2**51) & (given == np.floor(given))
            checks.require(
                "x", np.asarray(given, dtype=np.float64), integral, "an integer below 2**51"
            )
        samples: np.ndarray = np.asarray(given, dtype=self.dtype)
        if samples.ndim != 2 or samples.shape[1] != self.d:
            raise ValueError(f"x has shape {samples.shape}: give samples of shape (n, {self.d})")
        return samples

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its parameters: all else follows from them."""
        return partial(type(self), **self.parameters, **self.constants), ()

    def __repr__(self) -> str:
        def shown(value: np.ndarray) -> str:
            return np.array2string(value, precision=6, threshold=6, edgeitems=2, separator=", ")

        given = {**self.parameters, **self.constants}
        parameters = ", ".join(f"{k}={shown(np.asarray(v))}" for k, v in given.items())
        return f"{type(self).__name__}({parameters})"


def common_shape(arrays: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """The one shape of all parameters that are not scalars."""
    shapes = {name: array.shape for name, array in arrays.items() if array.ndim}
    if len(set(shapes.values())) > 1:
        given = ", ".join(f"{name} has shape {shape}" for name, shape in shapes.items())
        raise ValueError(f"{given}: give all the same shape, or a scalar to share")
    return next(iter(shapes.values()), ())


@dataclass(frozen=True)
class Source:
    """What a run draws from, and how its tiles become what f sees.

    Attributes
    ----------
    family : Family
        Of the tiles.
    kernel : TileKernel or None
        The `FORWARD` kernel, if tiles are not seen as they are.
    params_at : int
        Address of its parameters.
    kept : object
        What must live as long.
    dtype : dtype, optional
        Of what f sees, if not that of the family.
    """

    family: Family
    kernel: TileKernel | None = None
    params_at: int = 0
    kept: Any = None
    dtype: type | None = None

    def forward(self, drawn: np.ndarray) -> np.ndarray:
        """What f sees of samples (n, d)."""
        if self.kernel is None:
            return drawn
        d = drawn.shape[1]
        stride = stride_of(d)
        x = np.empty((d, stride), dtype=self.dtype or drawn.dtype)
        out = np.empty_like(drawn, dtype=x.dtype)
        for rows, tile in tiles_of(drawn):
            at = x.ravel().view(np.float64)
            forward(self.kernel.address, self.params_at, tile, len(rows), d, stride, at)
            out[rows] = x[:, : len(rows)].T
        return out


def tiles_of(samples: np.ndarray) -> Any:
    """Cut samples (n, d) into tiles stored by columns."""
    n, d = samples.shape
    step = tile_rows(d)
    tile = np.zeros((d, stride_of(d)), dtype=samples.dtype)
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        tile[:, : len(rows)] = samples[rows].T
        yield rows, tile.ravel().view(np.float64)
