"""Log-densities and scores to the last digits, and at the ends of domains."""

from __future__ import annotations

import numpy as np
import pytest
from cases import rows
from families.densities import FISHERS, LOG_DENSITIES, exact, fisher
from families.registry import EXAMPLES, close, drawn, every_example
from numba import config

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

#: Relative errors at ordinary points, and at extreme ones.
ORDINARY, EXTREME = 1e-14, 1e-12
TINY, HUGE = np.nextafter(0, 1), np.finfo(float).max


def coordinates(example):
    """Each coordinate as a distribution of its own, in the keywords of the example."""
    p = example.p
    given = {**p.parameters, **p.constants}
    for k in range(p.d):
        yield k, {name: np.broadcast_to(value, p.d)[k] for name, value in given.items()}


# --- ordinary points ---


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.name not in LOG_DENSITIES], ids=str)
def test_log_prob_as_scipy_has_it(example):
    p, x = example.p, drawn(example)[:1000]
    close(p.log_prob(x), example.truth.log_prob(x), 1e-13, 1.0)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.name in LOG_DENSITIES], ids=str)
def test_ordinary_points(example):
    """Of a log-density near 0, and of a score near 0, up to 1 and to its standard deviation."""
    for k, keywords in coordinates(example):
        p, x = type(example.p)(**keywords), drawn(example)[:6, [k]]
        x = x[np.isfinite(p.log_prob(x))]
        truth = [exact(example.name, row[0], p.constants, **keywords) for row in x]
        close(p.log_prob(x), np.array([one for one, _ in truth]), ORDINARY, 1.0)
        spread = np.sqrt(np.diagonal(p.fisher()))
        close(p.score(x), np.array([score for _, score in truth]), ORDINARY, spread)


# --- extreme points ---

EXTREMES = {
    "Bernoulli": [({"logits": logit}, [0, 1]) for logit in (-700, -40.0, 40.0, 700)]
    + [({"probs": p}, [0, 1]) for p in (1e-100, 1e-12, 1 - 1e-12)],
    "Beta": [
        ({"concentration1": a, "concentration0": b}, [1e-300, 1e-12, 0.3, 1 - 1e-12])
        for a in (1e-3, 1.0, 1e8)
        for b in (1e-3, 0.5, 1e8)
    ]
    + [({"log_concentration1": 10.0, "log_concentration0": -7.0}, [1e-5, 0.999])],
    "Binomial": [
        ({"total_count": n, "probs": p}, [0, 1, n // 3, n - 1, n])
        for n in (10, 10**6, 10**9)
        for p in (1e-12, 0.3, 1 - 1e-12)
    ]
    + [({"total_count": 100, "logits": logit}, [0, 50, 99, 100]) for logit in (-700, -30, 30, 700)],
    "Exponential": [({"rate": r}, [0.0, 0.7 / r, 500 / r]) for r in (1e-12, 1.0, 1e12, 1e150)]
    + [({"log_rate": r}, [0.3, 5.0]) for r in (-600.0, -20.0, 4.0)],
    "Gamma": [
        ({"concentration": a, "rate": r}, [1e-300, a / r, a / r * (1 + 1e-9), 30 * (a + 1) / r])
        for a in (1e-3, 0.5, 1.0, 1e3, 1e8)
        for r in (1e-12, 1.0, 1e12)
    ]
    + [({"log_concentration": a, "log_rate": -a}, [1.1, 1e-3]) for a in (-6.0, 10.0)],
    "Geometric": [({"probs": p}, [0, 1, 1000, 10**12]) for p in (1e-12, 1e-3, 0.5, 1 - 1e-12)]
    + [({"logits": logit}, [0, 1, 10**6]) for logit in (-30.0, 0.1, 30.0, 700.0)],
    "Laplace": [
        ({"loc": loc, "scale": s}, [0.0, loc + 3 * s, loc - 400 * s])
        for loc, s in ((0.0, 1e-150), (0.0, 1e150), (1e8, 1.0), (0.1, 0.3))
    ]
    + [({"loc": 1.0, "log_scale": 300.0}, [0.0, 1e140])],
    "LogNormal": [
        ({"loc": loc, "scale": s}, [TINY, 1e-300, 1.0, 1e300])
        for loc, s in ((0.0, 1.0), (600.0, 30.0), (-3.0, 1e-3), (0.0, 1e150))
    ],
    "Normal": [
        ({"loc": loc, "scale": s}, [0.0, loc + 3 * s, loc - 40 * s])
        for loc, s in ((0.0, 1e-150), (0.0, 1e150), (1e8, 1.0), (0.1, 0.3))
    ],
    "Poisson": [
        ({"rate": r}, [0, 1, int(r), int(r + 5 * r**0.5) + 1, int(3 * r) + 100])
        for r in (1e-12, 1e-3, 1.0, 1e6, 1e12)
    ]
    + [({"log_rate": r}, [0, 7]) for r in (-600.0, -20.0, 5.0)],
    "StudentT": [
        ({"df": v, "loc": loc, "scale": s}, [0.0, loc + 0.3 * s, loc - 50 * s, loc + 1e12 * s])
        for v in (1e-3, 1.0, 3.0, 1e3, 1e8)
        for loc, s in ((0.0, 1.0), (0.0, 1e-150), (0.0, 1e150), (1e6, 2.0))
    ]
    + [({"log_df": 5.0, "loc": 1.0, "log_scale": -200.0}, [0.0, 1.0])],
}
EXTREME_POINTS = [
    pytest.param(name, keywords, points, id=f"{name}-{keywords}")
    for name, table in EXTREMES.items()
    for keywords, points in table
]


@pytest.mark.parametrize(("name", "keywords", "points"), EXTREME_POINTS)
def test_extreme_points(name, keywords, points):
    p = getattr(fs, name)(**keywords)
    for point in points:
        x = np.array([[point]], dtype=p.dtype)
        log_prob, score = exact(name, x[0, 0], p.constants, **keywords)
        np.testing.assert_allclose(p.log_prob(x)[0], log_prob, rtol=EXTREME, err_msg=f"x = {point}")
        np.testing.assert_allclose(p.score(x)[0], score, rtol=EXTREME, err_msg=f"x = {point}")


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        pytest.param(name, keywords, id=f"{name}-{keywords}")
        for name in FISHERS
        for keywords, _ in EXTREMES[name]
        if not any(key.startswith("log") for key in keywords)
    ],
)
def test_fisher_at_extremes(name, keywords):
    found = getattr(fs, name)(**keywords).fisher()
    np.testing.assert_allclose(found, fisher(name, *keywords.values()), rtol=EXTREME)


