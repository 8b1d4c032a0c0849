"""What is special to multivariate normals: forms of a matrix, its free entries, fused sums."""

from __future__ import annotations

import mpmath
import naive
import numpy as np
import pytest
from numba import config, njit
from oracle import BASELINES, labels

import fastscore as fs
from fastscore.engine.tiles import tiling

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

FORMS = ("scale_tril", "covariance_matrix", "precision_matrix")
every_form = pytest.mark.parametrize("form", FORMS)


# --- the distributions, and their twins in plain NumPy ---


def full(d, form):
    rng = np.random.default_rng(d)
    a = rng.normal(size=(d, d)) / np.sqrt(d)
    covariance = a @ a.T + 0.5 * np.eye(d)
    scale = np.linalg.cholesky(covariance)
    inverse = np.linalg.inv(covariance)
    given = dict(zip(FORMS, (scale, covariance, inverse / 2 + inverse.T / 2), strict=True))
    return fs.MultivariateNormal(rng.normal(size=d), **{form: given[form]})


def low_rank(d, r):
    rng = np.random.default_rng(d)
    return fs.LowRankMultivariateNormal(
        rng.normal(size=d), rng.normal(size=(d, r)), rng.uniform(0.2, 2, d)
    )


def covariance_of(p):
    _, *rest = p.parameters.values()
    if isinstance(p, fs.LowRankMultivariateNormal):
        return rest[0] @ rest[0].T + np.diag(rest[1])
    (name,) = p.parameters.keys() - {"loc"}
    (given,) = rest
    return {"scale_tril": given @ given.T, "covariance_matrix": given}.get(
        name, np.linalg.inv(given)
    )


def score_of(p, x):
    """``∂ log p`` from the derivative by the covariance, ``G = (u uᵀ − Σ⁻¹)/2``."""
    loc, *rest = p.parameters.values()
    covariance = covariance_of(p)
    inverse = np.linalg.inv(covariance)
    u = (x - loc) @ inverse
    g = (u[:, :, None] * u[:, None, :] - inverse) / 2
    if isinstance(p, fs.LowRankMultivariateNormal):
        by_factor = 2 * g @ rest[0]
        return np.concatenate(
            [u, by_factor.reshape(len(x), -1), np.diagonal(g, axis1=1, axis2=2)], axis=1
        )
    (name,) = p.parameters.keys() - {"loc"}
    i, j = np.tril_indices(p.d)
    if name == "scale_tril":
        return np.concatenate([u, (2 * g @ rest[0])[:, i, j]], axis=1)
    if name == "precision_matrix":
        g = -covariance @ g @ covariance
    return np.concatenate([u, g[:, i, j] * np.where(i == j, 1, 2)], axis=1)


def free(p, by_name):
    """Derivatives by free entries, of what is given in the parameters' shapes."""
    parts = []
    for name, value in by_name.items():
        if name in FORMS:
            i, j = np.tril_indices(p.d)
            value = value[i, j] * np.where((i == j) | (name == "scale_tril"), 1, 2)
        parts.append(np.ravel(value))
    return np.concatenate(parts)


@njit
def wave(x):
    total = 0.0
    for k in range(x.size):
        total += np.cos(x[k] + k) + 0.1 * x[k] * x[k]
    return total


def wave_numpy(x):
    return np.sum(np.cos(x + np.arange(x.shape[1])) + 0.1 * x**2, axis=1)


CASES = [full(d, form) for d in (1, 2, 5, 6, 7, 13) for form in FORMS]
CASES += [low_rank(*shape) for shape in ((1, 1), (2, 1), (3, 3), (5, 8), (13, 4))]


def name_of(p):
    return "-".join([type(p).__name__, str(p.d), *list(p.parameters)[1:2]])


# --- scores and sums ---


@pytest.mark.parametrize("n", [1, 7, 8, 31, 33, 700])
@pytest.mark.parametrize("p", CASES, ids=name_of)
def test_score(p, n):
    x = p.sample(n, rng=n)
    expected = score_of(p, x)
    size = np.sqrt(np.diagonal(p.fisher()))
    assert np.all(np.abs(p.score(x) - expected) <= 1e-11 * (size + np.abs(expected)))


