"""A paragraph for the methods section of a paper, with BibTeX for what it cites: all from the study, its tables and its runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ablate.analysis.distributions import ALPHA
from ablate.analysis.table import Table
from ablate.report import format as fmt
from ablate.study.records import RunResult
from ablate.study.values.study import Study


@dataclass(frozen=True)
class _Test:
    """A test in words, how it is corrected for several comparisons, and the BibTeX keys of what both cite."""

    text: str
    correction: str
    keys: tuple[str, ...]


_ONE_STEP = "p multiplied by the number of comparisons (Dunn 1961), 95% intervals simultaneous by the same rule"
_HOLM = "p adjusted by Holm's method (Holm 1979), 95% intervals simultaneous by Bonferroni's (Dunn 1961)"
_JOINT = "which adjusts p; 95% intervals simultaneous"

_TESTS = {
    "moderated": _Test(
        "t-tests with moderated variances (Smyth 2004), an arm's own where that is larger",
        _ONE_STEP, ("smyth2004", "dunn1961"),
    ),
    "dunnett": _Test(
        "Dunnett's two-sided test (Dunnett 1955), the variance pooled over the arms that are compared",
        _JOINT, ("dunnett1955",),
    ),
    "pooled-holm": _Test("t-tests with a variance pooled over the steps", _HOLM, ("holm1979", "dunn1961")),
    "welch-holm": _Test("Welch's t-tests (Welch 1947)", _HOLM, ("welch1947", "holm1979", "dunn1961")),
    "welch": _Test(
        "Welch's t-tests (Welch 1947) where too few arms vary to moderate variances",
        _ONE_STEP, ("welch1947", "dunn1961"),
    ),
    "residual": _Test("t-tests with the model's residual variance", _ONE_STEP, ("dunn1961",)),
}  # fmt: skip
"""By `Cell.test`."""
_SOFTWARE = {"torch": "PyTorch", "ablate": "ablate"}
"""Packages that are named, as the runs recorded them."""
_CITED = {"PyTorch": "paszke2019", "ablate": "ablate"}
_FIRST_AUTHORS = {"PyTorch": " (Paszke et al. 2019)"}


@dataclass(frozen=True)
class Methods:
    """The paragraph, the facts that it is made of as JSON-ready values, and the BibTeX entries by their keys."""

    text: str
    facts: Mapping[str, Any]
    references: Mapping[str, str]

    def markdown(self) -> str:
        """The paragraph and a block of BibTeX."""
        entries = "\n\n".join(self.references.values())
        return f"{self.text}\n\n```bibtex\n{entries}\n```"

    def document(self) -> dict[str, Any]:
        """The same as one JSON document."""
        entries = [{"key": key, "bibtex": entry} for key, entry in self.references.items()]
        return {"schema": 1, **self.facts, "text": self.text, "references": entries}


def methods(study: Study, tables: Sequence[Table], results: Mapping[str, RunResult]) -> Methods:
    """How the study's numbers were made and compared. `results` are those of its runs, by run id."""
    done = [found for run in study.runs if (found := results.get(run.run_id)) is not None and found.state == "done"]
    tests = _tests(tables)
    hardware = _counted(_device(result) for result in done)
    software = {name: _counted(_version(result, package) for result in done) for package, name in _SOFTWARE.items()}
    software = {name: versions for name, versions in software.items() if versions}
    n = Counter(result.run.arm_id for result in done)
    facts = {
        "study": study.name,
        "profile": study.profile,
        "set": list(study.sets),
        "seeds": list(study.seeds),
        "arms": len({run.arm_id for run in study.runs}),
        "runs": {"done": len(done), "planned": len(study.runs)},
        "n": {"least": min(n.values()), "most": max(n.values())} if n else None,
        "tests": [
            {"of": of, "test": test, "text": _TESTS[test].text, "correction": _TESTS[test].correction}
            for of, test in tests
        ],
        "hardware": [{"name": name, "runs": runs} for name, runs in hardware.items()],
        "software": [
            {"name": name, "version": version, "runs": runs}
            for name, versions in software.items()
            for version, runs in versions.items()
        ],
    }
    said = [_design(study, facts), *_compared(study, tables, tests), *_made(hardware, software)]
    keys = {key for _, test in tests for key in _TESTS[test].keys} | {_CITED[name] for name in software}
    return Methods(" ".join(said), facts, {key: entry for key, entry in bibliography().items() if key in keys})


