"""Tables of bins of different widths have the probabilities, whatever the law's shape."""

from __future__ import annotations

import platform
import re
from fractions import Fraction

import numpy as np
import pytest
from numba import config
from scipy import stats

import fastscore as fs
from fastscore.engine import bins
from fastscore.engine.alias import ENTRY
from fastscore.engine.bins import BINS, HEADER, NUMBER_BITS, SHIFT_BITS, WIDE

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

NARROW = [
    fs.NegativeBinomial(3.0, 0.4),
    fs.NegativeBinomial(1e3, 0.3),
    fs.NegativeBinomial(1e10, 1e-9),
    fs.BetaBinomial(10, 2.0, 3.0),
    fs.BetaBinomial(1000, 0.3, 0.4),
    fs.BetaBinomial(300, 1.0, 1.0),
    fs.BetaBinomial(50, 1e8, 1e-3),
    fs.BetaBinomial(0, 1.0, 1.0),
]
WIDE_ONES = [
    fs.NegativeBinomial(0.1, 0.99999),
    fs.NegativeBinomial(2.5, 1 - 1e-12),
    fs.NegativeBinomial(1e12, 0.5),
    fs.NegativeBinomial(1e-3, 1 - 1e-9),
    fs.BetaBinomial(10**6, 0.3, 0.4),
    fs.BetaBinomial(10**6 + 1, 30.0, 1e-3),
    fs.BetaBinomial(10**12, 20.0, 30.0),
    fs.BetaBinomial(2**50, 0.1, 0.1),
    fs.BetaBinomial(10**5, 1.0, 1.0),
]


def table_of(p):
    """Of the first coordinate: the alias table, and of wide bins s, the sure part, and the top."""
    assert p.packed is not None
    words = p._tables._words
    count, wide = int(words[BINS]), bool(words[WIDE])
    alias, rest = np.split(words[HEADER:], [ENTRY * count])
    alias = alias.reshape(count, ENTRY)
    if not wide:
        return alias, None, None, None
    shift = (rest[:count] & np.uint64(2**SHIFT_BITS - 1)).astype(int)
    return alias, shift, rest[:count] / 2.0**64, rest[count : 2 * count].view(np.float64)


def drawn_with(alias, name):
    """Probabilities of what the classes are called, as fractions."""
    out = {}
    for below, own, other in alias.tolist():
        for called, part in ((own, below), (other, 2**64 - below)):
            out[name(called)] = out.get(name(called), 0) + Fraction(part, 2**64 * len(alias))
    return out


@pytest.mark.parametrize("p", NARROW, ids=str)
def test_narrow_bins_are_outcomes(p):
    alias, shift, *_ = table_of(p)
    assert shift is None
    found = drawn_with(alias, int)
    x = np.array(sorted(found))
    mass = np.exp(p.log_prob(x[:, None]))
    np.testing.assert_allclose([float(found[one]) for one in x.tolist()], mass, atol=2e-15)
    assert mass.sum() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("p", WIDE_ONES, ids=str)
def test_wide_bins_bound_the_probabilities(p):
    alias, shift, sure, top = table_of(p)
    numbers = alias[:, 1].astype(np.int64) & (2**NUMBER_BITS - 1)
    np.testing.assert_array_equal(numbers, np.arange(len(alias)))
    first = alias[:, 1].astype(np.int64) >> NUMBER_BITS
    order = np.argsort(first)
    ends = first + 2 ** shift.astype(np.int64)
    assert np.all(ends[order][:-1] <= first[order][1:])
    found = drawn_with(alias, lambda called: called & (2**NUMBER_BITS - 1))
    weights = np.exp(top) * 2.0**shift
    np.testing.assert_allclose(
        [float(found[j]) for j in range(len(alias))], weights / weights.sum(), atol=1e-15
    )
    # Few draws are rejected, though a law may be infinite of slope at both ends.
    assert 1 <= weights.sum() + 1e-12 < 1.03
    rng = np.random.default_rng(0)
    for inside in (first, ends - 1, *rng.integers(first, ends, (20, len(first)))):
        log_prob = p.log_prob(inside[:, None])
        assert np.all(log_prob <= top + 1e-12 * (1 + np.abs(top)))
        assert np.all(np.exp(log_prob - top) >= sure - 1e-9)


@pytest.mark.parametrize("p", WIDE_ONES, ids=str)
def test_draws_follow_the_bins(p):
    """A χ² test of bins put together in pairs of hundreds, by sums of their probabilities."""
    alias, *_ = table_of(p)
    first = np.sort(alias[:, 1].astype(np.int64) >> NUMBER_BITS)[1::40]
    x, n = p.sample(500_000, rng=2)[:, 0], 500_000
    found = np.bincount(np.searchsorted(first, x, "right"), minlength=len(first) + 1)
    if isinstance(p, fs.NegativeBinomial):
        law = stats.nbinom(p.parameters["total_count"], 1 - p.parameters["probs"])
        below = law.cdf(first - 1)
    elif p.constants["total_count"] < 10**7:
        every = np.arange(int(p.constants["total_count"]) + 1)
        below = np.concatenate([[0], np.cumsum(np.exp(p.log_prob(every[:, None])))])[first]
    else:  # as good as a beta variable, but for the first outcomes
        a, b = (p.parameters[f"concentration{i}"] for i in (1, 0))
        first, total = first[(first > 10**8)], float(p.constants["total_count"])
        found = np.bincount(np.searchsorted(first, x, "right"), minlength=len(first) + 1)
        below = stats.beta(a, b).cdf((first - 0.5) / total)
    chances = np.diff([0, *below, 1])
    often = n * chances > 20
    z = (found - n * chances)[often] / np.sqrt(n * (chances * (1 - chances))[often])
    assert abs(np.mean(z**2) - 1) < 4.5 * np.sqrt(2 / often.sum())


def test_many_laws_have_small_tables():
    """Of 3000 distinct laws bins are wide, and a good part of all draws is rejected."""
    r = np.linspace(50.0, 90.0, 3000)
    p = fs.NegativeBinomial(r, 0.5)
    x = p.sample(300, rng=4)
    assert len(p._tables._words) < 3000 * 330
    law, rng = stats.nbinom(r, 0.5), np.random.default_rng(5)
    u = law.cdf(x) - rng.random(x.shape) * law.pmf(x)
    assert stats.kstest(u.ravel(), "uniform", method="asymp").pvalue > 1e-4


def test_equal_neighbours_share_a_table():
    p = fs.NegativeBinomial([3.0, 3.0, 5.0, 5.0, 3.0], 0.5)
    assert p.packed is not None
    starts = p._tables.addresses.view(np.int64)
    assert starts[0] == starts[1] < starts[2] == starts[3] < starts[4]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
def test_the_rejection_is_vectorised():
    bins._exceed(np.arange(64).astype(np.uint64), np.ones(64), 64)
    assembly = "\n".join(bins._exceed.inspect_asm().values())
    assert len(re.findall(r"\bvfn?madd\d+pd\b.*%[yz]mm", assembly)) > 5
    assert not re.search(r"call\w*\s+\S*\b(log|exp|floor)\b", assembly)
