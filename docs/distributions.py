"""Write the page of all distributions: ``python docs/distributions.py`` writes distributions.md.

It is made from the families' docstrings and signatures, from what can be found out of the
registry's examples, and from what ``measure_distributions.py`` has measured.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from families.registry import EXAMPLES

import fastscore as fs
from fastscore.engine.enumeration import MOST_OUTCOMES
from fastscore.families import Family

ROOT = Path(__file__).resolve().parents[1]
PAGE, FACTS = ROOT / "docs" / "distributions.md", ROOT / "docs" / "distributions.json"
REGISTERED = sorted({example.name for example in EXAMPLES})
#: What the Notes of a family define; and what they may.
TERMS = ("Density", "Score", "Fisher information", "Sampler")
MOMENTS = "Moments"

_HEADING = re.compile(r"^(\w+)\n-+\n", re.M)
_DEFINITION = re.compile(r"^(?P<term>\S.*)\n(?P<text>(?:    .*\n?)+)", re.M)


class Missing(ValueError):
    """What a page needs and does not have."""


# --- what a docstring says ---


@dataclass(frozen=True)
class Said:
    """The docstring of a family: ``notes`` by term, and sentences beside them."""

    summary: str
    parameters: dict[str, str]
    notes: dict[str, str]
    beside: str
    refused: str


def said_by(name: str, docstring: str) -> Said:
    """Read a docstring.

    Raises
    ------
    Missing
        If the Notes do not define all the terms.
    """
    summary, *rest = _HEADING.split(inspect.cleandoc(docstring) + "\n")
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    notes = definitions(sections.get("Notes", ""))
    if tuple(notes) not in (TERMS, (*TERMS, MOMENTS)):
        raise Missing(f"the Notes of {name} define {list(notes)}, not {list(TERMS)}")
    return Said(
        summary=joined(summary),
        parameters=definitions(sections.get("Parameters", "")),
        notes=notes,
        beside=joined(_DEFINITION.sub("", sections["Notes"])),
        refused=" ".join(definitions(sections.get("Raises", "")).values()),
    )


def definitions(section: str) -> dict[str, str]:
    """Of a definition list."""
    return {m["term"].split(" : ")[0]: joined(m["text"]) for m in _DEFINITION.finditer(section)}


def joined(text: str) -> str:
    """In one line, as Markdown."""
    return " ".join(text.replace("``", "`").split())


# --- what is found out ---


class Found:
    """A family as its signature and the registry's examples show it."""

    def __init__(self, name: str) -> None:
        self.name, self.made = name, getattr(fs, name)
        self.said = said_by(name, self.made.__doc__)
        examples = [example for example in EXAMPLES if example.name == name]
        self.examples: list[Family] = [example.p for example in examples]
        self.constants = list(self.examples[0].constants)
        signature = inspect.signature(self.made).parameters
        self.defaults = {key: argument.default for key, argument in signature.items()}
        for p, given in ((example.p, example.keywords) for example in examples):
            for key, value in {**p.parameters, **p.constants}.items():
                if key not in given:  # which may be None in the signature, since a log_… is too
                    self.defaults[key] = value
        self.instead = []
        for names, text in self.said.parameters.items():
            first, *others = names.split(", ")
            if "in place of" in text:
                self.instead += [first, *others]
            elif text.startswith("One of"):
                self.instead += others

    @property
    def call(self) -> str:
        """How it is made, of natural parameters."""
        natural = {k: v for k, v in self.defaults.items() if k not in self.instead}
        required = (None, inspect.Parameter.empty)
        shown = (k if v in required else f"{k}={float(v):g}" for k, v in natural.items())
        return f"{self.name}({', '.join(shown)})"

    @property
    def discrete(self) -> bool:
        """Whether its outcomes can be counted."""
        return self.finite or any(p.dtype is np.int64 for p in self.examples)

    @cached_property
    def finite(self) -> bool:
        """Whether its outcomes can be listed, at least of some parameters."""
        return any(
            answers(lambda p: p.support(MOST_OUTCOMES), p, ValueError) for p in self.examples
        )

    @property
    def support(self) -> str:
        """Of a coordinate, and how coordinates are tied."""
        support = self.examples[0].support_set
        ties = {tie.law if isinstance(tie.law, str) else tie.law[0] for tie in support.ties}
        if ties == {"values"}:
            return "given values"
        ends = self.end("low"), self.end("high")
        if support.integer.all():
            known = {("0", "1"): "0 or 1", ("0", "∞"): "0, 1, 2, …"}
            text = known.get(ends, "{} … {}".format(*ends))
        else:
            text = "real" if ends == ("−∞", "∞") else "{} to {}".format(*ends)
        return f"{text} ({', '.join(sorted(ties))})" if ties else text

    def end(self, which: str) -> str:
        """An end of the support: a constant's name, a number, or that of classes."""
        ends = [getattr(p.support_set, which) for p in self.examples]
        for name in self.constants:
            values = [np.ravel(p.constants[name]) for p in self.examples]
            if all(map(is_of, ends, values)):
                return name
        every = np.unique(np.concatenate(ends))
        if len(every) > 1:
            return "K − 1"
        special = {-np.inf: "−∞", np.inf: "∞", -np.pi: "−π", np.pi: "π"}
        return special.get(every[0], f"{every[0]:g}")

    @property
    def fisher(self) -> str:
        """Its structure."""
        estimated = {p.fisher_estimated for p in self.examples}
        if True in estimated:
            return "estimated" if estimated == {True} else "exact or estimated"
        p = max(self.examples, key=lambda p: (not p.shares, p.size))
        if not p.size:
            return "none"
        linked = p.fisher() != 0
        i, j = np.nonzero(linked)
        if np.all(i == j):
            return "diagonal"
        owner = owners(p)
        if owner is not None and np.all(owner[i] == owner[j]):
            return "by coordinate"
        return "full" if connected_components(linked)[0] == 1 else "blocks"

    @property
    def closed(self) -> str:
        """Which of mean, variance and entropy have a closed form; in brackets if only at times."""
        questions = {"m": lambda p: p.mean, "v": lambda p: p.variance, "e": lambda p: p.entropy()}
        out = []
        for letter, ask in questions.items():
            known = [answers(ask, p, NotImplementedError) for p in self.examples]
            out += [letter] if all(known) else [f"({letter})"] if any(known) else []
        return " ".join(out)

    @property
    def fits(self) -> bool:
        """Whether it can be fitted."""
        p = self.examples[0]
        return p.size > 0 and answers(lambda p: p.fit(p.sample(16, rng=0)), p, TypeError)


