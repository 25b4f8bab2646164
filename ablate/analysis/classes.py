"""Precision, recall, F1 and support from a confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from ablate.analysis.values import Reader
from ablate.study.records import Confusion, RunResult


class Average(Enum):
    """The rows below the classes: plain mean over the classes, and mean weighted by support. No text, as a class may be
    called so."""

    MACRO = "macro"
    WEIGHTED = "weighted"

    def __str__(self) -> str:
        return self.value

    def beside(self, classes: Sequence[str]) -> str:
        """What this row is called in a table of these classes: `macro`, or `macro average` beside a class `macro`."""
        name = str(self)
        while name in classes:
            name += " average"
        return name


MACRO, WEIGHTED = Average.MACRO, Average.WEIGHTED
ClassReport = Mapping[str | Average, Mapping[str, float]]


def class_report(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> ClassReport:
    """Class name -> precision, recall, f1, support; then the averages, whose support is the number of examples.

    counts    true classes by row, predicted ones by column

    A ratio without cases (precision of a class that was never guessed) counts as 0, as in scikit-learn. Classes without
    examples stay out of both means, where they could only be wrong.
    """
    report: dict[str | Average, dict[str, float]] = {}
    for index, name in enumerate(classes):
        right, true = counts[index][index], sum(counts[index])
        guessed = sum(row[index] for row in counts)
        report[name] = {
            "precision": right / guessed if guessed else 0.0,
            "recall": right / true if true else 0.0,
            "f1": 2 * right / (guessed + true) if guessed + true else 0.0,
            "support": float(true),
        }
    present = [row for row in report.values() if row["support"]]
    total = sum(row["support"] for row in present)
    means: dict[str | Average, dict[str, float]] = {MACRO: {"support": total}, WEIGHTED: {"support": total}}
    for metric in ("precision", "recall", "f1"):
        if present:
            means[MACRO][metric] = sum(row[metric] for row in present) / len(present)
            means[WEIGHTED][metric] = sum(row[metric] * row["support"] for row in present) / total
    return {**report, **means}


def reported_confusion(result: RunResult) -> Confusion | None:
    """The matrix of the reported split, at the epoch that the final metrics stand for; None where the run has none."""
    found = {c.at: c for c in result.confusions if c.split == result.reported_split}
    order = ("last", "selected") if result.run.recipe.get("select", "last") == "last" else ("selected", "last")
    return next((found[at] for at in order if at in found), None)


class ClassReader:
    """Reads class metrics of runs; each run's report is worked out once."""

    def __init__(self) -> None:
        self._reports: dict[str, ClassReport] = {}

    def of(self, class_: str | Average, metric: str) -> Reader:
        def read(result: RunResult) -> float | None:
            return self._report(result).get(class_, {}).get(metric)

        return read

    def _report(self, result: RunResult) -> ClassReport:
        key = result.run.run_id
        if key not in self._reports:
            confusion = reported_confusion(result)
            self._reports[key] = {} if confusion is None else class_report(confusion.classes, confusion.counts)
        return self._reports[key]
