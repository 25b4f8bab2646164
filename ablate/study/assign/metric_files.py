"""Metrics that stand in files: `{file: "{run_dir}/*.csv", column: acc}` of a trainer's `metrics`, and its `artifacts`.

`file` is a glob within the run's own folder. `column` is of a table (CSV, TSV), `path` of a JSON, JSONL or YAML file, `tag` of
TensorBoard events, and `epoch` names what counts the numbers. All of it is hashed, with the recipe's placeholders filled in.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any

from ablate.study.assign.command_words import Hole, Word, fill_one, parse_word
from ablate.study.assign.foreign_recipe import Text
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key

COLUMN, PATH, TAG = "column", "path", "tag"
WHERE = (COLUMN, PATH, TAG)
"""The keys that say where in a file a number stands, one of which goes with `file`."""
DOCUMENTS = (".json", ".jsonl", ".ndjson", ".yaml", ".yml")
"""Endings of files that a `path` leads into."""
EVENTS = "tensorboard"
"""The package that reads what a `tag` is in, and the extra that brings it."""

_EXAMPLES = {
    COLUMN: "a column's name, as in val/acc",
    PATH: "a path such as eval.loss, or a list where a key holds dots: [eval, val.loss]",
    TAG: "a tag, as in test/acc",
}


@dataclass(frozen=True)
class MetricFile:
    """Where a metric stands: in which file, where in it (`kind` is one of `WHERE`), and what counts its numbers."""

    file: Word
    kind: str
    where: tuple[Word, ...]
    epoch: tuple[Word, ...] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        """All that may hold placeholders."""
        return (self.file, *self.where, *self.epoch)

    def hashed(self, texts: Mapping[str, Text]) -> dict[str, Any]:
        """JSON-ready, for one arm. `{seed}` and `{run_dir}` stay; in the file's name a value of the recipe is no glob."""
        plain = {name: _escaped(text) for name, text in texts.items()}
        filled: dict[str, Any] = {"file": fill_one(self.file, plain)}
        for key, words in ((self.kind, self.where), ("epoch", self.epoch)):
            if words:
                filled[key] = [fill_one(word, texts) for word in words]
        return filled


def read_metric_file(problems: Problems, key: Key, spec: Mapping[str, Any]) -> MetricFile | None:
    """Where the metric at `key` stands; None where it names no file, or a mistake was told."""
    told = len(problems.errors)
    given = [name for name in WHERE if spec.get(name) is not None]
    if spec.get("file") is None:
        for name in (*given, *(["epoch"] if spec.get("epoch") is not None else [])):
            problems.add((*key, name), "missing", "goes with `file`, as in file: '{run_dir}/metrics.csv'.")
        return None
    if spec.get("pattern") is not None:
        problems.add((*key, "pattern"), "conflict", "a metric is read from a file or by a pattern; keep one.")
    if len(given) != 1:
        problems.add(
            (*key, "file"),
            "conflict" if given else "missing",
            f"needs one of {', '.join(WHERE)} beside it: where in the file the number stands.",
        )
        return None
    (kind,) = given
    file = own_file(problems, (*key, "file"), problems.text((*key, "file"), "a file or a glob"))
    where = _parts(problems, (*key, kind), spec[kind], _EXAMPLES[kind], several=kind == PATH)
    epoch: tuple[Word, ...] = ()
    if spec.get("epoch") is not None:
        epoch = _parts(problems, (*key, "epoch"), spec["epoch"], "the name of the counter", several=kind == PATH)
        if kind == TAG:
            problems.add((*key, "epoch"), "unsupported", "is for columns and paths; events are counted by their steps.")
    _check_ending(problems, key, kind)
    return MetricFile(file, kind, where, epoch) if len(problems.errors) == told else None


def read_artifacts(problems: Problems, key: Key, value: object) -> None:
    """Check the globs of files that are recorded when a run is done."""
    globs = problems.names(key, value, "a glob or a list of globs, as in '{run_dir}/*.pt'")
    for index, text in enumerate(globs):
        place = (*key, index) if isinstance(value, list) else key
        for part in own_file(problems, place, text):
            if isinstance(part, Hole) and part.name not in ("run_dir", "seed"):
                problems.add(place, "unsupported", f"{{{part.name}}} is not filled in here; write a glob such as *.")


def artifacts_of(trainer: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What a study's `trainer` block says under `artifacts`: one glob or several."""
    given = (trainer or {}).get("artifacts")
    return tuple(map(str, given)) if isinstance(given, list) else () if given is None else (str(given),)


def own_file(problems: Problems, key: Key, text: str) -> Word:
    """A file's name or glob as a word; a problem where runs could read each other's files by it."""
    word = _word(problems, key, text)
    if not text.strip():
        if not problems.errors or problems.errors[-1].key != ".".join(map(str, key)):
            problems.add(key, "empty", "names no file.")
    elif word and not is_own(word):
        problems.add(
            key,
            "wrong-value",
            f"{show(text)} must lie in {{run_dir}}, as in '{{run_dir}}/metrics.csv': in any other folder runs "
            "would read each other's files. Let the script write there, as in --out {run_dir}.",
        )
    return word


def is_own(word: Word) -> bool:
    """Whether a file's name lies in a folder that only one run has."""
    inside = "".join(part for part in word if isinstance(part, str))
    return word[0] == Hole("run_dir") and inside.startswith("/") and ".." not in PurePosixPath(inside).parts


def absent_package(trainer: Mapping[str, Any] | None) -> str:
    """What to install before metrics of this trainer (as hashed) can be read; empty where nothing is absent."""
    tagged = [name for name, file in ((trainer or {}).get("files") or {}).items() if TAG in file]
    if not tagged or find_spec(EVENTS) is not None:
        return ""
    return (
        f"no {EVENTS}: {', '.join(tagged)} {'is' if len(tagged) == 1 else 'are'} read from TensorBoard's files, which needs a "
        f"package that is not installed here: pip install 'ablate-studies[{EVENTS}]'"
    )


def _check_ending(problems: Problems, key: Key, kind: str) -> None:
    text = problems.document.scalar_text((*key, "file"))
    ending = PurePosixPath(text).suffix.casefold()
    if kind == PATH and ending not in DOCUMENTS:
        problems.add(
            (*key, "file"), "wrong-value", f"{show(text)} must end in one of {' '.join(DOCUMENTS)} for a path."
        )
    if kind == COLUMN and ending in DOCUMENTS:
        problems.add((*key, COLUMN), "wrong-value", f"a {ending} file has no columns; write `path` in its place.")


def _parts(problems: Problems, key: Key, value: object, what: str, *, several: bool) -> tuple[Word, ...]:
    if several and isinstance(value, list):
        texts = problems.names(key, value, what)
    else:
        text = problems.text(key, what)
        texts = text.split(".") if several else [text]
    if not texts or not all(texts):
        if not problems.errors or problems.errors[-1].key != ".".join(map(str, key)):
            problems.add(key, "empty", f"must be {what}.")
        return ()
    return tuple(_word(problems, key, text) for text in texts)


def _word(problems: Problems, key: Key, text: str) -> Word:
    try:
        return parse_word(text)
    except ValueError as error:
        problems.add(key, "bad-format", f"{error}.")
        return ()


def _escaped(text: Text) -> Text:
    return tuple(map(glob.escape, text)) if isinstance(text, tuple) else None if text is None else glob.escape(text)
