"""Types at the borders: how many arguments say nothing of what they take."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = Path(__file__).resolve().parents[1] / "ablate"
MOST = 34
"""Arguments annotated `Any` that are left, mostly at libraries without types. Lower it when there are fewer; never raise it."""


def _arguments() -> Iterator[tuple[str, ast.arg]]:
    for path in sorted(OURS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, [given.vararg, given.kwarg])]
                yield from ((f"{path.relative_to(OURS)}:{node.lineno} {node.name}", one) for one in named)


def _is_any(argument: ast.arg) -> bool:
    return isinstance(argument.annotation, ast.Name) and argument.annotation.id == "Any"


@pytest.mark.slow
def test_few_arguments_are_any() -> None:
    found = [f"{where}({argument.arg})" for where, argument in _arguments() if _is_any(argument)]
    assert len(found) <= MOST, found


@pytest.mark.slow
def test_no_queue_store_claim_or_recipe_is_any() -> None:
    names = {"queue", "store", "claim", "lease", "recipe", "run", "study"}
    assert [where for where, argument in _arguments() if argument.arg in names and _is_any(argument)] == []
