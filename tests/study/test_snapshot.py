"""Snapshots of a study's code: what is copied, what is linked, that they are whole or not there, and that they can be freed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from golden_texts import raising
from repositories import commit, fingerprint, git, write

from ablate.errors import NotFound, UsageError
from ablate.study.code import tree
from ablate.study.code.snapshot import CODE, own_copy, read_manifest, read_snapshot, remove, strangers, take
from ablate.study.code.tree import look

FILES = {"train.py": "print(1)\n", "lib/model.py": "x = 1\n", "exp/s.yaml": "study: s\n", ".gitignore": "data/\n*.pt\n"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with data that it ignores, a file that it does not know yet, and one that was deleted."""
    root = tmp_path / "project"
    commit(root, {**FILES, "old.py": ""})
    write(
        root, {"new.py": "y = 2\n", "data/big.bin": "data", "lib/w.pt": "weights", "lib/__pycache__/model.pyc": "code"}
    )
    (root / "old.py").unlink()
    return root


def names(folder: Path) -> set[str]:
    found = (
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()
    )
    return set(found)


def test_tracked_and_new_files_are_copied_and_ignored_ones_are_links(project: Path, home: Path) -> None:
    before = fingerprint(project)
    snapshot = take(project / "exp", home)
    code = snapshot.folder / CODE
    assert names(code) == {*FILES, "new.py", "data", "lib/w.pt"}
    assert (snapshot.folder.parent, snapshot.place) == (home / "sources", code / "exp")
    assert os.readlink(code / "data") == str(project / "data")
    assert os.readlink(code / "lib" / "w.pt") == str(project / "lib" / "w.pt")
    assert not (code / "train.py").is_symlink()
    assert read_snapshot(snapshot.document()) == snapshot
    assert fingerprint(project) == before
    assert take(project / "exp", home) == snapshot == take(project / "exp", home)
    assert len(list((home / "sources").iterdir())) == 1


def test_another_file_is_another_snapshot_and_the_first_one_stays(project: Path, home: Path) -> None:
    first = take(project, home)
    (project / "train.py").write_text("print(2)\n")
    (project / "run.sh").write_text("")
    (project / "run.sh").chmod(0o755)
    second = take(project, home)
    assert first.digest != second.digest
    assert (first.place / "train.py").read_text() == "print(1)\n"
    assert (second.place / "train.py").read_text() == "print(2)\n"
    assert os.access(second.place / "run.sh", os.X_OK)


def test_equal_code_beside_other_data_is_another_snapshot_of_the_same_digest(tmp_path: Path, home: Path) -> None:
    for name in ("a", "b"):
        commit(tmp_path / name / "p", FILES)
        write(tmp_path / name / "p", {"data/d": name})
    one, two = take(tmp_path / "a" / "p", home), take(tmp_path / "b" / "p", home)
    assert one.digest == two.digest
    assert one.folder != two.folder
    assert [(taken.place / "data" / "d").read_text() for taken in (one, two)] == ["a", "b"]


def test_links_keep_what_they_lead_to(project: Path, home: Path, tmp_path: Path) -> None:
    write(tmp_path, {"outside/f.txt": "far"})
    (project / "near.py").symlink_to("lib/model.py")
    (project / "far").symlink_to("../outside")
    (project / "lost").symlink_to("nowhere")
    place = take(project, home).place
    assert os.readlink(place / "near.py") == "lib/model.py"
    assert (place / "far" / "f.txt").read_text() == "far"
    assert os.readlink(place / "lost") == "nowhere"


def test_a_submodule_and_a_file_that_is_tracked_though_ignored(project: Path, home: Path, tmp_path: Path) -> None:
    commit(tmp_path / "other", {"deep/o.py": "1"})
    git(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / "other"), "sub")
    git(project, "add", "-f", "data/big.bin")
    write(project, {"data/more.bin": "m"})
    code = take(project, home).place
    assert {"sub/deep/o.py", "data/big.bin"} <= names(code)
    assert not (code / "data" / "big.bin").is_symlink()
    assert (code / "data" / "more.bin").is_symlink()


