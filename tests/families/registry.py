"""Every family with examples of it and its truth from elsewhere: the tests here run over them.

A new family is tested by an entry in `ENTRIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Any

import mpmath
import numpy as np
import pytest
from families.densities import truncated_moments
from scipy import stats
from scipy.special import expit, softmax, xlogy

import fastscore as fs
from fastscore.families import Family

#: Of all z-scores; a single one is beyond it in 7 of a million.
LIMIT = 4.5
#: Values drawn of each family, by all its examples together.
DRAWS = 1_000_000

# --- the truth ---


class Independent:
    """Independent coordinates; ``law`` is a frozen distribution of SciPy with arrays (d,)."""

    def __init__(self, law: Any) -> None:
        self.law = law

    def log_prob(self, x):
        """Log-density or log-probability of samples (n, d)."""
        density = getattr(self.law, "logpmf" if x.dtype == np.int64 else "logpdf")
        return density(x).sum(axis=1)

    def uniforms(self, x, rng):
        """What are uniform and independent, (n, d), if the samples are what they should be.

        Of integers, an atom becomes the interval that it fills.  So do ends of the line where
        float64 has few numbers: below 1e-300, and next to 1.
        """
        v = rng.random(x.shape)
        if x.dtype == np.int64:
            return np.column_stack([self._filled(x[:, k], k, v[:, k]) for k in range(x.shape[1])])
        u, (low, high) = self.law.cdf(x), self.law.support()
        u = np.where((x < 1e-300) & (low == 0), v * self.law.cdf(1e-300), u)
        return np.where((x > 1 - 1e-9) & (high == 1), 1 - v * self.law.sf(1 - 1e-9), u)

    def _filled(self, x, k, v):
        values, which = np.unique(x, return_inverse=True)
        every = np.broadcast_to(values[:, None], (len(values), np.size(self.law.mean())))
        upper, mass = self.law.cdf(every)[:, k], self.law.pmf(every)[:, k]
        return upper[which] - v * mass[which]

    def mean(self):
        return self.law.mean()

    def variance(self):
        return self.law.var()

    def entropy(self):
        return np.sum(self.law.entropy())


class ManyEvents:
    """A Poisson distribution of so large a rate that SciPy's has no digits, or is NaN.

    Edgeworth's series leaves out terms of 1/rate.
    """

    def __init__(self, rate: float) -> None:
        self.rate, self.scale = rate, np.sqrt(rate)

    def support(self):
        return 0, np.inf

    def mean(self):
        return self.rate

    def var(self):
        return self.rate

    def pmf(self, x):
        z = (x - self.rate) / self.scale
        return stats.norm.pdf(z) * (1 + (z**3 - 3 * z) / (6 * self.scale)) / self.scale

    def cdf(self, x):
        z = (x + 0.5 - self.rate) / self.scale
        return stats.norm.cdf(z) - stats.norm.pdf(z) * (z * z - 1) / (6 * self.scale)

    def sf(self, x):
        z = (x + 0.5 - self.rate) / self.scale
        return stats.norm.sf(z) + stats.norm.pdf(z) * (z * z - 1) / (6 * self.scale)

    def ppf(self, u):
        return np.round(self.rate + self.scale * stats.norm.ppf(u))


class Classes:
    """Categorical variables, as SciPy's frozen distributions are used here."""

    def __init__(self, probs: np.ndarray) -> None:
        self.probs = np.atleast_2d(probs) / np.sum(probs, axis=-1, keepdims=True)
        self.values = np.arange(self.probs.shape[1])

    def _at(self, table, x):
        return table[np.arange(len(table)), x]

    def pmf(self, x):
        return self._at(self.probs, x)

    def logpmf(self, x):
        return np.log(self.pmf(x))

    def cdf(self, x):
        return self._at(np.cumsum(self.probs, axis=1), x)

    def mean(self):
        return self.probs @ self.values

    def var(self):
        return self.probs @ self.values**2 - self.mean() ** 2

    def entropy(self):
        return -xlogy(self.probs, self.probs).sum(axis=1)


