"""The pilot finds the shares of least variance, and leaves the estimate unbiased."""

from __future__ import annotations

import numpy as np
import pytest
from cases import flat, z_of_mean
from numba import config, njit
from scipy import optimize

import fastscore as fs
from fastscore.importance.pilot import best_shares, squared_scores

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

LIMIT = 4.5

PROBS, TABLE = np.array([0.4, 0.3, 0.2, 0.1]), np.array([1.0, 2.0, 4.0, 8.0])
VALUE, GRAD = 2.6, PROBS * (TABLE - 2.6)
TARGET = fs.Categorical(logits=np.log(PROBS))
OUTCOMES = np.arange(4)[:, None]
#: One is better than the other, and neither does alone.
PAIR = (fs.Categorical([0.7, 0.1, 0.1, 0.1]), fs.Categorical([0.1, 0.2, 0.3, 0.4]))


def looked_up(x):
    return TABLE[x[:, 0]]


@njit
def looked_up_jitted(x, table):
    return table[x[0]]


def shares_of(estimate):
    return estimate.importance.counts / estimate.n


def variance_of(shares, families, b=None):
    """``Σ g²/q̄_α`` over all outcomes; b is what the pilot would estimate if it saw them all."""
    squares = np.sum(TARGET.score(OUTCOMES) ** 2, axis=1)
    q = np.exp([family.log_prob(OUTCOMES) for family in families])
    if b is None:
        start = PROBS**2 * squares / q.mean(axis=0)
        b = np.sum(start * TABLE) / start.sum()
    return np.sum(PROBS**2 * (TABLE - b) ** 2 * squares / (shares @ q))


# --- the minimum ---


def test_shares_of_proposals_that_share_nothing():
    """``Σ t_j/(α_j r_j)`` is least at ``α_j ∝ √(t_j/r_j)``."""
    t, r = np.array([1.0, 4.0, 9.0, 0.0]), np.array([1.0, 2.0, 0.5, 3.0])
    expected = np.sqrt(t / r)
    np.testing.assert_allclose(best_shares(t, np.diag(r)), expected / expected.sum(), atol=1e-3)


@pytest.mark.parametrize("count", [2, 5, 30])
def test_minimum_is_that_of_a_general_optimiser(count):
    rng = np.random.default_rng(count)
    for _ in range(5):
        ratios = rng.gamma(0.5, size=(count, 500))
        ratios[-1] = ratios[0]  # two that are the same
        squares = rng.gamma(0.3, size=500)

        def variance(a, squares=squares, ratios=ratios):
            return np.sum(squares / (a @ ratios)) / squares.sum()

        found = optimize.minimize(
            variance, np.full(count, 1 / count), bounds=[(0, 1)] * count, method="SLSQP",
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
            options={"ftol": 1e-10, "maxiter": 500},
        )  # fmt: skip
        shares = best_shares(squares, ratios)
        assert shares.min() >= 0
        assert shares.sum() == pytest.approx(1, abs=1e-12)
        assert variance(shares) < 1.0002 * found.fun


def test_nothing_to_tell_gives_equal_shares():
    np.testing.assert_array_equal(best_shares(np.zeros(5), np.ones((4, 5))), np.full(4, 0.25))


def test_squared_scores_of_the_chosen_parameters(monkeypatch):
    p = fs.Normal([0.3, -0.2], [1.0, 2.0])
    x = p.sample(50, rng=0)
    s = p.score(x)
    monkeypatch.setattr("fastscore.importance.pilot._SCORES", 30)
    np.testing.assert_array_equal(squared_scores(p, x, ("loc",)), np.sum(s[:, :2] ** 2, axis=1))
    np.testing.assert_array_equal(squared_scores(p, x, ("loc", "scale")), np.sum(s**2, axis=1))


# --- in a gradient ---


