"""The workloads that the benchmarks share: those of ``asv_benchmarks.peers``."""

import numpy as np
from numba import njit

import fastscore as fs

#: Samples times coordinates of one call.
ELEMENTS = 2_000_000


@njit(fastmath=True)
def of_sample(x):
    """Sum of (x_k - 3)² of one sample."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - 3.0) ** 2
    return total


@njit
def of_sample_strict(x):
    """The same with additions in order."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - 3.0) ** 2
    return total


@njit(fastmath=True)
def of_batch(batch, out):
    """The same for a batch."""
    for t in range(batch.shape[0]):
        total = 0.0
        for k in range(batch.shape[1]):
            total += (batch[t, k] - 3.0) ** 2
        out[t] = total


def of_array(x):
    """The same NumPy-style."""
    return ((x - 3.0) ** 2).sum(axis=1)


INTEGRANDS = {
    "sample": of_sample,
    "strict": of_sample_strict,
    "batch": of_batch,
    "numpy": of_array,
}


@njit
def square_of_sum(x):
    """(Σ x_k - 60)² of one sample of zeros and ones."""
    total = 0
    for k in range(x.size):
        total += x[k]
    return (total - 60.0) ** 2


@njit
def looked_up(x, values):
    """The value of a class."""
    return values[x[0]]


def normal(d: int) -> fs.Normal:
    """W1: means from -1/2 to 1/2, log-scales from -0.3 to 0.3."""
    return fs.Normal(np.linspace(-0.5, 0.5, d), log_scale=np.linspace(-0.3, 0.3, d))


def proposals(d: int, count: int) -> list[fs.Normal]:
    """W4: scattered about the target of W1, and wider; eight of them there."""
    loc, scale = np.linspace(-0.5, 0.5, d), np.exp(np.linspace(-0.3, 0.3, d))
    k = np.arange(d)
    return [
        fs.Normal(loc + 0.3 * np.sin(1.7 * j + k), scale * (1.05 + 0.03 * j)) for j in range(count)
    ]


def bernoulli(d: int) -> fs.Bernoulli:
    """W2: logits from -2 to 1."""
    return fs.Bernoulli(logits=np.linspace(-2.0, 1.0, d))


def categorical(classes: int) -> tuple[fs.Categorical, np.ndarray]:
    """W3: one variable with random logits, and a table of values."""
    rng = np.random.default_rng(11)
    logits = rng.normal(size=classes)
    return fs.Categorical(logits=logits), rng.normal(size=classes) ** 2 * 3
