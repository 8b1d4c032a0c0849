"""Accuracy, special values and packed code of the elementary functions."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from numba import config, njit
from packed import LIBM_CALL, PACKED, assembly, needs_avx2, not_in_child, run_on_avx2

from fastscore.engine import vecmath

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

POINTS = 100_000
ONE_RESULT = {
    name: getattr(vecmath, name)
    for name in (
        "log", "log_inside", "log1p", "exp", "expm1", "log1pexp", "expit", "radius", "minus_log",
    )
}  # fmt: skip
TWO_RESULTS = {name: getattr(vecmath, name) for name in ("sincos", "quarter_turns", "split_exp")}
TAKES_BITS = ("radius", "minus_log", "quarter_turns")

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

    def test_log_inside(self, call, rng):
        x = np.append(np.exp2(rng.uniform(-1022, 1024, POINTS)), 1 - 2.0 ** np.arange(-53, 0))
        np.testing.assert_array_equal(call("log_inside", x), call("log", x))

    def test_split_exp_and_the_log_of_the_rest(self, call, rng):
        x = -np.append(np.exp2(rng.uniform(-1000, 9.4, POINTS)), math.log(2) * np.arange(1, 1000))
        power, rest = call("split_exp", x)
        exact = np.exp(x.astype(Exact)), -np.expm1(x.astype(Exact))
        assert np.max(np.abs(power / exact[0] - 1)) < 4e-16
        assert np.max(np.abs(rest / exact[1] - 1)) < 4e-16
        log_of_rest = njit(lambda x, rest: vecmath.log_of_rest(x, rest))
        found = np.array([log_of_rest(*row) for row in zip(rest, power, strict=True)])
        near_1 = x < -1
        for own, expected in (
            (found[near_1], np.log1p(-exact[0][near_1])),
            (found[~near_1], np.log(exact[1][~near_1])),
        ):
            assert np.max(np.abs(own / expected - 1)) < 1e-15

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

    def error(self, call, name, x, expected):
        """Largest relative error, where the result is neither 0 nor subnormal nor infinite."""
        size = np.abs(expected)
        regular = (size > np.finfo(float).tiny) & (size < np.finfo(float).max)
        return np.max(np.abs(call(name, x)[regular] / expected[regular] - 1))

    def test_log1p(self, call, rng):
        x = np.concatenate([
            np.exp2(rng.uniform(-1021, 1024, POINTS)),
            np.exp2(rng.uniform(-60, 2, POINTS)),
            -np.exp2(rng.uniform(-1021, 0, POINTS)),
            np.exp2(rng.uniform(-53, 0, POINTS)) - 1,
            neighbours(np.sqrt([0.5, 2.0]) - 1, 1000),
        ])  # fmt: skip
        assert self.error(call, "log1p", x, np.log1p(x.astype(Exact))) < 3e-16

    def test_expm1(self, call, rng):
        x = np.concatenate([
            np.exp2(rng.uniform(-1021, 9, POINTS)) * signs(rng, POINTS),
            np.exp2(rng.uniform(-60, 3, POINTS)) * signs(rng, POINTS),
            rng.uniform(-40, 709.7, POINTS),
            neighbours((np.arange(-60, 1023) + 0.5) * math.log(2)),
        ])  # fmt: skip
        assert self.error(call, "expm1", x, np.expm1(x.astype(Exact))) < 3e-16

    def test_log1pexp_and_expit(self, call, rng):
        x = np.concatenate([rng.uniform(-707, 2000, POINTS), rng.normal(0, 3, POINTS)])
        e = np.exp(-np.abs(x).astype(Exact))
        softplus = np.maximum(x, 0) + np.log1p(e)
        assert self.error(call, "log1pexp", x, softplus) < 4e-16
        assert self.error(call, "expit", x, np.where(x < 0, e, 1) / (1 + e)) < 4e-16

    def test_log_minus(self, rng):
        """Of a number and the logarithm of one nearby, the difference keeps its digits."""
        c = rng.uniform(-700, 700, POINTS)
        x = np.exp(c) * np.exp(rng.normal(0, 1e-3, POINTS))
        out = np.empty(POINTS)

        @njit(error_model="numpy")
        def loop(x, c, out):
            for i in range(x.size):
                out[i] = vecmath.log_minus(x[i], c[i])

        loop(x, c, out)
        error = np.abs(out - (np.log(x.astype(Exact)) - c))
        assert np.max(error / np.maximum(np.abs(out), 0.4)) < 2.5e-16

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

    def test_log1p(self, call):
        x = [0.0, 5e-324, -5e-324, -1.0, -1.5, -math.inf, math.inf, math.nan, 1.7e308]
        expected = [0.0, 5e-324, -5e-324, -math.inf, math.nan, math.nan, math.inf, math.nan]
        result = call("log1p", x)
        np.testing.assert_array_equal(result[:-1], expected)
        assert result[-1] == pytest.approx(math.log(1.7e308), rel=1e-15)

    def test_expm1(self, call):
        x = [0.0, 5e-324, -5e-324, math.inf, -math.inf, math.nan, 1e308, -1e308, 709.7827128933841]
        expected = [0.0, 5e-324, -5e-324, math.inf, -1.0, math.nan, math.inf, -1.0, math.inf]
        np.testing.assert_array_equal(call("expm1", x), expected)

    def test_log1pexp_and_expit(self, call):
        x = [-math.inf, -1e308, -745.0, 800.0, 1e308, math.inf, math.nan]
        expected = [0.0, 0.0, 5e-324, 800.0, 1e308, math.inf, math.nan]
        np.testing.assert_array_equal(call("log1pexp", x), expected)
        expected = [0.0, 0.0, 5e-324, 1.0, 1.0, 1.0, math.nan]
        np.testing.assert_array_equal(call("expit", x), expected)

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


PACKED_ROOT_OR_QUOTIENT = {"radius": r"\bvsqrtpd\b.*%[yz]mm", "log": r"\bvdivpd\b.*%[yz]mm"}


@needs_avx2
@pytest.mark.parametrize("name", [*ONE_RESULT, *TWO_RESULTS])
def test_loop_is_packed(loops, name):
    x, first, second = (
        np.zeros(8, np.uint64 if name in TAKES_BITS else np.float64),
        *np.zeros((2, 8)),
    )
    loops[name](x, first, second)
    code = assembly(loops[name])
    assert PACKED.search(code)
    assert re.search(PACKED_ROOT_OR_QUOTIENT.get(name, ""), code)
    assert not LIBM_CALL.search(code)


@needs_avx2
def test_the_check_sees_scalar_code():
    loop = loop_of_one(njit(lambda x: math.log(x)))
    loop(*np.zeros((3, 8)))
    code = assembly(loop)
    assert not PACKED.search(code)
    assert LIBM_CALL.search(code)


@needs_avx2
@not_in_child
def test_loop_is_packed_on_avx2():
    """The same check in a process whose code generation stops at AVX2."""
    run_on_avx2(__file__, "packed or Accuracy")
