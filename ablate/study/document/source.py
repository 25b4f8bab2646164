"""YAML 1.2 with places: every value of a study file knows its line, and scalars keep their text.

Read by events, not by PyYAML's constructors: nothing is ever built but dicts, lists and scalars of the YAML 1.2 core schema
(`1e-4` is a number; `on`, `off`, `no` are text). Keys are always text. Duplicate keys, tags, multiple documents, deep nesting and
alias bombs are refused before they cost anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ablate.errors import NotFound, Problem, StudyError

MAX_BYTES = 4_000_000
MAX_DEPTH = 40
MAX_VALUES = 400_000
"""Values, and MAX_BYTES their characters, once every alias is written out."""

Key = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_PLAIN = re.compile(r"[A-Za-z0-9_.+][^\s,\[\]{}:#'\"]*")
_ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_HINTS = {
    "cannot start any token": " (indent with blanks, not tabs; quote a text that starts with @, ` or %)",
    "could not find expected ':'": " (each key is followed by ': ', here or in the line before)",
}
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}


@dataclass(eq=False)
class Node:
    """One value of the file: `named` for a mapping, `items` for a list, `text` for a scalar. Lines count from 1."""

    line: int
    kind: str
    text: str = ""
    plain: bool = True
    items: list[Node] = field(default_factory=list)
    named: dict[str, Node] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)

    def child(self, key: str | int) -> Node | None:
        if isinstance(key, str):
            return self.named.get(key)
        return self.items[key] if key < len(self.items) else None


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
        """The text of a scalar as written in the file; empty where there is none."""
        node = self.node(key)
        return node.text if node else ""

    def is_scalar(self, key: Key) -> bool:
        """Whether there is a single value, null included."""
        node = self.node(key)
        return node is not None and node.kind == "scalar"

    def flow(self, key: Key) -> str:
        """The value as one line of YAML, scalars as written in the file."""
        node = self.node(key)
        return flow(node, lambda one: flow_scalar(one.text)) if node else ""


def flow(node: Node, written: Callable[[Node], str]) -> str:
    """A value as one line of YAML, each of its scalars as it is `written`."""
    if node.kind == "map":
        return f"{{{', '.join(f'{flow_scalar(name)}: {flow(one, written)}' for name, one in node.named.items())}}}"
    return f"[{', '.join(flow(one, written) for one in node.items)}]" if node.kind == "list" else written(node)


def flow_scalar(text: str) -> str:
    """A name as it can be written inside `{}` and `[]`: quoted where YAML would read it as something else."""
    return text if is_plain_word(text) else "'" + text.replace("'", "''") + "'"


def is_plain_word(text: str) -> bool:
    """Whether a text can be written inside `{}` and `[]` without quotes."""
    return _PLAIN.fullmatch(text) is not None


def read(path: Path) -> Document:
    """Read a study file. Raises NotFound where there is none, StudyError where it is not a mapping in YAML 1.2."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
            size = max(len(raw), path.stat().st_size)
    except FileNotFoundError:
        raise NotFound(f"{path}: no such study file.", code="absent-study") from None
    except IsADirectoryError:
        raise NotFound(f"{path} is a folder; name the YAML file in it.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NotFound(f"{str(path)[:200]!r}: cannot be read ({reason}).") from None
    if len(raw) > MAX_BYTES:
        raise _refused(str(path), None, f"the file has {size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _refused(str(path), line, "not UTF-8 text; save the file as UTF-8") from None
    return parse(text, str(path))


def parse(text: str, file: str = "<text>") -> Document:
    """Parse the text of a study file; `file` is only used in messages. Raises StudyError."""
    if len(text) > MAX_BYTES:
        raise _refused(file, None, f"the text has {len(text):,} characters; at most {MAX_BYTES:,} are read")
    if odd := _ODD.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise _refused(file, line, f"the character {odd.group()!r} cannot be in a text file; save it as UTF-8 text")
    builder = _Builder(file)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or error.context or "not YAML").strip()
        hint = next((text for part, text in _HINTS.items() if part in problem), "")
        raise _refused(file, mark.line + 1 if mark else None, f"not valid YAML: {problem}{hint}") from None
    except yaml.YAMLError as error:
        raise _refused(file, None, f"not valid YAML: {' '.join(str(error).split())}") from None
    if builder.problems:
        raise StudyError(builder.problems)
    root = builder.root
    if root is None or root.kind != "map":
        raise _refused(file, 1, "a study file is a mapping that starts with `study: NAME`")
    data = _Plain(file).value(root, 1)
    assert isinstance(data, dict)
    return Document(file, text, data, root)


def _refused(file: str, line: int | None, message: str) -> StudyError:
    return StudyError([Problem(file, line, "", message, "bad-yaml")])


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


class _Plain:
    """Writes a tree out as plain values, aliases included, within bounds."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values = 0
        self.characters = 0

    def value(self, node: Node, depth: int) -> Any:
        self.values += 1
        self.characters += len(node.text)
        if self.values > MAX_VALUES or self.characters > MAX_BYTES:
            over = f"{MAX_VALUES:,} values or {MAX_BYTES:,} characters"
            raise _refused(self.file, node.line, f"more than {over} once its aliases are written out")
        if depth > MAX_DEPTH:
            raise _refused(self.file, node.line, f"nested deeper than {MAX_DEPTH} levels")
        if node.kind == "map":
            self.characters += sum(map(len, node.named))
            return {name: self.value(child, depth + 1) for name, child in node.named.items()}
        if node.kind == "list":
            return [self.value(child, depth + 1) for child in node.items]
        return scalar(node.text, node.plain)


class _Builder:
    """Builds the tree from YAML events with an explicit stack, so that depth cannot exhaust Python's."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.stack: list[Node] = []
        self.pending: list[str | None] = []  # the key of each open mapping that waits for its value
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
            if odd := _ODD.search(event.value):
                raise self._error(line, f"the control character {odd.group()!r} is not allowed in a value")
            plain = bool(event.implicit[0]) and event.tag is None
            self._open(event, Node(line, "scalar", event.value, plain), line)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, Node(line, "map"), line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, Node(line, "list"), line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.stack.pop()
            self.pending.pop()

    def _open(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, node: Node, line: int) -> None:
        if event.tag is not None and event.tag != "!":
            raise self._error(line, f"the tag {event.tag!r} is not allowed; a study file holds plain values only")
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self._place(node, line)
        if node.kind != "scalar":
            if len(self.stack) >= MAX_DEPTH:
                raise self._error(line, f"nested deeper than {MAX_DEPTH} levels")
            self.stack.append(node)
            self.pending.append(None)

    def _place(self, node: Node, line: int) -> None:
        """Put a node where it belongs: the root, an item, a key, or a key's value."""
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if parent.kind == "list":
            parent.items.append(node)
        elif (key := self.pending[-1]) is not None:
            parent.named.setdefault(key, node)
            self.pending[-1] = None
        else:
            self._key(parent, node, line)

    def _key(self, parent: Node, node: Node, line: int) -> None:
        if node.kind != "scalar":
            raise self._error(line, "a key must be a plain word, not a list or a mapping")
        if node.text == "<<" and node.plain:
            raise self._error(line, "merge keys (<<) are not part of YAML 1.2; write the values out")
        if node.text in parent.key_lines and len(self.problems) < 100:
            message = f"written twice; first in line {parent.key_lines[node.text]}"
            self.problems.append(Problem(self.file, line, self._dotted(node.text), message, "duplicate"))
        self.pending[-1] = node.text
        parent.key_lines.setdefault(node.text, line)

    def _dotted(self, key: str) -> str:
        """The key with the names of the mappings and lists around it."""
        around = self.stack[:-1]
        parts = (str(len(node.items) - 1) if node.kind == "list" else next(reversed(node.named)) for node in around)
        return ".".join([*parts, key])

    def _error(self, line: int, message: str) -> StudyError:
        return StudyError([*self.problems, Problem(self.file, line, "", message, "bad-yaml")])
