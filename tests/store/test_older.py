"""What older ablates have written: upgraded where it lies, or brought up to date on the way in."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lives import life
from olden import aged

from ablate.errors import StoreError
from ablate.store import older
from ablate.store.engine import Database
from ablate.store.migrate import upgrade
from ablate.store.portable import export_file
from ablate.store.schema import REVISIONS
from ablate.store.store import Store, look_at_import
from ablate.store.values import Counts, Looks, StoredTrial
from ablate.study.records import Outcome

Make = Callable[..., Any]
OLDER = REVISIONS[:-1]
PUBLISHED = Path(__file__).parents[2] / "results.db"
DONE = Outcome({"top1": 0.5})


@pytest.fixture
def today(tmp_path: Path, fake: Any, make_run: Make, make_study: Make, remote: Make) -> Path:
    """A database of today in which every kind of write has happened, with studies of three kinds and a tuning."""
    path = tmp_path / "today.db"
    with Store.open(str(path), clock=fake.clock) as store:
        life(store, fake, make_run, make_study, remote)
        fake.pass_(1)
        store.save_study(make_study([make_run("set")], "v", "cpu"), call_options={"set": ["y=2", "x=1"], "seeds": "0"})
        store.save_study(make_study(2, "tune:s:12345678"), call_options={"tune": "t.yaml", "keep": None}, join=True)
        store.add_trial(StoredTrial("7" * 64, 0, "s", None, "A/c", {"optimizer.lr": 0.1}, {}, (make_run("a").run_id,)))
    return path


def results(store: Store) -> dict[str, Any]:
    """Everything that is known of every run, but for who asked."""
    known = store.results([one.run.run_id for one in store.list_runs()])
    return {run_id: replace(result, studies=()) for run_id, result in known.items()}


def digest(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


# Upgrades -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", OLDER)
def test_an_upgrade_keeps_everything(today: Path, url: str, revision: str) -> None:
    aged(today, url.replace("sqlite:///", ""), revision)
    for read_only in (True, False):
        with pytest.raises(StoreError, match=rf"made by an older ablate \(schema {revision}.*Run `ablate db upgrade`"):
            Store.open(url, read_only=read_only)
    done = upgrade(url)
    assert (done.before, done.after) == (revision, REVISIONS[-1])
    with Store.open(url) as store, Store.open(str(today)) as before:
        assert store.check() == []
        assert results(store) == results(before)
        assert store.events() == before.events()
        assert [(item.name, item.profile, item.call_options, item.last_run) for item in store.studies()] == [
            (item.name, item.profile, item.call_options, item.last_run) for item in before.studies()
        ]
        assert store.trials(["7" * 64]) == ({} if revision == "0001" else before.trials(["7" * 64]))


def test_an_upgrade_makes_one_request_of_each_study(today: Path, tmp_path: Path, make_run: Make, remote: Make) -> None:
    path = tmp_path / "old.db"
    aged(today, str(path), "0002")
    upgrade(str(path))
    with Store.open(str(path)) as store:
        plain, variant = store.requests()
        assert (plain.name, plain.sets, plain.text, plain.folder, plain.code) == ("s", (), "", "", None)
        assert plain.call_options == {"set": [], "seeds": list(range(6)), "migrated": True}
        assert (variant.name, variant.profile, variant.sets, variant.seeds) == ("v", "cpu", ("x=1", "y=2"), (0,))
        assert [item.sets for item in store.studies("v")] == [("x=1", "y=2")], "the plain name does not mean it"
        (tuning,) = store.requests("tune:s:12345678")
        assert tuning.call_options == {"tune": "t.yaml", "keep": None, "seeds": [0, 1], "migrated": True}
        waiting = store.waiting(plain.key)
        with Store.open(str(today)) as before:
            states = [one.state for one in before.list_runs(study="s")]
        assert waiting == replace(Counts(), **{state: states.count(state) for state in states})
        claim = store.claim(variant.key, remote())
        assert claim is not None
        assert claim.run == make_run("set")
        store.finish(claim, DONE, 1.0)
        assert store.waiting(variant.key) == Counts(done=1)


def test_an_upgrade_notes_the_code_of_each_attempt(today: Path, tmp_path: Path) -> None:
    with Store.open(str(today)) as store:
        request = store.requests("s")[0].key
        for code in (None, {"digest": "d", "a": 1}, "two"):
            claim = store.claim(request, replace(_far(), name=str(code)))
            assert claim is not None
            store.set_environment(claim, {"code": code, "torch": "2"})
    aged(today, str(tmp_path / "old.db"), "0002")
    upgrade(str(tmp_path / "old.db"))
    columns = "SELECT run, number, code FROM attempts ORDER BY run, number"
    with closing(sqlite3.connect(today)) as new, closing(sqlite3.connect(tmp_path / "old.db")) as old:
        found = old.execute(columns).fetchall()
        assert found == new.execute(columns).fetchall()
    assert {code for _, _, code in found} == {None, "abc", "two", '{"a":1,"digest":"d"}'}


def _far() -> Any:
    from ablate.store.host import WorkerInfo

    return WorkerInfo("far", "elsewhere", "another boot", 7, 1)


def test_a_study_of_unknown_text_takes_that_of_the_first_call_with_its_arms(
    store: Store, today: Path, tmp_path: Path, make_run: Make, make_study: Make
) -> None:
    """Seeds that were asked before the upgrade count on; another design under the name is another version."""
    path = tmp_path / "old.db"
    aged(today, str(path), "0002")
    upgrade(str(path))
    arms = [make_run("child", parent=make_run("parent").run_id), make_run("a", 9)]
    with Store.open(str(path)) as store:
        same = replace(make_study(arms, parents=(make_run("parent"),)), seeds=(9,), text="t1")
        store.save_study(same, call_options={})
        assert store.studies("s", sets=())[0].text == "t1"
        assert store.seeds_asked("s", None, (), "t1") == (0, 1, 2, 3, 4, 5, 9)
        assert len(store.list_runs(study="s")) == 9
        assert store.looks("s", None, (), "t1") == Looks(0, migrated=True), "nothing of it was done"
        store.save_study(replace(make_study([make_run("z")]), text="t2"), call_options={})
        assert store.seeds_asked("s", None, (), "t2") == (0,)
        assert [one.run for one in store.list_runs(study="s")] == [make_run("z")]


@pytest.mark.slow
def test_the_published_results_are_upgraded_without_loss(tmp_path: Path) -> None:
    """Whatever revision they are of now: as they were before, and after."""
    copy, before = tmp_path / "results.db", tmp_path / "before.db"
    shutil.copy(PUBLISHED, copy)
    aged(copy, str(before), "0002")
    shutil.copy(before, tmp_path / "after.db")
    upgrade(str(tmp_path / "after.db"))
    numbers = "SELECT * FROM final_metrics ORDER BY run, attempt, name"
    with closing(sqlite3.connect(before)) as old, closing(sqlite3.connect(tmp_path / "after.db")) as new:
        for table in ("runs", "arms", "artifacts", "confusions", "epoch_metrics", "trials", "events"):
            rows = f"SELECT * FROM {table} ORDER BY 1, 2, 3"
            assert new.execute(rows).fetchall() == old.execute(rows).fetchall()
        assert new.execute(numbers).fetchall() == old.execute(numbers).fetchall() != []
        links = "SELECT study, position, run, arm, levels, aliases, is_parent FROM study_runs ORDER BY study, position"
        assert new.execute(links).fetchall() == old.execute(links).fetchall() != []
    with Store.open(str(tmp_path / "after.db")) as store:
        assert store.check() == []
        assert len(store.requests()) == len(store.studies())
        assert not any(request.open and store.waiting(request.key).open == 0 for request in store.requests())


# Imports --------------------------------------------------------------------------------------------------------------


def old_export(path: Path, target: Path, revision: str) -> Path:
    database = Database(str(path), read_only=True)
    export_file(database, target, tables=older.tables_of(database, revision), revision=revision)
    database.close()
    return target


@pytest.mark.slow
@pytest.mark.parametrize("revision", OLDER)
@pytest.mark.parametrize("what", ["database", "lines.jsonl", "lines.jsonl.gz"])
def test_an_older_database_or_export_is_imported_as_an_upgrade_would_leave_it(
    today: Path, url: str, tmp_path: Path, revision: str, what: str, dump: Make
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    source = folder / "old.db"
    aged(today, str(source), revision)
    if what != "database":
        source = old_export(source, folder / what, revision)
        (folder / "old.db").unlink()
    before = digest(folder)
    with Store.open(url) as store:
        said = look_at_import(str(source))
        assert store.import_from(str(source)) == said
        assert said.new == 9
        imported = dump(store)
        assert store.import_from(str(source)).same == 9
        assert dump(store) == imported
        assert store.check() == []
    assert digest(folder) == before, "it is only read"
    aged(today, str(tmp_path / "upgraded.db"), revision)
    upgrade(str(tmp_path / "upgraded.db"))
    with Store.open(str(tmp_path / "upgraded.db")) as store:
        assert dump(store) == imported


@pytest.mark.postgres
def test_an_older_server_is_imported_and_left_as_it_is(postgres: Any, today: Path, tmp_path: Path) -> None:
    url = postgres.fresh()
    aged(today, url, "0002")
    with Store.open(str(tmp_path / "here.db")) as here:
        assert here.import_from(url).new == 9
    with pytest.raises(StoreError, match="made by an older ablate"):
        Store.open(url, read_only=True)


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("runs", {"state": "finished"}, "runs.state cannot be 'finished'"),
        ("runs", {"arm": 99}, "rows of runs, lines "),
        ("study_runs", {"queued": None}, "study_runs.queued cannot be 'None'"),
        ("attempts", {"code": "x"}, "attempts has columns that this ablate does not know, or lacks some: code"),
    ],
)
def test_a_broken_line_of_an_older_export_is_named(
    today: Path, tmp_path: Path, table: str, change: dict[str, Any], said: str
) -> None:
    aged(today, str(tmp_path / "old.db"), "0002")
    lines = old_export(tmp_path / "old.db", tmp_path / "old.jsonl", "0002").read_text().splitlines()
    place = next(place for place, line in enumerate(lines) if json.loads(line).get("table") == table)
    lines[place] = json.dumps({**json.loads(lines[place]), **change})
    (tmp_path / "bad.jsonl.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    with Store.open(str(tmp_path / "here.db")) as here, pytest.raises(StoreError) as caught:
        here.import_from(str(tmp_path / "bad.jsonl.gz"))
    assert f"bad.jsonl.gz, line {place + 1}: {said}" in str(caught.value)
    assert "Nothing was imported." in str(caught.value)


# Requests on the way in -----------------------------------------------------------------------------------------------


def test_two_machines_requests_stand_side_by_side(
    url: str, tmp_path: Path, make_run: Make, make_study: Make, remote: Make
) -> None:
    def study(*seeds: int) -> Any:
        return replace(make_study([make_run("a", seed) for seed in seeds]), seeds=seeds, text="t")

    with Store.open(url) as here, Store.open(str(tmp_path / "there.db")) as there:
        mine = here.save_study(study(0, 1), call_options={})
        theirs = there.save_study(study(1, 2), call_options={}, folder="/there")
        claim = there.claim(theirs, remote())
        assert claim is not None
        there.finish(claim, DONE, 1.0)
        here.import_from(str(tmp_path / "there.db"))
        first, second = here.requests()
        assert (first.key, second.folder) == (mine, ""), "paths of another machine stay there"
        assert here.seeds_asked("s", None, (), "t") == (0, 1, 2)
        assert [one.run.seed for one in here.list_runs(study="s")] == [0, 1, 2]
        assert here.waiting(mine) == Counts(queued=1, done=1), "seed 1 has come, done"
        assert here.waiting(second.key) == Counts(queued=1, done=1)
        assert here.check() == []
        here.import_from(str(tmp_path / "there.db"))
        assert len(here.requests()) == 2


def test_a_tuning_that_has_grown_since_brings_its_new_runs(
    tmp_path: Path, make_run: Make, make_study: Make, remote: Make
) -> None:
    study = replace(make_study([make_run("a")], "tune:s:12345678"), text="t")
    with Store.open(str(tmp_path / "here.db")) as here, Store.open(str(tmp_path / "there.db")) as there:
        key = there.save_study(study, call_options={}, join=True)
        here.import_from(str(tmp_path / "there.db"))
        claim = there.claim(key, remote())
        assert claim is not None
        there.prune(claim, "no hope")
        there.save_study(
            replace(study, runs=(*study.runs, make_run("b"))), call_options={"x": 1}, join=True, requeue_pruned=False
        )
        here.import_from(str(tmp_path / "there.db"))
        (request,) = here.requests("tune:s:12345678")
        assert here.waiting(request.key) == Counts(queued=1, pruned=1)
        assert here.check() == []