class Summed:
    """A law on 0, …, n: SciPy's, with distribution functions that are summed once."""

    def __init__(self, law, most: int) -> None:
        self.law, self.every = law, np.arange(most + 1)[:, None]

    def pmf(self, x):
        return self.law.pmf(x)

    def cdf(self, x):
        table = np.cumsum(self.law.pmf(self.every), axis=0)
        return table[x, np.arange(table.shape[1])]

    def mean(self):
        return self.law.mean()

    def var(self):
        return self.law.var()


class Kumaraswamy:
    """Of independent coordinates."""

    def __init__(self, a, b) -> None:
        self.a, self.b = a, b

    def support(self):
        return 0, 1

    def logpdf(self, x):
        a, b = self.a, self.b
        return np.log(a * b) + (a - 1) * np.log(x) + (b - 1) * np.log1p(-(x**a))

    def cdf(self, x):
        return -np.expm1(self.b * self._log_rest(x))

    def sf(self, x):
        return np.exp(self.b * self._log_rest(x))

    def _log_rest(self, x):
        with np.errstate(divide="ignore"):
            return np.log1p(-(x**self.a))

    def _powers(self, r):
        """``E x^r``."""
        with mpmath.workdps(40):
            rows = [[mpmath.mpf(one) for one in row] for row in zip(self.a, self.b, strict=True)]
            return [b * mpmath.beta(1 + r / a, b) for a, b in rows]

    def mean(self):
        return np.array(self._powers(1), dtype=float)

    def var(self):
        with mpmath.workdps(40):
            pairs = zip(self._powers(1), self._powers(2), strict=True)
            return np.array([float(square - mean**2) for mean, square in pairs])

    def entropy(self):
        """``E[−log p]``; e, which is −log (1 − x^a)^b, is exponential."""

        def mean(a, b):
            def at(e):
                x = (-mpmath.expm1(-e / b)) ** (1 / a)
                log_density = mpmath.log(a * b) + (a - 1) * mpmath.log(x) - (b - 1) * e / b
                return -mpmath.exp(-e) * log_density

            return float(mpmath.quad(at, [0, 1e-3, 1, 10, mpmath.inf]))

        with mpmath.workdps(40):
            return np.array(
                [mean(mpmath.mpf(a), mpmath.mpf(b)) for a, b in zip(self.a, self.b, strict=True)]
            )


class Angles:
    """Von Mises' distribution on [−π, π], as SciPy's are used here; its own moves with loc."""

    def __init__(self, loc, concentration) -> None:
        self.loc, self.law = loc, stats.vonmises(concentration)

    def support(self):
        return -np.pi, np.pi

    def logpdf(self, x):
        return self.law.logpdf(x - self.loc)

    def cdf(self, x):
        """That of the angle from loc: as uniform."""
        return self.law.cdf(np.remainder(x - self.loc + np.pi, 2 * np.pi) - np.pi)

    def sf(self, x):
        return 1 - self.cdf(x)

    def _expectation(self, function):
        """By Gauss' and Legendre's rule, in a thousand panels."""
        points, weights = np.polynomial.legendre.leggauss(8)
        points = np.pi * ((np.arange(-1000, 1000)[:, None] + (points + 1) / 2) / 1000).ravel()
        density = np.tile(weights, 2000)[:, None] * np.exp(self.logpdf(points[:, None]))
        return np.pi / 2000 * np.sum(function(points[:, None]) * density, axis=0)

    def mean(self):
        return self._expectation(lambda x: x)

    def var(self):
        mean = self.mean()
        return self._expectation(lambda x: (x - mean) ** 2)

    def entropy(self):
        return self.law.entropy()


class Truncated:
    """A truncated normal, with moments by mpmath: SciPy's lose digits far out and in between."""

    def __init__(self, loc, scale, low, high) -> None:
        self.parameters = loc, scale, low, high
        law = stats.truncnorm((low - loc) / scale, (high - loc) / scale, loc, scale)
        self.logpdf, self.cdf, self.sf, self.support = law.logpdf, law.cdf, law.sf, law.support

    def _of_each(self, function):
        with mpmath.workdps(60):
            rows = [map(mpmath.mpf, map(float, row)) for row in zip(*self.parameters, strict=True)]
            return np.array([
                float(function(loc, scale, truncated_moments(loc, scale, low, high)))
                for loc, scale, low, high in rows
            ])  # fmt: skip

    def mean(self):
        return self._of_each(lambda loc, scale, m: loc + scale * m[1])

    def var(self):
        return self._of_each(lambda loc, scale, m: scale**2 * (m[2] - m[1] ** 2))

    def entropy(self):
        return self._of_each(lambda loc, scale, m: (
            mpmath.log(scale * mpmath.sqrt(2 * mpmath.pi) * m[0]) + m[2] / 2
        ))  # fmt: skip


