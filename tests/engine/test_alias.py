"""Alias tables: what probability each class has of being drawn, exactly."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastscore.engine.alias import ENTRY, alias_table

WORD = 2**64
weights = st.lists(
    st.one_of(st.just(0.0), st.just(1.0), st.floats(1e-12, 1e6), st.floats(1e-300, 1e300)),
    min_size=1, max_size=60,
).filter(lambda w: 0 < sum(w) < np.inf)  # fmt: skip


def drawn(probs):
    """Probability of each class by its table: a cell is its class below the threshold."""
    table = np.zeros(ENTRY * probs.size, np.uint64)
    alias_table(probs, table)
    out = [Fraction(0)] * probs.size
    for below, own, other in table.reshape(-1, ENTRY).tolist():
        out[own] += Fraction(below, WORD * probs.size)
        out[other] += Fraction(WORD - below, WORD * probs.size)
    return out


def assert_exact(probs):
    """To rounding; exactly 0 where it should be."""
    out = drawn(probs)
    assert sum(out) == 1
    error = max(abs(q - Fraction(p)) for q, p in zip(out, probs.tolist(), strict=True))
    assert error <= 1e-15
    assert all(q == 0 for q, p in zip(out, probs, strict=True) if p == 0)


@given(weights)
@settings(max_examples=300, deadline=None)
def test_each_class_has_its_probability(given_weights):
    w = np.array(given_weights)
    assert_exact(w / w.sum())


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("kind", ["equal", "random", "skewed", "sparse"])
def test_tables_of_every_size(kind, count):
    k = np.arange(count)
    w = {
        "equal": np.ones(count),
        "random": np.random.default_rng(count).exponential(size=count),
        "skewed": 0.5 ** np.minimum(k, 900),
        "sparse": (k % 3 == 0) / (1 + k),
    }[kind]
    assert_exact(w / w.sum())
