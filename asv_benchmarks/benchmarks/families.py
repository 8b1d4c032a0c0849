"""Sample and score of every family, per value, beside NumPy's sampler with the same score.

``python -m asv_benchmarks.benchmarks.families`` prints a table.
"""

import time
from statistics import median

import numpy as np
from numba import njit
from scipy.special import digamma

import fastscore as fs
from fastscore.engine.blocks import forward_tile, sample_tile, score_tile
from fastscore.engine.memory import as_floats, as_integers, as_words, pointer
from fastscore.engine.normals import SCRATCH
from fastscore.engine.streams import STATE_WORDS, seed_stream
from fastscore.engine.tiles import stride_of, tile_rows

#: Values of one call.
VALUES = 1_000_000
TURNS = 9


def _normal(rng, shape, loc, scale):
    z = (rng.normal(loc, scale, shape) - loc) / scale
    return z / scale, (z * z - 1) / scale


def _log_normal(rng, shape, loc, scale):
    z = (np.log(rng.lognormal(loc, scale, shape)) - loc) / scale
    return z / scale, (z * z - 1) / scale


def _laplace(rng, shape, loc, scale):
    z = (rng.laplace(loc, scale, shape) - loc) / scale
    return np.sign(z) / scale, (np.abs(z) - 1) / scale


def _exponential(rng, shape, rate):
    return 1 / rate - rng.exponential(1 / rate, shape)


def _gamma(rng, shape, concentration, rate):
    x = rng.gamma(concentration, 1 / rate, shape)
    return np.log(x) + (np.log(rate) - digamma(concentration)), concentration / rate - x


def _beta(rng, shape, concentration1, concentration0):
    x, total = rng.beta(concentration1, concentration0, shape), concentration1 + concentration0
    return (
        np.log(x) + (digamma(total) - digamma(concentration1)),
        np.log1p(-x) + (digamma(total) - digamma(concentration0)),
    )


def _student_t(rng, shape, df, loc, scale):
    z = rng.standard_t(df, shape)
    square = z * z
    near = (df + 1) / (df + square)
    constant = digamma((df + 1) / 2) - digamma(df / 2) - 1 / df
    by_df = 0.5 * (constant - np.log1p(square / df) + near * square / df)
    return by_df, near * z / scale, (near * square - 1) / scale


def _poisson(rng, shape, rate):
    return rng.poisson(rate, shape) / rate - 1


def _binomial(rng, shape, total_count, probs):
    x = rng.binomial(total_count, probs, shape)
    return (x - total_count * probs) / (probs * (1 - probs))


def _geometric(rng, shape, probs):
    return 1 / probs - (rng.geometric(probs, shape) - 1) / (1 - probs)


def _bernoulli(rng, shape, probs):
    return ((rng.random(shape) < probs) - probs) / (probs * (1 - probs))


#: A family, its parameters, and NumPy's way.
CASES = {
    "Bernoulli(0.3)": ("Bernoulli", {"probs": 0.3}, _bernoulli),
    "Normal": ("Normal", {"loc": 2.0, "scale": 3.0}, _normal),
    "LogNormal": ("LogNormal", {"loc": 2.0, "scale": 0.5}, _log_normal),
    "Laplace": ("Laplace", {"loc": 2.0, "scale": 3.0}, _laplace),
    "Exponential": ("Exponential", {"rate": 2.0}, _exponential),
    "Geometric(0.3)": ("Geometric", {"probs": 0.3}, _geometric),
    "Geometric(0.01)": ("Geometric", {"probs": 0.01}, _geometric),
    "Gamma(0.5)": ("Gamma", {"concentration": 0.5, "rate": 3.0}, _gamma),
    "Gamma(2)": ("Gamma", {"concentration": 2.0, "rate": 3.0}, _gamma),
    "Beta(0.5, 0.5)": ("Beta", {"concentration1": 0.5, "concentration0": 0.5}, _beta),
    "Beta(2, 3)": ("Beta", {"concentration1": 2.0, "concentration0": 3.0}, _beta),
    "StudentT(5)": ("StudentT", {"df": 5.0, "loc": 0.0, "scale": 1.0}, _student_t),
    "Poisson(3)": ("Poisson", {"rate": 3.0}, _poisson),
    "Poisson(30)": ("Poisson", {"rate": 30.0}, _poisson),
    "Poisson(1e6)": ("Poisson", {"rate": 1e6}, _poisson),
    "Binomial(10, 0.3)": ("Binomial", {"total_count": 10, "probs": 0.3}, _binomial),
    "Binomial(1000, 0.3)": ("Binomial", {"total_count": 1000, "probs": 0.3}, _binomial),
    "Binomial(1e9, 0.3)": ("Binomial", {"total_count": 10**9, "probs": 0.3}, _binomial),
}


