"""Check the pages: ``python docs/check.py [name …]`` runs their Python and looks up their links.

The page of distributions must be what ``distributions.py`` writes.  The ``python`` blocks of a
page run in order in one namespace.  A ``text`` block right after one must be what it printed.
``--write`` makes both so.  A block whose info string has ``no-run`` is skipped.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

_FENCED = re.compile(r"^```.*\n(?:(?!```).*\n)*```[ \t]*$", re.M)
_PYTHON = re.compile(
    r"^```python(?P<options>.*)\n(?P<code>(?:(?!```).*\n)*)```[ \t]*$"
    r"(?P<shown>\s*\n```text\n(?P<output>(?:(?!```).*\n)*)```[ \t]*$)?",
    re.M,
)
_LINK = re.compile(r"\]\((?!\w+:|#)(?P<path>[^)#\s]+)")
_PATH = re.compile(r"`(?P<path>(?:fastscore|docs|tests|asv_benchmarks)/[\w./-]*\.\w+)`")


def run(name: str, page: str) -> tuple[str, int]:
    """Run the Python of a page; return the page with what it prints now, and the count."""
    names: dict[str, Any] = {"__name__": "__page__"}
    made, end, count = "", 0, 0
    for block in _PYTHON.finditer(page):
        if "no-run" in block["options"].split():
            continue
        # Blank lines before the code, so that a traceback points at the page's own lines.
        above = "\n" * page.count("\n", 0, block.start("code"))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(above + block["code"], name, "exec"), names)
        if block["shown"]:
            lines = (line.rstrip() for line in printed.getvalue().splitlines())
            made += page[end : block.start("output")] + "".join(f"{line}\n" for line in lines)
            end = block.end("output")
        count += 1
    return made + page[end:], count


def missing(path: Path, page: str) -> list[str]:
    """Links and paths of a page that lead nowhere."""
    prose = _FENCED.sub("", page)
    targets = [(found["path"], path.parent) for found in _LINK.finditer(prose)]
    targets += [(found["path"], ROOT) for found in _PATH.finditer(prose)]
    return [f"there is no {target}" for target, base in targets if not (base / target).exists()]


def differing(page: str, made: str) -> list[str]:
    """Lines of output that are not what is printed now."""
    pairs = enumerate(zip(page.splitlines(), made.splitlines(), strict=False), start=1)
    found = [f"line {i}: {new!r} is printed, not {old!r}" for i, (old, new) in pairs if old != new]
    return found[:3] or ["the output differs in length"]


def check(path: Path, write: bool) -> bool:
    """Check one page, print what was found, return whether all is well."""
    name, page = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    start, count, problems = time.perf_counter(), 0, missing(path, page)
    try:
        made, count = run(name, page)
    except Exception:
        problems.append(traceback.format_exc())
    else:
        if write:
            path.write_text(made, encoding="utf-8")
        elif made != page:
            problems += differing(page, made)
    seconds = time.perf_counter() - start
    print(f"{name}: {count} blocks, {seconds:.1f} s: {'FAILED' if problems else 'ok'}")
    for problem in problems:
        print(f"  {problem}")
    return not problems


def check_distributions(write: bool) -> bool:
    """Write the page of distributions, or check that it is what would be written."""
    import distributions

    try:
        made = distributions.page()
    except distributions.Missing as error:
        print(f"docs/distributions.md: FAILED\n  {error}")
        return False
    if write:
        distributions.PAGE.write_text(made, encoding="utf-8")
    elif not distributions.PAGE.exists() or made != distributions.PAGE.read_text(encoding="utf-8"):
        print("docs/distributions.md is not what `python docs/distributions.py` writes: FAILED")
        return False
    return True


def main() -> int:
    """Check all pages, or those with the names given; return the exit code."""
    names, write = set(sys.argv[1:]) - {"--write"}, "--write" in sys.argv[1:]
    wanted = not names or "distributions" in names
    results = [check_distributions(write)] if wanted else []
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
    results += [check(path, write) for path in pages if not names or path.stem in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
