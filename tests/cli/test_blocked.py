"""Runs that cannot start for want of first weights: seen beforehand, passed over, never failed, trained once they can."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from ablate.project.blocked import Outlook
from ablate.store.store import Store
from ablate.study.loader import load

INLINE = ("--executor", "inline", "--threads", "1")
IMAGENET = "https://download.pytorch.org/models/resnet18-f37072fd.pth"

BASE = """
recipe:
  data: {name: digits, limit: 40, split: {train: 0.5, test: 0.5}}
  model: {arch: two-layer-fc}
  optimizer: {lr: 0.05}
  batch_size: 20
  epochs: 1
seeds: 2
baseline: {start: scratch}
"""
WARM = (
    "study: warm"
    + BASE
    + """
factors: {start: {path: model.init, levels: {scratch: scratch, warm: {file: first.pt, sha256: DIGEST}}}}
tables: {t: {rows: start, columns: [top1], claims: [warm > scratch]}}
"""
)
CHILD = (
    "study: child"
    + BASE.replace("lr: 0.05", "lr: 0.01")
    + """
factors: {start: {path: model.init, levels: {scratch: scratch, own: {study: warm.yaml, arm: PARENT}}}}
tables: {t: {rows: start, columns: [top1], claims: [own > scratch]}}
"""
)


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    """Weights of the small network, as bytes that are on no disk yet."""
    import torch

    from ablate.study.recipes.recipe import Model
    from ablate.training.models import build_model

    network = build_model(Model(arch="two-layer-fc"), num_classes=10, image_shape=(3, 8, 8), seed=5).network
    path = tmp_path / "made.pt"
    torch.save(network.state_dict(), path)
    made = path.read_bytes()
    path.unlink()
    return made


@pytest.fixture
def warm(tmp_path: Path, weights: bytes) -> Path:
    """A study with an arm that starts from a file which is not here."""
    path = tmp_path / "warm.yaml"
    path.write_text(WARM.replace("DIGEST", hashlib.sha256(weights).hexdigest()))
    return path


def child_of(warm: Path, parent: str) -> Path:
    path = warm.with_name("child.yaml")
    path.write_text(CHILD.replace("PARENT", parent))
    return path


def states(call, study: Path, **more: Any) -> dict[str, str]:
    document = call("grid", "plan", study, "--json", **more).document
    return {f"{run['arm']} {run['seed']}": run["state"] for run in document["runs"]}


def attempts() -> dict[str, int]:
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        return {result.run.run_id: len(result.attempts) for result in store.list_runs()}


def test_a_plan_says_which_runs_are_blocked_and_what_to_fetch(call, tiny: Path, tmp_path: Path) -> None:
    text = tiny.read_text().replace("three-layer-cnn", "resnet18")
    old = "smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}"
    tiny.write_text(text.replace(old, "smoothing: {path: model.init, levels: {plain: scratch, smooth: imagenet}}"))
    why = f"no weights: fetch {IMAGENET} into {tmp_path}/home/weights"
    document = call("grid", "plan", tiny, "--json").document
    assert {name: document["counts"][name] for name in ("total", "blocked", "to_run")} == {"total": 4, "blocked": 2, "to_run": 2}  # fmt: skip
    assert {(run["arm"], run["state"], run["why"]) for run in document["runs"]} == {("plain", "queued", ""), ("smooth", "blocked", why)}  # fmt: skip
    said = call("grid", "plan", tiny)
    assert "0 done, 2 blocked, 2 to run" in said.out
    assert "!!     smooth" in said.out
    assert said.err.splitlines() == [
        f"2 blocked (smooth seed 0, smooth seed 1): {why}",
        f"2 runs left: ablate grid run {tiny}",
    ]
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "resnet18-f37072fd.pth").touch()
    assert set(states(call, tiny).values()) == {"queued"}


DATA = "smoothing: {path: data.name, levels: {plain: digits, smooth: cifar10}}"


@pytest.fixture
def half(tiny: Path) -> Path:
    """The tiny study with an arm whose data set is not here."""
    old = "smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}"
    tiny.write_text(tiny.read_text().replace(old, DATA))
    return tiny


def test_a_plan_says_which_data_is_absent_and_how_to_get_it(call, half: Path, tmp_path: Path) -> None:
    document = call("grid", "plan", half, "--json").document
    assert {name: document["counts"][name] for name in ("total", "blocked", "to_run")} == {"total": 4, "blocked": 2, "to_run": 2}  # fmt: skip
    whys = {run["arm"]: run["why"] for run in document["runs"]}
    assert whys["plain"] == ""
    assert whys["smooth"].startswith(f"no data: cifar10 is not in {tmp_path}/data (ABLATE_DATA; looked for cifar-10-")
    assert whys["smooth"].endswith("To get it: ablate data fetch cifar10")
    call("grid", "plan", half).told()
    (tmp_path / "data" / "cifar-10-batches-bin").mkdir(parents=True)
    assert set(states(call, half).values()) == {"queued"}, "whatever is there is the trainer's to judge"


def test_a_grid_trains_the_runs_whose_data_is_there(call, half: Path) -> None:
    said = call("grid", "run", half, *INLINE, code=4)
    assert sorted(attempts().values()) == [0, 0, 1, 1], "blocked, not failed"
    assert said.err.splitlines()[-1] == f"Once the data is in place: ablate grid run {half}"
    said = call("report", half, "--table", "top1_top5", "--format", "text")
    assert "smooth: not run: no data" in said.out
    assert "2 blocked" in call("status", "tiny").out
    assert call("grid", "run", half, *INLINE, code=4).err.count("done") == 1, "nothing is left to start"


@pytest.mark.parametrize("data", ["{name: imagefolder, path: pets}", "{name: npz, path: pets.npz}"])
def test_your_own_images_block_where_they_are_not(call, tiny: Path, tmp_path: Path, data: str) -> None:
    split = ", split: {train: 0.5, test: 0.5}}"
    tiny.write_text(re.sub(r"data: .*", f"data: {data[:-1]}{split}", tiny.read_text()))
    assert set(states(call, tiny).values()) == {"blocked"}
    place = tmp_path / "data" / data.split()[-1][:-1]
    assert f"looked for {place.name}). To get it: put it there" in call("grid", "plan", tiny).err
    place.mkdir(parents=True)
    assert set(states(call, tiny).values()) == {"queued"}


def test_data_of_a_function_and_done_runs_are_never_blocked(call, half: Path, fill) -> None:
    half.write_text(half.read_text().replace("smooth: cifar10", "smooth: 'package.module:images'"))
    assert set(states(call, half).values()) == {"queued"}
    half.write_text(half.read_text().replace("'package.module:images'", "cifar10"))
    fill(half)
    assert set(states(call, half).values()) == {"done"}


@pytest.mark.slow
def test_a_grid_trains_the_others_and_the_rest_once_the_weights_are_there(call, warm: Path, weights: bytes) -> None:
    first = call("grid", "run", warm, *INLINE, code=4)
    assert first.err.startswith("warm: 4 runs, 0 done, 2 to run, 2 blocked; results in ")
    told = f"no weights: put first.pt (SHA-256 {hashlib.sha256(weights).hexdigest()[:12]}...) into {warm.parent}/home/weights"  # fmt: skip
    assert first.err.splitlines()[-2:] == [
        f"2 blocked (warm seed 0, warm seed 1): {told}",
        f"Once the weights are in place: ablate grid run {warm}",
    ]
    assert sorted(attempts().values()) == [0, 0, 1, 1]
    again = call("grid", "run", warm, *INLINE, code=4)
    assert "[" not in again.err
    assert "2 blocked" in again.err
    assert sorted(attempts().values()) == [0, 0, 1, 1]
    said = call("status", "warm")
    assert said.out.startswith("warm: 2 of 4 runs done, 2 blocked\n")
    assert said.err.endswith(f"Once the weights are in place: ablate grid run {warm}\n")
    assert "--check: 2 of 4 runs missing (2 blocked)" in call("report", "warm", "--check", code=4).err

    file = warm.parent / "home" / "weights" / "first.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(weights)
    assert "--retry" not in call("grid", "run", warm, *INLINE).err
    assert list(attempts().values()) == [1, 1, 1, 1]
    file.unlink()
    assert set(states(call, warm).values()) == {"done"}, "what is done stays done"
    call("grid", "run", warm, *INLINE).told()


def test_a_file_with_other_bytes_is_an_error_and_no_wait(call, warm: Path) -> None:
    (warm.parent / "first.pt").write_bytes(b"half a download")
    said = call("grid", "check", warm, code=3)
    assert "first.pt has SHA-256" in said.err
    (warm.parent / "first.pt").unlink()
    folder = warm.parent / "home" / "weights"
    folder.mkdir(parents=True)
    (folder / "first.pt").write_bytes(b"half a download")
    assert set(states(call, warm).values()) == {"queued"}
    said = call("grid", "run", warm, *INLINE, code=4)
    assert "first.pt has SHA-256" in said.err
    said.told()
    assert states(call, warm)["warm 0"] == "failed"
    (folder / "first.pt").unlink()
    assert states(call, warm)["warm 0"] == "failed", "what failed is left as it is"
    assert "2 blocked" in call("grid", "run", warm, *INLINE, "--retry", "failed", code=4).err
    assert max(attempts().values()) == 1


@pytest.mark.slow
def test_tables_say_why_and_keep_the_row(call, warm: Path) -> None:
    call("grid", "run", warm, *INLINE, code=4)
    page = call("report", "warm", "--format", "md").out
    assert "| warm | — (not run: no weights) |" in page
    assert "- undecided: warm > scratch (warm - scratch: warm has 0 of 2 runs (not run: no weights))" in page
    assert "† warm: not run: no weights" in call("report", "warm", "--format", "text").out
    assert "not run: no weights" in call("report", "warm", "--format", "csv").out
    assert "not run: no weights" in call("report", "warm", "--format", "latex").out
    document = call("report", "warm", "--format", "json").document
    assert [row["cells"]["top1"]["n"] for row in document["rows"]] == [2, 0]
    assert [claim["verdict"] for claim in document["claims"]] == ["undecided"]
    call("report", "warm", "--format", "html", "--out", "page.html")
    html = Path("page.html").read_text()
    assert "not run: no weights" in html
    assert '"blocked"' in html  # the page's script lists runs from these data


def test_a_study_that_was_never_run_tells_it_in_its_table_too(call, warm: Path, tiny: Path, fill) -> None:
    fill(tiny)
    assert "| warm | — (not run: no weights) |" in call("report", warm, "--format", "md").out


@pytest.mark.slow
def test_what_starts_from_a_blocked_run_is_blocked(call, warm: Path, weights: bytes) -> None:
    child = child_of(warm, "warm")
    document = call("grid", "plan", child, "--json").document
    parents = {run.seed: run.run_id[:12] for run in load(child).parents}
    short = f"no weights: put first.pt (SHA-256 {hashlib.sha256(weights).hexdigest()[:12]}...) into {warm.parent}/home/weights"  # fmt: skip
    assert {run["seed"]: run["why"] for run in document["runs"] if run["arm"] == "own"} == {
        seed: f"its parent {name} is blocked: {short}" for seed, name in parents.items()
    }
    said = call("grid", "run", child, *INLINE, code=4)
    assert said.err.splitlines()[-2:] == [
        f"2 blocked (own seed 0, own seed 1): its parent has {short}",
        f"Once the weights are in place: ablate grid run {child}",
    ]
    assert "2 done, 2 blocked, 0 to run, 2 parent runs (2 blocked)" in call("grid", "plan", child).out
    assert "| own | — (not run: its parent has no weights) |" in call("report", "child", "--format", "md").out
    (warm.parent / "first.pt").write_bytes(weights)
    call("grid", "run", child, *INLINE)
    assert set(states(call, child).values()) == {"done"}


@pytest.mark.slow
def test_what_starts_from_a_failed_run_needs_a_retry(call, warm: Path, fill) -> None:
    child = child_of(warm, "scratch")
    fill(child, lambda arm, seed: "failed" if arm == "parent" else None)
    assert states(call, child) == {"scratch 0": "queued", "scratch 1": "queued", "own 0": "blocked", "own 1": "blocked"}
    fill(child, lambda arm, seed: {"top1": 0.5})
    said = call("status", "child").err.splitlines()
    parent = load(child).parents[0].run_id[:12]
    assert said == [
        "2 blocked (own seed 0, own seed 1): its parent failed",
        f"  ablate runs show {parent}",
        f"  Once the cause is fixed: ablate grid run {child} --retry failed",
    ]
    assert "| own | — (not run: its parent failed) |" in call("report", "child", "--format", "md").out


@pytest.mark.slow
def test_a_done_parent_without_weights_is_planned_again(call, warm: Path, fill) -> None:
    child = child_of(warm, "scratch")
    fill(child, lambda arm, seed: {"top1": 0.5} if arm == "parent" else None)
    shown = call("grid", "plan", child)
    assert "0 done, 4 to run, 2 parent runs" in shown.out
    again = "2 parent runs to train again: done, but the weights that other runs start from are gone."
    assert again in " ".join(shown.out.split())
    assert call("grid", "plan", child, "--json").document["counts"]["parents"] == 2
    assert again in call("grid", "run", child, *INLINE).err
    planned = " ".join(call("grid", "plan", child).out.split())
    assert again not in planned
    assert "4 done, 0 to run, 2 parent runs (done)" in planned
    parents = {run.run_id for run in load(child).parents}
    assert {count for run_id, count in attempts().items() if run_id in parents} == {2}


@pytest.mark.slow
def test_a_done_parent_that_cannot_train_again_stays_done_and_blocks(call, warm: Path, weights: bytes, fill) -> None:
    child = child_of(warm, "warm")
    fill(child, lambda arm, seed: {"top1": 0.5} if arm == "parent" else None)
    why = {run["why"] for run in call("grid", "plan", child, "--json").document["runs"] if run["state"] == "blocked"}
    parents = {run.run_id[:12] for run in load(child).parents}
    assert why == {
        f"its parent {name} is done, but its weights are gone and it cannot train again: no weights: put first.pt "
        f"(SHA-256 {hashlib.sha256(weights).hexdigest()[:12]}...) into {warm.parent}/home/weights"
        for name in parents
    }
    call("grid", "run", child, *INLINE, code=4)
    assert states(call, child) == {"scratch 0": "done", "scratch 1": "done", "own 0": "blocked", "own 1": "blocked"}
    listed = json.loads(call("runs", "list", "--json").out)["runs"]
    assert {run["attempts"] for run in listed if run["run_id"][:12] in parents} == {1}
    (warm.parent / "first.pt").write_bytes(weights)
    assert "2 parent runs to train again" in call("grid", "run", child, *INLINE).err
    assert set(states(call, child).values()) == {"done"}


def test_who_may_not_be_claimed(warm: Path, tmp_path: Path) -> None:
    """Also a run that is running or failed: another process may give it back to the queue meanwhile."""
    child = load(child_of(warm, "warm"))
    parents = {run.run_id for run in child.parents}
    own = {run.run_id for run in child.runs if run.parent}
    home = tmp_path / "home"
    assert Outlook(child, {}, home).barred == parents, "what waits for a parent is not handed out"
    assert Outlook(child, dict.fromkeys(parents, "running"), home).barred == parents
    assert Outlook(child, dict.fromkeys(parents, "failed"), home).barred == parents
    assert Outlook(child, dict.fromkeys(parents, "done"), home).barred == own
    assert Outlook(child, dict.fromkeys(parents | own, "done"), home).barred == frozenset()


def test_a_chain_is_blocked_to_its_end(warm: Path, tmp_path: Path) -> None:
    child = child_of(warm, "scratch")
    grandchild = warm.with_name("grandchild.yaml")
    text = child.read_text().replace("study: child", "study: grandchild")
    grandchild.write_text(
        text.replace("lr: 0.01", "lr: 0.02").replace("warm.yaml, arm: scratch", "child.yaml, arm: own")
    )
    study = load(grandchild)
    first = next(run for run in study.parents if run.parent is None and run.seed == 0)
    blocks = Outlook(study, {first.run_id: "failed"}, tmp_path / "home").blocks
    middle = next(run for run in study.parents if run.parent == first.run_id)
    last = next(run for run in study.runs if run.parent == middle.run_id)
    assert set(blocks) == {middle.run_id, last.run_id}
    assert (blocks[middle.run_id].why, blocks[middle.run_id].note) == (f"its parent {first.run_id[:12]} is failed", "its parent failed")  # fmt: skip
    assert blocks[last.run_id].why == f"its parent {middle.run_id[:12]} is blocked: its parent {first.run_id[:12]} is failed"  # fmt: skip
