"""`ablate predict RUN FOLDER`: a class and a probability for each image of a folder, by the weights that a run reports."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.commands.runs import RunArgument
from ablate.cli.common import Db, require_reader, say
from ablate.errors import BadData, NoSpaceOrPermission, NotFound, UsageError, few
from ablate.parts.reading.contents import printable
from ablate.project.advice import command
from ablate.project.text import plural
from ablate.study.recipes.places import home

if TYPE_CHECKING:
    from ablate.store.store import Store
    from ablate.study.records import RunResult
    from ablate.training.predict import Kept, Predictions
    from ablate.training.unlabelled import Found

SHOWN = 5
NEW_DB = "weights.db"


def predict(
    run: RunArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", readable=False, help="A folder of images, or one image.")],
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="The CSV file; - is stdout.")] = "-",
    id_column: Annotated[
        str | None,
        typer.Option("--id-column", metavar="NAME", help="Column name for ids (file names); needs --label-column."),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", metavar="NAME", help="Column name for classes; needs --id-column.")
    ] = None,
    id_stem: Annotated[bool, typer.Option("--id-stem", help="Ids without the file extension.")] = False,
    label_index: Annotated[
        bool, typer.Option("--label-index", help="Write class numbers, from 0, instead of names.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip images that cannot be decoded, and list them.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the --out file if it exists.")] = False,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Images at a time.  [default: as in the run's evaluation]")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads.  [default: cores]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:N.")] = "auto",
    db: Db = None,
) -> None:
    """Predict the classes of unlabelled images with the weights that a run kept.

    The weights are those of the epoch that the run reports: the selected one, or the last one if the recipe's `select` is
    `last`. A run keeps them if its study says `keep: selected`.
    """
    from ablate.dispatch.contract.slots import plan_slots

    _check_columns(id_column, label_column, id_stem)
    path = None if out == "-" else Path(out)
    _check_out(path, force)
    slot = plan_slots(device, 1, threads)[0]  # raises for a device that is not there
    store = require_reader(db)
    result = store.find(run)
    weights, sha256 = _weights(store, result, folder)
    from ablate.study.records import Context
    from ablate.training.predict import load_network
    from ablate.training.predict import predict as predict_images
    from ablate.training.unlabelled import find_images

    found = find_images(folder)
    ids = _ids(found.files, id_stem) if id_column else found.files
    kept = load_network(result.run, weights, sha256)
    _check_classes(result, kept.classes)
    _announce(result, weights, kept, found, folder)
    context = Context(run_dir=weights.parent, device=slot.label, threads=slot.threads)
    predictions = predict_images(kept, found, context, batch_size=batch_size, skip_bad=skip_bad)
    for file, reason in predictions.bad:
        say(printable(f"skipped: {file} ({reason})"))
    names = [str(number) for number in range(len(kept.classes))] if label_index else kept.classes
    columns = (id_column, label_column) if id_column and label_column else None
    text = as_csv(predictions, dict(zip(found.files, ids, strict=True)), names, columns)
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())  # UTF-8 as in a file, whatever the terminal's
        return
    from ablate.report.html import write_report

    _check_out(path, force)  # it may exist by now
    write_report(path, text)
    say(f"written: {path} ({plural(len(predictions.rows), 'row')})")


def _check_columns(id_column: str | None, label_column: str | None, id_stem: bool) -> None:
    if (id_column is None) != (label_column is None):
        raise UsageError("--id-column and --label-column go together, as in --id-column id --label-column label.")
    if id_column is not None and (not id_column or not label_column or id_column == label_column):
        raise UsageError("--id-column and --label-column must be two different names.")
    if id_stem and id_column is None:
        raise UsageError("--id-stem needs --id-column NAME --label-column NAME.")


def _check_out(path: Path | None, force: bool) -> None:
    """Before anything is worked out: whether the file may be written."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"--out {path}: is a folder; name a file in it, such as {path / 'predictions.csv'}.")
    if path.exists() and not path.is_file():
        raise UsageError(f"--out {path}: not an ordinary file. Choose another, or - for stdout.")
    if path.exists() and not force:
        raise UsageError(
            f"--out {path}: already exists. Choose another file, or replace it with --force.", code="exists"
        )
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not os.access(above, os.W_OK):
        raise NoSpaceOrPermission(f"--out {path}: cannot write to {above}. Choose another folder.")


