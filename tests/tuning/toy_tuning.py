"""Trainers for tuning without torch: what a run reaches is a function of its learning rate, its smoothing and its seed."""

from __future__ import annotations

import math
import os
import threading
from typing import Any

from ablate.errors import Diverged, Interrupted
from ablate.study.records import Context, EpochRecord, Outcome
from ablate.study.values.run import Run


def top1(recipe: object, seed: int, epoch: int) -> float:
    """Best at a rate of 0.01 and an epsilon of 0.1; later epochs are better."""
    rate, epsilon = recipe["optimizer"]["lr"], recipe["loss"]["label_smoothing"]  # type: ignore[index]
    miss = 0.1 * abs(math.log10(rate / 0.01)) + abs(epsilon - 0.1)
    return (0.9 - miss + 0.001 * seed) * epoch / (epoch + 1)


def fit(run: Run, context: Context) -> Outcome:
    """As the built-in trainer: it continues where it was stopped, and leaves once it is told to."""
    epochs = run.recipe["epochs"]
    note = context.run_dir / "epoch"
    done = int(note.read_text()) if note.exists() else 0
    with (context.run_dir / "starts").open("a") as starts:
        starts.write(f"{done}\n")
    if run.recipe["optimizer"]["lr"] > 5:
        raise Diverged("the loss is nan at step 3")
    for epoch in range(done + 1, epochs + 1):
        if context.should_stop():
            raise Interrupted(context.should_stop())
        context.on_epoch([
            EpochRecord(epoch, "train", {"loss": 1.0}), EpochRecord(epoch, "val", {"top1": top1(run.recipe, run.seed, epoch)})
        ])  # fmt: skip
        half = note.with_suffix(".half")  # a kill between truncating and writing would leave an empty note
        half.write_text(str(epoch))
        half.replace(note)
    value = top1(run.recipe, run.seed, epochs)
    return Outcome({"val_top1": value, "top1": value, "loss": 1 - value}, "test", details={"pid": os.getpid()})


def slow(run: Run, context: Context) -> Outcome:
    """As `fit`, with a pause in each epoch, so that a signal finds it at work."""
    before = context.on_epoch

    def on_epoch(records: list[EpochRecord]) -> None:
        before(records)
        threading.Event().wait(0.02)

    context.on_epoch = on_epoch
    return fit(run, context)


def stored(tuning: Any, store: Any) -> list[Any]:
    """The trials of a tuning as the store has them, arm after arm."""
    from ablate.tuning.recipes import tuning_key

    keys = [tuning_key(tuning, arm) for arm in tuning.arms]
    found = store.trials(keys)
    return [trial for key in keys for trial in found.get(key, ())]
