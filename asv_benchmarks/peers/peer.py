"""What the runner asks of every implementation."""

from __future__ import annotations

from typing import Protocol

from asv_benchmarks.peers.problem import Array, Mode


class Peer(Protocol):
    """One implementation of the gradient."""

    @property
    def name(self) -> str:
        """Name for the tables."""
        ...

    @property
    def mode(self) -> Mode:
        """What the runner should ask this peer for."""
        ...

    def gradient(
        self, mu: Array, log_scale: Array, n: int, mode: Mode, seed: int, threads: int
    ) -> Array:
        """Estimate the gradient.

        Parameters
        ----------
        mu, log_scale : ndarray of shape (d,)
            Parameters of the sampling distribution.
        n : int
            Number of samples.
        mode : Mode
            Baseline, and whether standard errors are wanted.
        seed : int
            Seed of the random numbers.
        threads : int
            Number of threads, if the peer has any choice.

        Returns
        -------
        ndarray of shape (2 d,) or, with `Mode.STANDARD_ERRORS`, (4 d,)
            Gradient in the mean, gradient in the log scale, then the standard errors likewise.
        """
        ...


class UnavailableError(Exception):
    """Raised on construction of a peer that cannot run here; the message says why."""
