"""Log-densities as mpmath computes them, and their derivatives, of one coordinate."""

from __future__ import annotations

import mpmath
from mpmath import mp, mpf

#: Digits of differences of log-densities at ordinary points, and where a score may be 1e-300.
FEW, MANY = 100, 700


def _normal(x, loc, scale):
    return -(((x - loc) / scale) ** 2) / 2 - mp.log(scale) - mp.log(2 * mp.pi) / 2


def _beta(x, concentration1, concentration0):
    a, b = concentration1, concentration0
    constant = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)
    return constant + (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x)


def _student_t(x, df, loc=0, scale=1):
    half = (df + 1) / 2
    constant = mp.loggamma(half) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2 - mp.log(scale)
    return constant - half * mp.log1p(((x - loc) / scale) ** 2 / df)


def _binomial(x, log_p, log_q, total_count):
    n = total_count
    choices = mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)
    return choices + x * log_p + (n - x) * log_q


#: Of natural parameters; of a probability p, of log p and log (1 - p).
LOG_DENSITIES = {
    "Bernoulli": lambda x, log_p, log_q: log_p if x else log_q,
    "Beta": _beta,
    "Binomial": _binomial,
    "Exponential": lambda x, rate: mp.log(rate) - rate * x,
    "Gamma": lambda x, concentration, rate: (
        concentration * mp.log(rate) + (concentration - 1) * mp.log(x) - rate * x
        - mp.loggamma(concentration)
    ),
    "Geometric": lambda x, log_p, log_q: log_p + x * log_q,
    "Laplace": lambda x, loc, scale: -abs(x - loc) / scale - mp.log(2 * scale),
    "LogNormal": lambda x, loc, scale: _normal(mp.log(x), loc, scale) - mp.log(x),
    "Normal": _normal,
    "Poisson": lambda x, rate: x * mp.log(rate) - rate - mp.loggamma(x + 1),
    "StudentT": _student_t,
}  # fmt: skip


def _trigamma(x):
    return mp.psi(1, x)


def _fisher_beta(a, b):
    cross = -_trigamma(a + b)
    return [[_trigamma(a) + cross, cross], [cross, _trigamma(b) + cross]]


def _fisher_student_t(v, loc, scale):
    by_df = (_trigamma(v / 2) - _trigamma((v + 1) / 2)) / 4 - (v + 5) / (2 * v * (v + 1) * (v + 3))
    cross = -2 / (scale * (v + 1) * (v + 3))
    by_loc, by_scale = (v + 1) / (v + 3) / scale**2, 2 * v / (v + 3) / scale**2
    return [[by_df, 0, cross], [0, by_loc, 0], [cross, 0, by_scale]]


#: Fisher matrices of natural parameters, of the families where they take special functions.
FISHERS = {
    "Beta": _fisher_beta,
    "Gamma": lambda a, rate: [[_trigamma(a), -1 / rate], [-1 / rate, a / rate**2]],
    "StudentT": _fisher_student_t,
}


def fisher(name: str, *parameters) -> list[list[float]]:
    """The Fisher matrix of one coordinate."""
    with mpmath.workdps(FEW):
        matrix = FISHERS[name](*(mpf(float(value)) for value in parameters))
        return [[float(entry) for entry in row] for row in matrix]


def _is_far(parameter):
    """Whether it may make a score of 1e-300."""
    name, value = parameter
    if name.startswith("log"):
        return abs(value) > 100
    return value != 0 and not 1e-50 < abs(value) < 1e50


def log_density(name: str, x, **parameters):
    """By natural or unconstrained parameters, all mpf."""
    given = {}
    for key, value in parameters.items():
        if key == "probs":
            given |= {"log_p": mp.log(value), "log_q": mp.log1p(-value)}
        elif key == "logits":
            given |= {"log_p": -mp.log1p(mp.exp(-value)), "log_q": -mp.log1p(mp.exp(value))}
        elif key.startswith("log_"):
            given[key[4:]] = mp.exp(value)
        else:
            given[key] = value
    return LOG_DENSITIES[name](x, **given)


def exact(name: str, x: float, constants=(), **parameters) -> tuple[float, list[float]]:
    """Log-density and score at x of a scalar family; ``constants`` are not differentiated by."""
    digits = MANY if any(map(_is_far, parameters.items())) else FEW
    with mpmath.workdps(digits):
        given, x = {key: mpf(float(value)) for key, value in parameters.items()}, mpf(float(x))

        def moved(key, by):
            return log_density(name, x, **{**given, key: given[key] + by})

        score = []
        for key, value in given.items():
            if key in constants:
                continue
            size = 1 if key.startswith("log") else abs(value)
            size = given.get("scale", 1) if key == "loc" else size
            h = size * mpf(10) ** (-digits // 3)
            slope = (moved(key, h) - moved(key, -h)) / (2 * h)
            # A quotient is off by a square of its step, also where the score is 0.
            score.append(float(slope) if abs(slope) * size > mpf(10) ** (-digits // 2) else 0.0)
        return float(log_density(name, x, **given)), score
