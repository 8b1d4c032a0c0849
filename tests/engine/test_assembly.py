"""Hot kernels are vectorised: packed instructions where the time goes, no calls to libm."""

import platform
import re

import numpy as np
import pytest
from numba import cfunc, njit

from fastscore.engine.blocks import centre
from fastscore.engine.inverse_normal import invert
from fastscore.engine.memory import pointer
from fastscore.engine.products import _add_product
from fastscore.families import Bernoulli, Categorical, Normal
from fastscore.form import Form
from fastscore.integrand.arguments import Arguments
from fastscore.integrand.compiled import _compiled_f

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly"
)

WIDE = r"%[yz]mm"


def assembly_of_tile(kernel):
    """Compiled apart: a kernel from the disk cache keeps no assembly."""
    return cfunc(kernel.signature, error_model="numpy")(kernel.function)._library.get_asm_str()


def packed(assembly, instruction):
    return len(re.findall(rf"\b{instruction}\b.*{WIDE}", assembly))


def test_sampler():
    assembly = assembly_of_tile(Normal.sample_kernel)
    assert packed(assembly, r"vfn?madd\d+pd") > 20  # the polynomials
    assert packed(assembly, "vsqrtpd") >= 1
    assert packed(assembly, r"v(pxorq?|xorpd|pternlogq)") >= 4  # xoshiro's words and the signs
    assert packed(assembly, r"v(psrlq|prolq)") >= 2
    assert not re.search(r"call\w*\s+\S*\b(log|sin|cos|sqrt)\b", assembly)


def test_sampler_of_structured_words():
    """Both quotients of polynomials, and the far words' root, are the kernel's own."""
    assembly = assembly_of_tile(invert)
    assert packed(assembly, "vdivpd") >= 3  # one of them in the far words' logarithm
    assert re.search(r"\b[tb]sfq|tzcntq", assembly)


def test_accumulator():
    assembly = assembly_of_tile(Normal.accumulate_kernel)
    assert packed(assembly, r"vfn?m(add|sub)\d+pd") >= 6  # one of seven may be split otherwise


def test_bernoulli():
    """Sixteen 16-bit draws are compared at a time; sums are masked, not branched."""
    assert packed(assembly_of_tile(Bernoulli.sample_kernel), r"vpcmp\w*w") >= 2
    assert packed(assembly_of_tile(Bernoulli.accumulate_kernel), "vaddpd") >= 2


def test_a_class_is_chosen_without_a_branch():
    """Whether to take the alias is added to an index: a branch would often be mispredicted."""
    assert re.search(r"\b(setae|adcq|sbbq)\b", assembly_of_tile(Categorical.sample_kernel))


@njit
def add_product(a, b, out):
    _add_product(pointer(a), pointer(b), 8, 16, pointer(out))


def test_products():
    """A block of a product stays in registers: an FMA for each of its vectors and row."""
    a, b, out = np.arange(128.0), np.arange(128.0) ** 2, np.zeros(256)
    add_product(a, b, out)
    exact = np.tril(a.reshape(8, 16).T @ b.reshape(8, 16))
    np.testing.assert_allclose(np.tril(out.reshape(16, 16)), exact, rtol=1e-14)
    assert packed("\n".join(add_product.inspect_asm().values()), r"vfmadd\d+pd") >= 8


def test_centring():
    values, squares = np.ones(100), np.empty(100)
    assert centre(values, squares, 100, 3.0) == (-200.0, 400.0)
    assembly = "\n".join(centre.inspect_asm().values())
    assert packed(assembly, "vsubpd") >= 1
    assert packed(assembly, "vaddpd") >= 1


@pytest.mark.parametrize("d", [1, 10, 24])
def test_a_strict_f_is_vectorised_over_samples(f, d):
    """d is a constant, so f's loop unrolls and samples run side by side."""
    compiled = _compiled_f(f, "sample", Form(d, np.float64), Arguments(()).types, False)
    assembly = "\n".join(compiled.dispatcher.inspect_asm().values())
    assert packed(assembly, r"(vaddpd|vfmadd\d+pd|vmulpd)") >= 2
