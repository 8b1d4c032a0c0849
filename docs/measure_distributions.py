"""Measure all registered families: ``python docs/measure_distributions.py [name …]``.

What is found goes to ``distributions.json``, of which ``distributions.py`` makes the page: speed
beside NumPy on one thread, what LLVM made of the kernels, and errors against mpmath.  It takes two
minutes of a quiet machine with two cores.  Names of families measure these alone, and keep the
rest, as long as that is of the same machine and versions.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read as NumPy is imported

import llvmlite.binding as llvm
import numpy as np
from distributions import FACTS, REGISTERED, ROOT

sys.path.insert(0, str(ROOT))

from families.densities import LOG_DENSITIES, exact
from families.registry import EXAMPLES, derivatives, drawn
from families.test_accuracy import EXTREMES, coordinates
from families.test_vectorised import PACKED, assembly_of
from packed import LIBM_CALL

import fastscore as fs
from asv_benchmarks.benchmarks.families import CASES, SIZES, measured
from fastscore.families._pushforward import Pushforward

#: Any arithmetic of integers in vectors, where there is none of floats.
_PACKED_INTEGERS = re.compile(r"\bvp(add|sub|mul|srl|sll|xor|cmp|min|max)\w*\b.*%[yz]mm")


# --- speed ---


def speeds(case: str) -> list[dict[str, Any]]:
    """Of a case of the benchmark, of few and of more coordinates."""
    found = [measured(case, d) for d in SIZES]
    print(*found, sep="\n", flush=True)
    return found


# --- what LLVM made ---


def densities_of(p: Any) -> list[Any]:
    """Kernels of the log-density; that of a pushforward calls its base's."""
    own = [p.log_probs_kernel]
    return [*own, p.inverse_kernel, *densities_of(p.base)] if isinstance(p, Pushforward) else own


def packed(kernels: list[Any]) -> str:
    """What they compute in vectors, without calling libm."""
    assembly = "".join(map(assembly_of, kernels))
    if LIBM_CALL.search(assembly):
        return "no"
    if PACKED.search(assembly):
        return "yes"
    return "integers" if _PACKED_INTEGERS.search(assembly) else "no"


def vectors(name: str) -> dict[str, str]:
    """Of its first example: the kernels that a gradient runs, and the log-density of x."""
    p = next(example.p for example in EXAMPLES if example.name == name)
    source = p.source.family
    kernels = {"sample": [source.sample_kernel], "log-density": densities_of(p)}
    if p.size:
        kernels["score"] = [source.score_kernel]
    return {what: packed(made) for what, made in kernels.items()}


# --- accuracy ---


def worst(found: Any, true: Any, floor: Any) -> float:
    """The largest error, relative to the true value and a floor."""
    found, true = np.asarray(found), np.asarray(true)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(found == true, 0.0, np.abs(found - true) / (np.abs(true) + floor))
    return float(np.max(error, initial=0.0))


def errors_at(p: Any, x: np.ndarray, truth: Any, floors: tuple[Any, Any]) -> tuple[int, ...]:
    """Number of points, and the largest errors of log-density and score."""
    true_density, true_score = truth
    density = worst(p.log_prob(x), true_density, floors[0])
    return len(x), density, worst(p.score(x) if p.size else 0.0, true_score, floors[1])


def summed(errors: list[tuple[int, ...]]) -> dict[str, Any]:
    """Of several sets of points."""
    points, densities, scores = zip(*errors, strict=True)
    worst_ones = {"log-density": max(densities), "score": max(scores)}
    return {"points": sum(points), **{k: float(f"{v:.2g}") for k, v in worst_ones.items()}}


def spread_of(p: Any) -> np.ndarray:
    return np.sqrt(np.diagonal(p.fisher())) if p.size else np.zeros(0)


def ordinary_errors(example: Any) -> list[tuple[int, ...]]:
    """Against mpmath at a few samples of each coordinate, or of all that are coupled."""
    out = []
    for k, keywords in coordinates(example):
        p, x = type(example.p)(**keywords), drawn(example)[:6, k]
        x = x[np.isfinite(p.log_prob(x))]
        truth = [exact(example.name, row, p.constants, **keywords) for row in x]
        out.append(errors_at(p, x, [[t[i] for t in truth] for i in (0, 1)], (1.0, spread_of(p))))
    return out


def extreme_errors(name: str) -> list[tuple[int, ...]]:
    """Against mpmath where it is hardest."""
    out = []
    for keywords, points in EXTREMES.get(name, ()):
        p = getattr(fs, name)(**keywords)
        for point in points:
            x = np.reshape(np.asarray(point, dtype=p.dtype), (1, p.d))
            out.append(errors_at(p, x, exact(name, x[0], p.constants, **keywords), (0.0, 0.0)))
    return out


def compared(example: Any) -> tuple[int, ...]:
    """The log-density with that of the registry, the score with differences of the log-density."""
    p, x = example.p, drawn(example)[:50]
    x = x[np.isfinite(p.log_prob(x))]
    truth = example.truth.log_prob(x), derivatives(p, lambda q: q.log_prob(x)) if p.size else 0.0
    return errors_at(p, x, truth, (1.0, spread_of(p)))


def accuracy(name: str) -> dict[str, Any]:
    """Errors at ordinary and at extreme points."""
    examples = [example for example in EXAMPLES if example.name == name]
    if name not in LOG_DENSITIES:
        return {"compared": summed([compared(example) for example in examples])}
    found = {"ordinary": summed([one for e in examples for one in ordinary_errors(e)])}
    extreme = extreme_errors(name)
    return {**found, "extreme": summed(extreme)} if extreme else found


# --- all of it ---


def machine() -> dict[str, str]:
    """Where this is measured, and with what."""
    features, cpu = llvm.get_host_cpu_features(), platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            cpu = next((line.split(":")[1].strip() for line in file if "model name" in line), cpu)
    widest = next((k for k in ("avx512f", "avx2") if features.get(k)), "no AVX2")
    packages = ("numba", "llvmlite", "numpy", "scipy", "mpmath")
    return {
        "cpu": cpu, "vectors": widest, "system": platform.system(),
        "python": platform.python_version(), **{name: version(name) for name in packages},
    }  # fmt: skip


def write(measured: dict[str, str], families: dict[str, Any]) -> None:
    """As JSON, a line for each family."""
    known = [name for name in REGISTERED if name in families]
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(families[name])}" for name in known)
    text = f'{{"measured": {json.dumps(measured)},\n"families": {{\n{lines}\n}}}}\n'
    FACTS.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, and write."""
    unknown = set(sys.argv[1:]) - set(REGISTERED)
    if unknown:
        raise SystemExit(f"no registered family: {', '.join(sorted(unknown))}")
    names, kept = sys.argv[1:] or REGISTERED, {}
    if sys.argv[1:]:
        old = json.loads(FACTS.read_text(encoding="utf-8"))
        kept, then = old["families"], {k: v for k, v in old["measured"].items() if k != "date"}
        if then != machine():
            raise SystemExit(f"the rest was measured on {then}, not {machine()}: measure all")
    found: dict[str, Any] = {name: {"speed": []} for name in names}
    for case, (name, *_) in CASES.items():
        if name in found:
            found[name]["speed"] += speeds(case)
    # Spawned: LLVM's threads would not survive a fork.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for what in (vectors, accuracy):
            for name, value in zip(names, pool.map(what, names), strict=True):
                found[name][what.__name__] = value
                print(f"{name}: {value}", flush=True)
    write({"date": f"{datetime.date.today()}", **machine()}, {**kept, **found})


if __name__ == "__main__":
    main()
