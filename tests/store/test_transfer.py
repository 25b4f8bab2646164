"""Exports and imports: nothing is lost on the way, nothing doubled, nothing here overwritten."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising, worded
from lives import life

from ablate.errors import NoSpaceOrPermission, NotFound, StoreError, UsageError
from ablate.store.portable import ORDER
from ablate.store.schema import REVISIONS, metadata
from ablate.store.store import Store, look_at_import
from ablate.store.values import StoredTrial
from ablate.study.code.verified import Verified
from ablate.study.records import EpochRecord, Outcome

Make = Callable[..., Any]


@pytest.fixture
def lived(path: Path, fake: Any, make_run: Make, make_study: Make, remote: Make) -> Iterator[Store]:
    """A SQLite database in which every kind of write has happened."""
    with Store.open(str(path), clock=fake.clock) as store:
        life(store, fake, make_run, make_study, remote)
        odd = store.claim(store.save_study(make_study([make_run("odd")], "ö\u2028'\""), call_options={}), remote("w9"))
        store.record_epoch(odd, [EpochRecord(1, "val", {"a metric": 0.1 + 0.2, "nan": float("nan"), "n": 5e-324})])
        store.fail(odd, "two\nlines, a tab\t and </script>")
        asked = StoredTrial("7" * 64, 0, "s", None, "A/c", {"optimizer.lr": 0.1 + 0.2}, {}, (odd.run.run_id,))
        store.add_trial(asked)
        store.end_trial(replace(asked, state="failed", epochs=1, seconds=2.5, error="ö\n</script>"))
        store.add_trial(replace(asked, number=1))
        yield store


@pytest.fixture
def other(tmp_path: Path, fake: Any) -> Iterator[Store]:
    """A second database."""
    with Store.open(str(tmp_path / "other.db"), clock=fake.clock) as store:
        yield store


def finished(store: Store, study: Any, worker: Any, top1: float) -> None:
    claim = store.claim(store.save_study(study, call_options={}), worker)
    assert claim is not None
    store.record_epoch(claim, [EpochRecord(1, "val", {"top1": top1})])
    store.finish(claim, Outcome({"top1": top1, "examples_per_second": 100 * top1}), 1.0)


# There and back -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_moving_to_another_database_and_back_loses_nothing(
    lived: Store, url: str, name: str, dump: Make, tmp_path: Path
) -> None:
    before = dump(lived)
    assert all(before[name] for name in metadata.tables)
    there, back = tmp_path / name, tmp_path / f"back-{name}"
    url = url.replace("results.db", "middle.db")
    counts = lived.export(there)
    assert counts == {name: len(rows) for name, rows in before.items()}
    with Store.open(url) as middle:
        found = middle.import_from(str(there))
        assert (found.new, found.added, found.same, found.kept, found.clashes) == (9, 0, 0, (), ())
        assert dump(middle) == before
        assert middle.check() == []
        middle.export(back)
    with Store.open(str(tmp_path / "home.db")) as home:
        home.import_from(str(back))
        assert dump(home) == before
        assert home.import_from(str(there)).same == 9
        assert dump(home) == before


def test_another_database_is_imported_as_it_is(lived: Store, url: str, dump: Make, path: Path) -> None:
    """A file that is written to meanwhile, or a server, without a detour by hand."""
    with Store.open(url.replace("results.db", "middle.db")) as middle:
        assert middle.import_from(str(path)).new == 9
        assert dump(middle) == dump(lived)
        assert lived.import_from(url.replace("results.db", "middle.db")).same == 9


def test_the_queue_goes_on_where_it_was(lived: Store, url: str, remote: Make, fake: Any) -> None:
    with Store.open(url.replace("results.db", "middle.db"), clock=fake.clock) as middle:
        middle.import_from(str(lived.url))
        states = {run.run.run_id: run.state for run in middle.list_runs()}
        assert states == {run.run.run_id: run.state for run in lived.list_runs()}
        key = middle.studies("s")[0].key
        fake.pass_(1_000)  # the lease of the database that it came from
        here, there = middle.claim(key, remote("x")), lived.claim(lived.studies("s")[0].key, remote("x"))
        assert (here.run.run_id, here.attempt) == (there.run.run_id, there.attempt)


def test_an_export_names_no_folder_of_the_machine_and_comes_home_as_what_it_was(
    path: Path, other: Store, fake: Any, make_run: Make, make_study: Make, dump: Make, tmp_path: Path
) -> None:
    settings = {"folder": "/home/ada/thesis", "set": [], "seeds": [0]}
    with Store.open(str(path), clock=fake.clock) as store:
        for file in ("study.yaml", "/home/ada/thesis/study.yaml"):
            study = replace(make_study([make_run("a")], f"s{len(file)}"), file=file)
            store.save_study(study, call_options=settings, folder="/home/ada/thesis")
        store.export(tmp_path / "all.jsonl")
        assert "ada" not in (tmp_path / "all.jsonl").read_text(encoding="utf-8")
        before = dump(store)
        store.import_from(str(tmp_path / "all.jsonl"))
        assert dump(store) == before
    other.import_from(str(path))
    assert "ada" not in str(dump(other))


def test_every_table_is_exported() -> None:
    assert {table.name for table in ORDER} == set(metadata.tables)
    for place, table in enumerate(ORDER):
        assert {key.column.table for key in table.foreign_keys} <= set(ORDER[:place])


def test_a_dry_run_says_the_same_and_writes_nothing(lived: Store, other: Store, dump: Make, tmp_path: Path) -> None:
    lived.export(tmp_path / "all.jsonl")
    before = dump(other)
    said = other.import_from(str(tmp_path / "all.jsonl"), dry_run=True)
    assert dump(other) == before
    assert said == look_at_import(str(tmp_path / "all.jsonl")) == other.import_from(str(tmp_path / "all.jsonl"))
    assert said.studies == ("s", "ö\u2028'\"")


# Into a database with results -----------------------------------------------------------------------------------------


def test_two_halves_of_a_grid_become_one(
    path: Path, other: Store, url: str, make_run: Make, make_study: Make, remote: Make, tmp_path: Path
) -> None:
    study = make_study([make_run(seed=seed) for seed in range(4)])
    name = url.replace("results.db", "middle.db")
    with Store.open(name) as here:
        for _ in range(2):
            finished(here, study, remote("here"), 0.5)
        for run in study.runs[:2]:
            finished(other, make_study([run], "first"), remote("there"), 0.5)
        for run in study.runs[2:]:
            finished(other, make_study([run], "rest"), remote("there"), 0.75)
        other.export(tmp_path / "other.jsonl")
        found = here.import_from(str(tmp_path / "other.jsonl"))
        assert (found.new, found.added, len(found.kept), found.clashes) == (0, 2, 2, ())
        results = list(here.results([run.run_id for run in study.runs]).values())
        assert [run.metrics["top1"] for run in results] == [0.5, 0.5, 0.75, 0.75]
        assert [run.epochs[1]["val_top1"] for run in results] == [0.5, 0.5, 0.75, 0.75]
        assert [len(run.attempts) for run in results] == [1, 1, 1, 1]
        assert here.claim(here.studies("s")[0].key, remote()) is None
        assert here.check() == []
        assert here.import_from(str(tmp_path / "other.jsonl")).same == 2


def test_a_result_is_never_replaced(
    url: str, other: Store, make_run: Make, make_study: Make, remote: Make, dump: Make, tmp_path: Path
) -> None:
    study, more = make_study([make_run()]), make_study([make_run("b")], "more")
    with Store.open(url.replace("results.db", "middle.db")) as here:
        finished(here, study, remote("here"), 0.5)
        finished(other, study, remote("there"), 0.75)
        finished(other, more, remote("there"), 0.75)
        other.export(tmp_path / "other.jsonl")
        before = dump(here)
        with pytest.raises(StoreError) as caught:
            here.import_from(str(tmp_path / "other.jsonl"))
        worded(str(caught.value), "(1): ", study.runs[0].run_id[:12], "top1 is 0.5 here, 0.75", "--keep-existing")
        assert dump(here) == before
        found = here.import_from(str(tmp_path / "other.jsonl"), keep=True)
        assert (found.new, len(found.clashes)) == (1, 1)
        assert here.find(study.runs[0].run_id).metrics["top1"] == 0.5
        assert here.find(more.runs[0].run_id).metrics["top1"] == 0.75


def test_what_a_run_cost_is_no_different_result(
    path: Path, other: Store, make_study: Make, remote: Make, tmp_path: Path
) -> None:
    with Store.open(str(path)) as here:
        for store, speed in ((here, 100.0), (other, 200.0)):
            claim = store.claim(store.save_study(make_study(1), call_options={}), remote(f"w{speed}"))
            store.finish(claim, Outcome({"top1": 0.5, "examples_per_second": speed, "peak_memory": speed}), speed)
        other.export(tmp_path / "other.jsonl")
        found = here.import_from(str(tmp_path / "other.jsonl"))
        assert (len(found.kept), found.clashes) == (1, ())
        assert here.list_runs()[0].metrics["examples_per_second"] == 100


def test_attempts_of_two_machines_stand_side_by_side(
    url: str, other: Store, make_run: Make, make_study: Make, remote: Make, tmp_path: Path
) -> None:
    """Failed here, done there: the result comes with an attempt number after ours."""
    study = make_study([make_run()])
    with Store.open(url.replace("results.db", "middle.db")) as here:
        failed = here.claim(here.save_study(study, call_options={}), remote("here"))
        here.record_epoch(failed, [EpochRecord(1, "val", {"top1": 0.1})])
        here.fail(failed, "boom")
        finished(other, study, remote("there"), 0.75)
        other.export(tmp_path / "other.jsonl")
        assert here.import_from(str(tmp_path / "other.jsonl")).added == 1
        result = here.find(study.runs[0].run_id)
        assert (result.state, result.error, result.metrics["top1"]) == ("done", None, 0.75)
        assert [(item.number, item.worker, item.state) for item in result.attempts] == [
            (1, "here", "failed"), (2, "there", "done"),
        ]  # fmt: skip
        assert result.epochs[1]["val_top1"] == 0.75
        assert here.check() == []
        assert here.import_from(str(tmp_path / "other.jsonl")).same == 1


def test_a_run_that_somebody_trains_here_is_left_to_them(
    path: Path, other: Store, make_study: Make, remote: Make, tmp_path: Path
) -> None:
    study = make_study(1)
    with Store.open(str(path)) as here:
        claim = here.claim(here.save_study(study, call_options={}), remote("here"))
        finished(other, study, remote("there"), 0.75)
        other.export(tmp_path / "other.jsonl")
        assert here.import_from(str(tmp_path / "other.jsonl")).kept == (study.runs[0].run_id,)
        here.finish(claim, Outcome({"top1": 0.5}), 1.0)
        assert here.find(study.runs[0].run_id).metrics["top1"] == 0.5


def test_a_later_export_brings_what_has_happened_since(
    lived: Store, other: Store, remote: Make, fake: Any, dump: Make, tmp_path: Path
) -> None:
    """A copy that is renewed each night: an attempt that ran then has ended now."""
    key = lived.studies("s")[0].key
    fake.pass_(100)
    claim = lived.claim(key, remote("tonight"))
    lived.record_epoch(claim, [EpochRecord(1, "val", {"top1": 0.25})])
    lived.export(tmp_path / "first.jsonl")
    other.import_from(str(tmp_path / "first.jsonl"))
    lived.record_epoch(claim, [EpochRecord(2, "val", {"top1": 0.5})])
    lived.finish(claim, Outcome({"top1": 0.5}), 2.0)
    lived.export(tmp_path / "second.jsonl")
    assert other.import_from(str(tmp_path / "second.jsonl")).added == 1
    assert dump(other) == dump(lived)


def test_what_was_verified_is_joined_and_what_is_here_stays(url: str, other: Store, tmp_path: Path) -> None:
    def row(run: str, equal: bool, under: str = "cpu") -> Verified:
        return Verified(
            run * 64, "x" * 64, "y" * 64, under, equal, {"trainer core": ("x", "y")}, 0.0 if equal else None, ""
        )

    def kept(store: Store) -> list[tuple[str, str, bool]]:
        return sorted((found.run_id[0], found.fingerprint, found.equal) for found in store.verified())

    for found in (row("a", False), row("b", True), row("a", True, "cuda")):
        other.add_verified(found)
    other.export(tmp_path / "all.jsonl")
    with Store.open(url) as store:
        store.add_verified(row("a", False))
        store.add_verified(row("a", True))  # found again, otherwise: the newest counts
        for _ in range(2):
            store.import_from(str(tmp_path / "all.jsonl"))
            assert kept(store) == [("a", "cpu", True), ("a", "cuda", True), ("b", "cpu", True)]
        assert store.verified()[0].parts == {"trainer core": ("x", "y")}
        assert {found.difference for found in store.verified()} == {0.0}


# Files with mistakes --------------------------------------------------------------------------------------------------


def test_an_export_is_whole_or_not_there(lived: Store, tmp_path: Path) -> None:
    target = tmp_path / "all.jsonl"
    target.write_text("precious")
    with raising(UsageError, "all\\.jsonl", code="exists"):
        lived.export(target)
    assert target.read_text() == "precious"
    lived.export(target, overwrite=True)
    assert json.loads(target.read_text().splitlines()[0])["format"] == "ablate results"
    with raising(NotFound, "none"):
        lived.export(tmp_path / "none" / "all.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ablate.store.portable._write_rows", _no_space)
        with raising(NoSpaceOrPermission, "all\\.jsonl"):
            lived.export(target, overwrite=True)
    assert not list(tmp_path.glob(".all*"))


def _no_space(*args: object, **named: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def lines(lived: Store, tmp_path: Path) -> list[str]:
    lived.export(tmp_path / "all.jsonl")
    return (tmp_path / "all.jsonl").read_text().splitlines(keepends=True)


def changed(line: str, **values: object) -> str:
    return json.dumps({**json.loads(line), **values}) + "\n"


def of(lines: list[str], table: str) -> int:
    """The place of the first row of a table."""
    return next(place for place, line in enumerate(lines) if json.loads(line).get("table") == table)


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("runs", lambda line: line[:-3] + "\n", "is no JSON"),
        ("runs", lambda line: "7\n", "is no row"),
        ("runs", lambda line: changed(line, table="sqlite_master"), "is not a table of results: 'sqlite_master'"),
        ("runs", lambda line: changed(line, table=["runs"]), "is not a table of results: ['runs']"),
        (
            "runs",
            lambda line: changed(line, extra=1),
            "runs has columns that this ablate does not know, or lacks some: extra",
        ),
        ("runs", lambda line: changed(line, seed="x"), "runs.seed cannot be 'x'"),
        ("runs", lambda line: changed(line, seed=2**70), "runs.seed cannot be '1180591620717411303424'"),
        ("runs", lambda line: changed(line, state="finished"), "runs.state cannot be 'finished'"),
        ("runs", lambda line: changed(line, run_id=None), "runs.run_id cannot be 'None'"),
        ("runs", lambda line: changed(line, arm=99), "its arm 99 is not in the file"),
        ("runs", lambda line: changed(line, error="\ud800"), "runs.error cannot be"),
        ("runs", lambda line: line + line, "the file has this row of runs twice"),
        ("arms", lambda line: changed(line, recipe="{"), "arms.recipe cannot be '{'"),
        ("attempts", lambda line: changed(line, run=99), "its run 99 is not in the file"),
        ("attempts", lambda line: line.replace('"ttl": ', '"ttl": NaN, "x": '), "is no JSON"),
        ("epoch_metrics", lambda line: changed(line, attempt=9), "its attempt 9 is not in the file"),
        ("study_runs", lambda line: changed(line, study=9), "its study 9 is not in the file"),
        ("requests", lambda line: changed(line, study=9), "its study 9 is not in the file"),
        ("requests", lambda line: line + line, "the file has this row of requests twice"),
        ("request_runs", lambda line: changed(line, request=99), "its request 99 is not in the file"),
        ("verified", lambda line: changed(line, parts='{"sgd": "a"}'), "verified.parts cannot be"),
        ("verified", lambda line: changed(line, parts="[]"), "verified.parts cannot be '[]'"),
        ("verified", lambda line: changed(line, equal=1), "verified.equal cannot be '1'"),
        ("verified", lambda line: line + line, "the file has this row of verified twice"),
        ("request_runs", lambda line: changed(line, queued=1), "request_runs.queued cannot be '1'"),
    ],
)
def test_a_broken_line_is_named_and_nothing_imported(
    lines: list[str], other: Store, dump: Make, tmp_path: Path, table: str, change: Any, said: str
) -> None:
    before = dump(other)
    place = of(lines, table)
    after = change(lines[place])
    number = place + after.rstrip("\n").count("\n") + 1
    (tmp_path / "bad.jsonl").write_text("".join([*lines[:place], after, *lines[place + 1 :]]))
    with pytest.raises(StoreError) as caught:
        other.import_from(str(tmp_path / "bad.jsonl"))
    assert f"bad.jsonl, line {number}: {said}" in str(caught.value)
    worded(str(caught.value), "`ablate db export`")
    assert dump(other) == before


def test_files_that_are_cut_off(lines: list[str], other: Store, tmp_path: Path) -> None:
    def said(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(StoreError) as caught:
            other.import_from(str(tmp_path / name))
        return str(caught.value).replace(str(tmp_path / name), "FILE")

    text = "".join(lines).encode()
    packed = gzip.compress(text)
    again = "Export it again with `ablate db export`."
    worded(said("a", text[: -len(lines[-1])]), f"line {len(lines) - 1}: ", again)
    worded(said("b", text[: -len(lines[-1]) - 9]), f"line {len(lines) - 1}. ", again)
    worded(said("c", "".join([*lines[:-2], lines[-1]]).encode()), again)
    worded(said("d", text + b"{}\n"), f"FILE, line {len(lines) + 1}: ")
    assert "damaged" in said("e.gz", packed[:-20])
    assert "damaged" in said("f.gz", packed[:200] + b"\x00" * 50 + packed[250:])
    assert other.list_runs() == []


def test_files_that_are_none_of_ours(lines: list[str], other: Store, tmp_path: Path) -> None:
    def said(text: str) -> str:
        (tmp_path / "file").write_text(text)
        with pytest.raises(StoreError) as caught:
            other.import_from(str(tmp_path / "file"))
        return str(caught.value).replace(str(tmp_path / "file"), "FILE")

    foreign = "FILE is neither an export of `ablate db export` nor a results database. Nothing was imported."
    for text in ("", "a thesis\n", "[1]\n", '{"a": 1}\n', "[" * 100_000):
        assert said(text) == foreign
    newer = changed(lines[0], revision="0999", ablate="9.0")
    worded(said(newer + "".join(lines[1:])), "9.0", "schema 0999", f"{REVISIONS[-1]}")
    worded(said(changed(lines[0], schema=2) + "".join(lines[1:])), "newer")
    with raising(NotFound, "none\\.jsonl"):
        other.import_from(str(tmp_path / "none.jsonl"))
    with raising(StoreError, "folder"):
        other.import_from(str(tmp_path))


def test_a_tuning_that_is_here_stays_as_it_is_here(lived: Store, other: Store, tmp_path: Path) -> None:
    lived.export(tmp_path / "all.jsonl")
    mine = StoredTrial("7" * 64, 0, "s", None, "A/c", {"optimizer.lr": 0.5}, {}, ())
    other.add_trial(mine)
    other.import_from(str(tmp_path / "all.jsonl"))
    assert other.trials(["7" * 64]) == {"7" * 64: (mine,)}