class Gaussian:
    """A multivariate normal, whose samples are whitened to become uniform."""

    def __init__(self, loc, covariance) -> None:
        self.loc, self.covariance = loc, covariance
        self.law = stats.multivariate_normal(loc, covariance)

    def log_prob(self, x):
        return np.atleast_1d(self.law.logpdf(x))

    def uniforms(self, x, _):
        factor = np.linalg.cholesky(self.covariance)
        return stats.norm.cdf(np.linalg.solve(factor, (x - self.loc).T).T)

    def mean(self):
        return self.loc

    def variance(self):
        return np.diagonal(self.covariance)

    def entropy(self):
        return self.law.entropy()


class Simplices:
    """Dirichlet vectors side by side: sticks of which beta shares are broken off one by one."""

    def __init__(self, concentration) -> None:
        self.a = np.atleast_2d(concentration)
        self.laws = [stats.dirichlet(row) for row in self.a]

    def log_prob(self, x):
        parts = np.split(x, len(self.a), axis=1)
        own = zip(self.laws, parts, strict=True)
        return sum(law.logpdf((part / part.sum(axis=1, keepdims=True)).T) for law, part in own)

    def uniforms(self, x, rng):
        columns = []
        for a, part in zip(self.a, np.split(x, len(self.a), axis=1), strict=True):
            left = np.cumsum(part[:, ::-1], axis=1)[:, ::-1]
            for k in range(len(a) - 1):
                law = stats.beta(a[k], a[k + 1 :].sum())
                share = part[:, k] / left[:, k]
                filled = rng.random(len(x)) * law.cdf(1e-300)
                columns.append(np.where(share < 1e-300, filled, law.cdf(share)))
        return np.column_stack(columns)

    def mean(self):
        return np.concatenate([law.mean() for law in self.laws])

    def variance(self):
        return np.concatenate([law.var() for law in self.laws])

    def entropy(self):
        return sum(law.entropy() for law in self.laws)


class Table(Independent):
    """Values from a table: their classes are tested."""

    def __init__(self, outcomes, probs) -> None:
        super().__init__(Classes(probs))
        self.outcomes = np.asarray(outcomes)

    def _classes(self, x):
        return (x[:, :, None] == self.outcomes).argmax(axis=2)

    def log_prob(self, x):
        return self.law.logpmf(self._classes(x)).sum(axis=1)

    def uniforms(self, x, rng):
        return super().uniforms(self._classes(x), rng)

    def mean(self):
        return self.law.probs @ self.outcomes

    def variance(self):
        about = self.outcomes - self.mean()[:, None]
        return np.sum(self.law.probs * about**2, axis=1)


class Rankings:
    """Items drawn without replacement, by their weights; moments go through all rankings."""

    def __init__(self, probs=None, scores=None) -> None:
        self.weights = np.asarray(probs if scores is None else scores)
        self.every = np.array(list(permutations(range(len(self.weights)))))
        self.probs = np.exp(self.log_prob(self.every))

    def log_prob(self, x):
        w = self.weights[x]
        return np.log(w / np.cumsum(w[:, ::-1], axis=1)[:, ::-1]).sum(axis=1)

    def uniforms(self, x, rng):
        """Of each place but the last: its item among those that are left, in their order."""
        left, columns = np.ones(x.shape), []
        for item in x.T[:-1]:
            own = np.arange(len(x)), item
            ends = np.cumsum(left * self.weights, axis=1)
            columns.append((ends[own] - rng.random(len(x)) * self.weights[item]) / ends[:, -1])
            left[own] = 0
        return np.column_stack(columns)

    def mean(self):
        return self.probs @ self.every

    def variance(self):
        return self.probs @ (self.every - self.mean()) ** 2

    def entropy(self):
        return -np.sum(self.probs * np.log(self.probs))