def test_a_results_database_and_ablate_home_are_no_code(project: Path) -> None:
    inside = project / "home"
    snapshot = take(project, inside)
    with sqlite3.connect(project / "r.db") as database:
        database.execute("create table t (x)")
    write(project, {"r.db.lock": ""})
    later = take(project, inside)
    assert later.digest == snapshot.digest == take(project, inside).digest
    assert os.readlink(later.place / "r.db") == str(project / "r.db")
    assert not (later.place / "r.db.lock").exists()
    assert not (later.place / "home").exists()


def test_without_git_the_folder_is_copied_and_an_environment_linked(tmp_path: Path, home: Path) -> None:
    folder = write(
        tmp_path / "plain",
        {"train.py": "1", "sub/a.py": "2", ".venv/pyvenv.cfg": "", ".venv/bin/python": "", "x.pyc": ""},
    )
    snapshot = take(folder, home)
    assert names(snapshot.place) == {"train.py", "sub/a.py", ".venv"}
    assert snapshot.place == snapshot.folder / CODE
    ignored = tmp_path / "repository" / "scratch"
    commit(tmp_path / "repository", {".gitignore": "scratch/\n"})
    assert names(take(write(ignored, {"a.py": "1"}), home).place) == {"a.py"}


@pytest.mark.parametrize("kept", [False, True])
def test_more_than_may_be_copied_is_refused_with_the_largest(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr(tree, "MOST", 3_000_000)
    folder = tmp_path / "p"
    if kept:
        commit(folder, {"tracked.bin": "x" * 4_000_000, ".gitignore": "linked/\n"})
    write(folder, {"train.py": "1", "linked/l.bin": "x" * (4_000_000 if kept else 10)})
    take(folder, home)
    write(folder, {"data/a.bin": "x" * 2_000_000, "data/b.bin": "x" * 2_000_000, "w.bin": "x" * 1000})
    with raising(UsageError) as caught:
        take(folder, home)
    assert "data (4 MB)" in str(caught.value)


def test_a_commit_is_taken_as_it_was_and_the_repository_never_changes(
    project: Path, home: Path, tmp_path: Path
) -> None:
    first = git(project, "rev-parse", "HEAD")
    (project / "away").symlink_to("../outside")
    write(tmp_path, {"outside/f.txt": "far"})
    commit(project, {"train.py": "print(2)\n", ".gitattributes": "lib export-ignore\n"})
    (project / "train.py").write_text("edited\n")
    before, index = fingerprint(project), (project / ".git" / "index").read_bytes()
    old, new = take(project / "exp", home, first), take(project / "exp", home, git(project, "rev-parse", "HEAD"))
    assert (old.folder / CODE / "train.py").read_text() == "print(1)\n"
    assert (new.folder / CODE / "train.py").read_text() == "print(2)\n"
    assert names(old.folder / CODE) == {*FILES, "old.py", "data", "lib/w.pt"}
    assert (new.folder / CODE / "lib" / "model.py").is_file()
    assert (new.folder / CODE / "away" / "f.txt").read_text() == "far"
    assert (fingerprint(project), (project / ".git" / "index").read_bytes()) == (before, index)
    assert take(project / "exp", home, first) == old
    assert take(write(project / "later", {"s.yaml": ""}), home, first).place.is_dir()
    for folder, which in ((project, "0" * 40), (tmp_path, first)):
        with raising(NotFound):
            take(folder, home, which)


def test_a_git_hook_of_another_repository_leads_nowhere_else(
    project: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(tmp_path / "other", {"o.py": ""})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / ".git" / "index"))
    assert "train.py" in names(take(project, home).place)


