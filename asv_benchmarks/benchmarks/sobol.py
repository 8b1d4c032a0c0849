"""Sobol' points against independent samples, per sample, of families that invert words.

``python -m asv_benchmarks.benchmarks.sobol`` prints a table, in processor time of one thread.
"""

import time

import numpy as np

import fastscore as fs

from .common import of_sample

N = 2**20
D = 10
TURNS = 15
FAMILIES = {
    "Normal": fs.Normal(np.full(D, 0.3), np.ones(D)),
    "Exponential": fs.Exponential(np.ones(D)),
    "Laplace": fs.Laplace(np.zeros(D), np.ones(D)),
    "Bernoulli": fs.Bernoulli(np.full(D, 0.3)),
    "MultivariateNormal": fs.MultivariateNormal(np.zeros(D), np.eye(D)),
}


class Sobol:
    """One gradient."""

    params = (tuple(FAMILIES), ("iid", "sobol"))
    param_names = ("family", "sampling")

    def setup(self, family, sampling):
        self.time_gradient(family, sampling)

    def time_gradient(self, family, sampling):
        fs.gradient(of_sample, FAMILIES[family], n=N, rng=0, sampling=sampling, threads=1)


def _seconds(family, sampling):
    start = time.process_time()
    Sobol().time_gradient(family, sampling)
    return time.process_time() - start


def main():
    print(f"{'ns per sample':20s}{'iid':>8s}{'sobol':>8s}{'ratio':>8s}")
    for family in FAMILIES:
        turns = [[_seconds(family, word) for word in ("iid", "sobol")] for _ in range(TURNS)]
        iid, sobol = np.min(turns, axis=0) / N * 1e9
        print(f"{family:20s}{iid:8.2f}{sobol:8.2f}{sobol / iid:8.2f}")


if __name__ == "__main__":
    main()
