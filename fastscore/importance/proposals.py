"""Where samples come from, if not from the distribution itself, and what they weigh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import chain
from typing import Any

import numpy as np

from fastscore import checks
from fastscore.engine.draw import draw_units
from fastscore.engine.jit import TileKernel
from fastscore.engine.mixture import Mixture
from fastscore.engine.scheme import cut_of
from fastscore.engine.streams import seed_of
from fastscore.families import Family
from fastscore.families._support import missed_by, uncovered
from fastscore.importance import heuristics, psis
from fastscore.importance.allocation import as_allocation, units_of_counts, units_of_shares

HEURISTICS = ("balance", "power", "cutoff", "maximum", "constant", "optimal", "mixture")
CONTROL_VARIATES = ("proposals", "target")
PILOT = "pilot"
#: Heuristics under which a sample weighs ``p/q̄``.
_BALANCED = ("balance", "optimal", "mixture")
_KERNELS: dict[str, TileKernel] = {
    "balance": heuristics.balance,
    "optimal": heuristics.balance,
    "mixture": heuristics.balance,
    "power": heuristics.power,
    "cutoff": heuristics.cutoff,
    "maximum": heuristics.maximum,
    "constant": heuristics.constant,
}
#: Samples by default.
SAMPLES = 100_000


@dataclass(frozen=True)
class Proposals:
    """Distributions to sample from in place of p, and how their samples are combined.

    Parameters
    ----------
    families : Family or sequence of Family
        The proposals q_j: of any family, whose samples have p's dimension and type.  Together they
        must cover p's support.
    allocation : array_like or "pilot", optional
        Shares of the samples, equal by default.  Samples come in *units* that hold each proposal
        in its exact proportion, such as 3 and 1 samples; shares that no unit of up to 1,000 samples
        meets are rounded, and so are more than 100 counts whose common divisor is below 10.  Whole
        numbers are counts if ``n`` is left out, which is then about their sum.  With ``"pilot"``
        the shares that minimise the total variance of the gradient, as far as ``pilot`` samples of
        their own tell; fresh ones follow, so that nothing is biased.
    heuristic : str
        How proposals share the weight of a sample at x, ``Σ_j w_j(x) = 1``; with
        ``c_j = n_j q_j(x)``:

        ``"balance"``   ``c_j / Σ c``: a sample weighs ``p/q̄``, with ``q̄ = Σ n_j q_j / n``
        (equation 9.8 of [1]_);
        ``"power"``     ``c_j^β / Σ c^β`` (section 9.2 of [1]_, as the next two);
        ``"cutoff"``    balance among those with ``c_j ≥ α max c``;
        ``"maximum"``   1 for the largest c_j, of equals the last;
        ``"constant"``  ``w_j``, whatever x: safe only if every q_j covers p (scheme N1 of [2]_);
        ``"optimal"``   balance, with control variates ``q_j/q̄ − 1`` whose coefficients are
        cross-fitted for each coordinate and for the value: of least variance [3]_;
        ``"mixture"``   the one-sample model of [1]_: each sample draws its proposal at random, and
        weighs ``p/q̄``.
    beta : float, optional
        β of ``"power"``, 2 by default.
    alpha : float, optional
        α of ``"cutoff"``, 0.1 by default.
    weights : array_like, optional
        w_j of ``"constant"``, of sum 1; equal by default.
    defensive : float
        Share of samples from p itself, which becomes the last of the proposals.  Weights then
        stay below its inverse [4]_ (not those of ``"constant"``).
    self_normalized : bool
        Divide by the sum of weights.  Biased, by O(1/n), and labelled so.
    clip : float, optional
        Cut weights, whose mean is 1, at this value.  Biased, and labelled so.
    control_variates : str or tuple of str, optional
        What to regress the estimate on, whose mean is known: ``"proposals"`` ``q_j/q̄ − 1``,
        ``"target"`` ``p/q̄ − 1``; with weights ``p/q̄`` only [4]_.  The baseline is another,
        ``p s/q̄``.
    covering : bool
        Declares that every proposal covers whatever matters of p, which ``"constant"`` needs.
    pilot : int, optional
        Samples of the pilot that ``allocation="pilot"`` takes, 2,000 by default.

    Raises
    ------
    TypeError, ValueError
        For bad input, and for an option that would be ignored.

    References
    ----------
    .. [1] E. Veach, Robust Monte Carlo methods for light transport simulation, PhD thesis,
       Stanford 1997, chapter 9; with L. J. Guibas, Optimally combining sampling techniques for
       Monte Carlo rendering, SIGGRAPH 1995.
    .. [2] V. Elvira, L. Martino, D. Luengo and M. F. Bugallo, Generalized multiple importance
       sampling, Statistical Science 34 (2019).
    .. [3] I. Kondapaneni et al., Optimal multiple importance sampling, ACM Transactions on Graphics
       38 (2019).
    .. [4] A. Owen and Y. Zhou, Safe and effective importance sampling, JASA 95 (2000).
    """

    families: Sequence[Family]
    _: KW_ONLY
    allocation: Any = None
    heuristic: str = "balance"
    beta: float | None = None
    alpha: float | None = None
    weights: Any = None
    defensive: float = 0.0
    self_normalized: bool = False
    clip: float | None = None
    control_variates: Any = None
    covering: bool = False
    pilot: int | None = None

    def __post_init__(self) -> None:
        given: Any = self.families
        given = (given,) if isinstance(given, Family) else given
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise TypeError(f"proposals={given!r}: give a distribution, or a list of them")
        for j, q in enumerate(given):
            if not isinstance(q, Family):
                raise TypeError(f"proposals[{j}]={q!r} is not a distribution: give fs.Normal(…)")
        object.__setattr__(self, "families", tuple(q.whole for q in given))
        _number("defensive", self.defensive, 0, 1, least_too=True)
        if not given and not self.defensive:
            raise ValueError("proposals is empty: give a distribution at least")
        if not given:
            raise ValueError("proposals is empty: a defensive share needs others beside it")
        checks.one_of("heuristic", self.heuristic, HEURISTICS)
        if self.allocation is not None and not self.by_pilot:
            object.__setattr__(self, "allocation", as_allocation(self.allocation, len(given)))
        if self.pilot is not None:
            checks.count("pilot", self.pilot)
            if not self.by_pilot:
                raise ValueError(f"pilot={self.pilot!r} needs allocation='pilot': leave it out")
        self._check_options()

    @property
    def by_pilot(self) -> bool:
        """Whether a pilot is to find the shares."""
        return isinstance(self.allocation, str) and self.allocation == PILOT

    def _check_options(self) -> None:
        """Values of options, and that none would be ignored."""
        for name, owner in (("beta", "power"), ("alpha", "cutoff"), ("weights", "constant")):
            if getattr(self, name) is not None and self.heuristic != owner:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is an option of heuristic={owner!r}, not of "
                    f"{self.heuristic!r}: leave it out"
                )
        if self.beta is not None:
            _number("beta", self.beta, 0, math.inf)
        if self.alpha is not None:
            _number("alpha", self.alpha, 0, 1)
        if self.clip is not None:
            _number("clip", self.clip, 0, math.inf)
        for name in ("self_normalized", "covering"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise TypeError(f"{name}={getattr(self, name)!r}: give True or False")
        if self.heuristic == "constant" and not self.covering:
            raise ValueError(
                "heuristic='constant' is biased where a proposal misses part of p, and its "
                "variance infinite where one is too narrow: give covering=True if each covers "
                "all that matters, or take 'balance'"
            )
        if self.covering and self.heuristic != "constant":
            raise ValueError(
                f"covering=True says nothing to heuristic={self.heuristic!r}: leave it out"
            )
        if self.controls and self.heuristic not in _BALANCED:
            raise ValueError(
                f"control_variates={self.control_variates!r} needs weights p/q̄: "
                f"heuristic='balance', 'optimal' or 'mixture', not {self.heuristic!r}"
            )
        if self.controls and (self.self_normalized or self.clip is not None):
            raise ValueError(
                f"control variates {self.controls!r} do not go with self_normalized or clip: "
                "leave one of them out"
            )

    @property
    def controls(self) -> tuple[str, ...]:
        """Control variates in use."""
        given = self.control_variates
        if given is None:
            return ("proposals",) if self.heuristic == "optimal" else ()
        if not isinstance(given, (str, tuple, list)):
            raise TypeError(
                f"control_variates={given!r}: give 'proposals', 'target', or a tuple of both"
            )
        names = (given,) if isinstance(given, str) else tuple(given)
        for name in names:
            checks.one_of("control_variates", name, CONTROL_VARIATES)
        if self.heuristic == "optimal":
            names = ("proposals", *names)
        return tuple(name for name in CONTROL_VARIATES if name in names)

    @property
    def bias(self) -> list[str]:
        """By what the estimate is biased."""
        labels = []
        if self.self_normalized:
            labels.append("self-normalised, O(1/n)")
        if self.clip is not None:
            labels.append("clipped weights")
        return labels

    def members(self, p: Family) -> tuple[Family, ...]:
        """All proposals, p itself included if it has a share."""
        return (*self.families, *([p] if self.defensive else []))

    def check(self, p: Family) -> tuple[int, ...]:
        """Check that the proposals fit p; returns which of them miss part of its support.

        Raises
        ------
        ValueError
            If a proposal has another dimension or type of samples, or if together (under constant
            weights: alone) they miss part of p's support.
        """
        p.require_density("p")
        for j, q in enumerate(self.families):
            q.require_density(f"proposals[{j}]")
            if q.form != p.form:
                raise ValueError(
                    f"proposals[{j}]={q!r} has samples of {q.form}, p of {p.form}: give proposals "
                    "like p"
                )
        target, supports = p.supports, [q.supports for q in self.members(p)]
        owners = [
            f"proposals[{j}]" if len(own) == 1 else f"a component of proposals[{j}]"
            for j, own in enumerate(supports)
            for _ in own
        ]
        missed = uncovered(target, list(chain.from_iterable(supports)), owners, "proposal")
        if missed is not None:
            raise ValueError(
                f"{missed}: the estimate would miss it. Widen a proposal, or give p a share: "
                "fs.Proposals(…, defensive=0.1)"
            )
        partial = tuple(
            j for j, own in enumerate(supports)
            if any(missed_by(support, own) is not None for support in target)
        )  # fmt: skip
        if partial and self.heuristic == "constant":
            raise ValueError(
                f"heuristic='constant', but proposals[{partial[0]}] misses part of p's support: "
                "the estimate would be biased. Take 'balance'"
            )
        return partial

    def shares(self, n: int | None) -> tuple[np.ndarray, int, bool]:
        """Shares of the members, samples, and whether the shares are counts to be met."""
        if self.by_pilot:
            raise ValueError(
                "allocation='pilot' needs f to find shares: give them, as importance.counts of an "
                "estimate from fs.gradient has them"
            )
        given = self.allocation
        count = len(self.families)
        counts = given is not None and given.dtype.kind in "iu" and n is None
        shares = np.ones(count, int) if given is None else given
        if self.defensive:
            own = shares / shares.sum() * (1 - self.defensive)
            return np.append(own, self.defensive), self._samples(n, counts, shares), False
        return shares, self._samples(n, counts, shares), counts

    @staticmethod
    def _samples(n: int | None, counts: bool, shares: np.ndarray) -> int:
        if n is not None:
            return n
        return int(shares.sum()) if counts else SAMPLES

    def mixture(self, p: Family, n: int | None) -> tuple[Mixture, int]:
        """What the kernels take, and the number of units."""
        shares, samples, counts = self.shares(n)
        if self.heuristic == "mixture":
            unit, units = shares / shares.sum(), samples
        elif counts:
            unit, units = units_of_counts(shares)
        else:
            unit, units = units_of_shares(shares, samples)
        random = self.heuristic == "mixture"
        draws = 1 if random else int(unit.sum())
        members = self.members(p)
        return Mixture(
            target=p, proposals=members, counts=unit, random=random,
            heuristic=_KERNELS[self.heuristic], options=self._options(len(members)),
            log_clip=math.inf if self.clip is None else math.log(self.clip / draws),
            controls=len(members) - 1 if "proposals" in self.controls else 0,
            weight_control="target" in self.controls,
            normalized=self.self_normalized,
            tail=psis.tail_length(units * draws) + 1,
            terms_tail=psis.tail_length(units) + 1,
        ), units  # fmt: skip

    def _options(self, count: int) -> list[float]:
        if self.heuristic == "power":
            return [2.0 if self.beta is None else float(self.beta)]
        if self.heuristic == "cutoff":
            return [math.log(0.1 if self.alpha is None else self.alpha)]
        if self.heuristic != "constant":
            return []
        if self.weights is None:
            return [-math.log(count)] * count
        weights = checks.parameter("weights", self.weights)
        if weights.shape != (count,) or not (weights > 0).all() or abs(weights.sum() - 1) > 1e-12:
            raise ValueError(
                f"weights={self.weights!r}: give {count} positive numbers of sum 1, one per "
                "proposal"
            )
        return list(np.log(weights))

    def sample(self, p: Family, n: int | None = None, *, rng: Any = None) -> tuple[Any, Any]:
        """Draw samples: x of shape (N, d), and the proposal of each, of shape (N,).

        They are the very samples that ``fs.gradient(f, p, proposals=self, n=n, rng=rng)`` uses,
        those of each unit together.  Under ``"mixture"`` their proposals are unknown, and −1.
        """
        if not isinstance(p, Family):
            raise TypeError(f"p={p!r} is not a distribution: give one, such as fs.Normal(…)")
        x, own = self.drawn(p.whole, n, rng)
        return p.form.seen(x), own

    def drawn(self, p: Family, n: int | None, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        """The same side by side, (N, d), whatever their form."""
        self.check(p)
        mixture, units = self.mixture(p, None if n is None else checks.count("n", n))
        x = draw_units(mixture, cut_of(mixture, units), seed_of(rng))
        own = np.array([-1]) if mixture.random else mixture.own
        return x, np.tile(own, units)


def as_proposals(value: Any) -> Proposals | None:
    """Proposals, from a list of distributions or one."""
    return value if value is None or isinstance(value, Proposals) else Proposals(value)


def _number(name: str, value: Any, least: float, most: float, *, least_too: bool = False) -> None:
    """Raise unless a number lies between bounds."""
    inside = (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and (least < value < most or (least_too and value == least))
    )
    if not inside:
        bound = f"of at least {least}" if least_too else f"above {least}"
        upper = "" if most == math.inf else f" and below {most}"
        raise ValueError(f"{name}={value!r}: give a number {bound}{upper}")
