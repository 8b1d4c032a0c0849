"""The peers, in the order of the table; ratios refer to the first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """An implementation of some of the workloads.

    Attributes
    ----------
    name : str
        Name on the command line.
    label : str
        Name in the tables.
    solvers : str
        Where they are: a module of `implementations`, and a dictionary in it.
    """

    name: str
    label: str
    solvers: str


PEERS = (
    Peer("c", "SIMD C, written by hand", "c:ALONE"),
    Peer("c-errors", "the same with standard errors", "c:WITH_ERRORS"),
    Peer("fastscore", "fastscore, f of a sample", "fastscore:OF_SAMPLE"),
    Peer("fastscore-batch", "fastscore, f of a batch", "fastscore:OF_BATCH"),
    Peer("fastscore-counts", "fastscore, by counts", "fastscore:BY_COUNTS"),
    Peer("numpy", "NumPy", "numpy:OF_SAMPLES"),
    Peer("numpy-counts", "NumPy, by counts", "numpy:BY_COUNTS"),
    Peer("torch", "PyTorch, scores by hand", "torch:CLOSED_FORM"),
    Peer("torch-surrogate", "PyTorch, surrogate loss", "torch:SURROGATE"),
    Peer("jax", "JAX, scores by hand", "jax:CLOSED_FORM"),
    Peer("jax-surrogate", "JAX, surrogate loss", "jax:SURROGATE"),
    Peer("reference", "reference C", "reference:SOLVERS"),
)
