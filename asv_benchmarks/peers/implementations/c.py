"""The hand-written C: builds the files of ``peers/c`` with the C compiler found.

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
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from asv_benchmarks.peers.implementations._solver import Solver, UnavailableError
from asv_benchmarks.peers.workloads import WORKLOADS, Array

FOLDER = Path(__file__).parents[1] / "c"
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
    sources = sorted(FOLDER.glob("*.[ch]"))
    parts = [*(source.read_text() for source in sources), *flags, macros]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    library = cache_folder() / f"score-{key}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            built = Path(folder) / library.name
            units = [str(source) for source in sources if source.suffix == ".c"]
            run([cc, *flags, *units, "-o", str(built), "-lm"])
            built.replace(library)
    return library


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


def pointer(array: Array) -> ctypes.c_void_p:
    """Return the address of an array's numbers."""
    return np.ascontiguousarray(array).ctypes.data_as(ctypes.c_void_p)


@cache
def library() -> ctypes.CDLL:
    """Return the built library."""
    return ctypes.CDLL(str(build()))


def call(function: Callable[..., Any], workload: Any, *numbers: Any, size: int) -> Array:
    """Call a C function with the arrays of a workload, then their lengths, `numbers` and results.

    The lengths are those of the last array, the innermost first, and that of a square matrix once;
    of the results there are `size`.
    """
    arrays = [np.ascontiguousarray(array) for array in vars(workload).values()]
    lengths = map(ctypes.c_long, dict.fromkeys(reversed(arrays[-1].shape)))
    out = np.empty(size)
    function(*map(pointer, arrays), *lengths, *numbers, pointer(out))
    return out


def solver(name: str, errors: bool) -> Solver:
    """Return the solver of a workload, with or without standard errors."""

    def solve(workload: Any, n: int, seed: int, threads: int) -> Array:
        numbers = ctypes.c_long(n), errors, ctypes.c_uint64(seed), threads
        size = workload.gradient().size * (1 + errors)
        return call(library()[name.lower()], workload, *numbers, size=size)

    return solve


library()  # so that an import fails where there is no compiler
ALONE = {name: solver(name, False) for name in WORKLOADS}
WITH_ERRORS = {name: solver(name, True) for name in WORKLOADS}
