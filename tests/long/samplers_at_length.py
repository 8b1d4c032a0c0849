"""Samplers at length, as ``PYTHONPATH=tests python -m tests.long.samplers_at_length``.

It writes samplers_results.json here.

Of each family 1e8 draws, by several corners: Pearson's test of all in 200 bins of equal probability
and in bins of the tails, and Kolmogorov and Smirnov's of the first ten million.
"""

from __future__ import annotations

import datetime
import json
import multiprocessing
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numba
import numpy as np
import scipy
from families.registry import ENTRIES, Independent, truth_of
from numba import njit
from scipy import stats

import fastscore as fs

DRAWS = 10**8
CHUNK = 2 * 10**6
#: What the test of Kolmogorov and Smirnov sees of a family, shared by its corners.
SORTED = 10**7
RESULTS = Path(__file__).with_name("samplers_results.json")
#: Where bins end: tails of fewer than 25 draws say nothing.
TAILS = 10.0 ** np.arange(-6, -2)
GRID = np.concatenate([TAILS, np.arange(1, 200) / 200, 1 - TAILS])
TRIANGLE = [[1.5, 0.0], [-0.4, 0.7]]

CORNERS = {
    "Bernoulli": [{"probs": 0.3}, {"probs": 1e-4}, {"logits": 5.0}],
    "Beta": [
        {"concentration1": a, "concentration0": b}
        for a, b in ((0.01, 0.02), (0.5, 0.5), (1.0, 3.0), (2.5, 1.5), (1e4, 30.0))
    ],
    "BetaBinomial": [
        {"total_count": n, "concentration1": a, "concentration0": b}
        for n, a, b in ((10, 2.0, 3.0), (1000, 0.5, 0.5), (10**6, 3.0, 40.0))
    ],
    "Binomial": [
        {"total_count": n, "probs": p}
        for n, p in ((1, 0.3), (10, 0.9), (100, 0.01), (1000, 0.5), (10**6, 0.3), (10**9, 1e-8))
    ],
    "Categorical": [{"probs": [1.0, 2.0, 0.5, 1e-3]}, {"logits": np.linspace(0, 3, 50)}],
    "Cauchy": [{"loc": 0.5, "scale": 2.0}],
    "Chi2": [{"df": df} for df in (0.05, 1.0, 5.0, 1e4)],
    "Dirichlet": [
        {"concentration": a} for a in ([0.01, 0.02, 3.0], [0.5, 0.7, 0.5, 1.0], [2.0, 1e4, 30.0])
    ],
    "Exponential": [{"rate": 1.0}, {"log_rate": 20.0}],
    "FiniteDiscrete": [{"outcomes": [-1.5, 0.25, 7.0], "probs": [1.0, 2.0, 1e-3]}],
    "Gamma": [
        {"concentration": a, "rate": 2.0} for a in (1e-3, 0.1, 0.7, 1.0, 1.3, 5.0, 1e3, 1e8)
    ],
    "Geometric": [{"probs": p} for p in (0.9, 0.3, 1e-3, 1e-9)],
    "Gumbel": [{"loc": 0.5, "scale": 2.0}],
    "HalfNormal": [{"scale": 2.0}],
    "InverseGamma": [{"concentration": a, "rate": 2.0} for a in (0.1, 1.0, 5.0, 1e3)],
    "Kumaraswamy": [
        {"concentration1": a, "concentration0": b} for a, b in ((0.5, 0.7), (2.0, 3.0), (10.0, 1e3))
    ],
    "Laplace": [{"loc": 0.5, "scale": 2.0}],
    "LogNormal": [{"loc": 0.5, "scale": 0.7}, {"loc": 0.0, "scale": 20.0}],
    "Logistic": [{"loc": 0.5, "scale": 2.0}],
    "LowRankMultivariateNormal": [
        {"loc": [0.5, 1.0], "cov_factor": [[0.5], [-2.0]], "cov_diag": [1.0, 0.1]}
    ],
    "Multinomial": [
        {"total_count": n, "probs": probs}
        for n, probs in (
            (5, [0.2, 0.8]), (40, [1.0, 1.0, 1.0]), (200, [1.0] * 10), (10**6, [1e-6, 0.1, 0.3])
        )
    ],
    "MultivariateNormal": [{"loc": [0.5, 1.0], "scale_tril": TRIANGLE}],
    "NegativeBinomial": [
        {"total_count": r, "probs": p}
        for r, p in ((3.0, 0.4), (0.1, 0.9999), (1e6, 0.5), (1e4, 1e-4), (0.5, 0.1))
    ],
    "Normal": [{"loc": 0.5, "scale": 2.0}],
    "OneHotCategorical": [{"probs": [1.0, 2.0, 0.5, 1e-3]}],
    "Pareto": [{"scale": 2.0, "alpha": alpha} for alpha in (0.5, 3.0)],
    "PlackettLuce": [{"logits": [0.5, -1.0, 2.0]}, {"logits": np.linspace(0, 3, 8)}],
    "Poisson": [
        {"rate": rate} for rate in (1e-3, 0.7, 4.0, 12.5, 300.0, 2e4, 1e6, 1e9, 1e12)
    ],
    "StudentT": [{"df": df} for df in (0.3, 1.0, 2.5, 4.0, 30.0, 1e5)],
    "TruncatedNormal": [
        {"loc": 0.0, "scale": 1.0, "low": low, "high": high}
        for low, high in ((-1.0, 2.0), (5.0, np.inf), (-0.1, 0.1), (-np.inf, -3.0), (-8.0, 8.0))
    ],
    "Uniform": [{"low": -1.0, "high": 3.0}],
    "VonMises": [{"loc": 2.0, "concentration": k} for k in (1e-3, 0.5, 1.0, 3.0, 30.0, 1e4)],
    "Weibull": [{"scale": 2.0, "concentration": k} for k in (0.3, 1.0, 5.0)],
}  # fmt: skip


