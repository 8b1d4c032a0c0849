"""The command line."""

import json
from pathlib import Path

import pytest

import fastscore
from fastscore.cli import main

OWN = """
import fastscore as fs
from numba import njit

@njit
def f(x, k):
    return (x[0] - k) ** 2

p = fs.Normal([1.0], [0.5])
args = (3.0,)
n = 1000
"""


def test_demo(capsys):
    assert main(["demo", "--n", "200000", "--threads", "2"]) == 0
    out = capsys.readouterr().out
    for word in ("delta", "vega, month 1", "vega, month 12", "optimal", "closed form",
                 "samples per second", "standard error"):  # fmt: skip
        assert word in out
    assert "None" in out
    assert "loc[3]" not in out


def test_demo_agrees_with_the_closed_form(capsys):
    assert main(["demo", "--n", "400000", "--seed", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 400_000
    assert report["seed"] == 3
    assert len(report["special"]) == 14
    for row in report["special"]:
        assert abs(row["estimate"] - row["exact"]) < 4.5 * row["stderr"]
    relative = report["variance_relative_to_no_baseline"]
    assert relative["None"] == 1
    assert relative["optimal"] < 0.8


def test_a_file_of_ones_own(tmp_path, capsys):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    assert main(["run", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 1000
    assert report["labels"] == {"loc": ["loc[0]"], "scale": ["scale[0]"]}
    assert abs(report["grad"]["loc"][0] + 4) < 5 * report["grad_stderr"]["loc"][0]
    assert main(["run", str(path), "--n", "50"]) == 0
    assert "n = 50" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f = 1 +", "line 1: "),
        ("import nowhere", "line 1: ModuleNotFoundError"),
        ("x = 1\ny = x / 0", "line 2: ZeroDivisionError"),
        ("f = 1", "no p"),
        ("x = 1", "no f and no p"),
        (OWN + "p = 3", "not a distribution"),
        (OWN + "args = ()", "f"),
        (OWN + "n = 0", "n=0"),
        (OWN + "def f(x, k):\n    return x", "shape"),
        (OWN + "def f(x, k):\n    raise KeyError('gone')", "gone"),
        (OWN + "labels = {'loc': ['a', 'b']}", "labels"),
        (OWN + "special = {'args': ()}", "'exact'"),
        (OWN + "args = 3", "args"),
    ],
)
def test_a_broken_file_gives_one_line(tmp_path, capsys, text, message):
    path = tmp_path / "broken.py"
    path.write_text(text)
    assert main(["run", str(path)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("fastscore: ")
    assert captured.err.count("\n") == 1


def test_a_missing_file(tmp_path, capsys):
    assert main(["run", str(tmp_path / "none.py")]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--n", "0"], ["--n", "x"], ["--seed", "-1"], ["--bad"]])
def test_bad_options(options, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["demo", *options])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_help_and_version(capsys):
    for arguments in (["--help"], ["run", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "example" in out
    assert fastscore.__version__ in out


def test_the_example_is_shipped():
    assert (Path(fastscore.__file__).parent / "examples" / "barrier.py").is_file()