class Trials:
    """Multinomial variables side by side: binomial parts of what is left, taken one by one."""

    def __init__(self, probs, total_count=1) -> None:
        probs = np.atleast_2d(probs)
        self.probs = probs / probs.sum(axis=1, keepdims=True)
        self.n = np.broadcast_to(total_count, len(probs))
        self.laws = [stats.multinomial(n, p) for n, p in zip(self.n, self.probs, strict=True)]

    def log_prob(self, x):
        parts = zip(self.laws, np.split(x, len(self.n), axis=1), strict=True)
        return sum(law.logpmf(part) for law, part in parts)

    def uniforms(self, x, rng):
        columns = []
        for p, part in zip(self.probs, np.split(x, len(self.n), axis=1), strict=True):
            left = np.cumsum(part[:, ::-1], axis=1)[:, ::-1]
            for k in range(len(p) - 1):
                law = stats.binom(left[:, k], p[k] / p[k:].sum())
                columns.append(law.cdf(part[:, k]) - rng.random(len(x)) * law.pmf(part[:, k]))
        return np.column_stack(columns)

    def mean(self):
        return (self.n[:, None] * self.probs).ravel()

    def variance(self):
        return (self.n[:, None] * self.probs * (1 - self.probs)).ravel()

    def entropy(self):
        return sum(law.entropy() for law in self.laws)


def _multivariate_normal(
    loc, scale_tril=None, covariance_matrix=None, precision_matrix=None
) -> Gaussian:
    loc = np.atleast_1d(loc)

    def square(matrix):
        return np.reshape(matrix, (len(loc), len(loc)))

    if scale_tril is not None:
        return Gaussian(loc, square(scale_tril) @ square(scale_tril).T)
    if covariance_matrix is not None:
        return Gaussian(loc, square(covariance_matrix))
    return Gaussian(loc, np.linalg.inv(square(precision_matrix)))


def _low_rank(loc, cov_factor, cov_diag) -> Gaussian:
    factor = np.reshape(cov_factor, (len(loc), -1))
    return Gaussian(loc, factor @ factor.T + np.diag(cov_diag))


# --- the entries ---


@dataclass(frozen=True)
class Entry:
    """A family.

    Attributes
    ----------
    truth : callable
        The distribution of natural parameters, by name, each of shape (d,).
    examples : tuple of dict
        What it is called with.
    positive, bounded : tuple of str
        Natural parameters that may be given by their logarithm, and that are probabilities.
    closed_entropy : bool
        Whether its entropy has a closed form.
    kink : bool
        Whether the density has one at its mean.
    coupled : bool
        Whether coordinates depend on each other, so that the truth is of whole parameters.
    """

    truth: Callable[..., Any]
    examples: tuple[Mapping[str, Any], ...]
    positive: tuple[str, ...] = ()
    bounded: tuple[str, ...] = ()
    closed_entropy: bool = True
    kink: bool = False
    coupled: bool = False


def _of(law: Callable[..., Any]) -> Callable[..., Independent]:
    return lambda **natural: Independent(law(**natural))


LOC, SCALE = [0.5, -1.0, 3.0], [0.7, 2.0, 0.1]
TRIANGLE = [[1.5, 0.0, 0.0], [0.4, 0.7, 0.0], [-0.3, 0.2, 0.5]]
COVARIANCE = np.array([[2.0, 0.5, -0.3], [0.5, 1.0, 0.1], [-0.3, 0.1, 0.5]])
_LOC_SCALE = (
    {"loc": LOC, "scale": SCALE},
    {"loc": 0.3, "log_scale": -1.0},
    {"loc": -0.5, "scale": [0.5, 1.0, 0.8]},
)

