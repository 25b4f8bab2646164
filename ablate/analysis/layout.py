"""Which arm stands in which cell: a table's lines, and the arm that each arm is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ablate.analysis.classes import Average, reported_confusion
from ablate.analysis.values import Replicates, epochs_with, share_rows
from ablate.errors import Problem, StudyError
from ablate.study.tables.reported import left_out_by
from ablate.study.values.study import Arm, Reported, Study, TableSpec


@dataclass(frozen=True)
class Line:
    """One row to be filled: column key -> arm. A column without an arm is one that the design leaves out.

    `average` is set where `class_` is the name of an average over the classes.
    """

    name: str
    arms: Mapping[str, Arm]
    levels: Mapping[str, str]
    epoch: int | None = None
    class_: str | None = None
    reported: tuple[Reported | None, ...] = ()
    average: Average | None = None


def tables_of(study: Study) -> tuple[TableSpec, ...]:
    """The study's tables without those of which the grid leaves out every arm; a plan warns of them."""
    return tuple(spec for spec in study.tables.values() if _kept(study, spec))


def arms_of(study: Study, spec: TableSpec) -> tuple[Arm, ...]:
    """The arms that the table's `where` keeps, in the study's order. Raises StudyError where none is left."""
    arms = _kept(study, spec)
    if not arms:
        kept = "; ".join(f"{factor}: {', '.join(levels)}" for factor, levels in spec.where.items())
        raise _mistake(study, spec, "empty", f"no arm has these levels ({kept}); change the table's where")
    return arms


def _kept(study: Study, spec: TableSpec) -> tuple[Arm, ...]:
    return tuple(arm for arm in study.arms if not left_out_by(spec, arm.levels))


def lines_of(study: Study, spec: TableSpec, runs: Replicates) -> tuple[Line, ...]:
    """The rows in order: arms as their levels are declared (a path as it is walked), epochs or classes below them."""
    lines: list[Line] = []
    for name, arms in _row_arms(study, spec):
        levels = _shared_levels(list(arms.values()))
        if spec.kind == "epoch":
            for epoch in _epochs(spec, arms.values(), runs):
                full = _joined(name, str(epoch))
                lines.append(Line(full, arms, levels, epoch, reported=reported(spec, [full])))
        elif spec.kind == "class":
            for class_, keys, average in _classes(spec, arms.values(), runs):
                figures = reported(spec, [_joined(name, key) for key in keys])
                lines.append(Line(_joined(name, class_), arms, levels, None, class_, figures, average))
        else:
            steps = [arm.step for arm in arms.values() if arm.step]
            names = [arm.name for arm in arms.values()]
            lines.append(Line(name, arms, levels, reported=reported(spec, [name, *steps, *names])))
    return tuple(lines)


def column_keys(spec: TableSpec) -> tuple[tuple[str, str], ...]:
    """(key, metric) of each column: the metric is the key, or one for all where the columns are levels."""
    if spec.column_factor is None:
        return tuple((metric, metric) for metric in spec.columns)
    return tuple((level, spec.metric or "top1") for level in spec.columns)


def baseline_levels(study: Study, spec: TableSpec) -> Mapping[str, str]:
    """Levels of what the table compares with; a factor that it does not name is matched."""
    return study.baseline if spec.baseline is None else spec.baseline


def matched_baseline(study: Study, spec: TableSpec, arm: Arm) -> Arm | None:
    """The arm with the baseline's levels, and this arm's own where it names none; None where there is no such arm."""
    named = baseline_levels(study, spec)
    return find_arm(study, {**arm.levels, **named}) if named else None


def compared_with(study: Study, spec: TableSpec, arm: Arm) -> Arm | None:
    """What the arm's delta is from: the step before in a path, its matched baseline elsewhere. None for a baseline."""
    if study.design == "path":
        return next((other for other in study.arms if other.name == arm.previous), None)
    other = matched_baseline(study, spec, arm)
    return None if other is None or other.name == arm.name else other


def find_arm(study: Study, levels: Mapping[str, str]) -> Arm | None:
    return next((arm for arm in study.arms if arm.levels == levels), None)


