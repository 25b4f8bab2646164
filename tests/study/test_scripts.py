"""Which files a script is made of: found by reading, whatever the command looks like."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.study.code import provenance
from ablate.study.code.provenance import Code, Freshness, code_of, compare, digest_of
from ablate.study.code.scripts import Scripts
from ablate.study.values.metrics import READER
from ablate.study.values.run import Run

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(name=text, ...): files of a study's folder, with `/` as `__` never; the folder."""
    folder = tmp_path / "my study"
    folder.mkdir()

    def put(files: dict[str, str]) -> Path:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return put


def named(folder: Path, command: str, watch: tuple[str, ...] = ()) -> list[str]:
    return list(Scripts(folder, watch).of_command(shlex.split(command)).digests)


@pytest.fixture
def project(write: Write) -> Path:
    folder = write(
        {
            "train.py": "import os, model, numpy\n",
            "model.py": "def net():\n    from layers import conv\n",
            "layers/__init__.py": "",
            "layers/conv.py": "from . import base\nfrom ..model import net\n",
            "layers/base.py": "",
            "layers/unused.py": "",
            "unused.py": "",
            "conf.yaml": "",
            "words.txt": "data",
            "sub/train.py": "import util",
            "sub/util.py": "",
            "src/lib/__init__.py": "",
            "src/lib/go.py": "from lib import more",
            "src/lib/more.py": "",
            "my train.py": "import unused",
            "tool": "#!/usr/bin/env python3\nimport unused\n",
            "run.sh": "# don't stop\nset -e\ncd sub\npython train.py --lr $1\n",
            "all.sh": 'python "$HERE/sub/train.py"; exec torchrun -m lib.go\n',
            "a.R": "source('b.R')\n",
            "b.R": "",
            "book.ipynb": json.dumps(
                {"cells": [{"cell_type": "code", "source": ["%matplotlib inline\n", "import unused\n"]}]}
            ),
        }
    )
    (folder / "tool").chmod(0o755)
    return folder


TRAIN = ["layers/__init__.py", "layers/base.py", "layers/conv.py", "model.py", "train.py"]
SUB = ["sub/train.py", "sub/util.py"]


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("python train.py --lr 0.1 --data words.txt", TRAIN),
        ("python ./train.py --config=conf.yaml", ["conf.yaml", *TRAIN]),
        ("torchrun --nproc_per_node 2 train.py --configs a.yaml,conf.yaml", ["conf.yaml", *TRAIN]),
        ("/usr/bin/env OMP_NUM_THREADS=1 python -u train.py", TRAIN),
        ("nice -n 10 python sub/../train.py", TRAIN),
        ("env -C sub python train.py", SUB),
        ("env -Csub A=1 python train.py", SUB),
        ("env --chdir=sub python train.py", SUB),
        ("bash -c 'cd sub && python train.py --x=1'", SUB),
        ("bash -euc 'python \"my train.py\"; echo done'", ["my train.py", "unused.py"]),
        ("bash run.sh 0.1", ["run.sh", *SUB]),
        ("sh all.sh", ["all.sh", *SUB]),
        ("python -m layers.conv", ["layers/__init__.py", "layers/base.py", "layers/conv.py", "model.py"]),
        ("env PYTHONPATH=src python -m lib.go", ["src/lib/__init__.py", "src/lib/go.py", "src/lib/more.py"]),
        ("bash -c 'PYTHONPATH=src python -m lib.go'", ["src/lib/__init__.py", "src/lib/go.py", "src/lib/more.py"]),
        ("python 'my train.py'", ["my train.py", "unused.py"]),
        ("python tool", ["tool", "unused.py"]),
        ("./tool", ["tool", "unused.py"]),
        ("python -c 'import layers.base'", ["layers/__init__.py", "layers/base.py"]),
        ("python -c \"exec(open('train.py').read().replace('1', '2'))\"", TRAIN),
        ("Rscript a.R", ["a.R", "b.R"]),
        ("jupyter execute book.ipynb", ["book.ipynb", "unused.py"]),
        ("fasttext supervised -input words.txt", []),
    ],
)
def test_a_command_names_its_files(project: Path, command: str, files: list[str]) -> None:
    assert named(project, command) == files


def test_an_absolute_path_into_the_folder_is_the_same_file(project: Path) -> None:
    assert named(project, f"python '{project}/train.py'") == TRAIN


