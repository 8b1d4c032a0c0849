"""Special functions of kernels and of parameters against mpmath."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from numba import config, njit
from packed import LIBM_CALL, PACKED, assembly, needs_avx2, not_in_child, run_on_avx2

from fastscore.engine import special
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
