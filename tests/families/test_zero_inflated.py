"""Counts with zeros put in: their density, scores and information are those that P(0) implies."""

from __future__ import annotations

import pickle
import re

import mpmath as mp
import numpy as np
import pytest
from cases import flat
from families.registry import close, within
from numba import config, njit
from packed import LIBM_CALL, needs_avx2

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 300_000
BASES = {
    "Poisson": fs.Poisson([0.5, 3.0, 100.0]),
    "log_rate": fs.Poisson(log_rate=[-2.0, 0.3, 1.0]),
    "Binomial": fs.Binomial([3, 5, 50], 0.3),
    "Geometric": fs.Geometric(logits=[0.1, -1.0, 2.0]),
    "NegativeBinomial": fs.NegativeBinomial(2.5, [0.1, 0.5, 0.9]),
    "BetaBinomial": fs.BetaBinomial(10, [0.4, 2.0, 3.0], log_concentration0=-0.4),
}
GATES = ({"gate": 0.3}, {"gate_logits": -1.0}, {"gate": [0.2, 0.5, 0.05]})
CASES = [
    pytest.param(fs.ZeroInflated(base, **gate), id=f"{name}-{gate}")
    for name, base in BASES.items()
    for gate in GATES
]
every_case = pytest.mark.parametrize("p", CASES)


def gates(p):
    """Probabilities of the gate, (d,)."""
    ((name, given),) = p._gate.items()
    g = given if name == "gate" else 1 / (1 + np.exp(-given))
    return np.broadcast_to(g, p.d)


def one_by_one(base):
    """Each coordinate as a distribution of its own."""
    given = {**base.parameters, **base.constants}
    for k in range(base.d):
        yield type(base)(**{name: np.broadcast_to(v, base.d)[k] for name, v in given.items()})


def log_mass(p, x):
    """From the base's, a coordinate at a time."""
    total = 0.0
    for k, (g, base) in enumerate(zip(gates(p), one_by_one(p._base), strict=True)):
        mass = (1 - g) * np.exp(base.log_prob(x[:, [k]]))
        total = total + np.log(np.where(x[:, k] == 0, g + mass, mass))
    return total


@every_case
def test_log_prob(p):
    x = p.sample(500, rng=0)
    np.testing.assert_allclose(p.log_prob(x), log_mass(p, x), rtol=1e-12)
    outside = np.where(np.arange(3) == 1, -1, x[:3])
    np.testing.assert_array_equal(p.log_prob(outside), -np.inf)
    np.testing.assert_array_equal(p.score(outside)[:, -p._base.size :].shape, (3, p._base.size))


@every_case
def test_score_is_the_derivative(p):
    """By central differences, whose error is some 1e-9."""
    x = np.concatenate([p.sample(200, rng=1), np.zeros((1, 3), int)])
    s, start = p.score(x), 0
    for name, value in p.parameters.items():
        for i, unit in enumerate(np.eye(value.size)):
            h = 1e-5 * unit.reshape(value.shape)
            ahead, behind = (p.replace(**{name: value + by}).log_prob(x) for by in (h, -h))
            close(s[:, start + i], (ahead - behind) / 2e-5, 1e-6, 1.0)
        start += value.size


@every_case
def test_fisher_and_moments(p):
    x = p.sample(N, rng=2)
    within((x.mean(axis=0) - p.mean) / np.sqrt(p.variance / N))
    squares = (x - p.mean) ** 2
    within((squares.mean(axis=0) - p.variance) / (squares.std(axis=0) / np.sqrt(N)))
    s, information = p.score(x), p.fisher()
    within(s.mean(axis=0) / (s.std(axis=0) / np.sqrt(N)))
    mean, second = s.T @ s / N, (s * s).T @ (s * s) / N
    error = np.sqrt(np.maximum(second - mean**2, 0) / N)
    within((mean - information) / np.hypot(error, 1e-12 * np.abs(information).max()))


