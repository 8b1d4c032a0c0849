"""fs.gradient against plain NumPy on the very samples that it uses."""

from __future__ import annotations

import math
from itertools import islice

import naive
import numpy as np
import pytest
from numba import config, njit

import fastscore as fs
from fastscore.engine import streams
from fastscore.engine.memory import pointer
from fastscore.engine.tiles import tiling

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

SIZES = (1, 2, 3, 5, 8, 13, 1000, 20_000)
BASELINES = (None, 0.7, "mean", "scalar", "optimal")
TOLERANCE = 1e-11
#: Of sums of squares which cancel in a variance.
SQUARES = 1e-13


# --- integrands: one function as three kinds, one with arguments, one that depends on θ ---


@njit
def smooth(x):
    total = 2.0
    for k in range(x.size):
        total += x[k] * x[k] / (k + 1) + math.cos(x[k] + k)
    return total


@njit
def smooth_batch(batch, out):
    for i in range(batch.shape[0]):
        out[i] = 2.0
        for k in range(batch.shape[1]):
            out[i] += batch[i, k] * batch[i, k] / (k + 1) + math.cos(batch[i, k] + k)


def smooth_numpy(x):
    k = np.arange(x.shape[1])
    return 2.0 + np.sum(x**2 / (k + 1) + np.cos(x + k), axis=1)


@njit
def weighted(x, weights, shift):
    total = shift
    for k in range(x.size):
        total += weights[k] * x[k]
    return math.exp(-0.1 * total * total)


@njit
def model(x, loc):
    """``Σ (x − 2 loc)²``: through loc, a function of the parameters too."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - 2 * loc[k]) ** 2
    return total


@njit
def model_direct(x, out, loc):
    for k in range(x.size):
        out[k] = -4 * (x[k] - 2 * loc[k])
        out[x.size + k] = 0.0


@njit
def model_batch(batch, out, loc):
    for i in range(batch.shape[0]):
        out[i] = model(batch[i], loc)


@njit
def model_direct_batch(batch, out, loc):
    for i in range(batch.shape[0]):
        model_direct(batch[i], out[i], loc)


def model_numpy(x, loc):
    return np.sum((x - 2 * loc) ** 2, axis=1)


def model_direct_numpy(x, loc):
    return np.concatenate([-4 * (x - 2 * loc), np.zeros_like(x)], axis=1)


@njit
def holed(x):
    """Not finite at about a quarter of the samples."""
    if x[0] > 1.0:
        return math.nan
    if x[0] < -0.5:
        return -math.inf
    return x[0] * x[0] + x[x.size - 1]


def holed_numpy(x):
    f = x[:, 0] ** 2 + x[:, -1]
    return np.where(x[:, 0] > 1, np.nan, np.where(x[:, 0] < -0.5, -np.inf, f))


@njit
def steep(x, loc):
    return (x[0] - loc + 3.0) ** 2


KINDS = {"sample": smooth, "batch": smooth_batch, "numpy": smooth_numpy}


# --- the comparison ---


def loc_scale(d):
    k = np.arange(d)
    return 0.3 + 0.5 * np.sin(k), 0.8 + 0.4 * np.cos(k)


def normal(d):
    return fs.Normal(*loc_scale(d))


def labels(n, d):
    """Fold of each sample: blocks of samples deal themselves round the folds."""
    cut = tiling(n, d)
    return np.arange(n) // cut.block % cut.folds


def score_of(p, x):
    """Score of a Normal from its parameters; a shared one sums over its coordinates."""
    by_log = "log_scale" in p.parameters
    loc, scale = np.broadcast_arrays(*p.parameters.values())
    loc, scale = loc.ravel(), np.exp(scale.ravel()) if by_log else scale.ravel()
    columns = np.split(naive.normal_score(x, loc, scale, by_log), 2, axis=1)
    return np.concatenate(
        [
            s.sum(axis=1, keepdims=True) if value.ndim == 0 else s
            for s, value in zip(columns, p.parameters.values(), strict=True)
        ],
        axis=1,
    )


def flat(by_name):
    return np.concatenate([np.ravel(value) for value in by_name.values()])


def run(f, p, n, **options):
    if n > 1:
        return fs.gradient(f, p, n=n, **options)
    with pytest.warns(RuntimeWarning, match="one sample"):
        return fs.gradient(f, p, n=n, **options)


def assert_agrees(actual, expected, f, s):
    """To `TOLERANCE` of what is summed: an entry may cancel to 0, and so may a variance.

    A variance comes from sums of squares, which leave it an error of a few roundings of these.
    """
    n, one = len(f), np.sqrt(np.mean(f**2))
    size = one * np.sqrt(np.mean(s**2, axis=0))
    assert abs(actual.value - expected.value) <= TOLERANCE * one
    assert np.all(np.abs(actual.flat - expected.grad) <= TOLERANCE * size)
    if n == 1:
        assert math.isnan(actual.value_stderr)
        assert np.isnan(flat(actual.grad_stderr)).all()
        assert np.isnan(flat(actual.variance_ratio)).all()
        return
    cancelled = SQUARES * one**2 / (n - 1)
    expected_variance = expected.value_stderr**2
    assert abs(actual.value_stderr**2 - expected_variance) <= (
        TOLERANCE * expected_variance + cancelled
    )
    variance, expected_variance = flat(actual.grad_stderr) ** 2, expected.stderr**2
    cancelled = SQUARES * size**2 / (n - 1)
    error = TOLERANCE * expected_variance + cancelled
    assert np.all(np.abs(variance - expected_variance) <= error)
    ratio, expected_ratio = flat(actual.variance_ratio), expected.variance_ratio
    error = 2 * TOLERANCE + cancelled * (1 + expected_ratio) / expected_variance
    assert np.all(np.abs(ratio / expected_ratio - 1) <= error)


def check(f, p, n, values, *, seed, baselines=BASELINES, direct=None, wrt=None, **options):
    """Every baseline of one run; ``values`` and ``direct`` are NumPy twins of f's."""
    x = p.sample(n, rng=seed)
    f_x, s, folds = values(x), score_of(p, x), labels(n, p.d)
    d_x = None if direct is None else direct(x)
    if wrt is not None:
        sizes = [value.size for value in p.parameters.values()]
        names = np.repeat(list(p.parameters), sizes)
        s = s[:, np.isin(names, wrt)]
    finite = np.isfinite(f_x)
    f_x, s, folds = f_x[finite], s[finite], folds[finite]
    d_x = None if d_x is None else d_x[finite]
    for baseline in baselines:
        actual = run(f, p, n, rng=seed, baseline=baseline, wrt=wrt, **options)
        assert actual.n == finite.sum()
        assert actual.nonfinite == n - finite.sum()
        F = f_x if direct is None else np.abs(f_x) + np.abs(d_x).max()
        assert_agrees(actual, naive.estimate(f_x, s, folds, baseline, d_x), F, s)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    ("d", "kind"), [(1, "sample"), (3, "batch"), (3, "numpy"), (50, "sample"), (50, "batch")]
)
def test_every_baseline_at_every_size(n, d, kind):
    check(KINDS[kind], normal(d), n, smooth_numpy, seed=100 * n + d)


