"""The disk cache: a second process compiles nothing, and no upgrade fools it."""

import json
import os
import shutil
from pathlib import Path

import numba
import numpy as np
import pytest

import fastscore
from fastscore.engine import jit

REPORT = """
used = {k.function.__module__ + "." + k.function.__name__: k.compilations for k in jit.kernels}
print(json.dumps({
    "compiled": {k: v for k, v in used.items() if v},
    "used": sum(v is not None for v in used.values()),
    "bits": bits,
    "cache": str(jit.cache_directory()),
    "hash": jit.source_hash(),
}))
"""
GRADIENT = (
    """
import json
import numpy as np
from numba import njit
import fastscore as fs
from fastscore.engine import jit

@njit
def f(x):
    return 1.1 * x[0] + x[-1] ** 2

p = fs.Normal(np.ones(3), np.ones(3))
estimate = fs.gradient(f, p, n=100_000, rng=0, threads=2)
fs.gradient(lambda x: x[:, 0], p, n=10, rng=0)
bits = [estimate.value, *estimate.flat, *estimate.flat_stderr]
"""
    + REPORT
)
#: An entry and a tile kernel, and what they call in other files.
SAMPLES = (
    """
import json
import fastscore as fs
from fastscore.engine import jit

bits = fs.Normal(1.0, 1.0).sample(1000, rng=0)[:, 0].tolist()
"""
    + REPORT
)


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_a_second_process_compiles_nothing(python, warm_cache):
    first = json.loads(python(GRADIENT, NUMBA_CACHE_DIR=str(warm_cache)).stdout)
    assert len(first["compiled"]) == first["used"] > 5
    second = json.loads(python(GRADIENT, NUMBA_CACHE_DIR=str(warm_cache)).stdout)
    assert second["compiled"] == {}
    assert second["used"] == first["used"]
    assert second["bits"] == first["bits"]


def test_bits_do_not_depend_on_what_was_compiled_before(python, warm_cache):
    """Of a helper that is not inlined there are two copies, and the linker takes either."""
    loaded = json.loads(python(GRADIENT, NUMBA_CACHE_DIR=str(warm_cache)).stdout)
    for kind in ("serial", "parallel"):
        shutil.rmtree(Path(loaded["cache"]) / kind)
    partly = json.loads(python(GRADIENT, NUMBA_CACHE_DIR=str(warm_cache)).stdout)
    assert 0 < len(partly["compiled"]) < partly["used"]
    assert partly["bits"] == loaded["bits"]


def copy_of_package(target):
    shutil.copytree(
        Path(fastscore.__file__).parent, target / "fastscore",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip


def test_an_edited_helper_is_compiled_anew(python, tmp_path, warm_cache):
    """The helper's callers live in other files, whose own stamps do not change."""
    copy_of_package(tmp_path)
    env = {"NUMBA_CACHE_DIR": str(warm_cache), "PYTHONPATH": str(tmp_path)}
    before = json.loads(python(SAMPLES, **env).stdout)
    helper = tmp_path / "fastscore" / "engine" / "normals.py"
    times = os.stat(helper)
    text = helper.read_text()
    assert "loc + distance * cosine" in text
    helper.write_text(text.replace("loc + distance * cosine", "loc + 1 + distance * cosine"))
    os.utime(helper, (times.st_atime, times.st_mtime))
    after = json.loads(python(SAMPLES, **env).stdout)
    assert after["hash"] != before["hash"]
    assert after["compiled"]
    assert np.mean(after["bits"]) > np.mean(before["bits"]) + 0.5


def test_an_upgraded_wheel_is_compiled_anew(python, tmp_path, warm_cache):
    """Installers may keep times and paths; only the contents differ."""
    copy_of_package(tmp_path / "old")
    copy_of_package(tmp_path / "new")
    kernel = tmp_path / "new" / "fastscore" / "engine" / "vecmath.py"
    kernel.write_text(kernel.read_text() + "\n# A new version.\n")
    site = tmp_path / "site"
    values = []
    for version in ("old", "new"):
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(tmp_path / version, site)
        for path in site.rglob("*.py"):
            os.utime(path, (1_500_000_000, 1_500_000_000))
        env = {"NUMBA_CACHE_DIR": str(warm_cache), "PYTHONPATH": str(site)}
        values.append(json.loads(python(SAMPLES, **env).stdout))
    assert values[0]["hash"] != values[1]["hash"]
    assert values[1]["compiled"]
    assert values[0]["bits"] == values[1]["bits"]


def test_an_unwritable_cache_is_reported_and_survived(python, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = python(SAMPLES, NUMBA_CACHE_DIR=str(blocked))
    assert "cannot write its kernel cache" in done.stderr
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert json.loads(done.stdout)["cache"] == "None"


def test_an_unwritable_home_is_survived(python, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    script = "import os; os.environ.pop('NUMBA_CACHE_DIR', None)\n" + SAMPLES
    done = python(script, HOME=str(blocked), XDG_CACHE_HOME="", LOCALAPPDATA=str(blocked))
    assert "cannot write its kernel cache" in done.stderr


def test_disabled_jit_is_refused_clearly(python):
    done = python(GRADIENT, check=False, NUMBA_DISABLE_JIT="1")
    assert done.returncode != 0
    assert "NUMBA_DISABLE_JIT" in done.stderr.splitlines()[-1]


def test_global_configuration_is_left_alone(f, p):
    before = (numba.config.CACHE_DIR, numba.config.THREADING_LAYER, numba.get_num_threads())
    fastscore.gradient(f, p, n=10, rng=0)
    jit.entry(lambda: 1)()
    after = (numba.config.CACHE_DIR, numba.config.THREADING_LAYER, numba.get_num_threads())
    assert before == after


def test_old_caches_are_pruned(tmp_path):
    for i in range(8):
        (tmp_path / f"{i}").mkdir()
        os.utime(tmp_path / f"{i}", (i, i))
    jit._prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "5", "6", "7"]


def test_import_is_cheap_and_compiles_nothing(python):
    script = """
import sys
import numba  # imports scipy itself, to look at its version
heavy = {"scipy.special", "scipy.linalg", "rich", "matplotlib"} - set(sys.modules)
import fastscore
from fastscore.engine import jit
heavy &= set(sys.modules)
families = {m.rsplit(".", 1)[1] for m in sys.modules if m.startswith("fastscore.families.")}
print(sorted(heavy), [k.compilations for k in jit.kernels if k.compilations is not None])
print(sorted(name for name in families if not name.startswith("_")))
"""
    assert python(script).stdout.split() == ["[]", "[]", "[]"]
