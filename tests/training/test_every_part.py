"""Every part that is found, ours and those of other packages, trains two batches and ends the same through a resume."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from trained import same, untimed, weights

from ablate.errors import Interrupted
from ablate.parts.declare import KINDS, DataSet, Network, Part, Refinement, Transform
from ablate.parts.found import parts
from ablate.parts.packages import absent
from ablate.study.recipes.digest import arm_id, run_id
from ablate.study.recipes.recipe import fields, parse_recipe, weights_paths, written
from ablate.study.recipes.uses import parts_used
from ablate.study.values.run import Run
from ablate.training import data as real_data
from ablate.training import sources
from ablate.training.models import build_model
from ablate.training.trainer import fit

EVERY = [
    pytest.param(
        kind,
        name,
        id=f"{kind.__name__.lower()} {name}",
        marks=[pytest.mark.libraries] if isinstance(part, Network) and part.package else [],
    )
    for kind in KINDS
    for name, part in parts(kind).items()
]

TWO_BATCHES = {
    "data.name": "digits",
    "data.image_size": 32,
    "data.limit": 8,
    "data.split": {"train": 0.995, "val": 0.005},
    "model.arch": "three-layer-cnn",
    "optimizer.lr": 0.001,
    "batch_size": 4,
    "epochs": 1,
}


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "data", real_data)


def run_of(values: Mapping[str, Any]) -> Run:
    flat = {path: known.default for path, known in fields().items()} | TWO_BATCHES | dict(values)
    recipe = written({path: fields()[path].parse(value) for path, value in flat.items()})
    arm = arm_id(recipe)
    return Run(run_id=run_id(arm, 0), arm_id=arm, seed=0, recipe=recipe)


def first_weights(run: Run) -> dict[str, torch.Tensor]:
    """Those of the network before it trains, on the images of `TWO_BATCHES`."""
    recipe = parse_recipe(run.recipe)
    built = build_model(recipe.model, num_classes=10, image_shape=(3, 32, 32), seed=0, settings=recipe.values)
    return built.network.state_dict()


def settings_that_use(part: Part, tmp_path: Path) -> dict[str, Any]:
    """What switches a part on, by what it declares."""
    if isinstance(part, Transform):
        return {"data.augment": [part.name]}
    if isinstance(part, DataSet):
        return {"data.name": part.name, **_data_for(part, tmp_path / "data")}
    if not isinstance(part, Refinement):
        return {part.kind: part.name}
    on = dict(part.on)
    for path in set(part.fields) & set(weights_paths()):
        on[path] = str(tmp_path / "weights.pt")
        torch.save(first_weights(run_of({})), on[path])
    of_network = set(part.fields) & {path for path in part.fields if path.startswith("model.")}
    if of_network:
        on["model.arch"] = next(
            name
            for name in ("three-layer-cnn", "resnet18", *parts(Network))
            if of_network <= set(parts(Network)[name].takes)
        )
    return on


def _data_for(part: DataSet, root: Path) -> dict[str, Any]:
    """A few images where the data set looks for them, in a form that it reads; skips where only official files will do."""
    if part.embedded:
        return {}
    root.mkdir()
    classes = part.classes or 3
    for place in part.places or ("mine.npz", "mine"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        if place.endswith(".npz"):
            _write_arrays(root / place, classes, part.official or ())
        else:
            _write_folders(root / place, classes, part.official or ())
        if part.open(root / place) is not None:
            break
    else:
        pytest.skip(f"{part.name} reads only its official files")
    path = {"data.path": place} if part.needs_path else {}
    return {"data.split": part.split or {"train": 0.5, "val": 0.5}, **path}


def _write_arrays(path: Path, classes: int, splits: tuple[str, ...]) -> None:
    labels = np.arange(classes).repeat(2)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    arrays = {
        f"{split}_{what}": value
        for split in splits or ("train", "val")
        for what, value in (("images", pixels), ("labels", labels))
    }
    np.savez(path, **arrays)


def _write_folders(path: Path, classes: int, splits: tuple[str, ...]) -> None:
    draw = np.random.default_rng(0)
    for split in splits or ("",):
        for label in range(classes):
            folder = path / split / f"class{label:03d}"
            folder.mkdir(parents=True)
            for number in range(2):
                Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_part_trains_and_resumes(kind: type[Part], name: str, watched: Any, tmp_path: Path) -> None:
    part = parts(kind)[name]
    if kind is Network and (trouble := absent(name)):
        pytest.skip(trouble)
    run = run_of(settings_that_use(part, tmp_path))
    assert part in parts_used(run.recipe)
    straight = watched("straight", keep="last")
    expected = fit(run, straight.context)
    trained = weights(straight)
    (records,) = straight.epochs
    values = [*expected.metrics.values(), *(value for record in records for value in record.metrics.values())]
    assert all(math.isfinite(value) for value in values)
    if kind is not DataSet:
        before = first_weights(run)
        assert before.keys() == trained.keys()
        learnt = [name for name in before if name.endswith("weight")]
        moved = [name for name in learnt if not torch.equal(before[name], trained[name])]
        assert len(moved) > len(learnt) / 2

    with pytest.raises(Interrupted):
        fit(run, watched("stopped", stop_after=1).context)
    resumed = watched("stopped", keep="last")
    outcome = fit(run, resumed.context)
    assert outcome.details["resumed_at"] == [1]
    assert untimed(outcome) == untimed(expected)
    assert same(weights(resumed), trained)
    assert resumed.epochs == straight.epochs


@pytest.mark.parametrize("name", [name for name, part in parts(Refinement).items()])
def test_a_refinement_has_an_effect(name: str, watched: Any, tmp_path: Path) -> None:
    """A hook that is never called trains without complaint, and its arm equals the baseline."""
    settings = settings_that_use(parts(Refinement)[name], tmp_path)
    plain = {path: value for path, value in settings.items() if path == "model.arch"}
    one, other = watched("with", keep="last"), watched("without", keep="last")
    fit(run_of(settings), one.context)
    fit(run_of(plain), other.context)
    assert not same(weights(one), weights(other))
