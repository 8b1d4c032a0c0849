"""Draws of counts: the tables have the probabilities, and what comes of them follows the law."""

from __future__ import annotations

import math
import platform
import re
from fractions import Fraction
from itertools import filterfalse

import mpmath as mp
import numpy as np
import pytest
from numba import config
from scipy import stats

import fastscore as fs
from fastscore.engine import count_tables, counts
from fastscore.engine.alias import ENTRY
from fastscore.engine.count_tables import CountTables
from fastscore.engine.counts import BINS, HEADER, LOW, SHIFT

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 1_000_000
RARE = 1e-4
POISSON = [1e-3, 3.0, 30.0, 1e4, 1e8, 1e12, 1e15]
BINOMIAL = [
    (1, 0.3), (10, 0.3), (10, 0.999), (1000, 1e-12), (1000, 0.3), (1000, 0.999),
    (10**6, 0.3), (10**9, 1e-12), (10**9, 1e-9), (10**9, 0.3), (10**9, 0.999), (10**9, 1 - 1e-9),
]  # fmt: skip


def poisson_tables(rate):
    rate = np.atleast_1d(np.asarray(rate, dtype=float))
    return CountTables(math.inf, rate, math.inf, np.log(rate), math.inf)


def binomial_tables(n, p):
    mean, rest = n * p, n * (1 - p)
    return CountTables([n], mean, rest, np.log(mean), np.log(rest))


def table_of(tables):
    """Header, alias table, and of wide bins the sure acceptance and the largest log-probability."""
    words = tables._words
    header = words.view(np.float64)[:HEADER]
    bins = int(header[BINS])
    alias, rest = np.split(words[HEADER:], [ENTRY * bins])
    sure, tops = (rest[:bins], rest[bins:].view(np.float64)) if header[SHIFT] else (None, None)
    return int(header[LOW]), int(header[SHIFT]), alias.reshape(bins, ENTRY), sure, tops


def probabilities_of(alias, low):
    """What each class is drawn with, as fractions."""
    bins = len(alias)
    out = [Fraction(0)] * bins
    for below, own, other in alias.tolist():
        out[own - low] += Fraction(below, 2**64 * bins)
        out[other - low] += Fraction(2**64 - below, 2**64 * bins)
    return out


def log_mass(x, rate=None, n=None, p=None):
    """Log-probability, to 40 digits."""
    x = int(x)
    if rate is not None:
        return x * mp.log(mp.mpf(rate)) - mp.mpf(rate) - mp.loggamma(x + 1)
    if x > n:
        return -mp.inf
    ways = mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)
    return ways + x * mp.log(mp.mpf(p)) + (n - x) * mp.log(1 - mp.mpf(p))


LAWS = [*({"rate": rate} for rate in POISSON), *({"n": n, "p": p} for n, p in BINOMIAL)]
every_law = pytest.mark.parametrize("law", LAWS, ids=str)


def is_narrow(law):
    """Whether each of its outcomes has a bin."""
    p = law.get("p", 0.0)
    return law.get("rate", law.get("n", 0) * p) * (1 - p) <= 1e4


def tables_of(law):
    return poisson_tables(**law) if "rate" in law else binomial_tables(**law)


def ends_of(law):
    """Mode, and what the table reaches."""
    low, shift, alias, _, _ = table_of(tables_of(law))
    mode = math.floor(law["rate"] if "rate" in law else (law["n"] + 1) * Fraction(law["p"]))
    return mode, low, low + (len(alias) << shift) - 1


@pytest.mark.parametrize("law", [*filter(is_narrow, LAWS)], ids=str)
def test_narrow_bins_have_the_probabilities(law):
    low, shift, alias, _, _ = table_of(tables_of(law))
    assert shift == 0
    drawn = probabilities_of(alias, low)
    with mp.workdps(40):
        exact = [mp.exp(log_mass(low + j, **law)) for j in range(len(alias))]
        assert -1e-30 < 1 - mp.fsum(exact) < 2.0**-64
        assert (
            max(
                abs(mp.mpf(q.numerator) / q.denominator - p)
                for q, p in zip(drawn, exact, strict=True)
            )
            < 1e-15
        )


@pytest.mark.parametrize("law", [*filterfalse(is_narrow, LAWS)], ids=str)
def test_wide_bins_bound_the_probabilities(law):
    low, shift, alias, sure, tops = table_of(tables_of(law))
    assert shift > 0
    drawn, weights = probabilities_of(alias, 0), np.exp(tops - tops.max())
    np.testing.assert_allclose(np.array(drawn, float), weights / weights.sum(), atol=1e-15)
    mode, *_ = ends_of(law)
    rng, levels = np.random.default_rng(0), []
    with mp.workdps(40):
        assert log_mass(mode, **law) >= max(log_mass(mode - 1, **law), log_mass(mode + 1, **law))
        for j in [0, (mode - low) >> shift, len(alias) - 1, *rng.integers(0, len(alias), 30)]:
            first = low + (int(j) << shift)
            last = first + (1 << shift) - 1
            top = log_mass(min(max(mode, first), last), **law)
            least = min(log_mass(first, **law), log_mass(last, **law))
            inside = log_mass(rng.integers(first, last + 1), **law)
            assert least <= inside <= top
            assert abs(sure[j] / 2**64 - mp.exp(least - top)) < 1e-9
            levels.append(float(top - tops[j]))
    assert np.ptp(levels) < 1e-9  # the logarithms lack one constant


