"""What a page knows of single runs: the drawer that a cell opens, and the list of runs at its end.

It is one JSON document in the page. A home folder in an error reads `~`; of an environment only what `SHOWN` lists leaves
the database, so that no host, user, path or variable does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ablate.analysis.table import ConfusionTable, Table
from ablate.report import format as fmt
from ablate.report.figures import confusion
from ablate.report.packing import pack
from ablate.study.code.verified import ITSELF
from ablate.study.records import Confusion, RunResult
from ablate.study.values.metrics import MetricName
from ablate.study.values.recipe import AnyRecipe

SHORT, LONG = 12, 20
"""Characters of a run id that are printed, and that the page knows."""
SHOWN = ("device", "cpu", "threads", "cuda", "python", "platform", "packages", "code", "commit", "dirty")

READABLE = 20
"""Classes of a run's own matrix that a drawer has room for."""

_HOME = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\Users\\)[^/\\\s:'\"]+|/root(?![\w.-])")


def private(text: str) -> str:
    """`text` without the names of home folders."""
    return _HOME.sub("~", text)


def drawer(
    tables: Sequence[Table], runs: Sequence[RunResult], again: str = "", logs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The document: `runs` in order, each with its place in `arms` and `environments`; `metric` is that of the curves, and
    `again` the command that trains a run again, without the run. An arm's recipe is one of `recipes` with what differs. With `logs`
    each run has its `details`."""
    places = _places(tables)
    metric = next((table.columns[0].metric for table in tables if table.kind != "class" and table.columns), "")
    bases = _baselines(tables, runs)
    arms: dict[str, int] = {}
    told: list[dict[str, Any]] = []
    recipes: dict[str, int] = {}
    whole: dict[int, tuple[dict[str, Any], int]] = {}  # of the few that others are held against, by `id`
    environments: dict[str, int] = {}
    rows = []
    for result in runs:
        run = result.run
        if run.arm_id not in arms:
            arms[run.arm_id] = len(told)
            base = bases.get(run.run_id, run.recipe)
            if id(base) not in whole:
                settings = _settings(base)
                text = json.dumps([[path, _text(value)] for path, value in settings.items()])
                whole[id(base)] = settings, recipes.setdefault(text, len(recipes))
            settings, place = whole[id(base)]
            differs = [] if base is run.recipe else list(_differs(base, settings, run.recipe))
            told.append({"places": places.get(run.run_id, []), "recipe": place, "differs": differs})
        environment = json.dumps(_environment(result.environment))
        rows.append(
            {
                "id": run.run_id[:LONG],
                "arm": arms[run.arm_id],
                "seed": run.seed,
                "state": result.state,
                "mark": "stale" if result.stale else "verified" if result.verified.startswith(ITSELF) else "",
                "time": fmt.duration(result.seconds),
                "env": environments.setdefault(environment, len(environments)),
                "metrics": _metrics(result),
                "curve": pack([values.get(metric) for _, values in sorted(result.epochs.items())]),
                "attempts": _attempts(result),
                **({} if logs is None else {"details": _details(result, metric, logs.get(run.run_id, ""))}),
            }
        )
    return {
        "again": again,
        "metric": metric,
        "recipes": list(map(json.loads, recipes)),
        "arms": told,
        "runs": rows,
        "environments": list(map(json.loads, environments)),
    }


def _details(result: RunResult, metric: str, log: str) -> dict[str, Any]:
    """The end of the log, the curves of all other metrics, and the matrices: whole where they can be read."""
    epochs = [values for _, values in sorted(result.epochs.items())]
    names = sorted({name for values in epochs for name in values} - {metric})
    return {
        "log": "\n".join(map(fmt.plain, private(log).splitlines())),
        "curves": [[fmt.plain(name), pack([values.get(name) for values in epochs])] for name in names],
        "matrices": [
            {"split": one.split, "classes": list(map(fmt.plain, one.classes)), "counts": one.counts}
            for one in result.confusions
            if len(one.classes) <= READABLE
        ],
        "mistakes": [_mistakes(one) for one in result.confusions if len(one.classes) > READABLE],
    }


def _mistakes(one: Confusion) -> dict[str, Any]:
    """What a drawer tells of a matrix that it has no room for: its most frequent mistakes."""
    worst = confusion(ConfusionTable("", one.split, one.classes, one.counts, 1)).worst
    pairs = [[pair.true, pair.predicted, pair.count, f"{pair.share:.0%}"] for pair in worst]
    wrong = [count for true, row in enumerate(one.counts) for place, count in enumerate(row) if place != true and count]
    return {"split": one.split, "classes": len(one.classes), "pairs": pairs, "kinds": len(wrong), "images": sum(wrong)}


def _places(tables: Sequence[Table]) -> dict[str, list[str]]:
    """Where each run stands, by its id: `table1: A/c`."""
    places: dict[str, dict[str, None]] = {}
    for table in tables:
        for row in table.rows if table.kind != "effect" else ():
            where = f"{fmt.plain(table.name)}: {fmt.plain(row.name if row.arm is None else row.arm)}"
            for cell in row.cells.values():
                for run_id in cell.run_ids:
                    places.setdefault(run_id, {})[where] = None
    return {run_id: list(where) for run_id, where in places.items()}


def _baselines(tables: Sequence[Table], runs: Sequence[RunResult]) -> dict[str, AnyRecipe]:
    """The recipe that a run is held against, by run id: that of the first baseline of its table."""
    recipes = {result.run.run_id: result.run.recipe for result in runs}
    bases: dict[str, AnyRecipe] = {}
    for table in tables:
        first = [run for row in table.rows if row.is_baseline for cell in row.cells.values() for run in cell.run_ids]
        base = next((recipes[run] for run in first if run in recipes), None)
        if base is not None:
            bases |= {run: base for row in table.rows for cell in row.cells.values() for run in cell.run_ids} | bases
    return bases


def _settings(recipe: AnyRecipe) -> dict[str, Any]:
    """Every setting of a recipe, by its path."""
    return {path: recipe.get(path) for path in recipe.paths()}


def _differs(base: AnyRecipe, settings: Mapping[str, Any], own: AnyRecipe) -> Iterator[list[str]]:
    """[setting, the baseline's value, its own] where they differ; `settings` are those of the baseline."""
    mine = _settings(own)
    for path in {**settings, **mine}:
        left = settings[path] if path in settings else base.get(path)
        right = mine[path] if path in mine else own.get(path)
        if left != right:
            yield [path, _text(left), _text(right)]


def _text(value: object) -> str:
    if value is None:
        return fmt.MISSING
    return fmt.plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _metrics(result: RunResult) -> list[list[str]]:
    """[name, value] of the final numbers; the reported split's once, without its prefix."""
    split = result.reported_split
    own = {MetricName.parse(name).inside(split): value for name, value in result.metrics.items()}
    return [[fmt.plain(name), _number(name, value)] for name, value in sorted(own.items())]


def _number(name: str, value: float) -> str:
    return f"{value / 2**20:,.0f} MiB" if name == "peak_memory" and fmt.known(value) else f"{value:.6g}"


def _attempts(result: RunResult) -> list[list[Any]]:
    """[number, state, duration, first line of the error] of each."""
    told = []
    for one in result.attempts:
        error = one.error or (result.error if one is result.attempts[-1] and one.state != "done" else "") or ""
        took = None if one.ended is None else one.ended - one.started
        told.append([one.number, one.state, fmt.duration(took), fmt.plain(private(error.strip().partition("\n")[0]))])
    return told


def _environment(known: Mapping[str, Any]) -> list[list[str]]:
    """[name, value] of what may be told."""
    flat: list[list[str]] = []
    for name in SHOWN:
        value = known.get(name)
        if isinstance(value, Mapping):
            flat += [[fmt.plain(str(key)), _text(inner)] for key, inner in value.items()]
        elif value not in (None, False):
            flat.append([name, _text(value)[:SHORT] if name in ("code", "commit") else _text(value)])
    return flat
