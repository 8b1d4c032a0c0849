"""A host which looks after its settings: none may have changed, whatever the guest did."""

import locale
import os
import random
import signal
import sys
import threading
import warnings
from contextlib import suppress

import numba
import numpy as np
import rich  # noqa: F401  (what a dependency does to the settings at import is not the guest's)
import scipy.special  # noqa: F401
from guest import call, report
from numba import njit


def settings():
    """What a process has only one of."""
    return {
        **{name: getattr(numba.config, name) for name in dir(numba.config) if name.isupper()},
        "numba threads": numba.get_num_threads(),
        "numba chunk size": numba.get_parallel_chunksize(),
        "warnings": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "random": random.getstate(),
        "numpy random": repr(np.random.get_state()),  # noqa: NPY002
        "numpy errors": (np.geterr(), np.geterrcall()),
        "numpy printing": np.get_printoptions(),
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "threads": threading.enumerate(),
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook, sys.unraisablehook),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "place": (os.getcwd(), sys.path[:]),
    }


def numpy_style(x):
    return x[:, 0] ** 2 + x[:, 1]


def raising(x):
    raise ArithmeticError


@njit
def raising_jitted(x):
    if x[0] > 2.0:
        raise ArithmeticError
    return x[0]


@njit
def not_finite(x):
    return np.log(x[0] - 1.0)


before = settings()
import fastscore  # noqa: E402, F401

uses = {"import": settings()}
found = [call()]
uses["compiled f"] = settings()
for g in (numpy_style, raising, raising_jitted, not_finite):
    with suppress(ArithmeticError, ValueError):
        call(g)
    uses[g.__name__] = settings()
for use, after in uses.items():
    changed = [name for name in before if after[name] != before[name]]
    assert not changed, f"{use} changed {changed}"
report({"settings untouched": found})
