"""What is special to angles: where they come round, any concentration, fits."""

from __future__ import annotations

import numpy as np
import pytest
from families.registry import within
from numba import config
from scipy import stats

import fastscore as fs
from fastscore.engine.von_mises import BEND

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

N = 200_000


@pytest.mark.parametrize(
    "concentration", [1e-8, 0.1, 0.399, 0.401, 1.0, 1.499, 1.501, 5.0, 300.0, 1e10, 1e100]
)
def test_any_concentration(concentration):
    """Scores have mean 0, and the Fisher information for a variance: also where SciPy has none."""
    p = fs.VonMises(0.0, concentration)
    s = p.score(p.sample(N, rng=5)) / np.sqrt(np.diagonal(p.fisher()))
    within(s.mean(axis=0) * np.sqrt(N))
    within(((s**2).mean(axis=0) - 1) / (np.std(s**2, axis=0) / np.sqrt(N)))


@pytest.mark.parametrize("concentration", [0.3, 1.2, 30.0])
def test_law(concentration):
    x = fs.VonMises(0.0, concentration).sample(N, rng=6)[:, 0]
    assert stats.kstest(x, stats.vonmises(concentration).cdf).pvalue > 1e-5


def test_many_digits_of_small_angles():
    """Normals but for 1e-16: down to the last bits they are not on a grid."""
    x = fs.VonMises(0.0, 1e16).sample(N, rng=7)[:, 0] * 1e8
    assert stats.kstest(x, "norm").pvalue > 1e-5
    assert len(np.unique(x)) == N


def test_no_candidate_is_taken_too_rarely():
    """Probabilities are at most 1: of bent normals κ times one part, and the other of all κ."""
    t = np.linspace(0, 2, 100_001)
    angle = t * (1 + BEND * t**2)
    assert np.all(2 * np.sin(angle / 2) ** 2 - t**2 / 2 >= -1e-15)
    assert np.all(3 * BEND * t**2 >= np.log1p(3 * BEND * t**2))
    assert angle[-1] == pytest.approx(np.pi, abs=1e-15)


def test_angles_come_round():
    """A whole turn of loc changes nothing, and the density is continuous across ±π."""
    p, q = fs.VonMises([3.0], [40.0]), fs.VonMises([3.0 + 4 * np.pi], [40.0])
    x = p.sample(1000, rng=8)
    assert x.min() < -3
    assert x.max() > 3
    np.testing.assert_allclose(q.log_prob(x), p.log_prob(x), rtol=1e-12)
    np.testing.assert_allclose(q.score(x), p.score(x), atol=1e-12)
    ends = np.array([[-np.pi], [np.pi]])  # a few 1e-16 apart
    np.testing.assert_allclose(*p.log_prob(ends), rtol=1e-14)
    np.testing.assert_allclose(*p.score(ends), rtol=1e-13)
    mirrored = fs.VonMises([-3.0], [40.0])
    np.testing.assert_array_equal(mirrored.mean, -p.mean)
    np.testing.assert_array_equal(mirrored.variance, p.variance)


def test_angles_that_do_not_differ():
    with pytest.raises(ValueError, match=r"concentration\[0\] = 1e\+30"):
        fs.VonMises([1.0], 1e30)
    with pytest.raises(ValueError, match="concentration"):
        fs.VonMises([1.0], log_concentration=80.0)
    assert fs.VonMises([0.0], 1e30).sample(10, rng=0).all()


@pytest.mark.parametrize("start", [-3.1, -0.14, 0.0, 3.0])
def test_fit_from_any_direction(start):
    """``A(κ)`` is the length of the mean direction."""
    x = fs.VonMises([3.0], [40.0]).sample(1000, rng=9)
    q = fs.VonMises([start], [10.0]).fit(x)
    direction = np.mean(np.exp(1j * x))
    turn = q.parameters["loc"][0] - np.angle(direction)
    np.testing.assert_allclose(np.remainder(turn + 1, 2 * np.pi), 1, atol=1e-9)
    spread = q.entropy() - np.log(2 * np.pi * np.i0(q.parameters["concentration"][0]))
    np.testing.assert_allclose(-spread / q.parameters["concentration"][0], abs(direction))
