"""``fs.compare`` and ``estimator="auto"``: winners that are known, and what the pilot may cost."""

from __future__ import annotations

import warnings

import matplotlib
import numpy as np
import pytest
from cases import z_of_mean
from numba import config

import fastscore as fs
from fastscore.choice import agreement, auto
from fastscore.choice.combinations import Combination
from fastscore.choice.pilot import Pilot, Record

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch):
    """Let no busy machine end a pilot: samples alone limit it."""
    monkeypatch.setattr(auto, "_FLOOR", 60.0)


LIMIT = 4.5
N = 200_000
NORMAL = fs.Normal([0.5], [1.0])


def square(x):
    return (x[:, 0] - 1.0) ** 2 + 0.3 * x[:, 0]


def slope(x):
    return 2 * (x - 1.0) + 0.3


def growth(x):
    return np.exp(0.2 * x.sum(axis=1))


def growth_slopes(x):
    return np.repeat(0.2 * growth(x)[:, None], x.shape[1], axis=1)


def digital(x):
    return (x[:, 0] > 0.3).astype(float)


def rare(x):
    return (x[:, 0] > 4.4).astype(float)


def flat(x):
    return np.zeros_like(x)


SMOOTH = fs.Integrand(square, derivative=slope)


def test_exact_wins_where_outcomes_are_few():
    p = fs.Categorical(logits=[0.5, 2.0, -1.0])
    estimate = fs.gradient(square, p, n=N, rng=1, estimator="auto")
    assert estimate.exact
    assert estimate.options == {"estimator": "exact"}
    np.testing.assert_array_equal(estimate.flat, fs.gradient(square, p, estimator="exact").flat)
    assert "chosen by 'auto'" in str(estimate)


def test_no_more_outcomes_than_samples_are_summed():
    p = fs.Bernoulli(np.full(12, 0.5))
    assert not fs.gradient(square, p, n=4000, rng=1, estimator="auto").exact


def test_pathwise_wins_for_a_smooth_f():
    """Of more coordinates than `DeltaMethod` is offered for."""
    p = fs.Normal(np.zeros(10), np.ones(10))
    f = fs.Integrand(growth, derivative=growth_slopes)
    estimate = fs.gradient(f, p, wrt="loc", n=N, rng=1, estimator="auto")
    assert estimate.options["estimator"] == "pathwise"
    score = fs.gradient(growth, p, wrt="loc", n=N, rng=1)
    assert np.sum(estimate.flat_stderr**2) < 0.1 * np.sum(score.flat_stderr**2)
    assert np.all(np.abs(estimate.flat - 0.2 * np.exp(0.2)) < LIMIT * estimate.flat_stderr)


def test_a_digital_payoff_drops_pathwise():
    f = fs.Integrand(digital, derivative=flat)
    with pytest.warns(RuntimeWarning, match=r"'pathwise'.*it is 0 ± 0, and the score estimate is"):
        estimate = fs.gradient(f, NORMAL, n=N, rng=1, estimator="auto")
    assert "estimator" not in estimate.options
    truth = np.exp(-0.02) / np.sqrt(2 * np.pi) * np.array([1.0, -0.2])
    assert np.all(np.abs(estimate.flat - truth) < LIMIT * estimate.flat_stderr)


def test_rare_events_leave_the_default():
    """Where the pilot saw none, all estimates seem without variance."""
    f = fs.Integrand(rare, derivative=flat)
    for seed in range(20):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            estimate = fs.gradient(f, NORMAL, n=N, rng=seed, estimator="auto")
        assert estimate.options == {"n": N, "rng": seed}


def test_what_cancels_wins_for_an_even_f():
    """Of Student's t there are neither Sobol' points nor orthogonal sets; by loc ``f s`` is odd."""
    p = fs.StudentT(10.0, [0.0], [1.0])
    estimate = fs.gradient(lambda x: np.abs(x[:, 0]), p, wrt="loc", n=N, rng=1, estimator="auto")
    options = estimate.options
    assert "antithetic" in options.values() or options["estimator"] == "measure"
    assert estimate.flat_stderr[0] == pytest.approx(0, abs=1e-12)


