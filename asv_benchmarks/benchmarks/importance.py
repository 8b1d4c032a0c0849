"""Multiple importance sampling: the workload W4, and what changes with its parts."""

import time
from statistics import median

import fastscore as fs

from .common import ELEMENTS, normal, of_sample, proposals


class Workload:
    """W4 by coordinates and threads, all of them for None."""

    params = ([10, 100], [1, None])
    param_names = ("d", "threads")

    def setup(self, d, threads):
        self.p, self.proposals, self.n = normal(d), proposals(d, 8), ELEMENTS // d
        self.options = {"rng": 0, "threads": threads, "baseline": None}
        fs.gradient(of_sample, self.p, proposals=self.proposals, n=1000, **self.options)

    def time_gradient(self, d, threads):
        _ = fs.gradient(of_sample, self.p, proposals=self.proposals, n=self.n, **self.options).grad


class ByProposals:
    """One thread, ten coordinates: linear in the number of proposals."""

    params = ([2, 8, 32, 128],)
    param_names = ("proposals",)

    def setup(self, count):
        self.p, self.proposals = normal(10), proposals(10, count)
        fs.gradient(of_sample, self.p, proposals=self.proposals, n=1000, rng=0, threads=1)

    def time_gradient(self, count):
        _ = fs.gradient(
            of_sample, self.p, proposals=self.proposals, n=ELEMENTS // 10, rng=0, threads=1
        ).grad


class Heuristics:
    """W4 in one thread, by heuristic."""

    params = (["balance", "power", "cutoff", "maximum", "constant", "optimal", "mixture"],)
    param_names = ("heuristic",)

    def setup(self, heuristic):
        self.p, families = normal(10), proposals(10, 8)
        self.balance = fs.Proposals(families)
        self.proposals = fs.Proposals(
            families, heuristic=heuristic, covering=heuristic == "constant"
        )
        for each in (self.balance, self.proposals):
            self.run(each, 1000)

    def run(self, given, n):
        _ = fs.gradient(of_sample, self.p, proposals=given, n=n, rng=0, threads=1).grad

    def seconds(self, given):
        start = time.perf_counter()
        self.run(given, ELEMENTS // 10)
        return time.perf_counter() - start

    def time_gradient(self, heuristic):
        self.run(self.proposals, ELEMENTS // 10)

    def track_ratio_to_balance(self, heuristic):
        """Median of the ratios of calls in turn."""
        turns = [(self.seconds(self.proposals), self.seconds(self.balance)) for _ in range(9)]
        return median(own / balance for own, balance in turns)


class Memory:
    """It does not grow with the number of samples."""

    params = ([100_000, 10_000_000],)
    param_names = ("n",)

    def peakmem_gradient(self, n):
        fs.gradient(of_sample, normal(10), proposals=proposals(10, 8), n=n, rng=0)
