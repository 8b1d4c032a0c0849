"""The Gaussian cases at length: ``python -m tests.long.gaussian`` writes results.json here.

Ten seeds of 1e7 draws for each case and baseline; z-scores of value, gradient and of the variance
of one sample.  The standard error of a variance comes from exact fourth moments by quadrature.
"""

from __future__ import annotations

import datetime
import json
import math
import platform
import time
from pathlib import Path

import numba
import numpy as np
import scipy

import fastscore as fs
from tests.gaussian import VARIANCES, Case, cases, flat

DRAWS = 10**7
SEEDS = range(1, 11)
RESULTS = Path(__file__).with_name("results.json")


def fourth_moments(case: Case, b: np.ndarray) -> np.ndarray:
    """``E[((f − b) s − g)⁴]`` of a one-dimensional case, by the trapezoidal rule on ±14 σ."""
    loc, scale = (float(value[0]) for value in case.p.parameters.values())
    z, step = np.linspace(-14, 14, 400_001, retstep=True)
    f = np.array([case.f.py_func([x], *case.args) for x in loc + scale * z])
    s = np.stack([z / scale, (z**2 - 1) / scale], axis=1)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    terms = (f[:, None] - b) * s
    mean = density @ terms * step
    np.testing.assert_allclose(mean, case.grad, rtol=1e-10, atol=1e-12)
    return density @ (terms - mean) ** 4 * step


def z_scores(case: Case, rows: dict) -> dict:
    """By baseline, z of gradient and of variance: one row per seed, one column per coordinate."""
    baselines = (*VARIANCES, case.scalar)
    names = {None: "none", case.scalar: "given scalar"}
    collected = {b: ([], []) for b in baselines}
    errors = {}
    for b in baselines:
        variance = case.var[VARIANCES.get(b, "opt_scalar")]
        if case.p.d == 1:
            best = rows[case.name]["baseline"]
            at = {
                None: 0.0, "mean": best["mean"], "scalar": case.scalar, case.scalar: case.scalar,
                "optimal": np.array(list(best["opt_coord"].values())) if b == "optimal" else 0.0,
            }[b]  # fmt: skip
            errors[b] = np.sqrt((fourth_moments(case, at) - variance**2) / DRAWS)
    value = []
    for seed in SEEDS:
        first = fs.gradient(case.f, case.p, args=case.args, wrt=case.wrt, n=DRAWS, rng=seed)
        value.append((first.value - case.value) / first.value_stderr)
        for b in baselines:
            estimate = first.with_baseline(b)
            stderr = flat(estimate.grad_stderr)
            collected[b][0].append((estimate.flat - case.grad) / stderr)
            if b in errors:
                variance = case.var[VARIANCES.get(b, "opt_scalar")]
                collected[b][1].append((DRAWS * stderr**2 - variance) / errors[b])
    return {"value": value} | {
        names.get(b, b): {"gradient": np.array(grad), "variance": np.array(variance)}
        for b, (grad, variance) in collected.items()
    }


def summary(z) -> dict[str, float]:
    """Largest single z, and largest z of the seeds' mean."""
    z = np.asarray(z)
    if not z.size:
        return {}
    mean = z.sum(axis=0) / math.sqrt(len(z))
    return {"largest": round(float(np.abs(z).max()), 2),
            "of the mean": round(float(np.abs(mean).max()), 2)}  # fmt: skip


def main() -> None:
    """Run all cases and write the results."""
    start = time.perf_counter()
    data = json.loads((Path(__file__).parents[1] / "data" / "gaussian_cases.json").read_text())
    rows = {row["id"]: row for row in data["cases"]}
    table, everything = {}, []
    for name, case in cases().items():
        if case.var is None:
            continue
        z = z_scores(case, rows)
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
        "seeds": len(SEEDS),
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