@njit
def add_to_bins(x, edges, counts):
    """Bin i holds what is above edge i - 1, and at most edge i."""
    for value in x:
        low, high = 0, len(edges)
        while low < high:
            middle = (low + high) // 2
            if edges[middle] < value:
                low = middle + 1
            else:
                high = middle
        counts[low] += 1


class Bins:
    """Where draws are counted, and how many are expected."""

    def __init__(self, law) -> None:
        # Nearer to the ends of the line float64 has too few numbers.
        low, high = (1e-300 if law.support()[0] == 0 else -np.inf), np.inf
        if law.support()[1] == 1:
            high = 1 - 1e-9
        edges = np.unique(np.clip(law.ppf(GRID), low, high))
        below, above = law.cdf(edges), law.sf(edges)
        upper = below > 0.5  # there sf has the digits
        masses = np.where(upper[1:], above[:-1] - above[1:], below[1:] - below[:-1])
        self.edges, self.masses = edges, np.concatenate([[below[0]], masses, [above[-1]]])
        self.counts = np.zeros(len(self.masses), np.int64)

    def add(self, x) -> None:
        add_to_bins(x, self.edges, self.counts)

    def p_value(self) -> float:
        """Of Pearson's statistic, over bins that can be hit."""
        possible = self.masses > 0
        assert self.counts[~possible].sum() == 0
        if possible.sum() == 1:
            return 1.0
        expected = self.masses[possible] * self.counts.sum()
        square = np.sum((self.counts[possible] - expected) ** 2 / expected)
        return float(stats.chi2.sf(square, possible.sum() - 1))


def corner(name: str, index: int) -> dict:
    """Draw one of a family's corners, and test it."""
    keywords, seed = CORNERS[name][index], 1000 * list(CORNERS).index(name) + 100_000 * index
    p, start = getattr(fs, name)(**keywords), time.perf_counter()
    truth, rng = truth_of(p), np.random.default_rng(seed)
    n = DRAWS // len(CORNERS[name]) // p.d
    # Of SciPy's laws the draws are counted, of others what should be uniform.
    as_drawn = isinstance(truth, Independent) and hasattr(truth.law, "ppf")
    bins = Bins(truth.law if as_drawn else stats.uniform())
    uniforms, least = [], SORTED // len(CORNERS[name]) // p.d
    drawing = 0.0
    for start_of_chunk in range(0, n, CHUNK):
        begin = time.perf_counter()
        x = p.sample(min(CHUNK, n - start_of_chunk), rng=seed + start_of_chunk // CHUNK)
        drawing += time.perf_counter() - begin
        if start_of_chunk < least or not as_drawn:
            u = truth.uniforms(x, rng)
            if start_of_chunk < least:
                uniforms.append(u.ravel())
        bins.add((x if as_drawn else u).ravel())
    ks = stats.kstest(np.concatenate(uniforms), "uniform", method="asymp")
    return {
        "parameters": {key: np.asarray(value).tolist() for key, value in keywords.items()},
        "draws": n * p.d,
        "bins": len(bins.masses),
        "chi-square, p": float(f"{bins.p_value():.3g}"),
        "Kolmogorov-Smirnov, p": float(f"{ks.pvalue:.3g}"),
        "ns per draw": round(drawing / (n * p.d) * 1e9, 2),
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    """Run all corners and write the results."""
    assert CORNERS.keys() == ENTRIES.keys()
    start = time.perf_counter()
    tasks = [(name, index) for name in CORNERS for index in range(len(CORNERS[name]))]
    table: dict[str, list] = {name: [] for name in CORNERS}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for (name, _), result in zip(
            tasks, pool.map(corner, *zip(*tasks, strict=True)), strict=True
        ):
            table[name].append(result)
            print(name, json.dumps(result), flush=True)
    values = [
        result[key] for results in table.values() for result in results
        for key in ("chi-square, p", "Kolmogorov-Smirnov, p")
    ]  # fmt: skip
    report = {
        "date": datetime.date.today().isoformat(),
        "draws of each family": DRAWS,
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
            "tests": len(values),
            "smallest p": min(values),
            "below 0.01": int(np.sum(np.array(values) < 0.01)),
            "above 0.5": int(np.sum(np.array(values) > 0.5)),
        },
        "families": table,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["all"]))


if __name__ == "__main__":
    main()
