"""What a program's text refers to: the modules that it imports, and the files that a shell script names. Nothing is executed."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 4 << 20
"""Bytes of a program that are read for imports: more than anyone writes by hand."""

_STATEMENT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<package>[.\w]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n#;]+)|import[ \t]+(?P<modules>[^\n#;]+))",
    re.MULTILINE,
)
_FILE = re.compile(r"[\w./~+@-]+\.(?:py|sh|R|r|jl|ipynb|ya?ml|json|toml|ini)(?![\w.])")
_CALLS = ("import_module", "__import__")


@dataclass(frozen=True)
class Reference:
    """A module, `level` folders up as in `from ..a import b` (0: absolute); a `file` as it is named; or a text for a `shell`."""

    module: str = ""
    level: int = 0
    file: str = ""
    shell: str = ""


_known: dict[tuple[str, str], tuple[Reference, ...]] = {}


def read_references(digest: str, ending: str, data: bytes) -> tuple[Reference, ...]:
    """What a file refers to, by its ending; `digest` is its SHA-256, by which the answer is remembered."""
    if ending not in (".py", ".ipynb", ".sh", ".r", ".jl") or len(data) > LONGEST:
        return ()
    key = digest, ending
    if key not in _known:
        text = data.decode("utf-8", "replace")
        if ending == ".sh":
            _known[key] = (Reference(shell=text),)
        elif ending in (".r", ".jl"):
            _known[key] = tuple(dict.fromkeys(Reference(file=name) for name in _FILE.findall(text)))
        else:
            _known[key] = read_imports(_cells(text) if ending == ".ipynb" else text, broken=True)
    return _known[key]


def read_imports(text: str, *, broken: bool = False) -> tuple[Reference, ...]:
    """The modules that Python text imports, anywhere in it. Of text that is not this Python's: none, or, with `broken`, what
    its lines look like."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.removeprefix("\ufeff"))
        return tuple(dict.fromkeys(_in_tree(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return tuple(dict.fromkeys(_in_lines(text))) if broken else ()


def _in_tree(tree: ast.AST) -> Iterator[Reference]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Reference(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(node.module or "", node.level, [alias.name for alias in node.names])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            named = node.args[0].value
            if called in _CALLS and isinstance(named, str):
                module = named.lstrip(".")
                yield Reference(module, len(named) - len(module))


def _from(module: str, level: int, names: list[str]) -> Iterator[Reference]:
    """`from a import b`: b may be a module of a, or something in it."""
    yield Reference(module, level)
    yield from (Reference(f"{module}.{name}" if module else name, level) for name in names if name != "*")


def _in_lines(text: str) -> Iterator[Reference]:
    for found in _STATEMENT.finditer(text):
        if found["modules"]:
            yield from (Reference(name) for name in re.findall(r"(?:^|,)\s*([\w.]+)", found["modules"]))
        else:
            module = found["package"].lstrip(".")
            names = re.findall(r"(?:^|[(,])\s*(\w+)", found["names"])
            yield from _from(module, len(found["package"]) - len(module), names)


def _cells(text: str) -> str:
    """The Python of a notebook, without its magic lines."""
    try:
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return "\n".join(line for source in sources for line in source.splitlines() if line.lstrip()[:1] not in ("%", "!"))
