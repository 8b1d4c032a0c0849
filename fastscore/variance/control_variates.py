"""Control variates as users give them: functions of known mean, the score, or a Taylor polynomial.

`prepare` makes of them what an engine takes: integrands, their means, and the derivatives of these.
A control h takes part in entry k of the gradient as ``h − E h`` or, if ``∇E h`` is known, as
``h s_k − ∂_k E h``; in the value as ``h − E h``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.engine.streams import derived_seed
from fastscore.families import Family
from fastscore.form import rows_of, shown
from fastscore.integrand import Integrand, Kind
from fastscore.integrand.pointer import is_pointer
from fastscore.variance.delta_method import DeltaMethod

#: ``f(x)`` of an integrand with its arguments at samples (n, d).
Evaluate = Callable[[Integrand, tuple[Any, ...], np.ndarray], np.ndarray]

#: What tells the pilot's random streams from others of the seed.
_STREAM = 4
#: Samples that stated means are compared with, entries of their scores at most, and standard
#: errors off at which a mean is wrong.
_PILOT, _SCORES, _LIMIT = 4096, 2**22, 6.0
#: Part of the sum of squares beyond which one sample has too much of it for a verdict; and how
#: many more such samples may be missing.
_HEAVY, _MISSING = 0.15, 1.5
#: Rounding of a mean, relative to the largest value.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ControlVariate:
    """A function whose expectation under p is known.

    Parameters
    ----------
    f : callable
        ``h(x, *args)``, of any kind that an f may be (see `Integrand`).  It gets the arguments of
        f if it takes so many, else none.  As f it must be pure.
    mean : float
        ``E_p[h]``.
    gradient : mapping or array_like, optional
        ``∇_θ E_p[h]`` at the parameters of p: by name, of the shape of each parameter that is
        differentiated by, or flat, of shape (P,), by free entries.  With it the gradient is
        ``E[(f − a h) s] + a ∇E[h]``; without, ``h − E[h]`` is subtracted in every entry.  A
        derivative by a symmetric matrix is the G with ``dE[h] = Σ G_ij dΣ_ij``.
    coefficient : float, optional
        a; by default the cross-fitted one of least variance, for each entry.
    kind : {"sample", "batch", "numpy", "c"}, optional
        How h is called, where its number of parameters does not tell.
    check : bool
        Whether mean and gradient are compared with 4,096 samples first, fewer of very many
        parameters: a wrong one biases the estimate.  They are refused when they lie 6 standard
        errors off; what hangs on a few rare samples is let through.

    Raises
    ------
    TypeError, ValueError
        If h is not callable, or mean or coefficient is no finite number.

    Notes
    -----
    h must not depend on the samples that it is used with.
    """

    f: Callable[..., Any]
    mean: float
    gradient: Mapping[str, Any] | Any = None
    coefficient: float | None = None
    kind: Kind | None = None
    check: bool = True

    def __post_init__(self) -> None:
        Integrand(self.f, kind=self.kind)
        _finite("mean", self.mean)
        if self.coefficient is not None:
            _finite("coefficient", self.coefficient)

    @property
    def scored(self) -> bool:
        """Whether it is multiplied by scores."""
        return self.gradient is not None


#: Controls that a word stands for: all entries of the score.
WORDS = ("score", "statistics")


@dataclass(frozen=True)
class Controls:
    """What an engine takes of control variates.

    Attributes
    ----------
    functions : tuple of (Integrand, tuple)
        Each h and its arguments; compiled and called as an f is.
    means : ndarray of shape (J,)
        ``E h``.
    gradients : ndarray of shape (J, P)
        ``∇E h``; rows of NaN where it is not known, and NaN outside of ``wrt``.
    coefficients : ndarray of shape (J,)
        Fixed ones; NaN where they are to be fitted.
    scored : ndarray of bool, of shape (J,)
        Where ``∇E h`` is known, and the control of entry k is ``h s_k − ∂_k E h``.
    score : bool
        Whether all entries of the score are controls too.
    """

    functions: tuple[tuple[Integrand, tuple[Any, ...]], ...]
    means: np.ndarray
    gradients: np.ndarray
    coefficients: np.ndarray
    scored: np.ndarray
    score: bool

    def __len__(self) -> int:
        """Number of functions."""
        return len(self.functions)


def as_controls(value: Any) -> tuple[ControlVariate | DeltaMethod | str, ...]:
    """Control variates from one or several, each an object, ``(h, mean)`` or a word.

    Raises
    ------
    TypeError, ValueError
        If one of them is none of these.
    """
    if value is None:
        return ()
    single = isinstance(value, (str, ControlVariate, DeltaMethod)) or _is_pair(value)
    if not single and not isinstance(value, (list, tuple)):
        raise TypeError(
            f"control_variates={value!r}: give fs.ControlVariate(h, mean), (h, mean), "
            "fs.DeltaMethod(), 'score', 'statistics', or a list of them"
        )
    given = [value] if single else value
    controls = tuple(_as_control(f"control_variates[{i}]", one) for i, one in enumerate(given))
    words = [one for one in controls if isinstance(one, str)]
    if len(words) > 1:
        raise ValueError(
            f"control_variates: {' and '.join(map(repr, words))} are the same controls: "
            "leave one out"
        )
    return controls


def prepare(
    controls: Collection[ControlVariate | DeltaMethod | str], integrand: Integrand, p: Family,
    wrt: Collection[str], args: tuple[Any, ...], seed: int, evaluate: Evaluate,
) -> Controls:  # fmt: skip
    """Controls for a run: polynomials are found, and stated means compared with a pilot's.

    Parameters
    ----------
    controls : collection
        What `as_controls` returned.
    integrand, p, wrt, args
        f, the distribution with all parameters, those to differentiate by, and arguments of f.
    seed : int
        Of the run, whose samples the pilot's have nothing to do with.
    evaluate : callable
        Values of an integrand with its arguments at samples (n, d); they may be non-finite.

    Raises
    ------
    TypeError, ValueError
        If a control does not fit f or p, or a stated mean or gradient is wrong.
    """
    pilot = _Pilot(p, derived_seed(seed, _STREAM), evaluate)
    rows, score = [], False
    for i, control in enumerate(controls):
        name = f"control_variates[{i}]"
        if isinstance(control, str):
            _check_word(name, control, p)
            score = True
        elif isinstance(control, DeltaMethod):
            expanded = control.expanded(name, p, lambda x: evaluate(_bare(integrand), args, x))
            quadratic = Integrand(expanded.function, kind=expanded.kind)
            rows.append(
                (quadratic, expanded.args, expanded.mean, expanded.gradient, control.coefficient)
            )
        else:
            rows.append(_of_function(name, control, p, wrt, args, pilot))
    functions = tuple((h, own) for h, own, *_ in rows)
    gradients = np.full((len(rows), p.size), np.nan)
    for target, row in zip(gradients, rows, strict=True):
        if row[3] is not None:
            target[:] = row[3]
    return Controls(
        functions,
        np.array([row[2] for row in rows], dtype=float),
        gradients,
        np.array([np.nan if row[4] is None else row[4] for row in rows], dtype=float),
        np.array([row[3] is not None for row in rows], dtype=bool),
        score,
    )


def flat_gradient(name: str, given: Any, p: Family, wrt: Collection[str]) -> np.ndarray:
    """Derivatives by free entries, (P,), from a mapping by name or a flat array.

    Entries outside of ``wrt`` that are not given are NaN.
    """
    if not isinstance(given, Mapping):
        flat = checks.parameter(name, given)
        if flat.shape != (p.size,):
            raise ValueError(
                f"{name} has shape {flat.shape}: give it the shape ({p.size},), one number for "
                "each free entry of the parameters, or a mapping by parameter name"
            )
        return flat
    for key in given:
        checks.one_of(name, key, p.parameters)
    missing = [key for key in wrt if key not in given]
    if missing:
        raise ValueError(f"{name} has no {missing[0]!r}: give it for all parameters in wrt")
    parts = [
        _entries(f"{name}[{key!r}]", given[key], p, key) if key in given
        else np.full(p.free(key), np.nan)
        for key in p.parameters
    ]  # fmt: skip
    return np.concatenate(parts)


def _entries(name: str, given: Any, p: Family, parameter: str) -> np.ndarray:
    """Derivatives by the free entries of a parameter, from those by its places.

    An entry moves all the places in which `Family.shaped` shows it.
    """
    free = p.free(parameter)
    places = p.shaped(parameter, np.arange(1.0, free + 1), scaled=False).astype(int)
    array = checks.parameter(name, given)
    if array.shape != places.shape:
        raise ValueError(f"{name} has shape {array.shape}: give it the shape {places.shape}")
    checks.require(name, array, (array == 0) | (places > 0), "0 where the parameter has no entry")
    return np.bincount(places.ravel(), weights=array.ravel(), minlength=free + 1)[1:]


def _of_function(
    name: str, control: ControlVariate, p: Family, wrt: Collection[str], args: tuple[Any, ...],
    pilot: _Pilot,
) -> tuple[Any, ...]:  # fmt: skip
    """A user's control: its integrand, arguments, mean, gradient and coefficient."""
    h = Integrand(control.f, kind=control.kind)
    own = _own_args(name, h, args)
    gradient = None
    if control.gradient is not None:
        gradient = flat_gradient(f"{name}.gradient", control.gradient, p, wrt)
    if control.check:
        pilot.compare(name, h, own, float(control.mean), gradient)
    return h, own, float(control.mean), gradient, control.coefficient


