"""`trainer: {select: METRIC}`: the epoch at which that metric is best is the one that is reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ablate.errors import nearest
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key
from ablate.study.values.metrics import METRICS, MetricName, metric_name

LAST = "last"
REPORTED = "test"
"""The split of numbers that name none: what is reported."""


def read_select(
    problems: Problems,
    key: Key,
    value: object,
    known: Collection[str],
    declared: Collection[str],
    better: Mapping[str, str],
) -> dict[str, str]:
    """{metric, better} as it is hashed; empty for the last epoch. `better` has the directions of metrics that are not ours."""
    text = problems.text(key, "last, or a metric")
    if text in ("", LAST):
        return {}
    name = metric_name(text)
    if name not in known:
        meant = nearest(name, declared) or ("" if declared else nearest(name, known))
        said = f"{show(text)} is no metric of the trainer's.{meant} Declared: {', '.join(declared) or 'none'}; or write {LAST}."
        problems.add(key, "unknown-metric", said)
        return {}
    direction = _direction(name, better)
    if direction not in ("higher", "lower"):
        problems.add(key, "unsupported", f"{name} has no best epoch: neither a higher nor a lower one is better.")
        return {}
    return {"metric": name, "better": direction}


def selects_on_reported(trainer: Mapping[str, Any] | None, declared: Collection[str]) -> str:
    """The metric that a script's trainer selects by, where that is reported, too; empty where another split is.

    Validation is what is reported where no metric of the study is of a test set.
    """
    given = (trainer or {}).get("select")
    if given in (None, LAST):
        return ""
    split = MetricName.parse(metric_name(str(given))).split
    tested = any(MetricName.parse(name).split in (None, REPORTED) for name in declared)
    return str(given) if split in (None, REPORTED) or (split == "val" and not tested) else ""


def _direction(name: str, better: Mapping[str, str]) -> str:
    for text in (name, MetricName.parse(name).name):
        if text in better:
            return better[text]
        if text in METRICS:
            return METRICS[text].better
    return ""
