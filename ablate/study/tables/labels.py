"""The `labels` block: what people read in place of the names of factors, levels, members and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablate.errors import nearest
from ablate.study.document.keys import LABEL
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key
from ablate.study.values.labels import Label, Labels
from ablate.study.values.metrics import METRICS, metric_name
from ablate.study.values.study import Factor

OF_METRICS = ("show", "digits")
"""The keys that only the label of a metric has."""
MOST_DIGITS = 12


def read_labels(problems: Problems, value: object, factors: Sequence[Factor], metrics: Sequence[str]) -> Labels:
    """The labels of a study's `factors` and `metrics`; a problem for each key that names neither, or both."""
    named = problems.mapping(("labels",), value, "a mapping of names to what people read, as in {lr: learning rate}")
    names = {factor.name for factor in factors}
    of_levels = {f"{factor.name}={name}" for factor in factors for name in (*_levels(factor), *factor.members)}
    known = [*names, *sorted(of_levels), *metrics]
    entries = {}
    for written, item in named.items():
        key: Key = ("labels", written)
        name = written if written in known else metric_name(written)
        if name in names and name in metrics:
            problems.add(key, "ambiguous", "is a factor and a metric here; rename the factor, and label its levels.")
        elif name not in known:
            problems.add(key, "unknown-name", f"no such factor, level or metric.{nearest(name, known)} {_FORMS}")
        else:
            entries[name] = _label(problems, key, item, metric=name in metrics)
    return Labels(entries, {f.name: {level.name: level.members for level in f.levels} for f in factors})


_FORMS = "Labels are for FACTOR, FACTOR=LEVEL and METRIC, as claims write them."


def _levels(factor: Factor) -> list[str]:
    return [level.name for level in factor.levels]


def _label(problems: Problems, key: Key, value: object, *, metric: bool) -> Label:
    if not isinstance(value, Mapping):
        return Label(_text(problems, key))
    problems.known_keys(key, value, [name for name in LABEL if metric or name not in OF_METRICS])
    show_, digits = value.get("show"), value.get("digits")
    if metric and show_ not in (None, "percent"):
        problems.refuse((*key, "show"), "percent, or left out", show_, code="wrong-value")
    elif show_ and (known := METRICS.get(str(key[-1]))) and known.unit != "fraction":
        problems.add((*key, "show"), "wrong-value", f"percent is for fractions; {known.name} is {known.about}.")
    if metric and not (
        digits is None or (isinstance(digits, int) and digits is not True and 0 <= digits <= MOST_DIGITS)
    ):
        problems.refuse((*key, "digits"), f"a number from 0 to {MOST_DIGITS}", digits, code="wrong-value")
        digits = None
    texts = {name: _text(problems, (*key, name)) for name in ("text", "short", "latex") if name in value}
    return Label(
        texts.get("text", str(key[-1])), texts.get("short", ""), texts.get("latex", ""), show_ == "percent", digits
    )


def _text(problems: Problems, key: Key) -> str:
    told = len(problems.errors)
    text = problems.text(key, "a text")
    if not text.strip() and len(problems.errors) == told:
        problems.add(key, "empty", "says nothing; write what people should read, or leave it out.")
    return text
