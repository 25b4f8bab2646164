"""Seeds that were added after a look at the results: every output says how often."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ablate.store.store import Store


def notes(call: Any, name: str = "tiny") -> list[str]:
    document = call("report", name, "--table", "top1_top5", "--format", "json").document
    return [str(document["looks"]), *(note for note in document["notes"] if "eeds were added" in note)]


@pytest.mark.slow
def test_seeds_that_are_added_after_results(call: Any, tiny: Path, fill: Any) -> None:
    fill(tiny)
    assert notes(call) == ["0"]
    text = tiny.read_text()
    for seeds, count in ((3, 1), (3, 1), (5, 2)):  # asked for once more without more seeds is no look
        tiny.write_text(text.replace("seeds: 2", f"seeds: {seeds}"))
        fill(tiny)
        looks, note = notes(call)
        assert looks == str(count)
        assert note.startswith(
            f"Seeds were added {count} time{'s' * (count > 1)} after results were there. p-values and"
        )
    for format_ in ("md", "latex", "text"):
        assert "Seeds were added 2 times" in " ".join(call("report", "tiny", "--format", format_).out.split())


def test_seeds_that_are_added_before_any_result(call: Any, tiny: Path, fill: Any) -> None:
    fill(tiny, lambda arm, seed: None)
    tiny.write_text(tiny.read_text().replace("seeds: 2", "seeds: 4"))
    fill(tiny)
    assert notes(call) == ["0"]


def test_a_migrated_study_begins_at_zero_and_says_so(
    call: Any, tiny: Path, fill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tiny)
    database = next(tmp_path.rglob("*.db"))
    with sqlite3.connect(database) as connection:
        connection.execute("update requests set settings = json_set(settings, '$.migrated', json('true'))")
    connection.close()
    looks, note = notes(call)
    assert looks == "0"
    assert note == (
        "No seeds were added after results were there; what was asked for before the database was upgraded is not known."
    )
    with Store.open(f"sqlite:///{database}", read_only=True) as store:
        assert len(store.studies()) == 1


def test_seeds_imported_into_a_study_of_an_older_database_are_shown_with_those_that_it_had(
    call: Any, tiny: Path, fill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tiny)
    older = next(tmp_path.rglob("*.db"))
    with sqlite3.connect(older) as connection:  # requests of before there were texts of designs tell none
        connection.execute("update requests set text = ''")
        connection.execute("update studies set text = ''")
    connection.close()
    whole = tiny.read_text()
    tiny.write_text(whole.replace("seeds: 2", "seeds: [2, 3]"))
    monkeypatch.setenv("ABLATE_DB", str(tmp_path / "newer.db"))
    fill(tiny)
    tiny.write_text(whole)
    monkeypatch.setenv("ABLATE_DB", str(older))
    call("db", "import", tmp_path / "newer.db")
    for study in (tiny, "tiny"):
        assert "8 of 8 runs done" in call("report", study, "--format", "md").err, study
