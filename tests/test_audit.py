"""The audit: what each problem made for a finding triggers, and a clean one does not."""

import dataclasses
import json

import numpy as np
import pytest
from numba import njit

import fastscore as fs
from fastscore.audit.differences import check_differences
from fastscore.audit.moves import moves
from fastscore.audit.scores import check_scores
from fastscore.audit.subject import Subject
from fastscore.audit.tails import shape_of
from fastscore.cli import main
from fastscore.examples import barrier

P = fs.Normal([0.5, 1.0], [1.0, 2.0])
COINS = fs.Bernoulli(logits=np.linspace(-1, 1, 6))
N = 20_000
NOISE = np.random.default_rng(0)


def smooth(x):
    return np.sin(x[:, 0]) + x[:, 0] * x[:, 1]


def step(x):
    return (x[:, 0] + x[:, 1] > 1) * 1.0


def count(x):
    return x.sum(axis=1) ** 2.0


def root(x):
    with np.errstate(invalid="ignore"):
        return np.sqrt(x[:, 0] + 2)


def noisy(x):
    return x[:, 0] + NOISE.normal(size=len(x))


def centred(x):
    return x[:, 0] - x[:, 0].mean()


def failing(x):
    raise KeyError("no such quote")


def heavy(x):
    return np.exp(0.45 * (x[:, 0] - 0.5) ** 2)  # E[f²] does not exist


def rare(x):
    return (x[:, 0] > 4.2) * 1.0


def bump(x):
    return 1 / (0.05 + (x[:, 0] - 0.5) ** 2)  # where the score by scale is large f is small


def wrong_derivative(x):
    return np.zeros_like(x)


def derivative(x):
    return np.stack([np.cos(x[:, 0]) + x[:, 1], x[:, 0]], axis=1)


@njit
def _draw(stream, x, low):
    x[0] = low + fs.draw.uniform(stream)


@njit
def _log_prob(x, low):
    return 0.0 if low <= x[0] <= low + 1 else -np.inf


@njit
def _score(x, out, low):
    out[0] = 0.0


@pytest.fixture(scope="module")
def moving():
    """Uniform on low … low + 1: its score is 0, as is that score's mean."""
    return fs.Custom(_draw, _log_prob, {"low": 0.5}, score=_score)


def subject(f, p=P, seed=0, args=()):
    return Subject(fs.Integrand(f), p, args, tuple(p.parameters), seed, 1, timed=False)


@pytest.mark.parametrize(
    ("f", "name", "level", "words"),
    [
        (root, "finite", "warning", "f is nan at"),
        (noisy, "deterministic", "failure", "another value when asked again"),
        (centred, "deterministic", "failure", "depends on the others in its batch"),
        (failing, "runs", "failure", "KeyError: 'no such quote'"),
        (heavy, "variance", "failure", "infinite variance: Pareto k"),
        (step, "smooth", "note", "f takes 2 values, and jumps"),
        (rare, "importance sampling", "warning", "Too few for error bars"),
        (lambda x: 0 * x[:, 0], "importance sampling", "warning", "0 ± 0"),
        (bump, "baseline", "note", "'mean' raises that of"),
        (fs.Integrand(smooth, derivative=wrong_derivative), "derivative", "failure", "disagree"),
        (fs.Integrand(smooth, derivative=derivative), "derivative", "ok", "agree"),
    ],
)  # fmt: skip
def test_each_finding_is_triggered(f, name, level, words):
    found = fs.audit(f, P, n=100_000 if f in (heavy, rare) else N, rng=1)[name]
    assert found.level == level
    assert words in found.text


@pytest.mark.parametrize(("f", "p"), [(smooth, P), (step, P), (count, COINS)])
def test_nothing_is_found_where_nothing_is_wrong(f, p):
    for seed in range(20):
        audit = fs.audit(f, p, n=5000, rng=seed)
        assert audit.ok, audit
        assert audit["finite differences"].level == "ok"
        assert audit["score"].level == "ok"


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: s + 0.1, "E[score] is not 0"),
    (lambda s: 1.02 * s, "is not the derivative of log_prob"),
])  # fmt: skip
def test_a_wrong_score_is_found(change, words):
    for seed in range(20):
        looked_at = subject(smooth, seed=seed)
        x, scores = looked_at.sample(N)
        assert check_scores(looked_at, x, scores).level == "ok"
        found = check_scores(looked_at, x, change(scores))
        assert found.level == "failure"
        assert words in found.text


