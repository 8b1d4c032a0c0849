"""Log-densities by mpmath, and their derivatives, of one coordinate or of coupled ones."""

from __future__ import annotations

import mpmath
import numpy as np
from mpmath import mp, mpf

#: Digits of differences of log-densities at ordinary points, and where a score may be 1e-300.
FEW, MANY = 100, 700


def _normal(x, loc, scale):
    return -(((x - loc) / scale) ** 2) / 2 - mp.log(scale) - mp.log(2 * mp.pi) / 2


def _beta(x, concentration1, concentration0):
    a, b = concentration1, concentration0
    constant = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)
    return constant + (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x)


def _dirichlet(x, concentration):
    parts, total = list(zip(x, concentration, strict=True)), mp.fsum(concentration)
    density = mp.loggamma(total) + sum((a - 1) * mp.log(one) - mp.loggamma(a) for one, a in parts)
    # Of x divided by its sum, which is 1 but for rounding; the score is by x as it is, and so the
    # power is one without a derivative.
    return density - mp.floor(total - len(x) + mpf(1) / 3) * mp.log(mp.fsum(x))


def _multinomial(x, probs, total_count=1):
    total = mp.fsum(probs)
    parts = [(k, p / total) for k, p in zip(x, probs, strict=True) if k]
    constant = mp.loggamma(total_count + 1)
    return constant + sum(k * mp.log(p) - mp.loggamma(k + 1) for k, p in parts)


def _kumaraswamy(x, concentration1, concentration0):
    a, b = concentration1, concentration0
    return mp.log(a * b) + (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-(x**a))


def _plackett_luce(x, probs=None, scores=None):
    weights = [(probs or scores)[int(item)] for item in x]
    return mp.fsum(mp.log(w / mp.fsum(weights[place:])) for place, w in enumerate(weights))


def _student_t(x, df, loc=0, scale=1):
    half = (df + 1) / 2
    constant = mp.loggamma(half) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2 - mp.log(scale)
    return constant - half * mp.log1p(((x - loc) / scale) ** 2 / df)


def _binomial(x, log_p, log_q, total_count):
    n = total_count
    choices = mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)
    return choices + x * log_p + (n - x) * log_q


def _beta_binomial(x, concentration1, concentration0, total_count):
    n, a, b = total_count, concentration1, concentration0
    choices = mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)
    above = mp.loggamma(a + x) + mp.loggamma(b + n - x) - mp.loggamma(a + b + n)
    return choices + above - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(a + b)


def _negative_binomial(x, log_p, log_q, total_count):
    r = total_count
    return mp.loggamma(x + r) - mp.loggamma(x + 1) - mp.loggamma(r) + x * log_p + r * log_q


def truncated_moments(loc, scale, low, high):
    """The mass between the bounds, and the moments of z up to the fourth."""
    ends = (low - loc) / scale, (high - loc) / scale
    # On the side where tails are small.
    sign = -1 if ends[1] < 0 else 1
    tails = [mp.erfc(sign * z / mp.sqrt(2)) / 2 for z in ends]
    mass = sign * (tails[0] - tails[1])
    densities = [mp.npdf(z) for z in ends]
    finite = [z if mp.isfinite(z) else 0 for z in ends]
    moments = [mass, (densities[0] - densities[1]) / mass]
    for k in (2, 3, 4):
        edge = densities[0] * finite[0] ** (k - 1) - densities[1] * finite[1] ** (k - 1)
        moments.append((k - 1) * (moments[k - 2] if k > 2 else 1) + edge / mass)
    return moments


def _truncated_normal(x, loc, scale, low, high):
    mass = truncated_moments(loc, scale, low, high)[0]
    return _normal(x, loc, scale) - mp.log(mass)


