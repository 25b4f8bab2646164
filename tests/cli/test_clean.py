"""`clean` frees what nobody needs, and nothing else: not what a lease uses, not what lies elsewhere, not another database's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer import confirm

from ablate.cli.commands import clean as command
from ablate.dispatch.contract.executor import run_folder
from ablate.project.leftovers import DAY, free, look
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.recipes.places import MARKER, make_home

FILES = (
    "checkpoint-000000001-ab.pt", ".ablate-7.tmp", "model-last.pt", "model-last.json", "model-selected.pt",
    "model-selected.json", "attempt-1.log", "mine.txt",
)  # fmt: skip
ALWAYS = {"attempt-1.log", "mine.txt"}
Lay = Callable[[Path], dict[tuple[str, int], Path]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def write(folder: Path, *names: str, days: float = 0.0) -> Path:
    """Files of 4 kB in a folder, last used so many days ago."""
    folder.mkdir(parents=True, exist_ok=True)
    then = time.time() - days * DAY
    for name in names:
        (folder / name).write_bytes(b"x" * 4096)
        os.utime(folder / name, (then, then))
    os.utime(folder, (then, then))
    return folder


@pytest.fixture
def lay(home: Path) -> Lay:
    """A folder with one file of each sort for every run of a study."""

    def lay(study: Path) -> dict[tuple[str, int], Path]:
        loaded = load(study)
        names = {arm.arm_id: arm.name for arm in loaded.arms}
        return {(names[run.arm_id], run.seed): write(run_folder(home, run.run_id), *FILES) for run in loaded.runs}

    return lay


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_it_is_dry_unless_told(call, tiny: Path, fill, lay: Lay, home: Path) -> None:
    fill(tiny)
    lay(tiny)
    before = everything(home)
    said = call("clean")
    assert [[word for word in line.split() if word.isdigit()] for line in said.out.splitlines()] == [
        ["131"], ["16", "4"], ["66", "16"], ["16", "4"],
    ]  # fmt: skip
    assert "98 kB" in said.told(out=True).err
    assert everything(home) == before
    assert "98 kB" in call("clean", "--yes").told().err
    assert "can go" not in call("clean").told().out


def test_what_is_kept_is_kept(call, tiny: Path, fill, lay: Lay) -> None:
    """Runs that are not done keep everything; of done ones the logs, files of others, and kept weights stay."""
    tiny.write_text(tiny.read_text() + "keep: selected\n")
    states: dict[tuple[str, int], Any] = {("plain", 0): {"top1": 0.5}, ("plain", 1): "failed", ("smooth", 0): None}
    fill(tiny, lambda arm, seed: states.get((arm, seed), "running"))
    folders = lay(tiny)
    call("clean", "--yes", "--unknown", "--unused-days", "0")
    for what in (("plain", 1), ("smooth", 0), ("smooth", 1)):
        assert listing(folders[what]) == set(FILES), what
    assert listing(folders["plain", 0]) == ALWAYS | {name for name in FILES if name.startswith("model-")}, (
        "the last epoch is the selected one here"
    )


def test_a_recipe_that_selects_keeps_the_selected_weights(call, tiny: Path, fill, lay: Lay) -> None:
    text = tiny.read_text().replace("test: 0.5}", "val: 0.2, test: 0.3}")
    tiny.write_text(text.replace("  epochs: 2", "  epochs: 2\n  select: val_loss"))
    fill(tiny)
    for folder in lay(tiny).values():
        call("clean", "--yes")
        assert listing(folder) == ALWAYS | {"model-selected.pt", "model-selected.json"}


def test_a_parent_keeps_what_a_run_that_is_not_done_starts_from(call, tmp_path: Path, fill, lay: Lay) -> None:
    for name, init in (("parent", ""), ("child", ", init: {study: parent.yaml, arm: baseline}")):
        (tmp_path / f"{name}.yaml").write_text(
            f"study: {name}\nseeds: 1\nrecipe: {{data: {{name: digits}}, epochs: 1, "
            f"model: {{arch: three-layer-cnn{init}}}}}\n"
        )
    fill(tmp_path / "parent.yaml")
    (folder,) = lay(tmp_path / "parent.yaml").values()
    fill(tmp_path / "child.yaml", lambda arm, seed: None)
    call("clean", "--yes")
    assert listing(folder) == ALWAYS | {"model-last.pt", "model-last.json"}
    fill(tmp_path / "child.yaml")
    call("clean", "--yes")
    assert listing(folder) == ALWAYS


def test_runs_of_other_databases_are_apart_and_go_only_when_asked(call, tiny: Path, fill, home: Path) -> None:
    fill(tiny)
    old = write(run_folder(home, "a" * 64), *FILES, days=3)
    new = write(run_folder(home, "b" * 64), *FILES)
    call("clean").told(out=True)
    assert "ablate clean --yes --unknown" in call("clean", "--yes").told().err
    assert listing(old) == set(FILES)
    call("clean", "--yes", "--unknown")
    assert not old.exists()
    assert listing(new) == set(FILES), "changed today: perhaps it trains just now"


def test_an_open_file_is_in_use(call, home: Path) -> None:
    folder = write(run_folder(home, "a" * 64), "attempt-1.log", days=3)
    with (folder / "attempt-1.log").open("rb"):
        call("clean", "--yes", "--unknown")
        assert folder.exists()
    call("clean", "--yes", "--unknown")
    assert not folder.exists()


def test_decoded_data_goes_when_it_was_not_used_lately_and_nothing_runs(call, tiny: Path, fill, home: Path) -> None:
    write(home, MARKER)
    old = write(home / "cache" / "digits-1", "images.u8", "meta.json", days=40)
    used = write(home / "cache" / "digits-2", "images.u8", days=3)
    write(used, "labels.npy", days=60)
    half = write(home / "cache" / "digits-3.unfinished", "images.u8", days=2)
    young = write(home / "cache" / "digits-4.unfinished", "images.u8")
    write(home / "cache", "digits-1.lock", days=40)
    splits = write(home / "splits", "a.npz", "b.unfinished", days=400)
    fill(tiny, lambda arm, seed: "running")
    said = call("clean", "--yes")
    said.told()
    assert old.exists()
    assert half.exists()
    call("runs", "cancel", *[run["run_id"] for run in call("runs", "list", "--json").document["runs"]])
    call("clean", "--yes")
    assert not old.exists()
    assert not half.exists()
    assert listing(home / "cache") == {used.name, young.name, "digits-1.lock"}
    assert listing(splits) == {"a.npz"}, "a split that was drawn is never drawn anew"
    call("clean", "--yes", "--unused-days", "2")
    assert not used.exists()


def test_no_link_is_followed(call, tiny: Path, fill, home: Path, tmp_path: Path) -> None:
    fill(tiny)
    runs = load(tiny).runs
    elsewhere = write(tmp_path / "elsewhere", *FILES, days=90)
    linked = run_folder(home, runs[0].run_id)
    linked.parent.mkdir(parents=True)
    linked.symlink_to(elsewhere)
    inside = write(run_folder(home, runs[1].run_id), "attempt-1.log")
    (inside / "checkpoint-000000001-ab.pt").symlink_to(elsewhere / "checkpoint-000000001-ab.pt")
    unknown = write(run_folder(home, "a" * 64), "attempt-1.log", days=3)
    (unknown / "more").symlink_to(elsewhere)
    os.utime(unknown, (0, 0))
    then = time.time() - 3 * DAY
    os.utime(unknown / "more", (then, then), follow_symlinks=False)
    (home / "cache").symlink_to(write(tmp_path / "scratch" / "digits-1", "images.u8", days=90).parent)
    said = call("clean", "--yes", "--unknown")
    assert f"{home}/cache" in said.told().err
    assert listing(elsewhere) == set(FILES)
    assert (tmp_path / "scratch" / "digits-1" / "images.u8").exists()
    assert (inside / "checkpoint-000000001-ab.pt").is_symlink()
    assert not unknown.exists()


def test_a_run_that_was_queued_again_meanwhile_is_left_alone(tiny: Path, fill, lay: Lay, home: Path) -> None:
    fill(tiny)
    folders = lay(tiny)
    with Store.open(os.environ["ABLATE_DB"]) as store:
        found = look(home, store, unused_days=30)
        first = load(tiny).runs[0]
        request = store.requests()[0].key
        store.requeue([first.run_id], "its weights are gone", request)
        claim = store.claim(request, WorkerInfo.here())
        assert claim is not None
        gone, problems = free(found, store, ["checkpoints", "weights", "leftovers"])
    assert claim.run.run_id == first.run_id
    assert problems == []
    assert listing(run_folder(home, first.run_id)) == set(FILES)
    assert {item.run_id for item in gone} == {run.run_id for run in load(tiny).runs[1:]}
    assert sum(listing(folder) == ALWAYS for folder in folders.values()) == 3


def test_a_study_that_cannot_be_read_any_more_keeps_its_weights(tiny: Path, fill, lay: Lay, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from ablate.errors import NotFound
    from ablate.project import records

    def gone(record: object) -> None:
        raise NotFound("its parent's study is not there")

    fill(tiny)
    lay(tiny)
    monkeypatch.setattr(records, "load_record", gone)
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        assert {item.kind for item in look(home, store, unused_days=30).items} == {"checkpoints", "leftovers"}


def test_what_cannot_be_removed_is_named(call, tiny: Path, fill, lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tiny)
    lay(tiny)

    def denied(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", denied)
    said = call("clean", "--yes", code=8)
    assert said.error == "no-space-or-permission"
    assert "checkpoint-000000001-ab.pt " in said.err
    assert "Permission denied" in said.err


@pytest.mark.slow
@pytest.mark.parametrize("answer", [True, False])
def test_people_at_a_terminal_are_asked(call, tiny: Path, fill, lay: Lay, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:  # fmt: skip
    fill(tiny)
    lay(tiny)
    asked: list[str] = []

    def confirmed(question: str, **more: Any) -> bool:
        asked.append(question)
        return answer

    assert confirm is command.typer.confirm
    monkeypatch.setattr(command.typer, "confirm", confirmed)
    call("clean")
    assert asked == [], "nobody is there to answer"
    monkeypatch.setattr(command, "_somebody_is_there", lambda: True)
    said = call("clean")
    assert asked == ["Free 98 kB?"]
    assert said.err == ("98 kB freed.\n" if answer else "98 kB can be freed: ablate clean --yes\n")


@pytest.mark.slow
def test_the_document(call, tiny: Path, fill, lay: Lay, home: Path) -> None:
    fill(tiny, lambda arm, seed: {"top1": 0.5} if (arm, seed) == ("plain", 0) else None)
    folder = lay(tiny)["plain", 0]
    document = call("clean", "--json").document
    assert document["schema"] == 1
    assert (document["home"], document["freed_bytes"]) == (str(home), 0)
    assert document["sizes"] == {"runs": 4 * len(FILES) * 4096}
    checkpoint = folder / "checkpoint-000000001-ab.pt"
    assert {
        "kind": "checkpoints", "path": str(checkpoint), "bytes": 4096, "run_id": folder.name, "freed": False,
    } in document["items"]  # fmt: skip
    document = call("clean", "--json", "--yes").document
    assert document["freed_bytes"] == 6 * 4096
    assert all(item["freed"] for item in document["items"])
    assert not checkpoint.exists()


def test_without_a_home_or_a_database_there_is_nothing(call) -> None:
    assert call("clean").told().out == ""


# Whose folder it is ---------------------------------------------------------------------------------------------------


def decoded(home: Path) -> Path:
    return write(home / "cache" / "digits-1", "images.u8", "meta.json", days=90)


@pytest.mark.slow
@pytest.mark.parametrize("place", [".", "project"])
def test_a_folder_that_is_not_ours_is_listed_and_left_alone(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:  # fmt: skip
    """Somebody's project with a cache of its own, to which ABLATE_HOME points by mistake."""
    monkeypatch.setenv("ABLATE_HOME", place)
    folder = tmp_path / place
    theirs = decoded(folder)
    before = everything(folder)
    said = call("clean")
    assert f"{folder} " in said.told(out=True).err
    assert call("clean", "--yes", code=2).told("not-a-home").err == f"error: {said.err}"
    document = call("clean", "--yes", "--json", code=2).document
    assert (document["ours"], document["freed_bytes"], len(document["items"])) == (False, 0, 1)
    assert everything(folder) == before
    call("clean", "--yes", "--adopt")
    assert not theirs.exists()
    decoded(folder)
    assert call("clean", "--yes").err == "8 kB freed.\n", "adopted once"


