"""`ablate clean`: show what ABLATE_HOME holds, and free what is no longer needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.common import Db, JsonOption, open_reader, print_json, say
from ablate.errors import NoSpaceOrPermission, UsageError
from ablate.project.text import plural
from ablate.study.recipes.places import MARKER, home, mark

if TYPE_CHECKING:
    from ablate.project.leftovers import Findings, Item

UNUSED_DAYS = 30.0


def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Free without asking.")] = False,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Also free folders of runs that are not in this database.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Treat the folder as an ABLATE_HOME, even if nothing in it says so."),
    ] = False,
    unused_days: Annotated[
        float, typer.Option(min=0, help="Free decoded data not used for this many days.")
    ] = UNUSED_DAYS,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Show what ABLATE_HOME holds and what is no longer needed; free that with --yes.

    Kept are the database, kept weights, logs, files written by scripts, and whatever a run that is not done may resume from.
    Nothing is freed in a folder that does not look like an ABLATE_HOME, unless --adopt is given.
    """
    from ablate.project.leftovers import KINDS, free, look

    store = open_reader(db)
    findings = look(home(), store, unused_days=unused_days)
    kinds = [kind for kind in KINDS if unknown or kind != "unknown"]
    items = [item for item in findings.items if item.kind in kinds]
    if not json_:
        _print(findings)
    gone: list[Item] = []
    problems: list[str] = []
    strange = bool(items) and not (findings.ours or adopt)
    if items and not strange and (yes or (not json_ and _agreed(items))):
        mark(findings.home)
        gone, problems = free(findings, store, kinds)
    if json_:
        _print_document(findings, gone)
    elif gone:
        say(f"{size(total(gone))} freed.")
    elif not strange:
        say(_next(findings, items, unknown))
    if strange and yes and json_:  # the one document is printed already
        say(f"error: {_strange(findings)}")
        raise typer.Exit(UsageError.exit_code)
    if strange and yes:
        raise UsageError(_strange(findings), code="not-a-home")
    if strange:
        say(_strange(findings))
    if problems:
        raise NoSpaceOrPermission("\n".join(problems))


def total(items: Sequence[Item]) -> int:
    return sum(item.size for item in items)


def size(number: int) -> str:
    """`1.2 GB`, `340 MB`, `12 kB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"


def _print(findings: Findings) -> None:
    from ablate.project.leftovers import KINDS

    rows = [(f"{findings.home}/{name}", size(held), "") for name, held in findings.sizes.items() if held]
    for kind, what in KINDS.items():
        mine = [item for item in findings.items if item.kind == kind]
        if mine:
            option = "  (--unknown)" if kind == "unknown" else ""
            rows.append((f"  can go: {what}", size(total(mine)), f"in {plural(len(mine), 'place')}{option}"))
    if findings.scripts:
        left = size(sum(findings.scripts.values()))
        rows.append(("  kept: files written by scripts", left, f"in {plural(len(findings.scripts), 'place')}"))
    width = max((len(row[0]) for row in rows), default=0)
    for name, held, more in rows:
        print(f"{name:<{width}}  {held:>9}  {more}".rstrip())
    for note in findings.notes:
        say(note)


def _agreed(items: Sequence[Item]) -> bool:
    return _somebody_is_there() and typer.confirm(f"Free {size(total(items))}?", default=False, err=True)


def _somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _strange(findings: Findings) -> str:
    return (
        f"{findings.home} does not look like an ABLATE_HOME: it has neither the marker file {MARKER} nor run folders, so "
        "nothing was freed. If everything listed above belongs to ablate: ablate clean --yes --adopt. Otherwise set ABLATE_HOME "
        "to another folder."
    )


def _next(findings: Findings, items: Sequence[Item], unknown: bool) -> str:
    if items:
        option = " --unknown" if unknown else ""
        return f"{size(total(items))} can be freed: ablate clean --yes{option}"
    if findings.items:
        return "Nothing to free except runs that are not in this database: ablate clean --yes --unknown"
    return "Nothing to free."


def _print_document(findings: Findings, gone: Sequence[Item]) -> None:
    freed = {item.path for item in gone}
    print_json(
        {
            "schema": 1,
            "home": str(findings.home),
            "sizes": dict(findings.sizes),
            "items": [
                {
                    "kind": item.kind,
                    "path": str(item.path),
                    "bytes": item.size,
                    "run_id": item.run_id,
                    "freed": item.path in freed,
                }
                for item in findings.items
            ],
            "scripts": [{"path": str(path), "bytes": held} for path, held in findings.scripts.items()],
            "ours": findings.ours,
            "freed_bytes": total(gone),
            "notes": list(findings.notes),
        }
    )
