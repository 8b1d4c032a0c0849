"""Proposals adapted over rounds: where they go, and what becomes of bias."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import flat, z_of_mean
from numba import config, njit

import fastscore as fs
from fastscore.adaptive import _STREAM, _flattened, _log_gain
from fastscore.engine.streams import derived_seed
from fastscore.importance.psis import effective_size

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5

P = fs.Normal([0.0], [1.0])
#: ``P(x > c)``, and its derivatives by loc and by scale.
DENSITY = {c: math.exp(-(c**2) / 2) / math.sqrt(2 * math.pi) for c in (1, 3, 6)}
VALUE = {c: math.erfc(c / math.sqrt(2)) / 2 for c in (1, 3, 6)}
GRAD = {c: np.array([DENSITY[c], c * DENSITY[c]]) for c in (1, 3, 6)}

PROBS, TABLE = np.array([0.4, 0.3, 0.2, 0.1]), np.array([1.0, 2.0, 4.0, 8.0])
CLASSES, CLASSES_GRAD = fs.Categorical(logits=np.log(PROBS)), PROBS * (TABLE - 2.6)


def beyond_3(x):
    return x[:, 0] > 3


@njit
def beyond(x, c):
    return 1.0 if x[0] > c else 0.0


def looked_up(x):
    return TABLE[x[:, 0]]


def total_variance(estimate):
    return np.sum(flat(estimate.grad_stderr) ** 2) * estimate.n


def within(estimate, value, grad):
    """Of a run of many samples."""
    z = (estimate.value - value) / estimate.value_stderr
    return abs(z) < LIMIT and np.all(
        np.abs(estimate.flat - grad) < LIMIT * flat(estimate.grad_stderr)
    )


# --- cross-entropy ---


@pytest.mark.parametrize("seed", range(3))
def test_cross_entropy_finds_a_tail(seed):
    q = fs.cross_entropy(beyond_3, P, rng=seed)
    assert 2.9 < q.parameters["loc"][0] < 3.7
    assert q.parameters["scale"][0] == pytest.approx(0.8)
    plain = fs.gradient(beyond_3, P, n=200_000, rng=seed)
    for proposals in (q, fs.Proposals([q], defensive=0.1)):
        est = fs.gradient(beyond_3, P, proposals=proposals, n=200_000, rng=seed)
        assert total_variance(plain) > 100 * total_variance(est)
    assert est.importance.trusted
    assert est.bias == "none"
    assert within(est, VALUE[3], GRAD[3])


@pytest.mark.parametrize("f", [beyond, fs.Integrand(lambda x, c: x[:, 0] > c)])
def test_performance_leads_to_an_event_that_no_sample_meets(f):
    def excess(x, c):
        return x[:, 0] - c

    q = fs.cross_entropy(f, P, args=(6.0,), performance=excess, rng=0)
    assert 5.9 < q.parameters["loc"][0] < 6.6
    est = fs.gradient(
        f, P, args=(6.0,), proposals=fs.Proposals([q], defensive=0.1), n=100_000, rng=0
    )
    assert est.value_stderr < 0.02 * VALUE[6]
    assert within(est, VALUE[6], GRAD[6])


def test_cross_entropy_in_many_dimensions():
    p = fs.Normal(np.zeros(10), 1.0)

    def f(x):
        return x.sum(axis=1) > 3 * math.sqrt(10)

    q = fs.cross_entropy(f, p, n=4000, rng=0)
    assert q.parameters["scale"].shape == ()
    est = fs.gradient(f, p, proposals=fs.Proposals([q], defensive=0.1), n=100_000, rng=1)
    plain = fs.gradient(f, p, n=100_000, rng=1)
    assert total_variance(plain) > 20 * total_variance(est)
    assert abs(est.value - VALUE[3]) < LIMIT * est.value_stderr


def test_cross_entropy_of_classes_is_the_best_of_its_family():
    """``q ∝ p |f − b| ‖s‖``, b the median of f by its weight ``p ‖s‖``, no lower than floors."""
    outcomes = np.arange(4)[:, None]
    norm = np.sqrt(np.sum(CLASSES.score(outcomes) ** 2, axis=1))
    b = 2.0
    assert (PROBS * norm)[:1].sum() < (PROBS * norm).sum() / 2 < (PROBS * norm)[:2].sum()
    best = PROBS * np.abs(TABLE - b) * norm
    floored = np.maximum(best / best.sum(), 0.0)
    floored[1] = 0.1 * PROBS[1]
    floored[[0, 2, 3]] *= (1 - floored[1]) / floored[[0, 2, 3]].sum()
    q = fs.cross_entropy(looked_up, CLASSES, n=20_000, rng=0)
    fitted = np.exp(q.log_prob(outcomes))
    np.testing.assert_allclose(fitted, floored, atol=0.01)


def test_start_and_floor():
    q = fs.Normal([0.5], [2.0])
    found = fs.cross_entropy(beyond_3, P, q, least=0.3, rng=0)
    assert found.parameters["scale"][0] == pytest.approx(0.6)
    free = fs.cross_entropy(beyond_3, P, q, least=1e-3, rng=0)
    assert 0.2 < free.parameters["scale"][0] < 0.5
    again = fs.cross_entropy(beyond_3, P, q, least=0.3, rng=0)
    np.testing.assert_array_equal(again.parameters["loc"], found.parameters["loc"])


def test_cross_entropy_that_cannot_go_anywhere():
    with pytest.raises(ValueError, match=r"f is 0\.0 at all 2000 samples of round 1"):
        fs.cross_entropy(lambda x: x[:, 0] > 60, P, rng=0)
    with pytest.raises(ValueError, match="after rounds=2 the best 10% of samples reach performan"):
        fs.cross_entropy(
            lambda x: x[:, 0] > 60, P, performance=lambda x: x[:, 0] - 60, rounds=2, rng=0
        )
    with pytest.raises(ValueError, match="no proposal reaches"):
        fs.cross_entropy(looked_up, CLASSES, fs.Categorical([1.0, 1.0]), rng=0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rounds": 0}, "rounds=0"),
        ({"n": 0}, "n=0"),
        ({"elite": 1.0}, "elite = 1.0"),
        ({"elite": 0.0}, "elite = 0.0"),
        ({"least": 0.0}, "least = 0.0"),
        ({"wrt": "mu"}, "wrt='mu'"),
        ({"q": fs.Normal([0.0, 1.0], 1.0)}, "give proposals like p"),
        ({"rng": -1}, "rng=-1"),
    ],
)
def test_bad_values(options, match):
    with pytest.raises(ValueError, match=match):
        fs.cross_entropy(beyond_3, P, **{"rng": 0, **options})


def test_no_direct_term_and_no_omission():
    direct = fs.Integrand(beyond_3, direct=lambda x: np.zeros((len(x), 2)))
    omit = fs.Integrand(beyond_3, nonfinite="omit")
    for call in (fs.cross_entropy, fs.amis, fs.pmc):
        more = () if call is fs.cross_entropy else (P,)
        with pytest.raises(ValueError, match="takes no direct term"):
            call(direct, P, *more)
        with pytest.raises(ValueError, match="nonfinite='omit'"):
            call(omit, P, *more)
        with pytest.raises(TypeError, match="p=3"):
            call(beyond_3, 3, *more)
        with pytest.raises(ValueError, match="f is NaN or infinite at"):
            call(lambda x: np.where(x[:, 0] > 1, np.nan, 1.0), P, *more)
    with pytest.raises(TypeError, match="proposals=None"):
        fs.pmc(beyond_3, P, None)


# --- population Monte Carlo ---


APART = (fs.Normal([1.0], [1.5]), fs.Normal([-1.0], [1.5]))


def test_population_moves_to_where_f_varies():
    proposals = fs.Proposals(APART, defensive=0.2)
    est = fs.pmc(beyond_3, P, proposals, rounds=4, n=20_000, rng=0)
    assert all(2.9 < q.parameters["loc"][0] < 3.7 for q in est.proposals)
    assert len(est.rounds) == 4
    assert est.n == 80_000
    assert est.bias == "none"
    assert within(est, VALUE[3], GRAD[3])
    first, last = est.rounds[0], est.rounds[-1]
    assert total_variance(last) < 0.5 * total_variance(first)
    plain = fs.gradient(beyond_3, P, n=80_000, rng=0)
    assert total_variance(plain) > 20 * total_variance(est)


def test_population_splits_between_two_tails():
    def tails(x):
        return np.abs(x[:, 0]) > 3

    est = fs.pmc(tails, P, fs.Proposals(APART, defensive=0.2), rounds=4, n=20_000, rng=0)
    up, down = (q.parameters["loc"][0] for q in est.proposals)
    assert up > 2.8
    assert down < -2.8
    assert within(est, 2 * VALUE[3], [0.0, 2 * GRAD[3][1]])


@pytest.mark.parametrize("which", ["normal", "classes", "classes, power"])
def test_population_is_unbiased(which):
    """At few samples, where proposals depend much on the past."""
    if which == "normal":
        f, p, families, value, grad = beyond_1, P, APART, VALUE[1], GRAD[1]
    else:
        f, p, value, grad = looked_up, CLASSES, 2.6, CLASSES_GRAD
        families = [fs.Categorical([0.7, 0.1, 0.1, 0.1]), fs.Categorical([0.1, 0.2, 0.3, 0.4])]
    proposals = fs.Proposals(families, heuristic="power" if "power" in which else "balance")
    count = 1500
    values, off = np.empty(count), np.empty((count, len(grad)))
    grads = {b: np.empty((count, len(grad))) for b in (None, 3.0, "mean", "optimal")}
    for i in range(count):
        est = fs.pmc(f, p, proposals, rounds=3, n=24, rng=i, baseline=None)
        values[i] = est.value
        off[i] = (est.flat - grad) ** 2 - flat(est.grad_stderr) ** 2
        for b in grads:
            grads[b][i] = est.with_baseline(b).flat
    assert abs(z_of_mean(values, value)) < LIMIT
    for b, of_baseline in grads.items():
        assert np.abs(z_of_mean(of_baseline, grad)).max() < LIMIT, b
    # The errors of rounds are uncorrelated, so that their squares add up.
    assert np.abs(z_of_mean(off, 0.0)).max() < LIMIT


def beyond_1(x):
    return x[:, 0] > 1


def test_rounds_are_averaged_with_weights_fixed_beforehand():
    est = fs.pmc(looked_up, CLASSES, [fs.Categorical(np.ones(4))], rounds=3, n=600, rng=1)
    weights = np.sqrt([1, 2, 3]) / np.sqrt([1, 2, 3]).sum()
    np.testing.assert_allclose(est.weights, weights)
    np.testing.assert_allclose(est.flat, weights @ [r.flat for r in est.rounds])
    assert est.value == pytest.approx(weights @ [r.value for r in est.rounds])
    stderr = np.sqrt(weights**2 @ [flat(r.grad_stderr) ** 2 for r in est.rounds])
    np.testing.assert_allclose(flat(est.grad_stderr), stderr)
    assert est.value_stderr == pytest.approx(
        np.sqrt(weights**2 @ [r.value_stderr**2 for r in est.rounds])
    )
    np.testing.assert_allclose(np.sqrt(np.diag(est.covariance())), stderr)
    assert est.dof == 599
    assert est.seed == 1
    joined = np.concatenate([w * np.exp(log_weights(est, i)) for i, w in enumerate(weights)])
    assert est.ess == pytest.approx(joined.sum() ** 2 / np.sum(joined**2))
    assert est.pareto_k == max(r.pareto_k for r in est.rounds)
    without = est.with_baseline(None)
    np.testing.assert_allclose(
        without.flat, weights @ [r.with_baseline(None).flat for r in est.rounds]
    )
    ratio = flat(without.grad_stderr) ** 2 / flat(est.grad_stderr) ** 2
    np.testing.assert_allclose(flat(est.variance_ratio), ratio)
    assert "loc" not in str(est)
    assert "bias: none" in est.summary()
    assert {"logits"} == set(est.interval())


def log_weights(estimate, which):
    """Of the samples of one round, which ``Proposals.sample`` gives again."""
    one = estimate.rounds[which]
    q = one._moments.mixture.proposals[0]
    x = fs.Proposals([q]).sample(CLASSES, 600, rng=one.seed)[0]
    return CLASSES.log_prob(x) - q.log_prob(x)


def test_f_is_evaluated_once_at_each_sample():
    asked = []

    def f(x):
        asked.append(len(x))
        return TABLE[x[:, 0]]

    est = fs.pmc(f, CLASSES, [fs.Categorical(np.ones(4))], rounds=3, n=500, rng=1)
    assert sum(asked) == est.n == 1500


def test_kinds_of_f_and_seeds():
    options = {"rounds": 3, "n": 2000, "baseline": None}
    one = fs.pmc(lambda x, c: x[:, 0] > c, P, APART, args=(1.0,), rng=4, **options)
    other = fs.pmc(beyond, P, APART, args=(1.0,), rng=4, **options)
    np.testing.assert_array_equal(one.flat, other.flat)
    different = fs.pmc(beyond, P, APART, args=(1.0,), rng=5, **options)
    assert not np.array_equal(different.flat, other.flat)


def test_options_of_proposals_stay():
    proposals = fs.Proposals(APART, self_normalized=True, heuristic="mixture", allocation=[3, 1])
    est = fs.pmc(beyond_1, P, proposals, rounds=2, n=2000, rng=0)
    assert est.bias == "self-normalised, O(1/n)"
    assert within(est, VALUE[1], GRAD[1])
    piloted = fs.Proposals(APART, allocation="pilot", pilot=500)
    assert within(fs.pmc(beyond_1, P, piloted, rounds=2, n=2000, rng=0), VALUE[1], GRAD[1])


def test_proposals_that_reach_nothing_stay_where_they_are():
    """f does not vary; then a proposal that p does not reach."""
    est = fs.pmc(lambda x: np.ones(len(x)), P, APART, rounds=2, n=500, rng=0)
    for q, start in zip(est.proposals, APART, strict=True):
        np.testing.assert_array_equal(q.parameters["loc"], start.parameters["loc"])
    halves = (fs.Categorical([0.5, 0.5, 0.0, 0.0]), fs.Categorical([0.0, 0.2, 0.4, 0.4, 0.3]))
    est = fs.pmc(looked_up, CLASSES, halves, rounds=3, n=3000, rng=0)
    assert within(est, 2.6, CLASSES_GRAD)


def test_a_failure_of_f_is_told():
    def fails(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fs.pmc(fails, P, APART)

    @njit
    def jitted(x):
        if x[0] > 2:
            raise ValueError("not this one")
        return 1.0

    for call in (fs.cross_entropy, fs.amis, fs.pmc):
        more = () if call is fs.cross_entropy else (APART[0],)
        with pytest.raises(ValueError, match="not this one"):
            call(jitted, P, *more, n=500)


# --- AMIS ---


def test_amis_weighs_all_samples_by_all_proposals():
    est = fs.amis(beyond_3, P, fs.Normal([1.0], [1.5]), rounds=4, n=20_000, rng=0)
    assert est.bias == "adaptive reuse (AMIS)"
    assert est.n == 80_000
    assert est.seed == 0
    assert within(est, VALUE[3], GRAD[3])
    plain = fs.gradient(beyond_3, P, n=80_000, rng=0)
    assert total_variance(plain) > 50 * total_variance(est)
    again = fs.amis(beyond_3, P, fs.Normal([1.0], [1.5]), rounds=4, n=20_000, rng=0)
    np.testing.assert_array_equal(again.flat, est.flat)


@pytest.mark.parametrize("rounds", [1, 3])
def test_amis_agrees_with_numpy(rounds):
    q, n = fs.Normal([1.0], [1.5]), 400
    est = fs.amis(beyond, P, q, args=(1.0,), rounds=rounds, n=n, rng=7, baseline=None)
    xs, families = [], [q]
    for r in range(rounds):
        xs.append(families[-1].sample(n, rng=derived_seed(7, _STREAM, r)))
        x = np.concatenate(xs)
        mixed = np.mean([np.exp(q.log_prob(x)) for q in families], axis=0)
        W, s = np.exp(P.log_prob(x)) / mixed, P.score(x)
        f = x[:, 0] > 1.0
        # f has two values, and its median is the commoner one, 0.
        gain = W * f * np.sqrt(np.sum(s**2, axis=1))
        families.append(q.fit(x, gain, least=0.8))
    terms = (W * f)[:, None] * s
    np.testing.assert_allclose(est.flat, terms.mean(axis=0), rtol=1e-9)
    stderr = terms.std(axis=0, ddof=1) / math.sqrt(len(x))
    np.testing.assert_allclose(flat(est.grad_stderr), stderr, rtol=1e-9)
    assert est.ess == pytest.approx(W.sum() ** 2 / np.sum(W**2))


def test_amis_self_normalised():
    options = {"args": (1.0,), "rounds": 2, "n": 5000, "rng": 0}
    est = fs.amis(beyond, P, fs.Normal([1.0], [1.5]), self_normalized=True, **options)
    assert est.bias == "adaptive reuse (AMIS), self-normalised, O(1/n)"
    assert within(est, VALUE[1], GRAD[1])


def test_amis_is_consistent():
    """The mean of many runs comes near the truth as samples grow; a bias may remain at few."""
    errors = []
    for n, count in ((20, 400), (500, 200)):
        grads = np.array(
            [
                fs.amis(looked_up, CLASSES, fs.Categorical(np.ones(4)), rounds=4, n=n, rng=i).flat
                for i in range(count)
            ]
        )
        errors.append(np.sqrt(np.mean((grads - CLASSES_GRAD) ** 2)))
        bias = np.abs(grads.mean(axis=0) - CLASSES_GRAD)
        assert np.all(bias < LIMIT * grads.std(axis=0) / math.sqrt(count) + 0.1 / n)
    assert errors[1] < errors[0] / 4


def test_amis_asks_f_only_where_p_is_positive():
    seen = set()

    def f(x):
        seen.update(x[:, 0].tolist())
        return TABLE[x[:, 0]]

    est = fs.amis(f, CLASSES, fs.Categorical(np.ones(7)), rounds=3, n=2000, rng=0)
    assert seen == {0, 1, 2, 3}
    assert within(est, 2.6, CLASSES_GRAD)


# --- fits ---


def test_gain_of_a_sample():
    x = P.sample(1000, rng=0)
    f = np.where(x[:, 0] > 0.5, x[:, 0], -1.0)
    log_weight = -x[:, 0] / 3
    f[3] = np.nan
    norm = np.sqrt(np.sum(P.score(x) ** 2, axis=1))
    weight = np.exp(log_weight) * norm
    weight[3] = 0
    gain = np.exp(_log_gain(P, x, f, log_weight, ("loc", "scale")))
    totals = [np.sum(weight[[i for i in range(1000) if i != 3]]
                     * np.abs(np.delete(f, 3) - b)) for b in np.delete(f, 3)]  # fmt: skip
    assert gain[3] == 0
    assert gain.sum() == pytest.approx(min(totals))


def test_weights_are_flattened_until_enough_count():
    even = np.zeros(1000)
    np.testing.assert_array_equal(_flattened(even), even)
    rng = np.random.default_rng(0)
    steep = 100 * rng.normal(size=1000)
    flat_ones = _flattened(steep)
    assert effective_size(flat_ones) == pytest.approx(50, rel=1e-3)
    np.testing.assert_array_equal(np.argsort(flat_ones), np.argsort(steep))
    assert effective_size(_flattened(np.array([0.0, -1000.0, -900.0]))) >= 1.5 - 1e-6
    assert _flattened(np.array([-5.0])).tolist() == [0.0]