def is_of(end: np.ndarray, values: np.ndarray) -> bool:
    """Whether an end of all coordinates is a constant, of all, of each, or of each vector."""
    return len(end) % len(values) == 0 and np.all(values == end.reshape(len(values), -1).T)


def owners(p: Family) -> np.ndarray | None:
    """The coordinate that each parameter entry belongs to, where entries do."""
    if len(p.parameters) == 1:
        return np.arange(p.size) // (p.size // p.d)
    if all(value.size == p.d for value in p.parameters.values()):
        return np.arange(p.size) % p.d
    return None


def answers(question: Any, p: Family, error: type[Exception]) -> bool:
    """Whether there is an answer and no error."""
    try:
        question(p)
    except error:
        return False
    return True


# --- the page ---

INTRODUCTION = """\
# Distributions

This page is written by `docs/distributions.py` from the docstrings and from measurements: edit \
those. How families are used, and how they are put together, is in [Families](families.md).

In the tables *in place* has what may be given in place of parameters. *Fisher* is the structure \
of the Fisher information: 'by coordinate' has a block for each coordinate or variable, 'blocks' \
has larger ones, 'full' is one. *Closed* \
names the closed forms, m of the mean, v of the variance, e of the entropy, in brackets if only of \
some parameters. *Fit* says whether adaptive proposals can be of the family, and *exact* whether \
outcomes can be listed, for `estimator="exact"` and `sampling="counts"`. *ns* are nanoseconds per \
value, of a sample and its score by all parameters, on one thread; × *NumPy* is how many times as \
long NumPy's sampler takes, with the closed form of the score written as array operations. Where \
two numbers stand, they are the extremes over parameters and over d."""

CLOSING = """\
## What was measured

{machine}. Times are the least of nine calls of a million values, ratios the median of nine pairs \
of calls in turn; `python docs/measure_distributions.py` does it again.

A kernel is *vectorised* if its assembly has packed floating-point instructions and no calls of \
the C library; of tables and random bits, 'integers' is what can be had. Sample and score are \
those that a gradient runs.

*Errors* are the largest ones. 'Ordinary' and 'extreme' ones are against mpmath, with 100 digits \
and more. At ordinary points, which are samples of the examples in `tests/families/registry.py`, \
an error of a log-density is relative to 1 + |log p|, and one of a score to its size plus its \
standard deviation. At extreme points, those of `tests/families/test_accuracy.py`, both are \
relative to the value alone. 'Compared' ones are of families without a formula for mpmath: there \
the log-density is compared with that of SciPy or NumPy, and the score with differences of the \
log-density, which themselves have some eleven digits."""


