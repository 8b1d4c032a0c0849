"""The best plain NumPy: chunks that stay in cache, SFC64, sums by matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asv_benchmarks.peers.problem import TARGET, Array, Mode

CHUNK = 32768
"""Numbers in a chunk (256 KB, so that a chunk and its temporary stay in a core's cache)."""


def available() -> bool:
    """Whether NumPy can run here: always."""
    return True


def sums(
    rng: np.random.Generator, mu: Array, log_scale: Array, n: int, powers: int, centre: float
) -> tuple[Array, Array]:
    """Sum over samples, chunk by chunk.

    With ``w = f(x) - centre`` the first result is the sum of ``w**p`` and the second the sums of
    ``w**p z``, ``w**p u``, ``w**p u**2``, for ``p`` from 0 to `powers`.
    """
    sigma, shift, d = np.exp(log_scale), mu - TARGET, mu.size
    of_weights, of_scores = np.zeros(powers + 1), np.zeros((3, powers + 1, d))
    rows = max(CHUNK // d, 16)
    buffer_z, buffer_y = np.empty((rows, d)), np.empty((rows, d))
    for count in chunk_sizes(n, rows):
        z, y = buffer_z[:count], buffer_y[:count]
        rng.standard_normal(out=z)
        np.multiply(z, sigma, out=y)
        y += shift
        w = np.einsum("ij,ij->i", y, y) - centre
        weights = np.stack([np.ones(count), w, w * w][: powers + 1])
        of_weights += weights.sum(axis=1)
        of_scores[0] += weights @ z
        z *= z
        z -= 1
        of_scores[1] += weights @ z
        z *= z
        of_scores[2] += weights @ z
    return of_weights, of_scores


def chunk_sizes(n: int, rows: int) -> Iterator[int]:
    """Yield the sizes of the chunks of `n` samples, at most `rows` each."""
    for start in range(0, n, rows):
        yield min(rows, n - start)


def gradient(mu: Array, log_scale: Array, n: int, mode: Mode, seed: int, threads: int = 1) -> Array:
    """Estimate the gradient; see `asv_benchmarks.peers.peer.Peer.gradient`."""
    del threads
    rng = np.random.Generator(np.random.SFC64(seed))
    centre = 0.0 if mode == Mode.NO_BASELINE else float(((mu - TARGET) ** 2).sum())
    powers = 2 if mode == Mode.STANDARD_ERRORS else 1
    of_weights, (z, u, uu) = sums(rng, mu, log_scale, n, powers, centre)
    zz = u + of_weights[:, None]
    sigma, mean = np.exp(log_scale), of_weights[1] / n
    if mode == Mode.NO_BASELINE:
        return np.concatenate([z[1] / sigma, u[1]]) / n
    if mode == Mode.LEAVE_ONE_OUT:
        return np.concatenate([(z[1] - mean * z[0]) / sigma, u[1] - mean * u[0]]) / (n - 1)
    of_mu, of_log_scale = baselined(z, zz, n), baselined(u, uu, n)
    return np.concatenate(
        [of_mu[0] / sigma, of_log_scale[0], of_mu[1:] / sigma, of_log_scale[1:]], axis=None
    )


def baselined(score: Array, square: Array, n: int) -> Array:
    """Return the gradient with the optimal baseline and, if there are the sums, its error.

    Parameters
    ----------
    score, square : ndarray of shape (powers + 1, d)
        Sums of ``w**p s`` and ``w**p s**2`` for the score `s`.
    n : int
        Number of samples.
    """
    baseline = square[1] / square[0]
    mean: Array = (score[1] - baseline * score[0]) / n
    if len(square) == 2:
        return mean.reshape(1, -1)
    second = (square[2] - 2 * baseline * square[1] + baseline**2 * square[0]) / n
    return np.stack([mean, np.sqrt((second - mean**2) / (n - 1))])


class NumpyPeer:
    """Plain NumPy as a peer; one thread."""

    name = "NumPy"
    mode = Mode.OPTIMAL
    gradient = staticmethod(gradient)
