"""Where samples could underflow, round or overflow, another space carries them exactly."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from numba import cfunc, config, njit
from packed import LIBM_CALL, PACKED, needs_avx2
from scipy import special, stats

import fastscore as fs
from fastscore.families._arsinh_student_t import SINH, ArsinhStudentT
from fastscore.families._family import Source
from fastscore.families._log_gamma import LogGamma
from fastscore.families._logit_beta import LogitBeta
from fastscore.families.bijection import EXP, SIGMOID

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 200_000
#: Each with an extreme coordinate, an ordinary one, and one in another regime.
EXTREME = {
    "Gamma": fs.Gamma([1e-3, 0.4, 50.0], [2.0, 1e-3, 1e3]),
    "Beta": fs.Beta([1e-3, 0.5, 40.0], [2e-3, 3.0, 0.3]),
    "StudentT": fs.StudentT([1e-3, 0.4, 5.0], [0.0, -3.0, 0.5], [2.0, 1e-3, 1e3]),
}
every_extreme = pytest.mark.parametrize("p", EXTREME.values(), ids=EXTREME)


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        (fs.Gamma([0.06, 3.0], 1.0), fs.Gamma([3.0, 0.059], 1.0)),
        (fs.Beta([0.06, 3.0], [1.2, 5.0]), fs.Beta(0.059, 3.0)),
        (fs.Beta(3.0, 1.2), fs.Beta(3.0, 1.19)),
        (fs.StudentT(0.11), fs.StudentT(0.109)),
    ],
    ids=str,
)
def test_only_where_it_is_needed(plain, other):
    assert plain.source.family is plain
    source = other.source.family
    assert source is not other
    assert source is other.source.family
    assert source.source.family is source
    assert list(source.parameters) == list(other.parameters)


@every_extreme
def test_scores_are_those_of_the_distribution(p):
    """On the other space too they have mean 0 and the closed-form covariance."""
    z = p.source.family.sample(N, rng=1)
    s = p.source.family.score(z)
    assert np.isfinite(z).all()
    assert np.isfinite(s).all()
    assert np.all(np.abs(s.mean(axis=0)) < 4.5 * s.std(axis=0) / np.sqrt(N))
    information = p.fisher()
    for i in range(p.size):
        product = s * s[:, [i]]
        error = np.abs(product.mean(axis=0) - information[i])
        assert np.all(error < 5 * product.std(axis=0) / np.sqrt(N) + 1e-9 * information[i, i])


@every_extreme
def test_densities_and_scores_where_both_exist(p):
    """``p(z) = p(x) |dx/dz|``, the scores agree, and f sees the x of z."""
    source = p.source
    z = source.family.sample(2000, rng=2)
    x = source.forward(z)
    np.testing.assert_array_equal(x, p.sample(2000, rng=2))
    plain = np.all((np.abs(x) > 1e-200) & (np.abs(x) < 1e200), axis=1)
    if type(p) is fs.Beta:
        plain &= np.all(1 - x > 1e-3, axis=1)
    z, x = z[plain], x[plain]
    assert len(x) > 300
    log_slope = {
        "Gamma": lambda z: z,
        "Beta": lambda z: -np.logaddexp(0, z) - np.logaddexp(0, -z),
        "StudentT": lambda z: np.abs(z) + np.log1p(np.exp(-2 * np.abs(z))) - np.log(2),
    }[type(p).__name__](z)
    np.testing.assert_allclose(
        source.family.log_prob(z), p.log_prob(x) + log_slope.sum(axis=1), rtol=1e-12, atol=1e-11
    )
    spread = np.sqrt(np.diagonal(p.fisher()))
    np.testing.assert_allclose(
        source.family.score(z) / spread, p.score(x) / spread, rtol=1e-11, atol=1e-11
    )


def test_gammas_that_underflow():
    """Half of them do; without their logarithms the score of these would be infinite."""
    p = fs.Gamma(1e-3, 2.0)
    x = p.sample(N, rng=3)
    share = np.exp(1e-3 * np.log(2) * (1 - 1075) - special.gammaln(1.001))
    assert abs(np.mean(x == 0) - share) < 4.5 * np.sqrt(share * (1 - share) / N)


def test_betas_that_round():
    p = fs.Beta(2.0, 0.03)
    x = p.sample(N, rng=3)
    share = stats.beta(0.03, 2.0).cdf(2.0**-53)
    assert abs(np.mean(x == 1) - share) < 4.5 * np.sqrt(share * (1 - share) / N)


def test_students_that_overflow():
    """To both infinities alike, and as often as the tail, ``c |x|^−df``, says."""
    df = 1e-3
    x = fs.StudentT(df).sample(N, rng=3)
    largest = np.finfo(float).max
    tail = np.exp(
        (df / 2 - 1) * np.log(df) - df * np.log(largest) - special.betaln(df / 2, 0.5) + np.log(2)
    )
    for sign in (1, -1):
        share = tail / 2
        found = np.mean(x == sign * np.inf)
        assert abs(found - share) < 4.5 * np.sqrt(share * (1 - share) / N)


@njit
def below(x):
    return x[0] < 0.7


@pytest.mark.parametrize(
    ("p", "cdf"),
    [
        (fs.Gamma(1e-3, 2.0), lambda a, rate: special.gammainc(a, 0.7 * rate)),
        (fs.Beta(0.02, 0.03), lambda a, b: special.betainc(a, b, 0.7)),
        (fs.StudentT(0.02, 1.0, 0.1), lambda *args: stats.t.cdf(0.7, *args)),
    ],
    ids=["Gamma", "Beta", "StudentT"],
)
def test_gradients(p, cdf):
    """Of the probability to be below 0.7: differences of the closed form."""
    estimate = fs.gradient(below, p, n=N, rng=5)
    given = np.array([float(value) for value in p.parameters.values()])
    for i, (name, error) in enumerate(estimate.grad_stderr.items()):
        step = 1e-4 * np.abs(given) * (np.arange(len(given)) == i)
        exact = (cdf(*(given + step)) - cdf(*(given - step))) / (2 * step.sum())
        assert abs(estimate.grad[name] - exact) < 4.5 * error


def test_maps():
    """The kernels that show x to f: as precisely as z, of that size, permits."""
    z = np.array([0.0, 1e-300, 1e-9, 0.3, 1.0, 5.0, 19.9, 20.1, 36.0, 300.0, 709.0])
    z = np.concatenate([z, -z])
    maps = {EXP: mp.exp, SIGMOID: lambda t: 1 / (1 + mp.exp(-t)), SINH: mp.sinh}
    for bijection, exact in maps.items():
        x = Source(fs.Normal(0.0, 1.0), bijection.forward_kernel).forward(z[:, None])[:, 0]
        with mp.workdps(50):
            expected = np.array([float(exact(mp.mpf(t))) for t in z])
        tolerance = 1e-15 + 2.0**-53 * np.abs(z)
        assert np.all(np.abs(x - expected) <= tolerance * np.abs(expected) + 1e-307)


@needs_avx2
@pytest.mark.parametrize(
    "family", [fs.Gamma, fs.Beta, fs.StudentT, LogGamma, LogitBeta, ArsinhStudentT]
)
@pytest.mark.parametrize("kernel", ["sample_kernel", "score_kernel", "log_probs_kernel"])
def test_vectorised(family, kernel):
    """The polynomials, one of a logarithm at least, are packed; nothing calls libm."""
    kernel = getattr(family, kernel)
    code = cfunc(kernel.signature, error_model="numpy")(kernel.function)._library.get_asm_str()
    assert len(PACKED.findall(code)) > 6
    assert not LIBM_CALL.search(code)