@njit(error_model="numpy")
def _tiles(count, at, d, rows, stride, workspace, x, seen, s):
    """Sample and score so many tiles, and take them to what f sees; ``at`` holds addresses."""
    stream, scratch = as_words(pointer(workspace)), pointer(workspace[STATE_WORDS:])
    seed_stream(stream, np.uint64(1), np.uint64(2), 0)
    for _ in range(count):
        sample_tile(at[0], (as_floats(at[2]), stream, scratch, pointer(x), rows, d, stride))
        score_tile(
            at[1], (as_floats(at[2]), pointer(x), rows, d, stride, as_integers(at[3]), pointer(s))
        )
        if at[4] != 0:
            forward_tile(at[4], (as_floats(at[5]), pointer(x), rows, d, stride, pointer(seen)))


class SampleAndScore:
    """One thread; of one coordinate, and of ten."""

    params = (list(CASES), [1, 10])
    param_names = ("family", "d")

    def setup(self, name, d):
        family, parameters, self.by_numpy = CASES[name]
        # A scalar takes NumPy's faster way.
        self.parameters = {k: v if d == 1 else np.full(d, v) for k, v in parameters.items()}
        self.shape, self.rng = (VALUES // d, d), np.random.default_rng(0)
        self.source = source = getattr(fs, family)(**self.parameters).source
        p, forward = source.family, source.kernel.address if source.kernel else 0
        at = [p.packed_at, p.index_at, forward, source.params_at]
        rows, stride = tile_rows(d), stride_of(d)
        kernels = p.sample_kernel.address, p.score_kernel.address
        self.args = (
            VALUES // (rows * d), np.array([*kernels, *at]), d, rows, stride,
            np.zeros(STATE_WORDS + SCRATCH), *np.zeros((2, d * stride)), np.zeros(p.size * stride),
        )  # fmt: skip
        self.values = self.args[0] * rows * d
        _tiles(0, *self.args[1:])

    def time_fastscore(self, name, d):
        _tiles(*self.args)

    def time_numpy(self, name, d):
        self.by_numpy(self.rng, self.shape, **self.parameters)

    def turns(self, name, d):
        """Nanoseconds per value of both, in turns."""
        for _ in range(TURNS):
            yield tuple(
                seconds_of(function, name, d) / values * 1e9
                for function, values in (
                    (self.time_fastscore, self.values), (self.time_numpy, VALUES)
                )
            )  # fmt: skip

    def track_ratio_to_numpy(self, name, d):
        """How many times NumPy takes as long: the median of the turns."""
        return median(numpy / own for own, numpy in self.turns(name, d))


def seconds_of(function, *args):
    """Of one call."""
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def main():
    """Print the table."""
    print(f"{'family':22}{'d':>4}{'ns per value':>14}{'NumPy':>8}{'ratio':>8}")
    for name in CASES:
        for d in SampleAndScore.params[1]:
            benchmark = SampleAndScore()
            benchmark.setup(name, d)
            turns = list(benchmark.turns(name, d))
            own, numpy = (min(column) for column in zip(*turns, strict=True))
            ratio = median(numpy / own for own, numpy in turns)
            print(f"{name:22}{d:>4}{own:>14.2f}{numpy:>8.2f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