def _tests(tables: Sequence[Table]) -> list[tuple[str, str]]:
    """What is compared (`effects`, else `differences`) and by which test, each pair once."""
    found = {
        ("effects" if table.kind == "effect" else "differences", cell.test): None
        for table in tables
        for row in table.rows
        for cell in row.cells.values()
        if cell.test in _TESTS and fmt.known(cell.p_adjusted)
    }
    return sorted(found)


def _counted(names: Iterable[str]) -> dict[str, int]:
    """How many runs have each, the most frequent first; what is not known is left out."""
    counts = Counter(fmt.plain(name) for name in names if name)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _device(result: RunResult) -> str:
    """`NVIDIA H200`, `AMD EPYC (2 threads)`; empty where nothing was recorded."""
    known = result.environment
    device = str(known.get("device") or result.device or "")
    threads = known.get("threads") if device in ("cpu", known.get("cpu")) else None
    return f"{device} ({_plural(threads, 'thread')})" if device and isinstance(threads, int) else device


def _version(result: RunResult, package: str) -> str:
    return str(result.environment.get("packages", {}).get(package) or "")


def _design(study: Study, facts: Mapping[str, Any]) -> str:
    seeds, runs, n = facts["seeds"], facts["runs"], facts["n"]
    listed = f" ({_and([str(seed) for seed in seeds])})" if len(seeds) <= 10 else ""
    scale = f" at profile {fmt.plain(study.profile)}" if study.profile else ""
    sets = f" with {fmt.plain(', '.join(study.sets))}" if study.sets else ""
    planned = (
        f"Each of {_plural(facts['arms'], 'arm')} was planned{scale}{sets} with {_plural(len(seeds), 'seed')}{listed}"
    )
    if n is None:
        return f"{planned}; none of the {_plural(runs['planned'], 'run')} is done."
    if runs["done"] == runs["planned"]:
        trained = planned.replace("was planned", "was trained")
        return f"{trained}, {_plural(runs['done'], 'run')} in all. Tables give the mean and the standard deviation over n = {n['most']} an arm."
    span = f"{n['least']}" if n["least"] == n["most"] else f"{n['least']} to {n['most']}"
    return (
        f"{planned}; {runs['done']:,} of {_plural(runs['planned'], 'run')} are done. Tables give the mean and the standard "
        f"deviation over n = {span} an arm that has any."
    )


def _compared(study: Study, tables: Sequence[Table], tests: Sequence[tuple[str, str]]) -> Iterable[str]:
    if not tests:
        yield "No difference was tested."
        return
    baselines = {fmt.plain(table.baseline) for table in tables if table.kind != "effect" and table.baseline}
    named = f"the baseline, {baselines.pop()}," if len(baselines) == 1 else "each table's baseline"
    to = "the step before" if study.design == "path" else named
    effects = [test for of, test in tests if of == "effects"]
    differences = [test for of, test in tests if of == "differences"]
    if differences:
        kinds = {table.kind for table in tables if _tests([table])} & {"epoch", "class"}
        each = f", {' and '.join(f'each {kind}' for kind in sorted(kinds, reverse=True))} by itself" if kinds else ""
        yield (
            f"Differences from {to} were tested by {_said(differences)}; each column of a table is a family{each}, and "
            "nothing was paired by seed."
        )
    if effects:
        how = "the same test" if differences == effects else _said(effects)
        yield (
            "Main effects and two-way interactions were estimated by least squares with the seed as block, and tested by "
            f"{how}, over the effects of a column."
        )
    yield f"A difference counts as decided where its adjusted p is below {ALPHA:g}."


def _said(tests: Sequence[str]) -> str:
    return "; or by ".join(f"{_TESTS[test].text}, {_TESTS[test].correction}" for test in tests)


def _made(hardware: Mapping[str, int], software: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    """On what and with what the runs were trained, as far as they recorded it."""
    on = _shares(hardware)
    by = [
        f"{name} {_shares(versions)}{_FIRST_AUTHORS.get(name, '')}" for name, versions in software.items() if versions
    ]
    if on or by:
        yield f"Runs were trained{f' on {on}' if on else ''}{f' with {_and(by)}' if by else ''}."


def _shares(counts: Mapping[str, int]) -> str:
    """`NVIDIA H200`; where there are several, with the runs of each."""
    if len(counts) == 1:
        return next(iter(counts))
    return _and([f"{name} ({_plural(runs, 'run')})" for name, runs in counts.items()])


def bibliography() -> dict[str, str]:
    """All BibTeX entries that there are, by their keys."""
    text = files("ablate.report").joinpath("templates", "references.bib").read_text(encoding="utf-8")
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", text) if entry.strip()]
    return {re.findall(r"^@\w+\{([^,]+),", entry)[0]: entry for entry in entries}


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
