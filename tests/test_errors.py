"""docs/errors.md lists every code that a program can meet, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from typer.main import get_command

from ablate.cli.app import ADVICE, app
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


@pytest.mark.slow
def test_every_code_is_on_the_page_and_every_code_of_the_page_is_used() -> None:
    assert _codes() == {code for code, _ in ROWS}
    assert len(ROWS) == len(dict(ROWS))


@pytest.mark.slow
def test_codes_are_words() -> None:
    """A message in a code's place is seen here."""
    assert not [code for code in _codes() if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)]


def test_exit_codes_are_those_of_the_classes() -> None:
    classes = [AblateError]
    for each in classes:
        classes += each.__subclasses__()
    shown = dict(ROWS)
    assert {each.code: str(each.exit_code) for each in classes} == {each.code: shown[each.code] for each in classes}


@pytest.mark.slow
def test_messages_of_the_project_name_no_option_of_the_command_line() -> None:
    """The Python API raises them. The command line adds options by the error's code: `ablate.cli.app.ADVICE`."""
    options = {option for command in _commands(get_command(app)) for one in command.params for option in one.opts}
    named = re.compile(rf"(?<![\w-])({'|'.join(sorted(one for one in options if one.startswith('--')))})(?![\w=-])")
    found = []
    for file in (ROOT / "ablate" / "project").glob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "command"]
        to_copy = {id(argument) for call in calls for argument in call.args}
        texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        found += [f"{file.name}:{one.lineno}" for one in texts if named.search(one.value) and id(one) not in to_copy]
    assert {place.partition(":")[0] for place in found} == {"advice.py"}, "which builds command lines to copy"
    assert ADVICE.keys() <= _codes()


def _commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _commands(inner)