PARAMETRISATIONS = {
    "log scale": lambda: fs.Normal(loc_scale(3)[0], log_scale=np.log(loc_scale(3)[1])),
    "shared scale": lambda: fs.Normal(loc_scale(3)[0], 1.3),
    "shared loc": lambda: fs.Normal(0.4, loc_scale(3)[1]),
    "shared loc, log scale": lambda: fs.Normal(0.4, log_scale=np.log(loc_scale(3)[1])),
    "one number each": lambda: fs.Normal(0.4, 0.9),
    "matrix": lambda: fs.Normal(np.array([[0.1, -0.7, 1.0]]), np.array([[0.5, 1.0, 2.0]])),
    "shared log scale": lambda: fs.Normal(loc_scale(3)[0], log_scale=-0.2),
}


@pytest.mark.parametrize("wrt", [None, "loc", "scale"])
@pytest.mark.parametrize("name", PARAMETRISATIONS)
def test_parametrisations(name, wrt):
    p = PARAMETRISATIONS[name]()
    if wrt == "scale":
        wrt = list(p.parameters)[1]
    for n in (2, 13, 1000):
        check(smooth, p, n, smooth_numpy, seed=n, wrt=wrt)


@pytest.mark.parametrize("n", [13, 20_000])
def test_arguments(n):
    weights = np.array([0.5, -1.0, 2.0])

    def values(x):
        return np.exp(-0.1 * (x @ weights + 0.25) ** 2)

    check(weighted, normal(3), n, values, seed=5, args=(weights, 0.25))


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13, 1000, 20_000])
@pytest.mark.parametrize("kind", ["sample", "batch", "numpy"])
def test_direct_term(n, kind):
    f, direct = {
        "sample": (model, model_direct),
        "batch": (model_batch, model_direct_batch),
        "numpy": (model_numpy, model_direct_numpy),
    }[kind]
    p = normal(3)
    loc = np.array(p.parameters["loc"])
    check(
        fs.Integrand(f, direct=direct), p, n, lambda x: model_numpy(x, loc), seed=n,
        direct=lambda x: model_direct_numpy(x, loc), args=(loc,),
    )  # fmt: skip


@pytest.mark.parametrize("n", [5, 8, 13, 25, 1000, 20_000])
@pytest.mark.parametrize("kind", ["sample", "numpy"])
@pytest.mark.parametrize("d", [1, 3])
def test_omitted_samples(n, kind, d):
    f = fs.Integrand(holed if kind == "sample" else holed_numpy, nonfinite="omit")
    check(f, normal(d), n, holed_numpy, seed=n)


