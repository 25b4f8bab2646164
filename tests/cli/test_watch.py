"""`watch` shows what runs where and what has changed, and writes nothing."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from golden_texts import worded
from rich.console import Console

from ablate.cli.commands import watch
from ablate.project.planning import NOBODY, make_plan
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.store.values import Clock
from ablate.study.loader import load
from ablate.study.records import EpochRecord, Outcome
from ablate.study.values.study import Study


@pytest.fixture
def grid(tiny: Path) -> Iterator[tuple[Study, Store, Callable[[], Any]]]:
    """The tiny study, its store at a time of its own, and a worker elsewhere that claims."""
    with Store.open(os.environ["ABLATE_DB"], clock=Clock(lambda: 1000.0)) as store:
        study = load(tiny)
        key = store.save_study(study, call_options={"set": [], "seeds": None})
        yield study, store, lambda: store.claim(key, WorkerInfo("far:7:ab", "far", "boot", 7, 1, "cuda:0"), 600.0)


def begin(store: Store, claim: Any) -> None:
    store.set_environment(claim, {}, None, "cuda:0")
    store.record_epoch(claim, [EpochRecord(1, "train", {"loss": 0.5}), EpochRecord(1, "test", {"top1": 0.25})])


def test_a_frame_says_what_runs_where(grid) -> None:
    study, store, claim = grid
    store.finish(claim(), Outcome({"top1": 0.5}, "test"), 60.0)
    begin(store, claim())
    lines = watch.lines(watch.look(store, [make_plan(study, store)], 1130.0))
    worded(lines, "tiny: 1 of 4 ", "1 running", "2 to run", "2 min", file="watch")
    assert lines[1].split("  ")[1:] == [
        "smooth seed 0", "epoch 1/2", "loss 0.5000", "top1 0.2500", "2 min", "cuda:0", "far:7:ab",
    ]  # fmt: skip


def test_a_second_attempt_is_told_and_many_runs_are_counted(grid, monkeypatch: pytest.MonkeyPatch) -> None:
    study, store, claim = grid
    store.release(claim(), "SIGTERM")
    for _ in range(3):
        claim()
    monkeypatch.setattr(watch, "SHOWN_RUNNING", 1)
    lines = watch.lines(watch.look(store, [make_plan(study, store)], 1000.0))
    worded(lines, "tiny: 0 of 4 ", "3 running", "1 to run", "  and 2 ", file="watch")
    assert lines[1].split("  ")[1:] == ["plain seed 0", "epoch 0/2", "0 s", "cuda:0", "far:7:ab", "attempt 2"]
    assert len(lines) == 3


def test_off_a_terminal_it_tells_changes_until_nothing_is_left(grid) -> None:
    study, store, claim = grid
    claims = [claim() for _ in range(4)]
    steps = iter(
        [
            lambda: store.finish(claims[0], Outcome({"top1": 0.5}), 1.0),
            lambda: None,
            lambda: store.fail(claims[1], "line one\nValueError: no such layer"),
            lambda: [store.finish(one, Outcome({"top1": 0.5}), 1.0) for one in claims[2:]],
        ]
    )
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        next(steps)()

    console = Console(record=True, width=100, file=io.StringIO())
    watch._tell(watch._frames(store, lambda: [make_plan(study, store)], 2.0, False, lambda: 1000.0, sleep), console)
    assert waits == [2.0] * 4
    names = {run.run_id: f"{arm} seed {run.seed}" for run in study.runs for arm in [_arm(study, run)]}
    assert [line.split("  ") for line in console.export_text().splitlines()[5:]] == [
        ["done", names[claims[0].run.run_id]],
        ["failed", names[claims[1].run.run_id], "ValueError: no such layer"],
        *(["done", names[one.run.run_id]] for one in claims[2:]),
    ]


def _arm(study: Study, run: Any) -> str:
    return next(arm.name for arm in study.arms if arm.arm_id == run.arm_id)


def test_on_a_terminal_the_screen_says_the_rate(grid) -> None:
    study, store, claim = grid
    claims = [claim() for _ in range(4)]
    times = iter([1000.0, 1090.0])

    def sleep(seconds: float) -> None:
        for one in claims:
            store.finish(one, Outcome({"top1": 0.5}), 90.0)

    console = Console(record=True, width=100, force_terminal=True, file=io.StringIO())
    watch._show(
        watch._frames(store, lambda: [make_plan(study, store)], 2.0, False, lambda: next(times), sleep), console
    )
    assert "160 runs/h" in console.export_text()


def test_it_only_looks(call, tiny: Path, fill, tmp_path: Path) -> None:
    fill(tiny, lambda arm, seed: "running" if arm == "plain" else None)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for args in ((), ("tiny",), (tiny,)):
        said = call("watch", "--once", *args)
        first, *running = said.told().out.splitlines()
        worded(first, "tiny: 0 of 4 ", "2 running", "2 to run", file="watch")
        assert len(running) == 2
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_it_ends_by_itself_where_nothing_is_left(call, tiny: Path, fill) -> None:
    fill(tiny)
    assert call("watch").told(out=True).out.startswith("tiny: 4 of 4 ")


def test_without_a_database_it_says_what_to_do(call) -> None:
    assert "ablate grid run STUDY.yaml" in call("watch", code=5).told("no-database").err


@pytest.fixture
def tuning(tiny: Path) -> Callable[..., None]:
    """Runs of the tiny study as if a tuning had asked for them: the ends of the first ones, the others stay queued."""

    def record(*ends: str) -> None:
        study = replace(load(tiny), name="tune:tiny:random")
        with Store.open(os.environ["ABLATE_DB"]) as store:
            key = store.save_study(
                replace(study, runs=study.runs[: len(ends)]), call_options={"set": [], "seeds": None}
            )
            for end in ends:
                claim = store.claim(key, WorkerInfo.here(), 600.0)
                if claim is not None and end == "pruned":
                    store.prune(claim, "worse than the median")
                elif claim is not None and end == "done":
                    store.finish(claim, Outcome({"top1": 0.5}, "test"), 1.0)

    return record


def test_a_finished_tuning_is_finished_though_trials_were_pruned(call, tuning) -> None:
    tuning("done", "pruned", "done", "pruned")
    said = call("status")
    assert "2 of 4 " in said.told(out=True).out
    assert "ablate tune report" in said.err
    assert call("watch", "--every", "0.1").told().out == said.out, "and watch ends by itself"


def test_trials_that_come_while_one_watches_are_seen(tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    tuning("running", "running")
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        plans = watch._plans(store, None, None, [])
        assert [plan.counts["total"] for plan in plans()] == [2]
        tuning("running", "running", "running", "running")
        assert [plan.counts["total"] for plan in plans()] == [4]


def test_that_nobody_works_on_it_is_said(call, grid, tiny: Path) -> None:
    study, store, claim = grid
    store.finish(claim(), Outcome({"top1": 0.5}, "test"), 60.0)
    claim()
    live = watch.lines(watch.look(store, [make_plan(study, store)], 1000.0))
    assert not any(NOBODY in line for line in live)
    assert f"  {NOBODY}" in call("watch", "tiny", "--once").out.splitlines(), (
        "by today's clock its lease ended long ago"
    )
    assert f"  {NOBODY}" in call("status", "tiny").err.splitlines()


def told(frames: list[watch.Frame]) -> list[str]:
    console = Console(record=True, width=100, file=io.StringIO())
    watch._tell(iter(frames), console)
    return console.export_text().splitlines()


def test_off_a_terminal_it_tells_once_that_nobody_is_left(grid) -> None:
    study, store, claim = grid
    claim()
    frames = [watch.look(store, [make_plan(study, store)], 1000.0)]
    with Store.open(os.environ["ABLATE_DB"], read_only=True, clock=Clock(lambda: 5000.0)) as later:
        frames += [watch.look(later, [make_plan(study, later)], 5000.0) for _ in range(2)]
    assert not any(NOBODY in line for line in told(frames[:1]))
    assert told(frames).count(f"tiny: {NOBODY}") == 1


def test_off_a_terminal_a_trial_that_came_and_ended_between_two_looks_is_told(tuning) -> None:
    tuning("running", "running")
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        plans = watch._plans(store, None, None, [])
        frames = [watch.look(store, plans(), 0.0)]
        tuning("done", "running", "running", "running")
        frames.append(watch.look(store, plans(), 0.0))
    new = told(frames)[len(told(frames[:1])) :]
    assert [line.split()[0] for line in new] == ["done", "running"]
