"""What changed since a report was sent: every kind of change is said once, and nothing is said of nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ablate.analysis.table import Cell, ClaimResult, Row, Table
from ablate.report.json import document
from ablate.report.since import changes


def _earlier(table: Table) -> dict[str, Any]:
    """The document as it comes back from a file."""
    found: dict[str, Any] = json.loads(json.dumps(document(table)))
    return found


def _changed(table: Table, row: str, **fields: Any) -> Table:
    def renewed(one: Row) -> Row:
        return (
            replace(one, cells={**one.cells, "top1": replace(one.cells["top1"], **fields)}) if one.name == row else one
        )

    return replace(table, rows=tuple(map(renewed, table.rows)))


@pytest.mark.parametrize("name", ["table1", "table3", "path", "effects", "epochs", "classes", "single", "empty"])
def test_a_table_has_not_changed_since_itself(name: str, request: pytest.FixtureRequest) -> None:
    table = request.getfixturevalue(name)
    assert changes([_earlier(table)], [table], whole=True).sentences == ()


def test_verdicts_that_flipped(table1: Table) -> None:
    claims = (ClaimResult("B > A", "undecided", ""), ClaimResult("C > A", "holds", ""))
    now = replace(_changed(table1, "B", decided=False), claims=(*claims, *table1.claims[2:]))
    assert changes([_earlier(table1)], [now], whole=True).sentences == (
        'table1: the claim "B is best" is gone; it was "undecided".',
        'table1: the claim "B > A" is "undecided"; it was "holds".',
        'table1: the claim "C > A" is new: "holds".',
        "table1: B is undecided on top1; it was decided.",
    )


def test_means_that_moved_have_the_digits_that_show_it(table1: Table, effects: Table) -> None:
    assert changes([_earlier(table1)], [_changed(table1, "B", mean=0.75)], whole=True).sentences == (
        "table1, top1: 1 number moved: B 0.742 → 0.750.",
    )
    assert (
        "B 0.74200 → 0.74201"
        in changes([_earlier(table1)], [_changed(table1, "B", mean=0.74201)], whole=True).sentences[0]
    )
    assert "D — → 0.600" in changes([_earlier(table1)], [_changed(table1, "D", mean=0.6)], whole=True).sentences[0]
    moved = changes([_earlier(effects)], [_changed(effects, "c", delta=0.09)], whole=True)
    assert moved.sentences == ("effects, top1: 1 number moved: c 0.098 → 0.090.",)


def test_many_that_moved_are_counted_and_all_are_in_the_document(table3: Table) -> None:
    now = table3
    for row in table3.rows:
        now = _changed(now, row.name, mean=(row.cells["top1"].mean or 0) + 0.01)
    found = changes([_earlier(table3)], [now], whole=True)
    (sentence,) = found.sentences
    assert sentence.startswith("table3, top1: 8 numbers moved: none 74.20 → 75.20, c ")
    assert sentence.endswith(" and 4 more.")
    assert [one.document()["kind"] for one in found.found] == ["mean"] * 8
    assert found.found[0].document() == {
        "kind": "mean", "table": "table3", "row": "none", "metric": "top1", "claim": None, "run": None,
        "then": 0.742, "now": pytest.approx(0.752),
    }  # fmt: skip


def test_runs_rows_columns_and_tables_that_are_new_or_gone(table1: Table, table3: Table) -> None:
    ids = table1.rows[1].cells["top1"].run_ids
    other = replace(table1.rows[0], name="E", cells={"top1": Cell(note="0 of 3 runs")})
    then = replace(_changed(table1, "B", run_ids=(*ids[:2], "f" * 64)), columns=table1.columns[:1])
    now = replace(table1, rows=(*table1.rows[:2], table1.rows[3], other))
    found = changes([_earlier(then), _earlier(table3)], [now, replace(table3, name="new")], whole=True)
    assert found.sentences == (
        "1 table new: new.",
        "1 table gone: table3.",
        "table1: 1 column new: top5.",
        "table1: 1 row new: E.",
        "table1: 1 row gone: C.",
        "1 run added.",
        "3 runs gone.",
    )
    alone = changes([_earlier(table1)], [table1, table3], whole=False)
    assert alone.sentences == (), "one table that was sent says nothing of the others"


def test_an_older_document_without_the_word_decided_is_read_by_its_p(table1: Table) -> None:
    old = _earlier(table1)
    for row in old["rows"]:
        for cell in row["cells"].values():
            for key in ("decided", "note", "test", "planned"):
                del cell[key]
    assert changes([old], [table1], whole=True).sentences == ()
    old["rows"][1]["cells"]["top1"]["p_adjusted"] = 0.3
    assert changes([old], [table1], whole=True).sentences == ("table1: B is decided on top1; it was undecided.",)


def test_hostile_names_cannot_steer_a_terminal(hostile: Table) -> None:
    old = _earlier(hostile)
    old["claims"] = []
    said = " ".join(changes([old], [hostile], whole=True).sentences)
    assert said
    assert not any(letter in said for letter in "\x1b\n\u202e")