@pytest.mark.parametrize("n", [2, 13, 1000])
@pytest.mark.parametrize("p", [*CASES, full(50, "scale_tril"), low_rank(50, 3)], ids=name_of)
def test_sums(p, n):
    """Every baseline from the fused sums, on the very samples."""
    x = p.sample(n, rng=n)
    f, s = wave_numpy(x), score_of(p, x)
    size = np.sqrt(np.mean(f**2) * np.mean(s**2, axis=0))
    for baseline in BASELINES:
        actual = fs.gradient(wave, p, n=n, rng=n, baseline=baseline)
        expected = naive.estimate(f, s, labels(tiling(n, p.d, p.size)), baseline)
        assert np.all(np.abs(free(p, actual.grad) - expected.grad) <= 1e-10 * size)
        error = free(p, actual.grad_stderr) ** 2 - expected.stderr**2
        assert np.all(np.abs(error) <= 1e-10 * size**2 / (n - 1))


@every_form
def test_gradient_has_the_shape_of_the_parameters(form):
    """Of ``E[(aᵀ x)²] = (aᵀ loc)² + aᵀ Σ a``."""
    p, a = full(6, form), np.linspace(-1, 1, 6)
    covariance, loc = covariance_of(p), p.parameters["loc"]
    outer = np.outer(a, a)
    exact = {
        "scale_tril": np.tril(2 * outer @ p.parameters.get("scale_tril", covariance)),
        "covariance_matrix": outer,
        "precision_matrix": -covariance @ outer @ covariance,
    }[form]
    estimate = fs.gradient(lambda x: (x @ a) ** 2, p, n=200_000, rng=3)
    for name, truth in (("loc", 2 * a * (a @ loc)), (form, exact)):
        grad, stderr = estimate.grad[name], estimate.grad_stderr[name]
        assert grad.shape == stderr.shape == p.parameters[name].shape
        some = stderr > 0
        np.testing.assert_array_equal(grad[~some], 0)
        assert np.max(np.abs(grad - truth)[some] / stderr[some]) < 4.5
    if form != "scale_tril":
        np.testing.assert_array_equal(estimate.grad[form], estimate.grad[form].T)


# --- Fisher information ---


@pytest.mark.parametrize(
    "p", [full(100, "scale_tril"), full(100, "precision_matrix"), low_rank(1000, 4)], ids=name_of
)
def test_fisher_of_many_entries_is_an_operator(p):
    """``vᵀ I v`` is the variance ``½ tr (Σ⁻¹ dΣ)²``, and that of loc, in a direction v."""
    rng = np.random.default_rng(1)
    step = {name: rng.normal(size=value.shape) for name, value in p.parameters.items()}
    if "scale_tril" in step:
        step["scale_tril"] = np.tril(step["scale_tril"])
        change = step["scale_tril"] @ p.parameters["scale_tril"].T
        change = change + change.T
    elif "precision_matrix" in step:
        step["precision_matrix"] += step["precision_matrix"].T
        change = covariance_of(p) @ step["precision_matrix"] @ covariance_of(p)
    else:
        change = step["cov_factor"] @ p.parameters["cov_factor"].T
        change = change + change.T + np.diag(step["cov_diag"])
    relative = np.linalg.solve(covariance_of(p), change)
    expected = np.sum(relative * relative.T) / 2
    expected += step["loc"] @ np.linalg.solve(covariance_of(p), step["loc"])
    # A step of a symmetric matrix by its free entries: each as it stands, not twice.
    parts = [
        value[np.tril_indices(p.d)] if name in FORMS else value.ravel()
        for name, value in step.items()
    ]
    v = np.concatenate(parts)
    fisher = p.fisher()
    assert fisher.shape == (p.size, p.size)
    assert v @ (fisher @ v) == pytest.approx(expected, rel=1e-10)
    assert v @ (fisher.T @ v) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("p", [full(3, form) for form in FORMS], ids=name_of)
def test_dense_fisher(p):
    """The covariance of scores, from fourth moments of normals (Isserlis)."""
    covariance, d = covariance_of(p), p.d
    i, j = np.tril_indices(d)
    inverse = np.linalg.inv(covariance)
    by_sigma = (np.kron(inverse, inverse) / 2).reshape(d, d, d, d)
    basis = np.zeros((len(i), d, d))
    for e, (row, column) in enumerate(zip(i, j, strict=True)):
        unit = np.zeros((d, d))
        unit[row, column] = 1
        if "scale_tril" in p.parameters:
            unit = unit @ p.parameters["scale_tril"].T
            unit = unit + unit.T
        else:
            unit[column, row] = 1
        basis[e] = -covariance @ unit @ covariance if "precision_matrix" in p.parameters else unit
    expected = np.zeros((p.size, p.size))
    expected[:d, :d] = inverse
    expected[d:, d:] = np.einsum("eik,ijkl,fjl->ef", basis, by_sigma.transpose(0, 2, 1, 3), basis)
    np.testing.assert_allclose(p.fisher(), expected, rtol=1e-10, atol=1e-12)