def page() -> str:
    """All of it.

    Raises
    ------
    Missing
        If a docstring or a measurement is.
    """
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    known = facts["families"]
    require_all(known)
    families = [Found(name) for name in REGISTERED]
    parts = [INTRODUCTION]
    for title, kind in (("Continuous", False), ("Discrete", True)):
        rows = [found for found in families if found.discrete is kind]
        parts += [f"## {title}", table(rows, known)]
        parts += [section(found, known[found.name]) for found in rows]
    return "\n\n".join([*parts, CLOSING.format(machine=machine(facts["measured"]))]) + "\n"


def require_all(known: dict[str, Any]) -> None:
    """Raise a Missing that says all that is missing."""
    problems = []
    for name in REGISTERED:
        if not known.get(name, {}).get("speed"):
            problems.append(
                f"there is no speed of {name}: a case of asv_benchmarks/benchmarks/families.py, as "
                f"`python docs/measure_distributions.py {name}` measures it"
            )
        try:
            said_by(name, getattr(fs, name).__doc__)
        except Missing as error:
            problems.append(str(error))
    if problems:
        raise Missing("\n".join(problems))


def table(families: list[Found], known: dict[str, Any]) -> str:
    """The overview."""
    head = "| | support | in place | Fisher | closed | fit | exact | ns | × NumPy |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for found in families:
        speed = known[found.name]["speed"]
        cells = [
            f"[`{found.call}`](#{found.name.lower()})", found.support,
            ", ".join(f"`{name}`" for name in found.instead), found.fisher, found.closed,
            "fit" if found.fits else "", "exact" if found.finite else "",
            between([one["ns"] for one in speed]), between([one["ratio"] for one in speed]),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def section(found: Found, fact: Any) -> str:
    """Of one family."""
    said = found.said
    parameters = [f"- {code(name)}: {text}" for name, text in said.parameters.items()]
    facts = {
        **said.notes,
        "Notes": said.beside,
        "Constants": constants_of(found),
        "Refused": said.refused,
        "Speed": times_of(fact["speed"]),
        "Vectorised": vectors_of(fact["vectors"]),
        "Errors": errors_of(fact["accuracy"], found.examples[0].size > 0),
    }
    # Another bullet starts another list.
    lines = [f"* **{term}.** {text}" for term, text in facts.items() if text]
    blocks = [f"### {found.name}", said.summary, "\n".join(parameters), "\n".join(lines)]
    return "\n\n".join(blocks)


def code(names: str) -> str:
    """Names separated by commas, as code."""
    return ", ".join(f"`{name}`" for name in names.split(", "))


def constants_of(found: Found) -> str:
    """What there is no derivative by."""
    if not found.constants:
        return ""
    moving = ", with which the support moves" if getattr(found.made, "moving", ()) else ""
    return f"There is no derivative by {code(', '.join(found.constants))}{moving}."


def times_of(speeds: list[dict[str, Any]]) -> str:
    """Of each case."""
    cases: dict[str, list[str]] = {}
    for one in speeds:
        time = f"{short(one['ns'])} ns ({short(one['ratio'])} × NumPy) at d = {one['d']}"
        cases.setdefault(one["case"], []).append(time)
    return "; ".join(f"{case}: {', '.join(times)}" for case, times in cases.items()) + "."


def vectors_of(fact: dict[str, str]) -> str:
    """Which kernels are."""
    ways = {"yes": "{}", "integers": "{} in integers", "no": "not {}"}
    order = ("sample", "score", "log-density")
    kernels = {way: [name for name in order if fact.get(name) == way] for way in ways}
    shown = [ways[way].format(", ".join(names)) for way, names in kernels.items() if names]
    return "; ".join(shown) + "."


def errors_of(fact: dict[str, Any], has_score: bool) -> str:
    """The largest ones."""
    shown = []
    for kind, errors in fact.items():
        worst = [f"log-density {errors['log-density']:.0e}"]
        worst += [f"score {errors['score']:.0e}"] if has_score else []
        shown.append(f"{kind} ({errors['points']} points): {', '.join(worst)}")
    return "; ".join(shown).replace("0e+00", "0") + "."


def between(numbers: list[float]) -> str:
    """The least and the largest."""
    least, most = short(min(numbers)), short(max(numbers))
    return least if least == most else f"{least}–{most}"


def short(number: float) -> str:
    """In two digits, or as an integer."""
    return f"{number:.2g}" if number < 99.5 else f"{number:.0f}"


def machine(measured: dict[str, str]) -> str:
    versions = ", ".join(f"{name} {measured[name]}" for name in ("numba", "numpy", "scipy"))
    return (
        f"On {measured['date']}, {measured['cpu']} ({measured['vectors']}, {measured['system']}), "
        f"Python {measured['python']}, {versions}"
    )


if __name__ == "__main__":
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except Missing as error:
        raise SystemExit(f"docs/distributions.md is not written:\n{error}") from None
