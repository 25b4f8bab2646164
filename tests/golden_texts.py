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

from ablate.errors import AblateError, Problem

ROOT = Path(__file__).resolve().parents[1]
Raised = TypeVar("Raised", bound=BaseException)
WRITE = os.environ.get("ABLATE_TEST_GOLDEN") == "write"
_HEAD = "## "
_FOLDER = re.compile(r"/[^\s'\"]*?/pytest-of-[^/]+/pytest-\d+/(popen-gw\d+/)?[^/\s:'\"]+")
_VARIES = {
    r"127\.0\.0\.1:\d+": "HOST",
    r"\b[0-9a-f]{32,64}\b|\b[0-9a-f]{12}(?=\.\.\.)": "HEX",
    r"\d+(,\d{3})+ bytes": "N bytes",
    r"\b(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{12}\b": "HEX",
    r"\bprocess \d{2,}\b": "process N",
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


@contextmanager
def whole() -> Iterator[None]:
    """Around a test: once it has passed, no golden file of its folder says more of it than it was told."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
    for key in [key for key in _told if key[1] == test]:
        del _told[key]
    yield
    place, _, name = test.partition("::")
    folder = ROOT / Path(place).parent / "golden"
    name = f"{Path(place).name}::{name}"
    for path in _files(folder):
        told, held = _told.get((path.stem, test), []), _sections(path).get(name, [])
        if WRITE and held and not told:
            _write(path, name, None)
        assert WRITE or held == told, f"{path}: {name} has lines that the test is not told: {held[len(told) :]}"


@cache
def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.txt"))


def _shown(text: str) -> str:
    text = _FOLDER.sub("TMP", text.replace(sys.executable, "PYTHON").replace(str(ROOT), "ROOT"))
    for pattern, word in _VARIES.items():
        text = re.sub(pattern, word, text)
    return text.encode("utf-8", "backslashreplace").decode()


def worded(said: str | Iterable[str], *facts: str, file: str = "messages") -> None:
    """The golden file holds the wording; the facts (a number, a name, a command) are in it whatever the wording."""
    texts = [said] if isinstance(said, str) else list(said)
    absent = [fact for fact in facts if not any(fact in text for text in texts)]
    assert not absent, f"{absent} not in {texts}"
    golden(file, texts)


def coded(problems: Iterable[Problem], file: str = "grammar") -> list[str]:
    """Place, key and code of each problem, as in `s.yaml:2: seeds: wrong-value`; the golden file holds the wording."""
    problems = list(problems)
    golden(file, map(str, problems))
    return [str(replace(problem, message=problem.code)) for problem in problems]


@contextmanager
def raising(
    kind: type[Raised], match: str | None = None, file: str = "messages", code: str | None = None
) -> Iterator[pytest.ExceptionInfo[Raised]]:
    """As `pytest.raises`; the golden file holds the message. `code` is the error's, where it is not that of its class."""
    with pytest.raises(kind, match=match) as caught:
        yield caught
    if isinstance(caught.value, AblateError):
        assert caught.value.code == (code or type(caught.value).code)
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


def _write(path: Path, name: str, lines: list[str] | None) -> None:
    """One section (None: no longer any), while other processes of the suite write theirs. Sections of tests that are gone are left out."""
    folder = path.parent.parent
    os.makedirs(path.parent, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sections = _sections.__wrapped__(path)
        sections.pop(name, None)
        if lines is not None:
            sections[name] = lines
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
