"""Importance sampling at length, as ``PYTHONPATH=tests python -m tests.long.importance_at_length``.

It writes importance_results.json here.

Ten seeds of 1e7 samples for each case of gradients and each scheme, without a baseline and with the
optimal one.  Without, the variance that the standard error stands for is held to the exact one of a
unit, by the spread over the seeds, as Student's t of nine degrees of freedom.
"""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path

import numpy as np
from cases import flat
from test_mis_cases import CASES, GRADIENT_SCHEMES, GRADIENTS, SCHEMES, problem

import fastscore as fs

SAMPLES = 10**7
SEEDS = 10
RESULTS = Path(__file__).with_name("importance_results.json")
#: With the name of the variance in the file, and the options.
OPTIMAL = [
    (name, next(key for key in CASES[name]["var"] if key.startswith("optimal")), "optimal")
    for name in GRADIENTS
]


def runs(name, scheme, key, first_seed):
    """Largest z of gradients by baseline, and t of the variances."""
    case = problem(name)
    options = {"heuristic": "optimal"} if scheme == "optimal" else SCHEMES[scheme]
    proposals = fs.Proposals(case.families, allocation=case.counts, **options)
    # The exact variance is that of an estimate from ``sum(counts)`` samples.
    exact = np.array(list(CASES[name]["var"][key].values())) * sum(case.counts)
    z, variances = {None: [], "optimal": []}, []
    for seed in range(first_seed, first_seed + SEEDS):
        run = fs.gradient(
            case.f, case.p, args=case.args, proposals=proposals, n=SAMPLES, rng=seed, baseline=None
        )
        variances.append(flat(run.grad_stderr) ** 2 * run.n)
        for baseline, kept in z.items():
            one = run.with_baseline(baseline)
            kept.append((one.flat - case.grad) / flat(one.grad_stderr))
    variances = np.array(variances)
    t = (variances.mean(0) - exact) / (variances.std(0, ddof=1) / np.sqrt(SEEDS))
    return {
        "gradient": {str(b): summary(values) for b, values in z.items()},
        "variance, t": round(float(np.abs(t).max()), 2),
        "variance, relative": float(f"{np.abs(variances.mean(0) / exact - 1).max():.2g}"),
    }


def summary(z):
    """Largest single z, and largest z of the seeds' mean."""
    z = np.array(z)
    mean = z.sum(axis=0) / np.sqrt(len(z))
    return {"largest": round(float(np.abs(z).max()), 2),
            "of the mean": round(float(np.abs(mean).max()), 2)}  # fmt: skip


def main() -> None:
    """Run all cases and write the results."""
    start, table = time.perf_counter(), {}
    schemes = [(name, scheme, scheme) for name, scheme in GRADIENT_SCHEMES]
    for index, (name, key, scheme) in enumerate(schemes + OPTIMAL):
        table[f"{name}, {scheme}"] = runs(name, scheme, key, 1000 * (index + 1))
        print(name, scheme, json.dumps(table[f"{name}, {scheme}"]), flush=True)
    report = {
        "date": datetime.date.today().isoformat(),
        "samples": SAMPLES,
        "seeds": SEEDS,
        "seconds": round(time.perf_counter() - start, 1),
        "version": fs.__version__,
        "cases": table,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
