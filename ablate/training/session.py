"""One run made ready to train: its data, network, loop and memory, and what of it a checkpoint holds."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ablate.errors import AblateError
from ablate.parts.declare import Loss
from ablate.parts.found import parts
from ablate.parts.hooks import Setup
from ablate.study.code.provenance import code_of
from ablate.study.recipes.recipe import Recipe
from ablate.study.recipes.uses import settings_of
from ablate.study.records import Context
from ablate.study.values.run import Run
from ablate.training import checkpoint, freeze, sources
from ablate.training.batches import Feed, bounds, forget_others
from ablate.training.environment import fingerprint
from ablate.training.hooking import hooks_of
from ablate.training.init import InitReport, initialise
from ablate.training.loop import Loop
from ablate.training.losses import Objective, class_weights
from ablate.training.metrics import Evaluation
from ablate.training.models import Built, build_model
from ablate.training.numerics import numerics
from ablate.training.optimizer import build_optimizer
from ablate.training.registry import search_also
from ablate.training.schedule import learning_rate
from ablate.training.selection import Watch, watch
from ablate.training.teacher import Teachers
from ablate.training.trunk import keep_trunk


@dataclass(frozen=True)
class Selected:
    """The epoch that `select` has chosen so far: its metrics, its confusion counts and its weights."""

    epoch: int
    training: dict[str, float]
    found: dict[str, Evaluation]
    weights: dict[str, torch.Tensor]


@dataclass
class Session:
    """All that belongs to one run while it trains. `feeds` holds the splits that are evaluated, by name."""

    run_id: str
    code: str
    recipe: Recipe
    folder: Path
    options: dict[str, Any]
    splits: sources.DataSplits
    feeds: dict[str, Feed]
    built: Built
    init: InitReport
    loop: Loop
    stopping: Watch | None
    selecting: Watch | None
    frozen_digest: str
    fingerprints: list[str]
    selected: Selected | None = None
    peak_memory: int = 0
    resumed_at: list[int] = field(default_factory=list)
    shown: float | None = None

    @property
    def reported(self) -> str:
        return self.splits.reported

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds, in types that `weights_only=True` reads."""
        chosen = self.selected
        return {
            "run_id": self.run_id,
            "data": self.splits.digest,
            "code": self.code,
            "loop": self.loop.state(),
            "stopping": self.stopping.state() if self.stopping else None,
            "selecting": self.selecting.state() if self.selecting else None,
            "selected": None if chosen is None else _packed(chosen),
            "frozen": self.frozen_digest,
            "fingerprints": self.fingerprints,
            "peak_memory": self.peak_memory,
            "resumed_at": self.resumed_at,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint of this run."""
        self.loop.load(state["loop"])
        self.stopping = Watch.from_state(state["stopping"]) if state["stopping"] else None
        self.selecting = Watch.from_state(state["selecting"]) if state["selecting"] else None
        self.selected = None if state["selected"] is None else _unpacked(state["selected"], self.loop.numerics.device)
        self.frozen_digest = state["frozen"]
        self.fingerprints += [earlier for earlier in state["fingerprints"] if earlier not in self.fingerprints]
        self.peak_memory = state["peak_memory"]
        self.resumed_at = [*state["resumed_at"], self.loop.step]


def prepare(run: Run, recipe: Recipe, context: Context) -> Session:
    """Load the data, build the network and the loop, and take up the newest checkpoint of this run if there is one."""
    if context.options.get("study_dir"):
        search_also(str(context.options["study_dir"]))
    splits = sources.load_data(recipe.data, run.seed, context.options)
    for note in splits.details.get("notes", ()):
        print(note, file=sys.stderr)  # the run's log
    evaluated = {name: split for name in ("val", "test") if (split := getattr(splits, name)) is not None}
    forget_others([splits.train, *evaluated.values()])
    classes, has_val = len(splits.classes), splits.val is not None
    stopping = selecting = None
    if recipe.early_stopping.patience is not None:
        metric = recipe.early_stopping.metric
        stopping = watch("early_stopping.metric", metric, classes=classes, has_validation=has_val)
    if recipe.select != "last":
        selecting = watch("select", recipe.select, classes=classes, has_validation=has_val)
    channels, height, width = splits.train.images.shape[1:]
    built = build_model(
        recipe.model, num_classes=classes, image_shape=(channels, height, width), seed=run.seed, settings=recipe.values
    )
    report = initialise(
        built.network,
        recipe.model,
        settings=recipe.values,
        classes=splits.classes,
        home=sources.home(context.options),
        parent_dir=context.parent_dir,
        study_dir=context.options.get("study_dir"),
        parent_study_dirs=context.options.get("parent_study_dirs", ()),
    )
    loop = _loop(run, recipe, context, splits, built.network)
    here = fingerprint(
        context.device,
        {**context.options, "channels_last": loop.numerics.layout is torch.channels_last},
        precision=recipe.precision,
        threads=context.threads,
    )
    session = Session(
        run_id=run.run_id,
        code=code_of(run).digest,
        recipe=recipe,
        folder=context.run_dir,
        options=dict(context.options),
        splits=splits,
        feeds={name: Feed(split, loop.numerics.device) for name, split in evaluated.items()},
        built=built,
        init=report,
        loop=loop,
        stopping=stopping,
        selecting=selecting,
        frozen_digest=freeze.digest(built.network, loop.frozen),
        fingerprints=[here],
    )
    _resume(session)
    if context.options.get("keep_trunk", True):
        keep_trunk(loop, session.feeds, splits.digest, here, sources.home(context.options), context.should_stop)
    return session


def _loop(run: Run, recipe: Recipe, context: Context, splits: sources.DataSplits, network: nn.Module) -> Loop:
    convolutions = any(isinstance(module, nn.Conv2d) for module in network.modules())
    chosen = numerics(context, precision=recipe.precision, has_convolutions=convolutions)
    frozen = freeze.freeze(network, recipe.model.trainable)
    network.to(chosen.device, memory_format=chosen.layout)  # type: ignore[call-overload]
    feed = Feed(splits.train, chosen.device)
    steps = len(bounds(len(feed), recipe.batch_size))
    setup = Setup(
        seed=run.seed,
        classes=len(splits.classes),
        device=chosen.device,
        precision=recipe.precision,
        steps_per_epoch=steps,
        total_steps=steps * recipe.epochs,
        network=network,
        forward=chosen.forward,
        load_network=Teachers(recipe, context, splits, feed.shape, chosen).load,
    )
    hooks = hooks_of(recipe, setup)
    loss = parts(Loss)[recipe.get(Loss.kind)]
    weights = class_weights(recipe.loss, splits.train.labels, splits.classes)
    return Loop(
        recipe=recipe,
        seed=run.seed,
        network=network,
        frozen=frozen,
        optimizer=build_optimizer(network, recipe, chosen.device),
        objective=Objective(
            len(splits.classes),
            loss,
            settings_of(loss, recipe),
            None if weights is None else weights.to(chosen.device),
            hooks.labels,
        ),
        rate=learning_rate(recipe, steps_per_epoch=steps),
        hooks=hooks,
        feed=feed,
        numerics=chosen,
        mean=splits.mean.to(chosen.device),
        std=splits.std.to(chosen.device),
    )


def _resume(session: Session) -> None:
    """Take up the newest whole checkpoint; those of another run, of other data or of other code are removed."""
    state = checkpoint.load_checkpoint(session.folder)
    if state is None:
        return
    if state.get("run_id") != session.run_id or state.get("data") != session.splits.digest:
        checkpoint.delete_checkpoints(session.folder)
        return
    if state.get("code") != session.code:
        print("the checkpoint was written by another version of the trainer; it is removed, and the run starts again")
        checkpoint.delete_checkpoints(session.folder)
        return
    try:
        session.load(state)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise AblateError(
            f"the checkpoint in {session.folder} does not fit this version of ablate ({error}); remove it to start over"
        ) from error


def _packed(chosen: Selected) -> dict[str, Any]:
    found = {name: {"metrics": one.metrics, "confusion": one.confusion} for name, one in chosen.found.items()}
    return {"epoch": chosen.epoch, "training": chosen.training, "found": found, "weights": chosen.weights}


def _unpacked(state: dict[str, Any], device: torch.device) -> Selected:
    found = {name: Evaluation(one["metrics"], one["confusion"]) for name, one in state["found"].items()}
    weights = {name: tensor.to(device) for name, tensor in state["weights"].items()}
    return Selected(state["epoch"], state["training"], found, weights)
