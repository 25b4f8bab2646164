"""A database's path is a path, whatever characters it holds: as it is given, in grid files, in commands to copy, in exports."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import ablate
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.elsewhere.queues import opener
from ablate.project.advice import command
from ablate.project.database import database_url, safe_url
from ablate.store.location import locate
from ablate.store.store import Store
from ablate.study.values.trials import TunedArm, TuningResult
from ablate.tuning.export import export

LETTERS = st.one_of(st.sampled_from("?%#&;: '\"\\=@+*~$!(){}[]<>|\n\t"), st.characters(exclude_categories=["Cs"]))
NAMES = st.text(LETTERS.filter(lambda letter: letter not in "/\x00"), min_size=1, max_size=30)
ODD = ("?", "q?x", "old%20results", "p%41x", "a#b", "a b", ":memory:", "12:30", "sqlite:", "~", "~nobody", "-x", "--help",
       "%2F", "a@b:c", "\n", "é", "e\u0301", "\udcff", "{SCHEMA_VERSION}", "%(here)s", "..db", "$HOME", "&immutable=1")  # fmt: skip


def usable(name: str) -> bool:
    return name not in (".", "..") and len(os.fsencode(name)) < 150


def names(test: Callable[[str], None]) -> Callable[[str], None]:
    """Odd names, those that were misread once and any others."""
    test = settings(max_examples=60, derandomize=True, database=None)(given(NAMES.filter(usable))(test))
    for name in ODD:
        test = example(name)(test)
    return test


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder to stand in: one a name, as fixtures are made once for all of them."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            yield Path(place).resolve()
        finally:
            os.chdir(before)


@pytest.mark.slow
@names
def test_each_way_to_name_a_file_means_that_file(name: str) -> None:
    with folder() as place, pytest.MonkeyPatch.context() as patch:
        (inner := place / f"{name}.d").mkdir()
        for path in (place / name, inner / name):
            relative = f"./{path.relative_to(place)}"
            for given_ in (relative, str(path), f"sqlite:///{path}", f"sqlite:///{relative}", f"/{path}"):
                patch.setenv("ABLATE_DB", given_)
                assert locate(database_url(given_)).path == path
                assert locate(database_url(None)).path == path
                assert locate(safe_url(given_)).path == path, "what people are shown names the same file"
            Store.open(str(path)).close()
            with Store.open(f"/{path}", read_only=True) as store:  # two slashes name no host
                assert store.check() == []
            assert {entry.name for entry in path.parent.iterdir()} - {inner.name} == {name, f"{name}.lock"}


@pytest.mark.slow
@names
def test_a_path_travels_in_grid_files_and_in_commands_to_copy(name: str) -> None:
    with folder() as place:
        path = place / name
        request = GridRequest(1, lambda: None, "a.b:c", place / "home", database=f"./{name}")  # type: ignore[arg-type,return-value]
        written = gridfile.write(request)
        database = gridfile.request_from(written, gridfile.read(written))["database"]
        os.chdir("/")
        assert locate(database).path == path
        assert gridfile.is_sqlite(database)
        opener(database)().close()  # type: ignore[attr-defined]
        assert path.exists()
        words = shlex.split(command("status", db=database))
        assert locate(words[words.index("--db") + 1]).path == path


@pytest.mark.slow
@names
def test_a_backup_has_the_name_that_is_given(name: str) -> None:
    with folder() as place, Store.open(str(place / "r.db")) as store:
        store.backup(place / name)
        with Store.open(str(place / name), read_only=True) as copy:
            assert copy.check() == []
        assert {entry.name for entry in place.iterdir()} <= {name, "r.db", "r.db.lock", "r.db-wal", "r.db-shm"}


@pytest.mark.parametrize("name", ODD)
def test_the_trials_of_a_tuning_are_exported_to_the_file_that_is_named(name: str) -> None:
    result = TuningResult("s", None, "top1", "higher", "random", "none", "3", "", (TunedArm("plain", (), None),))
    with folder() as place:
        assert export(result, place / name) == ("s: plain",)
        assert [entry.name for entry in place.iterdir()] == [name]


@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES.filter(usable))
def test_a_database_of_any_name_is_that_file_for_every_command(call, tiny: Path, fill, name: str) -> None:
    if not tiny.with_name("source.db").exists():
        fill(tiny)
        call("db", "backup", "source.db")
    table = call("report", "tiny", "--format", "md").out
    with tempfile.TemporaryDirectory(dir=tiny.parent) as place:
        for given in (f"{place}/{name}", f"sqlite:///{place}/{name}", f"./{Path(place).name}/{name}"):
            option = f"--db={given}"
            if not os.path.exists(f"{place}/{name}"):
                call("db", "import", "source.db", option)
            assert call("status", "tiny", "--json", option).document["counts"]["done"] == 4
            assert len(call("runs", "list", "--json", option).document["runs"]) == 4
            assert call("report", "tiny", "--format", "md", option).out == table
            assert call("grid", "run", "tiny.yaml", option).err.startswith("tiny: 4 runs, 4 done")
            assert call("db", "check", option).out == "ok\n"
            assert len(ablate.frame("tiny", db=given)) == 4
        call("db", "restore", f"{place}/{name}", f"--db={place}/copy of {name}")
        beside = {"-wal", "-shm", "-journal", ".lock", ".write", ""}
        allowed = {f"{start}{name}{suffix}" for start in ("", "copy of ") for suffix in beside}
        assert set(os.listdir(place)) <= allowed
        assert {name, f"copy of {name}"} <= set(os.listdir(place))
