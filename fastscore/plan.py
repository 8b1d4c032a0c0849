"""From what a call asks for to the run that does it: kernels, blocks and buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine import blocks
from fastscore.engine.callback import CallbackRun, blocks_of_batch, call_f
from fastscore.engine.control_functions import NO_FUNCTIONS, ControlFunctions
from fastscore.engine.distinct import DistinctRun
from fastscore.engine.draw import draw_samples
from fastscore.engine.enumeration import MOST_OUTCOMES, CountedRun, Evaluation, ExactRun
from fastscore.engine.gradient_terms import GradientTerms
from fastscore.engine.host import prange_is_safe
from fastscore.engine.launch import CompiledRun, FoldsRun
from fastscore.engine.local import Coordinate, Local
from fastscore.engine.problem import Problem
from fastscore.engine.products import NO_PRODUCTS
from fastscore.engine.ranking import CalledValues, CompiledValues, RankedRun
from fastscore.engine.run import Run
from fastscore.engine.scheme import Scheme, cut_of
from fastscore.engine.streams import key_of
from fastscore.engine.tiles import Tiling, batch_stride, replicate_tiling, tiling
from fastscore.engine.top import TopRun
from fastscore.engine.weighting import Weighting
from fastscore.families import Family
from fastscore.families._family import Source
from fastscore.importance.proposals import Proposals
from fastscore.integrand import COMPLEX_STEP, POLICIES, Integrand, complex_step
from fastscore.integrand.arguments import Arguments
from fastscore.integrand.compiled import compile_direct, compile_f, compile_pointer, written_by
from fastscore.integrand.pointer import c_function
from fastscore.variance.arm import ArmTerms
from fastscore.variance.control_variates import Controls
from fastscore.variance.differences import DifferenceTerms
from fastscore.variance.estimators import (
    Arm,
    Disarm,
    Enumerate,
    Estimator,
    Exact,
    InPlace,
    Measure,
    Pathwise,
    Score,
)
from fastscore.variance.local import coordinates_of, enumerated, swept
from fastscore.variance.measures import MeasureTerms
from fastscore.variance.pathwise import pathwise_terms
from fastscore.variance.patterns import cancels, pattern_of
from fastscore.variance.points import points_of
from fastscore.variance.sampling import (
    Antithetic,
    Counts,
    Independent,
    Sampling,
    Sobol,
    WithoutReplacement,
)
from fastscore.variance.slopes import SAMPLES, check_derivative
from fastscore.variance.terms import check_depends, owners_and_groups, reach

#: Pairs that tell which controls cancel in all of them.
_FEW = 16


@dataclass(frozen=True)
class Plan:
    """An integrand and a distribution, checked, and how to run them.

    Attributes
    ----------
    integrand : Integrand
        f.
    p : Family
        The distribution.
    args : tuple
        Arguments of f.
    n, seed : int
        Number of samples, and seed.
    proposals : Proposals or None
        Where to sample from in place of p.
    details : bool
        Whether to keep sums of each proposal apart.
    chosen : ndarray or None
        Score entries whose largest terms are kept.
    threads : int or None
        Threads at most.
    sampling, estimator : Sampling, Estimator
        How samples are drawn, and what is averaged.
    functions : ControlFunctions
        Control variates.
    """

    integrand: Integrand
    p: Family
    args: tuple[Any, ...]
    n: int | None
    seed: int
    threads: int | None
    proposals: Proposals | None = None
    details: bool = False
    chosen: np.ndarray | None = None
    sampling: Sampling = field(default_factory=Independent)
    estimator: Estimator = field(default_factory=Score)
    functions: ControlFunctions = NO_FUNCTIONS

    def run(self, products: int) -> Run:
        """What the estimator and the sampling ask for."""
        self._check_weights()
        if isinstance(self.estimator, Pathwise):
            self._check_path()
        if isinstance(self.estimator, Enumerate) and self.estimator.coordinates is not None:
            self._check_enumeration()
            return self.samples(products)
        if isinstance(self.estimator, Exact):
            return self.exact()
        if isinstance(self.estimator, Enumerate) and self.estimator.top is not None:
            return self.top(self.estimator.top)
        if isinstance(self.sampling, WithoutReplacement):
            return self.distinct(self.sampling.size)
        if isinstance(self.sampling, Counts):
            return self.counts()
        if isinstance(self.sampling, Sobol):
            return self.samples(NO_PRODUCTS)  # its moments know those of replicates
        return self.samples(products)

    def samples(self, products: int) -> Run:
        """By samples, with products of scores if these are wanted."""
        if self.integrand.shaping is not None:
            return self._ranked(self.integrand.shaping, products)
        return self._called(products) if self._kind == "numpy" else self._compiled(products)

    def _ranked(self, shaping: str, products: int) -> RankedRun:
        """By utilities of the ranks of f."""
        called = self._kind == "numpy"
        first: Any = (
            self._called(NO_PRODUCTS, CalledValues) if called
            else self._compiled(NO_PRODUCTS, CompiledValues)
        )  # fmt: skip
        cut, source = self._cut, self._source
        problem = Problem(
            source.family, cut, key_of(self.seed), policy=self._policy, products=products,
            direct=blocks.GIVEN, stride=batch_stride(blocks_of_batch(cut) * cut.block),
        )  # fmt: skip
        run = RankedRun(problem, first, shaping)
        run.seen = self._seen(source)
        return run

    def _called(self, products: int, made: type[CallbackRun] = CallbackRun) -> CallbackRun:
        """f is called from Python."""
        cut, direct, mixture = self._cut, self.integrand.direct, self._mixture
        source, in_place = self._source, self._in_place(blocks.GIVEN)
        draws = 1 if mixture is None else mixture.draws
        problem = Problem(
            source.family, cut, key_of(self.seed), policy=self._policy, products=products,
            direct=blocks.NONE if direct is None else blocks.GIVEN, mixture=mixture,
            stride=batch_stride(blocks_of_batch(cut, draws) * cut.block * draws),
            weighting=self._weighting(blocks.GIVEN) or self._local or in_place,
            points=self._points,
        )  # fmt: skip
        f, _, _ = self._f(source)
        seen, conditional = self._seen(source), self.integrand.conditional
        terms = f if conditional is None else lambda x: conditional(seen(x), *self.args)
        if self._enumerated:
            terms = swept(f, self._enumerated)
        if isinstance(self.estimator, Pathwise):
            derivative = self._derivative
            terms = lambda x: derivative(seen(x), *self.args)  # noqa: E731
        if isinstance(in_place, DifferenceTerms):
            terms = in_place.called(f)
        run = made(
            problem, f, None if direct is None else lambda x: direct(seen(x), *self.args), terms
        )
        run.seen = seen
        return run

    def _compiled(self, products: int, made: type[CompiledRun] | None = None) -> CompiledRun:
        """f is called from the kernels."""
        source, direct, threads = self._source, self.integrand.direct, self.threads
        f, arguments, functions = self._f(source)
        weighting: Weighting | Local | GradientTerms | None = self._local
        conditional = self.integrand.conditional
        if self.integrand.depends is not None:
            weighting, f = self._weighting(f), blocks.NONE
        elif conditional is not None:
            functions.append(self._written(conditional, self.p.d, arguments, source))
            weighting = self._weighting(functions[-1].address)
        if isinstance(self.estimator, Pathwise):
            written = self._written(self._derivative, self.p.d, arguments, source)
            weighting = self._in_place(written.address, written)
        elif isinstance(self.estimator, InPlace):
            weighting = self._in_place(blocks.NONE)
        if direct is not None:
            functions.append(self._written(direct, self.p.size, arguments, source))
        problem = Problem(
            source.family, self._cut, key_of(self.seed), policy=self._policy, products=products,
            f=f, direct=blocks.NONE if direct is None else functions[-1].address,
            args=arguments, functions=functions, mixture=self._mixture,
            stride=None if self._mixture is None else batch_stride(self._cut.rows),
            weighting=weighting,
            points=self._points,
        )  # fmt: skip
        if (
            any(getattr(function, "parallel", False) for function in functions)
            and not prange_is_safe()
        ):
            threads = 1  # its own parallel regions may be entered by one thread at a time only
        made = made or (CompiledRun if products == NO_PRODUCTS else FoldsRun)
        run = made(problem, threads)
        run.seen = self._seen(source)
        return run

    def control_functions(self, controls: Controls) -> ControlFunctions:
        """Control variates as the run takes them: those multiplied by scores come last."""
        compiled = [
            replace(self, integrand=h, args=args)._f(self._source) for h, args in controls.functions
        ]
        if self._kind != "numpy" and any(callable(function) for function, _, _ in compiled):
            raise TypeError(
                "a control variate is a plain Python function, and f is compiled: decorate it "
                "with @numba.njit, too"
            )
        order = np.argsort(controls.scored, kind="stable")
        odd, odd_by_score = self._odd_controls(controls) if len(controls) else (None, None)
        return ControlFunctions(
            odd=None if odd is None else odd[order],
            odd_by_score=odd_by_score,
            functions=tuple(compiled[j][0] for j in order),
            arguments=tuple(compiled[j][1] for j in order),
            means=controls.means[order],
            gradients=np.nan_to_num(controls.gradients[controls.scored]),
            coefficients=controls.coefficients[order],
            by_value=controls.score,
            kept=tuple(compiled),
        )

    def _written(self, function: Any, size: int, arguments: Arguments, source: Source) -> Any:
        """The tile kernel of a jitted function that writes so many numbers."""
        forward = source.kernel is not None
        try:
            return compile_direct(function, self._kind, size, self.p.form, arguments, forward)
        except TypeError as error:
            if self.integrand.derivative == COMPLEX_STEP and function is self._derivative:
                raise TypeError(complex_step.explained(error)) from error
            raise

    def _weighting(self, evaluate: int) -> Weighting | None:
        """Weights of score entries, whose terms are evaluated at that address."""
        integrand, p = self.integrand, self.p
        if integrand.weighs is None:
            return None
        owners, groups = owners_and_groups(p, integrand.weighs)
        summed = integrand.depends is not None
        reached = reach(integrand.depends, groups) if summed else np.eye(p.d, dtype=bool)
        return Weighting(reached, owners, p.index, p.size, evaluate=evaluate, summed=summed)

    def _in_place(self, evaluate: int, kept: Any = None) -> GradientTerms | None:
        """Terms in place of ``f s``, written at that address."""
        if isinstance(self.estimator, Pathwise):
            return pathwise_terms(self.p, evaluate, kept)
        if isinstance(self.estimator, Measure):
            assert self.chosen is not None
            return MeasureTerms(self.p, self._source.family, self.chosen)
        if isinstance(self.estimator, Arm | Disarm):
            return ArmTerms(self.p, self.estimator)
        return None

    @cached
    def _derivative(self) -> Any:
        """∇f, of the kind of f."""
        given, f, form = self.integrand.derivative, self.integrand.f, self.p.form
        if given != COMPLEX_STEP:
            return given
        if self._kind == "numpy":
            return complex_step.called(f, form)
        return complex_step.jitted(f, self._kind, form, len(self.args))

    def _check_path(self) -> None:
        """Refuse parameters along which samples do not move, and a wrong derivative."""
        still = self.p.path.still
        for columns, why in still:
            if self.chosen is None or np.isin(self.p.index[columns], self.chosen).any():
                raise ValueError(why)
        integrand, known = self.integrand, f"derivative of {self.p.form}"
        if known in integrand.holds_for:
            return
        source = self._source
        z = draw_samples(source.family, SAMPLES, 0)
        run = replace(self, integrand=replace(integrand, nonfinite="propagate"))

        def f(x: np.ndarray) -> np.ndarray:
            evaluation = run.evaluation(x)
            evaluation.rounds()
            return evaluation.values  # NaN where it failed

        slopes = self._slopes_at(source, z)
        check_derivative(source.forward(z), slopes, self.p.support_set, f)
        integrand.holds_for.add(known)

    def _slopes_at(self, source: Source, z: np.ndarray) -> np.ndarray:
        """The derivative of f, (rows, d), at draws of the source."""
        derivative, d = self._derivative, self.p.d
        if self._kind == "numpy":
            seen = self._seen(source)
            return call_f(
                "derivative", lambda z: derivative(seen(z), *self.args), z, (len(z), d), 0
            )
        _, arguments, _ = self._f(source)
        return written_by(self._written(derivative, d, arguments, source), arguments, d)(z)

    @cached
    def _enumerated(self) -> list[Coordinate]:
        """Coordinates that are summed out given the others."""
        if not isinstance(self.estimator, Enumerate) or self.estimator.coordinates is None:
            return []
        chosen = coordinates_of(self.estimator.coordinates, self.p.d)
        owners, groups = owners_and_groups(self.p, f"estimator={self.estimator!r}")
        return enumerated(self._source.family, chosen, owners, groups)

    @property
    def _local(self) -> Local | None:
        return Local(self._enumerated, self.p.index) if self._enumerated else None

    def _check_enumeration(self) -> None:
        """Refuse what does not go with coordinates that are summed out."""
        if not isinstance(self.sampling, Independent):
            raise ValueError(
                f"{self.estimator!r} goes with independent samples, not with sampling="
                f"{self.sampling!r}: leave one of them out"
            )
        if self.integrand.nonfinite == "omit":
            raise ValueError(
                "nonfinite='omit' has no meaning where f is evaluated at several values for each "
                "sample: let f return what such samples are to count, or take 'raise'"
            )

    def _check_weights(self) -> None:
        """Refuse what does not go with weights of score entries, and a wrong ``depends``."""
        integrand = self.integrand
        if integrand.weighs is None:
            return
        for name, value, plain in (
            ("proposals", self.proposals, None), ("sampling", self.sampling, Independent()),
            ("estimator", self.estimator, Score()),
        ):  # fmt: skip
            if value != plain:
                raise ValueError(
                    f"{integrand.weighs} goes with independent samples of p itself, not with "
                    f"{name}={value!r}: leave one of them out"
                )
        if integrand.depends is None or str(self.p.form) in integrand.holds_for:
            return
        _, groups = owners_and_groups(self.p, "depends")
        reached, source = reach(integrand.depends, groups), self._source
        assert self.n is not None
        check_depends(
            reached, groups, lambda count: draw_samples(source.family, count, 0),
            self._terms_at(source), self.n,
        )  # fmt: skip
        integrand.holds_for.add(str(self.p.form))

    def terms(self, x: np.ndarray) -> np.ndarray:
        """The terms of f, (n, T), at given samples (n, d); NaN where f fails."""
        return self._terms_at(Source(self.p))(x)

    def _terms_at(self, source: Source) -> Callable[[np.ndarray], np.ndarray]:
        """The terms of f, (rows, T), at samples of the source."""
        f, arguments, functions = self._f(source)
        terms = len(self.integrand.depends)
        if self._kind == "numpy":
            return lambda x: call_f("f", f, x, (len(x), terms), 0)

        return written_by(f, arguments, terms, functions)

    def _odd_controls(self, controls: Controls) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Controls, and their products with scores, that cancel within pairs."""
        source = self._source
        if not isinstance(self.sampling, Antithetic) or source.family.centre is None:
            return None, None
        z = source.family.drawn(_FEW, 0)
        pair = [z, 2 * source.family.centre - z]
        scores = np.array([source.family.scores_of(one) for one in pair])
        values = np.array(
            [[self._values(h, args, source.forward(one)) for one in pair]
             for h, args in controls.functions]
        )  # fmt: skip
        centred = values - controls.means[:, None, None]
        terms = values[controls.scored][..., None] * scores
        terms = terms - np.nan_to_num(controls.gradients[controls.scored])[:, None, None]
        return cancels(centred), cancels(terms)

    def _values(self, h: Integrand, args: tuple[Any, ...], x: np.ndarray) -> np.ndarray:
        """A control at samples (n, d), which it has been evaluated at the like of before."""
        run = replace(self, integrand=h, args=args).evaluation(x)
        run.rounds()
        return run.values

    def counts(self) -> CountedRun:
        """By how often each outcome of a small support came."""
        assert self.n is not None
        return CountedRun(self.n, self.seed, **self._outcomes("sampling='counts'"))

    def exact(self) -> ExactRun:
        """By all outcomes of a small support."""
        return ExactRun(**self._outcomes("estimator='exact'"))

    def top(self, top: int) -> TopRun:
        """By the most probable outcomes of a small support, and samples of the others."""
        option = f"estimator=Enumerate(top={top})"
        if self.integrand.nonfinite == "omit":
            raise ValueError(
                f"nonfinite='omit' does not go with {option}, where outcomes do not weigh the "
                "same: let f return what such outcomes are to count, or take 'raise'"
            )
        assert self.n is not None
        return TopRun(top, self.n, self.seed, **self._outcomes(option))

    def distinct(self, size: int) -> DistinctRun:
        """By sets of distinct outcomes of a small support."""
        assert self.n is not None
        option = f"sampling=WithoutReplacement(size={size})"
        return DistinctRun(size, self.n, self.seed, **self._outcomes(option))

    def evaluation(self, x: np.ndarray) -> Evaluation:
        """f at given samples (n, d), whose values its rounds leave in ``values``."""
        if self.integrand.weighs is not None:
            raise ValueError(
                f"{self.integrand.weighs} goes with independent samples of p itself, not with "
                "proposals: leave it out, and let f return one value"
            )
        f, arguments, functions = self._f(Source(self.p))
        run = Evaluation(self.p, x, f=f, args=arguments, policy=self._policy, functions=functions)
        run.seen = self.p.form.seen
        return run

    def _outcomes(self, option: str) -> dict[str, Any]:
        """What a run over outcomes takes."""
        if self.integrand.direct is not None:
            raise ValueError(f"{option} takes no direct term: leave it out, or sample")
        try:
            outcomes = self.p.support(MOST_OUTCOMES)
        except ValueError as error:
            raise ValueError(f"{option} needs few outcomes, and {error}: sample instead") from None
        f, arguments, functions = self._f(Source(self.p))
        return {
            "family": self.p, "outcomes": outcomes, "f": f, "args": arguments,
            "policy": self._policy, "functions": functions,
        }  # fmt: skip

    @property
    def _source(self) -> Source:
        """What tiles are drawn from; proposals meet on the space of x itself."""
        return self.p.source if self.proposals is None else Source(self.p)

    def _seen(self, source: Source) -> Callable[[np.ndarray], Any]:
        """From samples of a source to what f sees."""
        return lambda drawn: self.p.form.seen(source.forward(drawn))

    @property
    def _kind(self) -> str:
        return self.integrand.resolve(self.args)

    @property
    def _policy(self) -> int:
        return POLICIES[self.integrand.nonfinite]

    @cached
    def _scheme_and_units(self) -> tuple[Scheme | None, int]:
        """How the samples of a unit come about, None if each is one, and how many units."""
        if self.proposals is not None:
            mixture, units = self.proposals.mixture(self.p, self.n)
            return replace(
                mixture, detailed=self.details, chosen=self.chosen, functions=self.functions
            ), units
        assert self.n is not None
        if isinstance(self.sampling, (Independent, Sobol)) and not self.functions:
            return None, self.n
        pattern = pattern_of(self.sampling, self._source.family, self.functions)
        return pattern, -(-self.n // pattern.draws)

    @property
    def _mixture(self) -> Scheme | None:
        return self._scheme_and_units[0]

    @property
    def _cut(self) -> Tiling:
        scheme, units = self._scheme_and_units
        if isinstance(self.sampling, Sobol):
            return replicate_tiling(units, self.p.d, self.p.size, self.sampling.replicates)
        if scheme is None:
            return tiling(units, self.p.d, self.p.size)
        return cut_of(scheme, units)

    @cached
    def _points(self) -> np.ndarray | None:
        """What samples are made from, if not random words."""
        if not isinstance(self.sampling, Sobol):
            return None
        return points_of(self.sampling, self.p, self._source.family, self._cut, self.seed)

    def _f(self, source: Source) -> tuple[Any, Any, list[Any]]:
        """f as an address, its arguments, and what must be kept alive; or a callable of X."""
        integrand, form, args, kind = self.integrand, self.p.form, self.args, self._kind
        if kind == "numpy":
            seen = self._seen(source)
            return lambda x: integrand.f(seen(x), *args), None, []
        forward = source.kernel is not None
        if kind == "c":
            if form.parts:
                raise TypeError(f"a C function takes one array, and x is {form}: take a jitted f")
            function, arguments = compile_pointer(
                c_function(integrand.f, form.dtype), form, forward
            )
        else:
            arguments = Arguments(args)
            if integrand.depends is None:
                function = compile_f(integrand.f, kind, form, arguments, forward)
            else:
                terms = len(integrand.depends)
                function = compile_direct(integrand.f, kind, terms, form, arguments, forward)
        if source.kernel is not None:
            arguments = arguments.led_by(source.kernel.address, source.params_at)
        return function.address, arguments, [function, source]
