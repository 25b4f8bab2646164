"""`ablate db info | check | upgrade | backup`: the results database itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.common import Db, JsonOption, database_url, print_json, require_reader, safe_url, say
from ablate.errors import StoreError, UsageError

app = typer.Typer(no_args_is_help=True, help="Look after the results database.")


@app.command()
def info(db: Db = None, json_: JsonOption = False) -> None:
    """Say what is in the database: schema, runs, size."""
    found = require_reader(db).info()
    if json_:
        print_json({"schema": 1, **asdict(found)})
        return
    for name, value in asdict(found).items():
        shown = ", ".join(f"{key} {count:,}" for key, count in value.items()) if isinstance(value, dict) else value
        print(f"{name.replace('_', ' ')}: {shown}")


@app.command()
def check(db: Db = None) -> None:
    """Check that the database is whole; exit 6 where it is not."""
    problems = require_reader(db).check()
    if problems:
        raise StoreError(
            "the database is damaged:\n" + "\n".join(problems) + "\nRestore a backup (ablate db backup makes one)."
        )
    print("ok")


@app.command()
def upgrade(db: Db = None) -> None:
    """Bring an old database to this version's schema, after a backup beside it."""
    from ablate.store.store import upgrade as upgrade_database

    done = upgrade_database(database_url(db))
    if done.before == done.after:
        say(f"already at schema {done.after}; nothing to do")
    else:
        say(f"upgraded from schema {done.before} to {done.after}" + (f"; backup: {done.backup}" if done.backup else ""))


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="The file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    db: Db = None,
) -> None:
    """Write a whole, compact copy of the database, also while it is in use."""
    store = require_reader(db)
    if target.exists() and not overwrite:
        raise UsageError(f"{target} is there already; name another file, or give --overwrite.")
    store.backup(target, overwrite=overwrite)
    say(f"{safe_url(database_url(db))} copied to {target}")
