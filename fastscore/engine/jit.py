"""The one place that knows how kernels are compiled and where they are cached.

Numba keys a cached kernel by the kernel's own file: after an edit of a helper in another
file, or an upgrade of the package, it would go on answering with the old code.  So all
kernels of the package live in a cache directory named by a hash of *all* its sources.
Nothing is compiled, and no directory touched, before the first use of a kernel.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from numba import cfunc, njit

#: Element-wise loops: contraction to FMA is welcome, reordering is not (it silently
#: undoes the rounding and exponent tricks of ``vecmath``).
ELEMENTWISE = {"contract", "nsz", "arcp"}
#: Loops that end in sums, which LLVM may only vectorise when it may reorder them.
REDUCTION = ELEMENTWISE | {"reassoc"}

#: Helpers, inlined by LLVM into the kernels that call them; never cached on their own.
elementwise = njit(error_model="numpy", fastmath=ELEMENTWISE)
reduction = njit(error_model="numpy", fastmath=REDUCTION, forceinline=True)
#: Scalar functions for loops that are to be vectorised: LLVM would leave longer ones as calls.  A
#: quotient stays one, with all its digits.
inlined = njit(error_model="numpy", fastmath=ELEMENTWISE - {"arcp"}, forceinline=True)
plain = njit(error_model="numpy")

#: Every kernel of the modules imported so far.
kernels: list[TileKernel | Entry] = []

_KEPT_CACHES = 4
_lock = threading.RLock()


class TileKernel:
    """A kernel that works on one tile, called through its address by the block driver.

    Compiled (or loaded from the disk cache) when its address is first asked for.
    """

    def __init__(
        self, function: Callable[..., Any], signature: Any, *, cached: bool = True
    ) -> None:
        self.function = function
        self.signature = signature
        self.cached = cached
        #: Of a map of tiles: the kernel that multiplies columns by the size of its derivative.
        self.derivative: TileKernel | None = None
        self._compiled: Any = None
        kernels.append(self)

    @property
    def compiled(self) -> Any:
        """Numba's ``CFunc``."""
        if self._compiled is None:
            # Under the lock: of two compilations, one would be freed with its address in use.
            with _lock, _cached("tile" if self.cached else None) as options:
                if self._compiled is None:
                    decorate = cfunc(self.signature, error_model="numpy", **options)
                    self._compiled = decorate(self.function)
        return self._compiled

    @property
    def address(self) -> int:
        """Address of the C function."""
        return int(self.compiled.address)

    @property
    def compilations(self) -> int | None:
        """How often this process compiled it, 0 if it came from the cache; None if unused."""
        return None if self._compiled is None else 1 - self._compiled.cache_hits


def tile_kernel(signature: Any) -> Callable[[Callable[..., Any]], TileKernel]:
    """Decorate a module-level function as a `TileKernel`."""
    return lambda function: TileKernel(function, signature)


def kernel_of(
    template: Callable[..., Any], signature: Any, name: str, *, cached: bool, **bound: Any
) -> TileKernel:
    """A kernel from a template, which gets values for some of its global names.

    Parameters
    ----------
    template : function
        A module-level function.
    signature : signature
        Of the kernel.
    name : str
        Tells the kernel from others of the template, in the cache too.
    cached : bool
        Whether to keep it on disk: of values from outside the package the cache would not notice
        an edit.
    bound : object
        The values by name: what Numba takes for a constant, jitted functions among them.
    """
    made = FunctionType(template.__code__, {**template.__globals__, **bound})
    made.__name__ = made.__qualname__ = f"{name}{template.__name__}"
    return TileKernel(made, signature, cached=cached)


class Entry:
    """A kernel that Python calls: lazily jitted, nogil, cached on disk."""

    def __init__(self, function: Callable[..., Any], parallel: bool = False) -> None:
        self.function = function
        self.parallel = parallel
        self.__doc__ = function.__doc__
        self._dispatcher: Any = None
        kernels.append(self)

    @property
    def dispatcher(self) -> Any:
        """Numba's dispatcher."""
        if self._dispatcher is None:
            # Numba's index does not tell a parallel compilation from a serial one of the same
            # function: each gets a directory of its own.
            with _lock, _cached("parallel" if self.parallel else "serial") as options:
                if self._dispatcher is None:
                    decorate = njit(
                        error_model="numpy", nogil=True, parallel=self.parallel, **options
                    )
                    self._dispatcher = decorate(self.function)
        return self._dispatcher

    @property
    def compilations(self) -> int | None:
        """How often this process compiled it, 0 if it came from the cache; None if unused."""
        if self._dispatcher is None:
            return None
        return len(self._dispatcher.overloads) - sum(self._dispatcher.stats.cache_hits.values())

    def __call__(self, *args: Any) -> Any:
        return (self._dispatcher or self.dispatcher)(*args)


def entry(function: Callable[..., Any]) -> Entry:
    """Decorate a module-level function as an `Entry`."""
    return Entry(function)


@contextmanager
def _cached(kind: str | None) -> Iterator[dict[str, Any]]:
    """Options under which a decoration binds to the package's cache directory; None for none.

    ``numba.config.CACHE_DIR`` is read at decoration only; it is put back at once.
    """
    if numba.config.DISABLE_JIT:
        raise RuntimeError(
            "fastscore's kernels need Numba's compiler, and NUMBA_DISABLE_JIT=1 turns it off: "
            "unset it"
        )
    directory = None if kind is None else cache_directory()
    if directory is None or kind is None:
        yield {}
        return
    with _lock:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(directory / kind)
        try:
            yield {"cache": True}
        finally:
            numba.config.CACHE_DIR = before


@cache
def cache_directory() -> Path | None:
    """Directory of the compiled kernels of exactly these sources, or None if unwritable."""
    root = _cache_root()
    directory = root / source_hash()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
        os.utime(directory)
        _prune(root)
    except OSError as error:
        warnings.warn(
            f"fastscore cannot write its kernel cache in {str(directory)!r} ({error.strerror}); "
            "every process will compile its kernels anew. Set NUMBA_CACHE_DIR to a writable "
            "directory.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return directory


def _cache_root() -> Path:
    """Parent of the caches of all versions of the package."""
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR) / "fastscore" / "kernels"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "fastscore" / "kernels"


@cache
def source_hash() -> str:
    """Hash of every source file of the package and of Numba's version."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _prune(root: Path) -> None:
    """Drop all but the few caches used last."""
    caches = [path for path in root.iterdir() if path.is_dir()]
    caches.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in caches[_KEPT_CACHES:]:
        shutil.rmtree(path, ignore_errors=True)
