"""What every family owes: names, shapes, copies, closed forms, errors, and a warm cache."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from families.registry import COMBINATORS, ENTRIES, drawn, every_example
from numba import config

import fastscore as fs
from fastscore import families

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")


def test_every_family_is_registered():
    assert {*ENTRIES, *COMBINATORS} == set(families.__all__)


# --- shapes and copies ---


@every_example
def test_shapes(example):
    p, x = example.p, drawn(example)[:7]
    assert x.shape == (7, p.d)
    assert x.dtype == p.dtype
    assert p.log_prob(x).shape == (7,)
    assert p.score(x).shape == (7, p.size)
    assert p.fisher().shape == (p.size, p.size)
    assert sum(p.free(name) for name in p.parameters) == p.size
    assert p.mean.shape == p.variance.shape == (p.d,)
    given = {name: value for name, value in example.keywords.items() if name not in p.constants}
    assert [name for name in p.parameters if name in given] == list(given)
    for name, value in given.items():
        np.testing.assert_array_equal(p.parameters[name], value)
        assert not p.parameters[name].flags.writeable


@every_example
def test_samples_are_in_the_support(example):
    support, x = example.p.support_set, drawn(example)
    assert np.all((x >= support.low) & (x <= support.high))
    assert np.all(support.integer == (x.dtype == np.int64))


@every_example
def test_copies(example):
    p, x = example.p, drawn(example)[:100]
    for q in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p), p.replace()):
        assert type(q) is type(p)
        assert q.parameters.keys() == p.parameters.keys()
        np.testing.assert_array_equal(q.log_prob(x), p.log_prob(x))
        np.testing.assert_array_equal(q.score(x), p.score(x))


@every_example
def test_repr_is_how_it_is_made(example):
    """Unless it has many entries, which it abbreviates."""
    shown = repr(example.p)
    if "..." in shown:
        pytest.skip("abbreviated")
    names = {**vars(fs), example.name: getattr(fs, example.name)}
    q = eval(shown, {**names, "array": np.array, "inf": np.inf})
    for name, value in example.p.parameters.items():
        np.testing.assert_allclose(q.parameters[name], value, rtol=1e-6)


@every_example
def test_moments_and_entropy(example):
    """One that does not exist is not finite; SciPy also calls an undefined one infinite."""
    p, truth = example.p, example.truth
    for ours, theirs in ((p.mean, truth.mean()), (p.variance, truth.variance())):
        finite = np.isfinite(theirs)
        assert not np.isfinite(ours[~finite]).any()
        np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-12)
    if example.entry.closed_entropy:
        assert type(p.entropy()) is float
        np.testing.assert_allclose(p.entropy(), truth.entropy(), rtol=1e-11, atol=1e-11)
    else:
        with pytest.raises(NotImplementedError, match=f"{example.name} has no closed form"):
            p.entropy()


# --- bad input ---


def rejected(example, error, message, **changes):
    with pytest.raises(error, match=message):
        type(example.p)(**{**example.keywords, **changes})


def with_first(value, bad):
    out = np.array(value, dtype=float)
    out[(0,) * out.ndim] = bad
    return out


def has_a_meaning(example, name, value):
    """Infinite numbers that may be given: logits of probabilities 0, and bounds that are none."""
    if name == "logits":
        return value == -np.inf and hasattr(example.p, "classes")
    bounds = {("low", -np.inf), ("high", np.inf)}
    return example.name == "TruncatedNormal" and (name, value) in bounds


@every_example
def test_numbers_that_are_none(example):
    for name in example.keywords:
        value = example.keywords[name]
        for bad in (np.nan, np.inf, -np.inf):
            if not has_a_meaning(example, name, bad):
                rejected(example, ValueError, name, **{name: with_first(value, bad)})
        rejected(example, (TypeError, ValueError), name, **{name: "one"})
        rejected(example, (TypeError, ValueError), name, **{name: np.asarray(value) + 1j})
        rejected(example, ValueError, name, **{name: np.zeros(0)})


@every_example
def test_numbers_outside_of_a_domain(example):
    for name, value in example.keywords.items():
        if name in example.entry.positive:
            for bad in (0.0, -1.0):
                rejected(example, ValueError, name, **{name: with_first(value, bad)})
        elif name in example.entry.bounded:
            for bad in (-0.1, 1.1):
                rejected(example, ValueError, name, **{name: with_first(value, bad)})
        elif name.startswith("log_"):
            for bad in (-800.0, 800.0):
                rejected(example, ValueError, name, **{name: with_first(value, bad)})


@every_example
def test_shapes_that_do_not_match(example):
    shaped = [name for name in example.p.parameters if np.ndim(example.keywords.get(name, 0))]
    if len(shaped) < 2:
        pytest.skip("there is nothing to match")
    for name in shaped:
        value = np.asarray(example.keywords[name])
        rejected(example, ValueError, name, **{name: np.concatenate([value, value])})


@every_example
def test_either_of_two_names(example):
    for name in (*example.entry.positive, *example.entry.bounded):
        other = "logits" if name == "probs" else f"log_{name}"
        given = {k: v for k, v in example.keywords.items() if k not in (name, other)}
        if example.name == "StudentT" and name == "scale":
            type(example.p)(**given)  # it has a default
        else:
            with pytest.raises(TypeError, match=rf"{name} or {other}"):
                type(example.p)(**given)
        with pytest.raises(TypeError, match=rf"{name} or {other}"):
            type(example.p)(**given, **{name: 0.5, other: 0.5})


@every_example
def test_names_that_are_unknown(example):
    with pytest.raises(ValueError, match=f"{example.name} has no parameter 'speed'"):
        example.p.replace(speed=1.0)
    with pytest.raises(TypeError, match="speed"):
        type(example.p)(**example.keywords, speed=1.0)


@every_example
def test_samples_that_are_none(example):
    p, d = example.p, example.p.d
    for method in (p.score, p.log_prob):
        for shape in ((d,), (2, d + 1), (1, 2, d)):
            with pytest.raises(ValueError, match="x has shape"):
                method(np.ones(shape, dtype=p.dtype))
        with pytest.raises(TypeError, match="x="):
            method(np.full((1, d), "one"))
        if p.dtype is np.int64:
            for bad in (0.5, np.nan, np.inf):
                with pytest.raises(ValueError, match=r"x\[0, 0\]"):
                    method(np.full((1, d), bad))


# --- the cache ---

TOUCH = """
import json
import numpy as np
import fastscore as fs
from fastscore.engine import jit
from families.registry import EXAMPLES

def touch(p):
    x = p.sample(100, rng=0)
    if p.parameters:
        fs.gradient(lambda x: x[:, 0], p, n=100, rng=0).grad
    return [p.score(x), p.log_prob(x)]

for example in EXAMPLES:
    touch(example.p)
used = {k.function.__module__ + "." + k.function.__name__: k.compilations for k in jit.kernels}
used["sources"] = jit.source_hash()
"""


def test_a_second_process_compiles_nothing(python):
    """Once a process has used every family."""
    here: dict = {}
    exec(TOUCH, here)
    path = str(Path(__file__).parents[1])
    script = f"import sys; sys.path.insert(0, {path!r})\n{TOUCH}\nprint(json.dumps(used))"
    there = json.loads(python(script).stdout)
    assert there.pop("sources") == here["used"]["sources"], "edited while the test ran"
    assert sum(count is not None for count in there.values()) > 3 * len(ENTRIES)
    assert {name: count for name, count in there.items() if count} == {}
