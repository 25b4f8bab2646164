"""The options that a Python program declares: those of argparse, click and typer, as its source has them. Nothing is executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN: Any = object()
"""A value that only running the program would tell."""

_OTHERS = (
    "absl", "configargparse", "docopt", "draccus", "fire", "gin", "jsonargparse", "lightning.pytorch.cli", "plac", "pyrallis",
    "pytorch_lightning.cli", "simple_parsing", "tap", "tyro",
)  # fmt: skip
_MAKERS = ("ArgumentParser", "add_parser", "add_subparsers", "add_argument_group", "add_mutually_exclusive_group")
_OTHER_NAMES = ("HfArgumentParser", "LightningCLI", "TrlParser")
"""What else makes a command line of a program; only `--help` knows which."""


@dataclass(frozen=True)
class Option:
    """One option, or one key of a configuration.

    `name` is what the program calls it, `flags` are its spellings, empty for a positional word. `kind` is `number`, `whole`, `text`,
    `switch` (a flag alone) or `list`; `off` the flag that turns a switch off. `default` is UNKNOWN where it is not written out.
    """

    name: str
    flags: tuple[str, ...] = ()
    kind: str = "text"
    default: Any = None
    choices: tuple[Any, ...] = ()
    required: bool = False
    off: str = ""

    @property
    def flag(self) -> str:
        """The spelling to write: the longest."""
        return max(self.flags, key=len, default="")


@dataclass(frozen=True)
class Options:
    """`reader` is what reads them (`argparse`, `click`, `typer`, `hydra`; another library's name; empty for none). `whole`: the
    program takes no others."""

    options: tuple[Option, ...] = ()
    reader: str = ""
    whole: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Every spelling."""
        spelt = (flag for option in self.options for flag in (*option.flags, option.off) if flag)
        return tuple(dict.fromkeys(spelt))


@dataclass
class Found:
    """What is found while sources are read."""

    options: dict[str, Option] = field(default_factory=dict)
    reader: str = ""
    whole: bool = True

    def add(self, option: Option) -> None:
        self.options.setdefault(option.name, option)
        if option.flags:  # two parsers may spell one name differently
            known = self.options[option.name]
            spelt = tuple(dict.fromkeys((*known.flags, *option.flags)))
            self.options[option.name] = Option(**{**known.__dict__, "flags": spelt})


def read_options(sources: Iterable[str]) -> Options:
    """The options of a program, of which `sources` are the texts of its own files, the program first."""
    from ablate.study.code.click_options import read_click

    trees = [tree for text in sources if (tree := parse(text)) is not None]
    local = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found = Found()
    for tree in trees:
        if other := _other_reader(tree):
            found.reader, found.whole = found.reader or other, False
        read_click(tree, local, found)
        _read_argparse(tree, local, found)
    return Options(tuple(found.options.values()), found.reader, found.whole and bool(found.options))


def parse(text: str) -> ast.Module | None:
    """The tree of a Python text; None for what is none."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _other_reader(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for module in modules:
            if any(module == other or module.startswith(f"{other}.") for other in _OTHERS):
                return module.partition(".")[0]
            if module.rpartition(".")[2] in _OTHER_NAMES:
                return module.rpartition(".")[2]
    return ""


def called(node: ast.expr) -> str:
    """The last name of what is called: `add_argument` of `parser.add_argument(...)`."""
    inner = node.func if isinstance(node, ast.Call) else node
    return inner.attr if isinstance(inner, ast.Attribute) else inner.id if isinstance(inner, ast.Name) else ""


def literal(node: ast.expr | None, names: Mapping[str, ast.expr] | None = None) -> Any:
    """The value of an expression that is written out, or of a name of the module that is; UNKNOWN for others, None for nothing."""
    if node is None:
        return None
    if isinstance(node, ast.Name) and names and node.id in names:
        return literal(names[node.id])
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN
    return value if isinstance(value, bool | int | float | str | list | tuple | set | dict | None) else UNKNOWN


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    """What a module assigns to plain names at its top."""
    return {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    }


def kind_of(type_: str, default: object, choices: tuple[Any, ...] = ()) -> str:
    """The kind of an option by the name of its type, else by its default or choices."""
    named = {"float": "number", "int": "whole", "str": "text", "Path": "text"}
    if type_:
        return named.get(type_, "text")
    sample = choices[0] if choices else default
    if isinstance(sample, bool):
        return "text"
    return "whole" if isinstance(sample, int) else "number" if isinstance(sample, float) else "text"


def several(value: object) -> tuple[Any, ...]:
    """The items of a list that is written out."""
    return tuple(value) if isinstance(value, list | tuple | set | dict) else ()


def _read_argparse(tree: ast.Module, local: set[str], found: Found) -> None:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if not any(called(call) == "add_argument" for call in calls):
        return
    found.reader = found.reader or "argparse"
    names, parsers = constants(tree), _parsers(tree)
    found.whole &= not _made_elsewhere(tree, calls, local)
    for call in calls:
        name = called(call)
        given = {item.arg: item.value for item in call.keywords if item.arg}
        if name == "add_argument":
            if (option := _argument(call, given, names)) is not None:
                found.add(option)
            elif not any(literal(item) in ("--version", "-h") for item in call.args):
                found.whole = False
        elif name == "ArgumentParser":
            found.whole &= not {"parents", "prefix_chars"} & set(given)
        elif name == "parse_known_args" or (name not in local and _passes(call, parsers)):
            found.whole = False


def _made_elsewhere(tree: ast.Module, calls: Iterable[ast.Call], local: set[str]) -> bool:
    """Whether a parser that options are added to comes from a function of another package, which may have added some."""
    added = (
        call.func.value for call in calls if called(call) == "add_argument" and isinstance(call.func, ast.Attribute)
    )
    names = {owner.id for owner in added if isinstance(owner, ast.Name)}
    return any(
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and called(node.value) not in {*_MAKERS, *local}
        and any(isinstance(target, ast.Name) and target.id in names for target in node.targets)
        for node in ast.walk(tree)
    )


def _parsers(tree: ast.Module) -> set[str]:
    """The names that hold a parser."""
    held = {"parser"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and called(node.value) in _MAKERS:
            held |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return held


def _passes(call: ast.Call, parsers: set[str]) -> bool:
    """Whether a call is given a parser, to which it may add what it likes."""
    given = [*call.args, *(item.value for item in call.keywords)]
    return any(isinstance(item, ast.Name) and item.id in parsers for item in given)


def _argument(call: ast.Call, given: Mapping[str, ast.expr], names: Mapping[str, ast.expr]) -> Option | None:
    """The option of one `add_argument`; None where its spelling is not written out."""
    spelt = [literal(item, names) for item in call.args]
    if not spelt or not all(isinstance(text, str) and text for text in spelt):
        return None
    action, default = _action(given.get("action")), literal(given.get("default"), names)
    if action in ("version", "help"):
        return None
    flags = tuple(text for text in spelt if text.startswith("-"))
    dest = literal(given.get("dest"))
    name = dest if isinstance(dest, str) else max(spelt, key=len).lstrip("-").replace("-", "_")
    if action in ("store_true", "store_false", "BooleanOptionalAction", "store_const", "count"):
        off = flags[0].replace("--", "--no-", 1) if action == "BooleanOptionalAction" else ""
        return Option(name, flags, "switch", bool(off) and default is True, off=off)
    choices = several(literal(given.get("choices"), names))
    many = action == "append" or literal(given.get("nargs")) not in (None, "?")
    kind = "list" if many else kind_of(called(given["type"]) if "type" in given else "", default, choices)
    required = literal(given.get("required")) is True or (not flags and "default" not in given)
    return Option(name, flags, kind, default, choices, required)


def _action(node: ast.expr | None) -> str:
    value = literal(node)
    return value if isinstance(value, str) else called(node) if node is not None else ""


_CLICK_VALUE = re.compile(
    r"\s*(FLOAT|INTEGER|TEXT|PATH|FILE|FILENAME|DIRECTORY|UUID|\[[\w.-]+(?:\|[\w.-]+)+\])(?=\s|$)"
)


def help_options(text: str) -> tuple[Option, ...]:
    """The options that a `--help` lists, one a line: `-l, --lr LR  the rate (default: 0.1)`, `--opt {sgd,adam}`."""
    found: dict[str, Option] = {}
    for line in _entries(text):
        spelt = re.match(r"\s*((?:-{1,2}[A-Za-z][\w.-]*(?:[ =](?!-)(?:\{[^}]*\}|[^\s,]+))?(?:\s*[,/|]\s*)?)+)", line)
        if spelt is None:
            continue
        flags = re.findall(r"(?<![\w-])-{1,2}[A-Za-z][\w.-]*", spelt[1])
        name = (
            max((flag for flag in flags if not flag.startswith("--no-")), key=len, default=flags[0])
            .lstrip("-")
            .replace("-", "_")
        )
        if name in ("help", "version", "h", "install_completion", "show_completion"):
            continue
        value = re.search(r"[ =](?!-)(\{[^}]*\}|[^\s,]+)\s*$", spelt[1]) or _CLICK_VALUE.match(line, spelt.end())
        default = re.search(r"\[?default(?: is|:|=) ?'?([^\s\])',;]+)", line, re.IGNORECASE)
        shown = _value(default[1]) if default else UNKNOWN
        listed = value is not None and re.fullmatch(r"\{.+\}|\[.+\|.+\]", value[1])
        choices = tuple(re.split(r"[,|]", value[1][1:-1])) if value and listed else ()
        off = next((flag for flag in flags if flag.startswith("--no-")), "")
        on = tuple(flag for flag in flags if flag != off)
        kind = kind_of("", shown, choices) if value else "switch"
        found.setdefault(
            name, Option(name, on or tuple(flags), kind, shown if value else False, choices, off=off if on else "")
        )
    return tuple(found.values())


def _entries(text: str) -> list[str]:
    """The lines of a help text, each with what is indented under it."""
    entries: list[str] = []
    for line in text.splitlines():
        bare = line.strip(" │|╭╰─╮╯*")
        if bare.startswith("-"):
            entries.append(bare)
        elif bare and entries and line.startswith((" ", "│")):
            entries[-1] += f"  {bare}"
        else:
            entries.append("")
    return entries


def _value(text: str) -> Any:
    if text in ("None", "SUPPRESS"):
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
