"""The main path: what kinds of f, and what a baseline costs."""

import fastscore as fs

from .common import ELEMENTS, INTEGRANDS, normal, of_sample


class Kinds:
    """One thread, by number of coordinates and kind of f."""

    params = ([10, 1000], list(INTEGRANDS))
    param_names = ("d", "kind")

    def setup(self, d, kind):
        self.p, self.n, self.f = normal(d), ELEMENTS // d, INTEGRANDS[kind]
        fs.gradient(self.f, self.p, n=1000, rng=0, threads=1)

    def time_gradient(self, d, kind):
        _ = fs.gradient(self.f, self.p, n=self.n, rng=0, threads=1).grad


class Baselines:
    """What a baseline costs."""

    params = ([None, "mean", "scalar", "optimal", "matrix"],)
    param_names = ("baseline",)

    def setup(self, baseline):
        self.p = normal(10)
        fs.gradient(of_sample, self.p, n=1000, rng=0, threads=1)

    def time_gradient(self, baseline):
        _ = fs.gradient(
            of_sample, self.p, n=ELEMENTS // 10, rng=0, threads=1, baseline=baseline
        ).grad

    def track_variance_ratio(self, baseline):
        """Variance without a baseline over variance with it, first coordinate."""
        estimate = fs.gradient(of_sample, self.p, n=ELEMENTS // 10, rng=0, baseline=baseline)
        return float(estimate.variance_ratio["loc"][0])
