"""The options of programs that click or typer read."""

from __future__ import annotations

import ast
import re
from typing import Any

from ablate.study.code.options import Found, Option, called, constants, kind_of, literal, several

_OURS = (
    "command",
    "group",
    "option",
    "argument",
    "pass_context",
    "pass_obj",
    "callback",
    "version_option",
    "help_option",
)


def read_click(tree: ast.Module, local: set[str], found: Found) -> None:
    """Add to `found` what the commands of a module take."""
    imported = {
        alias.name.partition(".")[0] if isinstance(node, ast.Import) else (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if "typer" in imported:
        started = {item.id for call in ast.walk(tree) if isinstance(call, ast.Call) and called(call) == "run"
                   for item in call.args if isinstance(item, ast.Name)}  # fmt: skip
        for function in functions:
            if function.name in started or any(called(mark) == "command" for mark in function.decorator_list):
                found.reader = found.reader or "typer"
                _typer(function, found)
    elif "click" in imported:
        for function in functions:
            _click(function, constants(tree), local, found)


def _click(function: ast.FunctionDef, names: dict[str, ast.expr], local: set[str], found: Found) -> None:
    marks = function.decorator_list
    if not any(called(mark) in ("command", "group", "option") for mark in marks):
        return
    found.reader = found.reader or "click"
    for mark in marks:
        kind = called(mark)
        if kind not in _OURS and kind not in local:
            found.whole = False
        if not isinstance(mark, ast.Call) or kind not in ("option", "argument", "command"):
            continue
        given = {item.arg: item.value for item in mark.keywords if item.arg}
        if kind == "command":
            settings = literal(given.get("context_settings"), names)
            found.whole &= settings is None or (
                isinstance(settings, dict) and not settings.get("ignore_unknown_options")
            )
            continue
        spelt = [literal(item, names) for item in mark.args]
        if not spelt or not all(isinstance(text, str) and text for text in spelt):
            found.whole = False
        else:
            found.add(_option(spelt, given, names))


def _option(spelt: list[str], given: dict[str, ast.expr], names: dict[str, ast.expr]) -> Option:
    flags = [flag.strip() for text in spelt if text.startswith("-") for flag in text.split("/")]
    off = next((text.split("/")[1].strip() for text in spelt if text.startswith("-") and "/" in text), "")
    flags = [flag for flag in flags if flag != off]
    plain = [text for text in spelt if not text.startswith("-")]
    name = (plain[0] if plain else max(flags, key=len).lstrip("-")).replace("-", "_")
    default = literal(given.get("default"), names)
    if off or literal(given.get("is_flag")) is True:
        return Option(name, tuple(flags), "switch", bool(off) and default is True, off=off)
    choices: tuple[Any, ...] = ()
    type_ = given.get("type")
    if isinstance(type_, ast.Call) and called(type_) == "Choice" and type_.args:
        choices = several(literal(type_.args[0], names))
    many = literal(given.get("multiple")) is True or literal(given.get("nargs")) not in (None, 1)
    named = {"FLOAT": "float", "INT": "int", "FloatRange": "float", "IntRange": "int"}
    written = "" if type_ is None or choices else called(type_)
    kind = "list" if many else kind_of(named.get(written, written), default, choices)
    required = literal(given.get("required")) is True or (not flags and "default" not in given)
    return Option(name, tuple(flags), kind, default, choices, required)


def _typer(function: ast.FunctionDef, found: Found) -> None:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    free = len(function.args.posonlyargs) + len(function.args.args) - len(function.args.defaults)
    defaults: list[ast.expr | None] = [*[None] * free, *function.args.defaults, *function.args.kw_defaults]
    for argument, default in zip(arguments, defaults, strict=True):
        if argument.annotation is None or called(argument.annotation) != "Context":
            found.add(_parameter(argument.arg, argument.annotation, default))


def _parameter(name: str, annotation: ast.expr | None, default: ast.expr | None) -> Option:
    text = ast.unparse(annotation) if annotation is not None else ""
    calls = [node for node in (annotation, default) if node is not None]
    declared = next((one for node in calls for one in ast.walk(node)
                     if isinstance(one, ast.Call) and called(one) in ("Option", "Argument")), None)  # fmt: skip
    has_default = default is not None
    value = literal(default)
    flags: list[str] = []
    if declared is not None:
        words = [literal(item) for item in declared.args]
        flags = [word for word in words if isinstance(word, str) and word.startswith("-")]
        if declared is default:  # the older way: typer.Option(0.1, "--lr")
            has_default = bool(declared.args) and not (
                isinstance(declared.args[0], ast.Constant) and declared.args[0].value is ...
            )
            value = literal(declared.args[0]) if has_default else None
    if (declared is not None and called(declared) == "Argument") or (declared is None and not has_default):
        return Option(name, (), kind_of(_plain(text), value), value if has_default else None, required=not has_default)
    switch = _plain(text) == "bool" or (not text and isinstance(value, bool))
    spelt = [flag for text in flags or [f"--{name.replace('_', '-')}"] for flag in text.split("/")]
    off = spelt.pop(1) if len(spelt) > 1 and "/" in "".join(flags) else f"--no-{name.replace('_', '-')}" if switch and not flags else ""  # fmt: skip
    kind = "switch" if switch else "list" if re.search(r"\b[Ll]ist\[", text) else kind_of(_plain(text), value)
    if switch:
        value = bool(off) and value is True
    return Option(name, tuple(spelt), kind, value, required=not has_default and not switch, off=off)


def _plain(text: str) -> str:
    """`float` of `Annotated[Optional[float], ...]` and `float | None`."""
    found = re.search(r"\b(float|int|bool|str|Path)\b", text)
    return found[1] if found else ""
