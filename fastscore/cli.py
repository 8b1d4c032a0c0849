"""The command line: ``fastscore demo``, ``fastscore run FILE.py`` and ``fastscore audit``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastscore import __version__, examples
from fastscore.audit import audit
from fastscore.gradient import Interrupted
from fastscore.study import Study, StudyError, load, one_line
from fastscore.study_report import Report, run, tables

_DEMO = Path(examples.__file__).with_name("barrier.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        study = load(options.file)
        if options.audits:
            return _audit(study, options)
        report = run(
            study, n=options.n, seed=options.seed, threads=options.threads,
            progress=sys.stderr.isatty() and not options.json,
        )  # fmt: skip
    except (StudyError, ValueError, TypeError, ArithmeticError, LookupError, RuntimeError) as e:
        print(f"fastscore: {one_line(e)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        partial = interrupt.estimate if isinstance(interrupt, Interrupted) else None
        print("fastscore: interrupted" + (f"; so far:\n{partial}" if partial else ""),
              file=sys.stderr)  # fmt: skip
        return 130
    if options.json:
        json.dump(_as_json(report), sys.stdout, indent=2)
        print()
    else:
        from rich.console import Console

        Console().print(*tables(report), sep="\n\n")
    return 0


def _audit(study: Study, options: argparse.Namespace) -> int:
    found = audit(
        study.f, study.p, args=study.args, n=options.n, rng=options.seed, threads=options.threads
    )
    if options.json:
        findings = [dataclasses.asdict(finding) for finding in found.findings]
        json.dump({"n": found.n, "seconds": found.seconds, "findings": findings}, sys.stdout,
                  indent=2, default=np.ndarray.tolist)  # fmt: skip
        print()
    else:
        print(found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastscore",
        description="Gradients of expectations from samples, with standard errors.",
    )
    parser.add_argument("--version", action="version", version=f"fastscore {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="sensitivities of a digital barrier option")
    demo.set_defaults(file=_DEMO)
    runner = commands.add_parser(
        "run",
        help="the same for a file of your own",
        description="Estimate what a Python file defines: f and p; optionally args, n, title, "
        "labels and special.",
        epilog="example: fastscore run option.py --n 1000000 --json",
    )
    runner.add_argument("file", type=Path, metavar="FILE.py")
    auditor = commands.add_parser(
        "audit",
        help="what may be wrong with a gradient, and what would do better",
        description="Check what a Python file defines, f and p, and optionally args, and say "
        "what would do better; without a file, what 'demo' does.",
        epilog="example: fastscore audit option.py",
    )
    auditor.add_argument("file", type=Path, nargs="?", default=_DEMO, metavar="FILE.py")
    for command in (demo, runner, auditor):
        command.set_defaults(audits=command is auditor)
        command.add_argument("--n", type=_positive, help="number of samples")
        command.add_argument("--seed", type=_natural, default=0, help="seed (default: 0)")
        command.add_argument("--threads", type=_positive, help="threads at most (default: all)")
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _natural(text: str) -> int:
    value = int(text.replace("_", ""))
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _positive(text: str) -> int:
    value = _natural(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _as_json(report: Report) -> dict[str, object]:
    estimate = report.estimate
    return {
        "title": report.study.title,
        "n": estimate.n,
        "seed": estimate.seed,
        "baseline": estimate.baseline,
        "bias": estimate.bias,
        "value": estimate.value,
        "value_stderr": estimate.value_stderr,
        "grad": {name: grad.tolist() for name, grad in estimate.grad.items()},
        "grad_stderr": {name: stderr.tolist() for name, stderr in estimate.grad_stderr.items()},
        "labels": report.labels,
        "variance_relative_to_no_baseline": {
            name: relative for name, (relative, _) in report.baselines().items()
        },
        "seconds": estimate.seconds,
        "threads": estimate.threads,
        "samples_per_second": report.samples_per_second,
        "special": [
            {"name": name, "estimate": found, "stderr": stderr, "exact": exact}
            for name, found, stderr, exact in report.comparison()
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
