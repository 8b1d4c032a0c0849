"""fs.gradient against plain NumPy on the very samples that it uses."""

from __future__ import annotations

import math
from itertools import islice

import naive
import numpy as np
import pytest
from cases import flat
from numba import config, njit
from oracle import (
    BASELINES,
    KINDS,
    assert_agrees,
    check,
    holed,
    holed_numpy,
    labels,
    model,
    model_direct,
    model_direct_numpy,
    model_numpy,
    smooth,
    smooth_numpy,
    twin,
)

import fastscore as fs
from fastscore.engine import streams
from fastscore.engine.memory import pointer
from fastscore.engine.tiles import tiling

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

SIZES = (1, 2, 3, 5, 8, 13, 1000, 20_000)


# --- integrands: one with arguments, one that depends on θ ---


@njit
def weighted(x, weights, shift):
    total = shift
    for k in range(x.size):
        total += weights[k] * x[k]
    return math.exp(-0.1 * total * total)


@njit
def model_batch(batch, out, loc):
    for i in range(batch.shape[0]):
        out[i] = model(batch[i], loc)


@njit
def model_direct_batch(batch, out, loc):
    for i in range(batch.shape[0]):
        model_direct(batch[i], out[i], loc)


@njit
def steep(x, loc):
    return (x[0] - loc + 3.0) ** 2


# --- the comparison ---


def loc_scale(d):
    k = np.arange(d)
    return 0.3 + 0.5 * np.sin(k), 0.8 + 0.4 * np.cos(k)


def normal(d):
    return fs.Normal(*loc_scale(d))


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
    f_x, s = holed_numpy(x), twin(p).score(x)
    finite = np.isfinite(f_x)
    with pytest.warns(RuntimeWarning, match="one sample"):
        actual = fs.gradient(fs.Integrand(holed, nonfinite="omit"), p, n=n, rng=seed)
    expected = naive.estimate(
        f_x[finite], s[finite], labels(tiling(n, p.d, p.size))[finite], "optimal"
    )
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


@pytest.mark.parametrize(
    ("d", "size"), [(1, 2), (2, 4), (3, 6), (48, 96), (49, 98), (1000, 2000), (1, 1000), (3, 3000)]
)
def test_folds_are_few_full_and_balanced(d, size):
    for n in [*range(1, 60), 99, 100, 101, 1000, 4097, 20_000, 1_000_003]:
        cut = tiling(n, d, size)
        sizes = np.bincount(labels(cut), minlength=cut.folds)
        assert len(sizes) == cut.folds == min(10, n)
        assert sizes.min() > 0
        assert sizes.sum() == n
        assert sum(cut.rows_of(block) for block in range(cut.blocks)) == n


# --- families: scores, densities ---


@pytest.mark.parametrize("name", PARAMETRISATIONS)
def test_score_and_density(name):
    p = PARAMETRISATIONS[name]()
    x = 3 * np.random.default_rng(1).standard_normal((5000, p.d))
    np.testing.assert_allclose(p.score(x), twin(p).score(x), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(p.log_prob(x), twin(p).log_prob(x), rtol=1e-13)
    np.testing.assert_allclose(p.fisher(), twin(p).fisher(), rtol=1e-14)


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
    state = stream_words(streams.key_of(seed), block, np.empty(streams.STATE_WORDS, np.uint64), out)
    expected = naive.stream_state(seed, block)
    assert state[:32].tolist() == [word for row in expected for word in row]
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
