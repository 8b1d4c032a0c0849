"""Past samples reused: what they weigh, which of them are used, and what goes in."""

from __future__ import annotations

import math
import pickle
import warnings

import naive
import numpy as np
import pytest
from cases import flat, z_of_mean
from numba import config, njit

import fastscore as fs
from fastscore.engine.tiles import unit_tiling
from fastscore.reservoir import _dealt

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5
BASELINES = (None, 0.7, "mean", "scalar", "optimal", "matrix")
LOC, SCALE = np.array([0.3, -0.4]), np.array([0.8, 1.2])
P = fs.Normal(LOC, SCALE)
PAST = (fs.Normal(LOC - 0.3, 1.2 * SCALE), fs.Normal(LOC + 0.2, SCALE), fs.Normal(LOC, 1.1))
SIZES = (300, 45, 118)


def squares(x):
    return np.sum((x - 3.0) ** 2, axis=1)


def normal_log_prob(q, x):
    scale = q.parameters["scale"]
    return naive.normal_log_prob(x, q.parameters["loc"], scale)


def batches(families=PAST, sizes=SIZES, seed=0):
    return [q.sample(n, rng=seed + i) for i, (q, n) in enumerate(zip(families, sizes, strict=True))]


def filled(xs=None, families=PAST, **options):
    made = fs.Reservoir(overlap=0, **options)
    for x, q in zip(batches() if xs is None else xs, families, strict=True):
        made.add(x, squares(x), q)
    return made


def weights_of(p, xs, families):
    """``p/q̄`` of samples of known distributions, batch by batch."""
    counts = np.array([len(x) for x in xs])
    all_x = np.concatenate(xs)
    log_q = np.array([normal_log_prob(q, all_x) for q in families])
    return np.exp(normal_log_prob(p, all_x) - naive.log_mixture(log_q, counts))


def expected(p, xs, weights, baseline, self_normalized=False):
    """In plain NumPy, of the samples in the order in which they are dealt to folds."""
    order = _dealt([len(x) for x in xs])
    x, w = np.concatenate(xs)[order], weights[order]
    s = naive.normal_score(x, p.parameters["loc"], p.parameters["scale"])
    cut = unit_tiling(len(x), p.d, 1, 0)
    folds = np.arange(len(x)) // cut.block % cut.folds
    units = naive.unit_sums(w, squares(x), s, 1)
    return naive.importance_estimate(units, folds, baseline, self_normalized)


