"""Accuracy, special values and packed code of the elementary functions."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import config, njit

from fastscore.engine import vecmath

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

POINTS = 100_000
ONE_RESULT = {"log": vecmath.log, "exp": vecmath.exp, "radius": vecmath.radius}
TWO_RESULTS = {"sincos": vecmath.sincos, "quarter_turns": vecmath.quarter_turns}
TAKES_BITS = ("radius", "quarter_turns")

Exact = np.longdouble
needs_extended = pytest.mark.skipif(
    np.finfo(Exact).nmant < 63, reason="long double is no more precise than double"
)


def loop_of_one(function, fastmath=False):
    @njit(error_model="numpy", fastmath=fastmath)
    def loop(x, first, _):
        for i in range(x.size):
            first[i] = function(x[i])

    return loop


def loop_of_two(function):
    @njit(error_model="numpy")
    def loop(x, first, second):
        for i in range(x.size):
            first[i], second[i] = function(x[i])

    return loop


@pytest.fixture(scope="module")
def loops():
    """A loop over arrays (argument, first result, second result) for each function."""
    made = {name: loop_of_one(function) for name, function in ONE_RESULT.items()}
    made |= {name: loop_of_two(function) for name, function in TWO_RESULTS.items()}
    return made


@pytest.fixture(scope="module")
def call(loops):
    """Apply a function of the module to an array."""

    def apply(name, x):
        x = np.asarray(x, dtype=np.uint64 if name in TAKES_BITS else np.float64)
        first, second = np.empty(x.size), np.empty(x.size)
        loops[name](x, first, second)
        return first if name in ONE_RESULT else (first, second)

    return apply


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


def neighbours(x, steps=40):
    """The doubles closest to each x, on both sides."""
    offsets = np.arange(-steps, steps + 1) * np.spacing(np.abs(x))[:, None]
    return (x[:, None] + offsets).ravel()


def signs(rng, size):
    return rng.choice([-1.0, 1.0], size)


def words(rng):
    """Random words, and such as make u, the angle or its distance from a seam tiny."""
    plain = rng.integers(0, 2**64, 2 * POINTS, dtype=np.uint64)
    small = plain[:POINTS] >> rng.integers(0, 64, POINTS, dtype=np.uint64)
    small = np.concatenate([small, np.arange(16, dtype=np.uint64)])
    half = small ^ np.uint64(2**63)
    return np.concatenate([plain, small, ~small, half, ~half])


@needs_extended
class TestAccuracy:
    """Errors against 80-bit functions, over random and adversarial arguments."""

    def log_error(self, call, x):
        x = x[(x > 0) & (x != 1) & np.isfinite(x)]
        expected = np.log(x.astype(Exact))
        return np.max(np.abs((call("log", x) - expected) / expected))

    def test_log_over_all_scales(self, call, rng):
        assert self.log_error(call, np.exp2(rng.uniform(-1022, 1024, POINTS))) < 2.5e-16
        assert self.log_error(call, np.exp2(rng.uniform(-2, 2, 2 * POINTS))) < 2.5e-16

    def test_log_near_one(self, call, rng):
        step = np.exp2(rng.uniform(-53, -1, POINTS)) * signs(rng, POINTS)
        assert self.log_error(call, 1.0 + step) < 2.5e-16
        assert self.log_error(call, neighbours(np.array([1.0]), 1000)) < 2.5e-16

    def test_log_at_the_seams(self, call):
        powers = np.exp2(np.arange(-1021.0, 1024.0, 7.0))
        assert self.log_error(call, neighbours(powers)) < 2.5e-16
        assert self.log_error(call, neighbours(powers * math.sqrt(0.5))) < 2.5e-16

    def test_log_of_subnormals(self, call, rng):
        x = np.exp2(rng.uniform(-1074, -1022, POINTS))
        assert (
            self.log_error(call, np.append(x, [5e-324, 1e-323, 2.2250738585072014e-308])) < 2.5e-16
        )

    def exp_error(self, call, x):
        expected = np.exp(x.astype(Exact))
        return np.max(np.abs((call("exp", x) - expected) / expected))

    def test_exp_over_the_normal_range(self, call, rng):
        assert self.exp_error(call, rng.uniform(-708.3, 709.78, POINTS)) < 2.5e-16
        assert self.exp_error(call, rng.normal(0.0, 2.0, POINTS)) < 2.5e-16
        tiny = np.exp2(rng.uniform(-1074, 9, POINTS)) * signs(rng, POINTS)
        assert self.exp_error(call, tiny) < 2.5e-16

    def test_exp_at_the_seams(self, call):
        halves = (np.arange(-1020, 1023) + 0.5) * math.log(2)
        assert self.exp_error(call, neighbours(halves)) < 2.5e-16
        largest = 709.782712893384
        assert (
            self.exp_error(call, np.nextafter(largest, -np.inf) - np.arange(50) * 1e-13) < 2.5e-16
        )

    def test_exp_underflows_gradually(self, call, rng):
        x = rng.uniform(-746, -708, POINTS)
        error = np.abs(call("exp", x) - np.exp(x.astype(Exact)))
        smallest_normal = 2.2250738585072014e-308
        assert np.max(error / np.maximum(np.exp(x), smallest_normal)) < 2.5e-16

    def sincos_error(self, call, x):
        sin, cos = call("sincos", x)
        x = x.astype(Exact)
        return max(np.max(np.abs(sin - np.sin(x))), np.max(np.abs(cos - np.cos(x))))

    @pytest.mark.parametrize("limit", [1.0, 10.0, 1e3, 1e5, vecmath.SINCOS_LIMIT])
    def test_sincos_to_the_limit(self, call, rng, limit):
        assert self.sincos_error(call, rng.uniform(-limit, limit, POINTS)) < 2.5e-16

    def test_sincos_over_all_scales(self, call, rng):
        x = np.exp2(rng.uniform(-1074, 25, POINTS)) * signs(rng, POINTS)
        assert self.sincos_error(call, x) < 2.5e-16

    def test_sincos_near_multiples_of_an_eighth_turn(self, call, rng):
        multiples = np.unique(rng.integers(-(2**25), 2**25, POINTS // 50)) * (math.pi / 4)
        x = neighbours(np.append(multiples, np.arange(1, 200) * (math.pi / 4)), 5)
        assert self.sincos_error(call, x) < 2.5e-16

    def test_small_sine_is_relatively_accurate(self, call, rng):
        x = np.exp2(rng.uniform(-1022, -1, POINTS))
        expected = np.sin(x.astype(Exact))
        assert np.max(np.abs((call("sincos", x)[0] - expected) / expected)) < 2.5e-16

    def test_radius(self, call, rng):
        w = words(rng)
        u = 1 - (w >> np.uint64(12)).astype(Exact) / Exact(2**52)
        square = call("radius", w).astype(Exact) ** 2
        assert np.max(np.abs(square + 2 * np.log(u))) < 2e-13

    def test_quarter_turns(self, call, rng):
        w = words(rng)
        angle = (w >> np.uint64(12)).astype(Exact) / Exact(2**52) * 2 * np.arctan(Exact(1))
        c, s = call("quarter_turns", w)
        cosine, sine = np.cos(angle), np.sin(angle)
        assert np.max(np.abs(c - np.where(w & np.uint64(1), -cosine, cosine))) < 4e-16
        assert np.max(np.abs(s - np.where(w & np.uint64(2), -sine, sine))) < 4e-16


class TestSpecialValues:
    """Arguments whose results are exact, infinite or NaN."""

    def test_log(self, call):
        x = [0.0, -0.0, -5e-324, -1.0, -math.inf, math.inf, math.nan, 1.0]
        expected = [-math.inf, -math.inf] + [math.nan] * 3 + [math.inf, math.nan, 0.0]
        np.testing.assert_array_equal(call("log", x), expected)

    def test_exp(self, call):
        x = [0.0, -0.0, 5e-324, math.inf, -math.inf, math.nan, 1e308, -1e308]
        expected = [1.0, 1.0, 1.0, math.inf, 0.0, math.nan, math.inf, 0.0]
        np.testing.assert_array_equal(call("exp", x), expected)

    def test_exp_at_the_edges(self, call):
        x = [709.782712893384, 709.7827128933841, -745.1332191019411, -745.1332191019412]
        result = call("exp", x)
        assert result[0] == pytest.approx(1.797693134862273e308, rel=1e-12)
        np.testing.assert_array_equal(result[1:], [math.inf, 5e-324, 0.0])

    def test_sincos(self, call):
        beyond = np.nextafter(vecmath.SINCOS_LIMIT, np.inf)
        sin, cos = call("sincos", [0.0, 5e-324, math.inf, -math.inf, math.nan, beyond, -1e300])
        np.testing.assert_array_equal(sin, [0.0, 5e-324] + [math.nan] * 5)
        np.testing.assert_array_equal(cos, [1.0, 1.0] + [math.nan] * 5)

    def test_sincos_accepts_its_limit(self, call):
        limit = vecmath.SINCOS_LIMIT
        sin, cos = call("sincos", [limit, -limit])
        np.testing.assert_allclose(sin, np.sin([limit, -limit]), rtol=0, atol=3e-16)
        np.testing.assert_allclose(cos, np.cos([limit, -limit]), rtol=0, atol=3e-16)

    def test_radius_at_its_ends(self, call):
        shortest, longest = call("radius", [0, 2**64 - 1])
        assert shortest == pytest.approx(0.0, abs=5e-7)  # the root of an error below 2e-13
        assert longest == pytest.approx(math.sqrt(104 * math.log(2)), rel=1e-13)

    def test_low_bits_choose_the_quadrant(self, call):
        c, s = call("quarter_turns", np.uint64(2**63) + np.arange(4, dtype=np.uint64))
        np.testing.assert_allclose(c, np.sqrt(0.5) * np.array([1, -1, 1, -1]), atol=2.5e-16)
        np.testing.assert_allclose(s, np.sqrt(0.5) * np.array([1, 1, -1, -1]), atol=2.5e-16)


def test_box_muller_makes_normals(call, rng):
    first, second = rng.integers(0, 2**64, (2, POINTS), dtype=np.uint64)
    c, s = call("quarter_turns", second)
    z = call("radius", first) * np.array([c, s])
    n = z.size
    assert abs(z.mean()) < 5 * math.sqrt(1 / n)
    assert abs((z**2).mean() - 1) < 5 * math.sqrt(2 / n)
    assert abs((z**4).mean() - 3) < 5 * math.sqrt(96 / n)
    assert abs((z[0] * z[1]).mean()) < 5 * math.sqrt(2 / n)


def test_fastmath_of_the_caller_changes_nothing(call, rng):
    x = np.append(np.exp2(rng.uniform(-1074, 1024, 1000)), [0.0, -1.0, math.inf, math.nan])
    reckless = np.empty(x.size)
    loop_of_one(vecmath.log, fastmath=True)(x, reckless, reckless)
    np.testing.assert_array_equal(reckless, call("log", x))


def test_bit_casts_are_inverse(rng):
    cast = njit(lambda x: vecmath.float_bits(x))
    back = njit(lambda u: vecmath.bits_float(u))
    for x in [0.0, -0.0, 1.0, math.pi, 5e-324, -math.inf, *rng.normal(size=5)]:
        bits = np.uint64(cast(x))
        assert bits == np.float64(x).view(np.uint64)
        assert math.copysign(1.0, back(bits)) == math.copysign(1.0, x)
        assert back(bits) == x


# Packed code. Numba hands LLVM the address of a function of libm as `movabsq $log, %rax`.
PACKED = re.compile(r"\bvf\w+pd\b.*%[yz]mm")
PACKED_ROOT_OR_QUOTIENT = {"radius": r"\bvsqrtpd\b.*%[yz]mm", "log": r"\bvdivpd\b.*%[yz]mm"}
LIBM_CALL = re.compile(r"\$(?:log|exp|sin|cos|sincos|pow|round|floor|rint)\b")


def has_avx2():
    features = llvm.get_host_cpu_features()
    return features.get("avx2", False) and features.get("fma", False)


needs_avx2 = pytest.mark.skipif(not has_avx2(), reason="checks AVX2 or AVX-512 instructions")


def assembly(loop, argument_type):
    x, first, second = np.zeros(8, argument_type), np.zeros(8), np.zeros(8)
    loop(x, first, second)
    (code,) = loop.inspect_asm().values()
    return code


@needs_avx2
@pytest.mark.parametrize("name", [*ONE_RESULT, *TWO_RESULTS])
def test_loop_is_packed(loops, name):
    code = assembly(loops[name], np.uint64 if name in TAKES_BITS else np.float64)
    assert PACKED.search(code)
    assert re.search(PACKED_ROOT_OR_QUOTIENT.get(name, ""), code)
    assert not LIBM_CALL.search(code)


@needs_avx2
def test_the_check_sees_scalar_code():
    code = assembly(loop_of_one(njit(lambda x: math.log(x))), np.float64)
    assert not PACKED.search(code)
    assert LIBM_CALL.search(code)


@needs_avx2
@pytest.mark.skipif("FASTSCORE_TEST_HASWELL" in os.environ, reason="is this test's own child")
def test_loop_is_packed_on_avx2():
    """The same check in a process whose code generation stops at AVX2."""
    environment = os.environ | {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2",
        "FASTSCORE_TEST_HASWELL": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    child = subprocess.run(
        [*command, "-k", "packed or Accuracy"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stdout