def _own_args(name: str, h: Integrand, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of f if a control takes as many, else none."""
    for given in (args, ()):
        try:
            h.resolve(given)
        except TypeError:
            continue
        return given
    raise TypeError(
        f"{name}: {h.f!r} can be called neither with x alone nor with the {len(args)} arguments "
        "of f: give it the parameters of f"
    )


def _bare(integrand: Integrand) -> Integrand:
    """f whose non-finite values are looked at here."""
    return replace(integrand, nonfinite="propagate")


class _Pilot:
    """Samples that stated means are compared with, drawn when first needed."""

    def __init__(self, p: Family, seed: int, evaluate: Evaluate) -> None:
        self.p, self.evaluate, self._seed = p, evaluate, seed
        self._samples: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """x, and the scores of as many as fit."""
        if self._samples is None:
            x = self.p.drawn(_PILOT, self._seed)
            scores = self.p.scores_of(x[: max(2, _SCORES // max(1, self.p.size))])
            self._samples = x, scores
        return self._samples

    def compare(
        self, name: str, h: Integrand, args: tuple[Any, ...], mean: float,
        gradient: np.ndarray | None,
    ) -> None:  # fmt: skip
        """Raise a ValueError if a mean or a gradient lies too far from the samples'."""
        x, scores = self.samples
        try:
            values = self.evaluate(_bare(h), args, x)
        except Exception as error:
            error.add_note(f"raised by f of {name}")
            raise
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            at = shown(rows_of(self.p.form.seen(x), bad[0]))
            raise ValueError(
                f"{name} is {values[bad[0]]} at x = {at}: a control variate must be finite"
            )
        _refuse(f"{name}.mean", values[:, None], np.array([mean]))
        if gradient is not None:
            terms = (values[: len(scores), None] - mean) * scores
            known = np.isfinite(gradient)
            _refuse(f"{name}.gradient", terms[:, known], gradient[known])


def _refuse(name: str, values: np.ndarray, stated: np.ndarray) -> None:
    """Raise a ValueError if stated means of columns (n, k) are too many standard errors off."""
    mean, error = values.mean(axis=0), _standard_errors(values, stated)
    worst = int(np.argmax(np.abs(mean - stated) / error))
    if abs(mean[worst] - stated[worst]) > _LIMIT * error[worst]:
        raise ValueError(
            f"{name} = {float(stated[worst])!r}{f' (entry {worst})' * (len(stated) > 1)}, yet "
            f"{len(values)} samples of p make it {float(mean[worst]):.6g} ± {error[worst]:.2g}: "
            "the estimate would be biased. Give the exact one, or check=False if it is"
        )


def _standard_errors(values: np.ndarray, stated: np.ndarray) -> np.ndarray:
    """Standard errors of the means of columns, infinite where the samples tell too little.

    That is where one of them has much of the sum of squares; and where all are the same, unless
    the stated mean is another: an event of probability near 0 or 1 may have met none, or all.
    """
    n = len(values)
    squares = (values - values.mean(axis=0)) ** 2
    total, largest = squares.sum(axis=0), squares.max(axis=0)
    first, same = values[0], np.ptp(values, axis=0) == 0
    error = np.sqrt(total / (n * (n - 1))) + _MISSING * np.sqrt(largest) / n
    error += _ROUNDING * np.maximum(np.abs(values).max(axis=0), np.abs(stated))
    close = np.abs(stated - first) < 0.01 * np.abs(first)
    few = np.where(same, close | (first == 0), largest > _HEAVY * total)
    error[few | (error == 0)] = np.inf
    return error


def _as_control(name: str, value: Any) -> ControlVariate | DeltaMethod | str:
    """One control variate."""
    if isinstance(value, (ControlVariate, DeltaMethod)):
        return value
    if isinstance(value, str):
        checks.one_of(name, value, WORDS)
        return value
    if not _is_pair(value):
        raise TypeError(
            f"{name}={value!r}: give fs.ControlVariate(h, mean), (h, mean), fs.DeltaMethod(), "
            "'score' or 'statistics'"
        )
    try:
        return ControlVariate(*value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def _is_pair(value: Any) -> bool:
    """Whether it is ``(h, mean)``, and not two controls."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and (callable(value[0]) or is_pointer(value[0]))
        and not isinstance(value[1], (str, tuple, ControlVariate, DeltaMethod))
    )


def _check_word(name: str, word: str, p: Family) -> None:
    """Refuse the statistics of what is no exponential family."""
    if word == "statistics" and not p.exponential_family:
        raise ValueError(
            f"{name}='statistics': {type(p).__name__} is no exponential family, whose sufficient "
            "statistics its score would span: take 'score'"
        )


def _finite(name: str, value: Any) -> None:
    if not isinstance(value, (Real, np.number)) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}={value!r} is not a number: give a finite one")
    if not math.isfinite(value):
        raise ValueError(f"{name}={value!r} is not finite: give a finite number")


__all__ = ["ControlVariate", "Controls", "as_controls", "prepare"]
