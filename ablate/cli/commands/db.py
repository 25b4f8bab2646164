"""`ablate db info | check | upgrade | backup | restore | export | import`: the results database."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.common import Db, JsonOption, open_reader, print_json, require_reader, say
from ablate.cli.groups import Group
from ablate.errors import StoreError, UsageError, few
from ablate.project.database import database_url, safe_url
from ablate.project.text import plural

if TYPE_CHECKING:
    from ablate.store.values import Imported

app = typer.Typer(cls=Group, no_args_is_help=True, help="Inspect, back up and move the results database.")


@app.command()
def info(db: Db = None, json_: JsonOption = False) -> None:
    """Show schema, runs and size of the database."""
    found = require_reader(db).info()
    if json_:
        print_json({"schema": 1, **asdict(found)})
        return
    for name, value in asdict(found).items():
        if value is None:
            continue
        if name == "size":
            value = f"{value / 1e6:,.1f} MB"
        shown = ", ".join(f"{key} {count:,}" for key, count in value.items()) if isinstance(value, dict) else value
        print(f"{name.replace('_', ' ')}: {shown}")


@app.command()
def check(db: Db = None) -> None:
    """Check the database for damage. Exits with 6 if there is any."""
    problems = require_reader(db).check()
    if problems:
        raise StoreError(
            "the database is damaged:\n" + "\n".join(problems) + "\nPut a backup in its place: ablate db restore FILE.",
            code="damaged",
        )
    print("ok")


@app.command(short_help="Upgrade an old database to this version's schema.")
def upgrade(db: Db = None) -> None:
    """Upgrade an old database to this version's schema, after making a backup next to it."""
    from ablate.store.migrate import upgrade as upgrade_database

    done = upgrade_database(database_url(db))
    if done.before == done.after:
        say(f"already at schema {done.after}; nothing to do")
    else:
        say(f"upgraded from schema {done.before} to {done.after}" + (f"; backup: {done.backup}" if done.backup else ""))


@app.command(short_help="Copy the database, even while it is in use.")
def backup(
    target: Annotated[Path, typer.Argument(help="The file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    db: Db = None,
) -> None:
    """Write a complete, compact copy of the database, even while it is in use."""
    store = require_reader(db)
    _refuse_existing(target, overwrite)
    store.backup(target, overwrite=overwrite)
    say(f"{safe_url(database_url(db))} copied to {target}")


@app.command(short_help="Replace the database with a backup.")
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `db backup` wrote.")],
    db: Db = None,
) -> None:
    """Replace the database with a backup, completely or not at all. Refused while anyone uses the database.

    FILE is checked first and not changed. The previous database is kept next to it, and a log left by a killed process is
    moved out of the way. FILE may be the database itself, if a backup was copied there by hand.
    """
    from ablate.store.restore import restore as put
    from ablate.store.schema import REVISIONS

    done = put(database_url(db), source)
    say(f"{safe_url(database_url(db))} restored from {source}: {plural(done.runs, 'run')}, schema {done.revision}")
    if done.kept:
        say(f"the previous database is kept as {done.kept}")
    for log in done.moved:
        say(f"a log that does not belong to it is kept as {log}")
    if done.revision != REVISIONS[-1]:
        say("It is from an older version: ablate db upgrade")


@app.command(short_help="Write everything to one JSON Lines file.")
def export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write: .jsonl, or .jsonl.gz.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    db: Db = None,
) -> None:
    """Write everything to one JSON Lines file, to move it to another database or to archive it."""
    from ablate.store.portable import SUFFIXES

    if not target.name.endswith(SUFFIXES):
        raise UsageError(f"{target}: must end in {' or '.join(SUFFIXES)}. (`ablate db backup` copies a SQLite file.)")
    store = require_reader(db)
    _refuse_existing(target, overwrite)
    rows = store.export(target, overwrite=overwrite)
    say(f"{safe_url(database_url(db))} written to {target}: {plural(rows['runs'], 'run')}, {sum(rows.values()):,} rows")
    running = store.info().states.get("running", 0)
    if running:
        say(f"warning: {plural(running, 'run')} still running; what they record from now on is not exported.")


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        message = f"{target} already exists. Choose another file, or replace it with --overwrite."
        raise UsageError(message, code="exists")


@app.command("import", short_help="Import an export or another results database.")
def import_(
    source: Annotated[str, typer.Argument(metavar="FILE", help="An export, another SQLite file, or a database URL.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")] = False,
    keep_existing: Annotated[
        bool, typer.Option("--keep-existing", help="Where results differ, keep those of this database.")
    ] = False,
    db: Db = None,
) -> None:
    """Import an export or another results database: all of it or, if anything is wrong, nothing.

    Results that are already here are kept.
    """
    from ablate.store.store import Store, look_at_import

    if dry_run:
        reader = open_reader(db)
        found = (
            look_at_import(source) if reader is None else reader.import_from(source, keep=keep_existing, dry_run=True)
        )
    else:
        if open_reader(db) is None:
            look_at_import(source)  # so that a broken file creates no database
        with Store.open(database_url(db)) as store:
            found = store.import_from(source, keep=keep_existing)
    _say_import(found, f"{safe_url(source)} into {safe_url(database_url(db))}", dry_run)


def _say_import(found: Imported, what: str, dry_run: bool) -> None:
    say(f"{what}: {'would import' if dry_run else 'imported'} {plural(found.new, 'new run')}"
        f" and results of {plural(found.added, 'run')} that had none here; {found.same:,} were already here")  # fmt: skip
    if found.kept:
        ids = few([run_id[:12] for run_id in found.kept], 5)
        say(f"kept as they are here: {plural(len(found.kept), 'run')} with a different history: {ids}")
    for clash in found.clashes:
        say(f"kept as it is here: {clash}")
    if found.kept_studies:
        say(f"studies kept as they are here: {', '.join(found.kept_studies)}. Their runs were imported.")
