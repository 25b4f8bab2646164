"""The settings of a program that Hydra configures, and of a plain configuration file. They are read as YAML; nothing is executed."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablate.errors import NotFound, StudyError
from ablate.study.code.options import Option, Options, kind_of, literal, parse
from ablate.study.document.source import read

_GLOBAL = "_global_"
MOST_FILES = 200


def read_hydra(program: Path) -> Options | None:
    """The keys of the configuration that a program's `@hydra.main` names, by dotted path, and its groups; None where it has no
    such line. Not `whole` where a part of the configuration could not be read."""
    try:
        tree = parse(program.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    mark = next((call for call in ast.walk(tree) if isinstance(call, ast.Call) and ast.unparse(call.func) == "hydra.main"),
                None) if tree else None  # fmt: skip
    if mark is None:
        return None
    given = {item.arg: literal(item.value) for item in mark.keywords if item.arg}
    folder, name = given.get("config_path"), given.get("config_name", "config")
    if not isinstance(folder, str) or not isinstance(name, str):
        return Options((), "hydra")
    reader = _Reader((program.parent / folder).resolve())
    reader.load(name.removesuffix(".yaml"), "")
    return Options(tuple(reader.options.values()), "hydra", reader.whole and bool(reader.options))


def read_config(file: Path) -> tuple[Option, ...]:
    """The settings of a YAML, JSON or TOML file by dotted path; none where it cannot be read."""
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8")) if file.suffix == ".toml" else read(file).data
    except (StudyError, NotFound, OSError, ValueError):
        return ()
    return tuple(_leaves(values))


def _leaves(values: Mapping[str, Any], package: str = "") -> Iterator[Option]:
    """Each value that is no mapping, by its dotted path under a package."""
    for key, value in values.items():
        if re.search(r"[.{}\s]", key):
            continue
        name = f"{package}.{key}" if package else key
        if isinstance(value, dict) and value:
            yield from _leaves(value, name)
        else:
            kind = "list" if isinstance(value, list) else "truth" if isinstance(value, bool) else kind_of("", value)
            yield Option(name, (), kind, value, required=value == "???")


@dataclass
class _Reader:
    """`root` is the folder of configurations."""

    root: Path
    options: dict[str, Option] = field(default_factory=dict)
    whole: bool = True
    seen: set[str] = field(default_factory=set)

    def load(self, name: str, package: str) -> None:
        """Add a file's keys under a package, those of its defaults too; what comes later goes over what was there."""
        if name in self.seen or len(self.seen) >= MOST_FILES:
            return
        self.seen.add(name)
        try:
            document = read(self.root / f"{name}.yaml")
        except (StudyError, NotFound):
            self.whole = False
            return
        first = document.text.lstrip().partition("\n")[0]
        if first.startswith("# @package"):
            said = first.split()[-1]
            package = "" if said == _GLOBAL else said
        group = name.rpartition("/")[0]
        for item in document.data.get("defaults") or ():
            self._default(item, group, package)
        own = _leaves({key: value for key, value in document.data.items() if key != "defaults"}, package)
        self.options.update({option.name: option for option in own if not option.name.startswith("hydra.")})

    def _default(self, item: object, group: str, package: str) -> None:
        """One entry of a defaults list: `_self_`, `file`, `{group: choice}`."""
        if isinstance(item, str):
            if item != "_self_" and "hydra" not in item:
                self.load(f"{group}/{item}" if group and not item.startswith("/") else item.lstrip("/"), package)
            return
        for key, choice in item.items() if isinstance(item, dict) else ():
            words = str(key).split()
            name, _, own = words[-1].partition("@")
            if name.strip("/").startswith("hydra"):
                continue
            if words[0] == "override" or own:
                self.whole = False
                continue
            inner = name.lstrip("/") if name.startswith("/") or not group else f"{group}/{name}"
            choices = tuple(sorted(path.stem for path in (self.root / inner).glob("*.yaml")))
            self.options[inner] = Option(inner, (), "text", choice, choices)
            if isinstance(choice, str):
                self.load(
                    f"{inner}/{choice}", ".".join(part for part in (package, name.strip("/").replace("/", ".")) if part)
                )
