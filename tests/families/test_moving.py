"""Supports that move with a constant: no derivative by it, and the reason wherever one is asked."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numba import config

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

REASON = "no derivative by {}: the support of"
UNIFORM = fs.Uniform(0.0, 2.0)
JOINT = fs.Joint(u=UNIFORM, z=fs.Normal(1.0, 2.0))
#: Each with a name that moves its support.
MOVING = {
    "Uniform": (UNIFORM, "low"),
    "Joint": (JOINT, "u.low"),
    "Mixture": (fs.Mixture([UNIFORM, fs.Uniform(0.0, 1.0)], probs=[0.3, 0.7]), "1.high"),
    "Transformed": (fs.Transformed(UNIFORM, "exp"), "low"),
    "Fixed": (fs.Fixed(JOINT, "z.loc"), "u.high"),
    "Shared": (fs.Shared(fs.Joint(a=JOINT._parts["z"], b=fs.Normal(1.0, 1.0), u=UNIFORM),
                         loc=("a.loc", "b.loc")), "u.high"),
    "TruncatedNormal": (fs.TruncatedNormal(0.0, 1.0, -1.0, 2.0), "low"),
    "Pareto": (fs.Pareto(2.0, 3.0), "scale"),
}  # fmt: skip
every_moving = pytest.mark.parametrize(("p", "name"), MOVING.values(), ids=MOVING)


def first(x):
    return np.asarray(x[-1] if isinstance(x, tuple) else x)[:, 0]


@every_moving
def test_as_what_to_differentiate_by(p, name):
    assert name in p.constants
    with pytest.raises(ValueError, match=REASON.format(name)):
        fs.gradient(first, p, wrt=name)
    with pytest.raises(ValueError, match=f"names='{name}': there is {REASON.format(name)}"):
        fs.Fixed(p, name)


@every_moving
def test_as_a_logarithm(p, name):
    part, dot, own = name.rpartition(".")
    name = f"{part}{dot}log_{own}"
    with pytest.raises(ValueError, match=f"names='{name}': there is {REASON.format(name)}"):
        fs.Fixed(p, name)
    if own in type(p).moving:
        with pytest.raises(TypeError, match=f"takes no {name}: there is {REASON.format(name)}"):
            type(p)(**{name: 1.0})


@every_moving
def test_as_a_gradient(p, name):
    if not p.parameters:
        pytest.skip("it has none")
    estimate = fs.gradient(first, p, n=1000, rng=0)
    for values in (estimate.grad, estimate.grad_stderr, estimate.variance_ratio,
                   estimate.interval()):  # fmt: skip
        assert list(values) == list(p.parameters)
        assert name not in values
        assert values.get(name) is None
        with pytest.raises(KeyError, match=REASON.format(name)):
            values[name]


@pytest.mark.parametrize(
    "p", [UNIFORM, fs.Joint(u=UNIFORM), MOVING["Transformed"][0]], ids=["plain", "part", "moved"]
)
def test_nothing_else_to_differentiate_by(p):
    for options in ({}, {"wrt": "low"}, {"estimator": "exact"}, {"proposals": [p]}):
        with pytest.raises(ValueError, match=r"p has no parameter .* no derivative by (u\.)?low"):
            fs.gradient(first, p, **options)
    with pytest.raises(ValueError, match="p has no parameter"):
        fs.pmc(first, p, proposals=[p], n=100)


def test_as_tied():
    with pytest.raises(ValueError, match=f"end='u.low': there is {REASON.format('u.low')}"):
        fs.Shared(JOINT, end=("u.low", "u.high"))


def test_other_names_are_just_unknown():
    grad = fs.gradient(first, JOINT, n=100, rng=0).grad
    with pytest.raises(KeyError, match=r"^'z.low'$"):
        grad["z.low"]
    with pytest.raises(KeyError, match="3"):
        grad[3]
    with pytest.raises(ValueError, match=r"names='z\.low' is unknown: choose one of 'z\.loc'"):
        fs.Fixed(JOINT, "z.low")


def test_a_gradient_is_a_mapping():
    """Like a dict, of which there are copies, and read-only."""
    grad = fs.gradient(first, JOINT, n=100, rng=0).grad
    plain = {name: grad[name] for name in ("z.loc", "z.scale")}
    assert grad == plain
    assert plain == grad
    assert dict(**grad) == plain
    assert repr(grad) == repr(plain)
    again = pickle.loads(pickle.dumps(grad))
    assert again == grad
    with pytest.raises(KeyError, match=REASON.format("u.low")):
        again["u.low"]
    with pytest.raises(TypeError, match="item assignment"):
        grad["z.loc"] = 0.0
