"""Sobol' sampling: unbiased, evenly spread, with honest error bars; and what it refuses."""

import numpy as np
import pytest
from numba import njit
from scipy import stats

import fastscore as fs
from fastscore.variance.sampling import Sobol

D = 3
LOC, SCALE = np.array([0.3, -0.2, 0.5]), np.array([1.0, 0.7, 1.3])
P = fs.Normal(LOC, SCALE)


@njit
def quadratic(x):
    return (x**2).sum()


@njit
def wave(x):
    return np.cos(x.sum())


GRAD = np.concatenate([2 * LOC, 2 * SCALE])  # of E[Σ x²]
_E = np.exp(-0.5 * np.sum(SCALE**2))
WAVE = np.concatenate([np.full(D, -np.sin(LOC.sum()) * _E), -np.cos(LOC.sum()) * _E * SCALE])


def runs(f, p, count, **options):
    return [fs.gradient(f, p, rng=seed, sampling="sobol", **options) for seed in range(count)]


def seen(p, replicates=8, points=256):
    """Samples (replicates, points, d) that f gets."""
    got = []

    def f(x):
        got.append(np.array(x))
        return x[:, 0] * 1.0

    fs.gradient(f, p, n=replicates * points, rng=3, sampling=Sobol(replicates))
    return np.concatenate(got).reshape(replicates, points, -1)


@pytest.mark.parametrize(
    ("f", "grad", "baselines"),
    [(quadratic, GRAD, ["optimal", "mean", "scalar", None, 2.0]), (wave, WAVE, ["optimal", None]),
     (wave, WAVE, ["matrix"])],
)  # fmt: skip
def test_unbiased(f, grad, baselines):
    """Of the fewest points there are, 16 in each replicate."""
    estimates = runs(f, P, 1000, n=1)
    for baseline in baselines:
        found = np.array([e.with_baseline(baseline).flat for e in estimates])
        z = (found.mean(axis=0) - grad) / (found.std(axis=0, ddof=1) / np.sqrt(len(found)))
        assert np.abs(z).max() < 4.5


@pytest.mark.parametrize("replicates", [8, 11, 16])
def test_error_bars(replicates):
    """Intervals of Student's t cover as often as they say, and variances are not biased."""
    estimates = [
        fs.gradient(wave, P, rng=seed, sampling=Sobol(replicates), n=replicates * 64)
        for seed in range(1000)
    ]
    assert {e.dof for e in estimates} == {replicates - 1}
    low, high = (np.array([e.interval()["loc"][i] for e in estimates]) for i in (0, 1))
    covered = ((low <= WAVE[:D]) & (high >= WAVE[:D])).mean(axis=0)
    assert np.abs(covered - 0.95).max() < 4.5 * np.sqrt(0.95 * 0.05 / 1000) + 0.01
    found = np.array([e.flat for e in estimates])
    ratio = np.mean([e.flat_stderr**2 for e in estimates], axis=0) / found.var(axis=0, ddof=1)
    assert np.abs(np.log(ratio)).max() < 0.3
    values = np.array([(e.value, e.value_stderr) for e in estimates])
    exact = np.cos(LOC.sum()) * _E
    assert abs(values[:, 0].mean() - exact) < 4.5 * values[:, 0].std() / np.sqrt(1000)
    assert abs(np.mean(values[:, 1] ** 2) / values[:, 0].var(ddof=1) - 1) < 0.3


def test_variance_falls_faster_than_the_number_of_samples_grows():
    few, many = (
        np.mean([e.flat_stderr**2 for e in runs(wave, P, 20, n=16 * points)], axis=0)
        for points in (64, 4096)
    )
    assert np.all(few / many > 4 * 64)
    independent = fs.gradient(wave, P, rng=0, n=16 * 4096).flat_stderr ** 2
    assert np.all(independent / many > 10)


def test_samples_and_words():
    e = fs.gradient(quadratic, P, n=1000, rng=0, sampling="sobol")
    assert (e.n, e.dof, e.bias) == (1024, 15, "none")
    assert fs.gradient(quadratic, P, n=1025, rng=0, sampling=Sobol(32)).n == 2048


def test_replay_gives_the_covariance():
    e = fs.gradient(quadratic, P, n=4096, rng=0, sampling="sobol")
    covariance = e.covariance()
    np.testing.assert_allclose(np.diag(covariance), e.flat_stderr**2, rtol=1e-12)
    found = np.array([own.flat for own in runs(quadratic, P, 1000, n=256, baseline=None)])
    mean = np.mean(
        [own.covariance() for own in runs(quadratic, P, 300, n=256, baseline=None)], axis=0
    )
    scale = np.sqrt(np.outer(*2 * [found.var(axis=0)]))
    assert np.abs((mean - np.cov(found.T)) / scale).max() < 0.3


