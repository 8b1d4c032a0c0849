"""f as a C function pointer: the documented signatures, however they reach Python."""

from __future__ import annotations

import ctypes
import math
import os
import shlex
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numba import carray, cfunc, config, njit, types
from scipy import LowLevelCallable

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

SOURCE = Path(__file__).parent / "c" / "integrands.c"
#: Of what is summed: C and Numba may fuse a multiplication with an addition, or not.
ROUNDING = 1e-13

C_ITEMS = {"double": ctypes.c_double, "int64_t": ctypes.c_int64}
NUMBA_ITEMS = {"double": types.float64, "int64_t": types.int64}
LARGEST = 50
DATA = np.concatenate([[0.5], 1 + 0.5 * np.cos(np.arange(LARGEST))])


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The C integrands, compiled; each item of it is a function of its own."""
    given = shlex.split(os.environ.get("CC", ""))
    compiler = given or [c for c in map(shutil.which, ("cc", "gcc", "clang")) if c][:1]
    if not compiler or shutil.which(compiler[0]) is None or os.name == "nt":
        pytest.skip("there is no C compiler: none of $CC, cc, gcc, clang is on the PATH")
    path = tmp_path_factory.mktemp("c") / "integrands.so"
    subprocess.run([*compiler, "-O2", "-shared", "-fPIC", "-o", path, SOURCE], check=True)
    return ctypes.CDLL(path)


# --- the same f for Numba ---


@njit
def weighted(x, data):
    total = data[0]
    for k in range(x.size):
        total += data[1 + k] * x[k] * x[k]
    return total + x[0] * x[x.size - 1]


@njit
def default(x):
    total = 2.0
    for k in range(x.size):
        total += 1.0 / (k + 1) * x[k] * x[k]
    return total + x[0] * x[x.size - 1]


def holed_numpy(x):
    return np.where(x[:, 0] > 0, np.nan, x[:, 0] + 1.0)


# --- distributions of d coordinates, by the type of their samples ---


def normal(d):
    return fs.Normal(0.3 + 0.5 * np.sin(np.arange(d)), 0.8 + 0.4 * np.cos(np.arange(d)))


def bernoulli(d):
    return fs.Bernoulli(0.5 + 0.4 * np.sin(np.arange(d)))


def categorical(d):
    return fs.Categorical(logits=np.cos(np.arange(4.0 * d)).reshape(d, 4))


FAMILIES = {
    "Normal": (normal, "double"),
    "Bernoulli": (bernoulli, "int64_t"),
    "Categorical": (categorical, "int64_t"),
}
BY_ITEM = {"double": normal, "int64_t": categorical}


# --- ways to pass a C function ---


def signature_of(form, item, user_data):
    """restype and argtypes of a documented signature."""
    x, last = ctypes.POINTER(C_ITEMS[item]), [ctypes.c_void_p] * user_data
    if form == "sample":
        return ctypes.c_double, [ctypes.c_int, x, *last]
    return None, [ctypes.c_int64, ctypes.c_int, x, ctypes.POINTER(ctypes.c_double), *last]


def c_integrand(library, form, item, user_data):
    function = library[f"{form}{'_data' * user_data}_{item}"]
    function.restype, function.argtypes = signature_of(form, item, user_data)
    return function


def with_data(function, signature=None):
    """scipy's pair of a function and its user data."""
    address = DATA.ctypes.data_as(ctypes.c_void_p)
    return LowLevelCallable(function, address, signature)


def check(c, jitted, p, n, args=()):
    """The same value, gradient and standard errors as a jitted f of the same samples."""
    with warnings.catch_warnings():
        if n == 1:
            warnings.filterwarnings("ignore", "n=1", RuntimeWarning)
        expected = fs.gradient(jitted, p, args=args, n=n, rng=n, threads=1)
        one, two = (fs.gradient(c, p, n=n, rng=n, threads=threads) for threads in (1, 2))
    assert one.value == two.value
    np.testing.assert_array_equal(one.flat, two.flat)
    assert one.value == pytest.approx(expected.value, rel=ROUNDING)
    x = p.sample(n, rng=n)
    size = np.abs(expected.value) * np.sqrt(np.mean(p.score(x) ** 2, axis=0))
    assert np.all(np.abs(one.flat - expected.flat) <= ROUNDING * size)
    for name, stderr in expected.grad_stderr.items():
        np.testing.assert_array_equal(one.grad_stderr[name], two.grad_stderr[name])
        np.testing.assert_allclose(one.grad_stderr[name], stderr, rtol=1e-9)
    return two


