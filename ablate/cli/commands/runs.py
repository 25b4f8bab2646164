"""`ablate runs list | show | diff | cancel | verify`: single runs, by unique prefixes of their ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli.common import Db, JsonOption, ProfileOption, SetOption, print_json, require_reader, say, stdout_console
from ablate.errors import UsageError, nearest
from ablate.project.database import database_url
from ablate.project.text import duration, plural
from ablate.study.recipes.places import home
from ablate.study.values.digits import brief
from ablate.study.values.metrics import MetricName
from ablate.study.values.run import STATES

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.store.values import Asker
    from ablate.study.records import RunResult

app = typer.Typer(no_args_is_help=True, help="List, show, compare, cancel and verify runs.")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run id, or the beginning of one.")]
SHOWN_METRICS = ("top1", "top5", "loss")
LOG_LINES = 40
SHOWN_IMAGES = 5
SHOWN_CLASSES = 20


@app.command("list")
def list_(
    study: Annotated[str | None, typer.Option("--study", help="Only runs of this study.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="|".join(STATES), help="Only runs in this state.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most this many, the newest first.")] = None,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """List runs with their state and final metrics."""
    if state is not None and state not in STATES:
        message = f"--state {state}: must be one of {', '.join(STATES)}.{nearest(state, STATES)}"
        raise UsageError(message, code="unknown-state")
    store = require_reader(db)
    found = store.list_runs(study=study, states=[state] if state else None, limit=limit)
    names = _arm_names(db, found, study)
    if json_:
        asked = store.asked_by([result.run.run_id for result in found])
        print_json({"schema": 1, "runs": [run_document(result, names, asked) for result in found]})
        return
    _print_list(found, names)
    if not found:
        say("No matching runs." if study or state else "No runs yet: ablate grid run STUDY.yaml")
    elif len(found) == limit:
        say(f"Only the newest {plural(limit, 'run')} shown (--limit).")
    else:
        say(f"{plural(len(found), 'run')}. To show one: ablate runs show RUN")


def _print_list(found: list[RunResult], names: dict[str, str]) -> None:
    """One line per run, never cut. A table of rich would take half a minute for 10,000 runs."""
    there = dict.fromkeys(name for result in found for name in result.metrics)
    # ours, unless a custom trainer declares others: then those, by the names that it gave them
    declared = [name for result in found for name in (result.run.trainer or {}).get("metrics", ()) if name in there]
    known = [name for name in SHOWN_METRICS if name in there]
    shown = tuple(dict.fromkeys([*declared, *known, *there]))[: len(SHOWN_METRICS)] or SHOWN_METRICS
    rows: list[tuple[str, ...]] = [("run", "arm", "seed", "state", "tries", *shown, "time")]
    for result in found:
        run = result.run
        metrics = [brief(result.metrics[name]) if name in result.metrics else "" for name in shown]
        time = duration(result.seconds) if result.seconds is not None else ""
        rows.append(
            (run.run_id[:12], names.get(run.run_id, ""), str(run.seed), result.state, str(len(result.attempts)), *metrics, time)
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = [title in ("run", "arm", "state") for title in rows[0]]
    for row in rows:
        cells = zip(row, widths, left, strict=True)
        print("  ".join(cell.ljust(width) if to_left else cell.rjust(width) for cell, width, to_left in cells).rstrip())


@app.command(short_help="Show one run: recipe, epochs, environment, error, log.")
def show(run: RunArgument, db: Db = None, json_: JsonOption = False) -> None:
    """Show everything about one run: recipe, attempts, epochs, environment, error, log."""
    store = require_reader(db)
    result = store.find(run)
    names = _arm_names(db, [result])
    if json_:
        document = run_document(result, names, store.asked_by([result.run.run_id]))
        last = result.shown
        document |= {
            "recipe": result.run.recipe.json,
            "epochs": [{"epoch": epoch, **metrics} for epoch, metrics in sorted(result.epochs.items())],
            "artifacts": [artifact.__dict__ for artifact in result.artifacts],
            "environment": dict(last.environment) if last else None,
            "error": result.error,
            "details": dict(result.details),
            "log": _log(result),
        }
        print_json(_finite({"schema": 1, **document}))
        return
    _print_run(result, names)


@app.command(short_help="Show where two runs differ.")
def diff(first: RunArgument, second: RunArgument, db: Db = None) -> None:
    """Show where two runs differ: recipe, seed, environment, data, final metrics."""
    store = require_reader(db)
    one, other = store.find(first), store.find(second)
    rows = []
    for what, left, right in (
        ("", {"seed": one.run.seed}, {"seed": other.run.seed}),
        ("recipe ", _flat(one.run.recipe.json), _flat(other.run.recipe.json)),
        ("environment ", _flat(one.environment), _flat(other.environment)),
        ("", _of_training(one), _of_training(other)),
        ("metric ", _once(one), _once(other)),
    ):
        for name in sorted({*left, *right}):
            if left.get(name) != right.get(name):
                rows.append((what + name, str(left.get(name, "—")), str(right.get(name, "—"))))
    from rich.table import Table

    table = Table("", one.run.run_id[:12], other.run.run_id[:12], box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console = stdout_console()
    console.print(table) if rows else console.print("no difference")


@app.command(short_help="Remove runs from the queue.")
def cancel(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run ids, or beginnings of them.")], db: Db = None
) -> None:
    """Remove queued runs from the queue; `grid run --retry all` puts them back. Done runs are not touched."""
    from ablate.store.store import Store

    reader = require_reader(db)
    found = list(dict.fromkeys(reader.find(run).run.run_id for run in runs))
    states = reader.states(found)
    with Store.open(database_url(db)) as store:
        cancelled = store.cancel(found)
    say(
        f"{len(cancelled)} of {plural(len(found), 'run')} cancelled"
        + ("; `grid run STUDY --retry all` puts them back" if cancelled else "")
    )
    for run_id in found:
        if run_id not in cancelled:
            say(f"{run_id[:12]} is {states[run_id].state}: not changed")


@app.command(short_help="Check whether the current code gives the same numbers.")
def verify(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a study that was run.")],
    profile: ProfileOption = None,
    set_: SetOption = None,
    sample: Annotated[
        int, typer.Option("--sample", min=0, metavar="N", help="Check at least N runs, even if fewer use all parts.")
    ] = 0,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="OTHER.db", help="Compare with a database that the old code trained on this machine."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Train this run again, and no other: an id or its beginning."),
    ] = None,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Train some done runs again with the current code, and compare every number with the stored one, bit for bit.

    These are the cheapest runs that together use every part of the study, after the runs that they start from. Stored results
    do not change. Runs whose parts all gave equal numbers are no longer stale. Exits with 4 if a run differs, or cannot be
    compared on this machine.
    """
    from ablate.cli.screens import say_stale
    from ablate.project import verification as work
    from ablate.project.planning import make_plan
    from ablate.project.stored import stored_study
    from ablate.store.store import Store

    loaded = stored_study(require_reader(db), study, profile, set_ or [])
    with Store.open(database_url(db)) as store:
        source = require_reader(from_) if from_ is not None else store
        found = work.verify(loaded, store, source, sample, run)
        planned = make_plan(loaded, store)
    work.say_left(found, loaded, db)
    if json_:
        print_json(work.document(planned, found))
    else:
        say_stale(planned)
    if not found.whole:
        raise typer.Exit(4)


