"""The page of distributions: what it takes from docstrings and from the registry."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from families.registry import ENTRIES
from numba import config

import fastscore as fs

SCRIPT = Path(__file__).parents[2] / "docs" / "distributions.py"
pytestmark = [
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler"),
    pytest.mark.skipif(not SCRIPT.exists(), reason="a source distribution has no docs"),
]


@pytest.fixture(scope="module")
def pages():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("distributions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ENTRIES)
def test_docstrings_define_their_terms(pages, name):
    said = pages.said_by(name, getattr(fs, name).__doc__)
    assert all(said.notes.values())
    assert said.summary
    assert "``" not in json.dumps(vars(said))


def test_a_term_that_is_missing(pages):
    with pytest.raises(pages.Missing, match=r"of Half define \['Density'\], not"):
        pages.said_by(
            "Half", "A half.\n\n    Notes\n    -----\n    Density\n        ``1/2``.\n    "
        )


def test_a_family_that_is_not_measured(pages):
    known = json.loads(pages.FACTS.read_text(encoding="utf-8"))["families"]
    with pytest.raises(
        pages.Missing, match=r"(?m)^there is no speed of Normal: .*Normal` measures it"
    ):
        pages.require_all({**known, "Normal": {"speed": []}})


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "Binomial": ("Binomial(total_count=1, probs)", "0 … total_count", "diagonal", "m v", True),
        "Categorical": ("Categorical(probs)", "0 … K − 1", "by coordinate", "m v e", True),
        "Gamma": ("Gamma(concentration, rate)", "0 to ∞", "by coordinate", "m v e", False),
        "MultivariateNormal": (
            "MultivariateNormal(loc, covariance_matrix)", "real", "blocks", "m v e", False,
        ),
        "Multinomial": (
            "Multinomial(total_count=1, probs)", "0 … total_count (total)", "blocks", "m v", True,
        ),
        "StudentT": ("StudentT(df, loc=0, scale=1)", "real", "by coordinate", "m v e", False),
        "TruncatedNormal": (
            "TruncatedNormal(loc, scale, low=-inf, high=inf)", "low to high", "by coordinate",
            "m v e", False,
        ),
    }.items(),
)  # fmt: skip
def test_what_is_found_out(pages, name, expected):
    found = pages.Found(name)
    assert (found.call, found.support, found.fisher, found.closed, found.finite) == expected


def test_what_can_be_fitted(pages):
    assert pages.Found("Gamma").fits
    assert not pages.Found("LowRankMultivariateNormal").fits