@every_law
def test_what_is_left_out_is_rarer_than_a_word_resolves(law):
    """But not much rarer: tables are no longer than they need be."""
    _, low, high = ends_of(law)
    with mp.workdps(40):
        for end, step in ((low - 1, -1), (high + 1, 1)):
            if end < 0 or end > law.get("n", math.inf):
                continue
            # The terms beyond fall faster than a geometric series.
            log_first, log_second = log_mass(end, **law), log_mass(end + step, **law)
            tail = mp.exp(log_first) / (1 - mp.exp(log_second - log_first))
            assert tail < 2.0**-65
            if high - low < 1000:
                assert mp.exp(log_mass(end - step, **law)) > 2.0**-80


# --- draws ---


def cells_of(law, draws):
    """Upper ends of some 100 cells of about equal probability, and the probabilities."""
    scale = math.sqrt(law.var())
    ends = np.floor(law.mean() + scale * stats.norm.ppf(np.linspace(0.01, 0.99, 99)))
    if scale < 20:
        ends = np.arange(max(0, math.floor(law.mean() - 8 * scale)), law.mean() + 8 * scale + 8)
    ends = np.unique(ends)
    chances = np.diff([0.0, *law.cdf(ends), 1.0])
    while len(chances) > 1 and chances[0] * draws < 5:
        ends, chances = ends[1:], np.array([chances[0] + chances[1], *chances[2:]])
    while len(chances) > 1 and chances[-1] * draws < 5:
        ends, chances = ends[:-1], np.array([*chances[:-2], chances[-2] + chances[-1]])
    return ends, chances


def assert_follows(x, law):
    """By a χ² test."""
    assert x.dtype == np.int64
    assert x.min() >= 0
    ends, chances = cells_of(law, len(x))
    found = np.bincount(np.searchsorted(ends, x), minlength=len(chances))
    if len(chances) == 1:
        assert np.count_nonzero(x != round(law.mean())) < 10
    else:
        assert stats.chisquare(found, len(x) * chances).pvalue > RARE


@pytest.mark.parametrize("rate", POISSON)
def test_poisson(rate):
    x = fs.Poisson(rate).sample(N, rng=1).ravel()
    assert_follows(x, stats.poisson(rate))
    if rate > 1e3:  # places in bins
        assert stats.chisquare(np.bincount(x & 63, minlength=64)).pvalue > RARE


@pytest.mark.parametrize(("n", "p"), BINOMIAL)
def test_binomial(n, p):
    x = fs.Binomial(n, p).sample(N, rng=2).ravel()
    assert x.max() <= n
    assert_follows(x, stats.binom(n, p))


@pytest.mark.parametrize("p", [0.999, 0.5, 0.3, 1e-3, 1e-9, 2.0**-45])
def test_geometric(p):
    """An exponential of the same words, rounded down."""
    x = fs.Geometric(p).sample(N, rng=3).ravel()
    assert x.max() < 2**51
    assert_follows(x, stats.geom(p, loc=-1))
    y = fs.Exponential(-np.log1p(-p)).sample(N, rng=3).ravel()
    # An exponential close below an integer may have been rounded to it.
    assert np.all((x == np.floor(y)) | (x == y - 1))
    assert np.mean(x == np.floor(y)) > 0.99


def test_many_laws_have_small_tables():
    """Of 5000 distinct laws bins are wide, and a good part of all draws is rejected."""
    rates, n = np.linspace(50.0, 90.0, 5000), 200
    p = fs.Poisson(rates)
    assert len(p._tables._words) < 5000 * 200
    x = p.sample(n, rng=4)
    law, rng = stats.poisson(rates), np.random.default_rng(5)
    u = law.cdf(x) - rng.random(x.shape) * law.pmf(x)
    assert stats.kstest(u.ravel(), "uniform", method="asymp").pvalue > RARE
    z = np.sqrt(12 * n) * (u.mean(axis=0) - 0.5)
    assert abs(np.mean(z**2) - 1) < 4.5 * np.sqrt(2 / 5000)
    lagged = np.sqrt(12**2 * x.size) * np.mean((u[:, 1:] - 0.5) * (u[:, :-1] - 0.5))
    assert abs(lagged) < 4.5


def test_equal_neighbours_share_a_table():
    starts = poisson_tables([3.0, 3.0, 5.0, 5.0, 3.0]).addresses.view(np.int64)
    assert starts[0] == starts[1] < starts[2] == starts[3] < starts[4]


@pytest.mark.parametrize(("n", "p", "only"), [(0, 0.3, 0), (7, 0.0, 0), (7, 1.0, 7), (0, 1.0, 0)])
def test_one_outcome(n, p, only):
    np.testing.assert_array_equal(fs.Binomial(n, p).sample(100, rng=6), only)
    np.testing.assert_array_equal(fs.Geometric(1.0).sample(100, rng=6), 0)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.parametrize("loop", [count_tables._bound, counts._exceed, counts._round_down])
def test_loops_are_vectorised(loop):
    law, floats, words = (
        (math.inf, 3.0, math.inf, math.log(3.0), math.inf),
        np.ones(64),
        np.arange(64),
    )
    arguments = {
        "_bound": (floats, floats.copy(), 0.0, 1.0, 64, 3.0, law),
        "_exceed": (words.astype(np.uint64), floats, floats.copy(), 64, law),
        "_round_down": (words.astype(np.uint64), words, 64, 1.0),
    }
    loop(*arguments[loop.__name__])
    assembly = "\n".join(loop.inspect_asm().values())
    assert len(re.findall(r"\bvfn?madd\d+pd\b.*%[yz]mm", assembly)) > 10
    assert not re.search(r"call\w*\s+\S*\b(log|exp|floor)\b", assembly)
