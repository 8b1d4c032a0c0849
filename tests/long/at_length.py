"""The cases at length, as ``PYTHONPATH=tests python -m tests.long.at_length``.

It writes results.json here.

Ten seeds of 1e7 draws for each case and baseline; z-scores of value, gradient and of the variance
of one sample.  The standard error of a variance comes from moments by quadrature, in ten dimensions
from a million of NumPy's own draws, of discrete families from all outcomes.  No two cases share a
seed.
"""

from __future__ import annotations

import datetime
import json
import math
import platform
import time
from pathlib import Path

import discrete
import gaussian
import numba
import numpy as np
import scipy
from cases import VARIANCES, Case, flat, rows

import fastscore as fs

DRAWS = 10**7
SEEDS = 10
RESULTS = Path(__file__).with_name("results.json")


def nodes(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """f (m,), score (m, P) and weight (m,) of the points that expectations are sums over."""
    x, s, weight = outcomes(case) if case.p.dtype is np.int64 else quadrature(case)
    compiled = hasattr(case.f, "py_func")
    f = np.array([case.f(row, *case.args) for row in x]) if compiled else case.f(x, *case.args)
    return f, s[:, : case.grad.size], weight


def outcomes(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All of a discrete family."""
    x = case.p.support(2**10)
    return x, case.p.score(x), np.exp(case.p.log_prob(x))


def quadrature(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The trapezoidal rule in one dimension, NumPy's draws in several."""
    loc, scale = (np.broadcast_to(value, case.p.d) for value in case.p.parameters.values())
    if case.p.d == 1:
        z, step = np.linspace(-14, 14, 400_001, retstep=True)
        weight, z = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * step, z[:, None]
    else:
        z = np.random.default_rng(0).standard_normal((10**6, case.p.d))
        weight = np.full(len(z), 1 / len(z))
    return loc + scale * z, np.concatenate([z / scale, (z**2 - 1) / scale], axis=1), weight


def variance_errors(case: Case, row: dict) -> dict:
    """By baseline, the standard error of a variance of one sample, estimated from `DRAWS`.

    With ``t = (f − b) s − g`` and an estimated b it is the spread of
    ``t² + (dv/db) (influence of a sample on b)``, where ``dv/db = 2 E[s²] (b − b*)``.
    """
    f, s, weight = nodes(case)
    best = np.array(list(row["baseline"]["opt_coord"].values()))
    second = weight @ s**2

    def error(b, influence):
        terms = (f[:, None] - b) * s
        if case.p.d == 1:
            np.testing.assert_allclose(weight @ terms, case.grad, rtol=1e-10, atol=1e-12)
        spread = (terms - case.grad) ** 2 + 2 * second * (b - best) * influence[:, None]
        return np.sqrt(np.maximum(weight @ spread**2 - (weight @ spread) ** 2, 0) / DRAWS)

    nothing, mean, scalar = np.zeros_like(f), row["baseline"]["mean"], case.scalar
    of_scalar = np.sum(((f[:, None] - scalar) * s - case.grad) * s, axis=1) / second.sum()
    return {
        None: error(0.0, nothing),
        "mean": error(mean, f - mean),
        "scalar": error(scalar, of_scalar),
        "optimal": error(best, nothing),
        scalar: error(scalar, nothing),
    }


def z_scores(case: Case, row: dict, first_seed: int) -> dict:
    """Of value, gradient and variance by baseline: rows are seeds, columns coordinates."""
    exact = {b: case.var[VARIANCES.get(b, "opt_scalar")] for b in (*VARIANCES, case.scalar)}
    errors = variance_errors(case, row)
    value, grad, variance = [], {b: [] for b in exact}, {b: [] for b in exact}
    for seed in range(first_seed, first_seed + SEEDS):
        run = fs.gradient(case.f, case.p, args=case.args, wrt=case.wrt, n=DRAWS, rng=seed)
        value.append((run.value - case.value) / run.value_stderr)
        for b in exact:
            estimate = run.with_baseline(b)
            stderr = flat(estimate.grad_stderr)
            degenerate, plain = exact[b] < 1e-12 * exact[None], np.sqrt(exact[None] / DRAWS)
            grad[b].append(in_errors(estimate.flat - case.grad, stderr, degenerate, plain))
            # Two values at the same distance from b make a variance that has no error either.
            degenerate |= errors[b] < 1e-6 * exact[None] / math.sqrt(DRAWS)
            distance = DRAWS * stderr**2 - exact[b]
            variance[b].append(in_errors(distance, errors[b], degenerate, exact[None]))
    names = {None: "none", case.scalar: "given scalar"}
    return {"value": value} | {
        names.get(b, b): {"gradient": grad[b], "variance": variance[b]} for b in exact
    }


def in_errors(distance, error, degenerate, plain) -> np.ndarray:
    """A z-score; where a baseline leaves no variance of first order, 0.

    There only the noise of its own estimate is left, and that is 1/√n of the ``plain`` error.
    """
    assert np.all(np.abs(distance[degenerate]) < 10 / math.sqrt(DRAWS) * plain[degenerate])
    return np.divide(distance, error, out=np.zeros_like(distance), where=~degenerate)


def summary(z) -> dict[str, float]:
    """Largest single z, and largest z of the seeds' mean."""
    z = np.asarray(z)
    mean = z.sum(axis=0) / math.sqrt(len(z))
    return {"largest": round(float(np.abs(z).max()), 2),
            "of the mean": round(float(np.abs(mean).max()), 2)}  # fmt: skip


def main() -> None:
    """Run all cases and write the results."""
    start = time.perf_counter()
    entries = {
        row["id"]: row for row in (*rows("gaussian_cases.json"), *rows("discrete_cases.json"))
    }
    table, everything = {}, []
    for index, (name, case) in enumerate((gaussian.cases() | discrete.cases()).items()):
        if case.var is None:
            continue
        z = z_scores(case, entries[name], 100 * (index + 1))
        table[name] = {
            key: summary(entry) if key == "value" else {k: summary(v) for k, v in entry.items()}
            for key, entry in z.items()
        }
        for entry in z.values():
            parts = entry.values() if isinstance(entry, dict) else (entry,)
            everything += [np.ravel(part) for part in parts]
        print(name, json.dumps(table[name]), flush=True)
    pooled = np.concatenate(everything)
    report = {
        "date": datetime.date.today().isoformat(),
        "draws": DRAWS,
        "seeds": SEEDS,
        "seconds": round(time.perf_counter() - start, 1),
        "versions": {
            "fastscore": fs.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numba": numba.__version__,
            "scipy": scipy.__version__,
            "machine": platform.machine(),
        },
        "all": {
            "z-scores": pooled.size,
            "largest": round(float(np.abs(pooled).max()), 2),
            "mean square": round(float(np.mean(pooled**2)), 3),
            "beyond 3": int((np.abs(pooled) > 3).sum()),
        },
        "cases": table,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["all"]))


if __name__ == "__main__":
    main()
