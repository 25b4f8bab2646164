"""`ablate data list`: the data sets, where they are looked for, and how to get them."""

from __future__ import annotations

from dataclasses import asdict

import typer

from ablate.cli.common import JsonOption, data_root, home, print_json, stdout_console

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
    console = stdout_console()
    console.print(f"ABLATE_DATA is {data_root()}", soft_wrap=True)
    for row in rows:
        size = f"{row.images:,} images, {row.classes} classes" if row.images else "your own"
        console.print(f"\n[bold]{row.name}[/bold]  {'here' if row.present else 'not here'}; {size}")
        if not row.present:
            console.print(f"  {row.get}", markup=False)
