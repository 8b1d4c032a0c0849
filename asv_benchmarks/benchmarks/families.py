"""Sample and score of every family, per value, beside NumPy's sampler with the same score.

``python -m asv_benchmarks.benchmarks.families`` prints a table.
"""

import time
from statistics import median

import numpy as np
from numba import njit
from scipy.special import digamma, i0e, i1e, ndtr

import fastscore as fs
from fastscore.engine.blocks import forward_tile, sample_tile, score_tile
from fastscore.engine.memory import as_floats, as_integers, as_words, pointer
from fastscore.engine.normals import SCRATCH
from fastscore.engine.streams import STATE_WORDS, seed_stream
from fastscore.engine.tiles import stride_of, tile_rows

#: Values of one call.
VALUES = 1_000_000
TURNS = 9
#: Coordinates, in the table.
SIZES = (1, 10)


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


def _half_normal(rng, shape, scale):
    z = np.abs(rng.normal(0.0, scale, shape)) / scale
    return (z * z - 1) / scale


def _logistic(rng, shape, loc, scale):
    z = (rng.logistic(loc, scale, shape) - loc) / scale
    slope = np.tanh(0.5 * z)
    return slope / scale, (z * slope - 1) / scale


def _gumbel(rng, shape, loc, scale):
    z = (rng.gumbel(loc, scale, shape) - loc) / scale
    slope = 1 - np.exp(-z)
    return slope / scale, (z * slope - 1) / scale


def _cauchy(rng, shape, loc, scale):
    z = rng.standard_cauchy(shape)
    square = z * z
    by_scale = 1 / (scale * (1 + square))
    return 2 * z * by_scale, (square - 1) * by_scale


def _weibull(rng, shape, scale, concentration):
    v = rng.standard_exponential(shape)
    x = scale * v ** (1 / concentration)
    by_scale, by_k = (v - 1) * (concentration / scale), (1 - (v - 1) * np.log(v)) / concentration
    return x, by_scale, by_k


def _pareto(rng, shape, scale, alpha):
    x = scale * (1 + rng.pareto(alpha, shape))
    return 1 / alpha - np.log(x / scale)


def _kumaraswamy(rng, shape, concentration1, concentration0):
    x = (1 - rng.random(shape) ** (1 / concentration0)) ** (1 / concentration1)
    log_x, power = np.log(x), x**concentration1
    by_1 = 1 / concentration1 + log_x * (1 - (concentration0 - 1) * power / (1 - power))
    return by_1, 1 / concentration0 + np.log1p(-power)


def _gamma(rng, shape, concentration, rate):
    x = rng.gamma(concentration, 1 / rate, shape)
    return np.log(x) + (np.log(rate) - digamma(concentration)), concentration / rate - x


def _chi2(rng, shape, df):
    return (np.log(rng.chisquare(df, shape)) - (digamma(df / 2) + np.log(2))) / 2


def _inverse_gamma(rng, shape, concentration, rate):
    z = rng.gamma(concentration, 1 / rate, shape)
    x = 1 / z
    return x, np.log(z) + (np.log(rate) - digamma(concentration)), concentration / rate - z


def _von_mises(rng, shape, loc, concentration):
    angle = rng.vonmises(loc, concentration, shape) - loc
    ratio = i1e(concentration) / i0e(concentration)
    return concentration * np.sin(angle), np.cos(angle) - ratio


def _truncated_normal(rng, shape, loc, scale, low, high):
    """NumPy has no sampler of them: candidates are drawn until enough lie between the bounds."""
    ends = (low - loc) / scale, (high - loc) / scale
    low, high = np.min(ends[0]), np.max(ends[1])
    accepted, left = [], np.prod(shape)
    while left > 0:
        z = rng.standard_normal(int(left / (ndtr(high) - ndtr(low)) * 1.01) + 10)
        accepted.append(z[(z >= low) & (z <= high)][:left])
        left -= len(accepted[-1])
    z = np.concatenate(accepted).reshape(shape)
    mass, (a, b) = ndtr(high) - ndtr(low), (np.exp(-0.5 * end * end) for end in (low, high))
    first = (a - b) / np.sqrt(2 * np.pi) / mass
    second = 1 + (low * a - high * b) / np.sqrt(2 * np.pi) / mass
    return loc + scale * z, (z - first) / scale, (z * z - second) / scale


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


