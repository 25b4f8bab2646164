"""The sentences before a study's tables: right for every published study, and silent where nothing is decided."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ablate.analysis import build_table
from ablate.analysis.labels import labelled
from ablate.project.answers import answer_of
from ablate.project.gathering import Collected, Gathered
from ablate.report import format as fmt
from ablate.report.answer import answer
from ablate.report.published import StudyEntry, cost, runs_of
from ablate.study.loader import Choices, load
from ablate.study.values.labels import Label, Labels

ROOT = Path(__file__).resolve().parents[2]
VERBS = re.compile(r"\b(helps|hurts|raises|lowers|is best)\b")


def _entries(found: Collected) -> list[tuple[StudyEntry, Gathered]]:
    entries = [entry for paper in found.collection.papers for entry in paper.studies if entry.tables]
    return [(entry, found.gathered[entry.label]) for entry in entries]


def _entry(found: Collected, name: str) -> tuple[StudyEntry, Gathered]:
    return next(pair for pair in _entries(found) if pair[0].label == name)


def test_the_sentences_of_every_published_study_are_what_its_tables_say(published: Collected) -> None:
    seen = 0
    for entry, item in _entries(published):
        tables = {one.table.name: one.table for one in entry.tables}
        assert 2 <= len(entry.answer) <= 5
        for sentence in entry.answer:
            assert bool(VERBS.search(sentence.text)) <= (sentence.verdict == "decided"), sentence
            if not sentence.row:
                continue
            seen += 1
            table = tables[sentence.table]
            column = next(column for column in table.columns if column.metric == sentence.metric)
            cell = next(row.cells[column.key] for row in table.rows if row.name == sentence.row)
            assert cell.decided == (sentence.verdict == "decided"), sentence
            if sentence.verdict == "decided":
                assert fmt.number(cell.delta, column, signed=True) in sentence.text
                assert fmt.interval(cell.delta_ci95, column, signed=True) in sentence.text
        done = sum(result.state == "done" for result in item.results.values() if result.run in item.study.runs)
        assert f"{done} of {len(item.study.runs)} runs done" in entry.answer[-1].text
    assert seen > 10


def test_the_largest_decided_effects_come_first_and_say_their_direction(published: Collected) -> None:
    entry, _ = _entry(published, "shi2025")
    first = entry.answer[0].text
    assert re.match(
        r"Data augmentation helps: top1 \+0\.0\d+ \[.*\]; label smoothing hurts: top1 −0\.0\d+ \[.*\]\.$", first
    )
    assert entry.answer[1].text.startswith("Undecided: ImageNet weights. 3 seeds show effects from 0.0")


def test_two_seeds_and_missing_runs_decide_nothing_and_say_so(published: Collected) -> None:
    _, item = _entry(published, "lee2024")
    study = load(ROOT / "experiments/lee2024/lee2024.yaml", Choices(seeds=2))
    tables = [build_table(study, spec, item.results) for spec in study.tables.values()]
    assert answer_of(study, tables, item.results)[0].text.startswith("With 2 seeds nothing is decided")
    missing, _ = _entry(published, "kallu2025")
    assert missing.answer[0].text == "No answer yet: table accuracy lacks 3 runs."
    assert not VERBS.search(missing.answer[0].text)


def test_an_effect_that_is_a_sum_says_what_it_is_not_told_apart_from(published: Collected) -> None:
    first, second, *_ = _entry(published, "refinements")[0].answer
    assert first.text.startswith(
        "ResNet-50 instead of ResNet-18 (not told apart from ResNet-50 × tweak=B) hurts: top1 −0.133 "
    )
    assert "mixup and tweak=B (not told apart from ResNet-50 × tweak=B). " in second.text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 device-seconds"), (89, "89 device-seconds"), (119, "2 device-minutes"), (400, "0.1 device-hours")],
)
def test_what_it_cost_is_told_in_a_unit_of_its_size(published: Collected, seconds: float, said: str) -> None:
    entry, _ = _entry(published, "transfer")
    run_id, run = next(iter(runs_of([entry]).items()))
    one = replace(entry, runs={run_id: replace(run, seconds=seconds)})
    assert cost([one]) == said


def test_labels_stand_in_the_sentences_and_percent_is_told_in_points(published: Collected) -> None:
    entry, item = _entry(published, "shi2025")
    labels = replace(item.study.labels, entries={"augmentation": Label("data augmentation"), "top1": Label("Top-1")})
    study = replace(item.study, labels=labels)
    tables = [replace(one.table, labels=labels) for one in entry.tables]
    tables = [
        replace(table, columns=tuple(replace(column, percent=True, decimals=1) for column in table.columns))
        for table in tables
    ]
    first = answer(study, tables, entry, "make")[0].text
    assert re.match(r"(Data augmentation|Augmentation).* helps: Top-1 \+4\.3 points \[\+3\.3, \+5\.3\]", first), first


def test_an_answer_of_a_study_on_its_own_is_that_of_its_page(published: Collected) -> None:
    entry, item = _entry(published, "transfer")
    alone = answer_of(item.study, [one.table for one in entry.tables], item.results)
    assert [one.text for one in alone[:-1]] == [one.text for one in entry.answer[:-1]]


def test_a_metric_without_a_direction_is_raised_or_lowered(published: Collected) -> None:
    entry, item = _entry(published, "shi2025")
    tables = [
        replace(one.table, columns=tuple(replace(column, better="neither") for column in one.table.columns))
        for one in entry.tables
    ]
    assert "raises top1" in answer(item.study, tables, entry, "make")[0].text


def test_rows_columns_and_effects_are_labelled_and_names_stay_in_the_data(published: Collected) -> None:
    entry, item = _entry(published, "refinements")
    table = next(one.table for one in entry.tables if one.table.kind == "effect")
    entries = {"refinements=c": Label("cosine decay", short="cos"), "arch=resnet50": Label("ResNet-50")}
    known = Labels(entries, {f.name: {level.name: level.members for level in f.levels} for f in item.study.factors})
    names = [row.name for row in labelled(replace(table, labels=known)).rows]
    assert {"cosine decay", "ResNet-50 × cosine decay", "l"} <= set(names)
    assert "cos" in [row.name for row in labelled(replace(table, labels=known), "short").rows]
    bare = replace(table, labels=Labels())
    assert [row.name for row in labelled(bare).rows] == [row.name for row in table.rows]