def test_a_program_outside_keeps_its_absolute_path_and_finds_what_lies_beside_it(project: Path, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "go.py").write_text("import help_me\n")
    (tmp_path / "code" / "help_me.py").write_text("")
    assert named(project, f"python {tmp_path}/code/go.py") == [
        f"{tmp_path}/code/go.py", f"{tmp_path}/code/help_me.py",
    ]  # fmt: skip
    assert named(project, "python ../code/go.py") == ["../code/go.py", "../code/help_me.py"]


def test_neither_interpreters_nor_what_an_environment_installed_is_code(project: Path) -> None:
    (project / "venv" / "bin").mkdir(parents=True)
    (project / "venv" / "pyvenv.cfg").write_text("")
    for name in ("python", "torchrun"):
        (project / "venv" / "bin" / name).write_text(f"#!{project}/venv/bin/python\n")
        (project / "venv" / "bin" / name).chmod(0o755)
    assert named(project, "venv/bin/python train.py") == TRAIN
    assert named(project, "venv/bin/torchrun train.py") == TRAIN
    assert named(project, "/bin/sh run.sh") == ["run.sh", *SUB]


def test_imports_of_every_kind_are_found_and_nothing_is_executed(write: Write) -> None:
    folder = write(
        {
            "train.py": (
                "import importlib\nraise SystemExit('executed')\nif 0:\n    import late\ntry:\n    import pkg.deep.x as y\n"
                "except ImportError: pass\nimportlib.import_module('by_name')\n__import__('by_hand')\nfrom star import *\n"
            ),
            **{f"{name}.py": "" for name in ("late", "by_name", "by_hand", "star")},
            "pkg/deep/x.py": "from ..side import thing\nfrom ...beyond import nothing\n",
            "pkg/side.py": "import train\n",
        }
    )
    assert named(folder, "python train.py") == [
        "by_hand.py", "by_name.py", "late.py", "pkg/deep/x.py", "pkg/side.py", "star.py", "train.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "print 'python 2'\nimport one, two as three\nfrom pkg import (four,\n  five)\n",
        "match = lambda: :\nimport one, two\nfrom pkg import four, five  # both\n",
    ],
)
def test_what_this_python_cannot_parse_is_read_by_its_lines(write: Write, text: str) -> None:
    files = {f"{name}.py": "" for name in ("one", "two", "pkg/four", "pkg/five")}
    folder = write({"train.py": text, **files})
    assert named(folder, "python train.py") == sorted([*files, "train.py"])


