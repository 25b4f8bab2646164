"""`ablate clean`: what ABLATE_HOME holds, and freeing what nobody needs any more."""

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
    yes: Annotated[bool, typer.Option("--yes", help="Free it, without a question.")] = False,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Free the folders of runs that this database does not know, too.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Take the folder for an ABLATE_HOME, where nothing in it shows that it is one."),
    ] = False,
    unused_days: Annotated[
        float, typer.Option(min=0, help="Decoded data that was not used for so many days can go.")
    ] = UNUSED_DAYS,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Say what ABLATE_HOME holds and what of it nobody needs; free that with --yes.

    What is recorded in the database stays, and so do kept weights, logs, what scripts left, and whatever a run that is not done
    may go on from. Nothing is freed in a folder that is not known for an ABLATE_HOME, unless --adopt says that it is one.
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
    if strange and yes:
        raise UsageError(_strange(findings))
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
        rows.append(("  stays: what scripts left in run folders", left, f"in {plural(len(findings.scripts), 'place')}"))
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
        f"{findings.home} is not known for an ABLATE_HOME: it has neither our marker ({MARKER}) nor folders of runs, so nothing "
        "in it was freed. If all that is listed above is ablate's: ablate clean --yes --adopt. Else set ABLATE_HOME to another "
        "folder."
    )


def _next(findings: Findings, items: Sequence[Item], unknown: bool) -> str:
    if items:
        option = " --unknown" if unknown else ""
        return f"{size(total(items))} can be freed, and nothing was: ablate clean --yes{option}"
    if findings.items:
        return "Nothing to free but runs of other databases, or of none: ablate clean --yes --unknown"
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
