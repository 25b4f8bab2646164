"""docs/errors.md lists every code that a program can meet, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ablate.errors import AblateError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w-]+)` \| (?:(\d+) \| )?", PAGE, re.MULTILINE)
SECOND = {"recipe_error", "UnclearName", "ClaimError"}


def _place(call: ast.Call) -> int | None:
    """Which argument of a call is a code."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if (name in ("add", "warn") and len(call.args) == 3) or (name in SECOND and len(call.args) > 1):
        return 1
    return {"Problem": 4, "_mistake": 2}.get(name)


def _values(node: ast.AST) -> Iterator[ast.expr | None]:
    if isinstance(node, ast.Call):
        place = _place(node)
        if place is not None and place < len(node.args):
            yield node.args[place]
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
    elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
        yield node.value
    elif isinstance(node, ast.FunctionDef) and node.name == "code_of":
        yield from (part.value for part in ast.walk(node) if isinstance(part, ast.Return))
    elif isinstance(node, ast.FunctionDef):
        defaults = node.args.defaults
        of_arguments = zip(node.args.args[len(node.args.args) - len(defaults) :], defaults, strict=True)
        yield from (default for argument, default in of_arguments if argument.arg == "code")


def _codes() -> set[str]:
    found = set()
    for file in (ROOT / "ablate").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for value in _values(node):
                choices = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                found |= {one.value for one in choices if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


def test_every_code_is_on_the_page_and_every_code_of_the_page_is_used() -> None:
    assert _codes() == {code for code, _ in ROWS}
    assert len(ROWS) == len(dict(ROWS))


def test_codes_are_words() -> None:
    """A message in a code's place is seen here."""
    assert not [code for code in _codes() if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)]


def test_exit_codes_are_those_of_the_classes() -> None:
    classes = [AblateError]
    for each in classes:
        classes += each.__subclasses__()
    shown = dict(ROWS)
    assert {each.code: str(each.exit_code) for each in classes} == {each.code: shown[each.code] for each in classes}
