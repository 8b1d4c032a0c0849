"""What variance reduction costs: time per sample, and its ratio to independent samples.

``python -m asv_benchmarks.benchmarks.variance`` prints the table.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
from numba import njit

import fastscore as fs

from .common import ELEMENTS, normal, of_sample

D = 10
TURNS = 9


@njit(fastmath=True)
def total(x):
    """Sum of a sample."""
    out = 0.0
    for k in range(x.size):
        out += x[k]
    return out


@njit(fastmath=True)
def squares(x):
    """Sum of its squares."""
    out = 0.0
    for k in range(x.size):
        out += x[k] * x[k]
    return out


@njit(fastmath=True)
def neighbours(x):
    """Sum of products of neighbouring coordinates."""
    out = 0.0
    for k in range(x.size - 1):
        out += x[k] * x[k + 1]
    return out


@njit(fastmath=True)
def terms(x, out):
    """The terms of `of_sample`."""
    for k in range(x.size):
        out[k] = (x[k] - 3.0) ** 2


@njit(fastmath=True)
def slopes(x, out):
    """The derivative of `of_sample`."""
    for k in range(x.size):
        out[k] = 2 * (x[k] - 3.0)


def controls(count):
    """So many functions with known mean."""
    p = normal(D)
    loc, variance = p.parameters["loc"], np.exp(2 * p.parameters["log_scale"])
    known = (
        (total, loc.sum()),
        (squares, (loc**2 + variance).sum()),
        (neighbours, (loc[1:] * loc[:-1]).sum()),
    )
    return {"control_variates": [fs.ControlVariate(f, float(mean)) for f, mean in known[:count]]}


def exponential():
    """Ten of them."""
    return fs.Exponential(np.linspace(0.5, 2.0, D))


def gamma():
    """Ten gamma variables."""
    return fs.Gamma(np.linspace(0.5, 2.0, D), np.ones(D))


def poisson():
    """Ten counts."""
    return fs.Poisson(np.linspace(0.5, 5.0, D))


def bernoulli():
    """Ten zeros and ones."""
    return fs.Bernoulli(logits=np.linspace(-1.0, 1.0, D))


@dataclass(frozen=True)
class Case:
    """A way to estimate the gradient of one problem.

    Attributes
    ----------
    options : callable
        Options of `gradient`, which may not be there yet.
    limit : float or None
        What the ratio is to be at most.
    family, f : callable
        The distribution, and what makes f.
    """

    options: Callable = dict
    limit: float | None = None
    family: Callable = lambda: normal(D)
    f: Callable = lambda: of_sample

    def run(self, n, threads=1):
        """An estimate, solved."""
        estimate = fs.gradient(
            self.f(), self.family(), n=n, rng=0, threads=threads, **self.options()
        )
        _ = estimate.grad
        return estimate

    def seconds(self, n, threads=1):
        """Of a sample."""
        start = time.perf_counter()
        samples = self.run(n, threads).n
        return (time.perf_counter() - start) / samples

    def missing(self):
        """Why it cannot run here; None if it can."""
        try:
            self.run(1000)
        except (AttributeError, NotImplementedError, TypeError) as reason:
            absent = isinstance(reason, NotImplementedError) or any(
                words in str(reason) for words in ("has no attribute", "unexpected keyword")
            )
            if not absent:
                raise
            return str(reason)
        return None


def sampled(word, limit=None, **options):
    """By a way to sample."""
    return Case(lambda: {"sampling": word}, limit, **options)


def in_place(word, **options):
    """By an estimator in place of the score's."""
    return Case(lambda: {"estimator": word}, **options)


CASES = {
    "antithetic": sampled("antithetic", 1.1),
    "stratified": sampled("stratified"),
    "orthogonal": sampled("orthogonal"),
    "sobol": sampled("sobol", 1.1),
    "sobol, exponential": sampled("sobol", 1.1, family=exponential),
    "stratified, exponential": sampled("stratified", family=exponential),
    "control variates: 1": Case(lambda: controls(1)),
    "control variates: 3": Case(lambda: controls(3), 1.3),
    "control variates: score": Case(lambda: {"control_variates": ["score"]}),
    "control variates: delta method": Case(lambda: {"control_variates": [fs.DeltaMethod()]}),
    "control variates: 3, antithetic": Case(lambda: {"sampling": "antithetic", **controls(3)}),
    "terms by coordinate": Case(f=lambda: fs.Integrand(terms, depends=np.eye(D, dtype=bool))),
    "pathwise": in_place("pathwise", f=lambda: fs.Integrand(of_sample, derivative=slopes)),
    "pathwise, implicitly": in_place(
        "pathwise", family=gamma, f=lambda: fs.Integrand(of_sample, derivative=slopes)
    ),
    "measure": in_place("measure"),
    "measure, poisson": in_place("measure", family=poisson),
    "disarm": in_place("disarm", family=bernoulli),
    "baseline matrix": Case(lambda: {"baseline": "matrix"}),
}


def turns(case, n, threads=1):
    """Seconds per sample of a case, and of independent samples of the same family, in turn."""
    plain = Case(family=case.family)
    for each in (case, plain):
        each.run(n, threads)
    for _ in range(TURNS):
        yield case.seconds(n, threads), plain.seconds(n, threads)


class Cost:
    """One thread, ten coordinates."""

    params = (list(CASES),)
    param_names = ("case",)
    n = ELEMENTS // D

    def setup(self, name):
        self.case = CASES[name]
        if (reason := self.case.missing()) is not None:
            raise NotImplementedError(reason)  # asv skips it

    def time_gradient(self, name):
        self.case.run(self.n)

    def track_ratio_to_independent(self, name):
        """Of the time per sample: the median of the turns."""
        return median(own / plain for own, plain in turns(self.case, self.n))


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m asv_benchmarks.benchmarks.variance", description=__doc__
    )
    parser.add_argument("--n", type=int, default=1_000_000, help="samples of a call")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(f"{'case':34}{'ns per sample':>14}{'iid':>8}{'ratio':>8}{'at most':>9}")
    for name, case in CASES.items():
        if (reason := case.missing()) is not None:
            print(f"{name:34}  not available: {reason}")
            continue
        times = list(turns(case, options.n, options.threads))
        own, plain = (median(column) * 1e9 for column in zip(*times, strict=True))
        ratio = median(own / plain for own, plain in times)
        limit = "" if case.limit is None else f"{case.limit:.2f}"
        print(f"{name:34}{own:>14.2f}{plain:>8.2f}{ratio:>8.2f}{limit:>9}", flush=True)


if __name__ == "__main__":
    main()