def test_a_perfect_proposal_gets_all_but_the_floors():
    """All the variance is gone with ``q ∝ p |f − b| ‖s‖``, b = 0."""
    perfect = fs.Categorical(PROBS * TABLE * np.sqrt(np.sum(TARGET.score(OUTCOMES) ** 2, axis=1)))
    useless = fs.Categorical([0.97, 0.01, 0.01, 0.01])
    proposals = fs.Proposals([useless, perfect], allocation="pilot")
    est = fs.gradient(looked_up, TARGET, proposals=proposals, baseline=None, n=100_000, rng=0)
    np.testing.assert_allclose(shares_of(est), [0.05, 0.95], atol=1e-9)


@pytest.mark.parametrize("families", [PAIR, (*PAIR, TARGET)])
def test_shares_are_nearly_the_best(families):
    proposals = fs.Proposals(families, allocation="pilot", pilot=20_000)
    est = fs.gradient(looked_up, TARGET, proposals=proposals, n=100_000, rng=3)
    shares = shares_of(est)
    grid = np.linspace(0, 1, 101)
    points = np.array(np.meshgrid(*[grid] * (len(families) - 1))).reshape(len(families) - 1, -1).T
    points = np.column_stack([points, 1 - points.sum(axis=1)])
    points = points[points.min(axis=1) >= 0.1 / len(families)]
    best = min(variance_of(point, families) for point in points)
    assert variance_of(shares, families) < 1.01 * best
    assert shares.min() >= 0.1 / len(families) - 0.01
    equal = fs.gradient(looked_up, TARGET, proposals=list(families), n=100_000, rng=3)
    gain = np.sum(flat(equal.grad_stderr) ** 2) / np.sum(flat(est.grad_stderr) ** 2)
    expected = variance_of(np.full(len(families), 1 / len(families)), families) / best
    assert gain > 1 + (expected - 1) / 2


def test_a_defensive_share_stays():
    proposals = fs.Proposals(PAIR, allocation="pilot", defensive=0.2)
    est = fs.gradient(looked_up, TARGET, proposals=proposals, n=10_000, rng=0)
    shares = shares_of(est)
    assert shares[2] == pytest.approx(0.2)
    assert shares[:2].min() >= 0.8 * 0.05


def test_the_pilot_has_samples_of_its_own():
    asked = []

    def f(x):
        asked.append(x[:, 0].copy())
        return x[:, 0]

    p = fs.Normal([0.0], [1.0])
    families = [fs.Normal([0.5], [1.5]), fs.Normal([-0.5], [1.5])]
    est = fs.gradient(f, p, proposals=fs.Proposals(families, allocation="pilot"), n=2000, rng=0)
    x = np.concatenate(asked)
    assert len(x) == 2000 + est.n
    assert len(np.unique(x)) == len(x)


def test_samples_follow_afresh():
    """They are those of the same shares given: the pilot decides nothing else."""
    proposals = fs.Proposals(PAIR, allocation="pilot")
    first = fs.gradient(looked_up, TARGET, proposals=proposals, n=5000, rng=7)
    again = fs.gradient(looked_up, TARGET, proposals=proposals, n=5000, rng=7)
    given = fs.Proposals(PAIR, allocation=first.importance.counts / 1.0)
    same = fs.gradient(looked_up, TARGET, proposals=given, n=5000, rng=7)
    for other in (again, same):
        np.testing.assert_array_equal(other.flat, first.flat)
        np.testing.assert_array_equal(other.importance.counts, first.importance.counts)


def test_kinds_of_f_agree():
    proposals = fs.Proposals(PAIR, allocation="pilot")
    options = {"proposals": proposals, "n": 5000, "rng": 7, "baseline": None}
    of_numpy = fs.gradient(looked_up, TARGET, **options)
    of_jit = fs.gradient(looked_up_jitted, TARGET, args=(TABLE,), **options)
    np.testing.assert_array_equal(of_jit.importance.counts, of_numpy.importance.counts)
    np.testing.assert_allclose(of_jit.flat, of_numpy.flat, rtol=1e-12)


