"""What is audited: an integrand and a distribution, evaluated a piece at a time."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastscore.cached import cached
from fastscore.engine.draw import draw_samples
from fastscore.estimate import Estimate, entries_of
from fastscore.families import Family
from fastscore.gradient import evaluate, gradient
from fastscore.integrand import Integrand
from fastscore.plan import Plan

#: Seconds for calls of f and draws of samples; what else there is takes about as long.
_SECONDS = 0.5
_UNTIMED = 10**9
#: Samples at most, and numbers kept of them at most.
_SAMPLES, _NUMBERS = 100_000, 2_000_000


@dataclass
class Subject:
    """An integrand and a distribution.

    Attributes
    ----------
    integrand : Integrand
        Its policy is to let through what is not finite.
    p : Family
        With all its parameters.
    args : tuple
        Arguments of f.
    wrt : tuple of str
        Parameters to differentiate by.
    seed : int
        Of samples.
    threads : int or None
        Of runs.
    timed : bool
        Whether time is to be kept; else how many samples there are depends on no clock.
    evaluations : int
        How often f was evaluated so far.
    """

    integrand: Integrand
    p: Family
    args: tuple[Any, ...]
    wrt: tuple[str, ...]
    seed: int
    threads: int | None
    timed: bool = True
    evaluations: int = 0

    def __post_init__(self) -> None:
        self.integrand = dataclasses.replace(self.integrand, nonfinite="propagate")
        self.chosen = entries_of(self.p, self.wrt)

    @cached
    def labels(self) -> list[str]:
        """Names of the chosen entries."""
        found = []
        for name in self.wrt:
            count = self.p.free(name)
            places = np.asarray(self.p.shaped(name, np.arange(1.0, count + 1), scaled=False))
            if not places.shape:
                found.append(name)
                continue
            # Of a symmetric matrix an entry stands in two places: the first is its name.
            _, first = np.unique(places, return_index=True)
            for at in first[-count:]:
                where = np.unravel_index(at, places.shape)
                found.append(f"{name}[{', '.join(map(str, where))}]")
        return found

    @cached
    def entries(self) -> np.ndarray:
        """Values of the chosen entries; of a matrix with ties among its own the largest."""
        found = []
        for name in self.wrt:
            value, count = self.p.parameters[name], self.p.free(name)
            largest = np.full(count, np.abs(value).max())
            found.append(value.ravel() if count == value.size else largest)
        return np.concatenate(found)

    @property
    def continuous(self) -> np.ndarray:
        """Which coordinates hold reals, (d,)."""
        return np.asarray(~self.p.support_set.integer)

    @cached
    def _plan(self) -> Plan:
        plain = dataclasses.replace(self.integrand, direct=None, conditional=None, derivative=None)
        return Plan(plain, self.p, self.args, None, self.seed, self.threads)

    def values(self, x: np.ndarray) -> np.ndarray:
        """f at samples (n, d), whatever it is there."""
        self.evaluations += len(x)
        if self.integrand.depends is not None:
            return np.asarray(self._plan.terms(x).sum(axis=1))
        return evaluate(self._plan, x)

    def seen(self, x: np.ndarray) -> Any:
        """A sample as f sees it."""
        return self.p.form.seen(x[None])

    def sample(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples of p, (n, d), and their chosen scores, (n, entries)."""
        return self.carried(draw_samples(self.p.source.family, n, self.seed))

    def carried(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same of what was drawn on the source, which the score is taken on."""
        source = self.p.source
        return source.forward(drawn), source.family.scores_of(drawn)[:, self.chosen]

    def moved(self, direction: np.ndarray) -> Family:
        """The distribution with its chosen entries moved by that much.

        Raises
        ------
        ValueError
            Where a parameter has no such value.
        """
        changed, start = {}, 0
        for name in self.wrt:
            stop = start + self.p.free(name)
            step = self.p.shaped(name, direction[start:stop], scaled=False)
            changed[name] = self.p.parameters[name] + step
            start = stop
        return self.p.replace(**changed)

    def estimate(self, n: int, **options: Any) -> Estimate:
        """What `gradient` makes of n samples."""
        self.evaluations += n
        policy: Any = "propagate" if options else "omit"
        integrand = dataclasses.replace(self.integrand, nonfinite=policy)
        given: dict[str, Any] = {"rng": self.seed, "threads": self.threads, **options}
        return gradient(integrand, self.p, args=self.args, wrt=self.wrt, n=n, **given)

    @cached
    def cost(self) -> float:
        """Seconds that one sample takes to draw and to evaluate f at, once all is compiled."""
        rows, spent = 16, 0.0
        self.values(self.sample(rows)[0])
        while spent < 0.01 and rows < 2048:
            rows *= 4
            start = time.perf_counter()
            self.values(self.p.drawn(rows, self.seed))
            spent = time.perf_counter() - start
        return spent / rows

    def affordable(self, share: float) -> int:
        """Samples that a share of the time is enough for."""
        return int(share * _SECONDS / self.cost) if self.timed else _UNTIMED

    @property
    def most(self) -> int:
        """Samples kept at most."""
        return max(500, min(_SAMPLES, _NUMBERS // (self.p.d + self.p.size)))


__all__ = ["Subject"]
