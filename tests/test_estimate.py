"""The result: shapes, intervals, tables, pictures."""

import numpy as np
import pytest
from scipy import stats

import fastscore as fs


def f(x):
    return (x**2).sum(1)


@pytest.fixture(scope="module")
def estimate():
    return fs.gradient(f, fs.Normal([0.0, 1.0], 0.5), n=10_000, rng=0)


def test_gradients_have_the_shapes_of_their_parameters(estimate):
    assert estimate.grad["loc"].shape == estimate.grad_stderr["loc"].shape == (2,)
    assert estimate.grad["scale"].shape == estimate.variance_ratio["scale"].shape == ()
    assert isinstance(float(estimate.grad["scale"]), float)
    square = fs.gradient(f, fs.Normal(np.zeros((2, 3)), np.ones((2, 3))), n=100, rng=0)
    assert square.grad["loc"].shape == square.grad["scale"].shape == (2, 3)
    assert square.flat.shape == (12,)


def test_flat_is_in_parameter_order(estimate):
    np.testing.assert_array_equal(
        estimate.flat, np.r_[estimate.grad["loc"], estimate.grad["scale"]]
    )
    some = fs.gradient(f, fs.Normal([0.0, 1.0], 0.5), n=10_000, rng=0, wrt=["scale"])
    assert list(some.grad) == ["scale"]
    assert some.flat == [estimate.grad["scale"]]


def test_wrt_keeps_the_order_of_the_family(estimate):
    both = fs.gradient(f, fs.Normal([0.0, 1.0], 0.5), n=10_000, rng=0, wrt=("scale", "loc"))
    np.testing.assert_array_equal(both.flat, estimate.flat)


def test_mappings_are_read_only(estimate):
    with pytest.raises(TypeError):
        estimate.grad["loc"] = 0


def test_intervals_are_of_students_t(estimate):
    low, high = estimate.interval(0.9)["loc"]
    half = stats.t.ppf(0.95, 9999) * estimate.grad_stderr["loc"]
    np.testing.assert_allclose(low, estimate.grad["loc"] - half)
    np.testing.assert_allclose(high, estimate.grad["loc"] + half)
    low, high = estimate.value_interval(0.5)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.75, 9999) * estimate.value_stderr)
    for level in (0, 1, 95, -0.5):
        with pytest.raises(ValueError, match="level="):
            estimate.interval(level)


def test_another_baseline_from_the_same_sums(estimate):
    p = fs.Normal([0.0, 1.0], 0.5)
    for baseline in (None, 2.0, "mean", "scalar", "optimal"):
        again = fs.gradient(f, p, n=10_000, rng=0, baseline=baseline)
        other = estimate.with_baseline(baseline)
        np.testing.assert_array_equal(again.flat, other.flat)
        assert other.baseline == baseline
    with pytest.raises(ValueError, match="baseline="):
        estimate.with_baseline("best")


def test_variance_ratio_is_what_the_baseline_bought(estimate):
    none, best = estimate.with_baseline(None), estimate.with_baseline("optimal")
    np.testing.assert_allclose(
        best.variance_ratio["loc"], (none.grad_stderr["loc"] / best.grad_stderr["loc"]) ** 2
    )
    np.testing.assert_array_equal(none.variance_ratio["loc"], 1)


def test_the_table_can_be_read(estimate):
    text = str(estimate)
    for word in ("loc[0]", "loc[1]", "scale", "standard error", "n = 10,000", "optimal", "seed 0"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "Estimate of Normal" in repr(estimate)


def test_a_long_table_is_cut():
    est = fs.gradient(f, fs.Normal(np.zeros(500), 1.0), n=20, rng=0)
    text = str(est)
    assert len(text.splitlines()) < 40
    assert "477 more" in text
    assert "loc[0]" in text
    assert "scale" in text


def test_the_summary_says_what_to_make_of_it(estimate):
    assert "degrees of freedom" in estimate.summary()
    hurt = fs.gradient(f, fs.Normal([0.0, 1.0], 0.5), n=10_000, rng=0, baseline=100.0)
    assert "raises the variance" in hurt.summary()


def test_the_plot_shows_every_entry(estimate):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = estimate.plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["loc", "scale"]
    assert estimate.plot(ax) is ax
    matplotlib.pyplot.close("all")


def test_seconds_and_counts(estimate):
    assert estimate.n == 10_000
    assert estimate.dof == 9999
    assert estimate.stopped == "n"
    assert estimate.bias == "none"
    assert estimate.nonfinite == 0
    assert 0 < estimate.seconds < 100


def test_progress_is_shown_only_when_asked(capsys):
    p = fs.Normal([0.0], 1.0)
    fs.gradient(f, p, n=1000, rng=0)
    assert capsys.readouterr().out == ""
    est = fs.gradient(f, p, n=1000, rng=0, progress=True)
    assert est.value == fs.gradient(f, p, n=1000, rng=0).value
