"""The JSON documents: exactly the contract's keys, null for unknown, counts that add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

COUNTS = ["arms_before", "excluded", "arms", "merged", "total", "done", "running", "failed", "lost", "cancelled", "blocked", "to_run", "parents", "stale", "verified"]  # fmt: skip
STATES = ("done", "running", "failed", "lost", "cancelled", "blocked", "to_run")
PLANNED = ["run_id", "arm_id", "arm", "aliases", "levels", "seed", "state", "why", "stale", "code_known", "verified"]
RUN = ["run_id", "arm_id", "arm", "studies", "asked_by", "seed", "state", "attempts", "metrics", "seconds", "device"]
CELL = [
    "mean",
    "sd",
    "n",
    "ci95",
    "delta",
    "delta_ci95",
    "p_adjusted",
    "reported",
    "reported_text",
    "agrees",
    "run_ids",
    "decided",
    "note",
    "test",
    "detectable",
    "total",
    "planned",
]


def states(document: dict[str, Any]) -> dict[str, int]:
    counts = document["counts"]
    assert list(counts) == COUNTS
    assert sum(counts[state] for state in STATES) == counts["total"] == len(document["runs"])
    return {state: counts[state] for state in STATES if counts[state]}


def test_plan_without_a_database(call, tiny: Path) -> None:
    document = call("grid", "plan", tiny, "--json").document
    assert list(document) == ["schema", "study", "profile", "set", "counts", "runs"]
    assert (document["schema"], document["study"], document["profile"]) == (1, "tiny", None)
    assert states(document) == {"to_run": 4}
    first = document["runs"][0]
    assert list(first) == PLANNED
    assert len(first["run_id"]) == len(first["arm_id"]) == 64
    assert (first["arm"], first["aliases"], first["levels"], first["seed"]) == ("plain", [], {"smoothing": "plain"}, 0)
    assert (first["state"], first["why"]) == ("queued", "")


def test_plan_and_status_are_one_document(call, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: {"top1": 0.5} if seed else None)
    planned = call("grid", "plan", tiny, "--json").document
    assert call("status", tiny, "--json").document == planned == call("status", "tiny", "--json").document
    assert states(planned) == {"done": 2, "to_run": 2}


def test_status_of_all_studies(call, tiny: Path, fill) -> None:
    fill(tiny)
    document = call("status", "--json").document
    assert list(document) == ["schema", "studies"]
    assert [study["study"] for study in document["studies"]] == ["tiny"]


def test_a_lost_run_with_attempts_left_is_to_run(call, tiny: Path, fill) -> None:
    told = {("plain", 0): "lost once", ("plain", 1): "lost", ("smooth", 0): "failed", ("smooth", 1): "running"}
    fill(tiny, lambda arm, seed: told[arm, seed])
    document = call("grid", "plan", tiny, "--json").document
    assert states(document) == {"running": 1, "failed": 1, "lost": 1, "to_run": 1}
    by_run = {(run["arm"], run["seed"]): run for run in document["runs"]}
    assert by_run["plain", 0]["state"] == "queued"
    assert by_run["plain", 1]["why"] == "process 1 on elsewhere sent no heartbeat for 61 s"
    assert by_run["smooth", 0]["why"].splitlines()[-1] == "ValueError: no such layer"


def test_merged_and_excluded_arms_add_up(call, tmp_path: Path) -> None:
    study = tmp_path / "arms.yaml"
    study.write_text(
        "study: arms\nrecipe: {data: {name: digits}, model: {arch: resnet18}}\n"
        "factors:\n  tweak: {path: model.tweak, levels: [A, B, D]}\n  lr: {path: optimizer.lr, levels: [0.1, 0.2]}\n"
        "exclude: [{tweak: D, lr: 0.2}]\nseeds: 2\nbaseline: {tweak: A, lr: 0.1}\n"
    )
    document = call("grid", "plan", study, "--json").document
    counts = document["counts"]
    assert (counts["arms_before"], counts["excluded"], counts["arms"], counts["merged"]) == (6, 1, 5, 2)
    assert counts["total"] == (5 - 2) * 2
    assert [run["aliases"] for run in document["runs"]][:2] == [["B/0.1"], ["B/0.2"]]


def test_an_included_arm_is_not_taken_off_the_excluded_ones(call, tmp_path: Path) -> None:
    study = tmp_path / "arms.yaml"
    study.write_text(
        "study: arms\nrecipe: {data: {name: digits}, model: {arch: resnet50}}\n"
        "factors:\n  tweak: {path: model.tweak, levels: [A, B, D]}\n  lr: {path: optimizer.lr, levels: [0.1, 0.2]}\n"
        "exclude: [{lr: 0.2, tweak: [B, D]}, {tweak: D, lr: 0.2}]\ninclude: [{tweak: D, lr: 0.2}]\n"
        "seeds: 2\nbaseline: {tweak: A, lr: 0.1}\n"
    )
    counts = call("grid", "plan", study, "--json").document["counts"]
    assert (counts["arms_before"], counts["excluded"], counts["arms"]) == (6, 2, 5)
    shown = call("grid", "plan", study).out
    assert "2 excluded, 0 merged" in shown
    assert "excluded 2 by {lr: 0.2, tweak: [B, D]}" in shown


def test_runs_list(call, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: {"top1": 0.5, "loss": 1.5} if seed else None)
    document = call("runs", "list", "--json").document
    assert list(document) == ["schema", "runs"]
    assert all(list(run) == RUN for run in document["runs"])
    finished = [run for run in document["runs"] if run["state"] == "done"]
    queued = [run for run in document["runs"] if run["state"] == "queued"]
    assert (len(finished), len(queued)) == (2, 2)
    assert finished[0]["metrics"] == {"loss": 1.5, "top1": 0.5}
    assert (finished[0]["studies"], finished[0]["attempts"], finished[0]["seconds"], finished[0]["device"]) == (
        ["tiny"], 1, 2.0, "cpu",
    )  # fmt: skip
    assert (queued[0]["metrics"], queued[0]["seconds"]) == ({}, None)
    assert len(call("runs", "list", "--json", "--state", "done", "--limit", "1").document["runs"]) == 1


def test_runs_show(call, tiny: Path, fill) -> None:
    fill(tiny)
    some = call("runs", "list", "--json").document["runs"][0]["run_id"]
    document = call("runs", "show", some[:12], "--json").document
    assert {*RUN, "recipe", "epochs", "artifacts", "environment", "error", "log"} <= set(document)
    assert document["recipe"]["loss"]["label_smoothing"] in (0.0, 0.1)
    assert [epoch["epoch"] for epoch in document["epochs"]] == [1, 2]
    assert (document["error"], document["log"], document["artifacts"]) == (None, None, [])


@pytest.mark.parametrize("table", ["top1_top5", "curve"])
def test_report(call, three: Path, fill, table: str) -> None:
    fill(three)
    document = call("report", "tiny", "--table", table, "--format", "json").document
    assert list(document) == [
        "schema", "study", "profile", "set", "table", "comparable", "columns", "rows", "claims", "test", "looks", "notes",
    ]  # fmt: skip
    row = document["rows"][0]
    assert list(row) == ["row", "arm", "levels", "epoch", "class", "cells", "label"]
    assert list(row["cells"]["top1"]) == CELL
    assert len(row["cells"]["top1"]["run_ids"]) == row["cells"]["top1"]["n"] == 3
    if table == "top1_top5":
        plain, smooth = (row["cells"]["top1"] for row in document["rows"])
        assert plain["mean"] == pytest.approx(0.81)
        assert (plain["reported"], plain["reported_text"], plain["delta"]) == (0.9, "0.90", None)
        assert smooth["delta"] == pytest.approx(-0.1)
        assert smooth["p_adjusted"] < 0.05
        assert [list(claim) for claim in document["claims"]] == [["text", "verdict", "why"]]
        assert document["claims"][0]["verdict"] == "contradicted"


def test_a_report_of_nothing_done_is_null_not_nan(call, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: None)
    cell = call("report", "tiny", "--table", "top1_top5", "--format", "json").document["rows"][0]["cells"]["top1"]
    assert (cell["mean"], cell["sd"], cell["n"], cell["ci95"], cell["run_ids"]) == (None, None, 0, None, [])


def test_one_table_is_its_document_and_several_are_a_list(call, tiny: Path, fill) -> None:
    fill(tiny)
    several = call("report", "tiny", "--format", "json").document
    assert list(several) == ["schema", "tables", "answer"]
    assert {frozenset(sentence) for sentence in several["answer"]} == {
        frozenset({"text", "table", "row", "metric", "verdict"})
    }
    assert [table["table"] for table in several["tables"]] == ["top1_top5", "curve"]


@pytest.mark.slow
def test_other_documents_say_their_schema(call, tiny: Path, fill) -> None:
    fill(tiny)
    for command in (["data", "list"], ["db", "info"], ["doctor"]):
        assert call(*command, "--json").document["schema"] == 1
