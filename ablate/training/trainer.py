"""The built-in trainer: `fit(run, context) -> Outcome` for image classification."""

from __future__ import annotations

import time
from typing import Any

import torch

from ablate.errors import Interrupted, RunFailure
from ablate.study.code.provenance import checkout, code_of
from ablate.study.recipes.recipe import parse_recipe
from ablate.study.records import Context, EpochRecord, Outcome, Progress
from ablate.study.values.metrics import SPLITS
from ablate.study.values.run import Run
from ablate.training import checkpoint
from ablate.training.environment import environment, fingerprint
from ablate.training.metrics import Evaluation
from ablate.training.numerics import memory_peak, settings, start_memory_peak
from ablate.training.outcome import finish
from ablate.training.session import Selected, Session, prepare

CHECKPOINT_SECONDS = 300.0
PROGRESS_SECONDS = 1.0


def fit(run: Run, context: Context) -> Outcome:
    """Train one run to its end, or from its newest checkpoint on.

    Options of the context, none of which changes what is drawn: `channels_last` (on for networks with convolutions),
    `compile`, `deterministic`, `checkpoint_seconds` (300), `keep` (`last`, `selected` or `all`), `needed_by_child`, `home`,
    `data_root`, `packing`. Raises StudyError for a recipe that cannot be trained, Diverged, BadData, NotFound for absent
    weights or data, NoSpaceOrPermission, and Interrupted once a run that was asked to stop has checkpointed.
    """
    recipe = parse_recipe(run.recipe.json)
    with settings(context):
        try:
            session = prepare(run, recipe, context)
            return _Trainer(session, context).run()
        except torch.OutOfMemoryError as error:
            raise RunFailure(
                f"out of memory on {context.device} with batch_size {recipe.batch_size}: {error}; lower batch_size or "
                "data.image_size (a declared change of the recipe), or run fewer workers on the device",
                code="out-of-memory",
            ) from error


def describe(run: Run, context: Context) -> tuple[dict[str, Any], str]:
    """What the run's numbers depend on besides its recipe: this machine and its packages, the code, and how the arithmetic is
    done."""
    shown = environment(context.device, context.options, threads=context.threads)
    shown |= {**code_of(run).recorded(), **checkout()}
    precision = parse_recipe(run.recipe.json).precision
    return shown, fingerprint(context.device, context.options, precision=precision, threads=context.threads)


class _Trainer:
    """Runs the epochs of a session: trains, evaluates, reports, follows, checkpoints."""

    def __init__(self, session: Session, context: Context) -> None:
        self.session = session
        self.context = context
        self.loop = session.loop
        self.seconds_between = float(context.options.get("checkpoint_seconds", CHECKPOINT_SECONDS))
        self.last_checkpoint = self.last_progress = time.monotonic()
        start_memory_peak(self.loop.numerics.device)

    def run(self) -> Outcome:
        """Train to the end. The last epoch is always evaluated, whether it was planned or early stopping chose it."""
        while True:
            training = self.loop.finish_epoch(self._before_step)
            found = self._evaluate() if self._due() else {}
            self._report(training, found)
            stopping = self._follow(training, found)
            if stopping or self.loop.epoch + 1 == self.loop.recipe.epochs:
                break
            self.loop.next_epoch()
            self._checkpoint_if_due()
        self.session.peak_memory = max(self.session.peak_memory, memory_peak(self.loop.numerics.device))
        outcome = finish(self.session, training, found)
        checkpoint.delete_checkpoints(self.session.folder)
        return outcome

    def _due(self) -> bool:
        """Whether this epoch is evaluated."""
        done = self.loop.epoch + 1
        return done % self.loop.recipe.evaluate_every == 0 or done == self.loop.recipe.epochs

    def _evaluate(self) -> dict[str, Evaluation]:
        return {name: self.loop.evaluate(feed, self._poll) for name, feed in self.session.feeds.items()}

    def _report(self, training: dict[str, float], found: dict[str, Evaluation]) -> None:
        metrics = {"train": training, **{name: evaluation.metrics for name, evaluation in found.items()}}
        self.session.shown = found[self.session.reported].metrics.get("top1") if found else self.session.shown
        self.context.on_epoch(
            [EpochRecord(self.loop.epoch + 1, name, metrics[name]) for name in SPLITS if name in metrics]
        )

    def _follow(self, training: dict[str, float], found: dict[str, Evaluation]) -> bool:
        """Let early stopping and `select` see the validation metrics; True where the run ends here."""
        if not found:
            return False
        selecting, stopping = self.session.selecting, self.session.stopping
        epoch = self.loop.epoch + 1
        if selecting is not None and selecting.update(epoch, found["val"].metrics[selecting.name]):
            state = {name: tensor.detach().clone() for name, tensor in self.loop.evaluated.state_dict().items()}
            self.session.selected = Selected(epoch, training, found, state)
        if stopping is None:
            return False
        stopping.update(epoch, found["val"].metrics[stopping.name])
        return stopping.waited >= (self.loop.recipe.early_stopping.patience or 0)

    def _before_step(self) -> None:
        self._poll()
        self._checkpoint_if_due()
        now = time.monotonic()
        if now - self.last_progress >= PROGRESS_SECONDS:
            self.last_progress = now
            self.context.on_progress(self._progress())

    def _poll(self) -> None:
        """Checkpoint and leave where a signal asks for it. Evaluation changes no state, so it can be left at any batch."""
        signal = self.context.should_stop()
        if signal:
            self._checkpoint()
            raise Interrupted(signal)

    def _checkpoint_if_due(self) -> None:
        if time.monotonic() - self.last_checkpoint >= self.seconds_between:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self.session.peak_memory = max(self.session.peak_memory, memory_peak(self.loop.numerics.device))
        checkpoint.save_checkpoint(self.session.folder, self.loop.step, self.session.state())
        self.last_checkpoint = time.monotonic()

    def _progress(self) -> Progress:
        loop = self.loop
        # reading the sum waits for the device, which is free on the CPU only
        loss = loop.sums.means()[0] if loop.numerics.device.type == "cpu" and loop.sums.images else None
        return Progress(
            run_id=self.session.run_id,
            epoch=loop.epoch + 1,
            epochs=loop.recipe.epochs,
            step=loop.step,
            steps=loop.recipe.epochs * loop.steps_per_epoch,
            loss=loss,
            top1=self.session.shown,
        )
