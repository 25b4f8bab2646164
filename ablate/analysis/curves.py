"""What stands beside a table: curves by epoch with bands, and confusion matrices summed over runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ablate.analysis.aggregate import aggregate_quickly
from ablate.analysis.classes import reported_confusion
from ablate.analysis.layout import Line
from ablate.analysis.table import ConfusionTable, Curve
from ablate.analysis.values import Replicates, at_epochs
from ablate.study.values.study import Arm

USUAL = ("loss", "train_loss", "top1", "train_top1")
"""The curves of a table over arms."""


def curve(runs: Replicates, arm: Arm, metric: str, reported: dict[int, float] | None = None) -> Curve | None:
    """Mean and 95% t-band of the mean at every epoch that any run has; None where no run has the metric.

    Where runs stopped early the later epochs stand on fewer of them, and on none of a band below two.
    """
    points = []
    known = reported or {}
    results, read = runs.done(arm), at_epochs(metric)
    for epoch in sorted({epoch for result in results for epoch in result.epochs}):
        summary = aggregate_quickly([value for result in results if (value := read(result, epoch)) is not None])
        if summary.mean is not None:
            points.append((epoch, summary))
    if not points:
        return None
    return Curve(
        arm=arm.name,
        metric=metric,
        epochs=tuple(epoch for epoch, _ in points),
        mean=tuple(summary.mean for _, summary in points if summary.mean is not None),
        low=tuple(summary.ci95[0] if summary.ci95 else None for _, summary in points),
        high=tuple(summary.ci95[1] if summary.ci95 else None for _, summary in points),
        n=max(summary.n for _, summary in points),
        reported=tuple(known.get(epoch) for epoch, _ in points) if known else (),
    )


def curves_of_lines(runs: Replicates, lines: Sequence[Line], columns: Sequence[tuple[str, str]]) -> tuple[Curve, ...]:
    """One curve for each arm and column of a table over epochs, with the paper's figures where it has some."""
    arms: dict[tuple[str, str, str], Arm] = {}
    reported: dict[tuple[str, str, str], dict[int, float]] = {}
    for line in lines:
        for index, (key, metric) in enumerate(columns):
            if key not in line.arms:
                continue
            arm = line.arms[key]
            place = (arm.name, key, metric)
            arms[place] = arm
            figure = line.reported[index] if index < len(line.reported) else None
            if figure is not None and line.epoch is not None:
                reported.setdefault(place, {})[line.epoch] = figure.value
    found = (curve(runs, arm, metric, reported.get((name, key, metric))) for (name, key, metric), arm in arms.items())
    return tuple(c for c in found if c is not None)


def usual_curves(runs: Replicates, arms: Iterable[Arm]) -> tuple[Curve, ...]:
    """Loss and top-1, on the reported split and in training, of every arm that has them."""
    found = (curve(runs, arm, metric) for arm in arms for metric in USUAL)
    return tuple(c for c in found if c is not None)


def confusions(runs: Replicates, arms: Iterable[Arm]) -> tuple[ConfusionTable, ...]:
    """Each arm's matrix of the reported split, summed over the runs that name the same classes as its first one."""
    found = []
    for arm in arms:
        matrices = [c for result in runs.done(arm) if (c := reported_confusion(result)) is not None]
        same = [c for c in matrices if (c.split, c.classes) == (matrices[0].split, matrices[0].classes)]
        if not same:
            continue
        counts = tuple(tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*(c.counts for c in same), strict=True))
        found.append(ConfusionTable(arm.name, same[0].split, same[0].classes, counts, len(same)))
    return tuple(found)