@pytest.mark.parametrize("user_data", [False, True], ids=["plain", "user data"])
@pytest.mark.parametrize("form", ["sample", "batch"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("d", [1, 3, LARGEST])
def test_same_as_jitted(library, d, family, form, user_data):
    """Around the widest sample that a jitted f sees by columns, and at n below one tile."""
    make, item = FAMILIES[family]
    function = c_integrand(library, form, item, user_data)
    c = with_data(function) if user_data else function
    for n in (1, 7, 5000):
        args = (DATA,) if user_data else ()
        made = check(c, weighted if user_data else default, make(d), n, args)
    assert made.threads == 2 or d < LARGEST


@pytest.mark.parametrize("form", ["sample", "batch"])
def test_user_data_that_is_not_given_is_null(library, form):
    """A bare ctypes function carries none; the C code falls back to its own weights."""
    check(c_integrand(library, form, "double", user_data=True), default, normal(3), 100)


@pytest.mark.parametrize("item", C_ITEMS)
@pytest.mark.parametrize(
    ("form", "signature"),
    [
        ("sample", "double (int, const T *, void *)"),
        ("sample", "double(int,T const*,void*)"),
        ("sample", "double (int, T *, void *)"),
        ("batch", "void (int64_t, int, const T *, double *, void *)"),
        ("batch", "void (long long, int, T *, double *, void *)"),
    ],
)
def test_written_signatures(library, item, form, signature):
    """As in a C header: const and spaces do not matter."""
    function = c_integrand(library, form, item, user_data=True)
    c = with_data(function, signature.replace("T", item))
    check(c, weighted, BY_ITEM[item](3), 100, (DATA,))


def test_signatures_with_names(library):
    """What the error message lists is itself understood."""
    function = c_integrand(library, "sample", "double", user_data=True)
    c = with_data(function, "double (int d, double *x, void *user_data)")
    check(c, weighted, normal(3), 100, (DATA,))


@cache
def by_numba(form, item, user_data):
    """The weighted f as a `numba.cfunc`."""
    x, last = types.CPointer(NUMBA_ITEMS[item]), (types.CPointer(types.float64),) * user_data
    if user_data:

        def sample(d, x, data):
            return weighted(carray(x, d), carray(data, d + 1))

        def batch(rows, d, x, out, data):
            for i in range(rows):
                out[i] = weighted(carray(x, (rows, d))[i], carray(data, d + 1))
    else:

        def sample(d, x):
            return default(carray(x, d))

        def batch(rows, d, x, out):
            for i in range(rows):
                out[i] = default(carray(x, (rows, d))[i])

    if form == "sample":
        return cfunc(types.float64(types.intc, x, *last))(sample)
    out = types.CPointer(types.float64)
    return cfunc(types.void(types.int64, types.intc, x, out, *last))(batch)


@pytest.mark.parametrize("item", C_ITEMS)
@pytest.mark.parametrize("form", ["sample", "batch"])
def test_numba_cfunc(form, item):
    check(by_numba(form, item, user_data=False), default, BY_ITEM[item](3), 5000)


def test_numba_cfunc_with_user_data():
    signature = "double (int, double *, void *)"
    c = with_data(by_numba("sample", "double", user_data=True).ctypes, signature)
    check(c, weighted, normal(3), 5000, (DATA,))


def test_said_to_be_c(library):
    function = c_integrand(library, "sample", "double", user_data=False)
    check(fs.Integrand(function, kind="c"), default, normal(3), 100)


@pytest.mark.parametrize("baseline", [None, "mean", "matrix"])
def test_options_of_any_f(library, baseline):
    """A C f goes wherever a jitted one does: other baselines, counts, exact sums."""
    c = c_integrand(library, "sample", "int64_t", user_data=False)
    p = categorical(3)
    for options in (
        {"n": 1000, "rng": 1},
        {"n": 1000, "rng": 1, "sampling": "counts"},
        {"estimator": "exact"},
    ):
        one, other = (fs.gradient(f, p, baseline=baseline, **options) for f in (c, default))
        np.testing.assert_allclose(one.flat, other.flat, rtol=1e-11, atol=1e-13)


# --- refusals ---

SIGNATURES = {
    "order": ("double", ctypes.c_double, [ctypes.POINTER(ctypes.c_double), ctypes.c_int]),
    "float items": ("double", ctypes.c_double, [ctypes.c_int, ctypes.POINTER(ctypes.c_float)]),
    "int64 items": ("double", ctypes.c_double, [ctypes.c_int, ctypes.POINTER(ctypes.c_int64)]),
    "double items": ("int64_t", ctypes.c_double, [ctypes.c_int, ctypes.POINTER(ctypes.c_double)]),
    "int items": ("int64_t", ctypes.c_double, [ctypes.c_int, ctypes.POINTER(ctypes.c_int)]),
    "x by value": ("double", ctypes.c_double, [ctypes.c_int, ctypes.c_double]),
    "restype": ("double", ctypes.c_float, [ctypes.c_int, ctypes.POINTER(ctypes.c_double)]),
    "restype unset": ("double", ctypes.c_int, [ctypes.c_int, ctypes.POINTER(ctypes.c_double)]),
    "too many": (
        "double",
        ctypes.c_double,
        [ctypes.c_int, ctypes.POINTER(ctypes.c_double), ctypes.c_void_p, ctypes.c_double],
    ),
    "too few": ("double", ctypes.c_double, [ctypes.c_int]),
    "batch of int rows": (
        "double",
        None,
        [ctypes.c_int, ctypes.c_int, *[ctypes.POINTER(ctypes.c_double)] * 2],
    ),
    "batch of float values": (
        "double",
        None,
        [
            ctypes.c_int64,
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_double),
            ctypes.POINTER(ctypes.c_float),
        ],
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_wrong_signatures(library, name):
    """Nothing is called through a signature that is none of those documented."""
    item, restype, argtypes = SIGNATURES[name]
    function = library[f"sample_{item}"]
    function.restype, function.argtypes = restype, argtypes
    given = LowLevelCallable(function).signature
    with pytest.raises(TypeError, match="signature") as caught:
        fs.gradient(function, BY_ITEM[item](3), n=10)
    message = str(caught.value)
    assert repr(given) in message
    assert f"double (int d, {item} *x, void *user_data)" in message
    assert f"void (int64_t rows, int d, {item} *x, double *out, void *user_data)" in message


def test_a_type_that_does_not_fit_the_family(library):
    """Of the same f the other family's items are refused, on both sides."""
    of_double, of_int = (
        c_integrand(library, "batch", item, user_data=False) for item in ("double", "int64_t")
    )
    for function, p in (
        (of_int, normal(3)),
        (of_double, bernoulli(3)),
        (of_double, categorical(3)),
    ):
        with pytest.raises(TypeError, match=f"samples of {p.dtype.__name__}"):
            fs.gradient(function, p, n=10)


def test_a_function_without_argtypes(library):
    """The message shows how to set them."""
    with pytest.raises(TypeError, match=r"set its argtypes and restype[^$]*c_int, .*c_double"):
        fs.gradient(library["sample_double"], normal(3), n=10)
    with pytest.raises(TypeError, match=r"set its argtypes and restype[^$]*c_int, .*c_int64"):
        fs.gradient(library["sample_int64_t"], bernoulli(3), n=10)


def test_args_do_not_go_with_c(library):
    function = c_integrand(library, "sample", "double", user_data=True)
    with pytest.raises(TypeError, match=r"args=\(1,\).*user_data"):
        fs.gradient(function, normal(3), args=(1,), n=10)


def test_options_that_do_not_go_with_c(library):
    function = c_integrand(library, "sample", "double", user_data=False)
    with pytest.raises(TypeError, match="direct"):
        fs.Integrand(function, direct=lambda x: x)
    with pytest.raises(TypeError, match="kind='c'"):
        fs.Integrand(lambda x: x[:, 0], kind="c")
    with pytest.raises(TypeError, match="kind='c'"):
        fs.Integrand(default, kind="c")
    for kind in ("sample", "batch"):
        with pytest.raises(TypeError, match=f"kind='{kind}'"):
            fs.Integrand(function, kind=kind)


# --- values that are not finite ---


def holed(library, item):
    function = library[f"holed_{item}"]
    function.restype, function.argtypes = signature_of("sample", item, user_data=False)
    return function


@pytest.mark.parametrize("item", C_ITEMS)
def test_raise_names_the_first_sample(library, item):
    p = BY_ITEM[item](3)
    x = p.sample(5000, rng=0)
    first = np.argmax(np.isnan(holed_numpy(x)))
    shown = np.array2string(x[first], threshold=8)
    with pytest.raises(ValueError, match=f"first at sample {first},") as caught:
        fs.gradient(holed(library, item), p, n=5000, rng=0)
    assert shown in str(caught.value)


@pytest.mark.parametrize("item", C_ITEMS)
def test_omit_and_propagate(library, item):
    p = BY_ITEM[item](3)
    x = p.sample(5000, rng=0)
    bad = np.isnan(holed_numpy(x))
    f = holed(library, item)
    kept = fs.gradient(fs.Integrand(f, nonfinite="omit"), p, n=5000, rng=0, baseline=None)
    assert kept.nonfinite == bad.sum() > 0
    assert kept.n == 5000 - bad.sum()
    values = np.array([default(row) for row in x[~bad]])
    np.testing.assert_allclose(kept.flat, values @ p.score(x[~bad]) / kept.n, rtol=1e-10)
    through = fs.gradient(fs.Integrand(f, nonfinite="propagate"), p, n=5000, rng=0)
    assert math.isnan(through.value)
    assert through.nonfinite == bad.sum()