@pytest.mark.parametrize("f", [smooth, step])
def test_an_estimate_that_is_off_disagrees_with_common_random_numbers(f):
    for seed in range(20):
        looked_at = subject(f, seed=seed)
        moved = moves(looked_at, 1.0, N)
        off = [dataclasses.replace(one, score=1.5 * one.score) for one in moved.along]
        assert check_differences(looked_at, moved).level == "ok"
        found = check_differences(looked_at, dataclasses.replace(moved, along=off))
        assert found.level == "failure"
        assert "common random numbers give" in found.text


def test_common_random_numbers_are_unbiased_for_jumps():
    """The extrapolated differences of a step against the normal density at it."""
    means, errors = [], []
    for seed in range(20):
        x0 = moves(subject(lambda x: (x[:, 0] > 1) * 1.0, seed=seed), 1.0, N).along[0]
        means.append(x0.difference.mean())
        errors.append(x0.difference.std() / np.sqrt(N))
        assert (x0.path == 0).mean() > 0.999  # which see no jump
    # d/dloc in units of the distribution, whose scale is 1, as the score's own size over the sample
    truth = np.exp(-0.125) / np.sqrt(2 * np.pi)
    assert abs(np.mean(means) - truth) < 4.5 * np.sqrt(np.mean(np.square(errors)) / 20)


def test_what_f_raises_between_samples_is_reported():
    calls = []

    def late(x):
        calls.append(len(x))
        if len(calls) > 12:
            raise ValueError("no such strike")
        return x[:, 0]

    audit = fs.audit(late, P, n=2000, rng=0)
    assert "no such strike" in audit["runs"].text
    assert audit["score"].level == "ok"


def test_a_support_that_moves_is_found(moving):
    audit = fs.audit(lambda x: x[:, 0] ** 2, moving, n=2000, rng=0)
    assert audit["support"].level == "failure"
    assert "moves with low" in audit["support"].text
    assert audit["finite differences"].level == "failure"
    assert "NOT to be trusted: support" in str(audit)


def test_a_support_that_the_family_knows_to_move_is_explained():
    for p, wrt in ((fs.Uniform(0.0, 1.0), None), (fs.TruncatedNormal(0.0, 1.0), "low")):
        found = fs.audit(count, p, wrt=wrt)["support"]
        assert found.level == "failure"
        assert "there is no derivative by low" in found.text


def test_arguments_with_the_values_of_a_parameter():
    def around(x, centre):
        return ((x - centre) ** 2).sum(axis=1)

    found = fs.audit(around, P, args=(np.array([0.5, 1.0]),), n=N, rng=0)
    assert found["direct term"].level == "warning"
    assert "args[0] has the values of loc" in found["direct term"].text
    assert "direct term" not in fs.audit(around, P, args=(np.array([0.5, 1.1]),), n=N, rng=0)


@pytest.mark.parametrize(("k", "low", "high"), [(0.2, -np.inf, 0.4), (0.8, 0.6, 1.0)])
def test_tails_of_pareto_variables(k, low, high):
    for seed in range(20):
        terms = np.random.default_rng(seed).pareto(1 / k, 100_000)
        assert low <= shape_of(terms) < high


@pytest.mark.parametrize(
    ("f", "name", "wrt", "options"),
    [
        (fs.Integrand(smooth, derivative=derivative), "pathwise", None, {"estimator": "pathwise"}),
        (lambda x: x[:, 0] ** 3, "matrix baseline", None, {"baseline": "matrix"}),
        (lambda x: np.abs((x - [0.5, 1]).prod(axis=1)) + x.sum(axis=1) / 5, "antithetic", "loc",
         {"sampling": "antithetic"}),
    ],
)  # fmt: skip
def test_gains_are_those_of_runs(f, name, wrt, options):
    said = fs.audit(f, P, wrt=wrt, n=N, rng=2)[name].numbers["gain"]
    plain = fs.gradient(f, P, wrt=wrt, n=200_000, rng=3).flat_stderr
    with_it = fs.gradient(f, P, wrt=wrt, n=200_000, rng=4, **options).flat_stderr
    assert said == pytest.approx(1 / np.mean((with_it / plain) ** 2), rel=0.15)


