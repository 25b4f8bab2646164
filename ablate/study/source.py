"""YAML 1.2 with places: every value of a study file knows its line, and scalars keep their text.

Read by events, not by PyYAML's constructors: nothing is ever built but dicts, lists and scalars of the YAML 1.2 core schema
(`1e-4` is a number; `on`, `off`, `no` are text). Keys are always text. Duplicate keys, tags, multiple documents, deep nesting and
alias bombs are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ablate.errors import NotFound, Problem, StudyError

MAX_BYTES = 4_000_000
MAX_DEPTH = 40
MAX_VALUES = 400_000

Key = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}


@dataclass(eq=False)
class Node:
    """One value of the file: `items` for a mapping or a list, `text` for a scalar. Lines count from 1."""

    line: int
    kind: str
    text: str = ""
    plain: bool = True
    items: list[tuple[str | int, Node]] = field(default_factory=list)
    key_lines: dict[str, int] = field(default_factory=dict)

    def child(self, key: str | int) -> Node | None:
        if self.kind == "list":
            return self.items[key][1] if isinstance(key, int) and key < len(self.items) else None
        return next((node for name, node in self.items if name == key), None)


@dataclass(frozen=True)
class Document:
    """A file that has been read: `data` is plain, `root` knows the places."""

    file: str
    text: str
    data: dict[str, Any]
    root: Node

    def node(self, key: Key) -> Node | None:
        node: Node | None = self.root
        for part in key:
            node = node.child(part) if node else None
        return node

    def line(self, key: Key) -> int:
        """The line of the key, or of the nearest thing around it that is in the file."""
        node, line = self.root, self.root.line
        for part in key:
            line = node.key_lines.get(str(part), line)
            child = node.child(part)
            if child is None:
                return line
            node = child
            if not isinstance(part, str):
                line = child.line
        return line

    def scalar_text(self, key: Key) -> str:
        """The text of a scalar as it stands in the file."""
        node = self.node(key)
        return node.text if node else ""


def read(path: Path) -> Document:
    """Read a study file. Raises NotFound where there is none, StudyError where it is not a mapping in YAML 1.2."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise StudyError(
                [Problem(str(path), None, "", f"the file has {size:,} bytes; at most {MAX_BYTES:,} are read")]
            )
        raw = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{path}: no such study file. Looked for as given and in experiments/.") from None
    except IsADirectoryError:
        raise NotFound(f"{path} is a folder; name the YAML file in it.") from None
    except OSError as error:
        raise NotFound(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise StudyError([Problem(str(path), line, "", "not UTF-8 text; save the file as UTF-8")]) from None
    return parse(text, str(path))


def parse(text: str, file: str = "<text>") -> Document:
    """Parse the text of a study file; `file` is only used in messages. Raises StudyError."""
    if len(text) > MAX_BYTES:
        raise StudyError(
            [Problem(file, None, "", f"the text has {len(text):,} characters; at most {MAX_BYTES:,} are read")]
        )
    builder = _Builder(file)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or error.context or "not YAML").strip()
        raise StudyError([Problem(file, mark.line + 1 if mark else None, "", f"not valid YAML: {problem}")]) from None
    except yaml.YAMLError as error:
        raise StudyError([Problem(file, None, "", f"not valid YAML: {' '.join(str(error).split())}")]) from None
    if builder.problems:
        raise StudyError(builder.problems)
    root = builder.root
    if root is None or root.kind != "map":
        raise StudyError([Problem(file, 1, "", "a study file is a mapping that starts with `study: NAME`")])
    counter = iter(range(MAX_VALUES))
    try:
        data = _plain(root, counter)
    except StopIteration:
        raise StudyError(
            [Problem(file, 1, "", f"more than {MAX_VALUES:,} values once its aliases are written out")]
        ) from None
    assert isinstance(data, dict)
    return Document(file, text, data, root)


def scalar(text: str, plain: bool = True) -> Any:
    """The value of a scalar by the YAML 1.2 core schema; quoted scalars are text."""
    if not plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _plain(node: Node, counter: Iterator[int]) -> Any:
    next(counter)
    if node.kind == "map":
        return {name: _plain(child, counter) for name, child in node.items}
    if node.kind == "list":
        return [_plain(child, counter) for _, child in node.items]
    return scalar(node.text, node.plain)


class _Builder:
    """Builds the tree from YAML events with a stack of its own, so that depth cannot exhaust Python's."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.stack: list[Node] = []
        self.pending: list[tuple[str, int] | None] = []
        self.anchors: dict[str, Node] = {}
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._error(line, "a second document starts here; one file holds one study")
        elif isinstance(event, yaml.AliasEvent):
            node = self.anchors.get(event.anchor or "")
            if node is None:
                raise self._error(line, f"alias *{event.anchor} has no anchor before it")
            if node in self.stack:
                raise self._error(line, f"alias *{event.anchor} contains itself")
            self._place(node, line)
        elif isinstance(event, yaml.ScalarEvent):
            self._open(event, Node(line, "scalar", event.value, event.implicit[0]), line)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, Node(line, "map"), line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, Node(line, "list"), line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.stack.pop()
            self.pending.pop()

    def _open(self, event: Any, node: Node, line: int) -> None:
        if event.tag is not None and event.tag != "!":
            raise self._error(line, f"the tag {event.tag!r} is not allowed; a study file holds plain values only")
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        opened = self._place(node, line)
        if opened and node.kind != "scalar":
            if len(self.stack) >= MAX_DEPTH:
                raise self._error(line, f"nested deeper than {MAX_DEPTH} levels")
            self.stack.append(node)
            self.pending.append(None)

    def _place(self, node: Node, line: int) -> bool:
        """Put a node where it belongs; True unless it became a key."""
        if not self.stack:
            self.root = node
            return True
        parent = self.stack[-1]
        if parent.kind == "list":
            parent.items.append((len(parent.items), node))
            return True
        waiting = self.pending[-1]
        if waiting is None:
            if node.kind != "scalar":
                raise self._error(line, "a key must be a plain word, not a list or a mapping")
            if node.text == "<<" and node.plain:
                raise self._error(line, "merge keys (<<) are not part of YAML 1.2; write the values out")
            if node.text in parent.key_lines:
                first = parent.key_lines[node.text]
                self.problems.append(Problem(self.file, line, node.text, f"written twice; first in line {first}"))
            self.pending[-1] = (node.text, line)
            parent.key_lines.setdefault(node.text, line)
            return False
        parent.items.append((waiting[0], node))
        self.pending[-1] = None
        return True

    def _error(self, line: int, message: str) -> StudyError:
        return StudyError([*self.problems, Problem(self.file, line, "", message)])
