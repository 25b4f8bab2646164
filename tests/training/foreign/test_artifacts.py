"""`trainer: {artifacts: GLOBS}`: what is recorded of a script's files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from golden_texts import worded

from ablate.study.records import Context, Outcome
from ablate.study.values.run import Run
from ablate.training.foreign import artifacts
from ablate.training.foreign.about import own_folder
from ablate.training.foreign.artifacts import recorded

RUN = Run("a" * 64, "b" * 64, 7, {}, {"command": ["x"], "version": 1, "metrics": {}})
PLAIN = Outcome({"top1": 0.5}, details={"left_behind": 0})


def asking(context: Context, *globs: str) -> Context:
    return replace(context, options={**context.options, "artifacts": list(globs)})


@pytest.fixture
def folder(context: Context) -> Path:
    """`{run_dir}` with three files of weights."""
    folder = own_folder(RUN, context)
    (folder / "deep").mkdir()
    for name in ("a.pt", "seed7.pt", "deep/b.pt"):
        (folder / name).write_text(name)
    return folder


def test_files_are_recorded_with_size_and_digest(context: Context, folder: Path) -> None:
    assert recorded(PLAIN, RUN, context) is not None
    assert recorded(PLAIN, RUN, context).artifacts == ()
    outcome = recorded(PLAIN, RUN, asking(context, "{run_dir}/seed{seed}.pt", "{run_dir}/**/*.pt"))
    assert [one.path for one in outcome.artifacts] == [
        f"{folder.name}/{name}" for name in ("seed7.pt", "a.pt", "deep/b.pt")
    ]
    assert [(one.kind, one.size) for one in outcome.artifacts] == [("file", 8), ("file", 4), ("file", 9)]
    assert outcome.artifacts[0].sha256 == hashlib.sha256(b"seed7.pt").hexdigest()
    assert (outcome.details, outcome.metrics) == (PLAIN.details, PLAIN.metrics)


def test_what_is_not_recorded_whole_is_told(context: Context, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "LARGEST", 8)
    monkeypatch.setattr(artifacts, "MOST", 2)
    outcome = recorded(PLAIN, RUN, asking(context, "{run_dir}/*.ckpt", "{run_dir}/**/*.pt"))
    assert [(one.path, bool(one.sha256)) for one in outcome.artifacts] == [
        (f"{folder.name}/a.pt", True),
        (f"{folder.name}/deep/b.pt", False),
    ]
    notes = outcome.details["artifact_notes"]
    worded([note.replace(folder.name, "FOLDER") for note in notes], "*.ckpt", "b.pt", "1 files more")


def test_a_stop_does_not_wait_for_large_files(context: Context, folder: Path, told: Any) -> None:
    told.stop = 15
    outcome = recorded(PLAIN, RUN, asking(context, "{run_dir}/a.pt"))
    assert [(one.size, one.sha256) for one in outcome.artifacts] == [(4, "")]
    worded(outcome.details["artifact_notes"][0].replace(folder.name, "FOLDER"), "asked to stop")


def test_functions_and_commands_have_artifacts(function: Any, context: Context) -> None:
    context.options = {**context.options, "artifacts": ["{run_dir}/w.txt"]}
    outcome = function(
        "def train(recipe, *, seed, run_dir, report):\n    (run_dir / 'w.txt').write_text('w')\n    return {'loss': 1.0}\n"
    )
    assert [one.path.partition("/")[2] for one in outcome.artifacts] == ["w.txt"]
