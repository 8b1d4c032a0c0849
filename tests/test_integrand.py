"""Every kind of f, its arguments, and what goes wrong with it."""

from collections import namedtuple

import numpy as np
import pytest
from numba import njit

import fastscore as fs

Pair = namedtuple("Pair", "a b")


@pytest.fixture(scope="module")
def p():
    return fs.Normal([0.0, 1.0, 2.0], 0.5)


@njit
def weighted(x, weights, shift):
    total = shift
    for k in range(x.size):
        total += weights[k] * x[k]
    return total


@njit
def not_always_finite(x):
    if x[0] > 1:
        return np.nan
    if x[1] > 2.5:
        return np.inf
    return x[2]


class TestArguments:
    def test_values_change_without_compiling(self, p):
        for weights, shift in (([1.0, 0, 0], 0), ([0.0, 2, 5], 3.5)):
            weights = np.array(weights)
            est = fs.gradient(weighted, p, args=(weights, shift), n=2000, rng=0, wrt="loc")
            exact = p.sample(2000, rng=0) @ weights + shift
            assert est.value == pytest.approx(exact.mean(), rel=1e-12)

    @pytest.mark.parametrize(
        "weights",
        [np.arange(3, dtype=np.float32), np.arange(3), np.arange(6.0)[::2], np.arange(3) > 0],
    )
    def test_arrays_of_any_type_and_stride(self, p, weights):
        est = fs.gradient(weighted, p, args=(weights, 1), n=500, rng=0)
        assert est.value == pytest.approx((p.sample(500, rng=0) @ weights).mean() + 1, rel=1e-12)

    def test_matrices_tuples_and_numbers(self, p):
        @njit
        def f(x, matrix, pair, flag, z):
            row = matrix[1]
            total = pair.a * pair.b[0] + z.imag
            for k in range(x.size):
                total += row[k] * x[k]
            return total if flag else -total

        matrix = np.arange(6.0).reshape(2, 3)
        pair = Pair(2, (np.array([3.0]),))
        args = (matrix, pair, True, 1 + 4j)

        # A nested tuple: b is a tuple of one array, whose first entry is the array.
        @njit
        def unwrapped(x, matrix, pair, flag, z):
            return f(x, matrix, Pair(pair.a, pair.b[0]), flag, z)

        est = fs.gradient(unwrapped, p, args=args, n=300, rng=0)
        exact = (p.sample(300, rng=0) @ matrix[1]).mean() + 6 + 4
        assert est.value == pytest.approx(exact, rel=1e-12)

    def test_numpy_style_takes_anything(self, p):
        est = fs.gradient(lambda x, d: d["a"] * x[:, 0], p, args=({"a": 2},), n=100, rng=0)
        assert est.value == pytest.approx(2 * p.sample(100, rng=0)[:, 0].mean())

    @pytest.mark.parametrize("bad", [{"a": 1}, [1.0], "text", None, np.array(["a"])])
    def test_what_compiled_code_cannot_take(self, p, bad):
        with pytest.raises(TypeError, match=r"args\[0\]"):
            fs.gradient(weighted, p, args=(bad, 1.0), n=10)

    def test_args_must_be_a_tuple(self, p):
        with pytest.raises(TypeError, match=r"args=.*tuple"):
            fs.gradient(weighted, p, args=np.ones(3), n=10)

    @pytest.mark.parametrize("args", [(), (1.0,), (1.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0)])
    def test_too_many_or_too_few(self, p, args):
        with pytest.raises(TypeError, match="f"):
            fs.gradient(weighted, p, args=args, n=10)

    def test_missing_args_are_not_taken_for_a_batch(self, p):
        @njit
        def f(x, scale):
            return x[0] * scale[0]

        with pytest.raises(TypeError, match="args="):
            fs.gradient(f, p, n=10)


