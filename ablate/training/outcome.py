"""What a finished run hands over: its final numbers, its confusion counts, its weights and how it came about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from ablate.study.records import Artifact, Confusion, Outcome
from ablate.study.values.metrics import METRICS
from ablate.training import checkpoint, freeze
from ablate.training.init import head_name
from ablate.training.metrics import Evaluation
from ablate.training.models import parameter_count
from ablate.training.session import Session
from ablate.training.teacher import network_settings


def finish(session: Session, training: dict[str, float], found: dict[str, Evaluation]) -> Outcome:
    """The outcome after the last epoch; `training` and `found` are that epoch's. Writes the weights that are to be kept.

    Raises AblateError where a frozen layer moved, NoSpaceOrPermission where weights cannot be written.
    """
    loop, chosen = session.loop, session.selected
    freeze.check_unmoved(loop.network, loop.frozen, session.frozen_digest)
    last = _metrics(session, training, found)
    confusions = [_confusion(session, found, "last")]
    final = last
    if chosen is not None:
        final = {**_metrics(session, chosen.training, chosen.found), "selected_epoch": float(chosen.epoch)}
        confusions.append(_confusion(session, chosen.found, "selected"))
    costs = {"peak_memory": float(session.peak_memory), "epochs_trained": float(loop.epoch + 1)}
    if loop.seconds > 0:
        costs["examples_per_second"] = loop.images_seen / loop.seconds
    return Outcome(
        metrics={**final, **costs},
        reported_split=session.reported,
        selected_epoch=None if chosen is None else chosen.epoch,
        confusions=tuple(confusions),
        artifacts=tuple(_weights(session)),
        details=_details(session, last if chosen is not None else None),
    )


def _metrics(session: Session, training: dict[str, float], found: dict[str, Evaluation]) -> dict[str, float]:
    """Each split's metrics with its prefix, and the reported split's without one."""
    named = {f"train_{name}": value for name, value in training.items() if f"train_{name}" in METRICS}
    for split, evaluation in found.items():
        named |= {f"{split}_{name}": value for name, value in evaluation.metrics.items()}
    return {**found[session.reported].metrics, **named}


def _confusion(session: Session, found: dict[str, Evaluation], at: str) -> Confusion:
    rows = found[session.reported].confusion.tolist()
    return Confusion(session.reported, at, session.splits.classes, tuple(tuple(row) for row in rows))


def _details(session: Session, last: Mapping[str, float] | None) -> dict[str, Any]:
    splits, network = session.splits, session.loop.network
    sizes = {"train": len(session.loop.feed), **{name: len(feed) for name, feed in session.feeds.items()}}
    details: dict[str, Any] = {
        "parameters": parameter_count(network),
        "trainable_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "init": session.init.as_details(),
        "variant": session.built.variant,
        "settings_without_effect": list(session.built.without_effect),
        "data": {
            "digest": splits.digest,
            "classes": len(splits.classes),
            "class_names": list(splits.classes),
            "images": sizes,
            **{name: splits.details[name] for name in ("ignored_files", "ignored", "notes") if name in splits.details},
            "skipped": [{"path": str(path), "reason": reason} for path, reason in splits.skipped],
        },
        "fingerprint": session.fingerprints[0],
        "resumed_at": session.resumed_at,
        "stopped_early": session.loop.epoch + 1 < session.recipe.epochs,
    }
    if len(session.fingerprints) > 1:
        details["mixed_fingerprints"] = session.fingerprints
    if last is not None:
        details["last"] = dict(last)
    return details


def _weights(session: Session) -> list[Artifact]:
    """Write `model-last.pt` and `model-selected.pt` as far as they are wanted, each with a JSON that says what it is."""
    chosen = session.selected
    artifacts = []
    for which in sorted(_wanted(session)):
        state = session.loop.evaluated.state_dict() if which == "last" or chosen is None else chosen.weights
        path, size, digest = checkpoint.save_weights(session.folder, f"model-{which}.pt", state)
        checkpoint.write_text(
            path.with_suffix(".json"), json.dumps(_description(session, which, state, digest), indent=1)
        )
        artifacts.append(Artifact("weights", path.name, size, digest))
    return artifacts


def _wanted(session: Session) -> set[str]:
    """Which weights to keep. Where the recipe selects its last epoch, `selected` is `last`, and one file is enough."""
    keep, child = session.options.get("keep"), session.options.get("needed_by_child")
    wanted: set[str] = set()
    for asked in (keep, child):
        if asked in ("last", "selected"):
            wanted.add(str(asked))
        elif asked:
            wanted |= {"last", "selected"}
    if session.selected is not None:
        return wanted | {"selected"}
    return {"last"} if wanted else set()


def _description(session: Session, which: str, state: Mapping[str, torch.Tensor], digest: str) -> dict[str, Any]:
    """The JSON beside the weights: enough to check that they fit, and to use them without the run's database."""
    splits, model = session.splits, session.recipe.model
    chosen = session.selected
    epoch = chosen.epoch if chosen is not None and which == "selected" else session.loop.epoch + 1
    return {
        "schema": 1,
        "run_id": session.run_id,
        "epoch": epoch,
        "select": session.recipe.select,
        "arch": model.arch,
        "model": network_settings(session.recipe),
        "variant": session.built.variant,
        "head": head_name(session.loop.network),
        "tensors": len(state),
        "classes": list(splits.classes),
        "image_shape": list(session.loop.feed.shape),
        "mean": splits.mean.tolist(),
        "std": splits.std.tolist(),
        "sha256": digest,
    }
