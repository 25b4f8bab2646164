"""The paragraph for a methods section: what the runs recorded, the test that was used, and BibTeX for what it cites."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ablate.analysis.cautions import _RULES
from ablate.analysis.table import Row, Table
from ablate.project.gathering import Collected
from ablate.report.methods import _TESTS, bibliography, methods
from ablate.study.values.study import Study


def _published(found: Collected, label: str) -> tuple[Study, list[Table], dict[str, object]]:
    study = next(one for one in found.collection.studies if one.label == label)
    item = found.gathered[label]
    return item.study, [entry.table for entry in study.tables], dict(item.results)


def test_a_published_study_says_what_its_runs_recorded(published: Collected) -> None:
    study, tables, results = _published(published, "bag-of-tricks")
    found = methods(study, tables, results)  # type: ignore[arg-type]
    done = sum(getattr(results.get(run.run_id), "state", "") == "done" for run in study.runs)
    assert found.text.startswith(
        f"Each of {len({run.arm_id for run in study.runs})} arms was trained at profile cpu with 3 seeds (0, 1 and 2), {done} runs"
    )
    assert "Differences from the step before were tested by t-tests with moderated variances (Smyth 2004)" in found.text
    assert re.search(
        r"Runs were trained on NVIDIA H200 with PyTorch 2\.\S+ \(Paszke et al\. 2019\) and ablate \d", found.text
    )
    assert list(found.references) == ["dunn1961", "paszke2019", "smyth2004", "ablate"]
    document = found.document()
    assert document["schema"] == 1
    assert document["n"] == {"least": 3, "most": 3}
    assert document["hardware"] == [{"name": "NVIDIA H200", "runs": done}]
    assert [entry["key"] for entry in document["references"]] == list(found.references)


def test_each_test_is_cited_and_nothing_else(published: Collected) -> None:
    study, tables, _ = _published(published, "bag-of-tricks")

    def judged(row: Row, test: str) -> Row:
        return replace(row, cells={key: replace(cell, test=test) for key, cell in row.cells.items()})

    for test, said in _TESTS.items():
        others = [replace(table, rows=tuple(judged(row, test) for row in table.rows)) for table in tables]
        found = methods(study, others, {})
        assert said.text in found.text
        assert set(found.references) == set(said.keys)
        assert "Runs were trained" not in found.text, "nothing is said of what no run recorded"
    untested = methods(study, [], {})
    assert untested.text.endswith("is done. No difference was tested.")
    assert untested.references == {}


def test_every_test_has_words_and_every_reference_an_entry() -> None:
    assert _TESTS.keys() == _RULES.keys()
    entries = bibliography()
    named = {
        f"{name.lower()}{year}"
        for one in _TESTS.values()
        for name, year in re.findall(r"(\w+) (\d{4})", one.text + one.correction)
    }
    assert named == {key for one in _TESTS.values() for key in one.keys}
    assert named <= entries.keys()
    for key, entry in entries.items():
        assert entry.count("{") == entry.count("}"), key
        assert re.search(r"\btitle\s+= \{.+\}", entry), key


@pytest.mark.parametrize("name", ["dunn1961", "smyth2004"])
def test_entries_are_whole(name: str) -> None:
    assert bibliography()[name].endswith("}")