def _row_arms(study: Study, spec: TableSpec) -> list[tuple[str, dict[str, Arm]]]:
    """Row name -> column key -> arm."""
    arms = list(arms_of(study, spec))
    if study.design != "path":
        order = {f.name: {level.name: i for i, level in enumerate(f.levels)} for f in study.factors}
        arms.sort(key=lambda arm: [order[factor][arm.levels[factor]] for factor in spec.factors])
    keys = [key for key, _ in column_keys(spec)]
    rows: dict[str, dict[str, Arm]] = {}
    for arm in arms:
        name = "/".join(arm.levels[factor] for factor in spec.factors)
        own = keys if spec.column_factor is None else [arm.levels[spec.column_factor]]
        row = rows.setdefault(name, {})
        for key in own:
            if key in row:
                both = f"arms {row[key].name} and {arm.name} share one cell"
                raise _mistake(study, spec, "ambiguous", f"{both}; give each factor a place in rows, columns or where")
            if key in keys:
                row[key] = arm
    return [(name, row) for name, row in rows.items() if row]


def _shared_levels(arms: Sequence[Arm]) -> dict[str, str]:
    first = arms[0].levels
    return {factor: level for factor, level in first.items() if all(arm.levels[factor] == level for arm in arms)}


def _mistake(study: Study, spec: TableSpec, code: str, message: str) -> StudyError:
    return StudyError([Problem(study.file, None, f"tables.{spec.name}", message, code)])


def _joined(name: str, last: str) -> str:
    return f"{name}/{last}" if name else last


def reported(spec: TableSpec, names: Iterable[str]) -> tuple[Reported | None, ...]:
    """The paper's figures of a row that may stand under any of these names."""
    return next((spec.reported[name] for name in names if name in spec.reported), ())


def apart_from_rows(spec: TableSpec, runs: Replicates, arms: Iterable[Arm]) -> dict[str, str]:
    """{metric: why} of the columns that do not belong to the rows of a table over epochs: one is told a batch, another an epoch. The
    first column decides."""
    first, *others = dict.fromkeys(metric for _, metric in column_keys(spec))
    results = [result for arm in arms for result in runs.done(arm)]
    return {
        metric: f"its epochs are not those of {first}; give it a table of its own"
        for metric in others
        if not all(share_rows(result, first, metric) for result in results)
    }


def _epochs(spec: TableSpec, arms: Iterable[Arm], runs: Replicates) -> list[int]:
    """The epochs that `where` picks, in its order; without it, all at which a run has a metric of the table, or that the paper
    reports."""
    if spec.row_where:
        return [int(epoch) for epoch in spec.row_where]
    apart = apart_from_rows(spec, runs, arms)
    metrics = {metric for _, metric in column_keys(spec)} - set(apart)
    results = [result for arm in arms for result in runs.done(arm)]
    seen = {epoch for result in results for metric in metrics for epoch in epochs_with(result, metric)}
    seen = seen or {epoch for result in results for epoch in result.epochs}
    last = (name.rpartition("/")[2] for name in spec.reported)
    return sorted(seen | {int(text) for text in last if text.isdecimal()})


def _classes(
    spec: TableSpec, arms: Iterable[Arm], runs: Replicates
) -> list[tuple[str, tuple[str, ...], Average | None]]:
    """Each class with the names that a study file may call it by, its name or its number from 0; then the averages."""
    confusions = (reported_confusion(result) for arm in arms for result in runs.done(arm))
    confusion = next((c for c in confusions if c is not None), None)
    if confusion is not None:
        names = confusion.classes
    else:
        averages = {str(average) for average in Average}
        names = tuple(n for n in (key.rpartition("/")[2] for key in spec.reported) if n not in averages)
    every: list[tuple[str, tuple[str, ...], Average | None]]
    every = [(name, (name, str(index)), None) for index, name in enumerate(dict.fromkeys(names))]
    every += [(name, (name,), average) for average in Average for name in [average.beside(names)]]
    if not spec.row_where:
        return every
    return [
        next((known for known in every if wanted in known[1]), (wanted, (wanted,), None)) for wanted in spec.row_where
    ]


def distinct(arms: Iterable[Arm]) -> list[Arm]:
    """The arms without those that are the same run as another: of each run the first, where the last of them stands."""
    return list({arm.arm_id: arm for arm in reversed(list(arms))}.values())[::-1]