@pytest.mark.parametrize("f", [quadratic, lambda x: (x**2).sum(axis=1)])
def test_same_bits(f):
    once = fs.gradient(f, P, n=2**17, rng=5, sampling="sobol", threads=1)
    again = fs.gradient(f, P, n=2**17, rng=5, sampling="sobol", threads=2)
    np.testing.assert_array_equal(once.flat, again.flat)
    np.testing.assert_array_equal(once.flat_stderr, again.flat_stderr)


def test_called_from_python_it_is_the_same():
    once = fs.gradient(quadratic, P, n=4096, rng=5, sampling="sobol")
    again = fs.gradient(lambda x: (x**2).sum(axis=1), P, n=4096, rng=5, sampling="sobol")
    np.testing.assert_allclose(once.flat, again.flat, rtol=1e-10)


def test_direct_terms():
    """F is not a multiple of the score: f = Σ x² with loc in f by hand."""

    @njit
    def direct(x, out):
        for k in range(6):
            out[k] = 1.0 if k < 3 else 0.0

    estimates = runs(fs.Integrand(quadratic, direct=direct), P, 1000, n=1)
    for baseline in ("mean", "optimal"):
        found = np.array([e.with_baseline(baseline).flat for e in estimates])
        expected = GRAD + np.repeat([1.0, 0.0], D)
        z = (found.mean(axis=0) - expected) / (found.std(axis=0, ddof=1) / np.sqrt(len(found)))
        assert np.abs(z).max() < 4.5


