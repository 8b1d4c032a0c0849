"""Whether LLVM has vectorised a loop: what its assembly shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import llvmlite.binding as llvm
import pytest

# Numba hands LLVM the address of a function of libm as `movabsq $log, %rax`.
PACKED = re.compile(r"\bvf\w+pd\b.*%[yz]mm")
LIBM_CALL = re.compile(r"\$(?:log|exp|sin|cos|sincos|pow|fma|round|floor|rint)\b")
_CHILD = "FASTSCORE_TEST_HASWELL"


def _has_avx2() -> bool:
    features = llvm.get_host_cpu_features()
    return bool(features.get("avx2", False) and features.get("fma", False))


needs_avx2 = pytest.mark.skipif(not _has_avx2(), reason="checks AVX2 or AVX-512 instructions")
not_in_child = pytest.mark.skipif(_CHILD in os.environ, reason="is this test's own child")


def assembly(loop: Any) -> str:
    """Assembly of a loop compiled once."""
    (code,) = loop.inspect_asm().values()
    return str(code)


def run_on_avx2(file: str, tests: str) -> None:
    """Run some tests of a file in a process whose code generation stops at AVX2."""
    environment = os.environ | {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2",
        _CHILD: "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file, "-k", tests]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stdout