def test_many_at_once_make_one(project: Path, home: Path) -> None:
    found: list[Path] = []
    gate = threading.Barrier(6)

    def make() -> None:
        gate.wait()
        found.append(take(project, home).folder)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert {folder.name for folder in (home / "sources").iterdir()} == {found[0].name} == {one.name for one in found}


def test_killed_while_copying_leaves_nothing_half(project: Path, home: Path) -> None:
    program = (
        "import shutil, sys, time\n"
        "from pathlib import Path\n"
        "from ablate.study.code import snapshot\n"
        "copy = shutil.copy2\n"
        "def slow(source, target):\n"
        "    copy(source, target)\n"
        "    print('one', flush=True)\n"
        "    time.sleep(60)\n"
        "shutil.copy2 = slow\n"
        "snapshot.take(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(project), str(home)], stdout=subprocess.PIPE, text=True
    ) as copying:
        assert copying.stdout is not None
        assert copying.stdout.readline() == "one\n"
        copying.send_signal(signal.SIGKILL)
    (half,) = (home / "sources").iterdir()
    assert half.name.endswith(".unfinished")
    snapshot = take(project, home)
    assert snapshot.whole
    assert names(snapshot.place) == {*FILES, "new.py", "data", "lib/w.pt"}
    assert set((home / "sources").iterdir()) == {half, snapshot.folder}


def test_a_full_disk_leaves_nothing_half(project: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.errors import NoSpaceOrPermission
    from ablate.study.code import snapshot

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, raising(NoSpaceOrPermission):
        patched.setattr(snapshot.shutil, "copy2", full)
        take(project, home)
    assert list((home / "sources").iterdir()) == []


def test_what_was_copied_goes_and_what_a_script_wrote_stays(project: Path, home: Path) -> None:
    snapshot = take(project, home)
    write(snapshot.place, {"out/result.txt": "mine", "new.py": "edited by the script", "lib/__pycache__/m.pyc": ""})
    write(snapshot.place / "data", {"downloaded.bin": "d"})
    assert strangers(snapshot.folder) == ["new.py", "out/result.txt"]
    remove(snapshot.folder)
    (left,) = (home / "sources").iterdir()
    assert names(left) == {"code/new.py", "code/out/result.txt"}
    assert names(project / "data") == {"big.bin", "downloaded.bin"}
    again = take(project, home)
    assert again == snapshot
    remove(again.folder)
    assert list((home / "sources").iterdir()) == [left]


def test_a_copy_of_the_runs_own_holds_other_texts_and_leaves_the_snapshot_alone(
    project: Path, home: Path, tmp_path: Path
) -> None:
    snapshot = take(project / "exp", home)
    write(snapshot.place, {"out.txt": "of another run"})
    place = own_copy(snapshot, tmp_path / "run" / "source-a", {"train.py": b"print(7)\n"})
    assert place == tmp_path / "run" / "source-a" / CODE / "exp"
    code = tmp_path / "run" / "source-a" / CODE
    assert (code / "train.py").read_text() == "print(7)\n"
    assert names(code) == {*FILES, "new.py", "data", "lib/w.pt"}
    assert (snapshot.folder / CODE / "train.py").read_text() == "print(1)\n"
    assert strangers(tmp_path / "run" / "source-a") == []
    assert read_manifest(tmp_path / "run" / "source-a")["digest"] == snapshot.digest
    write(place, {"checkpoint": "c"})
    assert own_copy(snapshot, tmp_path / "run" / "source-a", {"train.py": b"print(8)\n"}) == place
    assert (code / "train.py").read_text() == "print(7)\n"
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["source-a"]


def test_what_would_be_copied_is_told_without_copying(project: Path, home: Path) -> None:
    seen = look(project / "exp", home)
    assert (seen.root, seen.inner) == (project, "exp")
    assert set(seen.files) == {*FILES, "new.py"}
    assert set(seen.links) == {"data", "lib/w.pt"}
    assert not home.exists()