ENTRIES: dict[str, Entry] = {
    "Bernoulli": Entry(
        _of(lambda probs: stats.bernoulli(probs)),
        ({"probs": [0.5, 0.2, 0.95]}, {"logits": [0.5, -2.0, 3.0]}),
        bounded=("probs",),
    ),
    "Beta": Entry(
        _of(lambda concentration1, concentration0: stats.beta(concentration1, concentration0)),
        (
            {"concentration1": [0.3, 2.0, 50.0], "concentration0": [0.5, 1.0, 80.0]},
            {"log_concentration1": 1.0, "log_concentration0": -0.3},
            {"concentration1": 1.5, "log_concentration0": [0.2, 3.0, -0.7]},
            {"concentration1": 0.01, "concentration0": 0.02},
        ),
        positive=("concentration1", "concentration0"),
    ),
    "BetaBinomial": Entry(
        _of(
            lambda total_count, concentration1, concentration0: Summed(
                stats.betabinom(total_count, concentration1, concentration0), total_count.max()
            )
        ),
        (
            {
                "total_count": [5, 50, 300],
                "concentration1": [0.3, 2.0, 50.0],
                "concentration0": [0.5, 1.0, 80.0],
            },
            {"total_count": 20, "log_concentration1": 1.0, "log_concentration0": -0.3},
            {
                "total_count": [10, 1000, 100_000],
                "concentration1": 0.4,
                "log_concentration0": [0.2, 3.0, -0.7],
            },
            {"total_count": 2, "concentration1": 0.01, "concentration0": 0.02},
        ),
        positive=("concentration1", "concentration0"),
        closed_entropy=False,
    ),
    "Binomial": Entry(
        _of(lambda total_count, probs: stats.binom(total_count, probs)),
        (
            {"total_count": [1, 10, 1000], "probs": [0.3, 0.9, 0.01]},
            {"total_count": 20, "logits": -1.0},
            {"total_count": [5, 30, 100_000], "probs": 0.4},
        ),
        bounded=("probs",),
        closed_entropy=False,
    ),
    "Categorical": Entry(
        _of(lambda probs: Classes(probs)),
        (
            {"probs": [0.2, 0.3, 0.5]},
            {"probs": [[2.0, 0.1], [0.3, 0.5]]},
            {"logits": [[0.5, 2.0, -1.0], [0.0, 0.0, 0.0]]},
        ),
    ),
    "Cauchy": Entry(
        _of(lambda loc, scale: stats.cauchy(loc, scale)), _LOC_SCALE, positive=("scale",)
    ),
    "Chi2": Entry(
        _of(lambda df: stats.chi2(df)),
        ({"df": [0.5, 3.0, 200.0]}, {"log_df": 1.5}, {"df": [1.0, 2.0]}, {"df": 0.03}),
        positive=("df",),
    ),
    "Dirichlet": Entry(
        Simplices,
        (
            {"concentration": [0.3, 2.0, 50.0]},
            {"log_concentration": [[0.0, 0.0], [1.0, -0.5]]},
            {"concentration": [[4.0, 1e4, 0.5, 300.0]]},
            {"concentration": [0.01, 0.02, 3.0]},
        ),
        positive=("concentration",),
        coupled=True,
    ),
    "Exponential": Entry(
        _of(lambda rate: stats.expon(scale=1 / rate)),
        ({"rate": [0.5, 2.0, 1e3]}, {"log_rate": 0.3}),
        positive=("rate",),
    ),
    "FiniteDiscrete": Entry(
        Table,
        (
            {"outcomes": [0.5, -1.25, 3e3], "probs": [0.2, 0.3, 0.5]},
            {"outcomes": [7, -2, 0, 10**6], "probs": [[2.0, 0.1, 3.0, 1.0], [0.3, 0.5, 0.1, 0.1]]},
            {"outcomes": [1.5, -0.2], "logits": [[0.5, 2.0], [0.0, 0.0], [-7.0, 0.0]]},
        ),
    ),
    "Gamma": Entry(
        _of(lambda concentration, rate: stats.gamma(concentration, scale=1 / rate)),
        (
            {"concentration": [0.3, 1.5, 30.0], "rate": [2.0, 0.5, 1e3]},
            {"log_concentration": 1.0, "log_rate": -0.3},
            {"concentration": [1.0, 2.0, 1e6], "rate": 3.0},
            {"concentration": 0.01, "rate": 1.0},
        ),
        positive=("concentration", "rate"),
    ),
    "Geometric": Entry(
        _of(lambda probs: stats.geom(probs, loc=-1)),
        ({"probs": [0.9, 0.3, 0.01]}, {"logits": [0.5, -3.0, 2.0]}, {"probs": 0.2}),
        bounded=("probs",),
    ),
    "Gumbel": Entry(
        _of(lambda loc, scale: stats.gumbel_r(loc, scale)), _LOC_SCALE, positive=("scale",)
    ),
    "HalfNormal": Entry(
        _of(lambda scale: stats.halfnorm(scale=scale)),
        ({"scale": SCALE}, {"log_scale": -1.0}, {"scale": 1e30}),
        positive=("scale",),
    ),
    "InverseGamma": Entry(
        _of(lambda concentration, rate: stats.invgamma(concentration, scale=rate)),
        (
            {"concentration": [0.3, 1.5, 30.0], "rate": [2.0, 0.5, 1e3]},
            {"log_concentration": 2.0, "log_rate": -0.3},
            {"concentration": [1.0, 2.0, 1e6], "rate": 3.0},
            {"concentration": 0.2, "rate": 1.0},
        ),
        positive=("concentration", "rate"),
    ),
    "Kumaraswamy": Entry(
        _of(lambda concentration1, concentration0: Kumaraswamy(concentration1, concentration0)),
        (
            {"concentration1": [0.3, 2.0, 50.0], "concentration0": [0.5, 2.0, 80.0]},
            {"log_concentration1": 1.0, "log_concentration0": -0.3},
            {"concentration1": 1.0, "log_concentration0": [0.0, 3.0, -0.7]},
            {"concentration1": [0.1, 3e3], "concentration0": [1.5, 1e6]},
            {"concentration1": 0.01, "concentration0": 0.02},
        ),
        positive=("concentration1", "concentration0"),
    ),
    "Laplace": Entry(
        _of(lambda loc, scale: stats.laplace(loc, scale)),
        _LOC_SCALE,
        positive=("scale",),
        kink=True,
    ),
    "LogNormal": Entry(
        _of(lambda loc, scale: stats.lognorm(scale, scale=np.exp(loc))),
        (
            {"loc": LOC, "scale": [0.4, 0.6, 0.1]},
            {"loc": 0.3, "log_scale": -1.0},
            {"loc": -0.5, "scale": [0.5, 0.1, 0.3]},
        ),
        positive=("scale",),
    ),
    "Logistic": Entry(
        _of(lambda loc, scale: stats.logistic(loc, scale)), _LOC_SCALE, positive=("scale",)
    ),
    "LowRankMultivariateNormal": Entry(
        _low_rank,
        (
            {
                "loc": [0.5, -1.0, 3.0, 0.0],
                "cov_factor": [[0.5, 0.1], [-0.4, 0.3], [0.2, 0.6], [0.0, -0.7]],
                "cov_diag": [0.3, 1.0, 0.5, 0.2],
            },
        ),
    ),
    "Multinomial": Entry(
        Trials,
        (
            {"total_count": 10, "probs": [0.2, 0.3, 0.5]},
            {"total_count": [1000, 60], "logits": [[0.5, 2.0, -1.0], [0.0, 0.1, 0.0]]},
            {"total_count": 100_000, "probs": [[2.0**-14, 0.25 - 2.0**-14, 0.25, 0.5]]},
            {"total_count": 2, "logits": [0.3, -0.4]},
        ),
        closed_entropy=False,
        coupled=True,
    ),
    "MultivariateNormal": Entry(
        _multivariate_normal,
        (
            {"loc": LOC, "scale_tril": TRIANGLE},
            {"loc": LOC, "covariance_matrix": COVARIANCE},
            {"loc": LOC, "precision_matrix": COVARIANCE},
            {"loc": [2.0], "scale_tril": [[0.5]]},
        ),
    ),
    "NegativeBinomial": Entry(
        _of(lambda total_count, probs: stats.nbinom(total_count, 1 - probs)),
        (
            {"total_count": [0.3, 5.0, 40.0], "probs": [0.9, 0.5, 0.2]},
            {"log_total_count": 1.0, "logits": -0.5},
            {"total_count": 2.5, "logits": [1.0, -2.0, 4.0]},
            {"total_count": [0.1, 30.0, 1e4], "probs": 0.9999},
        ),
        positive=("total_count",),
        bounded=("probs",),
        closed_entropy=False,
    ),
    "Normal": Entry(
        _of(lambda loc, scale: stats.norm(loc, scale)), _LOC_SCALE, positive=("scale",)
    ),
    "Pareto": Entry(
        _of(lambda scale, alpha: stats.pareto(alpha, scale=scale)),
        (
            {"scale": [0.5, 1.0, 1e3], "alpha": [0.7, 5.0, 1e3]},
            {"scale": 2.0, "log_alpha": 1.0},
            {"scale": [1e-3, 3.0], "alpha": 6.0},
        ),
        positive=("alpha",),
    ),
    "PlackettLuce": Entry(
        Rankings,
        (
            {"logits": [0.3, -1.0, 2.0, 0.0]},
            {"scores": [3.0, 0.5, 0.01]},
            {"logits": [0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0]},
        ),
        coupled=True,
    ),
    "OneHotCategorical": Entry(
        Trials,
        (
            {"probs": [0.2, 0.3, 0.5]},
            {"logits": [[0.5, 2.0, -1.0], [0.0, 0.0, 0.0]]},
        ),
        coupled=True,
    ),
    "Poisson": Entry(
        _of(lambda rate: stats.poisson(rate) if max(rate) < 1e11 else ManyEvents(rate)),
        ({"rate": [0.1, 4.0, 30.0]}, {"log_rate": 1.0}, {"rate": [1e3, 1e5, 1e9]}, {"rate": 1e12}),
        positive=("rate",),
        closed_entropy=False,
    ),
    "StudentT": Entry(
        _of(lambda df, loc, scale: stats.t(df, loc, scale)),
        (
            {"df": [12.0, 20.0, 1e3], "loc": LOC, "scale": SCALE},
            {"log_df": 2.7, "loc": 0.3, "log_scale": -1.0},
            {"df": 15.0, "loc": [0.5, 1.0, -2.0], "scale": 0.5},
            {"df": [0.5, 1.0, 3.0]},
        ),
        positive=("df", "scale"),
    ),
    "Uniform": Entry(
        _of(lambda low, high: stats.uniform(low, high - low)),
        ({"low": [0.0, -2.0, 1e8], "high": [1e-3, 3.0, 1e9]}, {"low": -0.5, "high": [0.0, 0.7]}),
    ),
    "Weibull": Entry(
        _of(lambda scale, concentration: stats.weibull_min(concentration, scale=scale)),
        (
            {"scale": [0.5, 2.0, 1e3], "concentration": [0.8, 1.5, 12.0]},
            {"log_scale": 1.0, "log_concentration": -0.3},
            {"scale": 3.0, "concentration": [1.0, 2.0, 30.0]},
            {"scale": 1.0, "concentration": 0.3},
        ),
        positive=("scale", "concentration"),
    ),
    "TruncatedNormal": Entry(
        _of(Truncated),
        (
            {"loc": LOC, "scale": SCALE, "low": [0.0, -2.0, -np.inf], "high": [np.inf, 0.5, 3.1]},
            {"loc": 0.3, "log_scale": -1.0, "low": 0.0, "high": 2.0},
            {"loc": [0.02, 30.0, 0.1], "scale": 1.0, "low": -0.5, "high": [0.5, 0.0, 0.0]},
        ),
        positive=("scale",),
    ),
    "VonMises": Entry(
        _of(Angles),
        (
            {"loc": LOC, "concentration": [0.2, 1.0, 50.0]},
            {"loc": 0.3, "log_concentration": 1.0},
            {"loc": [-3.1, 2.0, 8.0], "concentration": 3.0},
        ),
        positive=("concentration",),
    ),
}
#: Those that are made of other families, and the contract itself: tested elsewhere.
COMBINATORS = {"Affine", "Bijection", "Custom", "Family", "Fixed", "Joint", "Mixture", "Shared",
               "Transformed", "ZeroInflated"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Example:
    """One distribution of a family."""

    name: str
    index: int
    keywords: Mapping[str, Any]

    @property
    def entry(self) -> Entry:
        return ENTRIES[self.name]

    @property
    def p(self) -> Family:
        return _made(self)

    @property
    def truth(self) -> Any:
        return truth_of(self.p)

    def __str__(self) -> str:
        return f"{self.name}-{self.index}-{'-'.join(self.keywords)}"

    __repr__ = __str__


@cache
def _made(example: Example) -> Family:
    return getattr(fs, example.name)(**example.keywords)


def natural(p: Family) -> dict[str, np.ndarray]:
    """Parameters and constants by their natural names, each (d,), or as given.

    Logits are of one probability each, or of weights that compete.
    """
    out, coupled = {}, ENTRIES[type(p).__name__].coupled
    for name, value in {**p.parameters, **p.constants}.items():
        if name == "logits":
            compete = coupled or hasattr(p, "classes")
            name, value = "probs", softmax(value, axis=-1) if compete else expit(value)
        elif name.startswith("log_"):
            name, value = name[4:], np.exp(value)
        flat = np.ravel(value)
        alike = flat.size in (1, p.d) and not coupled
        out[name] = np.broadcast_to(flat, p.d) if alike else value
    return out


def truth_of(p: Family) -> Any:
    """The truth of any distribution of a registered family."""
    return ENTRIES[type(p).__name__].truth(**natural(p))


def _landed(name):
    try:
        getattr(fs, name)
    except ImportError:
        return False
    return True


EXAMPLES = [
    Example(name, index, keywords)
    for name, entry in ENTRIES.items()
    if _landed(name)
    for index, keywords in enumerate(entry.examples)
]
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=str)
#: Those with parameters.
every_differentiable = pytest.mark.parametrize(
    "example", [example for example in EXAMPLES if example.p.parameters], ids=str
)