def test_folds_emptied_by_omission():
    """Down to two finite samples of four."""
    p, f = normal(3), fs.Integrand(holed, nonfinite="omit")
    left = set()
    for seed in range(40):
        finite = np.isfinite(holed_numpy(p.sample(4, rng=seed))).sum()
        if finite > 1:
            check(f, p, 4, holed_numpy, seed=seed)
            left.add(int(finite))
    assert left == {2, 3, 4}


def test_omission_of_all_samples_but_one():
    """No baseline, no standard error, and a warning, as with n = 1."""
    p, n = normal(3), 4
    seed = next(s for s in range(99) if np.isfinite(holed_numpy(p.sample(n, rng=s))).sum() == 1)
    x = p.sample(n, rng=seed)
    f_x, s = holed_numpy(x), score_of(p, x)
    finite = np.isfinite(f_x)
    with pytest.warns(RuntimeWarning, match="one sample"):
        actual = fs.gradient(fs.Integrand(holed, nonfinite="omit"), p, n=n, rng=seed)
    expected = naive.estimate(f_x[finite], s[finite], labels(n, 3)[finite], "optimal")
    assert_agrees(actual, expected, f_x[finite], s[finite])


def test_with_baseline_is_a_run_with_that_baseline():
    first = fs.gradient(smooth, normal(3), n=1000, rng=3, baseline=None)
    for baseline in BASELINES:
        again = fs.gradient(smooth, normal(3), n=1000, rng=3, baseline=baseline)
        derived = first.with_baseline(baseline)
        np.testing.assert_array_equal(derived.flat, again.flat)
        np.testing.assert_array_equal(flat(derived.grad_stderr), flat(again.grad_stderr))
        np.testing.assert_array_equal(flat(derived.variance_ratio), flat(again.variance_ratio))


@pytest.mark.parametrize("loc", [1e6, -1e8])
@pytest.mark.parametrize("n", [2, 1000])
def test_loc_far_from_zero(loc, n):
    check(
        steep, fs.Normal([loc], [1.0]), n, lambda x: (x[:, 0] - loc + 3.0) ** 2, seed=n, args=(loc,)
    )


# --- folds ---


@pytest.mark.parametrize("d", [1, 2, 3, 48, 49, 1000])
def test_folds_are_few_full_and_balanced(d):
    for n in [*range(1, 60), 99, 100, 101, 1000, 4097, 20_000, 1_000_003]:
        cut = tiling(n, d)
        sizes = np.bincount(labels(n, d), minlength=cut.folds)
        assert len(sizes) == cut.folds == min(10, n)
        assert sizes.min() > 0
        assert sizes.sum() == n
        assert sum(cut.rows_of(block) for block in range(cut.blocks)) == n


# --- families: scores, densities ---


@pytest.mark.parametrize("name", PARAMETRISATIONS)
def test_score_and_density(name):
    p = PARAMETRISATIONS[name]()
    x = 3 * np.random.default_rng(1).standard_normal((5000, p.d))
    loc, scale = (np.ravel(v) for v in np.broadcast_arrays(*p.parameters.values()))
    scale = np.exp(scale) if "log_scale" in p.parameters else scale
    np.testing.assert_allclose(p.score(x), score_of(p, x), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(p.log_prob(x), naive.normal_log_prob(x, loc, scale), rtol=1e-13)


# --- random streams ---


@njit(error_model="numpy")
def stream_words(key, block, state, out):
    streams.seed_stream(pointer(state), key[0], key[1], block)
    first = state.copy()
    streams.fill_words(pointer(state), pointer(out), out.size)
    return first


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**127 + 3])
@pytest.mark.parametrize("block", [-1, 0, 1, 123_456_789_012])
def test_streams_word_for_word(seed, block):
    out = np.empty(64, np.uint64)
    state = stream_words(streams.key_of(seed), block, np.empty(32, np.uint64), out)
    expected = naive.stream_state(seed, block)
    assert state.tolist() == [word for row in expected for word in row]
    assert out.tolist() == list(islice(naive.xoshiro256pp(expected), 64))


@pytest.mark.parametrize(("n", "d"), [(1, 1), (7, 3), (100, 3), (3000, 2), (45_000, 1), (300, 50)])
def test_samples_from_the_seed_up(n, d):
    """Tile by tile and column by column, each block from a stream of its own."""
    seed, p, cut = 77, normal(d), tiling(n, d)
    x = p.sample(n, rng=seed)
    loc, scale = loc_scale(d)
    for block in {0, cut.blocks // 2, cut.blocks - 1}:
        stream = naive.xoshiro256pp(naive.stream_state(seed, block))
        first = block * cut.block
        for start in range(first, first + cut.rows_of(block), cut.rows):
            rows = min(cut.rows, first + cut.rows_of(block) - start)
            z = np.array([naive.standard_normals(stream, rows)[:rows] for _ in range(d)]).T
            np.testing.assert_allclose(x[start : start + rows], loc + scale * z, atol=1e-10)
