"""A tuning as one HTML page, in the same style and under the same policy as a study's."""

from __future__ import annotations

from typing import Any, Literal

import plotly.graph_objects as go

from ablate.report import format as fmt
from ablate.report import tuning_drawing as drawing
from ablate.report.html import fill
from ablate.report.page import figure_view, slug
from ablate.report.tuning_text import CAUTION, budget_line, cost_line, ended, shown, value_text
from ablate.study.values.study import full_name
from ablate.study.values.trials import Trial, TunedArm, TuningResult

Figure = tuple[str, str, go.Figure, bool]


LEAST_FOR_MAP = 6
"""Complete trials below which a map of two fields would be drawn from thin air."""


def render_tuning(result: TuningResult, best: str, plotlyjs: Literal["inline", "shared"] = "inline") -> str:
    """The page as text; `best` is the study file of the best recipes, empty where there is none yet."""
    arms = [_arm(result, arm, place) for place, arm in enumerate(result.arms, 1)]
    scale = f"Profile {result.profile}. " if result.profile else ""
    view = {
        "title": f"Tuning of {fmt.plain(full_name(result.study, None, result.sets))}",
        "about": fmt.plain(result.about),
        "how": f"{scale}{budget_line(result)} {CAUTION}",
        "warnings": [fmt.plain(warning) for warning in result.warnings],
        "arms": arms,
        "best": best,
        "source": result.source,
        "has_figures": any(arm["figures"] for arm in arms),
    }
    return fill("tuning.html.j2", view, plotlyjs)


def _arm(result: TuningResult, arm: TunedArm, place: int) -> dict[str, Any]:
    trials = ended(arm)
    paths = [dimension.path for dimension in arm.space]
    return {
        "id": f"arm-{place}-{slug(arm.arm)}".rstrip("-"),
        "name": fmt.plain(arm.arm),
        "cost": cost_line(arm),
        "heads": ["trial", *paths, result.metric, "epochs", "state"],
        "rows": [_row(trial, paths, arm.best) for trial in trials],
        "figures": [
            figure_view(drawn, f"figure-{place}-{number}", title, caption, wide)
            for number, (title, caption, drawn, wide) in enumerate(_figures(result, arm), 1)
        ],
    }


def _row(trial: Trial, paths: list[str], best: Trial | None) -> dict[str, Any]:
    cells = [{"text": str(trial.number), "sort": str(trial.number), "tip": "\n".join(trial.run_ids)}]
    cells += [{"text": shown(trial.params[path]), "sort": str(trial.params[path]), "tip": ""} for path in paths]
    cells += [
        {"text": value_text(trial), "sort": "" if trial.value is None else str(trial.value), "tip": ""},
        {"text": str(trial.epochs), "sort": str(trial.epochs), "tip": ""},
        {"text": trial.state, "sort": trial.state, "tip": fmt.plain(trial.error or "")},
    ]
    return {"cells": cells, "is_best": best is not None and trial.number == best.number}


def _figures(result: TuningResult, arm: TunedArm) -> list[Figure]:
    """History, curves, slices, contour, parallel coordinates, importance: each where there is something to see."""
    trials, metric = ended(arm), result.metric
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    found: list[Figure] = []
    if not complete:
        return found
    found.append(("History", "Each trial, and the best so far.", drawing.history(trials, metric, result.better), False))
    if any(len(trial.curve) > 1 for trial in trials):
        caption = "The metric by epoch. Dotted with a cross: pruned there."
        found.append(("Intermediate values", caption, drawing.curves(trials, metric), False))
    for dimension in arm.space:
        caption = f"{metric} against {dimension.path}; later trials are darker."
        found.append((f"Slice: {dimension.path}", caption, drawing.slice_of(complete, dimension, metric), False))
    pair = drawing.pair_of(arm.space)
    if pair is not None and len(complete) >= LEAST_FOR_MAP:
        caption = f"{metric} between the trials (dots), weighted by distance; the star is the best."
        title = f"{pair[0].path} × {pair[1].path}"
        found.append((title, caption, drawing.contour(complete, pair, metric, arm.best), False))
    if len(arm.space) > 1 and len(complete) > 1:
        caption = "One line a complete trial; orange: the best. Logarithmic fields on their own scale."
        found.append(("Parallel coordinates", caption, drawing.parallel(complete, arm.space, metric, arm.best), True))
    if arm.importance:
        caption = "Share of each field in how far the values spread (fANOVA over the complete trials)."
        found.append(("Importance", caption, drawing.importance(arm.importance), False))
    return found
