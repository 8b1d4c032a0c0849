"""The log-densities of W4's proposals, as a product of matrices."""

from __future__ import annotations

import numpy as np

from asv_benchmarks.peers.workloads import Array, Importance


def standardising(workload: Importance) -> tuple[Array, Array]:
    """Return the shift and the stretch that make normals z into ``y = (x - mu) / sigma``.

    They are those of each coordinate and proposal, ``x = loc + scale z``, and of shape (d, j, 1).
    """
    sigma = np.exp(workload.log_scale)
    shift, stretch = (workload.loc - workload.mu) / sigma, workload.scale / sigma
    return shift.T[:, :, None], stretch.T[:, :, None]


def polynomial(workload: Importance) -> tuple[Array, Array, Array]:
    """Return ``log(q_j / (J p))`` as a polynomial in the coordinates of y.

    With ``r = sigma / scale`` and ``m = (mu - loc) / scale`` it is the sum over coordinates of
    ``log r + (y**2 - (r y + m)**2) / 2``, less ``log J``.

    Returns
    -------
    linear, square : ndarray of shape (j, d)
        Coefficients of ``y`` and ``y**2``.
    constant : ndarray of shape (j, 1)
        The rest.
    """
    r = np.exp(workload.log_scale) / workload.scale
    m = (workload.mu - workload.loc) / workload.scale
    constant = (np.log(r) - m**2 / 2).sum(axis=1) - np.log(len(r))
    return -r * m, (1 - r**2) / 2, constant[:, None]


def weighted_gradient(workload: Importance, n: int, w: Array, wy: Array, wyy: Array) -> Array:
    """Return the gradient of W4 without a baseline.

    Parameters
    ----------
    workload : Importance
        The parameters.
    n : int
        Number of samples, before it is rounded up to whole units.
    w : ndarray of shape ()
        Sum of the weighted values of f.
    wy, wyy : ndarray of shape (d,)
        Sums of their products with ``y`` and ``y**2``.
    """
    samples = workload.units(n) * len(workload.loc)
    return np.concatenate([wy / np.exp(workload.log_scale), wyy - w]) / samples
