"""`ablate runs verify`: what the present code gives again, and what that says of the results of earlier code."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import NotFound
from ablate.parts.declare import Optimizer
from ablate.parts.found import parts
from ablate.store.store import Store
from ablate.study.code import provenance
from ablate.study.loader import load

INLINE = ("--executor", "inline", "--threads", "1")
STUDY = """
study: verified
recipe:
  data: {name: digits, limit: 80, split: {train: 0.8, test: 0.2}}
  model: {arch: two-layer-fc}
  optimizer: {name: sgd, lr: 0.05}
  batch_size: 16
  epochs: 2
factors:
  how:
    levels:
      plain: {}
      mixup: {mixup.alpha: 0.2}
      adam: {optimizer.name: adam}
      child: {model.init: {study: before.yaml, arm: plain, seed: same}}
seeds: 2
baseline: {how: plain}
tables: {t: {rows: [how], columns: [top1]}}
"""
BEFORE = STUDY.replace("study: verified", "study: before").replace("epochs: 2", "epochs: 1")
BEFORE = BEFORE[: BEFORE.index("      mixup")] + "      other: {epochs: 3}\n" + BEFORE[BEFORE.index("seeds") :]
SECONDS = {"plain": 3.0, "mixup": 5.0, "adam": 4.0, "child": 1.0, "parent": 6.0}
"""Made up, so that what is cheapest does not hang on the machine."""
X = "a" * 64
TRAINED: list[bytes] = []


@pytest.fixture
def study(tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study with all of its runs done by other code than the present: of another core, and with one digest for all."""
    (tmp_path / "before.yaml").write_text(BEFORE)
    path = tmp_path / "verified.yaml"
    path.write_text(STUDY)
    database = tmp_path / "results.db"
    if not TRAINED:  # the same in every test: trained once
        call("grid", "run", path, *INLINE)
        set_code(path, X)
        TRAINED.append(database.read_bytes())
    else:
        database.write_bytes(TRAINED[0])
    return path


def set_code(path: Path, code: str, db: str = "results.db") -> None:
    """The attempts of a study as an ablate of before would have noted them: one digest for all of its code."""
    loaded = load(path)
    names = {arm.arm_id: arm.name for arm in loaded.arms}
    with sqlite3.connect(path.with_name(db)) as connection:
        for run in (*loaded.runs, *loaded.parents):
            own = "(SELECT id FROM runs WHERE run_id = ?)"
            row = connection.execute(f"SELECT environment FROM attempts WHERE run = {own}", (run.run_id,)).fetchone()
            noted = {name: value for name, value in json.loads(row[0]).items() if name != "parts"} | {"code": code}
            connection.execute(
                f"UPDATE attempts SET code = ?, environment = ?, seconds = ? WHERE run = {own}",
                (code, json.dumps(noted), SECONDS[names.get(run.arm_id, "parent")] + run.seed / 10, run.run_id),
            )
    connection.close()


def rows() -> list[Any]:
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        return list(store.verified())


def arms_of(found: list[Any], path: Path) -> list[tuple[str, int]]:
    loaded = load(path)
    names = {arm.arm_id: arm.name for arm in loaded.arms}
    runs = {run.run_id: (names.get(run.arm_id, "parent"), run.seed) for run in (*loaded.parents, *loaded.runs)}
    return [runs[row.run_id] for row in found]


def dump(path: Path) -> dict[str, Any]:
    """All that the database held before, but for what was verified."""
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names if name != "verified"}
    connection.close()
    return found


def counts(call: Any, study: Path) -> tuple[int, int, int]:
    """(done, stale, verified)"""
    found = call("grid", "plan", study, "--json").document["counts"]
    return found["done"], found["stale"], found["verified"]


@pytest.fixture
def changed(change_part: Callable[..., Any]) -> Callable[[], None]:
    """changed(): the momentum of SGD is another constant than it was."""

    def change() -> None:
        made = parts(Optimizer)["sgd"].make

        def make(groups: Any, settings: Any, fused: Any) -> Any:
            return made(groups, {**settings, "optimizer.momentum": 0.91}, fused)

        change_part(Optimizer, "sgd", make=make)

    return change


def test_a_sample_covers_every_part_and_nothing_is_touched(call: Any, study: Path, tmp_path: Path) -> None:
    assert counts(call, study) == (8, 8, 0)
    before, files = dump(tmp_path / "results.db"), sorted((tmp_path / "home").rglob("*"))
    said = call("runs", "verify", study)
    found = rows()
    assert arms_of(found, study) == [("plain", 0), ("adam", 0), ("mixup", 0)], (
        "cheapest first; child with its parent is not"
    )
    assert all(row.equal and row.difference == 0.0 and row.what == "" and row.code_x == X for row in found)
    assert dump(tmp_path / "results.db") == before
    assert [path for path in sorted((tmp_path / "home").rglob("*")) if "cache" not in path.parts] == [
        path for path in files if "cache" not in path.parts
    ]
    assert counts(call, study) == (8, 0, 8)
    assert "verified: 10 done runs trained with different code; some train again now" in said.err
    assert "bit-equal: plain seed 0" in said.err
    assert (
        "3 of 8 runs verified with the present code: trained again, bit-equal; the others use no other parts"
        in said.err
    )
    assert "8 done, 0 to run" in call("grid", "run", study, *INLINE, "--retry", "stale").err, (
        "verified runs are left alone"
    )
    call("runs", "verify", study)
    assert rows() == found, "nothing is left to verify"


