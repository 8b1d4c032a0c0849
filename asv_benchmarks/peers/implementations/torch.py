"""PyTorch on the CPU in double precision: scores by hand, and automatic differentiation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, MultivariateNormal, Normal

from asv_benchmarks.peers import workloads
from asv_benchmarks.peers.implementations._densities import (
    polynomial,
    standardising,
    weighted_gradient,
)
from asv_benchmarks.peers.implementations._sums import (
    baseline,
    leave_one_out,
    lower_half_of,
    of_factor,
    optimal_baseline,
    sum_of_chunks,
    sum_with_running_mean,
    value_at_mean,
)
from asv_benchmarks.peers.workloads import Array

torch.set_default_dtype(torch.float64)

#: Numbers in a chunk: of the sizes tried (2**14 to 2**20), the fastest.
CHUNK = 2**17
#: The same where a chunk is a table of samples and classes.
TABLE = 2**20
#: The same for W5.
MULTIVARIATE = 2**16
#: Units of W4 in a chunk, likewise.
UNITS = 256


def start(seed: int, threads: int) -> None:
    """Seed the generator, and limit the threads."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)


def rows_of(size: int, numbers: int = CHUNK) -> int:
    """Return the number of samples in a chunk."""
    return max(numbers // size, 16)


# ---------------------------------------------------------------- scores by hand


@torch.no_grad()
def gaussian(workload: workloads.Gaussian, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W1."""
    start(seed, threads)
    sigma, shift = torch.tensor(workload.log_scale).exp(), torch.tensor(workload.mu - 3)
    centre = value_at_mean(workload)

    def chunk(count: int) -> tuple[Tensor, ...]:
        z = torch.randn(count, sigma.numel())
        w = (shift + sigma * z).square_().sum(1) - centre
        weights = torch.stack([torch.ones(count), w])
        u = z.square() - 1
        return weights.sum(1), weights @ z, weights @ u, weights @ u.square()

    sums = sum_of_chunks(chunk, n, rows_of(sigma.numel()))
    return optimal_baseline(workload, n, *sums)


@torch.no_grad()
def bernoulli(workload: workloads.Bernoulli, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W2, the uniform numbers in single precision."""
    start(seed, threads)
    p = torch.tensor(workload.p, dtype=torch.float32)

    def chunk(count: int) -> tuple[Tensor, ...]:
        x = (torch.rand(count, p.numel(), dtype=torch.float32) < p).double()
        f = (x.sum(1) - 60).square()
        return f.sum(), *(torch.stack([torch.ones(count), f]) @ x)

    return leave_one_out(n, *sum_of_chunks(chunk, n, rows_of(p.numel())))


@torch.no_grad()
def categorical(workload: workloads.Categorical, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W3."""
    start(seed, threads)
    p, values = torch.tensor(workload.p), torch.tensor(workload.values)

    def chunk(count: int) -> tuple[Tensor, ...]:
        x = torch.multinomial(p, count, replacement=True)
        f = values[x]
        k = p.numel()
        return f.sum(), torch.bincount(x, minlength=k), torch.bincount(x, f, minlength=k)

    return leave_one_out(n, *sum_of_chunks(chunk, n, CHUNK))


@torch.no_grad()
def importance(workload: workloads.Importance, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W4; here a row for each coordinate is quicker."""
    start(seed, threads)
    shift, stretch = map(torch.tensor, standardising(workload))
    linear, square, constant = map(torch.tensor, polynomial(workload))
    sigma = torch.tensor(workload.log_scale).exp()[:, None]
    distance = torch.tensor(workload.mu - 3)[:, None]
    j, d = linear.shape

    def chunk(count: int) -> tuple[Tensor, ...]:
        y = torch.randn(d, j, count).mul_(stretch).add_(shift).view(d, -1)
        yy = y.square()
        f = torch.addcmul(distance, sigma, y).square_().sum(0)
        ratios = torch.addmm(constant, linear, y).addmm_(square, yy)
        w = f / ratios.exp_().sum(0)
        return w.sum(), y @ w, yy @ w

    return weighted_gradient(workload, n, *sum_of_chunks(chunk, workload.units(n), UNITS))


@torch.no_grad()
def multivariate(workload: workloads.Multivariate, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W5."""
    start(seed, threads)
    factor, shift = torch.tensor(workload.scale_tril), torch.tensor(workload.mu - 3)

    def chunk(count: int, mean: float) -> tuple[Tensor, ...]:
        z = torch.randn(count, shift.numel())
        f = torch.addmm(shift, z, factor.T).square_().sum(1)
        w = f - baseline(f, mean)
        return f.sum(), w.sum(), w @ z, (w[:, None] * z).T @ z

    rows = rows_of(shift.numel(), MULTIVARIATE)
    return of_factor(workload, n, *sum_with_running_mean(chunk, n, rows))


# ---------------------------------------------------------------- automatic differentiation


def surrogate(
    parameters: list[Tensor],
    sample: Callable[[int], tuple[Tensor, Tensor]],
    n: int,
    rows: int,
) -> Array:
    """Differentiate the mean of f less a baseline, times log p.

    Parameters
    ----------
    parameters : list of Tensor
        What to differentiate by.
    sample : callable
        Draws a number of samples, and returns f and log p of each.
    n, rows : int
        Number of samples, and of those in a chunk.
    """

    def chunk(count: int, mean: float) -> list[Tensor]:
        f, log_p = sample(count)
        weights = f - baseline(f, mean)
        return [f.sum(), *torch.autograd.grad(weights @ log_p, parameters)]

    return np.concatenate(sum_with_running_mean(chunk, n, rows), axis=None) / n


def gaussian_surrogate(workload: workloads.Gaussian, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W1."""
    start(seed, threads)
    mu = torch.tensor(workload.mu, requires_grad=True)
    log_scale = torch.tensor(workload.log_scale, requires_grad=True)

    def sample(count: int) -> tuple[Tensor, Tensor]:
        q = Normal(mu, log_scale.exp(), validate_args=False)
        x = q.sample((count,))
        return (x - 3).square().sum(1), q.log_prob(x).sum(1)

    return surrogate([mu, log_scale], sample, n, rows_of(mu.numel()))


def bernoulli_surrogate(workload: workloads.Bernoulli, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W2."""
    start(seed, threads)
    logits = torch.tensor(workload.logits, requires_grad=True)

    def sample(count: int) -> tuple[Tensor, Tensor]:
        q = Bernoulli(logits=logits, validate_args=False)
        x = q.sample((count,))
        return (x.sum(1) - 60).square(), q.log_prob(x).sum(1)

    return surrogate([logits], sample, n, rows_of(logits.numel()))


def categorical_surrogate(
    workload: workloads.Categorical, n: int, seed: int, threads: int
) -> Array:
    """Estimate the gradient of W3; PyTorch holds a number for each sample and class."""
    start(seed, threads)
    logits = torch.tensor(workload.logits, requires_grad=True)
    values = torch.tensor(workload.values)

    def sample(count: int) -> tuple[Tensor, Tensor]:
        q = Categorical(logits=logits, validate_args=False)
        x = q.sample((count,))
        return values[x], q.log_prob(x)

    return surrogate([logits], sample, n, rows_of(logits.numel(), TABLE))


def importance_surrogate(workload: workloads.Importance, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient of W4; a loop over the proposals is quicker than one array."""
    start(seed, threads)
    mu = torch.tensor(workload.mu[:, None], requires_grad=True)
    log_scale = torch.tensor(workload.log_scale[:, None], requires_grad=True)
    loc, scale = (torch.tensor(array.T)[:, :, None] for array in (workload.loc, workload.scale))
    d, j, _ = loc.shape
    proposals = [Normal(loc[:, i], scale[:, i], validate_args=False) for i in range(j)]

    def chunk(count: int) -> tuple[Tensor, ...]:
        p = Normal(mu, log_scale.exp(), validate_args=False)
        x = torch.randn(d, j, count).mul_(scale).add_(loc).view(d, -1)
        log_p = p.log_prob(x).sum(0)
        log_q = torch.stack([q.log_prob(x).sum(0) for q in proposals])
        log_w = log_p.detach() - log_q.logsumexp(0) + math.log(j)
        values = log_w.exp() * (x - 3).square().sum(0)
        return torch.autograd.grad(values @ log_p, [mu, log_scale])

    sums = sum_of_chunks(chunk, workload.units(n), UNITS)
    return np.concatenate(sums, axis=None) / (workload.units(n) * j)


def multivariate_surrogate(
    workload: workloads.Multivariate, n: int, seed: int, threads: int
) -> Array:
    """Estimate the gradient of W5."""
    start(seed, threads)
    mu = torch.tensor(workload.mu, requires_grad=True)
    scale_tril = torch.tensor(workload.scale_tril, requires_grad=True)

    def sample(count: int) -> tuple[Tensor, Tensor]:
        q = MultivariateNormal(mu, scale_tril=scale_tril, validate_args=False)
        x = q.sample((count,))
        return (x - 3).square().sum(1), q.log_prob(x)

    rows = rows_of(mu.numel(), MULTIVARIATE)
    return lower_half_of(surrogate([mu, scale_tril], sample, n, rows), workload)


CLOSED_FORM = {
    "W1": gaussian,
    "W2": bernoulli,
    "W3": categorical,
    "W4": importance,
    "W5": multivariate,
}
SURROGATE = {
    "W1": gaussian_surrogate,
    "W2": bernoulli_surrogate,
    "W3": categorical_surrogate,
    "W4": importance_surrogate,
    "W5": multivariate_surrogate,
}