def run_document(result: RunResult, names: dict[str, str], asked: Mapping[str, Sequence[Asker]]) -> dict[str, Any]:
    """A run as `runs list --json` gives it. `asked_by` has every study, profile and variant that ever asked for it."""
    askers = dict.fromkeys((one.study, one.profile, one.sets) for one in asked.get(result.run.run_id, ()))
    return {
        "run_id": result.run.run_id,
        "arm_id": result.run.arm_id,
        "arm": names.get(result.run.run_id),
        "studies": list(result.studies),
        "asked_by": [{"study": study, "profile": profile, "set": list(sets)} for study, profile, sets in askers],
        "seed": result.run.seed,
        "state": result.state,
        "attempts": len(result.attempts),
        "metrics": _finite(dict(result.metrics)),
        "seconds": result.seconds,
        "device": result.device,
    }


def _arm_names(db: str | None, found: list[RunResult], study: str | None = None) -> dict[str, str]:
    """The arm's name in `study`, else in the first study that has one: where a run is only a parent, it has none."""
    links = require_reader(db).links([result.run.run_id for result in found])
    names: dict[str, str] = {}
    for run_id, found_links in links.items():
        named = [link for link in found_links if link.arm]
        for link in [*(link for link in named if link.study == study), *named][:1]:
            names[run_id] = link.arm
    return names