INVERTED = {
    "Normal": (fs.Normal(LOC, SCALE), lambda x: stats.norm.cdf(x, LOC, SCALE)),
    "LogNormal": (fs.LogNormal(LOC, SCALE), lambda x: stats.norm.cdf(np.log(x), LOC, SCALE)),
    "MultivariateNormal": (
        fs.MultivariateNormal(LOC, np.diag(SCALE**2)),
        lambda x: stats.norm.cdf(x, LOC, SCALE),
    ),
    "Exponential": (fs.Exponential(SCALE), lambda x: stats.expon.cdf(x, scale=1 / SCALE)),
    "Laplace": (fs.Laplace(LOC, SCALE), lambda x: stats.laplace.cdf(x, LOC, SCALE)),
    "Logistic": (fs.Logistic(LOC, SCALE), lambda x: stats.logistic.cdf(x, LOC, SCALE)),
    "Gumbel": (fs.Gumbel(LOC, SCALE), lambda x: stats.gumbel_r.cdf(x, LOC, SCALE)),
    "Cauchy": (fs.Cauchy(LOC, SCALE), lambda x: stats.cauchy.cdf(x, LOC, SCALE)),
    "Weibull": (
        fs.Weibull(SCALE, 1 + SCALE), lambda x: stats.weibull_min.cdf(x, 1 + SCALE, scale=SCALE)
    ),
    "Pareto": (
        fs.Pareto(SCALE, 1 + SCALE), lambda x: stats.pareto.cdf(x, 1 + SCALE, scale=SCALE)
    ),
    "Kumaraswamy": (
        fs.Kumaraswamy(SCALE, 1 + SCALE), lambda x: 1 - (1 - x**SCALE) ** (1 + SCALE)
    ),
    "Transformed": (
        fs.Transformed(fs.Normal(LOC, SCALE), "exp"),
        lambda x: stats.norm.cdf(np.log(x), LOC, SCALE),
    ),
    "Fixed": (
        fs.Fixed(fs.Normal(LOC, SCALE), "scale"), lambda x: stats.norm.cdf(x, LOC, SCALE)
    ),
    "Shared": (
        fs.Shared(fs.Normal(SCALE, SCALE), both=("loc", "scale")),
        lambda x: stats.norm.cdf(x, SCALE, SCALE),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INVERTED)
def test_each_coordinate_of_a_replicate_is_stratified(name):
    p, cdf = INVERTED[name]
    for x in seen(p):
        strata = np.floor(cdf(x) * len(x)).astype(int)
        np.testing.assert_array_equal(
            np.sort(strata, axis=0), np.arange(len(x))[:, None].repeat(D, axis=1)
        )


def test_half_normal():
    """Of |z| two points share an interval."""
    for x in seen(fs.HalfNormal(SCALE)):
        counts = np.floor(stats.halfnorm.cdf(x, scale=SCALE) * len(x) / 2).astype(int)
        for column in counts.T:
            np.testing.assert_array_equal(np.bincount(column, minlength=len(x) // 2), 2)


def test_low_rank():
    """Words of the common normals come first, and all are used up."""
    p = fs.LowRankMultivariateNormal(LOC, np.ones((3, 2)), SCALE)
    found = np.array([e.flat for e in runs(quadratic, p, 1000, n=1, baseline="mean")])
    exact = fs.gradient(quadratic, p, n=2**20, rng=0)
    z = (found.mean(axis=0) - exact.flat) / np.hypot(
        found.std(axis=0, ddof=1) / np.sqrt(len(found)), exact.flat_stderr
    )
    assert np.abs(z).max() < 4.5
    many = fs.gradient(quadratic, p, n=2**16, rng=0, sampling="sobol")
    assert np.all(many.flat_stderr < exact.flat_stderr * 4)


@pytest.mark.parametrize(
    ("p", "mean"),
    [(fs.Bernoulli([0.3, 1e-3, 0.75]), [0.3, 1e-3, 0.75]),
     (fs.Geometric([0.3, 0.5, 0.9]), None)],
)  # fmt: skip
def test_discrete(p, mean):
    for x in seen(p):
        first = (x == 1).mean(axis=0) if mean else (x == 0).mean(axis=0)
        expected = mean or [0.3, 0.5, 0.9]
        assert np.all(np.abs(first - expected) < 1 / len(x) + 1e-12)


def test_joint_gives_each_part_coordinates_of_its_own():
    p = fs.Joint(a=fs.Exponential(SCALE), b=fs.Bernoulli([0.5]), c=fs.Normal(LOC, SCALE))

    @njit
    def f(x):
        return x.a.sum() + x.b[0] * x.c[1]

    e = fs.gradient(f, p, n=2**14, rng=0, sampling="sobol")
    iid = fs.gradient(f, p, n=2**14, rng=0)
    np.testing.assert_allclose(e.grad["a.rate"], -1 / SCALE**2, rtol=0.05)
    assert np.median(iid.flat_stderr / e.flat_stderr) > 3


@pytest.mark.parametrize(
    "p",
    [fs.Gamma(SCALE, SCALE), fs.Poisson(SCALE), fs.StudentT(5.0, 0.0, 1.0),
     fs.Categorical([0.2, 0.8]), fs.Joint(a=fs.Normal(0.0, 1.0), b=fs.Gamma(1.0, 1.0)),
     fs.Mixture([fs.Normal(0.0, 1.0), fs.Normal(1.0, 1.0)], [0.5, 0.5])],
    ids=lambda p: type(p).__name__,
)  # fmt: skip
def test_other_samplers_are_refused(p):
    with pytest.raises(ValueError, match=rf"sampling='sobol'.*{type(p).__name__}"):
        fs.gradient(lambda x: np.ones(len(x[0] if isinstance(x, tuple) else x)), p,
                    sampling="sobol")  # fmt: skip


def test_what_else_is_refused():
    with pytest.raises(ValueError, match=r"nonfinite='omit'.*sobol"):
        fs.gradient(fs.Integrand(quadratic, nonfinite="omit"), P, sampling="sobol")
    with pytest.raises(ValueError, match=r"21202 coordinates.* 21201 at most"):
        fs.gradient(quadratic, fs.Normal(np.zeros(21202), 1.0), sampling="sobol", n=1)
    with pytest.raises(ValueError, match="replicates=4"):
        Sobol(4)


def test_a_failure_names_its_sample():
    bad = seen(P, 8, 64)[3, 5]

    @njit
    def f(x, at):
        return np.nan if abs(x[0] - at) < 1e-12 else x[0]

    with pytest.raises(ValueError, match=r"sample \d+, x = ") as raised:
        fs.gradient(f, P, args=(bad[0],), n=512, rng=3, sampling=Sobol(8))
    assert f"{bad[0]:.4g}"[:5] in str(raised.value)


def test_summary_says_that_replicates_are_far_from_normal():
    est = fs.gradient(lambda x: x[:, 0] ** 2, fs.Normal(0.0, 1.0), n=256, rng=0, sampling="sobol")
    assert "Errors of 16 scrambled replicates are far from normal" in est.summary()
