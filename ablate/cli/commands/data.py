"""`ablate data`: list, download and verify data sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.common import JsonOption, print_json, say, stderr_console, stdout_console
from ablate.cli.groups import Group
from ablate.errors import BadData
from ablate.project.text import plural
from ablate.study.recipes.places import data_root, home

if TYPE_CHECKING:
    from ablate.training.data.download import Watch
    from ablate.training.data.verify import Verdict

app = typer.Typer(cls=Group, no_args_is_help=True, help="List, download and verify data sets.")


@app.command("list", short_help="List data sets, and which of them are here.")
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
    console.print(f"Searched in {data_root()} (ABLATE_DATA).\n", soft_wrap=True)
    for row in rows:
        own = row.images is None
        state = "your own" if own else "here" if row.present else "not here"
        size = "" if own else f"{row.images:,} images, {row.classes} classes"
        console.print(f"[bold]{row.name:<12}[/bold] {state:<9} {size}".rstrip())
        if not row.present:
            console.print(Padding(Text(row.get), (0, 0, 0, 4)))
    say("\nSizes are the official ones; `ablate data verify` checks whether a copy is complete.")
    say("In a study file: recipe: {data: {name: NAME}}")


@app.command("fetch", short_help="Download, check and unpack a data set.")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `ablate data list`.")],
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="A mirror of the archive; its checksum must be the same.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Download again and replace the present copy.")] = False,
) -> None:
    """Download a data set from its official source, check it and unpack it into ABLATE_DATA."""
    from ablate.training.data.fetch import fetch as fetch_data

    with _watching() as watch:
        place = fetch_data(name, data_root(), watch, url=url, force=force)
    if place is not None:
        print(place)
        say(f"In a study file: recipe: {{data: {{name: {name}}}}}")


@contextmanager
def _watching() -> Iterator[Watch]:
    """A progress bar on a terminal; elsewhere only the messages."""
    from ablate.training.data.download import Watch

    console = stderr_console()
    if not console.is_terminal:
        yield Watch(say, lambda here, total: None)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(bar_width=30), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield Watch(
            lambda text: console.print(text, markup=False, soft_wrap=True),
            lambda here, total: bar.update(task, completed=here, total=total, visible=True),
        )


@app.command("verify", short_help="Check whether data sets are complete.")
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One data set.  [default: all that are here]")
    ] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Also open every image, and list those that fail.")] = False,
    json_: JsonOption = False,
) -> None:
    """Check data sets: checksums, classes and images. Exits with 4 if one is incomplete or damaged."""
    from ablate.training.data.verify import require_any, verify_all
    from ablate.training.data.verify import verify as verify_data

    if name is None:
        verdicts = verify_all(data_root(), decode)
        require_any(verdicts, data_root())
    else:
        verdict = verify_data(name, data_root(), decode)
        verdicts = [] if verdict is None else [verdict]
        if verdict is None:
            say(f"{name} is generated when used, so there is nothing to verify.")
    if json_:
        print_json({"schema": 1, "data": [asdict(verdict) for verdict in verdicts]})
    elif verdicts:
        _print_verdicts(verdicts)
    raise typer.Exit(BadData.exit_code if any(verdict.state != "whole" for verdict in verdicts) else 0)


def _print_verdicts(verdicts: list[Verdict]) -> None:
    console = stdout_console()
    for verdict in verdicts:
        images = "?" if verdict.images is None else f"{verdict.images:,}"
        classes = "?" if verdict.classes is None else str(verdict.classes)
        console.print(
            f"[bold]{verdict.name:<12}[/bold] {verdict.state:<11} {images} of {verdict.official_images:,} images, "
            f"{classes} of {verdict.official_classes} classes",
            soft_wrap=True,
        )
        form = f" ({verdict.form})" if verdict.form else ""
        for line in (f"{verdict.where}{form}", *verdict.problems):
            console.print(f"    {line}", markup=False, soft_wrap=True)
    wrong = [verdict for verdict in verdicts if verdict.state != "whole"]
    for verdict in wrong:
        say(f"{verdict.name} is {verdict.state}: {verdict.get}.")
    if not wrong:
        opened = "" if all(verdict.decoded for verdict in verdicts) else "; --decode opens every image as well"
        say(f"{plural(len(verdicts), 'data set')} checked, all whole{opened}.")