def test_a_home_with_our_runs_and_the_default_one_are_adopted(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    default = tmp_path / "me" / ".cache" / "ablate"
    with_runs = tmp_path / "older"
    write(run_folder(with_runs, "a" * 64), "attempt-1.log")
    for folder, given in ((default, ""), (with_runs, str(with_runs))):
        monkeypatch.setenv("ABLATE_HOME", given)
        gone = decoded(folder)
        assert call("clean", "--yes").err == "8 kB freed.\n"
        assert not gone.exists()
        assert (folder / MARKER).is_file()


@pytest.mark.parametrize("name", ["runs/experiment-1", "runs/ab/notes", f"runs/ab/{'c' * 64}", f"runs/{'a' * 64}"])
def test_a_runs_folder_of_others_is_no_layout_of_ours(call, home: Path, name: str) -> None:
    write(home / name, "events.log", days=90)
    kept = decoded(home)
    call("clean", "--yes", "--unknown", code=2)
    assert kept.exists()


def test_a_grid_marks_a_new_home_and_no_folder_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, inside, marked in (("new", None, True), ("full", "notes.txt", False)):
        monkeypatch.setenv("ABLATE_HOME", str(tmp_path / name))
        if inside:
            write(tmp_path / name, inside)
        assert (make_home() / MARKER).is_file() is marked


def test_folders_in_a_cache_that_hold_other_things_stay(call, home: Path) -> None:
    decoded(home)
    write(home, MARKER)
    mixed = write(decoded(home).with_name("mixed"), "images.u8", "thesis.txt", days=90)
    theirs = write(home / "cache" / "pip", "wheel.whl", days=90)
    call("clean", "--yes")
    assert listing(home / "cache") == {mixed.name, theirs.name}


def test_checkpoints_of_pruned_trials_go(call, tiny: Path, lay: Lay) -> None:
    study = load(tiny)
    with Store.open(os.environ["ABLATE_DB"]) as store:
        key = store.save_study(study, call_options={"set": [], "seeds": None})
        claim = store.claim(key, WorkerInfo.here())
        assert claim is not None
        store.prune(claim, "worse than the median")
    folders = lay(tiny)
    call("clean", "--yes")
    left = {folder.name: listing(folder) for folder in folders.values()}
    assert left.pop(claim.run.run_id) == set(FILES) - {"checkpoint-000000001-ab.pt", ".ablate-7.tmp"}
    assert all(names == set(FILES) for names in left.values())


def test_what_scripts_left_is_said_and_stays(call, tmp_path: Path, fill, home: Path) -> None:
    (tmp_path / "train.py").write_text("print('top1: 0.5')\n")
    study = tmp_path / "mine.yaml"
    study.write_text(
        "study: mine\nseeds: 2\nfactors: {lr: {path: lr, levels: [0.1]}}\nbaseline: {lr: 0.1}\ntrainer:\n  command: python train.py --seed {seed} --lr {lr}\n"
        "  metrics: {top1: {better: higher, pattern: 'top1: (\\S+)'}}\nrecipe: {lr: 0.1}\n"
    )
    fill(study, lambda arm, seed: {"top1": 0.5} if seed else "failed")
    folders = [run_folder(home, run.run_id) for run in load(study).runs]
    for folder in folders:
        write(folder, "attempt-1.log", "model.pth")
        write(folder / "code-0123456789ab", "last.ckpt")
    said = call("clean", "--yes")
    assert "kept: files written by scripts" in said.out
    assert said.out.splitlines()[-1].split()[-5:] == ["16", "kB", "in", "2", "places"]
    assert call("clean", "--json").document["scripts"] == [
        {"path": str(path), "bytes": 8192} for path in sorted(folders)
    ]
    assert all(listing(path) == {"attempt-1.log", "model.pth", "code-0123456789ab"} for path in folders)
