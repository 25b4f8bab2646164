"""`labels:` in a study file: what may be labelled, what is said of the rest, and that nothing else hangs on it."""

from __future__ import annotations

import pytest

from ablate.errors import StudyError
from ablate.study.loader import load_text
from ablate.study.values.labels import Label

STUDY = """
study: s
recipe: {data: {name: digits}}
factors:
  tweak: {path: model.tweak, levels: [A, D]}
  r: {subsets: {c: {schedule.name: cosine}, l: {loss.label_smoothing: 0.1}}}
baseline: {tweak: A, r: none}
tables:
  all: {rows: [tweak, r], columns: [top1, loss]}
"""
LABELS = """
labels:
  tweak: ResNet variant
  tweak=D: ResNet-D
  r=c: {text: cosine decay, short: cos, latex: '\\emph{cosine}'}
  r=c+l: both
  top1: {text: Top-1, show: percent, digits: 1}
"""


def test_factors_levels_members_and_metrics_have_labels() -> None:
    labels = load_text(STUDY + LABELS, "s.yaml").labels
    assert labels.entries == {
        "tweak": Label("ResNet variant"),
        "tweak=D": Label("ResNet-D"),
        "r=c": Label("cosine decay", "cos", "\\emph{cosine}"),
        "r=c+l": Label("both"),
        "top1": Label("Top-1", percent=True, digits=1),
    }
    assert labels.levels["r"]["c+l"] == ("c", "l")
    assert not load_text(STUDY, "s.yaml").labels


def test_labels_about_and_tables_move_no_run_and_no_design() -> None:
    plain, labelled = load_text(STUDY, "s.yaml"), load_text(STUDY + LABELS + "about: another question\n", "s.yaml")
    assert [run.run_id for run in labelled.runs] == [run.run_id for run in plain.runs]
    assert labelled.text == plain.text


@pytest.mark.parametrize(
    ("line", "key", "code"),
    [
        ("twek: x", "labels.twek", "unknown-name"),
        ("tweak=E: x", "labels.tweak=E", "unknown-name"),
        ("tweak: {show: percent}", "labels.tweak.show", "unknown-key"),
        ("tweak=D: {text: ''}", "labels.tweak=D.text", "empty"),
        ("top1: {digits: -1}", "labels.top1.digits", "wrong-value"),
        ("top1: {digits: true}", "labels.top1.digits", "wrong-value"),
        ("top1: {show: fraction}", "labels.top1.show", "wrong-value"),
        ("loss: {show: percent}", "labels.loss.show", "wrong-value"),
        ("top1: [Top, 1]", "labels.top1", "wrong-type"),
    ],
)
def test_what_cannot_be_labelled_so(line: str, key: str, code: str) -> None:
    with pytest.raises(StudyError) as caught:
        load_text(f"{STUDY}labels:\n  {line}\n", "s.yaml")
    assert [(problem.key, problem.code) for problem in caught.value.problems] == [(key, code)]


def test_a_name_that_is_a_factor_and_a_metric_is_ambiguous() -> None:
    text = STUDY.replace("tweak", "loss").replace("columns: [top1, loss]", "columns: [top1]")
    with pytest.raises(StudyError) as caught:
        load_text(text.replace("model.loss", "model.tweak") + "labels: {loss: x}\n", "s.yaml")
    assert [(problem.key, problem.code) for problem in caught.value.problems] == [("labels.loss", "ambiguous")]
