"""Throughput by number of samples, of coordinates and of threads."""

import time

import fastscore as fs

from .common import ELEMENTS, normal, of_sample


class _Scaling:
    """Elements, which are samples times coordinates, per second: the median of a few calls."""

    repeats = 5

    def prepare(self, d, n, threads):
        self.p, self.n, self.threads = normal(d), n, threads
        self.run(1000)

    def run(self, n):
        _ = fs.gradient(of_sample, self.p, n=n, rng=0, threads=self.threads).grad

    def throughput(self):
        seconds = []
        for _ in range(self.repeats):
            start = time.perf_counter()
            self.run(self.n)
            seconds.append(time.perf_counter() - start)
        return self.n * self.p.d / sorted(seconds)[self.repeats // 2]


class ByN(_Scaling):
    """One thread, ten coordinates."""

    params = ([10**3, 10**4, 10**5, 10**6, 10**7],)
    param_names = ("n",)

    def setup(self, n):
        self.prepare(10, n, 1)

    def track_throughput(self, n):
        return self.throughput()

    track_throughput.unit = "elements/s"


class ByD(_Scaling):
    """One thread, the same number of elements."""

    params = ([1, 10, 100, 1000, 10_000],)
    param_names = ("d",)

    def setup(self, d):
        self.prepare(d, ELEMENTS // d, 1)

    def track_throughput(self, d):
        return self.throughput()

    track_throughput.unit = "elements/s"


class ByThreads(_Scaling):
    """Ten coordinates, two million samples."""

    params = ([1, 2],)
    param_names = ("threads",)

    def setup(self, threads):
        self.prepare(10, ELEMENTS, threads)

    def track_throughput(self, threads):
        return self.throughput()

    track_throughput.unit = "elements/s"
