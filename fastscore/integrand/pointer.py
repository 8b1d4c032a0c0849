"""f as a C function pointer: which signatures are understood, and what is called.

In C, with ``T`` = ``double`` or, for discrete families, ``int64_t``::

    double f(int d, const T *x, void *user_data);
    void f(int64_t rows, int d, const T *x, double *out, void *user_data);

The first is scipy's convention for integrands (`scipy.integrate.nquad`); the second takes rows of
d items, one behind the other, and writes a value for each.  ``user_data`` may be left out.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

#: The type of all function pointers of ctypes.
_FUNCTION: Any = ctypes.CFUNCTYPE(None).__bases__[0]


@dataclass(frozen=True)
class CFunction:
    """A C function: its address, that of its user data, and how it is called.

    Attributes
    ----------
    address, user_data : int
        Addresses.
    batch : bool
        Whether it takes rows of samples.
    takes_user_data : bool
        Whether it has a last parameter for them.
    """

    address: int
    user_data: int
    batch: bool
    takes_user_data: bool


def is_pointer(f: Any) -> bool:
    """Whether f is a C function pointer: `scipy.LowLevelCallable`, ctypes, or `numba.cfunc`."""
    if isinstance(f, _FUNCTION) or isinstance(getattr(f, "ctypes", None), _FUNCTION):
        return True
    return any(base.__name__ == "LowLevelCallable" for base in type(f).__mro__)


def c_function(f: Any, dtype: type) -> CFunction:
    """What to call for an f of samples of that type.

    Raises
    ------
    TypeError
        If its signature is unknown, or is none of those understood.
    """
    from scipy import LowLevelCallable

    f = getattr(f, "ctypes", f)
    if isinstance(f, _FUNCTION) and f.argtypes is None:
        raise TypeError(
            f"f={f!r} does not say what it takes: set its argtypes and restype, as in\n"
            f"    f.restype, f.argtypes = {_ctypes_example(dtype)}"
        )
    if isinstance(f, _FUNCTION):
        f = LowLevelCallable(f)
    capsule, signature = tuple.__getitem__(f, 0), f.signature
    found = _accepted(dtype).get(_plain(signature))
    if found is None:
        item = "double" if dtype is np.float64 else "int64_t"
        raise TypeError(
            f"f has the C signature {signature!r}; for samples of {dtype.__name__} give one of\n"
            f"    double (int d, {item} *x, void *user_data)\n"
            f"    void (int64_t rows, int d, {item} *x, double *out, void *user_data)\n"
            "with or without user_data"
        )
    return CFunction(*_addresses(capsule), *found)


def _addresses(capsule: Any) -> tuple[int, int]:
    """Of the function and of its user data, from the capsule that scipy keeps them in."""
    api = ctypes.PyDLL(None)
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetPointer.restype = api.PyCapsule_GetContext.restype = ctypes.c_void_p
    api.PyCapsule_GetName.argtypes = api.PyCapsule_GetContext.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return address, api.PyCapsule_GetContext(capsule) or 0


def _accepted(dtype: type) -> dict[str, tuple[bool, bool]]:
    """Signatures without spaces, and whether they are of a batch and take user data."""
    long = ["longlong", "int64_t", "int64"] + ["long"] * (ctypes.sizeof(ctypes.c_long) == 8)
    items = ["double"] if dtype is np.float64 else long
    out = {}
    for item in items:
        for user_data in (False, True):
            last = ",void*" * user_data
            out[f"double(int,{item}*{last})"] = (False, user_data)
            for rows in long:
                out[f"void({rows},int,{item}*,double*{last})"] = (True, user_data)
    return out


def _plain(signature: str) -> str:
    """A signature without spaces, ``const`` and the names of parameters."""
    result, _, parameters = signature.rstrip(") ").partition("(")
    plain = []
    for parameter in parameters.split(","):
        words = [word for word in parameter.replace("*", " * ").split() if word != "const"]
        if len(words) > 1 and words[-1] not in ("*", "long"):
            words.pop()
        plain.append("".join(words))
    return f"{result.strip()}({','.join(plain)})"


def _ctypes_example(dtype: type) -> str:
    item = "c_double" if dtype is np.float64 else "c_int64"
    return f"ctypes.c_double, [ctypes.c_int, ctypes.POINTER(ctypes.{item})]"