def _negative_binomial(rng, shape, total_count, probs):
    x = rng.negative_binomial(total_count, 1 - probs, shape)
    by_count = digamma(x + total_count) - (digamma(total_count) - np.log1p(-probs))
    return by_count, x / probs - total_count / (1 - probs)


def _beta_binomial(rng, shape, total_count, concentration1, concentration0):
    a, b = concentration1, concentration0
    x = rng.binomial(total_count, rng.beta(a, b, shape))
    end = digamma(a + b + total_count) - digamma(a + b)
    return (
        digamma(a + x) - (digamma(a) + end),
        digamma(b + total_count - x) - (digamma(b) + end),
    )


def _binomial(rng, shape, total_count, probs):
    x = rng.binomial(total_count, probs, shape)
    return (x - total_count * probs) / (probs * (1 - probs))


def _geometric(rng, shape, probs):
    return 1 / probs - (rng.geometric(probs, shape) - 1) / (1 - probs)


def _bernoulli(rng, shape, probs):
    return ((rng.random(shape) < probs) - probs) / (probs * (1 - probs))


def _categorical(rng, shape, logits):
    """Of variables with the same logits; a score column is the indicator of a class less its p."""
    weights = np.exp(logits[0])
    x = rng.choice(len(weights), shape, p=weights / weights.sum())
    return (x[:, :, None] == np.arange(len(weights))) - weights / weights.sum()


def _finite_discrete(rng, shape, outcomes, logits):
    """Of variables with the same logits, as above."""
    weights = np.exp(logits[0])
    x = rng.choice(outcomes, shape, p=weights / weights.sum())
    return (x[:, :, None] == outcomes) - weights / weights.sum()


def _plackett_luce(rng, shape, logits):
    """Order by Gumbel variables; columns of totals, and back to the items."""
    x = np.argsort(-rng.gumbel(logits, size=shape), axis=1)
    weights = np.exp(logits)[x]
    totals = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    score = np.empty(shape)
    np.put_along_axis(score, x, 1 - weights * np.cumsum(1 / totals, axis=1), axis=1)
    return score


def _uniform(rng, shape, low, high):
    return rng.uniform(low, high, shape)


def _one_hot(rng, shape, logits):
    """Of variables with the same logits."""
    return _categorical(rng, (shape[0], len(logits)), logits)


def _multinomial(rng, shape, total_count, logits):
    weights = np.exp(logits[0])
    p = weights / weights.sum()
    return rng.multinomial(total_count, p, (shape[0], len(logits))) - total_count * p


def _dirichlet(rng, shape, concentration):
    x, a = rng.dirichlet(concentration[0], (shape[0], len(concentration))), concentration[0]
    return np.log(x) + (digamma(a.sum()) - digamma(a))


def _multivariate_normal(rng, shape, loc, scale_tril):
    """By loc, and by L: ``u zᵀ − diag 1/L``, whose lower half counts."""
    z = rng.standard_normal(shape)
    x, u = loc + z @ scale_tril.T, z @ np.linalg.inv(scale_tril)
    by_scale = u[:, :, None] * z[:, None, :]
    by_scale -= np.diag(1 / np.diagonal(scale_tril))
    return x, u, by_scale


def _low_rank(rng, shape, loc, cov_factor, cov_diag):
    """By loc, W and D, with Σ⁻¹ computed once."""
    rank = cov_factor.shape[1]
    x = loc + rng.standard_normal((shape[0], rank)) @ cov_factor.T
    x += rng.standard_normal(shape) * np.sqrt(cov_diag)
    inverse = np.linalg.inv(cov_factor @ cov_factor.T + np.diag(cov_diag))
    u = (x - loc) @ inverse
    by_factor = u[:, :, None] * (u @ cov_factor)[:, None, :]
    by_factor -= inverse @ cov_factor
    return u, by_factor, (u * u - np.diagonal(inverse)) / 2


def _even(d):
    return {"logits": np.zeros((d, 4))}