def test_few_outcomes_are_to_be_enumerated():
    audit = fs.audit(count, COINS, n=N, rng=0)
    assert audit["enumerate"].numbers["states"] == 64
    assert "64 outcomes: estimator='exact'" in audit["enumerate"].text
    assert "pathwise" not in audit


def test_sizes_are_those_of_a_known_variance():
    """f = x of a standard normal: the terms by loc are x², of mean 1 and variance 2."""
    audit = fs.audit(lambda x: x[:, 0], fs.Normal([0.0], [1.0]), wrt="loc", n=100_000, rng=0)
    for wanted in ("0.1", "0.01", "0.001"):
        size = audit[f"n for {wanted}"].numbers["n"]
        assert size["half of the entries"] == pytest.approx(2 / float(wanted) ** 2, rel=0.05)
        assert size["the whole gradient"] == pytest.approx(2 / float(wanted) ** 2, rel=0.05)


def test_many_entries_are_moved_along_random_directions():
    audit = fs.audit(lambda x: (x**2).sum(axis=1), fs.Normal(np.zeros(60), np.ones(60)), rng=0)
    assert audit["finite differences"].level == "ok"
    assert "8 random directions" in audit["finite differences"].text


def test_entries_of_a_symmetric_matrix_move_together():
    p = fs.MultivariateNormal([0.0, 1.0], covariance_matrix=[[1.0, 0.3], [0.3, 2.0]])
    looked_at = subject(smooth, p)
    assert looked_at.labels == [
        "loc[0]", "loc[1]", "covariance_matrix[0, 0]", "covariance_matrix[0, 1]",
        "covariance_matrix[1, 1]",
    ]  # fmt: skip
    moved = looked_at.moved(np.array([0.0, 0.0, 0.0, 0.1, 0.0]))
    np.testing.assert_allclose(moved.parameters["covariance_matrix"], [[1, 0.4], [0.4, 2]])


def test_the_page_of_the_demo():
    audit = fs.audit(barrier.f, barrier.p, args=barrier.args, rng=0)
    page = str(audit)
    for words in ("Audit of f(x), x ~ Normal(", "evaluations of f", "Nothing speaks against",
                  "✓ finite differences", "✓ variance", "f takes 2 values, and jumps",
                  "Take 'optimal'", "How many samples", "nine in ten"):  # fmt: skip
        assert words in page
    assert "pathwise:" not in page
    assert len(page.splitlines()) <= 60
    assert max(map(len, page.splitlines())) <= 100
    assert audit.ok


def test_the_page_on_a_terminal_without_signs(monkeypatch):
    audit = fs.audit(smooth, P, n=2000, rng=0)
    monkeypatch.setattr("sys.stdout", type("Stream", (), {"encoding": "ascii"})())
    page = str(audit)
    monkeypatch.undo()
    assert page.isascii()
    assert " + finite differences" in page


def test_the_command_line(tmp_path, capsys):
    path = tmp_path / "own.py"
    path.write_text(
        "import fastscore as fs\ndef f(x, k):\n    return (x[:, 0] - k) ** 2\n"
        "p = fs.Normal([1.0], [0.5])\nargs = (3.0,)\n"
    )
    assert main(["audit", str(path), "--n", "2000"]) == 0
    assert "What would do better" in capsys.readouterr().out
    assert main(["audit", str(path), "--n", "2000", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {"name", "level", "text", "numbers"} == set(findings[0])
    assert main(["audit", str(tmp_path / "none.py")]) == 2


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"f": 3}, TypeError, "f=3 is not callable"),
    ({"p": 3}, TypeError, "p=3 is not a distribution"),
    ({"wrt": "shape"}, ValueError, "wrt='shape'"),
    ({"n": 0}, ValueError, "n=0"),
    ({"n": 10}, ValueError, "n=10: so few samples"),
    ({"args": 3}, TypeError, "args=3 is not a tuple"),
    ({"threads": 1.5}, TypeError, "threads=1.5"),
    ({"f": lambda x, k: x}, TypeError, "cannot be called"),
    ({"f": fs.Integrand(smooth, shaping="nes")}, ValueError, "shaping='nes'"),
])  # fmt: skip
def test_bad_input_is_refused(options, error, words):
    given = {"f": smooth, "p": P, **options}
    with pytest.raises(error, match=words):
        fs.audit(given.pop("f"), given.pop("p"), **given)
