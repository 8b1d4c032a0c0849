"""A C library from elsewhere with the same problem, to compare the project's own C with."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from asv_benchmarks.peers.c_peer import VECTOR
from asv_benchmarks.peers.peer import UnavailableError
from asv_benchmarks.peers.problem import Array, Mode


class ReferencePeer:
    """A shared library with ``w1(mu, log_scale, d, n, mode, seed, threads, simd, out)``.

    Parameters
    ----------
    path : Path
        The built library.
    """

    name = "reference C"
    mode = Mode.OPTIMAL

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UnavailableError(f"{path} does not exist")
        long, word, integer = ctypes.c_long, ctypes.c_uint64, ctypes.c_int
        self.w1 = ctypes.CDLL(str(path)).w1
        self.w1.argtypes = [VECTOR, VECTOR, long, long, integer, word, integer, integer, VECTOR]
        self.w1.restype = None

    def gradient(
        self, mu: Array, log_scale: Array, n: int, mode: Mode, seed: int, threads: int = 1
    ) -> Array:
        """Estimate the gradient; see `asv_benchmarks.peers.peer.Peer.gradient`."""
        out = np.empty(2 * mu.size)
        self.w1(mu, log_scale, mu.size, n, mode, seed, threads, 1, out)
        return out
