"""Discrete distributions, one thread: the workloads W2 and W3."""

import fastscore as fs

from .common import ELEMENTS, bernoulli, categorical, looked_up, square_of_sum


class Bernoulli:
    """Independent zeros and ones, by their number."""

    params = ([20, 200],)
    param_names = ("d",)

    def setup(self, d):
        self.p, self.n = bernoulli(d), ELEMENTS // d
        fs.gradient(square_of_sum, self.p, n=1000, rng=0, threads=1, baseline="mean")

    def time_gradient(self, d):
        _ = fs.gradient(square_of_sum, self.p, n=self.n, rng=0, threads=1, baseline="mean").grad


class Categorical:
    """One variable, by the number of its classes and the way to sample."""

    params = ([10, 1000], ["iid", "counts"])
    param_names = ("classes", "sampling")

    def setup(self, classes, sampling):
        self.p, values = categorical(classes)
        self.options = {
            "args": (values,), "baseline": "mean", "sampling": sampling, "threads": 1, "rng": 0,
        }  # fmt: skip
        fs.gradient(looked_up, self.p, n=1000, **self.options)

    def time_gradient(self, classes, sampling):
        _ = fs.gradient(looked_up, self.p, n=1_000_000, **self.options).grad
