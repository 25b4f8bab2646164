"""Cells and rows: samples read, families compared, the paper's figures set beside them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ablate.analysis.aggregate import aggregate, agreement
from ablate.analysis.classes import Average, ClassReader
from ablate.analysis.compare import Difference, compare_steps, compare_with_baseline
from ablate.analysis.families import key_of
from ablate.analysis.layout import Line, apart_from_rows, arms_of, column_keys, compared_with, matched_baseline
from ablate.analysis.scale import has_paper
from ablate.analysis.table import Cell, Column, Row, Table
from ablate.analysis.values import Replicates, Sample, at_epoch, final
from ablate.study.assign.foreign_trainer import unit_of
from ablate.study.values.metrics import METRICS, MetricName
from ablate.study.values.study import Arm, Reported, Study, TableSpec


def columns_of(study: Study, spec: TableSpec) -> tuple[Column, ...]:
    """The columns with direction, unit and the paper's decimals; in percent where the paper prints percentages."""
    columns = []
    for index, (key, metric) in enumerate(column_keys(spec)):
        better, unit = direction(study, metric)
        figures = [row[index] for row in spec.reported.values() if index < len(row)]
        printed = [figure for figure in figures if figure is not None]
        label = study.labels.entries.get(metric)
        percent = any(figure.percent for figure in printed) or (label is not None and label.percent)
        decimals = max((figure.decimals for figure in printed), default=0)
        columns.append(Column(key, metric, better, unit, percent, decimals))
    return tuple(columns)


def empty_table(study: Study, spec: TableSpec) -> Table:
    """The table without rows: what its study and its declaration say of it."""
    return Table(
        study=study.name, sets=study.sets, profile=study.profile, name=spec.name, kind=spec.kind, caption=spec.caption,
        columns=columns_of(study, spec), rows=(), has_paper=has_paper(study), test=spec.test, factors=spec.factors,
        column_factor=spec.column_factor, arms={arm.name: arm.levels for arm in study.arms}, labels=study.labels,
    )  # fmt: skip


def direction(study: Study, metric: str) -> tuple[str, str]:
    """(better, unit) of a metric: the study's own, one of ours, or one of ours on a named split."""
    for name in (metric, MetricName.parse(metric).name):
        if name in study.metrics:
            return study.metrics[name], unit_of(study.trainer, name)
        if known := METRICS.get(name):
            return known.better, known.unit
    return "neither", ""


@dataclass(frozen=True)
class Slot:
    """One cell to be: its arm's sample, what its delta is from, and in a path what its total is from."""

    arm: Arm
    sample: Sample
    other: tuple[Arm, Sample] | None
    start: Sample | None


