"""LLVM turns the loops over a column's samples into packed instructions, without calls of libm."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numba import cfunc, config
from packed import LIBM_CALL, needs_avx2, not_in_child, run_on_avx2

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

PACKED = re.compile(r"\bv(add|sub|mul|div|f\w+)pd\b.*%[yz]mm")
ONE = np.ones(2)
FAMILIES = {
    "LogNormal": fs.LogNormal(ONE, ONE),
    "Laplace": fs.Laplace(ONE, ONE),
    "Exponential": fs.Exponential(ONE),
    "HalfNormal": fs.HalfNormal(ONE),
    "Logistic": fs.Logistic(ONE, ONE),
    "Gumbel": fs.Gumbel(ONE, ONE),
    "Cauchy": fs.Cauchy(ONE, ONE),
    "Weibull": fs.Weibull(ONE, ONE),
    "hazards of Weibull": fs.Weibull(ONE, ONE).source.family,
    "Pareto": fs.Pareto(ONE, ONE),
    "Kumaraswamy": fs.Kumaraswamy(ONE, ONE),
    "logarithms of Kumaraswamy": fs.Kumaraswamy(ONE, ONE).source.family,
    "Gamma": fs.Gamma(ONE, ONE),
    "LogGamma": fs.Gamma(0.01 * ONE, ONE).source.family,
    "Chi2": fs.Chi2(ONE),
    "TruncatedNormal": fs.TruncatedNormal(ONE, ONE, 0.0),
    "VonMises": fs.VonMises(ONE, ONE),
    "InverseGamma": fs.InverseGamma(ONE, ONE),
    "Beta": fs.Beta(ONE, 2 * ONE),
    "LogitBeta": fs.Beta(0.01 * ONE, ONE).source.family,
    "StudentT": fs.StudentT(3.0 * ONE),
    "Dirichlet": fs.Dirichlet(ONE),
    "LogDirichlet": fs.Dirichlet(0.01 * ONE).source.family,
    "Multinomial": fs.Multinomial(10, ONE),
    "PlackettLuce": fs.PlackettLuce(ONE),
    "Poisson": fs.Poisson(ONE),
    "NegativeBinomial": fs.NegativeBinomial(ONE, 0.5 * ONE),
    "BetaBinomial": fs.BetaBinomial(10, ONE, 2 * ONE),
    "Binomial": fs.Binomial(10, 0.5 * ONE),
    "Geometric": fs.Geometric(0.5 * ONE),
}


def assembly_of(kernel):
    """Of a kernel compiled apart: those from the disk cache keep none."""
    compiled = cfunc(kernel.signature, error_model="numpy")(kernel.function)
    return compiled._library.get_asm_str()


@needs_avx2
@pytest.mark.parametrize("name", FAMILIES)
def test_the_score_is_packed(name):
    assembly = assembly_of(FAMILIES[name].score_kernel)
    assert PACKED.search(assembly)
    assert not LIBM_CALL.search(assembly)


@needs_avx2
@pytest.mark.parametrize(
    "name", ["LogNormal", "Gamma", "Beta", "Dirichlet", "Poisson", "Binomial", "Multinomial"]
)
def test_the_density_is_packed(name):
    assembly = assembly_of(FAMILIES[name].log_probs_kernel)
    assert PACKED.search(assembly)
    assert not LIBM_CALL.search(assembly)


@needs_avx2
@not_in_child
def test_the_same_on_avx2():
    run_on_avx2(__file__, "score_is_packed")