class TestKinds:
    def test_said_or_recognised(self, p):
        @njit
        def f(x, factor=2.0):
            return factor * x[0]

        bare = fs.gradient(f, p, n=100, rng=0)
        said = fs.gradient(fs.Integrand(f, kind="sample"), p, n=100, rng=0)
        given = fs.gradient(f, p, args=(2.0,), n=100, rng=0)
        assert bare.value == said.value == given.value

    def test_jitted_and_called_numpy_style(self, p):
        @njit
        def f(x):
            return x[:, 0].copy()

        est = fs.gradient(fs.Integrand(f, kind="numpy"), p, n=100, rng=0)
        assert est.value == pytest.approx(p.sample(100, rng=0)[:, 0].mean())

    @pytest.mark.parametrize("d", [3, 60])
    def test_what_needs_contiguous_rows(self, d):
        @njit
        def f(x):
            return x.reshape(-1, 3)[:, 1].sum()

        p = fs.Normal(np.zeros(d), 1.0)
        est = fs.gradient(f, p, n=100, rng=0)
        assert est.value == pytest.approx(p.sample(100, rng=0)[:, 1::3].sum(1).mean())

    @pytest.mark.parametrize("d", [3, 60])
    def test_explicit_signatures(self, d):
        @njit("float64(float64[::1])")
        def f(x):
            return x[1]

        p = fs.Normal(np.zeros(d), 1.0)
        assert fs.gradient(f, p, n=100, rng=0).value == pytest.approx(
            p.sample(100, rng=0)[:, 1].mean()
        )

    @pytest.mark.parametrize("d", [3, 60])
    def test_closures_and_calls_of_other_functions(self, d):
        weights = np.linspace(0, 1, d)

        @njit
        def inner(x, k):
            return x[k] * weights[k]

        @njit
        def f(x):
            return sum([inner(x, k) for k in range(x.size)])

        p = fs.Normal(np.zeros(d), 1.0)
        assert fs.gradient(f, p, n=100, rng=0).value == pytest.approx(
            (p.sample(100, rng=0) @ weights).mean()
        )

    @pytest.mark.parametrize("returned", [True, 3, np.float32(1.5)])
    def test_numbers_of_any_type(self, p, returned):
        @njit
        def f(x):
            return returned

        assert fs.gradient(f, p, n=20, rng=0).value == float(returned)

    def test_f_may_return_float32_or_integers_numpy_style(self, p):
        for dtype in (np.float32, np.int32, bool):
            est = fs.gradient(lambda x, t=dtype: (x[:, 0] > 0).astype(t), p, n=1000, rng=0)
            assert est.value == (p.sample(1000, rng=0)[:, 0] > 0).mean()

    def test_x_cannot_be_written_to(self, p):
        @njit
        def f(x):
            x[0] = 1.0
            return x[0]

        with pytest.raises(TypeError, match="does not compile"):
            fs.gradient(f, p, n=10)

        def g(x):
            x[:, 0] = 1.0
            return x[:, 0]

        with pytest.raises(ValueError, match="read-only"):
            fs.gradient(g, p, n=10)

    def test_wrong_kinds(self, p):
        with pytest.raises(ValueError, match="'sample', 'batch', 'numpy'"):
            fs.Integrand(weighted, kind="vector")
        with pytest.raises(TypeError, match="njit"):
            fs.Integrand(lambda x: x, kind="sample")
        with pytest.raises(TypeError, match="not callable"):
            fs.gradient(3, p, n=10)
        with pytest.raises(TypeError, match="not a distribution"):
            fs.gradient(weighted, 3, n=10)


class TestResults:
    @pytest.mark.parametrize("result", ["x", "None", "(x[0], x[1])", "x[0] + 1j", "'a'"])
    def test_a_jitted_f_must_return_a_number(self, p, result):
        scope = {}
        exec(f"def f(x):\n    return {result}", scope)
        with pytest.raises(TypeError, match=r"returns .*float is expected"):
            fs.gradient(njit(scope["f"]), p, n=10)

    def test_a_number_on_every_path(self, p):
        @njit
        def f(x):
            if x[0] > 0:
                return 1.0

        with pytest.raises(TypeError, match=r"returns .*float is expected"):
            fs.gradient(f, p, n=10)

    @pytest.mark.parametrize(
        ("f", "message"),
        [
            (lambda x: x, r"shape \(10, 3\)"),
            (lambda x: x[:5, 0], r"shape \(5,\)"),
            (lambda x: 1.0, r"shape \(\)"),
            (lambda x: None, "NoneType"),
            (lambda x: x[:, 0] + 1j, "complex128"),
            (lambda x: ["a"] * len(x), "real numbers"),
        ],
    )
    def test_a_numpy_f_must_return_one_number_a_row(self, p, f, message):
        with pytest.raises((TypeError, ValueError), match=message):
            fs.gradient(f, p, n=10)

    def test_a_batch_f_must_fill_out(self, p):
        @njit
        def f(x, out):
            out[0] = 1.0

        with pytest.raises(ValueError, match="NaN or infinite"):
            fs.gradient(f, p, n=100)


