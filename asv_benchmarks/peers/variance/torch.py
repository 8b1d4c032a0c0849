"""PyTorch on the CPU in double precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from asv_benchmarks.peers.variance.problems import Array, Problem
from asv_benchmarks.peers.variance.sums import leave_one_out, threaded

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # threads take parts of the samples, whose random numbers are the work

#: Numbers in a chunk.
CHUNK = 2**16


def g_in_place(problem: Problem, x: Tensor) -> Tensor:
    """Turn x into g(x)."""
    if problem.kind == "exp":
        return x.square_().mul_(-problem.k).exp_()
    return x.mul_(problem.k).cos_() if problem.kind == "cos" else x.sub_(problem.k).square_()


def normal(problem: Problem, d: int, seed: int, n: int) -> tuple[Any, ...]:
    """Sums of f, of ``(1, f) z`` and of ``(1, f) (z² − 1)``."""
    generator, rows = torch.Generator().manual_seed(seed), min(CHUNK // d, n)
    z, x, weights = torch.empty(d, rows), torch.empty(d, rows), torch.ones(rows, 2)
    f, of_z, of_u = torch.zeros(()), torch.zeros(d, 2), torch.zeros(d, 2)
    for start in range(0, n, rows):
        if (count := min(rows, n - start)) < rows:
            z, x, weights = torch.empty(d, count), torch.empty(d, count), weights[:count]
        z.normal_(generator=generator)
        torch.mul(z, problem.second, out=x)
        g_in_place(problem, x.add_(problem.first))
        weights[:, 1] = x.sum(0)
        of_z.addmm_(z, weights)
        of_u.addmm_(z.square_().sub_(1), weights)
        f += weights[:, 1].sum()
    return f, torch.cat([of_z, of_u]) / problem.second


def bernoulli(problem: Problem, d: int, seed: int, n: int) -> tuple[Any, ...]:
    """Sums of f and of ``(1, f) (x − p)``, the uniform numbers in single precision."""
    generator, rows = torch.Generator().manual_seed(seed), min(CHUNK // d, n)
    low, high = ((value - problem.k) ** 2 for value in (0.0, 1.0))
    u, x, weights = (
        torch.empty(d, rows, dtype=torch.float32),
        torch.empty(d, rows),
        torch.ones(rows, 2),
    )
    f, of_x = torch.zeros(()), torch.zeros(d, 2)
    for start in range(0, n, rows):
        if (count := min(rows, n - start)) < rows:
            u, x, weights = (
                torch.empty(d, count, dtype=torch.float32),
                torch.empty(d, count),
                weights[:count],
            )
        x.copy_(u.uniform_(generator=generator) < problem.first)
        weights[:, 1] = x.sum(0).mul_(high - low).add_(d * low)
        of_x.addmm_(x, weights)
        f += weights[:, 1].sum()
    return f, of_x - problem.first * torch.tensor([n, float(f)])


@torch.inference_mode()
def part_of(problem: Problem, d: int, seed: int, n: int) -> tuple[Any, ...]:
    """Sums over a part of the samples."""
    return (normal if problem.normal else bernoulli)(problem, d, seed, n)


def leave_one_out_mean(problem: Problem, d: int, n: int, seed: int, threads: int) -> Array:
    """Estimate the gradient."""
    sums = threaded(lambda i, count: part_of(problem, d, 1000 * seed + i, count), n, threads)
    return leave_one_out(n, sums)


METHODS = {"PyTorch": leave_one_out_mean}