# --- the ends of a domain, and beyond ---


def ends(p):
    """Points at the ends of a domain, beyond, and far out."""
    if p.dtype is np.float64:
        return np.array([-np.inf, -HUGE, -1e200, -1.0, -TINY, 0.0, TINY, 1e-300, 1 - 2**-53, 1.0,
                         1 + 2**-52, 1e200, HUGE, np.inf])  # fmt: skip
    if isinstance(p, (fs.Bernoulli, fs.Categorical)):  # which take nothing else
        return np.arange(p.support_set.high[0] + 1, dtype=int)
    return np.array([-(2**50), -1, 0, 1, 2, 1000, 10**9, 2**50])


@every_example
def test_nothing_is_nan(example):
    """Outside a log-density is −∞, and never is it or a score NaN."""
    p, support, points = example.p, example.p.support_set, ends(example.p)
    for k in range(p.d):
        x = drawn(example)[:1].repeat(len(points), axis=0)
        x[:, k] = points
        log_prob, low, high = p.log_prob(x), support.low[k], support.high[k]
        outside = (points < low) | (points > high) | np.isinf(points)
        within_by_far = (points > low + 1e-10) & (points < high - 1e-10) & (np.abs(points) < 1e10)
        assert not np.isnan(log_prob).any()
        assert not np.isnan(p.score(x)).any()
        assert np.all(log_prob[outside] == -np.inf)
        assert np.all(np.isfinite(log_prob[within_by_far]))


# --- the reference table ---

NAMES = {
    "normal": ("Normal", {"mu": "loc", "sigma": "scale"}),
    "normal_logscale": ("Normal", {"mu": "loc", "logsigma": "log_scale"}),
    "bernoulli_logit": ("Bernoulli", {"logit": "logits"}),
    "poisson": ("Poisson", {"rate": "rate"}),
    "poisson_lograte": ("Poisson", {"lograte": "log_rate"}),
    "exponential": ("Exponential", {"rate": "rate"}),
    "gamma": ("Gamma", {"shape": "concentration", "rate": "rate"}),
    "beta": ("Beta", {"a": "concentration1", "b": "concentration0"}),
    "student_t": ("StudentT", {"nu": "df", "loc": "loc", "scale": "scale"}),
    "laplace": ("Laplace", {"loc": "loc", "scale": "scale"}),
    "geometric0": ("Geometric", {"p": "probs"}),
    "categorical_logits": ("Categorical", {"logits": "logits"}),
    "mvn_cov": ("MultivariateNormal", {"mu": "loc", "cov": "covariance_matrix"}),
}
#: Families that are not here yet.
MISSING = {"dirichlet", "negbinom(r,p=success prob of x)", "vonmises", "weibull"}
TABLE = rows("score_reference.json")


def test_the_table_is_all_read():
    assert {row["family"] for row in TABLE} == {*NAMES, *MISSING}


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row["family"] in NAMES],
    ids=lambda row: f"{row['family']}-{row['tag'] or 'ordinary'}",
)  # fmt: skip
def test_reference_table(row):
    name, translated = NAMES[row["family"]]
    p = getattr(fs, name)(**{translated[key]: value for key, value in row["params"].items()})
    x = np.reshape(np.asarray(row["x"], dtype=p.dtype), (1, p.d))
    rtol = EXTREME if row["tag"] else ORDINARY
    score, start, found = p.score(x)[0], 0, {}
    for key in p.parameters:
        found[key] = np.ravel(p.shaped(key, score[start : start + p.free(key)]))
        start += p.free(key)
    order = [translated[key] for key in row["score"] if key in translated] or found
    found = np.concatenate([found[key] for key in order])
    expected = [float(value) for value in row["score"].values()]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=0)
    np.testing.assert_allclose(p.log_prob(x), float(row["logpdf"]), rtol=rtol, atol=0)