def test_options_repeat_the_run():
    for f in (SMOOTH, square):
        estimate = fs.gradient(f, NORMAL, n=N, rng=7, estimator="auto")
        again = fs.gradient(f, NORMAL, **estimate.options)
        np.testing.assert_array_equal(again.flat, estimate.flat)
        np.testing.assert_array_equal(again.flat_stderr, estimate.flat_stderr)
        assert again.options is None
        assert 0 < estimate.pilot_seconds < estimate.seconds


@pytest.mark.parametrize(
    "given",
    [
        {"sampling": "antithetic"}, {"baseline": 0.7}, {"baseline": None, "sampling": "sobol"},
        {"control_variates": (lambda x: x[:, 0], 0.5)},
    ],
)  # fmt: skip
def test_what_is_given_stays(given):
    estimate = fs.gradient(square, NORMAL, n=N, rng=1, estimator="auto", **given)
    assert {name: estimate.options[name] for name in given} == given


def test_few_samples_leave_the_default():
    estimate = fs.gradient(SMOOTH, NORMAL, n=1000, rng=1, estimator="auto")
    assert estimate.options == {"n": 1000, "rng": 1}


def test_auto_is_unbiased(monkeypatch):
    """Selection is by other samples than those of the estimate, however noisy it is."""
    monkeypatch.setattr(auto, "_LEAST", 64)
    many, chosen = [], set()
    for seed in range(1000):
        estimate = fs.gradient(digital, NORMAL, n=20_000, rng=seed, estimator="auto")
        many.append(estimate.flat)
        chosen.add(str(estimate.options.get("sampling")))
    truth = np.exp(-0.02) / np.sqrt(2 * np.pi) * np.array([1.0, -0.2])
    assert np.abs(z_of_mean(np.array(many), truth)).max() < LIMIT
    assert len(chosen) > 1


def test_the_pilot_takes_its_part_of_the_samples():
    """Of a slow f, by its clock, too; here f counts."""
    calls = 0

    def counted(x):
        nonlocal calls
        calls += len(x)
        return square(x)

    for n in (20_000, 200_000):
        calls = 0
        estimate = fs.gradient(counted, NORMAL, n=n, rng=1, estimator="auto")
        pilot = calls - estimate.n
        assert 0 < pilot <= 0.08 * n + 1000  # and those that choose a reference value


