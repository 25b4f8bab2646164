"""`source` and `replace` of a `trainer`: which code a command runs, and the texts that are changed in a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ablate.study.assign import command_words
from ablate.study.assign.command_words import OF_THE_RUN, Word
from ablate.study.assign.foreign_call import Filling
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key

COPY = "copy"
SOURCE: Key = ("trainer", "source")
REPLACE: Key = ("trainer", "replace")


@dataclass(frozen=True)
class Source:
    """`copy`: the code as it is when the study is asked for; `revision`: a commit or branch, resolved by `commit_of`; `replace`:
    what stands in place of a text, by file and text. All empty: the study's folder as it is when a run starts."""

    copy: bool = False
    revision: Word = ()
    replace: Mapping[str, Mapping[str, Word]] = field(default_factory=dict)
    commit_of: Callable[[str], str] = str

    def hashed(self, filling: Filling) -> dict[str, Any]:
        """What stands in the hash of an arm: the commit, and the texts as they are filled in. Nothing of `copy`."""
        found: dict[str, Any] = {}
        if self.revision:
            found["commit"] = self.commit_of(filling.text(self.revision) or "")
        if self.replace:
            found["replace"] = {
                file: {old: filling.text(new) or "" for old, new in changes.items()}
                for file, changes in self.replace.items()
            }
        return found

    def words(self) -> list[Word]:
        """All that has placeholders."""
        replaced = [new for changes in self.replace.values() for new in changes.values()]
        return [self.revision, *replaced] if self.revision else replaced


def read_source(problems: Problems, spec: Mapping[str, Any]) -> Source:
    """The two keys of a `trainer` block."""
    given, replaced = spec.get("source"), spec.get("replace")
    for key, value in ((SOURCE, given), (REPLACE, replaced)):
        if value is not None and "python" in spec:
            problems.add(key, "unsupported", "is only for commands; a function is imported from the study's folder.")
            return Source()
    copy = given == COPY
    revision: Word = ()
    if isinstance(given, dict):
        problems.known_keys(SOURCE, given, ("git",))
        revision = _revision(problems, given.get("git")) if "git" in given or not given else ()
    elif given is not None and not copy:
        problems.add(SOURCE, "wrong-value", f"must be {COPY}, or {{git: COMMIT or BRANCH}}, not {show(given)}.")
    changes = _changes(problems, replaced)
    return Source(copy or (bool(changes) and not revision), revision, changes)


def _revision(problems: Problems, given: object) -> Word:
    key: Key = (*SOURCE, "git")
    text = problems.text(key, "a commit or branch, in quotes where it has braces, as in '{rev}'")
    word = _word(problems, key, text) if text else ()
    if text and set(command_words.holes([word])) & set(OF_THE_RUN):
        problems.add(key, "unsupported", "cannot hang on {seed} or {run_dir}: replicates have one code.")
        return ()
    if not text and not isinstance(given, dict | list):
        problems.add(key, "missing", "names no commit or branch, as in {git: main} or {git: '{rev}'}.")
    return word


def _changes(problems: Problems, value: object) -> dict[str, dict[str, Word]]:
    """{file: {text: what stands in its place}}."""
    found: dict[str, dict[str, Word]] = {}
    for file, texts in problems.mapping(REPLACE, value, "a mapping of files to {text: other text}").items():
        key: Key = (*REPLACE, file)
        if not file.strip() or file.startswith(("/", "~")):
            problems.add(key, "bad-format", f"{show(file)} is not a file relative to the study's folder.")
            continue
        changes = problems.mapping(key, texts, "a mapping such as {'seed = 1337': 'seed = {seed}'}")
        if texts in (None, {}) or "" in changes:
            problems.add(key, "missing", "needs the text to replace, as in {'seed = 1337': 'seed = {seed}'}.")
        found[file] = {
            old: _word(problems, (*key, old), problems.text((*key, old), "a text, in quotes")) for old in changes if old
        }
    return found


def _word(problems: Problems, key: Key, text: str) -> Word:
    try:
        return command_words.parse_word(text)
    except ValueError as error:
        problems.add(key, "bad-format", f"{error}.")
        return ()
