"""Throughput of the main path."""

import fastscore as fs

from .common import ELEMENTS, INTEGRANDS, distribution, of_sample


class Kinds:
    """One thread, by number of coordinates and kind of f."""

    params = ([1, 10, 100, 1000], list(INTEGRANDS))
    param_names = ("d", "kind")

    def setup(self, d, kind):
        self.p, self.n, self.f = distribution(d), ELEMENTS // d, INTEGRANDS[kind]
        fs.gradient(self.f, self.p, n=1000, rng=0, threads=1)

    def time_gradient(self, d, kind):
        _ = fs.gradient(self.f, self.p, n=self.n, rng=0, threads=1).grad


class Baselines:
    """What a baseline costs."""

    params = ([None, "mean", "scalar", "optimal"],)
    param_names = ("baseline",)

    def setup(self, baseline):
        self.p = distribution(10)
        fs.gradient(of_sample, self.p, n=1000, rng=0, threads=1)

    def time_gradient(self, baseline):
        _ = fs.gradient(
            of_sample, self.p, n=ELEMENTS // 10, rng=0, threads=1, baseline=baseline
        ).grad

    def track_variance_ratio(self, baseline):
        """Variance without a baseline over variance with it, first coordinate."""
        estimate = fs.gradient(of_sample, self.p, n=ELEMENTS // 10, rng=0, baseline=baseline)
        return float(estimate.variance_ratio["loc"][0])


class Threads:
    """Scaling with threads."""

    params = ([1, 2],)
    param_names = ("threads",)

    def setup(self, threads):
        self.p = distribution(10)
        fs.gradient(of_sample, self.p, n=ELEMENTS, rng=0, threads=threads)

    def time_gradient(self, threads):
        _ = fs.gradient(of_sample, self.p, n=ELEMENTS, rng=0, threads=threads).grad


class Overhead:
    """A small call, and the memory of a large one."""

    def setup(self):
        self.p = distribution(10)
        fs.gradient(of_sample, self.p, n=1000, rng=0)

    def time_thousand_samples(self):
        _ = fs.gradient(of_sample, self.p, n=1000, rng=0).grad

    def peakmem_hundred_thousand_samples(self):
        fs.gradient(of_sample, self.p, n=100_000, rng=0)

    def peakmem_ten_million_samples(self):
        fs.gradient(of_sample, self.p, n=10_000_000, rng=0)