def assert_agrees(actual, known):
    assert actual.value == pytest.approx(known.value, rel=1e-10)
    assert actual.value_stderr == pytest.approx(known.value_stderr, rel=1e-8)
    np.testing.assert_allclose(actual.flat, known.grad, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(flat(actual.grad_stderr), known.stderr, rtol=1e-8)
    np.testing.assert_allclose(flat(actual.variance_ratio), known.variance_ratio, rtol=1e-7)


# --- weights and sums ---


@pytest.mark.parametrize("self_normalized", [False, True])
def test_agrees_with_numpy(self_normalized):
    xs = batches()
    weights = weights_of(P, xs, PAST)
    reservoir = filled(xs)
    for baseline in BASELINES:
        if self_normalized and baseline == "matrix":
            continue
        est = reservoir.gradient(P, baseline=baseline, self_normalized=self_normalized)
        assert_agrees(est, expected(P, xs, weights, baseline, self_normalized))
        assert est.n == sum(SIZES)
        assert est.dof == est.n - 1
        assert est.ess == pytest.approx(weights.sum() ** 2 / np.sum(weights**2), rel=1e-12)


def test_other_targets_families_and_baselines_of_one_reservoir():
    reservoir, xs = filled(), batches()
    for p in (P, fs.Normal(LOC + 0.1, SCALE), fs.Normal(LOC, 0.9)):
        weights = weights_of(p, xs, PAST)
        order = _dealt(SIZES)
        np.testing.assert_allclose(np.exp(reservoir.weighted(p)[2]), weights[order], rtol=1e-12)
    shared = fs.Normal(0.1, SCALE)
    est = reservoir.gradient(shared, baseline=None)
    x = np.concatenate(xs)
    W = weights_of(shared, xs, PAST)
    s = shared.score(x)
    np.testing.assert_allclose(est.flat, np.mean((W * squares(x))[:, None] * s, axis=0), rtol=1e-10)


def test_matrix_covariance_and_diagnostics_of_coordinates():
    xs = batches()
    est = filled(xs).gradient(P, baseline=None)
    W, x = weights_of(P, xs, PAST), np.concatenate(xs)
    s = P.score(x)
    terms = (W * squares(x))[:, None] * s
    centred = terms - terms.mean(axis=0)
    covariance = centred.T @ centred / (len(x) * (len(x) - 1))
    np.testing.assert_allclose(est.covariance(), covariance, rtol=1e-9, atol=1e-12)
    by_coordinate = W.sum() * (W @ s**2) / (W**2 @ s**2)
    np.testing.assert_allclose(est.importance.ess_by_coordinate, by_coordinate, rtol=1e-9)
    only = filled(xs).gradient(P, wrt="scale", baseline=None)
    np.testing.assert_array_equal(only.grad["scale"], est.grad["scale"])
    assert list(only.grad) == ["scale"]


def test_discrete_samples_of_a_wider_support():
    """A class that p does not have weighs nothing."""
    p = fs.Categorical(logits=np.log([0.5, 0.3, 0.2]))
    families = (fs.Categorical([0.4, 0.3, 0.2, 0.1]), fs.Categorical([1.0, 1, 1, 1, 1]))
    table = np.array([1.0, 2.0, 4.0, 9.0, 9.0])
    reservoir, xs = fs.Reservoir(), batches(families, (200, 300))
    for x, q in zip(xs, families, strict=True):
        reservoir.add(x, table[x[:, 0]], q)
    est = reservoir.gradient(p, baseline=None)
    x = np.concatenate(xs)[:, 0]
    probs = np.array([0.5, 0.3, 0.2, 0, 0])
    mixed = 0.4 * np.array([0.4, 0.3, 0.2, 0.1, 0]) + 0.6 * np.full(5, 0.2)
    W = (probs / mixed)[x]
    score = (x[:, None] == np.arange(3)) - probs[:3]
    np.testing.assert_allclose(est.flat, np.mean((W * table[x])[:, None] * score, axis=0))
    assert est.value == pytest.approx(np.mean(W * table[x]))


def test_logged_samples_weigh_by_their_own_density():
    xs = batches()
    reservoir = fs.Reservoir(overlap=0)
    for x, q in zip(xs, PAST, strict=True):
        reservoir.add(x, squares(x), log_q=q.log_prob(x))
    weights = np.concatenate(
        [np.exp(normal_log_prob(P, x) - normal_log_prob(q, x))
         for x, q in zip(xs, PAST, strict=True)]
    )  # fmt: skip
    est = reservoir.gradient(P, baseline="optimal", independent=True)
    assert_agrees(est, expected(P, xs, weights, "optimal"))


def test_logged_beside_known_ones():
    """The known ones are a mixture of their own; all samples count alike."""
    xs = batches()
    reservoir = fs.Reservoir(overlap=0)
    reservoir.add(xs[0], squares(xs[0]), PAST[0])
    reservoir.add(xs[1], squares(xs[1]), log_q=PAST[1].log_prob(xs[1]))
    reservoir.add(xs[2], squares(xs[2]), PAST[2])
    known = weights_of(P, [xs[0], xs[2]], [PAST[0], PAST[2]])
    logged = np.exp(normal_log_prob(P, xs[1]) - normal_log_prob(PAST[1], xs[1]))
    weights = np.concatenate([known[: SIZES[0]], logged, known[SIZES[0] :]])
    for baseline in ("optimal", None):
        est = reservoir.gradient(P, baseline=baseline, independent=True)
        assert_agrees(est, expected(P, xs, weights, baseline))


def test_order_of_additions_is_irrelevant():
    xs = batches()
    one = filled(xs)
    other = filled(xs[::-1], PAST[::-1])
    first, second = (r.gradient(P, baseline=None) for r in (one, other))
    assert second.value == pytest.approx(first.value, rel=1e-12)
    np.testing.assert_allclose(second.flat, first.flat, rtol=1e-11)
    first, second = (r.gradient(P) for r in (one, other))  # which folds differently
    assert np.all(np.abs(second.flat - first.flat) < 0.5 * flat(first.grad_stderr))


def test_extreme_weights_neither_overflow_nor_vanish():
    """Log-densities are off by a constant of 10⁵: sums of weights cancel it when normalised."""
    x = P.sample(500, rng=0)
    plain, shifted = fs.Reservoir(), fs.Reservoir(overlap=0)
    plain.add(x, squares(x), log_q=P.log_prob(x))
    shifted.add(x, squares(x), log_q=P.log_prob(x) - 1e5)
    first = plain.gradient(P, baseline=None, self_normalized=True)
    with pytest.warns(RuntimeWarning, match="mean weight"):
        second = shifted.gradient(P, baseline=None, self_normalized=True)
    np.testing.assert_allclose(second.flat, first.flat, rtol=1e-9)
    assert second.ess == pytest.approx(first.ess)


# --- folds ---


@pytest.mark.parametrize("sizes", [(100,) * 10, (1000, 30, 7), (5,) * 40, (50_000, 30_000)])
def test_folds_have_all_batches_in_proportion(sizes):
    order = _dealt(sizes)
    assert np.array_equal(np.sort(order), np.arange(sum(sizes)))
    batch = np.repeat(np.arange(len(sizes)), sizes)[order]
    cut = unit_tiling(len(order), 3, 1, 0)
    folds = np.arange(cut.n) // cut.block % cut.folds
    for b, n in enumerate(sizes):
        counts = np.bincount(folds[batch == b], minlength=cut.folds)
        share = np.bincount(folds, minlength=cut.folds) / cut.n
        assert np.abs(counts - n * share).max() <= 2 + n // 1000


def test_unbiased_with_proposals_chosen_beforehand():
    """The trap of FORMULAS §3: folds that hold single proposals."""
    probs, table = np.array([0.4, 0.3, 0.2, 0.1]), np.array([1.0, 2.0, 4.0, 8.0])
    p = fs.Categorical(logits=np.log(probs))
    families = [fs.Categorical(w) for w in ([0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4])]
    count = 2000
    grads = {b: np.empty((count, 4)) for b in (None, "mean", "optimal")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for i in range(count):
            reservoir = fs.Reservoir()
            for j, (q, n) in enumerate(zip(families, (20, 40), strict=True)):
                x = q.sample(n, rng=2 * i + j)
                reservoir.add(x, table[x[:, 0]], q)
            est = reservoir.gradient(p, independent=True)
            for b, grad in grads.items():
                grad[i] = est.with_baseline(b).flat
    for b, grad in grads.items():
        assert np.abs(z_of_mean(grad, probs * (table - 2.6))).max() < LIMIT, b


# --- capacity, and the mixture that follows ---


def test_capacity_drops_the_oldest():
    reservoir = fs.Reservoir(1000, overlap=0)
    rng = np.random.default_rng(0)
    xs, families = [], []
    for i in range(30):
        q = fs.Normal(LOC + 0.05 * i, SCALE * rng.uniform(0.7, 1.5))
        x = q.sample(int(rng.integers(1, 400)), rng=i)
        reservoir.add(x, squares(x), q)
        xs, families = [*xs, x], [*families, q]
        while sum(map(len, xs)) > 1000:
            xs, families = xs[1:], families[1:]
        assert len(reservoir) == sum(map(len, xs))
        p = fs.Normal(LOC + 0.05 * i, SCALE)
        x_given, f, log_weights = reservoir.weighted(p)
        order = _dealt([len(x) for x in xs])
        np.testing.assert_array_equal(x_given, np.concatenate(xs)[order])
        np.testing.assert_array_equal(f, squares(x_given))
        np.testing.assert_allclose(
            np.exp(log_weights), weights_of(p, xs, families)[order], rtol=1e-11
        )


def test_dropped_batches_that_dominated_leave_no_rounding():
    """Of the sum of densities at a sample little remains, at once or step by step."""
    locs = [0.0, 3.3, 4.8, 5.9, 6.8, 7.6]  # at 0 each has e⁻⁶ of the density before it
    families = [fs.Normal([loc], [1.0]) for loc in locs]
    for unlikely in (0.0, -4.0, 7.0):
        reservoir = fs.Reservoir(1300, overlap=0)
        for i, q in enumerate(families[:-1]):
            x = q.sample(200, rng=i)
            reservoir.add(x, x[:, 0], q)
        last = families[-1]
        x = np.array([[unlikely], [9.0]])
        reservoir.add(x, x[:, 0], last)
        for i in range(5):
            reservoir.weighted(last)
            more = last.sample(200 if i else 300, rng=10 + i)
            reservoir.add(more, more[:, 0], last)
        x, _, log_weights = reservoir.weighted(last)
        kept = len(reservoir)
        assert kept == 1102
        np.testing.assert_allclose(log_weights, 0, atol=1e-12)


def test_an_interrupted_update_begins_anew(monkeypatch):
    reservoir, xs = filled(), batches()
    reservoir.weighted(P)
    more = PAST[0].sample(70, rng=9)
    reservoir.add(more, squares(more), PAST[0])
    calls = []

    def interrupted(self, samples):
        calls.append(len(samples))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return density(self, samples)

    density = fs.Family.log_density
    with monkeypatch.context() as patched:
        patched.setattr(fs.Family, "log_density", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reservoir.weighted(P)
    _, _, log_weights = reservoir.weighted(P)
    expected = weights_of(P, [*xs, more], [*PAST, PAST[0]])[_dealt([*SIZES, 70])]
    np.testing.assert_allclose(np.exp(log_weights), expected, rtol=1e-12)


# --- what is used, and what is said of it ---


def test_batches_far_off_are_left_out():
    near, far = fs.Normal(LOC + 0.1, SCALE), fs.Normal(LOC + 5, SCALE)
    xs = batches((near, far, near), (400, 300, 200))
    reservoir = fs.Reservoir()
    for x, q in zip(xs, (near, far, near), strict=True):
        reservoir.add(x, squares(x), q)
    overlap = reservoir.overlaps(P)
    assert overlap[1] < 0.05 < 0.9 < min(overlap[0], overlap[2])
    kept = [xs[0], xs[2]]
    est = reservoir.gradient(P)
    assert est.n == 600
    assert_agrees(est, expected(P, kept, weights_of(P, kept, [near, near]), "optimal"))
    both = reservoir.gradient(P, independent=True)
    assert both.n == 900
    again = reservoir.gradient(P)
    np.testing.assert_allclose(again.flat, est.flat, rtol=1e-12)
    assert reservoir.gradient(fs.Normal(LOC + 5, SCALE)).n == 300


def test_overlap_is_estimated():
    q = fs.Normal([0.0], [1.0])
    reservoir = fs.Reservoir()
    reservoir.draw(lambda x: x[:, 0], q, 50_000, rng=0)
    exact = math.erfc(0.5 / math.sqrt(2))  # of N(0, 1) with N(1, 1)
    assert reservoir.overlaps(fs.Normal([1.0], [1.0])) == pytest.approx([exact], abs=0.01)
    assert reservoir.overlaps(q) == pytest.approx([1.0])


def test_a_logged_batch_that_would_spoil_the_rest_is_left_out():
    good, narrow = fs.Normal(LOC, SCALE), fs.Normal(LOC + 0.5, 0.5 * SCALE)
    xs = batches((narrow, good), (1000, 1000))
    reservoir = fs.Reservoir()
    for x, q in zip(xs, (narrow, good), strict=True):
        reservoir.add(x, squares(x), log_q=q.log_prob(x))
    est = reservoir.gradient(P)
    assert est.n == 1000
    np.testing.assert_allclose(est.ess, 1000)
    with pytest.warns(RuntimeWarning, match="Draw samples nearer to p"):
        assert reservoir.gradient(P, independent=True).n == 2000


def test_a_result_not_to_be_trusted_is_warned_of():
    reservoir = fs.Reservoir()
    reservoir.draw(lambda x: x[:, 0], fs.Normal([0.0], [1.0]), 2000, rng=0)
    with pytest.warns(RuntimeWarning, match=r"Pareto k.*Draw samples nearer to p: reservoir\.draw"):
        est = reservoir.gradient(fs.Normal([2.5], [1.0]))
    assert not est.importance.trusted


def test_nothing_of_use():
    reservoir = fs.Reservoir()
    with pytest.raises(ValueError, match="the reservoir is empty"):
        reservoir.gradient(P)
    with pytest.raises(ValueError, match="the reservoir is empty"):
        reservoir.overlaps(P)
    reservoir.draw(squares, P, 100, rng=0)
    with pytest.raises(ValueError, match=r"overlaps no batch by 0\.05.*draw\(f, p, n\)"):
        reservoir.gradient(fs.Normal(LOC + 50, SCALE))
    classes = fs.Reservoir()
    classes.draw(lambda x: x[:, 0], fs.Categorical([1.0, 1.0]), 100, rng=0)
    with pytest.raises(ValueError, match=r"no batch reaches x = \[2\]"):
        classes.gradient(fs.Categorical([1.0, 1.0, 1.0]))
    logged = fs.Reservoir(overlap=0)
    logged.add(np.full((10, 1), 2), np.ones(10), log_q=np.zeros(10))
    with pytest.raises(ValueError, match="p is 0 at all samples"):
        logged.gradient(fs.Bernoulli([0.5]))


def test_labels():
    reservoir = filled()
    assert reservoir.gradient(P).bias == "adaptive reuse"
    est = reservoir.gradient(P, self_normalized=True)
    assert est.bias == "adaptive reuse, self-normalised, O(1/n)"
    est = reservoir.gradient(P, independent=True)
    assert est.bias == "uneven folds, O(1/n)"
    for baseline in (None, 2.0):
        est = reservoir.gradient(P, independent=True, baseline=baseline)
        assert est.bias == "none"
    assert est.seed is None
    assert "seed" not in str(est)
    assert "adaptive reuse" in reservoir.gradient(P).summary()


# --- drawing, pickling ---


@njit
def jitted(x, offset):
    return x[0] ** 2 + offset


def test_draws_are_those_of_a_gradient():
    reservoir = fs.Reservoir()
    reservoir.draw(jitted, P, 700, args=(2.0,), rng=3)
    x, f, log_weights = reservoir.weighted(P)
    order = _dealt([700])
    np.testing.assert_array_equal(x, P.sample(700, rng=3)[order])
    np.testing.assert_allclose(f, x[:, 0] ** 2 + 2)
    np.testing.assert_allclose(log_weights, 0, atol=1e-12)
    plain = fs.gradient(jitted, P, args=(2.0,), n=700, rng=3, baseline=None)
    est = reservoir.gradient(P, baseline=None)
    np.testing.assert_allclose(est.flat, plain.flat, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(flat(est.grad_stderr), flat(plain.grad_stderr), rtol=1e-9)


def test_what_is_given_may_change_later():
    x, f = P.sample(50, rng=0), np.ones(50)
    reservoir = fs.Reservoir()
    reservoir.add(x, f, P)
    x[:], f[:] = 100.0, 100.0
    kept, values, _ = reservoir.weighted(P)
    assert np.abs(kept).max() < 10
    assert np.all(values == 1)


def test_pickles():
    reservoir = filled()
    first = reservoir.gradient(P)
    copy = pickle.loads(pickle.dumps(reservoir))
    assert (
        repr(copy)
        == repr(reservoir)
        == ("<Reservoir of 463 samples in 3 batches, capacity=100,000>")
    )
    np.testing.assert_array_equal(copy.gradient(P).flat, first.flat)
    copy.draw(squares, P, 100, rng=0)
    assert len(copy) == len(reservoir) + 100


def test_a_loop_of_reuse_converges():
    """Descent of ``E (x − 3)²`` on 40 fresh samples a step: the past takes the noise away."""
    reservoir, loc = fs.Reservoir(2000), np.array([0.0])
    for step in range(60):
        p = fs.Normal(loc, [1.0])
        reservoir.draw(squares, p, 40, rng=step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            est = reservoir.gradient(p, wrt="loc")
        loc = loc - 0.05 * est.grad["loc"]
    assert abs(loc[0] - 3) < 0.15
    fresh = fs.gradient(squares, p, wrt="loc", n=40, rng=0)
    assert est.grad_stderr["loc"] < 0.4 * fresh.grad_stderr["loc"]


# --- bad input ---


X, F = P.sample(10, rng=0), np.ones(10)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda r: fs.Reservoir(0), "capacity=0"),
        (lambda r: fs.Reservoir(overlap=1.0), "overlap = 1.0"),
        (lambda r: fs.Reservoir(overlap=-0.1), "overlap = -0.1"),
        (lambda r: r.add(X[:, :1], F, P), r"x has shape \(10, 1\)"),
        (lambda r: r.add(X[:, :1], F, log_q=F), "must be alike"),
        (lambda r: r.add(X[0], F, log_q=F), r"x has shape \(2,\)"),
        (lambda r: r.add(X[:0], F[:0], P), "x has 0 samples"),
        (lambda r: r.add(np.zeros((101, 2)), np.zeros(101), P), "no more than capacity=100"),
        (lambda r: r.add(X * np.nan, F, P), r"x\[0, 0\] = nan"),
        (lambda r: r.add(X, F * np.inf, P), r"f_values\[0\] = inf: .*finite"),
        (lambda r: r.add(X, F[:5], P), r"f_values has shape \(5,\)"),
        (lambda r: r.add(X, F, log_q=F[:5]), r"log_q has shape \(5,\)"),
        (lambda r: r.add(X, F, log_q=-np.inf * F), r"log_q\[0\] = -inf"),
        (lambda r: r.add(np.zeros((3, 1), int), F[:3], fs.Bernoulli([0.5])), "must be alike"),
        (lambda r: r.gradient(fs.Normal([0.0], 1.0)), "must be alike"),
        (lambda r: r.gradient(fs.Bernoulli([0.5, 0.5])), "must be alike"),
        (lambda r: r.gradient(P, wrt="mu"), "wrt='mu'"),
        (lambda r: r.gradient(P, baseline="best"), "baseline='best'"),
        (lambda r: r.gradient(P, baseline="matrix", self_normalized=True), "does not go with"),
        (lambda r: r.draw(lambda x: x[:, 0] / 0.0, P, 5), "f is NaN or infinite at 5"),
        (lambda r: r.draw(lambda x: x, P, 5), "returned shape"),
        (lambda r: r.draw(squares, P, 0), "n=0"),
        (
            lambda r: r.draw(fs.Integrand(squares, direct=lambda x: x), P, 5),
            "takes no direct term",
        ),
        (lambda r: r.draw(fs.Integrand(squares, nonfinite="omit"), P, 5), "nonfinite='omit'"),
    ],
)
def test_bad_values(call, match):
    reservoir = fs.Reservoir(100)
    reservoir.add(X, F, P)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=match):
        call(reservoir)
    assert len(reservoir) == 10


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda r: r.add(X, F), "give exactly one"),
        (lambda r: r.add(X, F, P, log_q=F), "give exactly one"),
        (lambda r: r.add(X, F, 3), "q=3 is not a distribution"),
        (lambda r: r.add(X, ["a"] * 10, P), "f_values"),
        (lambda r: r.gradient(3), "p=3 is not a distribution"),
        (lambda r: r.gradient(P, self_normalized="yes"), "self_normalized='yes'"),
        (lambda r: r.gradient(P, independent=1), "independent=1"),
        (lambda r: r.draw(squares, 3, 5), "p=3 is not a distribution"),
        (lambda r: r.draw(squares, P, 5.5), "n=5.5"),
        (lambda r: r.draw(3, P, 5), "not callable"),
        (lambda r: r.draw(squares, P, 5, args=3), "args=3"),
    ],
)
def test_bad_types(call, match):
    reservoir = fs.Reservoir(100)
    reservoir.add(X, F, P)
    with pytest.raises(TypeError, match=match):
        call(reservoir)


def test_samples_that_cannot_come_from_q():
    reservoir = fs.Reservoir()
    with pytest.raises(ValueError, match=r"x\[1\] = \[1\] cannot come from q=Categorical"):
        reservoir.add([[0], [1]], [0.0, 0.0], fs.Categorical([1.0, 0.0]))


def test_integers_stay_integers_without_a_family():
    reservoir = fs.Reservoir()
    reservoir.add([[0], [1], [1]], [1.0, 2.0, 2.0], log_q=np.log([0.5, 0.5, 0.5]))
    p = fs.Bernoulli([0.5])
    est = reservoir.gradient(p, baseline=None, independent=True)
    assert est.value == pytest.approx(5 / 3)