def samples_of(example: Example) -> int:
    """The number that is drawn of it."""
    return DRAWS // len(example.entry.examples) // example.p.d


@cache
def drawn(example: Example) -> np.ndarray:
    """Samples, (n, d): the same ones for all tests."""
    return example.p.sample(samples_of(example), rng=1 + EXAMPLES.index(example))


def within(z, limit=LIMIT) -> None:
    """That z-scores are small."""
    assert np.max(np.abs(z), initial=0) < limit, f"z = {z}"


def close(one, other, rtol, spread=0.0) -> None:
    """That arrays agree to so much of their values, and of a spread."""
    error, most = np.abs(one - other), rtol * (np.abs(other) + spread)
    worst = np.unravel_index(np.argmax(error / np.maximum(most, 1e-300)), error.shape)
    assert np.all(error <= most), f"at {worst}: {one[worst]!r}, not {other[worst]!r}"


# --- derivatives ---

_WEIGHTS = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
#: In units of `sizes`: truncation is below 1e-11 where a function is analytic to one unit around,
#: rounding is 1e-14 of the function.
_STEP = 0.02


def entries(p: Family) -> list[tuple[str, np.ndarray]]:
    """Of each free parameter entry its name, and the array that a unit of it adds."""
    out = []
    for name in p.parameters:
        out += [(name, p.shaped(name, row, scaled=False)) for row in np.eye(p.free(name))]
    return out


