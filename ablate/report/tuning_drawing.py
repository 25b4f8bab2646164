"""Draws a tuning with Plotly: trials in, figures out. Colours are the light theme's, as in `ablate.report.drawing`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ablate.report import theme
from ablate.report.plotly_text import hover, short, text
from ablate.report.tuning_text import shown
from ablate.study.values.digits import brief
from ablate.study.values.trials import Dimension, Trial

HEIGHT = 320
CELLS = 40
"""Points of a contour along each axis."""


def history(trials: Sequence[Trial], metric: str, better: str) -> go.Figure:
    """The value of each trial by its number, pruned ones open, and the best of the complete ones so far."""
    figure = _figure({"title": {"text": "trial"}}, {"title": {"text": metric}})
    for state, symbol in (("complete", "circle"), ("pruned", "circle-open")):
        drawn = [trial for trial in trials if trial.state == state and trial.value is not None]
        figure.add_scatter(
            x=[trial.number for trial in drawn], y=[trial.value for trial in drawn], mode="markers", name=state,
            marker={"symbol": symbol, "size": 8, "color": theme.colour(1)}, text=[hover(_words(trial)) for trial in drawn],
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    pick = max if better == "higher" else min
    best: list[float] = []
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    for trial in complete:
        assert trial.value is not None
        best.append(pick(best[-1], trial.value) if best else trial.value)
    line = {"shape": "hv", "color": theme.colour(2), "width": 2}
    figure.add_scatter(x=[trial.number for trial in complete], y=best, mode="lines", name="best so far", line=line)
    return figure


def curves(trials: Sequence[Trial], metric: str) -> go.Figure:
    """The metric by epoch, one line a trial; where one was pruned, it ends in a cross."""
    few = {"dtick": 1} if max((max(trial.curve, default=0) for trial in trials), default=0) <= 12 else {}
    figure = _figure({"title": {"text": "epoch"}, "rangemode": "tozero", **few}, {"title": {"text": metric}})
    for trial in trials:
        if not trial.curve:
            continue
        pruned = trial.state == "pruned"
        epochs = list(trial.curve)
        figure.add_scatter(
            x=epochs, y=[trial.curve[epoch] for epoch in epochs], mode="lines+markers", showlegend=False,
            line={"dash": "dot" if pruned else "solid", "width": 1.2, "color": theme.colour(2 if pruned else 1)},
            marker={"size": [0] * (len(epochs) - 1) + [8 if pruned else 4], "symbol": "x" if pruned else "circle"},
            text=[hover(_words(trial))] * len(epochs), hovertemplate="%{text}<br>epoch %{x}: %{y:.4g}<extra></extra>",
        )  # fmt: skip
    return figure


def slice_of(trials: Sequence[Trial], dimension: Dimension, metric: str) -> go.Figure:
    """The value against one field."""
    figure = _figure(_axis(dimension), {"title": {"text": metric}})
    figure.add_scatter(
        x=[_place(trial, dimension) for trial in trials], y=[trial.value for trial in trials], mode="markers",
        showlegend=False, text=[hover(_words(trial)) for trial in trials], hovertemplate="%{text}<extra></extra>",
        marker={"size": 8, "color": [trial.number for trial in trials], "showscale": False, "line": {"width": 1, "color": theme.colour(1)}},
    )  # fmt: skip
    return figure


def pair_of(space: Sequence[Dimension]) -> tuple[Dimension, Dimension] | None:
    """The two fields of the contour: learning rate and epsilon where both are there, else the first two numeric ones."""
    numeric = [dimension for dimension in space if dimension.kind != "values"]
    wanted = ("optimizer.lr", "loss.label_smoothing")
    named = [dimension for path in wanted for dimension in numeric if dimension.path == path]
    chosen = [*named, *(dimension for dimension in numeric if dimension not in named)]
    return (chosen[0], chosen[1]) if len(chosen) > 1 else None


def contour(trials: Sequence[Trial], pair: tuple[Dimension, Dimension], metric: str, best: Trial | None) -> go.Figure:
    """The value over two fields: a mean of the trials, each weighted by the inverse square of its distance."""
    x, y = (np.array([_scaled(trial.params[d.path], d) for trial in trials]) for d in pair)
    values = np.array([trial.value for trial in trials], dtype=float)
    line = np.linspace(0.0, 1.0, CELLS)
    across, up = np.meshgrid(line, line)
    distance = (across[..., None] - x) ** 2 + (up[..., None] - y) ** 2
    weights = 1.0 / (distance + 1e-3)
    surface = (weights * values).sum(axis=-1) / weights.sum(axis=-1)
    figure = _figure(_axis(pair[0]), _axis(pair[1]))
    figure.add_contour(
        x=[_unscaled(item, pair[0]) for item in line], y=[_unscaled(item, pair[1]) for item in line],
        z=np.round(surface, 6).tolist(), colorbar={"title": {"text": text(metric)}, "thickness": 12}, hoverinfo="skip", line={"width": 0.5},
        autocolorscale=True, colorscale=None,
    )  # fmt: skip
    figure.add_scatter(
        x=[trial.params[pair[0].path] for trial in trials], y=[trial.params[pair[1].path] for trial in trials],
        mode="markers", showlegend=False, marker={"size": 7, "color": theme.INK["light"], "line": {"width": 1.5, "color": theme.PAGE["light"]}},
        text=[hover(_words(trial)) for trial in trials], hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    if best is not None:
        figure.add_scatter(
            x=[best.params[pair[0].path]], y=[best.params[pair[1].path]], mode="markers", showlegend=False, hoverinfo="skip",
            marker={"size": 15, "symbol": "star", "color": theme.colour(2)},
        )  # fmt: skip
    return figure


def parallel(trials: Sequence[Trial], space: Sequence[Dimension], metric: str, best: Trial | None) -> go.Figure:
    """An axis for each field and one for the value, a line for each trial. Plain lines: Plotly's own need WebGL."""
    values = [trial.value for trial in trials if trial.value is not None]
    low, high = min(values), max(values)
    names = [*(dimension.path for dimension in space), metric]
    axis = {"range": [-0.25, len(names) - 0.75], "showgrid": False, "zeroline": False, "fixedrange": True}
    figure = _figure(
        {**axis, "tickmode": "array", "tickvals": list(range(len(names))), "ticktext": [short(name) for name in names]},
        {"range": [-0.08, 1.08], "visible": False, "fixedrange": True},
    )
    for trial in sorted(trials, key=lambda item: (item == best, item.number)):
        assert trial.value is not None
        share = (trial.value - low) / (high - low) if high > low else 1.0
        heights = [*(_height(trial.params[dimension.path], dimension) for dimension in space), share]
        chosen = trial == best
        figure.add_scatter(
            x=list(range(len(names))), y=heights, mode="lines+markers", showlegend=False, opacity=1.0 if chosen else 0.25 + 0.6 * share,
            line={"color": theme.colour(2 if chosen else 1), "width": 3 if chosen else 1.4}, marker={"size": 5},
            text=[hover(_words(trial))] * len(names), hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    ends = [*(_ends(dimension) for dimension in space), (f"{low:.4g}", f"{high:.4g}")]
    for place, (bottom, top) in enumerate(ends):
        figure.add_shape(
            type="line", x0=place, x1=place, y0=0, y1=1, line={"color": theme.MUTED["light"], "width": 1}, layer="below"
        )
        for y, label, anchor in ((0.0, bottom, "top"), (1.0, top, "bottom")):
            figure.add_annotation(
                x=place,
                y=y,
                text=short(label),
                showarrow=False,
                yanchor=anchor,
                font={"size": 11, "color": theme.MUTED["light"]},
            )
    return figure


def _height(value: Any, dimension: Dimension) -> float:
    """A value's place on its axis, from 0 to 1."""
    if dimension.kind != "values":
        return _scaled(value, dimension)
    names = [str(item) for item in dimension.values]
    return names.index(str(value)) / max(1, len(names) - 1)


def _ends(dimension: Dimension) -> tuple[str, str]:
    if dimension.kind == "values":
        return str(dimension.values[0]), str(dimension.values[-1])
    return f"{dimension.low:.4g}", f"{dimension.high:.4g}"


def importance(shares: Mapping[str, float]) -> go.Figure:
    """One bar a field, the largest on top."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = _figure({"rangemode": "tozero", "title": {"text": "share"}}, {"type": "category"})
    figure.add_bar(
        x=[share for _, share in ordered], y=[short(path) for path, _ in ordered], orientation="h", marker={"color": theme.colour(1)},
        hovertemplate="%{y}: %{x:.3f}<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_layout(height=max(140, 60 + 34 * len(ordered)))
    return figure


def _words(trial: Trial) -> str:
    """A trial for a tooltip."""
    params = (f"{path} {shown(item)}" for path, item in trial.params.items())
    return "\n".join([f"trial {trial.number}: {brief(trial.value)} ({trial.state})", *params])


def _axis(dimension: Dimension) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": short(dimension.path)}}
    if dimension.kind == "values":
        return {**axis, "type": "category", "categoryarray": [str(value) for value in dimension.values]}
    return {**axis, "type": "log"} if dimension.log else axis


def _place(trial: Trial, dimension: Dimension) -> Any:
    value = trial.params[dimension.path]
    return str(value) if dimension.kind == "values" else value


def _scaled(value: float, dimension: Dimension) -> float:
    """Where a value lies between the bounds of its field, from 0 to 1, on the field's own scale."""
    low, high = dimension.low, dimension.high
    if dimension.log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def _unscaled(share: float, dimension: Dimension) -> float:
    low, high = dimension.low, dimension.high
    if dimension.log:
        return float(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))
    return float(low + share * (high - low))


def _figure(xaxis: Mapping[str, Any], yaxis: Mapping[str, Any]) -> go.Figure:
    layout = {"template": theme.template("light"), "height": HEIGHT, "xaxis": xaxis, "yaxis": yaxis}
    return go.Figure(layout=layout)