def test_a_race_ends_with_its_time(monkeypatch):
    """Of a slow f each run counts by what its samples take, and none is begun that is too long."""
    monkeypatch.setattr(auto, "_FLOOR", 1e-3)
    pilot = Pilot(square, NORMAL, 1, threads=1, args=(), wrt=None)
    race = auto.Race(
        pilot, auto.competitors(fs.Integrand(square), NORMAL, (), Combination(), N), N, 1
    )
    race.default = pilot.add(Combination())
    pilot.run(race.default, 512)
    race.default.seconds = [1e-3]
    race.part_seconds = 0.06 * N * 1e-3
    assert race._afford([Combination(sampling="sobol")], 8000)
    assert not race._afford([Combination(sampling="sobol")] * 2, 7000)
    assert not race._afford([Combination(estimator="pathwise")] * 2, 3500)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proposals": fs.Normal([0.0], [2.0])}, "proposals=.*estimator='auto'"),
        ({"n": 0}, "n=0 is not positive"),
        ({"baseline": "best"}, "baseline='best'"),
        ({"sampling": "best"}, "sampling='best'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        fs.gradient(square, NORMAL, estimator="auto", **options)


def test_shaping_has_nothing_to_compare():
    f = fs.Integrand(square, shaping="nes")
    for call in (fs.compare, lambda *a: fs.gradient(*a, estimator="auto")):
        with pytest.raises(ValueError, match=r"shaping='nes'.*nothing to compare"):
            call(f, NORMAL)


def test_errors_of_f_come_up():
    with pytest.raises(ValueError, match="f is NaN or infinite"):
        fs.gradient(lambda x: np.log(x[:, 0]) * np.nan, NORMAL, n=N, rng=1, estimator="auto")


# --- the comparison ---


@pytest.fixture(scope="module")
def smooth():
    return fs.compare(SMOOTH, NORMAL, n=20_000, rng=1, control_variates=(lambda x: x[:, 0], 0.5))


def test_rows(smooth):
    rows = {row.combination: row for row in smooth.rows}
    default = rows["score, iid, baseline 'optimal'"]
    assert (default.variance_ratio, default.seconds_ratio, default.gain) == (1, 1, 1)
    assert not default.options
    assert [row.gain for row in smooth.rows] == sorted((r.gain for r in smooth.rows), reverse=True)
    assert any("pathwise" in name for name in rows)
    assert any("controls" in name for name in rows)
    for name in ("mean", "scalar"):
        assert rows[f"score, iid, baseline '{name}'"].seconds_ratio == 1
    assert smooth.options == smooth.best.options


def test_variances_are_those_of_long_runs(smooth):
    """Their ratio, within its error."""
    row = next(r for r in smooth.rows if r.combination.startswith("pathwise, iid"))
    assert row.options["estimator"] == "pathwise"
    one, other = (
        fs.gradient(SMOOTH, NORMAL, n=10**6, rng=2, **options) for options in (row.options, {})
    )
    ratio = np.sum(one.flat_stderr**2) / np.sum(other.flat_stderr**2)
    assert abs(row.variance_ratio / ratio - 1) < LIMIT * row.variance_error


def test_table_and_picture(smooth):
    text = str(smooth)
    assert f"Best: {smooth.best.combination}" in text
    assert "Not exact, Enumerate, WithoutReplacement: p is not discrete." in text
    assert "gain" in repr(smooth)
    matplotlib.use("agg")
    ax = smooth.plot()
    assert len(ax.get_yticks()) == len(smooth.rows)


def test_best_is_exact_where_outcomes_are_few():
    p = fs.Categorical(logits=[0.5, 2.0, -1.0])
    found = fs.compare(square, p, n=2000, rng=1)
    assert found.options == {"estimator": "exact"}
    assert found.best.gain == np.inf
    assert "∞" in str(found)
    assert fs.gradient(square, p, **found.options).exact
    found.plot()


def test_comparison_leaves_out_a_wrong_derivative():
    found = fs.compare(fs.Integrand(digital, derivative=flat), NORMAL, n=20_000, rng=1)
    assert not any("pathwise" in row.combination for row in found.rows)
    assert "disagrees with the score estimate: it is 0 ± 0" in str(found)


@pytest.mark.parametrize("f", [rare, lambda x: np.full(len(x), 3.0)])
def test_default_where_nothing_is_known(f):
    found = fs.compare(f, NORMAL, n=1000, rng=1)
    assert found.best.combination == "score, iid, baseline 'optimal'"
    assert found.options == {}


def test_one_seed_gives_the_same_variances():
    first, second = (fs.compare(square, NORMAL, n=2000, rng=3) for _ in range(2))
    assert {r.combination: r.variance_ratio for r in first.rows} == {
        r.combination: r.variance_ratio for r in second.rows
    }


# --- pathwise against the score ---


def record(grad, stderr, n=1000):
    made = Record(Combination())

    class Fake:
        flat, flat_stderr, flat_stderr_error = (np.array(v, float) for v in (grad, stderr, stderr))
        dof = n - 1

    Fake.n = n
    made.add(Fake, 1e-9)
    return made


@pytest.mark.parametrize(
    ("pathwise", "score", "agree", "clear"),
    [
        (([0.0], [0.0]), ([0.4], [0.01]), False, True),
        (([0.0], [0.0]), ([0.4], [0.4]), True, False),
        (([1.0, 2.0], [0.01, 0.01]), ([1.02, 1.99], [0.02, 0.02]), True, True),
        (([1.0, 2.0], [0.0, 0.0]), ([1.0, 2.0], [0.0, 0.0]), True, True),
        (([1.0, 2.0], [0.0, 0.0]), ([1.0, 2.0 + 1e-6], [0.0, 0.0]), False, True),
        (([0.0, 0.0], [1e-3, 1e-3]), ([0.0, 0.0], [1e-2, 1e-2]), True, False),
    ],
)
def test_agreement(pathwise, score, agree, clear):
    verdict = agreement.compare(record(*pathwise), [record(*score)])
    assert (verdict.agree, verdict.clear) == (agree, clear)


def test_agreement_weighs_by_precision():
    scores = [record([0.4], [0.5]), record([1.0], [0.01])]
    assert agreement.compare(record([1.0], [0.0]), scores).clear
    assert not agreement.compare(record([0.4], [0.0]), scores).agree
