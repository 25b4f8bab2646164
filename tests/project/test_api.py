"""The public functions: plan, train, read, report and tune from Python, without a word on a stream."""

from __future__ import annotations

import json
import pkgutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

import ablate
from ablate.errors import NotFound, StudyError, UsageError

FAILING = """
study: failing
trainer: {command: "python train.py --x {x}", metrics: {score: {pattern: 'score=(\\S+)', better: higher}}}
recipe: {x: 1}
factors: {x: {path: x, levels: {good: 1, bad: 2}}}
seeds: 1
baseline: {x: good}
tables: {scores: {rows: x, columns: [score]}}
"""
SCRIPT = """
import sys
if "2" in sys.argv[1:]:
    raise ValueError("two is too many")
print("score=0.5")
"""


def test_no_public_name_is_a_package_of_ours() -> None:
    """`ablate.NAME` would be the one or the other, by what was imported first."""
    packages = {module.name for module in pkgutil.iter_modules(ablate.__path__)}
    assert not packages & set(ablate.__all__)
    assert all(getattr(ablate, name) is not None for name in ablate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ablate.nothing  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_study_from_its_file_to_its_page(tiny: Path, tmp_path: Path, capfd: Any) -> None:
    study = ablate.load_study(tiny)
    planned = ablate.plan(study)
    assert planned.counts["to_run"] == 4
    assert not (tmp_path / "results.db").exists()

    events: list[Any] = []
    found = ablate.run_grid(study, workers=1, on_event=events.append)
    assert found.complete
    assert not found.failed
    assert found.seconds > 0
    assert {type(event).__name__ for event in events} >= {"RunStarted", "RunEnded"}
    assert ablate.run_grid(tiny).complete
    assert ablate.plan("tiny").counts["done"] == 4

    runs = ablate.results("tiny")
    assert {run.state for run in runs.values()} == {"done"}
    assert len(ablate.frame(study)) == len(ablate.frame("tiny")) == len(runs) == 4
    table = ablate.table("tiny", "top1_top5")
    assert [row.name for row in table.rows] == ["plain", "smooth"]
    (page,) = ablate.write_report("tiny", tmp_path / "pages")
    assert page == tmp_path / "pages" / "tiny.html"
    assert "<html" in page.read_text()
    (text,) = ablate.write_report(study, tmp_path / "pages", format="md")
    assert text.read_text().count("smooth") > 1
    assert capfd.readouterr() == ("", "")


def test_profile_settings_and_seeds(tiny: Path) -> None:
    assert len(ablate.load_study(tiny, seeds=1).runs) == 2
    assert {run.seed for run in ablate.load_study(tiny, seeds=[3, 5]).runs} == {3, 5}
    assert ablate.load_study(tiny, sets=["epochs=3"]).sets == ("epochs=3",)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda tiny: ablate.load_study("nothing.yaml"), NotFound, "nothing.yaml"),
        (lambda tiny: ablate.load_study(tiny, sets=["epochs"]), UsageError, "PATH=VALUE"),
        (lambda tiny: ablate.load_study(tiny, sets=["epoch=3"]), StudyError, "epochs"),
        (lambda tiny: ablate.results(tiny), NotFound, "no results database"),
        (lambda tiny: ablate.run_grid(tiny, workers=0), UsageError, "at least 1"),
        (lambda tiny: ablate.run_grid(tiny, executor="nothing"), UsageError, "nothing"),
    ],
)
def test_mistakes_are_errors(call: Any, error: type[Exception], said: str, tiny: Path, capfd: Any) -> None:
    with pytest.raises(error, match=said):
        call(tiny)
    assert capfd.readouterr() == ("", "")


def test_mistakes_say_where(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("study: wrong\nrecipe: {epoch: 3}\n")
    with pytest.raises(StudyError) as caught:
        ablate.load_study(tmp_path / "wrong.yaml")
    first = next(problem for problem in caught.value.problems if problem.key.startswith("recipe"))
    assert (first.line, caught.value.exit_code) == (2, 3)


@pytest.mark.slow
def test_names_that_do_not_exist(tiny: Path) -> None:
    ablate.run_grid(tiny, workers=1)
    with pytest.raises(NotFound, match="Did you mean 'top1_top5'"):
        ablate.table("tiny", "top1_top")
    with pytest.raises(UsageError, match="one of"):
        ablate.write_report("tiny", format="pdf")
    with pytest.raises(NotFound, match="neither a study file nor a study"):
        ablate.frame("nothing")


def test_a_failed_run_is_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failing.yaml").write_text(FAILING)
    (tmp_path / "train.py").write_text(SCRIPT)
    found = ablate.run_grid("failing.yaml", workers=1)
    assert not found.complete
    (failed,) = found.failed
    assert "two is too many" in failed.why
    assert ablate.results("failing")[failed.run.run_id].state == "failed"
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_grid_works_in_any_thread(tiny: Path) -> None:
    """Jupyter runs widgets' callbacks outside the main thread, where no signal handler can be set."""
    found: list[ablate.GridResult] = []
    thread = threading.Thread(target=lambda: found.append(ablate.run_grid(tiny, workers=1)))
    thread.start()
    thread.join()
    assert found[0].complete


@pytest.mark.slow
def test_a_tuning_gives_each_arms_trials(tiny: Path, tmp_path: Path, capfd: Any) -> None:
    tiny.write_text(tiny.read_text().replace("train: 0.5, test: 0.5", "train: 0.4, val: 0.2, test: 0.4"))
    tune = tmp_path / "tune.yaml"
    tune.write_text(
        "study: tiny.yaml\narms: [plain]\nmetric: val_top1\nspace:\n  optimizer.lr: {float: [1e-3, 0.1], log: true}\n"
        "budget: {trials: 2}\n"
    )
    result = ablate.run_tuning(tune, workers=1)
    (arm,) = result.arms
    assert len(arm.trials) == 2
    assert arm.best is not None
    assert ablate.run_tuning(tune).arms[0].best == arm.best
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_reading_writes_nothing(tiny: Path, tmp_path: Path) -> None:
    ablate.run_grid(tiny, workers=1)
    before = sqlite3.connect(tmp_path / "results.db").execute("select count(*) from events").fetchone()
    ablate.plan("tiny"), ablate.results("tiny"), ablate.table("tiny", "curve"), ablate.frame("tiny", by="epoch")
    assert sqlite3.connect(tmp_path / "results.db").execute("select count(*) from events").fetchone() == before


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/api.ipynb, cell by cell, in a folder with nothing in it."""
    root = Path(__file__).resolve().parents[2]
    notebook = json.loads((root / "docs" / "api.ipynb").read_text())
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for source in code:
        exec(source, names)
    used = {name for name in ablate.__all__ if f"ablate.{name}(" in "".join(code)}
    assert used == set(ablate.__all__) - {"GridResult", "StopRun", "__version__"}
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    assert names["found"].complete
