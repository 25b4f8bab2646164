"""`ablate tune run | report | export`: tune each arm of a study with the same budget."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli import completion
from ablate.cli.common import Db, JsonOption, ProfileOption, SetOption, print_json, print_json_text, require_reader, say
from ablate.cli.engines import AskedEngine, takes_engine
from ablate.cli.groups import Group
from ablate.errors import UsageError, check_choice
from ablate.project.advice import command
from ablate.project.text import duration
from ablate.report import FORMATS
from ablate.study.values.digits import brief

if TYPE_CHECKING:
    from ablate.study.values.trials import TuningResult

app = typer.Typer(cls=Group, no_args_is_help=True, help="Tune the arms of a study, and report the results.")

RETRY = {"failed": ("failed",), "lost": ("lost",), "all": ("failed", "lost", "cancelled")}
SHOWN = {"running": "open"}  # a trial counts as running until it ends, even while no worker trains it
WRITTEN = {name: one for name, one in FORMATS.all().items() if one.tuning is not None}
"""The formats of tunings."""

TuningArgument = Annotated[
    str,
    typer.Argument(
        metavar="TUNE", help="A tuning file, here or in experiments/.", autocompletion=completion.tuning_files
    ),
]


@app.command()
@takes_engine
def run(
    tune: TuningArgument,
    profile: ProfileOption = None,
    set_: SetOption = None,
    *,
    engine: AskedEngine,
    retry: Annotated[
        str | None,
        typer.Option(metavar="|".join(RETRY), help="Retry trials whose runs failed, were lost, or both."),
    ] = None,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Train trials until each arm's budget is spent.

    You can kill it at any time: the next `tune run` continues with the same trials.
    """
    from ablate.cli.tuning import train
    from ablate.report.tuning_text import document
    from ablate.study.tuning.tuning import load_tuning
    from ablate.tuning.reading import read_result

    if retry is not None:
        check_choice(f"--retry {retry}", retry, RETRY)
    tuning = load_tuning(tune, profile, tuple(set_ or ()))
    code, over = train(tuning, db, engine(db, tuning.study.resources), RETRY.get(retry or "", ()))
    result = read_result(tuning, require_reader(db), importance=False)
    if json_:
        print_json(document(result))
    else:
        _summary(result)
        if not over:
            say(
                f"The budget is not spent. To continue: {command('tune', 'run', tune, profile=profile, sets=set_ or (), db=db)}"
            )
        say(f"The report: {command('tune', 'report', tune, profile=profile, sets=set_ or (), db=db)}")
    if code == 0 and any(arm.best is None for arm in result.arms):
        code = 4
    raise typer.Exit(code)


@app.command(short_help="Report a tuning: trials, best recipes, figures.")
def report(
    tune: TuningArgument,
    format_: Annotated[str, completion.choice("--format", WRITTEN, "Output format.")] = "html",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Output folder or file.  [default: reports/STUDY-tuning.html, else stdout]"),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="STUDY.yaml", help="Write a study file with the best recipe of each arm."),
    ] = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    db: Db = None,
) -> None:
    """Report a tuning: the trials, each arm's best recipe, and which settings matter."""
    from ablate.cli.screens import write_out
    from ablate.report.html import write_report
    from ablate.study.designs.variants import file_name
    from ablate.study.tuning.tuning import load_tuning
    from ablate.tuning.best import best_study
    from ablate.tuning.best_script import check_place
    from ablate.tuning.reading import read_result

    check_choice(f"--format {format_}", format_, WRITTEN, code="unknown-format")
    written = WRITTEN[format_]
    if write is not None and write.exists():
        raise UsageError(f"--write {write}: already exists. Choose another file.", code="exists")
    tuning = load_tuning(tune, profile, tuple(set_ or ()))
    if write is not None:
        check_place(tuning, write)
    result = read_result(tuning, require_reader(db), importance=written.importance)
    if format_ != "text":
        _summary(result)
    best = ""
    if any(arm.best is not None for arm in result.arms):
        best = best_study(tuning, result, (write or out or Path("x")).parent)
    assert written.tuning is not None
    text = written.tuning(result, best)
    study = file_name(result.study, tuning.study.sets)
    name = f"{study}-tuning{'-' + result.profile if result.profile else ''}.{format_}"
    if out is None and not written.page:
        text = text.rstrip("\n")
        print_json_text(text) if written.suffix == ".json" else print(text)
    else:
        write_out(text, out or Path("reports"), name)
    if write is not None:
        write_report(write, best_study(tuning, result, write.parent))
        say(f"written: {write}; to compare the tuned arms: {command('grid', 'run', str(write), db=db)}")


@app.command()
def export(
    tune: TuningArgument,
    storage: Annotated[Path, typer.Option("--storage", metavar="FILE", help="The SQLite file to write.")],
    profile: ProfileOption = None,
    set_: SetOption = None,
    db: Db = None,
) -> None:
    """Copy the trials into a file that `optuna-dashboard` opens. Changes to that file are never read back."""
    from ablate.study.tuning.tuning import load_tuning
    from ablate.tuning.export import export as write
    from ablate.tuning.reading import read_result

    tuning = load_tuning(tune, profile, tuple(set_ or ()))
    result = read_result(tuning, require_reader(db), importance=False)
    for name in write(result, storage):
        print(name)
    import sqlalchemy as sa

    url = sa.URL.create("sqlite", database=str(storage)).render_as_string()
    say(f"written: {storage}; to open it: {shlex.join(['optuna-dashboard', url])}")


def _summary(result: TuningResult) -> None:
    """One line an arm, on stderr."""
    from ablate.report.tuning_text import shown

    for warning in result.warnings:
        say(f"warning: {warning}")
    for arm in result.arms:
        states = [trial.state for trial in arm.trials]
        counted = ", ".join(
            f"{states.count(state)} {SHOWN.get(state, state)}"
            for state in ("complete", "pruned", "failed", "running")
            if state in states
        )
        best = "" if arm.best is None else (
            f"; best {result.metric} {brief(arm.best.value)} (trial {arm.best.number}: "
            + ", ".join(f"{path} {shown(value)}" for path, value in arm.best.params.items()) + ")"
        )  # fmt: skip
        seconds = sum(trial.seconds for trial in arm.trials)
        cost = f"; {sum(trial.epochs for trial in arm.trials)} epochs, {duration(seconds)}" if states else ""
        say(f"{arm.arm}: {counted or 'no trials yet'}{best}{cost}")