#: Of natural parameters; of a probability p, of log p and log (1 - p).
LOG_DENSITIES = {
    "Bernoulli": lambda x, log_p, log_q: log_p if x else log_q,
    "Beta": _beta,
    "BetaBinomial": _beta_binomial,
    "Binomial": _binomial,
    "Cauchy": lambda x, loc, scale: (
        -mp.log1p(((x - loc) / scale) ** 2) - mp.log(mp.pi * scale)
    ),
    "Chi2": lambda x, df: (
        (df / 2 - 1) * mp.log(x) - x / 2 - df / 2 * mp.log(2) - mp.loggamma(df / 2)
    ),
    "Dirichlet": _dirichlet,
    "Exponential": lambda x, rate: mp.log(rate) - rate * x,
    "Gamma": lambda x, concentration, rate: (
        concentration * mp.log(rate) + (concentration - 1) * mp.log(x) - rate * x
        - mp.loggamma(concentration)
    ),
    "Geometric": lambda x, log_p, log_q: log_p + x * log_q,
    "Gumbel": lambda x, loc, scale: (
        -(x - loc) / scale - mp.exp(-(x - loc) / scale) - mp.log(scale)
    ),
    "HalfNormal": lambda x, scale: _normal(x, 0, scale) + mp.log(2),
    "InverseGamma": lambda x, concentration, rate: (
        concentration * mp.log(rate) - (concentration + 1) * mp.log(x) - rate / x
        - mp.loggamma(concentration)
    ),
    "Kumaraswamy": _kumaraswamy,
    "Laplace": lambda x, loc, scale: -abs(x - loc) / scale - mp.log(2 * scale),
    "LogNormal": lambda x, loc, scale: _normal(mp.log(x), loc, scale) - mp.log(x),
    "Logistic": lambda x, loc, scale: (
        -(x - loc) / scale - 2 * mp.log1p(mp.exp(-(x - loc) / scale)) - mp.log(scale)
    ),
    "Multinomial": _multinomial,
    "NegativeBinomial": _negative_binomial,
    "Normal": _normal,
    "OneHotCategorical": _multinomial,
    "Pareto": lambda x, scale, alpha: (
        mp.log(alpha) + alpha * mp.log(scale) - (alpha + 1) * mp.log(x)
    ),
    "PlackettLuce": _plackett_luce,
    "Poisson": lambda x, rate: x * mp.log(rate) - rate - mp.loggamma(x + 1),
    "StudentT": _student_t,
    "TruncatedNormal": _truncated_normal,
    "VonMises": lambda x, loc, concentration: (
        concentration * mp.cos(x - loc) - mp.log(2 * mp.pi * mp.besseli(0, concentration))
    ),
    "Weibull": lambda x, scale, concentration: (
        mp.log(concentration / scale) + (concentration - 1) * mp.log(x / scale)
        - (x / scale) ** concentration
    ),
}  # fmt: skip


def _trigamma(x):
    return mp.psi(1, x)


def _fisher_beta(a, b):
    cross = -_trigamma(a + b)
    return [[_trigamma(a) + cross, cross], [cross, _trigamma(b) + cross]]


def _fisher_dirichlet(concentration):
    cross = -_trigamma(mp.fsum(concentration))
    return [
        [cross + (_trigamma(a) if i == j else 0) for j in range(len(concentration))]
        for i, a in enumerate(concentration)
    ]


def _fisher_kumaraswamy(a, b):
    b *= 1 + mpf(10) ** -30  # at 1 and 2 it is a limit
    step, bend = mp.psi(0, b) - mp.psi(0, 2), _trigamma(2) - _trigamma(b)
    by_a = (1 + b / (b - 2) * (step**2 + bend)) / a**2
    cross = (mp.psi(0, 2) - mp.psi(0, b + 1)) / (b - 1) / a
    return [[by_a, cross], [cross, 1 / b**2]]


def _fisher_beta_binomial(n, a, b):
    """Sums over all outcomes."""
    ends = mp.psi(0, a + b) - mp.psi(0, a + b + n)
    every = [
        (
            mp.exp(_beta_binomial(mpf(x), a, b, n)),
            (mp.psi(0, a + x) - mp.psi(0, a) + ends, mp.psi(0, b + n - x) - mp.psi(0, b) + ends),
        )
        for x in range(int(n) + 1)
    ]
    return [[mp.fsum(m * s[i] * s[j] for m, s in every) for j in (0, 1)] for i in (0, 1)]


def _fisher_negative_binomial(r, p):
    """``E[ψ′(r) − ψ′(x + r)]`` is a hypergeometric series, or an integral: here over log v."""

    def integrand(t):
        v = mp.exp(t)
        part = -mp.expm1(-v)
        return -v * mp.exp(-r * v) * mp.log1p(-p * part) / part

    with mpmath.workdps(40):
        if p < 0.9:
            own = mp.hyp3f2(1, 1, 1, 2, r + 1, p) * p / r
        else:
            low, high = -40 - mp.log(r + 1), mp.log(50 / r)
            own = mp.quad(integrand, mp.linspace(low, high, int(high - low)))
    cross = 1 / (1 - p)
    return [[own, cross], [cross, r / p / (1 - p) ** 2]]


def _fisher_student_t(v, loc, scale):
    by_df = (_trigamma(v / 2) - _trigamma((v + 1) / 2)) / 4 - (v + 5) / (2 * v * (v + 1) * (v + 3))
    cross = -2 / (scale * (v + 1) * (v + 3))
    by_loc, by_scale = (v + 1) / (v + 3) / scale**2, 2 * v / (v + 3) / scale**2
    return [[by_df, 0, cross], [0, by_loc, 0], [cross, 0, by_scale]]