@pytest.mark.parametrize("gate", [1e-9, 0.3, 1 - 1e-9])
def test_fisher_is_the_sum_over_outcomes(gate):
    p = fs.ZeroInflated(fs.BetaBinomial(40, 0.3, 2.0), gate)
    x = p.support(41)
    mass, s = np.exp(p.log_prob(x)), p.score(x)
    assert mass.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(p.fisher(), (s * mass[:, None]).T @ s, rtol=1e-12)


@every_case
def test_zeros_come_as_often_as_they_should(p):
    """And what else comes is the base's: all cells of a χ² table."""
    x = p.sample(N, rng=3)
    for k, (g, base) in enumerate(zip(gates(p), one_by_one(p._base), strict=True)):
        values = np.arange(x[:, k].max() + 1)
        mass = (1 - g) * np.exp(base.log_prob(values[:, None]))
        mass[0] += g
        found, often = np.bincount(x[:, k]), N * mass > 20
        z = (found - N * mass)[often] / np.sqrt(N * (mass * (1 - mass))[often])
        assert np.mean(z**2) < 1 + 5 * np.sqrt(2 / often.sum())


@pytest.mark.parametrize("rate", [1e-12, 1e-3, 1.0, 30.0, 800.0, 1e6])
@pytest.mark.parametrize("gate", [1e-100, 1e-12, 0.3, 1 - 1e-12])
@pytest.mark.parametrize("by_logit", [False, True])
def test_extremes(rate, gate, by_logit):
    given = {"gate_logits": np.log(gate) - np.log1p(-gate)} if by_logit else {"gate": gate}
    p = fs.ZeroInflated(fs.Poisson(rate), **given)
    with mp.workdps(500):
        g = 1 / (1 + mp.exp(-mp.mpf(given["gate_logits"]))) if by_logit else mp.mpf(gate)
        m, unit = mp.mpf(rate), g * (1 - g) if by_logit else 1
        zero = g + (1 - g) * mp.exp(-m)
        exact = {
            0: (mp.log(zero), -mp.expm1(-m) / zero * unit, -(1 - g) * mp.exp(-m) / zero),
            2: (mp.log1p(-g) + 2 * mp.log(m) - m - mp.log(2), -unit / (1 - g), 2 / m - 1),
        }
        for x, expected in exact.items():
            found = [p.log_prob([[x]])[0], *p.score([[x]])[0]]
            np.testing.assert_allclose(found, [float(e) for e in expected], rtol=1e-12, atol=1e-300)


@njit
def square(x):
    total = 0.0
    for k in range(x.size):
        total += float(x[k]) ** 2
    return total


@every_case
def test_gradient(p):
    """Of the second moment; it is ``(1 − g)`` times that of the base."""
    estimate = fs.gradient(square, p, n=N, rng=4)
    base = fs.gradient(square, p._base, n=N, rng=5)
    second = p._base.variance + p._base.mean**2
    g, size = gates(p), p.size - p._base.size
    by_gate = -second * (g * (1 - g) if "gate_logits" in p.parameters else 1)
    by_gate = by_gate if size == p.d else by_gate.sum(keepdims=True)
    found, error = estimate.flat, flat(estimate.grad_stderr)
    within((found[:size] - by_gate) / error[:size])
    if np.ptp(g) == 0:
        own = np.hypot(error[size:], (1 - g[0]) * flat(base.grad_stderr))
        within((found[size:] - (1 - g[0]) * base.flat) / own)


@every_case
def test_fit(p):
    """The score vanishes but for gates at their floors, and the truth is not likelier."""
    x = p.sample(20_000, rng=6)
    q = p.fit(x, least=1e-6)
    assert {k: v.shape for k, v in q.parameters.items()} == {
        k: v.shape for k, v in p.parameters.items()
    }
    assert q.log_prob(x).sum() >= p.log_prob(x).sum()
    s = q.score(x)
    assert np.all(np.abs(s.sum(axis=0)) <= 1e-6 * np.sqrt((s**2).sum(axis=0)))


