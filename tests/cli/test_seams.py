"""What commands hand from the database to people, without training anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablate.cli.commands.runs import list_
from ablate.project.results import build, study_results
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.code.provenance import code_of
from ablate.study.loader import load
from ablate.study.records import Outcome
from ablate.study.values.study import Study


@pytest.fixture
def recorded(tiny: Path) -> tuple[Study, Store]:
    """The tiny study with all runs done: the first by other code than the present."""
    study, store = load(str(tiny)), Store.open(os.environ["ABLATE_DB"])
    key = store.save_study(study, call_options={})
    other = "other"
    while (claim := store.claim(key, WorkerInfo.here(device="cpu"))) is not None:
        store.set_environment(claim, {"code": other or code_of(claim.run).digest})
        store.finish(claim, Outcome({"top1": 0.5, "top5": 0.75, "loss": 1.0}, "test"), 90.0)
        other = ""
    return study, store


def test_a_report_says_which_results_other_code_has_made(recorded):
    study, store = recorded
    assert [result.stale for result in study_results(study, store).values()] == [True, False, False, False]
    notes = build(study, study.tables["top1_top5"], store).notes
    (stale,) = [note for note in notes if note.startswith("Stale: ")]
    assert stale == (
        "Stale: 1 of 4 runs were trained by other code of the trainer than the present; "
        "`ablate grid run` with --retry stale trains them again."
    )


def test_runs_are_listed_whole_off_a_terminal(recorded, capsys: pytest.CaptureFixture[str]):
    study, _ = recorded
    list_(study="tiny", state=None, limit=2, db=None, json_=False)
    first, second = (run.run_id[:12] for run in study.runs[:2])
    assert capsys.readouterr().out.splitlines() == [
        "run           arm     seed  state  tries    top1    top5  loss   time",
        f"{first}  plain      0  done       1  0.5000  0.7500     1  2 min",
        f"{second}  smooth     0  done       1  0.5000  0.7500     1  2 min",
    ]
