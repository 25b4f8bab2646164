"""Runs on a screen: a list, one run, two side by side; at most 80 columns wide where names allow it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ablate.errors import few
from ablate.project.runs import LOG_LINES, Names, as_declared, called, cause_of, first_name, flat, log_of, metric_text
from ablate.project.text import duration, plural
from ablate.study.designs.variants import text_of_value
from ablate.study.values.digits import brief

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.study.records import RunResult

SHOWN_METRICS = ("top1", "top5", "loss")
SHOWN_IMAGES = 5
SHOWN_CLASSES = 20
FIRST = ("train_loss", "loss", "train_top1", "top1", "top5", "val_loss", "val_top1", "train_lr")
"""Metrics of an epoch that get the room there is before others."""


def print_list(found: Sequence[RunResult], names: Names, sort: str | None = None, *, errors: bool = False) -> None:
    """One line per run, never cut; with `errors` what stopped it in the place of metrics. A table of rich would take half a minute
    for 10,000 runs."""
    shown = () if errors else _listed(found, sort)
    rows: list[tuple[str, ...]] = [("run", "arm", "seed", "state", "tries", *shown, "time", *(["error"] * errors))]
    for result in found:
        run = result.run
        metrics = [brief(result.metrics[name]) if name in result.metrics else "" for name in shown]
        time = duration(result.seconds) if result.seconds is not None else ""
        why = [(result.error or "").strip().rpartition("\n")[2]] if errors else []
        name = first_name(names, result)
        rows.append(
            (run.run_id[:12], name, str(run.seed), result.state, str(len(result.attempts)), *metrics, time, *why)
        )
    _print_columns(rows, ("run", "arm", "state", "error"))


def _listed(found: Sequence[RunResult], sort: str | None) -> tuple[str, ...]:
    there = dict.fromkeys(name for result in found for name in result.metrics)
    # ours, unless a custom trainer declares others: then those, by the names that it gave them
    declared = [name for result in found for name in (result.run.trainer or {}).get("metrics", ()) if name in there]
    known = [name for name in SHOWN_METRICS if name in there]
    shown = tuple(dict.fromkeys([*declared, *known, *there]))[: len(SHOWN_METRICS)] or SHOWN_METRICS
    return (*shown[: len(SHOWN_METRICS) - 1], sort) if sort in there and sort not in shown else shown


def _print_columns(rows: Sequence[Sequence[str]], to_left: Sequence[str]) -> None:
    """Rows below their titles; texts to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = [title in to_left for title in rows[0]]
    for row in rows:
        cells = zip(row, widths, left, strict=True)
        line = "  ".join(cell.ljust(width) if is_left else cell.rjust(width) for cell, width, is_left in cells)
        print(line.rstrip())


def print_run(result: RunResult, names: Names, console: Console) -> None:
    """Everything about one run."""
    run = result.run
    head = f"[bold]{run.run_id[:12]}[/bold]  {first_name(names, result)}  seed {run.seed}  {result.state}"
    console.print(head, soft_wrap=True)
    if result.studies:
        console.print(f"studies  {', '.join(result.studies)}")
    if result.metrics:
        console.print("metrics")
        _print_values(console, _shown(result, result.metrics, result.reported_split))
    for attempt in result.attempts:
        took = f", {duration(attempt.ended - attempt.started)}" if attempt.ended else ""
        device = attempt.environment.get("device", "")
        console.print(f"attempt {attempt.number}  {attempt.state}{took}  {attempt.worker}  {device}", markup=False)
    command, folder = called(result)
    for what, text in (("command", command), ("folder", folder)):
        if text:
            console.print(f"{what}  {text}", markup=False, soft_wrap=True)
    _print_environment(console, result)
    _print_epochs(console, result)
    _print_data(console, result.details.get("data", {}))
    if resumed := result.details.get("resumed_at"):
        console.print(f"resumed from a checkpoint at step {', '.join(map(str, resumed))}")
    _print_artifacts(console, result)
    console.print("recipe")
    for path, value in flat(run.recipe.json).items():
        console.print(f"  {path}: {text_of_value(path, value)}", markup=False, soft_wrap=True)
    log = log_of(result)
    said = [f"error\n{result.error}"] if result.error else []
    if log:
        said.append(f"log (the last {LOG_LINES} lines)\n{log}")
        if command and result.error:  # the log ends with the lines that the error quotes
            said = [said[1], f"error\n{cause_of(result.error)}"]
    for text in said:
        console.print(text, markup=False, soft_wrap=True)