@pytest.mark.parametrize("first", [None, "optimal"])
def test_unbiased(first):
    proposals = fs.Proposals(PAIR, allocation="pilot", pilot=20)
    count = 2000
    value = np.empty(count)
    grads = {b: np.empty((count, 4)) for b in (None, 3.0, "mean", "optimal")}
    for i in range(count):
        est = fs.gradient(
            looked_up, TARGET, proposals=proposals, n=60, rng=i, baseline=first, threads=1
        )
        value[i] = est.value
        for b, grad in grads.items():
            grad[i] = est.with_baseline(b).flat
    assert abs(z_of_mean(value, VALUE)) < LIMIT
    for b, grad in grads.items():
        assert np.abs(z_of_mean(grad, GRAD)).max() < LIMIT, b


def test_wrt_decides_whose_variance():
    """The score by scale grows as x², that by loc as x: it asks for wider proposals."""
    p = fs.Normal([0.0], [1.0])
    families = [fs.Normal([0.0], [1.2]), fs.Normal([0.0], [2.5])]
    shares = []
    for wrt in ("loc", "scale"):
        proposals = fs.Proposals(families, allocation="pilot", pilot=20_000)
        est = fs.gradient(
            lambda x: x[:, 0], p, wrt=wrt, proposals=proposals, n=100_000, rng=0, baseline=None
        )
        shares.append(shares_of(est))
    assert shares[0][0] > shares[1][0] + 0.1


def test_one_proposal_needs_no_pilot():
    asked = []

    def f(x):
        asked.append(len(x))
        return x[:, 0]

    p = fs.Normal([0.0], [1.0])
    proposals = fs.Proposals(fs.Normal([0.5], [1.5]), allocation="pilot")
    est = fs.gradient(f, p, proposals=proposals, n=500, rng=0)
    assert sum(asked) == est.n == 500


@pytest.mark.parametrize("f", [lambda x: np.ones(len(x)), lambda x: np.full(len(x), np.nan)])
def test_a_constant_f_leaves_shares_equal(f):
    est = fs.gradient(
        fs.Integrand(f, nonfinite="propagate"), TARGET, n=600, rng=0,
        proposals=fs.Proposals(PAIR, allocation="pilot"),
    )  # fmt: skip
    np.testing.assert_array_equal(est.importance.counts, [300, 300])


def test_f_is_asked_only_where_p_is_positive():
    seen = set()

    def f(x):
        seen.update(x[:, 0].tolist())
        return TABLE[x[:, 0]]

    wide = (fs.Categorical(np.ones(7)), fs.Categorical([4.0, 1, 1, 1, 1, 1]))
    fs.gradient(f, TARGET, proposals=fs.Proposals(wide, allocation="pilot"), n=600, rng=0)
    assert seen == {0, 1, 2, 3}


# --- bad input ---


def test_a_failure_in_the_pilot_is_told_like_any():
    proposals = fs.Proposals(PAIR, allocation="pilot")
    with pytest.raises(ValueError, match=r"NaN or infinite at \d+ of the first 2000 pilot samples"):
        fs.gradient(lambda x: np.where(x[:, 0] == 2, np.nan, 1), TARGET, proposals=proposals)

    def fails(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fs.gradient(fails, TARGET, proposals=proposals, rng=0)

    @njit
    def jitted(x):
        if x[0] == 2:
            raise ValueError("not this one")
        return 1.0

    with pytest.raises(ValueError, match="not this one"):
        fs.gradient(jitted, TARGET, proposals=proposals, rng=0)

    def interrupts(x):
        raise KeyboardInterrupt

    with pytest.raises(fs.Interrupted) as caught:
        fs.gradient(interrupts, TARGET, proposals=proposals, rng=0)
    assert caught.value.estimate is None


def test_what_needs_f_cannot_be_had_without():
    with pytest.raises(ValueError, match="'pilot' needs f"):
        fs.Proposals(PAIR, allocation="pilot").sample(TARGET, 100, rng=0)
    with pytest.raises(ValueError, match="pilot=0"):
        fs.Proposals(PAIR, allocation="pilot", pilot=0)
    with pytest.raises(TypeError, match="'pilot' or None"):
        fs.Proposals(PAIR, allocation="plot")