def _fisher_truncated_normal(loc, scale, low, high):
    _, m1, m2, m3, m4 = truncated_moments(loc, scale, low, high)
    cross = (m3 - m1 * m2) / scale**2
    return [[(m2 - m1**2) / scale**2, cross], [cross, (m4 - m2**2) / scale**2]]


def _fisher_von_mises(loc, concentration):
    ratio = mp.besseli(1, concentration) / mp.besseli(0, concentration)
    return [[concentration * ratio, 0], [0, 1 - ratio / concentration - ratio**2]]


#: Fisher matrices of natural parameters, of the families where they take special functions.
FISHERS = {
    "Beta": _fisher_beta,
    "BetaBinomial": _fisher_beta_binomial,
    "Dirichlet": _fisher_dirichlet,
    "Chi2": lambda df: [[_trigamma(df / 2) / 4]],
    "Gamma": lambda a, rate: [[_trigamma(a), -1 / rate], [-1 / rate, a / rate**2]],
    "InverseGamma": lambda a, rate: [[_trigamma(a), -1 / rate], [-1 / rate, a / rate**2]],
    "Kumaraswamy": _fisher_kumaraswamy,
    "NegativeBinomial": _fisher_negative_binomial,
    "StudentT": _fisher_student_t,
    "TruncatedNormal": _fisher_truncated_normal,
    "VonMises": _fisher_von_mises,
}


def fisher(name: str, *parameters) -> list[list[float]]:
    """The Fisher matrix of one coordinate, or of coupled ones."""
    with mpmath.workdps(FEW):
        matrix = FISHERS[name](*map(_exactly, parameters))
        return [[float(entry) for entry in row] for row in matrix]


def _is_far(parameter):
    """Whether it may make a score of 1e-300."""
    name, value = parameter
    size = np.abs(value)
    if name.startswith("log"):
        return np.any(size > 100)
    return np.any((size != 0) & ~((size > 1e-50) & (size < 1e50)))


def _exactly(value):
    """As mpf, or of an array a list of them."""
    value = np.asarray(value, dtype=float)
    return [mpf(one) for one in value.tolist()] if value.ndim else mpf(value.item())


def _moved(value, i, by):
    """One entry of a parameter moved."""
    if isinstance(value, list):
        return [one + by if j == i else one for j, one in enumerate(value)]
    return value + by


def log_density(name: str, x, **parameters):
    """By natural or unconstrained parameters, all mpf; of coupled ones ``probs`` are weights."""
    given = {}
    for key, value in parameters.items():
        if isinstance(value, list):
            logarithms = key.startswith("log")
            natural = {"logits": "probs"}.get(key, key.removeprefix("log_"))
            given[natural] = [mp.exp(one) for one in value] if logarithms else value
        elif key == "probs":
            given |= {"log_p": mp.log(value), "log_q": mp.log1p(-value)}
        elif key == "logits":
            given |= {"log_p": -mp.log1p(mp.exp(-value)), "log_q": -mp.log1p(mp.exp(value))}
        elif key.startswith("log_"):
            given[key[4:]] = mp.exp(value)
        else:
            given[key] = value
    return LOG_DENSITIES[name](x, **given)


def exact(name: str, x, constants=(), **parameters) -> tuple[float, list[float]]:
    """Log-density and score at one sample (d,); ``constants`` are not differentiated by."""
    digits = MANY if any(map(_is_far, parameters.items())) else FEW
    with mpmath.workdps(digits):
        given = {key: _exactly(value) for key, value in parameters.items()}
        x = _exactly(x if any(isinstance(value, list) for value in given.values()) else x[0])

        def moved(key, i, by):
            return log_density(name, x, **{**given, key: _moved(given[key], i, by)})

        score, entries = [], [(k, i) for k, v in parameters.items() for i in range(np.size(v))]
        for key, i in entries:
            if key in constants:
                continue
            value = given[key][i] if np.ndim(parameters[key]) else given[key]
            size = 1 if key.startswith("log") else abs(value)
            size = given.get("scale", 1) if key == "loc" else size
            h = size * mpf(10) ** (-digits // 3)
            slope = (moved(key, i, h) - moved(key, i, -h)) / (2 * h)
            # A quotient is off by a square of its step, also where the score is 0.
            score.append(float(slope) if abs(slope) * size > mpf(10) ** (-digits // 2) else 0.0)
        return float(log_density(name, x, **given)), score