@every_case
def test_copies(p):
    x = p.sample(50, rng=7)
    for q in (pickle.loads(pickle.dumps(p)), p.replace()):
        assert repr(q) == repr(p)
        np.testing.assert_array_equal(q.score(x), p.score(x))
    name = list(p.parameters)[-1]
    moved = p.replace(**{name: p.parameters[name] + 0.01})
    np.testing.assert_array_equal(moved._base.parameters[name], p.parameters[name] + 0.01)


def test_threads_do_not_matter():
    p = fs.ZeroInflated(BASES["Poisson"], 0.3)
    one, two = (fs.gradient(square, p, n=N, rng=1, threads=k) for k in (1, 2))
    np.testing.assert_array_equal(one.flat, two.flat)


@pytest.mark.parametrize("gate", [0.0, 1.0])
def test_gates_that_are_certain(gate):
    p = fs.ZeroInflated(fs.Poisson([3.0, 1.0]), gate)
    x = p.sample(1000, rng=0)
    expected = x * 0 if gate else p._base.support_set.low
    assert np.all(x == expected) if gate else x.max() > 3
    assert p.support_set.high[0] == (0 if gate else np.inf)
    assert np.all(p.log_prob(x) == (0.0 if gate else p._base.log_prob(x)))
    with pytest.raises(ValueError, match="gate must be above"):
        p.score(x)


def test_exact_sums_and_proposals():
    p = fs.ZeroInflated(fs.Binomial([2, 3], 0.4), [0.2, 0.6])
    exact = fs.gradient(square, p, estimator="exact")
    assert exact.value == pytest.approx(np.sum(p.variance + p.mean**2), rel=1e-13)
    estimate = fs.gradient(square, p, proposals=[fs.Binomial([2, 3], 0.3)], n=N, rng=0)
    within((estimate.flat - exact.flat) / flat(estimate.grad_stderr))
    with pytest.raises(ValueError, match="no proposal reaches"):
        fs.gradient(square, fs.Poisson([1.0, 1.0]), proposals=[p], n=10)


@needs_avx2
@pytest.mark.parametrize("kernel", ["score_kernel", "log_probs_kernel"])
def test_vectorised(kernel):
    from numba import cfunc

    kernel = getattr(fs.ZeroInflated, kernel)
    code = cfunc(kernel.signature, error_model="numpy")(kernel.function)._library.get_asm_str()
    assert re.search(r"\bv\w+pd\b.*%[yz]mm", code)
    assert not LIBM_CALL.search(code)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: fs.ZeroInflated(2, 0.3), TypeError, "is not a distribution"),
        (lambda: fs.ZeroInflated(fs.Normal(0.0, 1.0), 0.3), TypeError, "independent counts"),
        (lambda: fs.ZeroInflated(fs.Categorical([0.5, 0.5]), 0.3), TypeError, "independent counts"),
        (lambda: fs.ZeroInflated(fs.Binomial(3, 1.0), 0.3), ValueError, "never 0"),
        (lambda: fs.ZeroInflated(fs.Poisson(1.0)), TypeError, "gate or gate_logits"),
        (lambda: fs.ZeroInflated(fs.Poisson(1.0), 1.2), ValueError, "gate must be between 0 and 1"),
        (lambda: fs.ZeroInflated(fs.Poisson([1.0, 2.0]), [0.1] * 3), ValueError, "same shape"),
        (lambda: fs.ZeroInflated(fs.Poisson(1.0), [0.1, 0.2]), ValueError, "give a scalar"),
        (
            lambda: fs.ZeroInflated(fs.ZeroInflated(fs.Poisson(1.0), 0.1), 0.1),
            TypeError, "zero-inflated already",
        ),
        (
            lambda: fs.ZeroInflated(fs.Poisson(1.0), 0.1).replace(speed=1),
            ValueError, "no parameter 'speed'",
        ),
        (
            lambda: fs.ZeroInflated(fs.Fixed(fs.NegativeBinomial(1.0, 0.5), "probs"), 0.1),
            TypeError, "of the ZeroInflated fixed",
        ),
    ],
)  # fmt: skip
def test_bad_input(make, error, match):
    with pytest.raises(error, match=match):
        make()
