"""`ablate data list`: the data sets, where they are looked for, and how to get them."""

from __future__ import annotations

from dataclasses import asdict

import typer

from ablate.cli.common import JsonOption, print_json, say, stdout_console
from ablate.study.places import data_root, home

app = typer.Typer(no_args_is_help=True, help="The data sets: what is here, and how to get the rest.")


@app.callback()
def _data() -> None:
    """Keeps `list` a command of its own while it is the only one."""


@app.command("list")
def list_(json_: JsonOption = False) -> None:
    """List the data sets, which of them are here, and how to get the others."""
    from ablate.training.data import list_datasets

    rows = list_datasets(data_root(), home())
    if json_:
        print_json({"schema": 1, "data": [asdict(row) for row in rows]})
        return
    from rich.padding import Padding
    from rich.text import Text

    console = stdout_console()
    console.print(f"Looked for in {data_root()} (ABLATE_DATA).\n", soft_wrap=True)
    for row in rows:
        own = row.images is None
        state = "your own" if own else "here" if row.present else "not here"
        size = "" if own else f"{row.images:,} images, {row.classes} classes"
        console.print(f"[bold]{row.name:<12}[/bold] {state:<9} {size}".rstrip())
        if not row.present:
            console.print(Padding(Text(row.get), (0, 0, 0, 4)))
    say("\nIn a study file: recipe: {data: {name: NAME}}")