def _concentration(a):
    return lambda d: {"concentration": np.full((d, 4), a)}


def _trials(n):
    return lambda d: {"total_count": n, **_even(d)}


def _triangle(d):
    return {"loc": np.zeros(d), "scale_tril": np.tril(np.full((d, d), 0.1)) + 0.9 * np.eye(d)}


def _table(d):
    return {"outcomes": np.array([0.5, -1.0, 3.0, 10.0]), "logits": np.zeros((d, 4))}


def _items(d):
    return {"logits": np.linspace(-1, 1, max(d, 3))}


def _of_rank_1(d):
    return {"loc": np.zeros(d), "cov_factor": np.full((d, 1), 0.3), "cov_diag": np.ones(d)}


#: A family, its parameters, and NumPy's way.  Parameters that are vectors or matrices come from a
#: function of d.
CASES = {
    "Bernoulli(0.3)": ("Bernoulli", {"probs": 0.3}, _bernoulli),
    "Categorical of 4": ("Categorical", lambda d: {"logits": np.zeros((d, 4))}, _categorical),
    "FiniteDiscrete of 4": ("FiniteDiscrete", _table, _finite_discrete),
    "Dirichlet of 4 (0.5)": ("Dirichlet", _concentration(0.5), _dirichlet),
    "Dirichlet of 4 (2)": ("Dirichlet", _concentration(2.0), _dirichlet),
    "LowRankMultivariateNormal of rank 1": ("LowRankMultivariateNormal", _of_rank_1, _low_rank),
    "Multinomial of 4 (10)": ("Multinomial", _trials(10), _multinomial),
    "Multinomial of 4 (1000)": ("Multinomial", _trials(1000), _multinomial),
    "Multinomial of 4 (1e6)": ("Multinomial", _trials(10**6), _multinomial),
    "MultivariateNormal": ("MultivariateNormal", _triangle, _multivariate_normal),
    "OneHotCategorical of 4": ("OneHotCategorical", _even, _one_hot),
    "Normal": ("Normal", {"loc": 2.0, "scale": 3.0}, _normal),
    "LogNormal": ("LogNormal", {"loc": 2.0, "scale": 0.5}, _log_normal),
    "Laplace": ("Laplace", {"loc": 2.0, "scale": 3.0}, _laplace),
    "Exponential": ("Exponential", {"rate": 2.0}, _exponential),
    "Geometric(0.3)": ("Geometric", {"probs": 0.3}, _geometric),
    "Geometric(0.01)": ("Geometric", {"probs": 0.01}, _geometric),
    "HalfNormal": ("HalfNormal", {"scale": 3.0}, _half_normal),
    "Logistic": ("Logistic", {"loc": 2.0, "scale": 3.0}, _logistic),
    "Gumbel": ("Gumbel", {"loc": 2.0, "scale": 3.0}, _gumbel),
    "Cauchy": ("Cauchy", {"loc": 2.0, "scale": 3.0}, _cauchy),
    "Weibull": ("Weibull", {"scale": 2.0, "concentration": 1.5}, _weibull),
    "Pareto": ("Pareto", {"scale": 2.0, "alpha": 3.0}, _pareto),
    "Kumaraswamy": (
        "Kumaraswamy",
        {"concentration1": 2.0, "concentration0": 3.0},
        _kumaraswamy,
    ),
    "Gamma(0.5)": ("Gamma", {"concentration": 0.5, "rate": 3.0}, _gamma),
    "Gamma(2)": ("Gamma", {"concentration": 2.0, "rate": 3.0}, _gamma),
    "Chi2(5)": ("Chi2", {"df": 5.0}, _chi2),
    "InverseGamma(2)": ("InverseGamma", {"concentration": 2.0, "rate": 3.0}, _inverse_gamma),
    "TruncatedNormal(-1, 2)": (
        "TruncatedNormal",
        {"loc": 0.0, "scale": 1.0, "low": -1.0, "high": 2.0},
        _truncated_normal,
    ),
    "VonMises(1)": ("VonMises", {"loc": 0.5, "concentration": 1.0}, _von_mises),
    "VonMises(30)": ("VonMises", {"loc": 0.5, "concentration": 30.0}, _von_mises),
    "Beta(0.5, 0.5)": ("Beta", {"concentration1": 0.5, "concentration0": 0.5}, _beta),
    "Beta(2, 3)": ("Beta", {"concentration1": 2.0, "concentration0": 3.0}, _beta),
    "StudentT(5)": ("StudentT", {"df": 5.0, "loc": 0.0, "scale": 1.0}, _student_t),
    "PlackettLuce of 3, 10": ("PlackettLuce", _items, _plackett_luce),
    "Poisson(3)": ("Poisson", {"rate": 3.0}, _poisson),
    "Poisson(30)": ("Poisson", {"rate": 30.0}, _poisson),
    "Poisson(1e6)": ("Poisson", {"rate": 1e6}, _poisson),
    "Binomial(10, 0.3)": ("Binomial", {"total_count": 10, "probs": 0.3}, _binomial),
    "Binomial(1000, 0.3)": ("Binomial", {"total_count": 1000, "probs": 0.3}, _binomial),
    "Binomial(1e9, 0.3)": ("Binomial", {"total_count": 10**9, "probs": 0.3}, _binomial),
    "NegativeBinomial(3, 0.4)": (
        "NegativeBinomial",
        {"total_count": 3.0, "probs": 0.4},
        _negative_binomial,
    ),
    "NegativeBinomial(0.1, 0.9999)": (
        "NegativeBinomial",
        {"total_count": 0.1, "probs": 0.9999},
        _negative_binomial,
    ),
    "NegativeBinomial(1e6, 0.5)": (
        "NegativeBinomial",
        {"total_count": 1e6, "probs": 0.5},
        _negative_binomial,
    ),
    "BetaBinomial(10, 2, 3)": (
        "BetaBinomial",
        {"total_count": 10, "concentration1": 2.0, "concentration0": 3.0},
        _beta_binomial,
    ),
    "BetaBinomial(1e6, 0.5, 0.5)": (
        "BetaBinomial",
        {"total_count": 10**6, "concentration1": 0.5, "concentration0": 0.5},
        _beta_binomial,
    ),
    "Uniform": ("Uniform", {"low": 2.0, "high": 3.0}, _uniform),
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
    """One thread, ten coordinates."""

    params = (list(CASES), [10])
    param_names = ("family", "d")

    def setup(self, name, d):
        family, parameters, self.by_numpy = CASES[name]
        if callable(parameters):
            self.parameters = parameters(d)
        else:  # a scalar takes NumPy's faster way
            self.parameters = {k: v if d == 1 else np.full(d, v) for k, v in parameters.items()}
        self.source = source = getattr(fs, family)(**self.parameters).source
        d = source.family.d
        self.shape, self.rng = (VALUES // d, d), np.random.default_rng(0)
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

    def with_numpy(self, name, d):
        self.by_numpy(self.rng, self.shape, **self.parameters)

    def turns(self, name, d):
        """Nanoseconds per value of both, in turns."""
        for _ in range(TURNS):
            yield tuple(
                seconds_of(function, name, d) / values * 1e9
                for function, values in (
                    (self.time_fastscore, self.values), (self.with_numpy, np.prod(self.shape))
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


def measured(name, d):
    """Nanoseconds per value of both, and the ratio, as JSON has them."""
    benchmark = SampleAndScore()
    benchmark.setup(name, d)
    turns = list(benchmark.turns(name, d))
    own, numpy = (min(column) for column in zip(*turns, strict=True))
    ratio = median(theirs / ours for ours, theirs in turns)
    times = {"ns": own, "numpy_ns": numpy, "ratio": ratio}
    rounded = {key: round(float(time), 3) for key, time in times.items()}
    return {"case": name, "d": benchmark.shape[1], **rounded}


def main():
    """Print the table."""
    print(f"{'family':36}{'d':>4}{'ns per value':>14}{'NumPy':>8}{'ratio':>8}")
    for name in CASES:
        for d in SIZES:
            _, d, own, numpy, ratio = measured(name, d).values()
            print(f"{name:36}{d:>4}{own:>14.2f}{numpy:>8.2f}{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
