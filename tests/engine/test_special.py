"""Special functions of kernels and of parameters against mpmath, and the densities made of them."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from numba import config, njit
from packed import LIBM_CALL, PACKED, assembly, needs_avx2, not_in_child, run_on_avx2

from fastscore.engine import special
from fastscore.engine.vecmath import fma, log
from fastscore.families import _special as of_parameters

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

INF = math.inf


@pytest.fixture(autouse=True)
def sixty_digits():
    with mp.workdps(60):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(1827)


def loop_of(function, count):
    """A loop over ``count`` columns of arguments."""
    arguments = ", ".join(f"x[{i}, t]" for i in range(count))
    scope = {"function": function}
    exec(f"def loop(x, out):\n for t in range(out.size): out[t] = function({arguments})", scope)
    return njit(error_model="numpy")(scope["loop"])


LOOPS = {
    "times_log": loop_of(special.times_log, 2),
    "log_ratio": loop_of(special.log_ratio, 3),
    "deviance": loop_of(special.deviance, 3),
    "stirling_error": loop_of(special.stirling_error, 1),
    "log_gamma": loop_of(special.log_gamma, 1),
    "digamma": loop_of(special.digamma, 1),
}


def call(name, *arguments):
    columns = np.array(np.broadcast_arrays(*arguments), dtype=np.float64)
    out = np.empty(columns.shape[1])
    LOOPS[name](columns, out)
    return out


def worst(values, exact, *arguments, least=0.0):
    """Largest error relative to the exact value, or to ``least`` where that is larger."""
    errors = []
    for value, *point in zip(values, *arguments, strict=True):
        expected = exact(*map(mp.mpf, map(float, point)))
        errors.append(abs(mp.mpf(float(value)) - expected) / max(abs(expected), least))
    return float(max(errors))


def scales(rng, low, high, count=300):
    """Numbers of all magnitudes, and the neighbours of the small integers."""
    near = [np.nextafter(k, side) for k in (1.0, 2.0, 3.0) for side in (0, k, 9)]
    return np.concatenate([10.0 ** rng.uniform(low, high, count), near])


def stirling(x):
    return mp.loggamma(x) - ((x - mp.mpf(0.5)) * mp.log(x) - x + mp.log(2 * mp.pi) / 2)


class TestInKernels:
    def test_stirling_error(self, rng):
        x = np.concatenate([np.arange(1.0, 200.0), 10.0 ** rng.uniform(0, 14, 300)])
        assert worst(call("stirling_error", x), stirling, x) < 5e-16

    @pytest.mark.parametrize(("low", "high"), [(-0.5, 1), (-3, 12), (-300, 300)])
    def test_log_gamma_and_digamma(self, rng, low, high):
        x = scales(rng, low, high)
        assert worst(call("log_gamma", x), mp.loggamma, x, least=1.0) < 5e-16
        assert worst(call("digamma", x), mp.digamma, x, least=1.0) < 5e-16

    @pytest.mark.parametrize("spread", [1e-12, 1e-6, 1e-2, 0.4, 3.0, 100.0])
    def test_deviance_and_log_ratio(self, rng, spread):
        m = 10.0 ** rng.uniform(-100, 100, 400)
        x = m * np.exp(spread * rng.uniform(-1, 1, m.size))
        # Outside of a factor 2 the rounded difference is as good as an exact one.
        difference = x - m

        def exact(x, m):
            return x * mp.log(x / m) + m - x

        assert worst(call("deviance", x, m, difference), exact, x, m) < 4e-15
        log_ratio = call("log_ratio", x, m, difference)
        assert worst(log_ratio, lambda x, m: mp.log(x / m), x, m) < 1e-15

    def test_ends(self):
        x = [0.0, 0.0, 0.0, 3.0, 3.0, 5e-324, 1.0, math.nan]
        m = [0.0, 2.0, INF, 0.0, INF, 1.0, 1.0, 1.0]
        expected = [0.0, 2.0, INF, INF, INF, 1.0, 0.0, math.nan]
        np.testing.assert_array_equal(call("deviance", x, m, np.subtract(x, m)), expected)
        result = call("times_log", [0.0, 0.0, 0.0, 2.0, -2.0], [0.0, INF, 3.0, 0.0, 0.0])
        np.testing.assert_array_equal(result, [0.0, 0.0, 0.0, -INF, INF])
        points = [0.0, 1.0, 2.0, INF, -0.5, math.nan]
        result = call("log_gamma", points)
        np.testing.assert_array_equal(result[[0, 3, 4, 5]], [INF, INF, math.nan, math.nan])
        result = call("digamma", points)
        np.testing.assert_array_equal(result[[0, 3, 4, 5]], [-INF, INF, math.nan, math.nan])


@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.5), (-3, 12), (-60, 10), (-290, -60)])
class TestOfParameters:
    def test_one_argument(self, rng, low, high):
        a = scales(rng, low, high, 100)

        def step(v):
            return mp.digamma((v + 1) / 2) - mp.digamma(v / 2) - 1 / v

        def log_step(v):
            return mp.loggamma((v + 1) / 2) - mp.loggamma(v / 2) - mp.log(v / 2) / 2

        f = of_parameters
        assert worst(f.stirling_error(a), stirling, a, least=1.0) < 6e-16
        assert worst(f.digamma_excess(a), lambda a: mp.digamma(a) - mp.log(a), a) < 5e-16
        assert worst(f.half_digamma_step(a), step, a) < 1e-15
        assert worst(f.half_gamma_step(a), log_step, a, least=1.0) < 1e-15

    def test_student_information(self, rng, low, high):
        v = scales(rng, max(low, -100), max(high, -20), 100)

        def exact(v):
            gap = mp.psi(1, v / 2) - mp.psi(1, (v + 1) / 2)
            return gap / 4 - (v + 5) / (2 * v * (v + 1) * (v + 3))

        assert worst(of_parameters.student_information(v), exact, v) < 3e-14

    def test_two_arguments(self, rng, low, high):
        a = scales(rng, low, high, 100)
        b = rng.permutation(a)

        def beta(a, b):
            return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)

        def difference(a, b):
            return mp.digamma(a + b) - mp.digamma(a)

        f = of_parameters
        with mp.workdps(60 + int(high - low)):
            assert worst(f.digamma_difference(a, b), difference, a, b) < 1e-15
            assert worst(f.log_beta(a, b), beta, a, b, least=1.0) < 3e-15
            if low > -100:  # below, trigammas overflow
                value = f.trigamma_difference(a, b)
                assert worst(value, lambda a, b: mp.psi(1, a) - mp.psi(1, a + b), a, b) < 1e-15


def test_log_beta_is_exact_where_it_can_be():
    result = of_parameters.log_beta(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0]))
    np.testing.assert_array_equal(result, [0.0, -math.log(2), -math.log(2)])


# --- densities and scores made of them, the forms that the families use ---

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
inlined = njit(error_model="numpy", fastmath={"contract", "nsz"}, forceinline=True)


@inlined
def poisson(x, rate):
    at = max(x, 1.0)
    below = 0.5 * log(2 * math.pi * at) + special.stirling_error(at)
    return -special.deviance(x, rate, x - rate) - (0.0 if x == 0.0 else below)


@inlined
def binomial(x, n, p, q, whole):
    """``whole`` is ½ log(n/2π) + δ(n); of p and q the smaller one is exact."""
    rest = n - x
    over = fma(n, q, -rest) if p > 0.5 else fma(-n, p, x)
    i, j = max(x, 1.0), max(rest, 1.0)
    between = whole - 0.5 * log(i * j) - special.stirling_error(i) - special.stirling_error(j)
    ways = between if x > 0.0 and rest > 0.0 else 0.0
    return ways - special.deviance(x, n * p, over) - special.deviance(rest, n * q, -over)


@inlined
def gamma(x, a, rate, constant):
    return constant - special.deviance(a - 1.0, x * rate, -fma(x, rate, 1.0 - a))


@inlined
def gamma_score(x, a, rate, excess):
    return special.log_ratio(x * rate, a, fma(x, rate, -a)) - excess


@inlined
def beta(x, a, b, constant):
    n, y = a + b - 2.0, 1.0 - x
    over = fma(n, x, 1.0 - a)
    near = special.deviance(a - 1.0, n * x, -over) + special.deviance(b - 1.0, n * y, over)
    return constant - near


@inlined
def student_score(x, df, step):
    """By df: ½ (ψ((v + 1)/2) − ψ(v/2) − 1/v + (t/v − D(1, m))), m = v/(v + x²) = 1 − t."""
    u = x * x / df
    m = 1.0 / (1.0 + u)
    return 0.5 * ((step - special.deviance(1.0, m, u * m)) + u * m / df)


LOOPS |= {
    "poisson": loop_of(poisson, 2),
    "binomial": loop_of(binomial, 5),
    "gamma": loop_of(gamma, 4),
    "gamma_score": loop_of(gamma_score, 4),
    "beta": loop_of(beta, 4),
    "student_score": loop_of(student_score, 3),
}


def around(rng, mean, spread, low=0.0, high=INF):
    """Points near the mean and far out, and the means repeated as often."""
    steps = np.array([-1e9, -8, -2, -0.5, -1e-3, 0, 1e-3, 1, 3, 10, 1e3])
    return np.clip(mean[:, None] + spread[:, None] * steps, low, high)


class TestDensities:
    """Relative to the log-density, which away from certain outcomes is at least about 1."""

    def test_poisson(self, rng):
        rate = np.append(10.0 ** rng.uniform(-12, 12, 100), [1e-10, 3.0, 1e6, 1e12])
        x = np.round(around(rng, rate, np.sqrt(rate)))
        x[:, 1:3] = [0, 1]
        x, rate = x.ravel(), np.repeat(rate, x.shape[1])

        def exact(x, rate):
            return x * mp.log(rate) - rate - mp.loggamma(x + 1)

        assert worst(call("poisson", x, rate), exact, x, rate) < 3e-15
        assert call("poisson", [1_000_001_000_000], [1e12])[0] == pytest.approx(
            -15.23444942450219684592161, rel=1e-15
        )

    def test_binomial(self, rng):
        n = np.floor(10.0 ** rng.uniform(0, 9, 100))
        small = 10.0 ** rng.uniform(-12, -0.31, n.size)
        q = np.where(rng.random(n.size) < 0.5, small, 1 - small)
        p = 1 - q
        x = np.round(around(rng, n * p, np.sqrt(n * p * q), 0, n[:, None]))
        x[:, 1], x[:, 2] = 0, n
        whole = 0.5 * np.log(n / (2 * np.pi)) + of_parameters.stirling_error(n)
        n, p, q, whole = (np.repeat(value, x.shape[1]) for value in (n, p, q, whole))
        x = x.ravel()

        def exact(x, n, p, q):
            ways = mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)
            p, q = (1 - q, q) if q < p else (p, 1 - p)
            return ways + x * mp.log(p) + (n - x) * mp.log(q)

        assert worst(call("binomial", x, n, p, q, whole), exact, x, n, p, q) < 5e-15

    def test_gamma(self, rng):
        a = np.append(10.0 ** rng.uniform(np.log10(of_parameters.LARGE), 10, 100), 1e10)
        rate = np.append(10.0 ** rng.uniform(-12, 12, 100), 1.0)
        order = a - 1
        constant = np.log(rate) - 0.5 * np.log(order) - LOG_SQRT_2PI
        constant -= of_parameters.stirling_error(order)
        excess = of_parameters.digamma_excess(a)
        x = around(rng, a / rate, np.sqrt(a) / rate, 1e-9 / rate[:, None])
        a, rate, constant, excess = (np.repeat(v, x.shape[1]) for v in (a, rate, constant, excess))
        x = x.ravel()

        def density(x, a, rate):
            return a * mp.log(rate) - mp.loggamma(a) + (a - 1) * mp.log(x) - rate * x

        assert worst(call("gamma", x, a, rate, constant), density, x, a, rate, least=1.0) < 1e-14
        score = call("gamma_score", x, a, rate, excess)
        # What does not cancel in the score is at least 1/(2 a).
        relative = worst(score * a, lambda x, a, rate: a * (mp.log(x * rate) - mp.digamma(a)),
                         x, a, rate, least=0.5)  # fmt: skip
        assert relative < 4e-15
        assert score[-6] == pytest.approx(5.000000000083333333333333e-11, rel=1e-15)

    def test_beta(self, rng):
        a, b = 10.0 ** rng.uniform(np.log10(of_parameters.LARGE), 8, (2, 100))
        a, b = np.floor(a) + 1, np.floor(b) + 1  # so that a + b is exact

        def spread(count):
            return 0.5 * np.log(2 * np.pi * count) + of_parameters.stirling_error(count)

        constant = np.log(a + b - 1) + spread(a + b - 2) - spread(a - 1) - spread(b - 1)
        mean = a / (a + b)
        x = around(rng, mean, np.sqrt(mean * (1 - mean) / (a + b)), 1e-250, 1 - 1e-16)
        a, b, constant = (np.repeat(v, x.shape[1]) for v in (a, b, constant))
        x = x.ravel()

        def exact(x, a, b):
            norm = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)
            return norm + (a - 1) * mp.log(x) + (b - 1) * mp.log(1 - x)

        assert worst(call("beta", x, a, b, constant), exact, x, a, b, least=1.0) < 1e-14

    def test_student_by_df(self, rng):
        df = 10.0 ** rng.uniform(-3, 12, 100)
        x = 10.0 ** rng.uniform(-3, 8, df.size)
        score = call("student_score", x, df, of_parameters.half_digamma_step(df))

        def exact(x, v):
            u = x * x / v
            step = mp.digamma((v + 1) / 2) - mp.digamma(v / 2)
            return (step - 1 / v - mp.log1p(u) + (v + 1) * u / (v + x * x)) / 2

        # The terms of the score that do not cancel are of the order of 1/v².
        scaled = worst(score * df**2, lambda x, v: v**2 * exact(x, v), x, df, least=0.1)
        assert scaled < 1e-14


@needs_avx2
@pytest.mark.parametrize("name", LOOPS)
def test_loop_is_packed(name):
    LOOPS[name](np.ones((5, 8)), np.ones(8))
    code = assembly(LOOPS[name])
    assert PACKED.search(code)
    assert not LIBM_CALL.search(code)


@needs_avx2
@not_in_child
def test_loop_is_packed_on_avx2():
    run_on_avx2(__file__, "packed")