@pytest.mark.slow
def test_every_page_says_it(call: Any, study: Path, tmp_path: Path) -> None:
    stale = call("report", study)
    assert "8 runs stale" in stale.err
    assert "ablate runs verify" in stale.err
    call("runs", "verify", study)
    told = "3 of 8 runs verified with the present code"
    shown = call("report", study, "--out", tmp_path / "page.html")
    assert told in shown.err
    assert "stale" not in shown.err
    page = (tmp_path / "page.html").read_text()
    assert told in page
    assert '"stale"' not in page
    assert page.count('"verified"') == 3, "the page's script lists runs from these data"
    assert told in call("report", study, "--format", "md").out
    assert told in call("status", study).err
    document = call("grid", "plan", study, "--json").document
    assert document["counts"]["verified"] == 8
    assert {(run["stale"], run["verified"]) for run in document["runs"]} == {(False, True)}


def test_a_changed_constant_of_the_optimizer_is_caught(call: Any, study: Path, changed: Any) -> None:
    changed()
    said = call("runs", "verify", study, code=4)
    found = rows()
    assert [(arm, row.equal) for (arm, _), row in zip(arms_of(found, study), found, strict=True)] == [
        ("plain", False), ("adam", True)
    ]  # fmt: skip
    (plain, _) = found
    assert plain.difference > 0
    assert plain.what
    assert (
        f"trained again with the present code, {plain.what} differs by {plain.difference:.3g}: plain seed 0" in said.err
    )
    assert counts(call, study) == (8, 6, 2), "runs of adam are verified; all with sgd are stale"
    assert f"{plain.what} differs by" in call("report", study).err
    assert "2 done, 6 to run" in call("grid", "run", study, *INLINE, "--retry", "stale", "--limit", "1").err


def test_parents_train_first_and_are_verified_too(call: Any, study: Path) -> None:
    call("runs", "verify", study, "--sample", 4)
    found = arms_of(rows(), study)
    assert found[3:] == [("plain", 1)]
    call("runs", "verify", study, "--sample", 8)
    found = arms_of(rows(), study)
    assert {("parent", 0), ("parent", 1)} <= set(found)
    assert all(found.index(("parent", seed)) < found.index(("child", seed)) for seed in (0, 1))
    assert len(found) == 10
    assert all(row.equal for row in rows())