def _print_environment(console: Console, result: RunResult) -> None:
    """What the attempt that counts told of its machine, code and packages. Digests of parts are in the JSON document."""
    told = dict(result.environment)
    if not told:
        return
    commit = str(told.get("commit") or "")[:12]
    packages = ", ".join(f"{name} {version}" for name, version in (told.get("packages") or {}).items())
    python = " ".join(str(told[name]) for name in ("python", "platform") if told.get(name))
    venv, resumed = told.get("venv") or {}, told.get("resumed") or {}
    lines = {
        "device": told.get("device"), "cpu": told.get("cpu") if told.get("cpu") != told.get("device") else None,
        "cuda": told.get("cuda"), "threads": told.get("threads"), "host": told.get("host"), "python": python, "packages": packages,
        "venv": f"{venv['folder']}, Python {venv['version'] or 'unknown'}" if venv else None, "resumed from": resumed.get("checkpoint"),
        "commit": f"{commit} with uncommitted changes" if commit and told.get("dirty") else commit,
        "code": str(told.get("code") or "")[:12], "numerics": result.shown.fingerprint if result.shown else None,
    }  # fmt: skip
    console.print("environment")
    wrap = textwrap.TextWrapper(
        console.width, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    for name, value in lines.items():
        if value not in (None, ""):
            console.print(wrap.fill(f"{name}: {value}"), markup=False, soft_wrap=True)


def _print_epochs(console: Console, result: RunResult) -> None:
    """A row an epoch, with the metrics that fit the width; the others are named below."""
    if not result.epochs:
        return
    split = result.reported_split or ("test" if "test_loss" in result.epochs[max(result.epochs)] else "val")
    shown = {epoch: _shown(result, metrics, split) for epoch, metrics in sorted(result.epochs.items())}
    there = dict.fromkeys(name for metrics in shown.values() for name in metrics)
    room = console.width - len("  epoch ")
    chosen: list[str] = []
    for name in dict.fromkeys([*(name for name in FIRST if name in there), *there]):
        width = 2 + max(len(name), *(len(metrics.get(name, "")) for metrics in shown.values()))
        if width <= room:
            chosen.append(name)
            room -= width
    marks = {result.selected_epoch: "*"} if result.selected_epoch else {}
    rows = [("epoch", *chosen)]
    rows += [
        (f"{epoch}{marks.get(epoch, '')}", *(values.get(name, "") for name in chosen))
        for epoch, values in shown.items()
    ]
    console.print(plural(len(shown), "epoch") + (f", * selected by {_selected_by(result)}" if marks else ""))
    _print_columns(rows, ())
    if left := [name for name in there if name not in chosen]:
        console.print(f"also recorded, in --json: {', '.join(left)}", markup=False)


def _selected_by(result: RunResult) -> str:
    select = (result.run.trainer or {}).get("select")
    return str(select["metric"] if select else result.run.recipe.get("select"))


def print_differences(rows: Sequence[tuple[str, str, str]], one: RunResult, other: RunResult, console: Console) -> None:
    """Two runs beside each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table("", one.run.run_id[:12], other.run.run_id[:12], box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _print_data(console: Console, data: Mapping[str, Any]) -> None:
    """The classes as they were found, what the run noted of its data, and images that it left out. Older runs have none of it."""
    if names := data.get("class_names"):
        console.print(f"data  {len(names):,} classes: {few(names, SHOWN_CLASSES)}", markup=False, soft_wrap=True)
    for note in data.get("notes", ()):
        console.print(f"data  {note}", markup=False, soft_wrap=True)
    if skipped := data.get("skipped"):
        console.print(f"data  skipped {plural(len(skipped), 'image')} that cannot be decoded (on_bad_image: skip)")
        for image in skipped[:SHOWN_IMAGES]:
            console.print(f"  {image['path']}: {image['reason']}", markup=False, soft_wrap=True)
        if len(skipped) > SHOWN_IMAGES:
            console.print(f"  and {len(skipped) - SHOWN_IMAGES:,} more; --json lists them")


def _print_artifacts(console: Console, result: RunResult) -> None:
    """The files that the run made and ablate recorded, and what it did not record."""
    notes = result.details.get("artifact_notes", ())
    if result.artifacts or notes:
        console.print("artifacts")
    for one in result.artifacts:
        digest = f"sha256 {one.sha256[:12]}" if one.sha256 else "no sha256"
        console.print(f"  {one.path}  {one.size:,} bytes  {digest}", markup=False, soft_wrap=True)
    for note in notes:
        console.print(f"  {note}", markup=False, soft_wrap=True)


def _shown(result: RunResult, metrics: Mapping[str, float], split: str | None) -> dict[str, str]:
    """Metrics to print, each once."""
    return {name: metric_text(name, value) for name, value in sorted(as_declared(result, metrics, split).items())}


def _print_values(console: Console, values: Mapping[str, str]) -> None:
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.text import Text

    words = [Text(f"{name} {value}") for name, value in values.items()]
    console.print(Padding(Columns(words, padding=(0, 3), column_first=True), (0, 0, 0, 2)))