# --- accuracy and extremes ---


def exact(loc, matrix, form, x):
    """Log-density and score by loc; mpmath calls a matrix singular by its number of digits."""
    with mpmath.workdps(500):
        given = mpmath.matrix(matrix.tolist())
        covariance = {"scale_tril": given * given.T, "covariance_matrix": given}.get(form)
        inverse = given if covariance is None else covariance**-1
        y = mpmath.matrix([mpmath.mpf(a) - mpmath.mpf(b) for a, b in zip(x, loc, strict=True)])
        u = inverse * y
        log_det = mpmath.log(mpmath.det(inverse)) / 2
        log_prob = log_det - (y.T * u)[0] / 2 - len(loc) * mpmath.log(2 * mpmath.pi) / 2
        return float(log_prob), np.array([float(a) for a in u])


@every_form
@pytest.mark.parametrize("power", [0, 10, 30, 100])
def test_scales_far_apart(form, power):
    """Graded matrices are ill-conditioned by their units alone, which costs nothing."""
    d = 7
    units = 10.0 ** np.linspace(-power, power, d)
    p = full(d, form)
    (name, given), by = list(p.parameters.items())[1], units[:, None] * units
    given = {"scale_tril": given * units[:, None], "precision_matrix": given / by}.get(
        form, given * by
    )
    p = fs.MultivariateNormal(p.parameters["loc"] * units, **{name: given})
    x = p.sample(20, rng=1)
    log_prob, score = p.log_prob(x), p.score(x)[:, :d]
    for row in range(len(x)):
        expected, by_loc = exact(p.parameters["loc"], given, form, x[row])
        assert log_prob[row] == pytest.approx(expected, rel=1e-13, abs=1e-12)
        assert np.all(np.abs(score[row] - by_loc) * units <= 1e-12 * (1 + np.abs(by_loc) * units))


@pytest.mark.parametrize("small", [1.0, 1e-4, 1e-8])
def test_low_rank_with_little_on_the_diagonal(small):
    """The error of u grows as x itself must round, ``|W|/√D``, and not with its square."""
    rng = np.random.default_rng(2)
    factor, diagonal = rng.normal(size=(6, 2)), small * rng.uniform(0.5, 2, 6)
    p = fs.LowRankMultivariateNormal(np.zeros(6), factor, diagonal)
    x = p.sample(20, rng=1)
    log_prob, score = p.log_prob(x), p.score(x)[:, :6]
    with mpmath.workdps(60):
        w = mpmath.matrix(factor.tolist())
        covariance = w * w.T + mpmath.diag(diagonal.tolist())
    exact_covariance = np.array(covariance.tolist(), dtype=object)
    for row in range(len(x)):
        expected, by_loc = exact(np.zeros(6), exact_covariance, "covariance_matrix", x[row])
        error = 1e-13 / np.sqrt(small)
        assert log_prob[row] == pytest.approx(expected, rel=error)
        assert np.all(np.abs(score[row] - by_loc) <= error / np.sqrt(small))


@pytest.mark.parametrize("p", [*[full(3, form) for form in FORMS], low_rank(3, 2)], ids=name_of)
def test_far_out(p):
    """Where products overflow the density is 0, and the score a number."""
    x = np.zeros((6, 3))
    x[0, 0], x[1], x[2], x[3, 2] = np.inf, [1e300, -1e300, 1e300], -np.inf, 1e160
    x[4], x[5, 1] = [np.inf, -np.inf, 0], np.nan
    log_prob = p.log_prob(x)
    np.testing.assert_array_equal(log_prob[:5], -np.inf)
    assert np.isnan(log_prob[5])
    assert not np.isnan(p.score(x[:5])).any()
    assert p.log_prob([[1e100, 0, 0]])[0] < -1e198


@every_form
def test_scales_at_the_ends(form):
    for scale in (1e-150, 1e150):
        given = {"scale_tril": scale, "covariance_matrix": scale**2}.get(form, scale**-2)
        p = fs.MultivariateNormal([0.0, 0.0], **{form: given * np.eye(2)})
        x = p.sample(100, rng=1)
        assert np.isfinite(p.log_prob(x)).all()
        assert np.isfinite(p.score(x)).all()


# --- fits ---


