"""Groups of commands that answer a wrong command with the likely one, by its whole path."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperGroup

HELP = {"help_option_names": ["--help", "-h"]}
"""What click is told of the root command; its commands inherit them."""

MEANT = {
    "compare": "runs diff", "download": "data fetch", "figures": "report", "lint": "grid check", "log": "runs show",
    "logs": "runs show", "ls": "list", "new": "init", "plot": "report", "ps": "watch", "resume": "grid run",
    "start": "grid run", "stop": "runs cancel", "table": "report", "tables": "report", "top": "watch", "train": "grid run",
    "validate": "grid check",
}  # fmt: skip
"""What other programs call commands, and how ours end."""


class Group(TyperGroup):
    """A wrong command is compared with the paths of all commands, also of other groups."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As in every group; the error names the command that is likely meant."""
        self.suggest_commands = False
        name = args[0]
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        root = ctx.find_root()
        group = ctx.command_path.split()[len(root.command_path.split()) :]
        found = likely(group, name, next(iter(args[1:]), ""), list(paths(root.command)))
        meant = " or ".join(f"`ablate {path}`" for path in found)
        ctx.fail(f"No such command {name!r}." + (f" Did you mean {meant}?" if meant else ""))


def paths(command: object, prefix: str = "") -> Iterator[str]:
    """The paths of all commands and groups below one, as in `grid run`."""
    for name, child in getattr(command, "commands", {}).items():
        yield f"{prefix}{name}"
        yield from paths(child, f"{prefix}{name} ")


def likely(group: Sequence[str], wrong: str, after: str, known: Sequence[str]) -> list[str]:
    """The paths that may be meant by a wrong command of a group, most often one; `after` is the word that follows it.

    `run list` is `runs list`, and `run` is `grid run`: of several that end so, the one of this group is meant, else `grid`'s, else
    the one in no group. A study file is meant to be run.
    """
    if close := difflib.get_close_matches(" ".join([*group, wrong, after]), known, n=1, cutoff=0.85):
        return close
    if wrong.endswith((".yaml", ".yml")):
        return [f"grid run {shlex.quote(wrong)}"]
    for name in (wrong, MEANT.get(wrong, "")):
        if same := _named(group, name, known):
            return same
    if close := difflib.get_close_matches(" ".join([*group, wrong]), known, n=1, cutoff=0.75):
        return close
    near = difflib.get_close_matches(wrong, {path.split()[-1] for path in known}, n=1)
    return _named(group, near[0], known) if near else []


def _named(group: Sequence[str], name: str, known: Sequence[str]) -> list[str]:
    """The paths that end in a name, those of the first rank that has any."""
    same = [path for path in known if f" {path}".endswith(f" {name}")] if name else []
    for first in (" ".join([*group, name]), f"grid {name}", name):
        if first in same:
            return [first]
    return same
