"""Gammas, betas and their logarithms in bulk: exact in distribution, and in what they write."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from packed import LIBM_CALL, PACKED, assembly, needs_avx2
from scipy import special, stats

from fastscore.engine.gammas import betas, gammas, log_gammas, log_odds
from fastscore.engine.memory import as_words, offset, pointer
from fastscore.engine.normals import SCRATCH
from fastscore.engine.streams import STATE_WORDS, key_of, seed_stream

COLUMN = 2000


def columns_of(sampler):
    """Fill an array, a column of `COLUMN` draws at a time."""

    @njit(error_model="numpy")
    def fill(key, workspace, out, count, a, b):
        seed_stream(as_words(pointer(workspace)), key[0], key[1], 0)
        for start in range(0, count, COLUMN):
            sampler(
                as_words(pointer(workspace)), offset(pointer(workspace), STATE_WORDS),
                offset(pointer(out), start), min(COLUMN, count - start), a, b,
            )  # fmt: skip

    return fill


FILL = {
    sampler.py_func.__name__: columns_of(sampler)
    for sampler in (gammas, log_gammas, betas, log_odds)
}
SHAPES = [0.3, 1.0, 1.5, 30.0, 1e6]
PAIRS = [(0.5, 0.5), (0.07, 3.0), (2.0, 30.0), (1e6, 2.0)]


def draw(name, a, b, count=10**6, seed=5, rest=0.0):
    """Draws, and what comes behind them in memory."""
    workspace = np.full(STATE_WORDS + SCRATCH, rest)
    out = np.full(count + 64, rest)
    FILL[name](key_of(seed), workspace, out, count, a, b)
    return out[:count], out[count:]


@pytest.mark.parametrize("shape", SHAPES)
def test_gammas(shape):
    x, _ = draw("gammas", shape, 2.0)
    assert stats.kstest(x, stats.gamma(shape, scale=2.0).cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [0.01, 1.0, 1e6])
def test_log_gammas(shape):
    y, _ = draw("log_gammas", shape, np.log(2.0))
    assert stats.kstest(y - np.log(2.0), stats.loggamma(shape).cdf).pvalue > 1e-3


@pytest.mark.parametrize("pair", PAIRS)
def test_betas(pair):
    x, _ = draw("betas", *pair)
    assert stats.kstest(x, stats.beta(*pair).cdf).pvalue > 1e-3


@pytest.mark.parametrize("pair", [(1.0, 1.0), (0.5, 30.0)])
def test_log_odds(pair):
    y, _ = draw("log_odds", *pair)
    assert stats.kstest(special.expit(y), stats.beta(*pair).cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [1e-3, 0.02, 0.7, 1.0, 5.0])
def test_moments_of_logarithms(shape):
    """``E[log x] = ψ(a)``, ``Var = ψ′(a)``, third cumulant ``ψ″(a)``: within five deviations."""
    y, _ = draw("log_gammas", shape, 0.0)
    mean, variance = special.digamma(shape), special.polygamma(1, shape)
    z = (y - mean) / np.sqrt(variance)
    skewness = special.polygamma(2, shape) / variance**1.5
    for power, expected in ((1, 0.0), (2, 1.0), (3, skewness)):
        moment = z**power
        assert abs(moment.mean() - expected) < 5 * moment.std() / np.sqrt(len(z))


@pytest.mark.parametrize("pair", [(1e-3, 1e-3), (0.02, 4.0), (3.0, 0.1)])
def test_moments_of_log_odds(pair):
    y, _ = draw("log_odds", *pair)
    mean = special.digamma(pair[0]) - special.digamma(pair[1])
    variance = special.polygamma(1, pair[0]) + special.polygamma(1, pair[1])
    square = (y - mean) ** 2
    assert abs(y.mean() - mean) < 5 * np.sqrt(variance / len(y))
    assert abs(square.mean() - variance) < 5 * square.std() / np.sqrt(len(y))


def test_tiny_shapes_of_betas():
    """They come from log-odds: two gammas would both be 0, and their shares NaN."""
    x, _ = draw("betas", 1e-3, 1e-3)
    assert np.isfinite(x).all()
    assert abs(x.mean() - 0.5) < 5 * x.std() / 1000


@pytest.mark.parametrize("name", FILL)
@pytest.mark.parametrize("count", [1, 15, 16, 255, 512, 2001])
def test_writes_what_it_should(name, count):
    """Every draw and nothing behind them, whatever was in the memory before."""
    for a, b in ((0.4, 0.4), (1.0, 1.3), (50.0, 7.0)):
        x, behind = draw(name, a, b, count)
        again, behind_again = draw(name, a, b, count, rest=np.nan)
        assert np.all(behind == 0)
        assert np.isnan(behind_again).all()
        np.testing.assert_array_equal(x, again)
        assert np.all(x != 0)


@pytest.mark.parametrize("shape", [1.0, 2.5])
def test_consecutive_draws_are_independent(shape):
    """The thinning must not favour draws by their neighbours: correlations of three transforms."""
    x, _ = draw("gammas", shape, 1.0)
    for y in (x, np.log(x), (x > np.median(x)).astype(float)):
        z = (y - y.mean()) / y.std()
        for lag in (1, 2, 128, 256):
            assert abs(np.mean(z[lag:] * z[:-lag])) < 5 / 1000


@needs_avx2
@pytest.mark.parametrize("name", FILL)
def test_vectorised(name):
    """Normals, candidates, exponentials and logarithms are packed; nothing calls libm."""
    draw(name, 2.0, 2.0, 16)
    code = assembly(FILL[name])
    assert len(PACKED.findall(code)) > 40
    assert not LIBM_CALL.search(code)