class Filler:
    """Fills the lines of one table. `judged` collects the samples of each family that was compared."""

    def __init__(self, study: Study, spec: TableSpec, runs: Replicates, *, comparable: bool) -> None:
        self.study, self.spec, self.runs, self.comparable = study, spec, runs, comparable
        self._path = study.design == "path"
        self._classes = ClassReader()
        self._apart = apart_from_rows(spec, runs, arms_of(study, spec)) if spec.kind == "epoch" else {}
        self.judged: list[list[Sample]] = []
        self._samples: dict[tuple[str, str, int | None, str | Average | None], Sample] = {}

    def rows(self, lines: tuple[Line, ...]) -> tuple[Row, ...]:
        cells: list[dict[str, Cell]] = [{} for _ in lines]
        shown = {arm.name for line in lines for arm in line.arms.values()}
        for index, (key, metric) in enumerate(column_keys(self.spec)):
            slots = {
                n: self._slot(line, line.arms[key], metric, shown) for n, line in enumerate(lines) if key in line.arms
            }
            differences = self._differences(lines, slots)
            for n, line in enumerate(lines):
                reported = line.reported[index] if index < len(line.reported) else None
                cells[n][key] = self._cell(slots.get(n), differences.get(n, Difference()), reported)
        return tuple(self._row(line, filled) for line, filled in zip(lines, cells, strict=True))

    def sample(self, arm: Arm, metric: str, epoch: int | None = None, class_: str | Average | None = None) -> Sample:
        """The arm's values of a metric: final, of an epoch or of a class. Each is read once."""
        place = (arm.name, metric, epoch, class_)
        if place not in self._samples:
            if epoch is not None and metric in self._apart:
                found = Sample(arm.arm_id, arm.name, (), len(self.runs.seeds), note=self._apart[metric])
            elif epoch is not None:
                found = self.runs.sample(arm, at_epoch(metric, epoch), f"{metric} at epoch {epoch}")
            elif class_ is not None:
                found = self.runs.sample(arm, self._classes.of(class_, metric), f"{metric} of class {class_}")
            else:
                found = self.runs.sample(arm, final(metric), metric)
            self._samples[place] = found
        return self._samples[place]

    def _slot(self, line: Line, arm: Arm, metric: str, shown: set[str]) -> Slot:
        def sample(of: Arm) -> Sample:
            return self.sample(of, metric, line.epoch, line.average or line.class_)

        other = compared_with(self.study, self.spec, arm)
        if self.spec.kind != "arms" and other is not None and other.name not in shown:
            other = None  # one arm's epochs or classes by themselves: nothing in sight to compare with
        start = matched_baseline(self.study, self.spec, arm) if self._path else None
        return Slot(
            arm,
            sample(arm),
            None if other is None else (other, sample(other)),
            None if start is None or start.name == arm.name else sample(start),
        )

    def _differences(self, lines: tuple[Line, ...], slots: Mapping[int, Slot]) -> dict[int, Difference]:
        """Line number -> difference. A family is one column (the slots), one baseline, and one epoch or class.

        A path's steps are one family for each start of the walk.
        """
        families: dict[object, list[tuple[int, Slot, Arm, Sample]]] = defaultdict(list)
        for n, slot in slots.items():
            if slot.other is not None:
                shared = key_of(self.study, self.spec, slot.arm)
                families[lines[n].epoch, lines[n].class_, shared].append((n, slot, *slot.other))
        found: dict[int, Difference] = {}
        for members in families.values():
            self.judged.append([sample for _, slot, _, before in members for sample in (before, slot.sample)])
            if self._path:
                by_key = compare_steps([(before, slot.sample) for _, slot, _, before in members], self.spec.test)
            else:
                by_key = compare_with_baseline(
                    members[0][3], [slot.sample for _, slot, _, _ in members], self.spec.test
                )
            for n, slot, other, _ in members:
                same = slot.arm.arm_id == other.arm_id
                found[n] = _same_run(slot, other) if same else by_key[slot.sample.key]
        return found

    def _cell(self, slot: Slot | None, difference: Difference, reported: Reported | None) -> Cell:
        values = slot.sample.values if slot else ()
        summary = aggregate(values)
        fair = self.comparable and not (slot and slot.sample.doubt)
        agrees, width = agreement(values, reported) if reported and fair else (None, None)
        total = None
        if slot and slot.start and slot.start.values and values:
            total = statistics.fmean(values) - statistics.fmean(slot.start.values)
        return Cell(
            mean=summary.mean,
            sd=summary.sd,
            n=summary.n,
            planned=slot.sample.planned if slot else 0,
            ci95=summary.ci95,
            delta=difference.delta,
            delta_ci95=difference.ci95,
            p_adjusted=difference.p_adjusted,
            test=difference.test,
            decided=difference.decided,
            detectable=difference.detectable,
            reported=reported.value if reported else None,
            reported_text=reported.text if reported else None,
            agrees=agrees,
            agreement_width=width,
            total=total,
            run_ids=slot.sample.run_ids if slot else (),
            note=(slot.sample.note or slot.sample.doubt or difference.note) if slot else "not in the design",
            values=values,
        )

    def _row(self, line: Line, cells: Mapping[str, Cell]) -> Row:
        arms = list(line.arms.values())
        names = {arm.name for arm in arms}
        baselines = [matched_baseline(self.study, self.spec, arm) for arm in arms]
        return Row(
            name=line.name,
            arm=names.pop() if len(names) == 1 else None,
            levels=line.levels,
            cells=cells,
            epoch=line.epoch,
            class_=line.class_,
            is_baseline=all(b is not None and b.name == a.name for a, b in zip(arms, baselines, strict=True)),
        )


def _same_run(slot: Slot, other: Arm) -> Difference:
    why = slot.arm.why or other.why
    return Difference(
        delta=0.0 if slot.sample.values else None,
        note=f"the same run as {other.name}" + (f" ({why})" if why else ""),
    )