class TestExceptions:
    @pytest.mark.parametrize("d", [3, 60])
    def test_of_a_jitted_f(self, d):
        @njit
        def f(x):
            if x[0] > 2.5:
                raise ValueError("too large")
            return x[0]

        p = fs.Normal(np.zeros(d), 1.0)
        with pytest.raises(ValueError, match="too large") as caught:
            fs.gradient(f, p, n=10_000, rng=0)
        first = np.argmax(p.sample(10_000, rng=0)[:, 0] > 2.5)
        assert f"sample {first}," in caught.value.__notes__[0]

    def test_of_a_batch_f(self, p):
        @njit
        def f(x, out):
            out[:] = 1.0
            raise IndexError("out of range")

        with pytest.raises(IndexError, match="out of range"):
            fs.gradient(f, p, n=100)

    def test_division_by_zero(self, p):
        @njit
        def f(x):
            return 1.0 / (x[0] - x[0])

        with pytest.raises(ZeroDivisionError):
            fs.gradient(f, p, n=100)

    def test_of_a_numpy_f(self, p):
        def f(x):
            raise KeyError("missing")

        with pytest.raises(KeyError, match="missing") as caught:
            fs.gradient(f, p, n=100)
        assert "samples 0 to 99" in caught.value.__notes__[0]

    def test_threads_report_the_first(self):
        @njit
        def f(x):
            if x[0] > 4.0:
                raise ValueError("too large")
            return x[0]

        p = fs.Normal([0.0], 1.0)
        first = np.argmax(p.sample(10**6, rng=0)[:, 0] > 4.0)
        for threads in (1, 2, 7):
            with pytest.raises(ValueError, match="too large") as caught:
                fs.gradient(f, p, n=10**6, rng=0, threads=threads)
            assert f"sample {first}," in caught.value.__notes__[0]


class TestNonFinite:
    @staticmethod
    def f(x):
        return np.where(x[:, 0] > 1, np.nan, np.where(x[:, 1] > 2.5, np.inf, x[:, 2]))

    @pytest.fixture
    def jitted(self):
        return not_always_finite

    @pytest.mark.parametrize("compiled", [True, False])
    def test_raise_names_the_first(self, p, jitted, compiled):
        f = jitted if compiled else self.f
        bad = ~np.isfinite(self.f(p.sample(5000, rng=0)))
        with pytest.raises(ValueError, match=f"first at sample {np.argmax(bad)},") as caught:
            fs.gradient(f, p, n=5000, rng=0)
        assert f"at {bad[:500].sum()} of the first 500 samples" in str(caught.value)

    @pytest.mark.parametrize("compiled", [True, False])
    @pytest.mark.parametrize("d_shared", [False, True])
    def test_omit_conditions_on_finite_f(self, p, jitted, compiled, d_shared):
        q = fs.Normal(0.5, 0.7 * np.ones(3)) if d_shared else p
        f = jitted if compiled else self.f
        x = q.sample(20_000, rng=0)
        good = np.isfinite(self.f(x))
        est = fs.gradient(fs.Integrand(f, nonfinite="omit"), q, n=20_000, rng=0, baseline=None)
        assert est.nonfinite == (~good).sum()
        assert est.n == good.sum()
        assert est.bias == "conditional on finite f"
        exact = (x[good][:, 2:] * q.score(x[good])).mean(0)
        np.testing.assert_allclose(est.flat, exact, rtol=1e-10)
        assert "biased" in str(est)

    def test_propagate(self, p, jitted):
        est = fs.gradient(fs.Integrand(jitted, nonfinite="propagate"), p, n=1000, rng=0)
        assert np.isnan(est.value)
        assert np.isnan(est.flat).all()
        assert est.nonfinite > 0

    def test_nowhere_finite(self, p):
        with pytest.raises(ValueError, match="not finite at any sample"):
            fs.gradient(fs.Integrand(lambda x: x[:, 0] * np.nan, nonfinite="omit"), p, n=100)

    @pytest.mark.parametrize("n", [2, 3, 12])
    def test_omitted_folds(self, n):
        """Whole folds may be left empty; what is left is still unbiased or refused."""
        p = fs.Normal([0.0], 1.0)
        f = fs.Integrand(lambda x: np.where(x[:, 0] > -0.3, x[:, 0], np.nan), nonfinite="omit")
        for seed in range(30):
            if (p.sample(n, rng=seed) > -0.3).sum() > 1:
                est = fs.gradient(f, p, n=n, rng=seed)
                assert np.isfinite(est.flat).all()
                assert np.isfinite(est.grad_stderr["loc"]).all()

    def test_squares_that_overflow(self, p):
        with pytest.raises(ValueError, match="too large"):
            fs.gradient(lambda x: 1e200 * x[:, 0], p, n=100)

    def test_unknown_policy(self):
        with pytest.raises(ValueError, match="'raise', 'propagate', 'omit'"):
            fs.Integrand(weighted, nonfinite="ignore")