def test_what_an_interrupted_call_has_found_stays(call: Any, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ablate.training.trainer as trainer

    fit, calls = trainer.fit, []

    def stopped(run: Any, context: Any) -> Any:
        calls.append(run)
        if len(calls) == 2:
            os.kill(os.getpid(), 2)
        return fit(run, context)

    monkeypatch.setattr(trainer, "fit", stopped)
    said = call("runs", "verify", study, code=130)
    assert "stopped; the results above are kept" in said.err
    assert arms_of(rows(), study) == [("plain", 0)]
    assert counts(call, study) == (8, 4, 4), "runs of sgd without mixup"
    call("runs", "verify", study)
    assert arms_of(rows(), study) == [("plain", 0), ("adam", 0), ("mixup", 0)]


def test_a_part_that_changes_later_takes_back_what_was_said_of_its_runs_alone(
    call: Any, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("runs", "verify", study)
    digest = provenance._digest
    monkeypatch.setattr(provenance, "_digest", lambda part: "f" * 64 if part.name == "mixup" else digest(part))
    assert counts(call, study) == (8, 2, 6)
    call("runs", "verify", study)
    assert arms_of(rows(), study)[3:] == [("mixup", 0)]
    assert counts(call, study) == (8, 0, 8)
    monkeypatch.setattr(provenance, "_core", lambda: (frozenset(), "another"))
    assert counts(call, study) == (8, 8, 0)


@pytest.mark.slow
def test_results_of_recorded_parts_are_verified_part_by_part(
    call: Any, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that noted the digests of their parts, and of which one part has changed since."""
    with monkeypatch.context() as then:
        digest = provenance._digest
        then.setattr(provenance, "_digest", lambda part: "f" * 64 if part.name == "adam" else digest(part))
        call("grid", "run", study, *INLINE, "--retry", "stale")
    assert counts(call, study) == (8, 2, 0)
    assert "optimizer.name adam changed" in call("report", study).err
    call("runs", "verify", study)
    assert len(rows()) == 1
    assert counts(call, study) == (8, 0, 2)


def test_exported_and_imported(call: Any, study: Path, tmp_path: Path) -> None:
    call("runs", "verify", study)
    call("db", "export", "all.jsonl.gz")
    for _ in range(2):  # the second time there is nothing new
        call("db", "import", "all.jsonl.gz", "--db", "other.db")
        with Store.open("other.db", read_only=True) as store:
            assert list(store.verified()) == rows()
    assert call("grid", "plan", study, "--db", "other.db", "--json").document["counts"]["verified"] == 8


def test_under_another_fingerprint_it_cannot_be_verified_here(call: Any, study: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "results.db") as connection:
        connection.execute("UPDATE attempts SET fingerprint = 'cuda, NVIDIA H200, torch 9'")
    connection.close()
    said = call("runs", "verify", study, code=4)
    assert rows() == []
    assert "10 runs cannot be verified here: trained under cuda, NVIDIA H200, torch 9; here it is cpu, " in said.err
    assert f"ablate runs verify {study} --from OTHER.db" in said.err
    assert counts(call, study) == (8, 8, 0)


def test_from_another_database_the_codes_are_compared_under_this_machines_arithmetic(
    call: Any, study: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.db").write_bytes((tmp_path / "results.db").read_bytes())
    with sqlite3.connect(tmp_path / "results.db") as connection:
        connection.execute("UPDATE attempts SET fingerprint = 'cuda, NVIDIA H200, torch 9'")
        connection.execute("UPDATE final_metrics SET value = value + 0.001")
    connection.close()
    before = dump(tmp_path / "other.db")
    said = call("runs", "verify", study, "--from", "other.db")
    assert [row.fingerprint.partition(",")[0] for row in rows()] == ["cpu"] * 3
    assert dump(tmp_path / "other.db") == before
    assert counts(call, study) == (8, 0, 8)
    assert "; 8 of them under other arithmetic than their own" in said.err


def test_from_another_database_runs_that_are_not_here_say_as_much_of_the_codes(call: Any, study: Path) -> None:
    """So a small study with the same parts is enough, where the results' own runs take hours."""
    Store.open("fresh.db").close()
    call("runs", "verify", study, "--from", "results.db", "--db", "fresh.db")
    assert rows() == []
    with Store.open("fresh.db", read_only=True) as store:
        assert [row.equal for row in store.verified()] == [True] * 3


@pytest.mark.slow
def test_from_a_database_of_other_code_nothing_can_be_said(call: Any, study: Path, tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes((tmp_path / "results.db").read_bytes())
    set_code(study, "b" * 64, "other.db")
    said = call("runs", "verify", study, "--from", "other.db", code=5)
    assert said.error == "not-found"
    assert "other.db " in said.err
    assert "10 runs" in said.err
    assert "aaaaaaaaaaaa" in said.err


def test_a_run_that_fails_now_is_no_equal(call: Any, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.errors import Diverged

    def fails(run: Any, context: Any) -> Any:
        raise Diverged("the loss is not finite")

    monkeypatch.setattr("ablate.training.trainer.fit", fails)
    said = call("runs", "verify", study, code=4)
    assert "the loss is not finite: plain seed 0" in said.err
    assert counts(call, study)[2] == 0


def test_what_lacks_its_weights_or_data_is_told_and_the_rest_verified(
    call: Any, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ablate.training.trainer as trainer

    fit = trainer.fit

    def lacks(run: Any, context: Any) -> Any:
        if run.recipe["mixup"]["alpha"] or run.recipe["epochs"] == 1:
            raise NotFound("no weights")
        return fit(run, context)

    monkeypatch.setattr(trainer, "fit", lacks)
    said = call("runs", "verify", study, "--sample", 8, code=4)
    assert "6 runs cannot train here: no weights" in said.err, "two of mixup, two parents and what starts from them"
    assert {arm for arm, _ in arms_of(rows(), study)} == {"plain", "adam"}
    assert counts(call, study) == (8, 2, 6)


def test_as_json(call: Any, study: Path) -> None:
    document = call("runs", "verify", study, "--json").document
    assert document["counts"] == {"total": 8, "done": 8, "stale": 0, "verified": 8}
    assert list(document["checked"][0]) == [
        "run_id",
        "equal",
        "difference",
        "what",
        "fingerprint",
        "code_then",
        "code_now",
    ]
    assert document["elsewhere"] == document["lacking"] == []


@pytest.mark.slow
def test_what_is_of_the_present_code_needs_none(call: Any, study: Path) -> None:
    call("grid", "run", study, *INLINE, "--retry", "stale")
    assert " 0 done runs " in call("runs", "verify", study).told().err


@pytest.mark.slow
def test_a_script_is_not_run_again(call: Any, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('loss 1.0')")
    (tmp_path / "own.yaml").write_text(
        "study: own\ntrainer: {command: [python, train.py], metrics: {loss: {better: lower, pattern: 'loss ([0-9.]+)'}}}\n"
        "recipe: {}\nfactors: {a: {path: x, levels: [1, 2]}}\nseeds: 1\nbaseline: {a: 1}\n"
    )
    call("grid", "run", "own.yaml", *INLINE)
    call("runs", "verify", "own.yaml", code=2).told("own-trainer")