def test_a_bad_escape_in_somebodys_script_warns_nobody(write: Write) -> None:
    folder = write({"train.py": "import re\nx = '\\d'\n"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert named(folder, "python train.py") == ["train.py"]


def test_a_program_that_is_not_there_is_absent(project: Path) -> None:
    for command, absent in (("python trian.py", "trian.py"), ("bash -c 'cd sub; python no.py'", "no.py"), ("./train", "./train")):  # fmt: skip
        found = Scripts(project).of_command(shlex.split(command))
        assert (found.digests, found.absent) == ({}, absent)
    assert Scripts(project).of_command(["python", "train.py", "--out", "later.py"]).absent == ""
    (project / "conf.yaml").write_text("lr: 1")
    for command in (
        "python trian.py --conf conf.yaml",
        "bash -c 'python trian.py conf.yaml'",
        "nice -n 5 python -u trian.py conf.yaml",
    ):
        found = Scripts(project).of_command(shlex.split(command))
        assert (list(found.digests), found.absent) == (["conf.yaml"], "trian.py"), "its settings are no program"
    assert Scripts(project).of_module("no.such").absent == "no.such"
    assert digest_of({"a": _code({"command": ["python", "trian.py"]}, 0, project)}) is None


def test_what_is_watched_is_code_and_byte_code_never_is(project: Path) -> None:
    (project / "layers" / "__pycache__").mkdir()
    (project / "layers" / "__pycache__" / "base.cpython-311.pyc").write_text("")
    watched = Scripts(project, ("layers/**", "*.txt", "no/*")).of_module("unused").digests
    assert list(watched) == ["layers/__init__.py", "layers/base.py", "layers/conv.py", "layers/unused.py", "unused.py", "words.txt"]  # fmt: skip


@pytest.mark.slow
def test_a_function_is_its_module_and_what_that_imports(project: Path) -> None:
    assert list(Scripts(project).of_module("layers.conv").digests) == TRAIN[:-1]  # fmt: skip
    installed = Scripts(project).of_module("json.tool")
    assert {"json/__init__.py", "json/tool.py"} <= set(installed.digests)
    assert not any("argparse" in name for name in installed.digests)


def test_a_digest_is_of_contents_wherever_the_folder_lies(project: Path, tmp_path: Path) -> None:
    command = {"command": ["python", "train.py", "--seed", "{seed}", "--out", "{run_dir}/o.json"]}
    one = _code(command, 0, project)
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(project, copy)
    os.utime(copy / "train.py", (0, 0))
    assert _code(command, 1, copy).digest == one.digest
    (copy / "unused.py").write_text("not imported")
    assert _code(command, 0, copy).digest == one.digest
    (copy / "layers" / "base.py").write_text("# a comment\n")
    assert _code(command, 0, copy).digest != one.digest


def test_a_file_that_the_seed_or_the_recipe_names_is_code_of_those_runs_alone(project: Path) -> None:
    command = {"command": ["python", "train.py", "--split", "splits/{seed}.json"]}
    for seed in (0, 1):
        (project / "splits").mkdir(exist_ok=True)
        (project / "splits" / f"{seed}.json").write_text(str(seed))
    zero, one = (_code(command, seed, project) for seed in (0, 1))
    assert set(zero.files) - set(one.files) == {"splits/0.json"}


def test_the_reader_is_code_of_what_it_reads(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, function = {"command": ["python", "train.py"]}, {"python": "layers.base:f"}
    before = [_code(trainer, 0, project).digest for trainer in (command, function)]
    monkeypatch.setattr(provenance, "READER", READER + 1)
    after = [_code(trainer, 0, project).digest for trainer in (command, function)]
    assert (before[0] == after[0], before[1] == after[1]) == (False, True)


def _code(trainer: dict[str, Any], seed: int, folder: Path) -> Code:
    return code_of(Run("r", "a", seed, {}, trainer), folder)


PATTERN = {"command": ["python", "train.py"], "metrics": {"loss": "loss (.*)"}}
BY_ITSELF = {"command": ["python", "train.py"], "metrics": {"loss": None}}


def test_what_differs_is_named() -> None:
    here = Code("h", {"train.py": "1", "model.py": "2", "new.py": "3"}, reader=READER, script=True)
    recorded = {"files": {"train.py": "1", "model.py": "9", "old.py": "4"}, "reader": READER}
    assert compare(here, "h", {}) == Freshness()
    assert compare(here, None, {}) == Freshness()
    assert compare(here, "x", recorded) == Freshness(True, why="model.py changed, new.py is new, old.py is gone")
    many = {"files": {f"{n}.py": "1" for n in range(9)}, "reader": READER}
    why = compare(Code("h", {}, reader=READER, script=True, absent=""), "x", many).why
    assert why == ""
    why = compare(Code("h", {"0.py": "1"}, reader=READER, script=True), "x", many).why
    assert why == "1.py is gone, 2.py is gone, 3.py is gone, 4.py is gone, and 4 files more"
    older = {"files": dict(here.files), "reader": READER - 1}
    assert compare(here, "x", older) == Freshness(True, why="its numbers were read by an older ablate")


def test_where_the_script_is_not_here_nobody_can_tell() -> None:
    recorded = {"files": {"train.py": "1"}, "reader": READER}
    unknown = Freshness(known=False)
    assert compare(Code("h", reader=READER, script=True), "x", recorded) == unknown
    assert compare(Code("h", {"conf.yaml": "1"}, "train.py", READER, True), "x", recorded) == unknown


def test_attempts_of_before_are_compared_by_the_files_that_both_know() -> None:
    here = Code("h", {"train.py": "1", "model.py": "2"}, reader=READER, script=True)
    old = {"files": {"./train.py": "1", "words.txt": "5"}, "folder": "/x"}
    assert compare(here, "trainer:1", {**old, "trainer": BY_ITSELF}) == Freshness()
    changed = {"files": {"/x/train.py": "9"}, "folder": "/x"}
    assert compare(here, "trainer:1", {**changed, "trainer": BY_ITSELF}) == Freshness(True, why="train.py changed")
    assert compare(here, "trainer:1", {"files": {}, "trainer": BY_ITSELF}) == Freshness(known=False)
    read_before = compare(here, "trainer:1", {**old, "trainer": PATTERN})
    assert read_before == Freshness(True, why="its numbers were read by an older ablate")
    function = Code("h", {"pkg/mod.py": "1"}, script=True)
    assert (
        compare(function, "trainer:1", {"files": {"pkg/mod.py": "1"}, "trainer": {"python": "pkg.mod:f"}})
        == Freshness()
    )
    absent = Code("h", {}, "train.py", READER, True)
    assert compare(absent, "trainer:1", {**old, "trainer": PATTERN}).stale
    assert not compare(absent, "trainer:1", {**old, "trainer": BY_ITSELF}).known
