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
    """Each a distribution of its own, in the keywords of the example; or all if coupled."""
    p = example.p
    given = {**p.parameters, **p.constants}
    if example.entry.coupled:
        size = next(iter(p.parameters.values())).shape[-1]
        for i in range(p.d // size):
            own = {name: value.reshape(-1, size)[i] for name, value in p.parameters.items()}
            own |= {name: np.ravel(value)[i % value.size] for name, value in p.constants.items()}
            yield slice(i * size, (i + 1) * size), own
        return
    for k in range(p.d):
        yield [k], {name: np.broadcast_to(value, p.d)[k] for name, value in given.items()}


# --- ordinary points ---


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.name not in LOG_DENSITIES], ids=str)
def test_log_prob_as_scipy_has_it(example):
    p, x = example.p, drawn(example)[:1000]
    close(p.log_prob(x), example.truth.log_prob(x), 1e-13, 1.0)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.name in LOG_DENSITIES], ids=str)
def test_ordinary_points(example):
    """Of a log-density near 0, and of a score near 0, up to 1 and to its standard deviation."""
    for k, keywords in coordinates(example):
        p, x = type(example.p)(**keywords), drawn(example)[:6, k]
        x = x[np.isfinite(p.log_prob(x))]
        truth = [exact(example.name, row, p.constants, **keywords) for row in x]
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
    "BetaBinomial": [
        ({"total_count": n, "concentration1": a, "concentration0": b}, [0, 1, n // 3, n - 1, n])
        for n in (2, 20)
        for a in (1e-3, 1.0, 1e8)
        for b in (1e-3, 0.5, 7e7)
    ]
    + [
        (
            {"total_count": n, "log_concentration1": a, "log_concentration0": b},
            [0, 1, n // 3, n - 1, n],
        )
        for n in (10**6, 10**12, 2**50)
        for a, b in ((-7.0, -7.5), (-3.0, 12.0), (0.0, 0.0), (18.0, 17.0), (25.0, -7.0))
    ],
    "Binomial": [
        ({"total_count": n, "probs": p}, [0, 1, n // 3, n - 1, n])
        for n in (10, 10**6, 10**9)
        for p in (1e-12, 0.3, 1 - 1e-12)
    ]
    + [({"total_count": 100, "logits": logit}, [0, 50, 99, 100]) for logit in (-700, -30, 30, 700)],
    "Cauchy": [
        ({"loc": loc, "scale": s}, [0.0, loc + 3 * s, loc - 1e12 * s])
        for loc, s in ((0.0, 1e-150), (0.0, 1e150), (1e8, 1.0), (0.1, 0.3))
    ]
    + [({"loc": 0.0, "scale": s}, [1e-30 * s, s * (1 + 2**-30)]) for s in (1e-150, 0.3, 1e150)]
    + [({"loc": 1.0, "scale": s}, [-1e100 * s, 1e200]) for s in (1e-100, 1e150)]
    + [({"loc": 1.0, "log_scale": 300.0}, [0.0, 1e140])],
    "Chi2": [
        ({"df": v}, [1e-300, v, v * (1 + 1e-9), 30 * (v + 1)]) for v in (1e-3, 1.0, 2.0, 1e3, 1e8)
    ]
    + [({"log_df": v}, [1.1, 1e-3]) for v in (-6.0, 10.0)],
    "Dirichlet": [
        ({"concentration": a}, [[1e-300, 1e-12, 1 - 1e-12], [0.2, 0.3, 0.5]])
        for a in ([1e-3, 0.5, 3.0], [1.0, 1.0, 1.0], [1e8, 2.0, 1e8], [1e8, 1e8, 1e-3])
    ]
    + [({"log_concentration": [10.0, -7.0]}, [[1e-5, 1 - 1e-5], [0.75, 0.25]])],
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
    "Gumbel": [
        ({"loc": loc, "scale": s}, [0.0, loc + 3 * s, loc - 6 * s])
        for loc, s in ((0.0, 1e-150), (0.0, 1e150), (1e8, 1.0), (0.1, 0.3))
    ]
    + [({"loc": 1.0, "log_scale": 300.0}, [0.0, 1e140])],
    "HalfNormal": [
        ({"scale": s}, [0.0, 1e-3 * s, (1 + 2**-20) * s, 40 * s]) for s in (1e-150, 0.3, 1e150)
    ]
    + [({"log_scale": s}, [0.3, 5.0]) for s in (-2.0, 300.0)],
    "InverseGamma": [
        ({"concentration": a, "rate": r}, [1e300, r / a, r / a * (1 + 1e-9), r / 30 / (a + 1)])
        for a in (1e-3, 0.5, 1.0, 1e3, 1e8)
        for r in (1e-12, 1.0, 1e12)
    ]
    + [({"log_concentration": a, "log_rate": a}, [1.1, 1e3]) for a in (-6.0, 10.0)],
    "Kumaraswamy": [
        ({"concentration1": a, "concentration0": b}, [1e-300, 1e-12, 0.3, 1 - 1e-12])
        for a in (1e-3, 1.0, 1e8)
        for b in (1e-3, 0.5, 1.0, 2.0, 2 + 1e-9, 1e8)
    ]
    + [({"log_concentration1": 10.0, "log_concentration0": -7.0}, [1e-5, 0.999])],
    "Laplace": [
        ({"loc": loc, "scale": s}, [0.0, loc + 3 * s, loc - 400 * s])
        for loc, s in ((0.0, 1e-150), (0.0, 1e150), (1e8, 1.0), (0.1, 0.3))
    ]
    + [({"loc": 1.0, "log_scale": 300.0}, [0.0, 1e140])],
    "LogNormal": [
        ({"loc": loc, "scale": s}, [TINY, 1e-300, 1.0, 1e300])
        for loc, s in ((0.0, 1.0), (600.0, 30.0), (-3.0, 1e-3), (0.0, 1e150))
    ],
    "Logistic": [
        ({"loc": loc, "scale": s}, [0.0, loc + 3 * s, loc - 40 * s])
        for loc, s in ((0.0, 1e-150), (0.0, 1e150), (1e8, 1.0), (0.1, 0.3))
    ]
    + [({"loc": 1.0, "log_scale": 300.0}, [0.0, 1e140])],
    "Multinomial": [
        ({"total_count": n, "probs": p}, [[n, 0, 0], [0, n - 1, 1], [1, 1, n - 2], [3, n - 6, 3]])
        for n in (10, 10**6, 10**9)
        for p in ([1e-12, 0.3, 0.7 - 1e-12], [1.0, 2.0, 1e12], [1e-9, 1.0, 1e-3])
    ]
    + [({"total_count": 9, "logits": [-700.0, 0.0, -30.0]}, [[9, 0, 0], [0, 9, 0], [1, 7, 1]])],
    "NegativeBinomial": [
        ({"total_count": r, "probs": p}, [0, 1, 2, int(r) + 3, 10**6])
        for r in (1e-12, 1e-3, 1.0, 3e3, 1e8)
        for p in (1e-12, 1e-3, 0.4, 0.999, 1 - 1e-8)
        if r < 1e8 or p < 0.9999
    ]
    + [
        ({"log_total_count": r, "logits": logit}, [0, 1, 100])
        for r, logit in (
            (-600.0, 3.0),
            (-21.0, 20.0),
            (30.0, -30.5),
            (600.0, -600.5),
            (1.0, -700.0),
        )
    ],
    "Normal": [
        ({"loc": loc, "scale": s}, [0.0, loc + 3 * s, loc - 40 * s])
        for loc, s in ((0.0, 1e-150), (0.0, 1e150), (1e8, 1.0), (0.1, 0.3))
    ],
    "Pareto": [
        ({"scale": s, "alpha": a}, [s, s * (1 + 2**-50), 1.7 * s, s * 1e100])
        for s in (1e-150, 1.0, 1e150)
        for a in (1e-3, 1.0, 1e8)
    ]
    + [({"scale": 2.0, "log_alpha": a}, [2.1, 1e300]) for a in (-300.0, 20.0)],
    "PlackettLuce": [
        ({name: values}, [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
        for name, values in (
            ("logits", [0.0, 0.0, 0.0]),
            ("logits", [300.0, 0.0, -290.0]),
            ("logits", [-40.0, 0.0, -40.0]),
            ("scores", [1e-150, 3.0, 1e100]),
        )
    ],
    "OneHotCategorical": [
        ({"logits": [-600.0, 0.0, 40.0]}, np.eye(3)),
        ({"probs": [1e-12, 1.0]}, np.eye(2)),
        ({"probs": [1e-100, 1.0, 1e9]}, np.eye(3)),
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
    "Weibull": [
        ({"scale": s, "concentration": k}, [s * (1 + 2**-50), s * (1 - 7 / k), s * (1 + 3 / k)])
        for s in (1e-150, 1.0, 1e150)
        for k in (10.0, 1e4, 1e8)
    ]
    + [({"scale": s, "concentration": 1e-3}, [1e-300, 1.0, 1e300]) for s in (1e-300, 1.0, 1e300)]
    + [({"log_scale": 3.0, "log_concentration": k}, [1e-5, 30.0]) for k in (-6.0, 2.0)],
    "TruncatedNormal": [
        ({"loc": 0.0, "scale": 1.0, "low": 0.0, "high": np.inf}, [0.0, 1e-9, 0.7, 20.0]),
        ({"loc": 0.0, "scale": 1.0, "low": -1.0, "high": 1.5}, [-1.0, 1e-9, 0.7, 1.5]),
        ({"loc": 0.0, "scale": 1.0, "low": 30.0, "high": np.inf}, [30.0, 30.01, 31.0, 50.0]),
        ({"loc": 3.0, "scale": 0.1, "low": -np.inf, "high": 0.0}, [0.0, -1e-3, -1.0]),
        ({"loc": -1e6, "scale": 1.0, "low": 0.0, "high": 1e-3}, [0.0, 1e-7, 1e-5, 1e-3]),
        ({"loc": 0.5, "scale": 1.0, "low": 0.0, "high": 1e-6}, [0.0, 1e-8, 7e-7, 1e-6]),
        ({"loc": 5.0, "scale": 2.0, "low": 5.0, "high": 5.0001}, [5.0, 5.00001, 5.0001]),
        ({"loc": 1e-7, "scale": 1e4, "low": -1e-5, "high": 1e-6}, [-9e-6, 0.0, 1e-6]),
        ({"loc": 1.0, "log_scale": -40.0, "low": -np.inf, "high": 0.0}, [-1e-36, -1e-35]),
    ],
    "VonMises": [
        ({"loc": loc, "concentration": k}, [loc + t / (1 + k**0.5) for t in (0.1, 1.3, -2.5)])
        for loc in (0.0, 0.25)
        for k in (1e-8, 1e-3, 1.0, 30.0, 1e4)
    ]
    + [
        ({"loc": 0.0, "concentration": 1e10}, [0.0, 1e-6, -3e-5, 3.0]),
        ({"loc": 3.1415, "log_concentration": 2.0}, [3.1, -3.1415, -3.0, 0.0]),
        ({"loc": 0.0, "log_concentration": -40.0}, [3.1, -3.1, 0.0]),
    ],
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
        x = np.reshape(np.asarray(point, dtype=p.dtype), (1, p.d))
        log_prob, score = exact(name, x[0], p.constants, **keywords)
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
    if isinstance(p, fs.FiniteDiscrete):  # in between there is nothing
        beyond = [-1e10, 1e10] if p.dtype is np.int64 else [-np.inf, -HUGE, HUGE, np.inf]
        return np.array([*p.constants["outcomes"], *beyond], dtype=p.dtype)
    if isinstance(p, fs.FiniteDiscrete):  # in between there is nothing
        beyond = [-1e10, 1e10] if p.dtype is np.int64 else [-np.inf, -HUGE, HUGE, np.inf]
        return np.array([*p.constants["outcomes"], *beyond], dtype=p.dtype)
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
    if isinstance(p, fs.PlackettLuce):
        pytest.skip("it takes rankings alone")
    if isinstance(p, fs.PlackettLuce):
        pytest.skip("it takes rankings alone")
    for k in range(p.d):
        x = drawn(example)[:1].repeat(len(points), axis=0)
        x[:, k] = points
        log_prob, low, high = p.log_prob(x), support.low[k], support.high[k]
        outside = (points < low) | (points > high) | np.isinf(points)
        within_by_far = (points > low + 1e-10) & (points < high - 1e-10) & (np.abs(points) < 1e10)
        assert not np.isnan(log_prob).any()
        assert not np.isnan(p.score(x)).any()
        assert np.all(log_prob[outside] == -np.inf)
        assert np.all(np.isfinite(log_prob[within_by_far])) or example.entry.coupled


# --- the reference table ---

NAMES = {
    "normal": ("Normal", {"mu": "loc", "sigma": "scale"}),
    "normal_logscale": ("Normal", {"mu": "loc", "logsigma": "log_scale"}),
    "bernoulli_logit": ("Bernoulli", {"logit": "logits"}),
    "poisson": ("Poisson", {"rate": "rate"}),
    "poisson_lograte": ("Poisson", {"lograte": "log_rate"}),
    "dirichlet": ("Dirichlet", {"alpha": "concentration"}),
    "exponential": ("Exponential", {"rate": "rate"}),
    "gamma": ("Gamma", {"shape": "concentration", "rate": "rate"}),
    "beta": ("Beta", {"a": "concentration1", "b": "concentration0"}),
    "student_t": ("StudentT", {"nu": "df", "loc": "loc", "scale": "scale"}),
    "laplace": ("Laplace", {"loc": "loc", "scale": "scale"}),
    "vonmises": ("VonMises", {"mu": "loc", "kappa": "concentration"}),
    "negbinom(r,p=success prob of x)": ("NegativeBinomial", {"r": "total_count", "p": "probs"}),
    "geometric0": ("Geometric", {"p": "probs"}),
    "categorical_logits": ("Categorical", {"logits": "logits"}),
    "weibull": ("Weibull", {"k": "concentration", "lam": "scale"}),
    "mvn_cov": ("MultivariateNormal", {"mu": "loc", "cov": "covariance_matrix"}),
}
#: Families that are not here yet.
MISSING = {"weibull"}
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
