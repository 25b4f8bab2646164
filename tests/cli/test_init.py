"""`ablate init`: a study file that runs as it is, never over another file."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.study.loader import load

INLINE = ("--executor", "inline", "--threads", "1")


def test_the_file_plans_without_a_warning_and_trains(call, tmp_path: Path) -> None:
    said = call("init")
    assert said.out == "study.yaml\n"
    assert "ablate grid run study.yaml" in said.err
    planned = call("grid", "plan", "study.yaml")
    assert "warning" not in planned.out + planned.err
    assert "3 seeds: 12 runs" in planned.out
    assert "0 warnings" in call("grid", "check", "study.yaml").out
    text = (tmp_path / "study.yaml").read_text()
    assert sum("#" in line for line in text.splitlines()) > 10
    assert call("grid", "run", "study.yaml", "--limit", "1", *INLINE).code == 0


def test_the_study_is_named_after_its_file(call, tmp_path: Path) -> None:
    assert call("init", "sub/My Study").out == "sub/My Study.yaml\n"
    assert load(tmp_path / "sub" / "My Study.yaml").name == "my-study"
    assert "'sub/My Study.yaml'" in (tmp_path / "sub" / "My Study.yaml").read_text(), "its commands can be copied"
    assert call("init", "sub").out == "sub/study.yaml\n"


@pytest.mark.parametrize("more", [[], ["--from", "tiny.yaml"]])
def test_an_existing_file_stays(call, tiny: Path, more: list[str]) -> None:
    before = tiny.read_text()
    call("init", "tiny", *more, code=2).told("exists")
    assert tiny.read_text() == before
    tiny.with_name("gone.yaml").symlink_to("nowhere.yaml")
    assert call("init", "gone.yaml", code=2).error == "exists"


def test_a_copy_has_the_text_of_its_source_and_a_name_of_its_own(call, tiny: Path, fill, tmp_path: Path) -> None:
    fill(tiny)
    call("init", "mine.yaml", "--from", "tiny.yaml")
    copy = load(tmp_path / "mine.yaml")
    assert copy.name == "mine"
    assert [run.run_id for run in copy.runs] == [run.run_id for run in load(tiny).runs], "their runs are shared"
    assert copy.source.startswith("# From tiny (tiny.yaml)")
    assert "4 done, 0 to run" in call("grid", "plan", "mine.yaml").out
    tiny.unlink()
    call("init", "again.yaml", "--from", "tiny")
    assert load(tmp_path / "again.yaml").name == "again", "a stored study needs no file"


def test_a_copy_of_what_is_not_there_writes_nothing(call, tiny: Path, tmp_path: Path) -> None:
    assert call("init", "mine.yaml", "--from", "nothing", code=5).error
    tiny.write_text("study: tiny\nnonsense: 1\n")
    call("init", "mine.yaml", "--from", tiny, code=3)
    assert not (tmp_path / "mine.yaml").exists()


def test_a_copy_lies_where_its_other_files_are(call, tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "train.py").write_text("print(1)\n")
    (folder / "own.yaml").write_text(
        "study: own\nrecipe: {lr: 1}\ntrainer:\n  command: python train.py {lr} {seed}\n  metrics: {loss: {pattern: '(.*)', better: lower}}\n"
        "factors: {lr: {path: lr, levels: [1, 2]}}\nbaseline: {lr: 1}\n"
    )
    said = call("init", "copy.yaml", "--from", "scripts/own.yaml", code=2).told("usage")
    assert "ablate init scripts/copy.yaml --from scripts/own.yaml" in said.err
    call("init", "scripts/copy.yaml", "--from", "scripts/own.yaml")


@pytest.mark.parametrize(("args", "typed", "written"), [([], b"typed\n", "typed.yaml"), ([], b"\n", "study.yaml"), (["given"], b"", "given.yaml")])  # fmt: skip
def test_only_a_terminal_is_asked_and_only_without_a_file(args: list[str], typed: bytes, written: str, tmp_path: Path) -> None:  # fmt: skip
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    command = [sys.executable, "-m", "ablate", "init", *args]
    done = subprocess.run(command, cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)  # fmt: skip
    told = os.read(ours, 10_000).decode()
    os.close(ours), os.close(theirs)
    assert done.stdout.decode() == f"{written}\n"
    assert (tmp_path / written).is_file()
    assert ("File [study.yaml]:" in told) == (not args)
