"""A small call, and the memory of a large one."""

import fastscore as fs

from .common import normal, of_sample


class Overhead:
    """What a call costs beside its samples."""

    def setup(self):
        self.p = normal(10)
        fs.gradient(of_sample, self.p, n=1000, rng=0)

    def time_ten_samples(self):
        _ = fs.gradient(of_sample, self.p, n=10, rng=0).grad

    def time_thousand_samples(self):
        _ = fs.gradient(of_sample, self.p, n=1000, rng=0).grad

    def peakmem_hundred_thousand_samples(self):
        fs.gradient(of_sample, self.p, n=100_000, rng=0)

    def peakmem_ten_million_samples(self):
        fs.gradient(of_sample, self.p, n=10_000_000, rng=0)
