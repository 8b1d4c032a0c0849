"""``estimator="auto"`` against the best single choice: ``python -m tests.long.auto_on_cases``.

``PYTHONPATH=tests``, from the root.  It writes auto_results.json here, after each case.

Of every case with a known answer, at n = 1e5 and 1e6 on one thread: variance × seconds of auto, its
pilot included, over the least of all single combinations that may compete, each measured at this
very n on the same seeds, whose streams are not those of the pilot.  The variance is the mean trace
over the runs.  Seconds are counted three ways: of the call, of the kernels alone (a run of a
closed-form f takes less than a call from Python does), and as samples.  Auto's kernels and samples
are those of its pilot, too.
"""

from __future__ import annotations

import datetime
import json
import time
import warnings
from pathlib import Path
from typing import Any

import discrete
import gaussian
import numpy as np
from cases import Case

import fastscore as fs
from fastscore.choice.combinations import Combination, competitors, with_baselines
from fastscore.choice.pilot import Pilot
from tests.long.coverage_at_length import SKEWED, TEN

RESULTS = Path(__file__).with_name("auto_results.json")
SIZES, RUNS, SEED = (10**5, 10**6), 3, 20_000
#: Part of the variance without a baseline that counts as none: rounding, and what differences leave
#: of a polynomial in a `DeltaMethod`.
_ROUNDING = 1e-10
WAYS = ("call", "kernels", "samples")


def single(case: Case, n: int) -> dict[str, dict[str, float]]:
    """Variance × seconds of each combination."""
    field = competitors(fs.Integrand(case.f), case.p, case.args, Combination(), n, case.wrt)
    works: dict[str, dict[str, float]] = {}
    for one in field.combinations:
        options: dict[str, Any] = one.options
        if not one.exact:
            options |= {"n": n, "threads": 1}
        try:
            estimates = [timed(case, **options, **seed(one, r)) for r in range(-1, RUNS)][1:]
        except (TypeError, ValueError):
            continue
        for combination in (one, *with_baselines(one)):
            traces = [
                float(np.sum((e if combination is one else e.with_baseline(combination.baseline))
                             .flat_stderr ** 2)) for e, _ in estimates
            ]  # fmt: skip
            works[str(combination)] = product(traces, {
                "call": [seconds for _, seconds in estimates],
                "kernels": [e.run_seconds for e, _ in estimates],
                "samples": [e.n for e, _ in estimates],
            })  # fmt: skip
    return works


def seed(combination: Combination, r: int) -> dict[str, int]:
    return {} if combination.exact else {"rng": SEED + r}


def timed(case: Case, **options: Any) -> tuple[fs.Estimate, float]:
    began = time.perf_counter()
    estimate = fs.gradient(case.f, case.p, args=case.args, wrt=case.wrt, **options)
    estimate.flat_stderr  # noqa: B018
    return estimate, time.perf_counter() - began


def product(traces: list[float], seconds: dict[str, list[float]]) -> dict[str, float]:
    """Mean variance times median seconds."""
    return {way: float(np.mean(traces) * np.median(took)) for way, took in seconds.items()}


def chosen(case: Case, n: int) -> dict[str, Any]:
    """The same of auto, with what its pilot took."""
    kept: list[fs.Estimate] = []
    keep = Pilot._keep

    def watched(self: Pilot, record: Any, estimate: fs.Estimate, elapsed: float) -> None:
        kept.append(estimate)
        keep(self, record, estimate, elapsed)

    Pilot._keep = watched  # type: ignore[method-assign]
    traces, choices, shares = [], [], []
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    try:
        for r in range(-1, RUNS):
            kept.clear()
            estimate, seconds = timed(case, n=n, rng=SEED + r, estimator="auto", threads=1)
            if r < 0:
                continue
            traces.append(float(np.sum(estimate.flat_stderr**2)))
            took["call"].append(seconds)
            took["kernels"].append(estimate.run_seconds + sum(e.run_seconds for e in kept))
            took["samples"].append(estimate.n + sum(e.n for e in kept))
            assert estimate.options is not None
            own = {k: str(v) for k, v in estimate.options.items() if k not in ("n", "rng")}
            choices.append(str(own or "default"))
            shares.append(estimate.pilot_seconds / estimate.seconds)
    finally:
        Pilot._keep = keep  # type: ignore[method-assign]
    return product(traces, took) | {
        "choices": sorted(set(choices)), "pilot part": float(np.median(shares)),
    }  # fmt: skip


def main() -> None:
    more = {case.name: case for case in (*TEN, *SKEWED)}
    cases = gaussian.cases() | discrete.cases() | more
    out: dict[str, Any] = {"date": str(datetime.date.today()), "runs": RUNS, "cases": {}}
    for name, case in cases.items():
        for n in SIZES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                works, auto = single(case, n), chosen(case, n)
            found: dict[str, Any] = {"auto": auto["choices"], "pilot part": auto["pilot part"]}
            for way in WAYS:
                best = min(works, key=lambda one, way=way: works[one][way])
                least, default = works[best][way], works["score, iid, baseline 'optimal'"][way]
                none = _ROUNDING * works["score, iid, baseline None"][way]
                found[way] = {
                    "best": best,
                    "auto over best": (auto[way] + none) / (least + none),
                    "default over auto": default / (auto[way] + none) if default else None,
                }
            out["cases"].setdefault(name, {})[str(n)] = found
            print(name, n, found["auto"], *(f"{w} {found[w]['auto over best']:.3g}" for w in WAYS))
        RESULTS.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
