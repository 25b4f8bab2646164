"""Golden files of messages: a test pins what a program reads (code, key, place), and a file beside it holds the wording.

`golden("grammar", lines)` compares the lines with `golden/grammar.txt` in the test's folder, under the test's name. After a change of
wording, `ABLATE_TEST_GOLDEN=write pytest tests/study` writes the file again; read the difference before you commit it.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

from ablate.errors import Problem

ROOT = Path(__file__).resolve().parents[1]
Raised = TypeVar("Raised", bound=BaseException)
WRITE = os.environ.get("ABLATE_TEST_GOLDEN") == "write"
_HEAD = "## "
_FOLDER = re.compile(r"/[^\s'\"]*?/pytest-of-[^/]+/pytest-\d+/(popen-gw\d+/)?[^/\s:'\"]+")
_VARIES = {
    r"127\.0\.0\.1:\d+": "HOST",
    r"\b[0-9a-f]{32,64}\b|\b[0-9a-f]{12}(?=\.\.\.)": "HEX",
    r"\d+(,\d{3})+ bytes": "N bytes",
}
_told: dict[tuple[str, str], list[str]] = {}


def golden(file: str, texts: Iterable[str]) -> None:
    """What the running test is told, in order, is what the golden file says; what differs from machine to machine is a word there."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
    place, _, name = test.partition("::")
    path = ROOT / Path(place).parent / "golden" / f"{file}.txt"
    name = f"{Path(place).name}::{name}"
    lines = _told.setdefault((file, test), [])
    lines += [line.rstrip() for text in texts for line in _shown(text).splitlines() if line.strip()]
    if WRITE:
        return _write(path, name, lines)
    assert _sections(path).get(name, [])[: len(lines)] == lines, (
        f"{path}: {name} differs; {__file__} says how to rewrite it"
    )


def _shown(text: str) -> str:
    text = _FOLDER.sub("TMP", text.replace(sys.executable, "PYTHON").replace(str(ROOT), "ROOT"))
    for pattern, word in _VARIES.items():
        text = re.sub(pattern, word, text)
    return text.encode("utf-8", "backslashreplace").decode()


def coded(problems: Iterable[Problem], file: str = "grammar") -> list[str]:
    """Place, key and code of each problem, as in `s.yaml:2: seeds: wrong-value`; the golden file holds the wording."""
    problems = list(problems)
    golden(file, map(str, problems))
    return [str(replace(problem, message=problem.code)) for problem in problems]


@contextmanager
def raising(
    kind: type[Raised], match: str | None = None, file: str = "messages"
) -> Iterator[pytest.ExceptionInfo[Raised]]:
    """As `pytest.raises`; the golden file holds the message."""
    with pytest.raises(kind, match=match) as caught:
        yield caught
    golden(file, [str(caught.value)])


@cache
def _sections(path: Path) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in _text(path).split("\n"):
        if line.startswith(_HEAD):
            lines = sections.setdefault(line.removeprefix(_HEAD), [])
        elif line:
            lines.append(line)
    return sections


def _write(path: Path, name: str, lines: list[str]) -> None:
    """One section, while other processes of the suite write theirs. Sections of tests that are gone are left out."""
    folder = path.parent.parent
    os.makedirs(path.parent, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sections = {**_sections.__wrapped__(path), name: lines}
        there = {file: _text(folder / file) for file in os.listdir(folder) if file.startswith("test_")}
        parts = []
        for each in sorted(sections):
            file, _, test = each.partition("::")
            if f"def {test.partition('[')[0].rpartition('::')[2]}(" in there.get(file, ""):
                parts.append("\n".join([f"{_HEAD}{each}", *sections[each], ""]))
        half = path.with_suffix(".half")
        with open(half, "w", encoding="utf-8") as stream:
            stream.write("\n".join(parts))
        os.replace(half, path)


def _text(path: Path) -> str:
    """By functions of `os`: a test may have replaced those of Path."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""
