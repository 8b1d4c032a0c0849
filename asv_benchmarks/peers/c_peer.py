"""The hand-written C: builds ``score.c`` with the C compiler found, and calls it by ctypes.

``$CC`` chooses the compiler and ``$CFLAGS`` is appended to the flags: ``CFLAGS=-march=haswell``
shows how the C does on a processor with AVX2 alone.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from asv_benchmarks.peers.peer import UnavailableError
from asv_benchmarks.peers.problem import Array, Mode

HERE = Path(__file__).parent
SOURCES = (HERE / "score.c", HERE / "coefficients.h")
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
# Tried in this order: not every compiler has OpenMP, nor -march=native for every processor.
OPTIONAL_FLAGS = (("-march=native", "-fopenmp"), ("-march=native",), ())


def compiler() -> str:
    """Return the path of the C compiler: ``$CC``, ``cc``, ``gcc`` or ``clang``."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        path = name and shutil.which(name)
        if path:
            return path
    raise UnavailableError("no C compiler (tried $CC, cc, gcc, clang)")


def run(command: list[str]) -> str:
    """Run a compiler command and return its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[0]
        raise UnavailableError(f"{' '.join(command)} failed: {reason}")
    return done.stdout


def cache_folder() -> Path:
    """Return the folder of built libraries."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fastscore" / "peers"


def build_with(cc: str, flags: tuple[str, ...]) -> Path:
    """Build the library unless it is in the cache.

    The key has the sources, the flags and the compiler's predefined macros, which name its version
    and the instructions of the processor that ``-march=native`` found.
    """
    macros = run([cc, *flags, "-dM", "-E", "-xc", os.devnull])
    parts = [*(source.read_text() for source in SOURCES), *flags, macros]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    library = cache_folder() / f"score-{key}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            built = Path(folder) / library.name
            run([cc, *flags, str(SOURCES[0]), "-o", str(built), "-lm"])
            built.replace(library)
    return library


@cache
def build() -> Path:
    """Build with as many of the optional flags as the compiler takes; return the library."""
    cc = compiler()
    last = tuple(shlex.split(os.environ.get("CFLAGS", "")))
    failure = UnavailableError("no flags to try")
    for optional in OPTIONAL_FLAGS:
        try:
            return build_with(cc, (*FLAGS, *optional, *last))
        except UnavailableError as refused:
            failure = refused
    raise failure


def available() -> bool:
    """Whether there is a C compiler that builds ``score.c``."""
    try:
        build()
    except UnavailableError:
        return False
    return True


VECTOR = np.ctypeslib.ndpointer(dtype=np.float64, ndim=1, flags="C_CONTIGUOUS")


@cache
def load(path: Path) -> ctypes.CDLL:
    """Load the library and declare its functions."""
    library = ctypes.CDLL(str(path))
    long, word, integer = ctypes.c_long, ctypes.c_uint64, ctypes.c_int
    library.w1.argtypes = [VECTOR, VECTOR, long, long, integer, word, integer, VECTOR]
    library.w1.restype = None
    library.normals.argtypes = [word, long, VECTOR]
    library.normals.restype = None
    return library


def gradient(mu: Array, log_scale: Array, n: int, mode: Mode, seed: int, threads: int = 1) -> Array:
    """Estimate the gradient; see `asv_benchmarks.peers.peer.Peer.gradient`."""
    d = mu.size
    out = np.empty(4 * d if mode == Mode.STANDARD_ERRORS else 2 * d)
    load(build()).w1(
        np.ascontiguousarray(mu), np.ascontiguousarray(log_scale), d, n, mode, seed, threads, out
    )
    return out


def normals(n: int, seed: int) -> Array:
    """Return `n` standard normals of the C generator; `n` is a multiple of 32."""
    if n % 32:
        raise ValueError(f"n must be a multiple of 32, not {n}")
    out = np.empty(n)
    load(build()).normals(seed, n, out)
    return out


class CPeer:
    """The hand-written C as a peer.

    Parameters
    ----------
    name : str
        Name for the tables.
    mode : Mode
        With the optimal baseline alone, or with standard errors as well.
    """

    def __init__(self, name: str, mode: Mode) -> None:
        build()
        self.name = name
        self.mode = mode

    gradient = staticmethod(gradient)