class TestDirect:
    """E[theta x] with f depending on theta = loc: d/dloc E = 2 loc."""

    exact = np.array([2.0, 4.0, 6.0])

    def check(self, integrand, theta):
        p = fs.Normal(theta, 0.5)
        est = fs.gradient(integrand, p, args=(theta,), n=200_000, rng=0, wrt="loc")
        z = (est.grad["loc"] - 2 * theta) / est.grad_stderr["loc"]
        assert np.abs(z).max() < 4.5
        return est

    def test_all_kinds_agree(self):
        theta = np.array([1.0, 2.0, 3.0])

        @njit
        def f(x, theta):
            total = 0.0
            for k in range(x.size):
                total += theta[k] * x[k]
            return total

        @njit
        def direct(x, out, theta):
            out[:3] = x
            out[3:] = 0.0

        @njit
        def f_batch(x, out, theta):
            for t in range(x.shape[0]):
                out[t] = f(x[t], theta)

        @njit
        def direct_batch(x, out, theta):
            for t in range(x.shape[0]):
                direct(x[t], out[t], theta)

        def f_numpy(x, theta):
            return x @ theta

        def direct_numpy(x, theta):
            return np.column_stack([x, np.zeros((len(x), 1))])

        estimates = [
            self.check(fs.Integrand(f, direct=direct), theta),
            self.check(fs.Integrand(f_batch, direct=direct_batch), theta),
            self.check(fs.Integrand(f_numpy, direct=direct_numpy), theta),
        ]
        for other in estimates[1:]:
            np.testing.assert_allclose(other.flat, estimates[0].flat, rtol=1e-10)
            np.testing.assert_allclose(
                other.grad_stderr["loc"], estimates[0].grad_stderr["loc"], rtol=1e-8
            )

    def test_wrong_shape(self):
        p = fs.Normal([1.0, 2.0], 1.0)
        with pytest.raises(ValueError, match=r"direct returned shape \(10, 2\)"):
            fs.gradient(fs.Integrand(lambda x: x[:, 0], direct=lambda x: x), p, n=10)

    def test_mixed_kinds(self):
        with pytest.raises(TypeError, match="same kind"):
            fs.Integrand(weighted, direct=lambda x: x)

    def test_not_finite(self):
        p = fs.Normal([1.0], [1.0])
        bad = fs.Integrand(lambda x: x[:, 0], direct=lambda x: np.full((len(x), 2), np.nan))
        what = "direct term, conditional or a control variate is NaN"
        with pytest.raises(ValueError, match=what):
            fs.gradient(bad, p, n=10)
