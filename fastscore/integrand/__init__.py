"""The user's f, whatever its kind: what is said of it, and how it becomes one tile kernel."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numba.core.dispatcher import Dispatcher

from fastscore.cached import cached
from fastscore.checks import one_of
from fastscore.engine import blocks
from fastscore.engine.utilities import KINDS as KINDS_OF_SHAPING
from fastscore.integrand.pointer import is_pointer

Kind = Literal["sample", "batch", "numpy", "c"]
#: The derivative of f by its own values at complex x.
COMPLEX_STEP = "complex step"
KINDS = ("sample", "batch", "numpy", "c")
POLICIES = {"raise": blocks.RAISE, "propagate": blocks.PROPAGATE, "omit": blocks.OMIT}


@dataclass(frozen=True)
class Integrand:
    """An integrand f with what there is to say about it.

    Parameters
    ----------
    f : callable
        Depending on ``kind``: ``f(x, *args) -> float`` of one sample x of shape (d,), jitted;
        ``f(batch, out, *args)``, jitted, which writes one value per row of ``batch``, of shape
        (rows, d), to ``out``; any Python callable ``f(X, *args) -> (rows,)``; or a C function
        pointer (see Notes).  x is float64 or, of a discrete family, int64.  f must be pure,
        thread-safe when compiled, and treat the rows of a batch independently: how many there
        are, and their strides, is not promised.  Arrays that it is given are read-only.
    kind : {"sample", "batch", "numpy", "c"}, optional
        Which of them; by default told by whether f is a pointer, or jitted, and its number of
        parameters.
    direct : callable, optional
        ``∇_θ f_θ(x)``, when f itself depends on the parameters (through ``args``), of the same
        kind as f: ``direct(x, out, *args)``, ``direct(batch, out, *args)``, jitted, or
        ``direct(X, *args) -> (rows, P)``, P in the order of ``p.parameters``.
    nonfinite : {"raise", "propagate", "omit"}
        What to do with samples at which f is NaN or infinite: raise, with their number and the
        first; let them through to the estimate; or leave them out, which estimates the
        gradient conditional on a finite f, and is reported as a bias.
    shaping : {"centered ranks", "nes"}, optional
        Weigh scores by `utilities` of the ranks of f among all samples, in place of f: no monotone
        transformation of f changes the gradient, which is of another objective, and is reported
        as biased.  That of ``"nes"`` is the sum over samples, as in natural evolution strategies;
        the value stays the mean of f.  f is evaluated first, and 64 bytes per sample are kept;
        scores are summed on one thread.  Standard errors are those of a U-statistic: they know
        that each sample moves the ranks of the others.
    depends : array_like of bool, optional
        Of shape (T, d): f returns T terms, whose sum is its value, and this says on which
        coordinates each depends.  A score entry is then weighted by the terms alone that depend on
        its coordinate, since the others only add noise to it.  f is called as ``direct`` is:
        ``f(x, out, *args)`` of one sample (say ``kind="batch"`` for ``f(batch, out, *args)`` with
        out of shape (rows, T)), jitted, or ``f(X, *args) -> (rows, T)``.  Coordinates of p must be
        independent; of those that are not, such as a vector of proportions, what depends on one
        counts for all.  A `Joint` has the coordinates of its parts side by side.
    conditional : callable, optional
        In place of f where it multiplies scores, of the same kind as ``direct``: writes for each
        coordinate i the expectation of f given coordinates among which are i and all that are
        not independent of it, d numbers.  The value still comes from f.
    derivative : callable or "complex step", optional
        ``∇f(x)``, d numbers, for ``estimator="pathwise"``, of the same kind as f and called as
        ``direct`` is: ``derivative(x, out, *args)`` with out of shape (d,), or
        ``derivative(batch, out, *args)`` with out of shape (rows, d), jitted; or
        ``derivative(X, *args) -> (rows, d)``.  Of a `Joint` x is a named tuple, and the
        derivatives by all parts lie side by side; those by integers are not read.  ``"complex
        step"`` takes it from f itself, evaluated d times more at complex x: f must be smooth,
        and take complex numbers (``np.exp``, not ``math.exp``; neither ``abs``, comparisons nor
        conjugates).  Either is compared with differences of f at a few samples.  A step in f has
        the derivative 0 around it, which no pathwise gradient sees: take the score there.

    Raises
    ------
    TypeError, ValueError
        If f or direct is not callable, or an option is not one of those listed.

    Notes
    -----
    A C function is given as a `scipy.LowLevelCallable`, a ctypes function whose ``argtypes`` and
    ``restype`` are set, or a `numba.cfunc`.  Its signature is one of ::

        double f(int d, const double *x, void *user_data);
        void f(int64_t rows, int d, const double *x, double *out, void *user_data);

    with or without ``user_data``, which `scipy.LowLevelCallable` carries in place of ``args``; of
    a discrete family x is ``const int64_t *``.  Rows lie one behind the other.  It is called from
    several threads at once, without the GIL, and must not raise or jump.
    """

    f: Callable[..., Any]
    kind: Kind | None = None
    direct: Callable[..., Any] | None = None
    nonfinite: Literal["raise", "propagate", "omit"] = "raise"
    shaping: Literal["centered ranks", "nes"] | None = None
    depends: Any = field(default=None, compare=False)
    conditional: Callable[..., Any] | None = None
    derivative: Callable[..., Any] | Literal["complex step"] | None = None

    def __post_init__(self) -> None:
        functions = {
            "f": self.f, "direct": self.direct, "conditional": self.conditional,
            "derivative": None if self.derivative == COMPLEX_STEP else self.derivative,
        }  # fmt: skip
        if isinstance(self.derivative, str):
            one_of("derivative", self.derivative, (COMPLEX_STEP,))
            if is_pointer(self.f):
                raise TypeError("derivative='complex step' is not available for a C f: jit f")
        for name, function in functions.items():
            if is_pointer(function) and name == "f":
                continue
            if not callable(function) and (name == "f" or function is not None):
                raise TypeError(f"{name}={function!r} is not callable: give a function")
        if self.kind is not None:
            one_of("kind", self.kind, KINDS)
        one_of("nonfinite", self.nonfinite, POLICIES)
        if self.shaping is not None:
            self._check_shaping()
        if self.kind in ("sample", "batch") and not is_jitted(self.f):
            raise TypeError(f"kind={self.kind!r} needs a compiled f: decorate it with @numba.njit")
        if self.kind == "c" and not is_pointer(self.f):
            raise TypeError(f"kind='c' needs a C function pointer, and f={self.f!r} is none")
        for name in ("direct", "conditional", "derivative"):
            function = functions[name]
            if function is not None and is_pointer(self.f):
                raise TypeError(f"{name} is not available for a C f: jit both f and {name}")
            if function is not None and is_jitted(function) != is_jitted(self.f):
                raise TypeError(f"{name} must be of the same kind as f: jit both or neither")
        if self.depends is not None:
            object.__setattr__(self, "depends", self._checked_depends())

    def _checked_depends(self) -> np.ndarray:
        """A read-only copy."""
        if self.conditional is not None:
            raise TypeError("depends and conditional both weigh scores: give one of them")
        if is_pointer(self.f):
            raise TypeError("depends is not available for a C f, which has one value: jit f")
        matrix = np.array(self.depends)
        if matrix.dtype != np.bool_ and not (
            matrix.dtype.kind in "iu" and np.isin(matrix, (0, 1)).all()
        ):
            raise TypeError(f"depends={self.depends!r} has dtype {matrix.dtype}: give booleans")
        if matrix.ndim != 2 or not matrix.size:
            raise ValueError(
                f"depends has shape {matrix.shape}: give (T, d), a row for each term of f and a "
                "column for each coordinate"
            )
        matrix = matrix.astype(bool)
        matrix.flags.writeable = False
        return matrix

    @property
    def weighs(self) -> str | None:
        """What gives score entries weights of their own, if anything does."""
        if self.depends is not None:
            return "depends"
        return None if self.conditional is None else "conditional"

    @cached
    def holds_for(self) -> set[str]:
        """How f saw samples at which ``depends`` was found to hold."""
        return set()

    def _check_shaping(self) -> None:
        """Refuse what has no rank."""
        one_of("shaping", self.shaping, KINDS_OF_SHAPING)
        if self.direct is not None:
            raise ValueError(
                f"shaping={self.shaping!r} puts utilities in the place of f, and "
                f"direct={self.direct!r} is the derivative of f itself: leave one of them out"
            )
        if self.weighs is not None:
            raise ValueError(
                f"shaping={self.shaping!r} ranks f as a whole, and {self.weighs} weighs each score "
                "entry by a part of it: leave one of them out"
            )
        if self.nonfinite == "propagate":
            raise ValueError(
                f"shaping={self.shaping!r} ranks values, and nonfinite='propagate' lets NaN "
                "through, which has no rank: take 'raise' or 'omit'"
            )

    def resolve(self, args: tuple[Any, ...]) -> Kind:
        """The kind of f, given its arguments.

        Raises
        ------
        TypeError
            If f takes another number of parameters than its kind and ``args`` make.
        """
        kind = self.kind or _told(self.f)
        given = len(args)
        if kind == "c":
            if given:
                raise TypeError(
                    f"args={args!r}: a C f gets its data through the user_data of "
                    "scipy.LowLevelCallable"
                )
            return kind
        terms = self.depends is not None
        if kind is None and _accepts(self.f, (2 if terms else 1) + given):
            kind = "sample"
        if kind is None and _accepts(self.f, 2 + given):
            kind = "batch"
        written = kind == "batch" or (terms and kind == "sample")
        if kind is None or not _accepts(self.f, given + (2 if written else 1)):
            expected = {
                None: "x or (batch, out)", "sample": "x", "batch": "(batch, out)", "numpy": "X",
            }[kind]  # fmt: skip
            if terms and kind in (None, "sample"):
                expected = "(x, out)"
            raise TypeError(
                f"f{_signature(self.f)} cannot be called with {expected} and the {given} "
                f"argument{'s' * (given != 1)} in args"
            )
        return kind


def _told(f: Any) -> Kind | None:
    """The kind of f as far as its type tells; None for a jitted one."""
    if is_pointer(f):
        return "c"
    return None if is_jitted(f) else "numpy"


def is_jitted(function: Any) -> bool:
    """Whether a function is compiled by Numba."""
    return isinstance(function, Dispatcher)


@lru_cache(maxsize=256)
def _accepts(function: Any, count: int) -> bool:
    try:
        inspect.signature(getattr(function, "py_func", function)).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # builtins without a signature
        return True
    return True


def _signature(function: Any) -> str:
    try:
        return str(inspect.signature(getattr(function, "py_func", function)))
    except ValueError:
        return "(…)"