@every_form
def test_fit_is_the_weighted_mean_and_covariance(form):
    rng = np.random.default_rng(1)
    p, x, weights = full(4, form), rng.normal(size=(300, 4)) + 2, rng.gamma(1.0, size=300)
    q = p.fit(x, weights)
    assert list(q.parameters) == list(p.parameters)
    np.testing.assert_allclose(q.mean, np.average(x, axis=0, weights=weights), rtol=1e-12)
    expected = np.cov(x.T, aweights=weights, ddof=0)
    np.testing.assert_allclose(covariance_of(q), expected, rtol=1e-10, atol=1e-12)


@every_form
def test_fit_keeps_a_floor_in_every_direction(form):
    p, one = full(4, form), np.ones((5, 4))
    q = p.fit(one, least=0.1)
    np.testing.assert_allclose(covariance_of(q), 0.01 * covariance_of(p), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(q.mean, 1.0, rtol=1e-14)
    line = np.outer(np.linspace(-9, 9, 50), [1.0, 2.0, 0.0, -1.0])
    q = p.fit(line, least=0.1)
    relative = np.linalg.solve(covariance_of(p), covariance_of(q))
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(relative).real)[:3], 0.01, rtol=1e-10)


# --- what users give ---


NOT_SYMMETRIC, NOT_DEFINITE = [[1, 0.5], [0.4, 1]], [[1, 2], [2, 1]]


@pytest.mark.parametrize(
    ("form", "matrix", "message"),
    [
        ("scale_tril", np.eye(3), r"scale_tril has shape \(3, 3\)"),
        ("scale_tril", [1.0, 1.0], r"scale_tril has shape \(2,\)"),
        ("scale_tril", [[1, 0.5], [0, 1]], r"scale_tril\[0, 1\] = 0.5.*triangular"),
        ("scale_tril", [[1, 0], [0, -2]], r"scale_tril\[1, 1\] = -2.0.*positive"),
        ("scale_tril", np.diag([1, 1e-200]), "scale_tril is so large, or so close"),
        ("covariance_matrix", NOT_SYMMETRIC, r"covariance_matrix\[0, 1\] = 0.5.*symmetric"),
        ("covariance_matrix", NOT_DEFINITE, "covariance_matrix is not positive definite.*-1"),
        ("precision_matrix", NOT_DEFINITE, "precision_matrix is not positive definite.*-1"),
        ("precision_matrix", [[1, np.nan], [0, 1]], r"precision_matrix\[0, 1\] = nan"),
        ("precision_matrix", np.diag([1, 1e-320]), "precision_matrix is so large"),
    ],
)
def test_matrices_that_are_none(form, matrix, message):
    with pytest.raises(ValueError, match=message):
        fs.MultivariateNormal([0.0, 1.0], **{form: matrix})


def test_exactly_one_matrix():
    for given in ({}, {"scale_tril": np.eye(2), "covariance_matrix": np.eye(2)}):
        with pytest.raises(TypeError, match="give exactly one"):
            fs.MultivariateNormal([0.0, 1.0], **given)


def test_loc_is_a_vector():
    with pytest.raises(ValueError, match=r"loc has shape \(\)"):
        fs.MultivariateNormal(0.0, scale_tril=[[1.0]])
    with pytest.raises(ValueError, match=r"shapes \(2,\), \(3, 1\) and \(2,\)"):
        fs.LowRankMultivariateNormal([0.0, 1.0], np.ones((3, 1)), [1.0, 1.0])
    with pytest.raises(ValueError, match=r"cov_diag\[1\] = 0.0: cov_diag must be at least 1e-300"):
        fs.LowRankMultivariateNormal([0.0, 1.0], np.ones((2, 1)), [1.0, 0.0])


def test_a_matrix_symmetric_but_for_rounding_is_taken_as_symmetric():
    given = np.array([[2.0, 1.0], [1.0 + 1e-12, 1.0]])
    p = fs.MultivariateNormal([0.0, 0.0], covariance_matrix=given)
    stored = p.parameters["covariance_matrix"]
    np.testing.assert_array_equal(stored, stored.T)
    np.testing.assert_allclose(stored, given, rtol=1e-12)


def test_low_rank_is_that_multivariate_normal():
    p = low_rank(9, 3)
    q = fs.MultivariateNormal(p.parameters["loc"], covariance_matrix=covariance_of(p))
    x = p.sample(100, rng=1)
    np.testing.assert_allclose(p.log_prob(x), q.log_prob(x), rtol=1e-12)
    assert p.entropy() == pytest.approx(q.entropy(), rel=1e-13)
    np.testing.assert_allclose(p.variance, q.variance, rtol=1e-13)