def sizes(p: Family) -> np.ndarray:
    """Over which each entry changes p notably, and stays in its domain, (P,)."""
    known, out = natural(p), []
    spread = 1 / np.sqrt(np.maximum(np.diagonal(p.fisher()), 1e-300))
    for (name, unit), size in zip(entries(p), spread, strict=True):
        value = np.max(np.abs(p.parameters[name] * unit))
        entry = ENTRIES[type(p).__name__]
        if name in entry.bounded:
            size = min(size, value, np.min(1 - known["probs"]))
        elif name in (*entry.positive, "probs", "scores", "cov_diag"):
            size = min(size, value)
        elif name in ("covariance_matrix", "precision_matrix"):
            size /= 3  # to stay far from where it is singular
        elif name not in ("loc", "cov_factor", "scale_tril") or type(p) is fs.VonMises:
            size = min(size, 1.0)
        out.append(size)
    return np.array(out)


def derivatives(p: Family, function: Callable[[Family], Any]) -> np.ndarray:
    """Of an array-valued function of p by each free entry, stacked last."""
    columns = []
    for (name, unit), size in zip(entries(p), sizes(p), strict=True):
        h, total = _STEP * size, 0.0
        for k, weight in _WEIGHTS.items():
            ahead, behind = (
                function(p.replace(**{name: p.parameters[name] + t * unit}))
                for t in (k * h, -k * h)
            )
            total = total + weight * (ahead - behind) / h
        columns.append(total)
    return np.stack(columns, axis=-1)
