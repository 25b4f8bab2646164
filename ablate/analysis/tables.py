"""A declared table and the results of its runs, made into one frozen `Table`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ablate.analysis import claims, curves, digits, notes, units
from ablate.analysis.layout import arms_of, baseline_levels, column_keys, compared_with, lines_of
from ablate.analysis.rows import Filler, empty_table
from ablate.analysis.scale import comparison, scale_of
from ablate.analysis.table import Row, Table
from ablate.analysis.values import Replicates
from ablate.study.records import RunResult
from ablate.study.values.study import Arm, Study, TableSpec


def build_table(
    study: Study,
    table: TableSpec,
    results: Mapping[str, RunResult],
    *,
    looks: int = 0,
    looks_known: bool = True,
) -> Table:
    """The table with everything that is printed around it.

    results   by `run_id`; runs that are not in it count as not run
    looks     how often seeds were added after results were there; at least so often where not `looks_known`

    Where the comparison with the paper is not fair its figures stand beside ours, but no cell says that they agree or do not.
    Raises StudyError where the table's `where` leaves no arm, or leaves two in one cell.
    """
    runs = Replicates(study, results)
    if table.kind == "effect":
        from ablate.analysis.effects import effects_of_table  # with NumPy: importing this package stays light

        built = effects_of_table(study, table, runs)
    else:
        built = _of_lines(study, table, runs)
    built = units.checked(built)
    said = (*built.notes, *notes.on_looks(looks, looks_known))
    columns = digits.labelled(digits.fit(built.columns, built.rows), study.labels)
    return replace(built, columns=columns, looks=looks, notes=said)


def _of_lines(study: Study, table: TableSpec, runs: Replicates) -> Table:
    """A table over arms, epochs or classes."""
    lines = lines_of(study, table, runs)
    held = [arm for line in lines if any(line.reported) for arm in line.arms.values()]
    fair, why_not = comparison(study, held)
    filler = Filler(study, table, runs, comparable=fair)
    rows = filler.rows(lines)
    verdicts = claims.judge(study, table, runs, filler.judged)
    arms = list({arm.name: arm for line in lines for arm in line.arms.values()}.values())
    concerned = _with_baselines(study, table, arms)
    by_epoch = table.kind == "epoch"
    return replace(
        empty_table(study, table),
        rows=rows,
        claims=verdicts,
        comparable=fair,
        not_comparable=why_not,
        mean_absolute_difference=mean_absolute_difference(rows),
        baseline=baseline_name(study, table, arms),
        notes=notes.notes_of(study, table, runs, concerned, rows, filler.judged),
        scale=scale_of(study, runs, arms),
        curves=curves.curves_of_lines(runs, lines, column_keys(table)) if by_epoch else curves.usual_curves(runs, arms),
        confusions=() if by_epoch else curves.confusions(runs, arms),
    )


def mean_absolute_difference(rows: Sequence[Row]) -> dict[str, float]:
    """Column key -> mean of |measured - reported| over the rows that have both."""
    differences: dict[str, list[float]] = {}
    for row in rows:
        for key, cell in row.cells.items():
            if cell.mean is not None and cell.reported is not None:
                differences.setdefault(key, []).append(abs(cell.mean - cell.reported))
    return {key: sum(values) / len(values) for key, values in differences.items()}


def baseline_name(study: Study, table: TableSpec, arms: Sequence[Arm]) -> str:
    """The baseline in words: its arm's name; `tweak=A, the rest matched` where each row has its own."""
    levels = baseline_levels(study, table)
    if not levels:
        return ""
    wanted = {frozenset({**arm.levels, **levels}.items()) for arm in arms}
    names = {other.name for other in study.arms if frozenset(other.levels.items()) in wanted}
    if len(names) == 1:
        return names.pop()
    return ", ".join(f"{factor}={level}" for factor, level in levels.items()) + ", the rest matched"


def _with_baselines(study: Study, table: TableSpec, arms: list[Arm]) -> list[Arm]:
    """The arms that the notes are about: the table's own, and in a table over arms what they are compared with.

    In a table over epochs an arm that never ran has no row, and a note is all that is left to tell of it.
    """
    if table.kind == "arms":
        more = [other for arm in arms if (other := compared_with(study, table, arm)) is not None]
    else:
        column = table.column_factor
        more = [arm for arm in arms_of(study, table) if column is None or arm.levels[column] in table.columns]
    return list({arm.name: arm for arm in [*arms, *more]}.values())
