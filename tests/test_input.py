"""Bad input never gives a silent number: an error that names the argument and quotes it."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastscore as fs

bad_floats = st.sampled_from([np.nan, np.inf, -np.inf])
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple)
P = fs.Normal([0.0, 1.0], 1.0)


def f(x):
    return x[:, 0]


class TestNormal:
    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.data())
    @settings(max_examples=50, deadline=None)
    def test_non_finite_parameters(self, loc, data):
        i = data.draw(st.integers(0, len(loc) - 1))
        loc[i] = data.draw(bad_floats)
        with pytest.raises(ValueError, match=rf"loc\[{i}\] = .*finite"):
            fs.Normal(loc, 1.0)

    @given(st.floats(max_value=0.0, allow_infinity=False))
    @settings(max_examples=30, deadline=None)
    def test_scale_must_be_positive(self, scale):
        with pytest.raises(ValueError, match=r"scale\[1\] = .*positive"):
            fs.Normal([0.0, 0.0], [1.0, scale])

    @given(shapes, shapes)
    @settings(max_examples=50, deadline=None)
    def test_shapes_must_match(self, one, other):
        if one == other:
            assert fs.Normal(np.zeros(one), np.ones(other)).d == np.prod(one)
        else:
            message = re.escape(f"loc has shape {one}, scale has shape {other}")
            with pytest.raises(ValueError, match=message):
                fs.Normal(np.zeros(one), np.ones(other))

    @pytest.mark.parametrize("empty", [[], np.zeros((0,)), np.zeros((3, 0))])
    def test_empty(self, empty):
        with pytest.raises(ValueError, match="loc has shape"):
            fs.Normal(empty, 1.0)

    @pytest.mark.parametrize("loc", ["a", None, [1, "b"], {"a": 1}, 1j, [[1, 2], [3]]])
    def test_no_numbers(self, loc):
        with pytest.raises(TypeError, match="loc"):
            fs.Normal(loc, 1.0)

    def test_one_of_scale_and_log_scale(self):
        for kwargs in ({}, {"scale": 1.0, "log_scale": 0.0}):
            with pytest.raises(TypeError, match="exactly one"):
                fs.Normal(0.0, **kwargs)
        with pytest.raises(ValueError, match="log_scale = 800"):
            fs.Normal(0.0, log_scale=800.0)

    def test_scales_that_float64_cannot_resolve(self):
        fs.Normal(1e8, 1e-3)
        with pytest.raises(ValueError, match="cannot resolve"):
            fs.Normal([0.0, 1e8], 1e-6)

    @pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, bool])
    def test_other_types_are_converted(self, dtype):
        loc = np.array([0, 1], dtype=dtype)
        p = fs.Normal(loc, 1)
        assert p.parameters["loc"].dtype == np.float64
        assert fs.gradient(f, p, n=10, rng=0).value == fs.gradient(f, P, n=10, rng=0).value

    def test_parameters_are_copies_that_cannot_be_written_to(self):
        loc = np.zeros(2)
        p = fs.Normal(loc, 1.0)
        loc[0] = 5
        assert p.parameters["loc"][0] == 0
        with pytest.raises(ValueError, match="read-only"):
            p.parameters["loc"][0] = 1
        with pytest.raises(TypeError):
            p.parameters["loc"] = 1

    def test_replace(self):
        q = P.replace(scale=[1.0, 2.0])
        assert q.parameters["scale"].shape == (2,)
        assert q.parameters["loc"].shape == (2,)
        with pytest.raises(ValueError, match=r"'rate'.*loc, scale"):
            P.replace(rate=1.0)

    @pytest.mark.parametrize("x", [np.zeros(2), np.zeros((3, 1)), np.zeros((1, 2, 1))])
    def test_samples_of_another_shape(self, x):
        for method in (P.score, P.log_prob):
            with pytest.raises(ValueError, match=r"shape \(n, 2\)"):
                method(x)

    def test_repr_is_short(self):
        assert len(repr(fs.Normal(np.zeros(1000), 1.0))) < 120


class TestGradient:
    @given(st.one_of(st.integers(max_value=0), st.floats(), st.text(), st.booleans()))
    @settings(max_examples=60, deadline=None)
    def test_n(self, n):
        with pytest.raises((TypeError, ValueError), match="n="):
            fs.gradient(f, P, n=n)
        with pytest.raises((TypeError, ValueError), match="n="):
            P.sample(n)

    @given(st.one_of(st.integers(max_value=0), st.floats(), st.text()))
    @settings(max_examples=30, deadline=None)
    def test_threads(self, threads):
        with pytest.raises((TypeError, ValueError), match="threads="):
            fs.gradient(f, P, n=10, threads=threads)

    @given(st.one_of(st.text(), bad_floats, st.booleans(), st.lists(st.integers())))
    @settings(max_examples=60, deadline=None)
    def test_baseline(self, baseline):
        with pytest.raises(ValueError, match=r"'mean', 'scalar', 'optimal'|finite"):
            fs.gradient(f, P, n=10, baseline=baseline)

    @given(st.one_of(st.text(), st.lists(st.text(), min_size=1)))
    @settings(max_examples=30, deadline=None)
    def test_wrt(self, wrt):
        with pytest.raises(ValueError, match="choose one of 'loc', 'scale'"):
            fs.gradient(f, P, n=10, wrt=wrt)

    def test_empty_or_wrong_wrt(self):
        with pytest.raises(ValueError, match="wrt is empty"):
            fs.gradient(f, P, n=10, wrt=[])
        with pytest.raises(TypeError, match="wrt=3"):
            fs.gradient(f, P, n=10, wrt=3)

    @pytest.mark.parametrize("rng", ["a", -1, 1.5])
    def test_rng(self, rng):
        with pytest.raises((TypeError, ValueError), match="rng="):
            fs.gradient(f, P, n=10, rng=rng)

    def test_n_of_any_integer_type(self):
        assert fs.gradient(f, P, n=np.int32(10), rng=np.uint8(3)).n == 10

    def test_one_sample_warns(self):
        with pytest.warns(RuntimeWarning, match="n=1"):
            est = fs.gradient(f, P, n=1, rng=0)
        assert np.isnan(est.value_stderr)
        assert np.isnan(est.grad_stderr["loc"]).all()
        assert np.isfinite(est.flat).all()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            str(est)
            est.summary()
            assert np.isnan(est.value_interval()).all()

    def test_options_go_by_keyword(self):
        with pytest.raises(TypeError):
            fs.gradient(f, P, 1000)

    @given(
        st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=3),
        st.floats(1e-3, 1e3),
        st.integers(2, 60),
        st.sampled_from([None, 1.5, "mean", "scalar", "optimal"]),
    )
    @settings(max_examples=60, deadline=None)
    def test_good_input_gives_finite_numbers(self, loc, scale, n, baseline):
        est = fs.gradient(f, fs.Normal(loc, scale), n=n, rng=0, baseline=baseline)
        numbers = [est.value, est.value_stderr, *est.flat]
        numbers += [np.ravel(s) for s in est.grad_stderr.values()]
        assert np.isfinite(np.concatenate([np.ravel(x) for x in numbers])).all()
