"""A database's path is a path: whatever characters it holds, every command means the same file."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import ablate
from ablate.dispatch import gridfile
from ablate.dispatch.executor import GridRequest
from ablate.dispatch.stores import opener
from ablate.store.location import locate
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.trials import TunedArm, TuningResult
from ablate.tuning.export import export

LETTERS = st.one_of(st.sampled_from("?%#&;: '\"\\=@+*~$!(){}[]<>|\n\t"), st.characters(exclude_categories=["Cs"]))
NAMES = st.text(LETTERS.filter(lambda letter: letter not in "/\x00"), min_size=1, max_size=30)
ODD = ("?", "q?x", "old%20results", "p%41x", "a#b", "a b", ":memory:", "12:30", "sqlite:", "~", "~nobody", "-x", "--help",
       "%2F", "a@b:c", "\n", "é", "e\u0301", "\udcff", "{SCHEMA_VERSION}", "%(here)s", "..db", "$HOME", "&immutable=1")  # fmt: skip


STUDY = """
study: tiny
recipe: {data: {name: digits}, model: {arch: three-layer-cnn}, epochs: 1}
factors: {rate: {path: optimizer.lr, levels: [0.1, 0.2]}}
baseline: {rate: 0.1}
seeds: 2
tables: {t: {rows: rate, columns: [top1]}}
"""


def usable(name: str) -> bool:
    return name not in (".", "..") and len(os.fsencode(name)) < 150


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder to stand in: one a name, as hypothesis keeps the fixtures of a test for all of them."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            yield Path(place).resolve()
        finally:
            os.chdir(before)


def call(*words: str) -> tuple[int, str, str]:
    """A command in this process: its exit code, stdout, stderr."""
    from ablate.cli.app import main

    before = sys.argv
    sys.argv = ["ablate", *words]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
            main()
    finally:
        sys.argv = before
    return int(left.value.code or 0), out.getvalue(), err.getvalue()


def with_odd(test: Callable[..., None]) -> Callable[..., None]:
    for name in ODD:
        test = example(name=name)(test)
    return test


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a study whose runs are done and one whose runs are not, and its study file."""
    place = tmp_path_factory.mktemp("filled")
    (place / "tiny.yaml").write_text(STUDY)
    with Store.open(str(place / "r.db")) as store:
        store.save_study(load(place / "tiny.yaml"), settings={"set": [], "seeds": None})
        store.backup(place / "whole.db")
    return place


@pytest.mark.parametrize("form", ["relative", "absolute", "url", "environment", "in a folder"])
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(name=NAMES.filter(usable))
@with_odd
def test_every_command_means_the_file_that_is_named(filled: Path, form: str, name: str) -> None:
    with folder() as place, pytest.MonkeyPatch.context() as patch:
        inner = place
        if form == "in a folder":
            inner = place / f"{name}.d"
            inner.mkdir()
        path = inner / name
        shutil.copy(filled / "whole.db", path)
        decoy = set(place.rglob("*"))
        given = {
            "relative": f"./{name}", "absolute": str(path), "url": f"sqlite:///{path}", "environment": str(path),
            "in a folder": f"{inner}/{name}",
        }[form]  # fmt: skip
        more: tuple[str, ...] = () if form == "environment" else ("--db", given)
        patch.setenv("ABLATE_DB", given if form == "environment" else "elsewhere.db")
        patch.setenv("ABLATE_HOME", str(filled / "home"))
        shown = str(path)
        for words in (("db", "info"), ("db", "check"), ("status", "tiny"), ("runs", "list"), ("watch", "--once"),
                      ("grid", "plan", str(filled / "tiny.yaml"), "--json"), ("report", "tiny", "--format", "md")):  # fmt: skip
            code, _, err = call(*words, *more)
            assert code == 0, (words, err)
        code, _, err = call("db", "backup", f"{place}/copy.backup", *more)
        assert code == 0, err
        assert call("db", "export", f"{place}/all.jsonl", *more)[0] == 0
        assert call("db", "import", given if form != "environment" else shown, "--db", f"{place}/moved.db")[0] == 0
        assert call("db", "restore", f"{place}/copy.backup", *more)[0] == 0
        assert call("db", "upgrade", *more)[0] == 0
        assert len(ablate.frame("tiny", db=None if form == "environment" else given)) == 4
        run_id = Store.open(str(path), read_only=True).list_runs()[0].run.run_id
        assert call("runs", "cancel", run_id, *more)[0] == 0
        with Store.open(str(path), read_only=True) as store:
            assert store.list_runs(states=["cancelled"])[0].run.run_id == run_id
        new = {entry.name for entry in place.rglob("*") if entry not in decoy}
        ours = {"copy.backup", "all.jsonl", "moved.db", "moved.db.lock", f"{name}.lock", f"{name}-wal", f"{name}-shm"}
        assert {entry for entry in new - ours if not entry.startswith(f"{name}.replaced-")} == set()


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(name=NAMES.filter(usable))
@with_odd
def test_a_path_travels_in_grid_files_and_in_commands_to_copy(name: str) -> None:
    from ablate.cli.common import command

    with folder() as place:
        path = place / name
        assert locate(f"./{name}").path == path
        request = GridRequest(1, lambda: None, "a.b:c", place / "home", database=f"./{name}")  # type: ignore[arg-type,return-value]
        written = gridfile.write(request)
        database = gridfile.request_from(written, gridfile.read(written))["database"]
        os.chdir("/")
        assert locate(database).path == path
        with opener(database)() as store:  # type: ignore[attr-defined]
            assert store.info().url == str(path)
        assert path.exists()
        words = shlex.split(command("status", db=database))
        assert locate(words[words.index("--db") + 1]).path == path
        assert gridfile.is_sqlite(database)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(name=NAMES.filter(usable))
@with_odd
def test_the_trials_of_a_tuning_are_exported_to_the_file_that_is_named(name: str) -> None:
    arm = TunedArm("plain", (), None)
    with folder() as place:
        result = TuningResult("s", None, "top1", "higher", "random", "none", "3 trials", "", (arm,))
        assert export(result, place / name) == ("s: plain",)
        assert [entry.name for entry in place.iterdir()] == [name]
