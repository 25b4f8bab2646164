"""`grid run` with real, tiny trainings: what stops it, what it does next time, and that its numbers do not depend on that."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.store.store import Store
from ablate.study.loader import Choices, load

COSTS = ("examples_per_second", "peak_memory")
INLINE = ("--executor", "inline", "--threads", "1")


def attempts(db: Path | None = None) -> dict[str, int]:
    with Store.open(f"sqlite:///{db}" if db else os.environ["ABLATE_DB"], read_only=True) as store:
        return {result.run.run_id: len(result.attempts) for result in store.list_runs()}


def numbers(study: Path, sets: tuple[str, ...] = (), db: Path | None = None) -> dict[str, Any]:
    """All that was measured, costs aside, to the last bit."""
    runs = [run.run_id for run in load(study, Choices(None, sets)).runs]
    with Store.open(f"sqlite:///{db}" if db else os.environ["ABLATE_DB"], read_only=True) as store:
        found = store.results(runs)
        problems = store.check()
    assert problems == []
    assert {found[run].state for run in runs} == {"done"}
    return {
        run: (
            {name: value for name, value in found[run].metrics.items() if name not in COSTS},
            {epoch: {n: v for n, v in values.items() if n not in COSTS} for epoch, values in found[run].epochs.items()},
            found[run].confusions,
        )
        for run in runs
    }


def counts(call, study: object, *more: str) -> dict[str, int]:
    found = call("status", study, *more, "--json").document["counts"]
    return {name: found[name] for name in ("done", "running", "failed", "lost", "to_run") if found[name]}


@pytest.mark.slow
def test_a_grid_trains_prints_its_table_and_trains_nothing_twice(call, tiny: Path) -> None:
    first = call("grid", "run", tiny, *INLINE)
    assert first.err.splitlines()[0].startswith("tiny: 4 runs, 0 done, 4 to run; results in ")
    assert Counter(line.split()[1] for line in first.err.splitlines() if line.startswith("[")) == {"done": 4}
    assert "\x1b" not in first.err + first.out
    assert "top1_top5" in first.out
    assert first.err.splitlines()[-1] == f"Nothing left to run. The report: ablate report {tiny}"
    before = numbers(tiny)
    second = call("grid", "run", tiny, *INLINE)
    assert "tiny: 4 runs, 4 done, 0 to run" in second.err
    assert "[" not in second.err.replace("[1/4]", "")
    assert numbers(tiny) == before
    assert set(attempts().values()) == {1}


def test_each_attempt_records_what_it_ran_on(call, tiny: Path) -> None:
    call("grid", "run", tiny, *INLINE, "--limit", "1")
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        attempt = store.list_runs(states=["done"])[0].attempts[0]
    assert attempt.fingerprint is not None
    assert attempt.fingerprint.startswith("cpu, ")
    assert "1 threads" in attempt.fingerprint
    assert {"python", "packages", "code", "commit", "threads", "device"} <= set(attempt.environment)


def test_limit_and_seeds_and_set_and_json(call, tiny: Path) -> None:
    options = ("--seeds", "1,7", "--set", "epochs=1")
    document = call("grid", "run", tiny, *INLINE, *options, "--limit", "1", "--json").document
    assert (document["counts"]["done"], document["counts"]["to_run"]) == (1, 3)
    assert [run["seed"] for run in document["runs"]] == [1, 1, 7, 7]
    assert call("runs", "show", document["runs"][0]["run_id"], "--json").document["recipe"]["epochs"] == 1


def test_another_profile_is_other_runs(call, tiny: Path) -> None:
    tiny.write_text("profiles:\n  cpu: {recipe: {epochs: 1}}\n" + tiny.read_text())
    said = call("grid", "run", tiny, *INLINE, "--profile", "cpu", "--limit", "1")
    assert said.err.startswith("tiny (cpu): 4 runs, 0 done, 4 to run")
    assert said.err.splitlines()[-1] == f"3 runs left: ablate grid run {tiny} --profile cpu"
    assert "profile cpu" in said.out
    assert call("grid", "plan", tiny, "--json").document["counts"]["done"] == 0


def test_fail_fast_stops_at_the_first_failure(call, tiny: Path) -> None:
    said = call("grid", "run", tiny, *INLINE, "--fail-fast", "--set", "optimizer.lr=1e30", code=4)
    assert "[1/4] failed  plain seed 0" in said.err
    assert "3 runs left: " in said.err
    assert call("status", "tiny", "--set", "optimizer.lr=1e30", "--json").document["counts"]["failed"] == 1
    without = call("grid", "run", tiny, *INLINE, "--set", "optimizer.lr=1e30", code=4)
    assert "4 failed (plain seed 0, smooth seed 0, plain seed 1 and 1 more): " in without.err
    assert "not finite" in without.err
    assert without.err.splitlines()[-1].endswith("--set optimizer.lr=1e+30 --retry failed") or (
        without.err.splitlines()[-1].endswith("--set optimizer.lr=1e30 --retry failed")
    )


@pytest.mark.slow
def test_retry_takes_what_it_names_and_nothing_else(call, tiny: Path, fill) -> None:
    told = {("plain", 0): "failed", ("plain", 1): "lost", ("smooth", 0): {"top1": 0.5}}
    fill(tiny, lambda arm, seed: told.get((arm, seed)))
    queued = call("runs", "list", "--state", "queued", "--json").document["runs"]
    call("runs", "cancel", *[run["run_id"] for run in queued])
    left_alone = call("grid", "run", tiny, *INLINE, code=4)
    assert "1 failed, 1 lost, 1 cancelled: " in left_alone.told().err
    assert "--retry all" in left_alone.err
    assert "1 done, 1 to run" in call("grid", "run", tiny, *INLINE, "--retry", "lost", code=4).err
    assert "2 done, 1 to run" in call("grid", "run", tiny, *INLINE, "--retry", "failed", code=4).err
    assert "3 done, 1 to run" in call("grid", "run", tiny, *INLINE, "--retry", "all").err
    assert "4 done, 0 to run" in call("grid", "run", tiny, *INLINE, "--retry", "all").err
    assert sorted(attempts().values()) == [1, 2, 2, 4], "done, was cancelled, failed once, lost three times"


@pytest.mark.slow
def test_retry_stale_runs_done_ones_of_other_code(call, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("grid", "run", tiny, *INLINE)
    assert "4 done, 0 to run" in call("grid", "run", tiny, *INLINE, "--retry", "stale").err
    monkeypatch.setattr("ablate.study.code.provenance._core", lambda: (frozenset(), "other"))
    told = " ".join(call("grid", "run", tiny, *INLINE).out.split())
    assert (
        "Stale: 4 of 4 runs were trained by other code of the trainer than the present (trainer core changed);" in told
    )
    assert "0 done, 4 to run" in call("grid", "run", tiny, *INLINE, "--retry", "stale", "--limit", "1").err


@pytest.fixture
def pictures(tiny: Path, tmp_path: Path) -> Path:
    """An image folder of two classes with one file that is no image; the tiny study trains on it."""
    import numpy as np
    from PIL import Image

    draws = np.random.default_rng(0)
    for name in ("cat", "dog"):
        folder = tmp_path / "data" / "pets" / name
        folder.mkdir(parents=True)
        for number in range(10):
            Image.fromarray(draws.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    old = "{name: digits, limit: 80, "
    tiny.write_text(tiny.read_text().replace(old, "{name: imagefolder, path: pets, image_size: 8, ").replace("top1, top5", "top1, loss"))  # fmt: skip
    return folder


@pytest.mark.slow
def test_an_image_that_cannot_be_decoded_is_named_and_counted(call, tiny: Path, pictures: Path) -> None:
    said = call("grid", "run", tiny, *INLINE, code=4)
    assert "3 runs in a row could not read their data, so no more will be started: " in said.err
    assert "1 of 21 images cannot be decoded: dog/broken.jpg (" in said.err
    assert "Replace or remove them, or set data.on_bad_image: skip to train without them" in said.err
    call("grid", "run", tiny, *INLINE, "--set", "data.on_bad_image=skip")
    run = call("runs", "list", "--state", "done", "--json").document["runs"][0]["run_id"]
    shown = call("runs", "show", run)
    assert "skipped 1 image that cannot be decoded (on_bad_image: skip)\n  dog/broken.jpg: " in shown.out
    skipped = call("runs", "show", run, "--json").document["details"]["data"]["skipped"]
    assert [image["path"] for image in skipped] == ["dog/broken.jpg"]


def test_a_class_folder_without_images(call, tiny: Path, pictures: Path) -> None:
    (pictures / "broken.jpg").unlink()
    (pictures.parent / "emu").mkdir()
    said = call("grid", "run", tiny, *INLINE, "--limit", "1", code=4)
    assert " emu; " in said.told().err


@pytest.mark.slow
def test_a_full_disk_stops_the_grid_which_goes_on_once_there_is_room(
    call, tiny: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ablate.training.data import forget_data

    forget_data()
    monkeypatch.setenv("ABLATE_HOME", str(small_disk / "home"))
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    said = call("grid", "run", tiny, *INLINE, code=8)
    assert "Free some space" in said.err
    assert counts(call, tiny) == {"to_run": 4}
    assert said.err.splitlines()[-1] == f"4 runs left: ablate grid run {tiny}"
    filler.unlink()
    call("grid", "run", tiny, *INLINE)
    assert counts(call, tiny) == {"done": 4}


LONG = "epochs=8"
LOCAL = ("--executor", "local", "--workers", "1", "--threads", "1", "--set", LONG)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], dict[str, Any]]:
    """The numbers of the tiny study at eight epochs, trained by one worker that nobody disturbed."""
    kept: dict[str, Any] = {}

    def once(study: Path) -> dict[str, Any]:
        if not kept:
            folder = tmp_path_factory.mktemp("undisturbed")
            environment = {**os.environ, "ABLATE_HOME": str(folder / "home")}
            command = [sys.executable, "-m", "ablate", "grid", "run", str(study), *LOCAL, "--db", str(folder / "a.db")]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            kept.update(numbers(study, (LONG,), folder / "a.db"))
        return kept

    return once


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_grid_goes_on_and_ends_as_if_undisturbed(
    call, start, tiny: Path, undisturbed, number: int, code: int
) -> None:
    grid = start("grid", "run", tiny, *LOCAL)
    assert any(line.startswith("[1/4] done") for line in grid.stderr)
    grid.send_signal(number)
    out, err = grid.communicate(timeout=60)
    assert grid.returncode == code, err
    assert "Traceback" not in out + err
    assert f"left: ablate grid run {tiny} --set {LONG}" in err
    found = counts(call, "tiny", "--set", LONG)
    assert "running" not in found, "leases are given back"
    assert found["done"] + found["to_run"] == 4
    assert 1 <= found["done"] <= 3
    again = start("grid", "run", tiny, *LOCAL)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert sum(line.startswith("[") for line in err.splitlines()) == found["to_run"], "only the rest"
    assert numbers(tiny, (LONG,)) == undisturbed(tiny)


@pytest.mark.slow
def test_two_workers_and_a_second_grid_run_change_no_number_and_train_nothing_twice(
    start, tiny: Path, undisturbed
) -> None:
    options = ("--workers", "2", "--threads", "1", "--set", LONG)
    grids = [start("grid", "run", tiny, *options), start("grid", "run", tiny, *options)]
    said = [grid.communicate(timeout=180)[1] for grid in grids]
    assert [grid.returncode for grid in grids] == [0, 0], said
    assert sum(line.startswith("[") for err in said for line in err.splitlines()) == 4
    assert list(attempts().values()) == [1, 1, 1, 1]
    assert numbers(tiny, (LONG,)) == undisturbed(tiny)