def _print_run(result: RunResult, names: dict[str, str]) -> None:
    console = stdout_console()
    run = result.run
    console.print(
        f"[bold]{run.run_id[:12]}[/bold]  {names.get(run.run_id, '')}  seed {run.seed}  {result.state}", soft_wrap=True
    )
    if result.studies:
        console.print(f"studies  {', '.join(result.studies)}")
    if result.metrics:
        console.print("metrics")
        _print_values(console, _shown(result.metrics, result.reported_split))
    for attempt in result.attempts:
        took = f", {duration(attempt.ended - attempt.started)}" if attempt.ended else ""
        device = attempt.environment.get("device", "")
        console.print(f"attempt {attempt.number}  {attempt.state}{took}  {attempt.worker}  {device}", markup=False)
    if result.epochs:
        last = max(result.epochs)
        split = result.reported_split or ("test" if "test_loss" in result.epochs[last] else "val")
        console.print(f"epoch {last}, the last one recorded")
        _print_values(console, _shown(result.epochs[last], split))
    _print_data(console, result.details.get("data", {}))
    if skipped := result.details.get("data", {}).get("skipped"):
        console.print(f"data  skipped {plural(len(skipped), 'image')} that cannot be decoded (on_bad_image: skip)")
        for image in skipped[:SHOWN_IMAGES]:
            console.print(f"  {image['path']}: {image['reason']}", markup=False, soft_wrap=True)
        if len(skipped) > SHOWN_IMAGES:
            console.print(f"  and {len(skipped) - SHOWN_IMAGES:,} more; --json lists them")
    if resumed := result.details.get("resumed_at"):
        console.print(f"resumed from a checkpoint at step {', '.join(map(str, resumed))}")
    console.print("recipe")
    for path, value in _flat(run.recipe.json).items():
        console.print(f"  {path}: {value}", markup=False, soft_wrap=True)
    if result.error:
        console.print(f"error\n{result.error}", markup=False, soft_wrap=True)
    if log := _log(result):
        console.print(f"log (the last {LOG_LINES} lines)\n{log}", markup=False, soft_wrap=True)


def _print_data(console: Console, data: Mapping[str, Any]) -> None:
    """The classes as they were found, and what the run noted of its data. Older runs have neither."""
    if names := data.get("class_names"):
        more = ", ..." if len(names) > SHOWN_CLASSES else ""
        shown = ", ".join(names[:SHOWN_CLASSES])
        console.print(f"data  {len(names):,} classes: {shown}{more}", markup=False, soft_wrap=True)
    for note in data.get("notes", ()):
        console.print(f"data  {note}", markup=False, soft_wrap=True)


def _shown(metrics: Mapping[str, float], reported: str | None) -> dict[str, str]:
    """Metrics to print: each once (the reported split's without a prefix), sizes in MiB."""
    shown = {}
    for name, value in sorted(metrics.items()):
        plain = MetricName.parse(name).inside(reported)
        if plain != name and metrics.get(plain) == value:
            continue
        shown[name] = f"{value / 2**20:,.0f} MiB" if name == "peak_memory" else brief(value)
    return shown


def _print_values(console: Console, values: Mapping[str, str]) -> None:
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.text import Text

    words = [Text(f"{name} {value}") for name, value in values.items()]
    console.print(Padding(Columns(words, padding=(0, 3), column_first=True), (0, 0, 0, 2)))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict) and item:
            flat |= _flat(item, f"{prefix}{name}.")
        else:
            flat[prefix + name] = item
    return flat


def _once(result: RunResult) -> dict[str, float]:
    """The final metrics, each under one name."""
    split = result.reported_split
    return {name: value for name, value in result.metrics.items() if MetricName.parse(name).inside(split) == name}


def _of_training(result: RunResult) -> dict[str, Any]:
    """What a run was trained on and how: the digest and the numbers of its images, its fingerprints."""
    data = result.details.get("data")
    found = {f"data {name}": value for name, value in _flat(data if isinstance(data, dict) else {}).items()}
    found.pop("data skipped", None)
    if result.shown is not None and result.shown.fingerprint:
        found["fingerprint"] = result.shown.fingerprint
    if mixed := result.details.get("mixed_fingerprints"):
        found["resumed under other numerics"] = "; ".join(map(str, mixed))
    return found


def _log(result: RunResult) -> str | None:
    """The end of the newest attempt's log, where it is on this machine."""
    from ablate.dispatch.contract.executor import attempt_log

    if not result.attempts:
        return None
    path = attempt_log(home(), result.run.run_id, result.attempts[-1].number)
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    return "\n".join(text.splitlines()[-LOG_LINES:]) or None


def _finite(value: object) -> Any:
    """The value with null for NaN and infinities, which JSON has not."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