def _weights(store: Store, result: RunResult, folder: Path) -> tuple[Path, str]:
    """The weights of the epoch that the run reports, and their recorded SHA-256. Raises NotFound where the run kept none."""
    from ablate.dispatch.contract.executor import run_folder

    run = result.run
    short = run.run_id[:12]
    if run.trainer is not None:
        message = f"run {short} was trained by your own trainer, so only that can predict with its weights."
        raise UsageError(message, code="trained-elsewhere")
    if result.state != "done":
        message = f"run {short} is {result.state}: only a done run has weights to predict with."
        raise NotFound(message, code="run-not-done")
    name = f"model-{'last' if run.recipe.get('select') == 'last' else 'selected'}.pt"
    for artifact in result.artifacts:
        if artifact.path == name:
            return run_folder(home(), run.run_id) / name, artifact.sha256
    again = _train_again(store, result)
    raise NotFound(
        f"run {short} kept no weights. Add the line `keep: selected` to the study file, and train the run again "
        f"into a separate database, where it gets the same id:\n  {again}\n"
        f"  {command('predict', short, str(folder), db=NEW_DB)}",
        code="no-weights",
    )


def _train_again(store: Store, result: RunResult) -> str:
    """The command that trains this run, among those of its seed, into a new database."""
    from ablate.project.records import place_of

    link = next((link for link in store.links([result.run.run_id])[result.run.run_id] if link.arm), None)
    known = store.studies(name=link.study, profile=link.profile or "", sets=link.sets) if link else ()
    if not known:
        return command("grid", "run", "STUDY", db=NEW_DB)
    file, seeds = place_of(known[0]), f"{result.run.seed},"
    return command("grid", "run", file, profile=known[0].profile, sets=known[0].sets, seeds=seeds, db=NEW_DB)


def _check_classes(result: RunResult, classes: Sequence[str]) -> None:
    """Raises BadData if the file next to the weights has other classes than the database."""
    for confusion in result.confusions:
        if confusion.classes != tuple(classes):
            raise BadData(
                f"the file next to the weights lists the classes {', '.join(classes[:SHOWN])}, but the database has "
                f"{', '.join(confusion.classes[:SHOWN])} for run {result.run.run_id[:12]}. Restore the run's own file."
            )


def _ids(files: Sequence[str], stem: bool) -> list[str]:
    """The files' names as ids. Raises UsageError where two are the same."""
    ids = [PurePosixPath(file).stem if stem else PurePosixPath(file).name for file in files]
    first: dict[str, str] = {}
    twice = [(first[id_], file) for id_, file in zip(ids, files, strict=True) if first.setdefault(id_, file) != file]
    if twice:
        shown = "; ".join(f"{one} and {other}" for one, other in twice[:SHOWN])
        rest = f"; and {len(twice) - SHOWN:,} more" if len(twice) > SHOWN else ""
        raise UsageError(
            f"--id-column: {shown}{rest} would have the same id. Predict each folder separately, or leave out "
            f"{'--id-stem or ' if stem else ''}--id-column: then the column `file` has whole paths."
        )
    return ids


def _announce(result: RunResult, weights: Path, kept: Kept, found: Found, folder: Path) -> None:
    _, height, width = kept.shape
    say(
        f"run {result.run.run_id[:12]}, {weights.name} of epoch {kept.epoch}: {len(kept.classes)} classes, "
        f"{width}x{height} pixels"
    )
    ignored = ""
    if found.ignored:
        shown = few(found.ignored, SHOWN)
        ignored = f"; ignored {plural(len(found.ignored), 'file')} ({shown}): hidden, or no image extension"
    say(printable(f"{folder}: {plural(len(found.files), 'image')}{ignored}"))


def as_csv(
    predictions: Predictions, ids: Mapping[str, str], names: Sequence[str], columns: tuple[str, str] | None = None
) -> str:
    """`file,class,probability`, or two columns under the names in `columns`. `ids` maps a file to its id."""
    from ablate.report.spreadsheet import csv_text

    rows = [(ids[row.file], names[row.label], f"{row.probability:.6f}") for row in predictions.rows]
    if columns:
        return csv_text([columns, *(row[:2] for row in rows)])
    return csv_text([("file", "class", "probability"), *rows])
