"""The network that stored weights belong to, built as they were trained and set to evaluation: what a distillation learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ablate.study.recipes.recipe import Recipe, parse_recipe
from ablate.study.records import Context
from ablate.training import sources
from ablate.training.find_weights import Weights, locate, sidecar
from ablate.training.init import initialise
from ablate.training.models import build_model
from ablate.training.numerics import Numerics
from ablate.training.registry import recipe_error

_PATH = "distillation.teacher"


@dataclass(frozen=True)
class Teachers:
    """Loads networks for one run. `shape` is that of its images: channels, height, width."""

    recipe: Recipe
    context: Context
    splits: sources.DataSplits
    shape: tuple[int, int, int]
    numerics: Numerics

    def load(self, init: Any) -> nn.Module:
        """The network of weights that are named as in `model.init`.

        A run of ours says beside its weights which network they are of; so may a JSON file beside any others, and those that
        say nothing are of the recipe's own network. Raises StudyError where the weights know other classes, and what `model.init`
        raises.
        """
        options = self.context.options
        home = sources.home(options)
        folders = [
            Path(str(folder)) for folder in (options.get("study_dir"), *options.get("parent_study_dirs", ())) if folder
        ]
        own = self.recipe.model.model_copy(update={"init": init})
        found = locate(own, home=home, parent_dir=self.context.parent_dir, folders=folders)
        if found is None:
            raise recipe_error(_PATH, "wrong-value", "is scratch, which is untrained; name a run or weights")
        classes = self.splits.classes
        if found.classes is not None and found.classes != classes:
            told = (
                f"{found.source} was trained on {len(found.classes)} classes, not on those of the data ({len(classes)})"
            )
            raise recipe_error(_PATH, "conflict", told)
        recipe = _recipe_of(found, self.recipe, init)
        settings, shape = recipe.values, self.shape
        network = build_model(
            recipe.model, num_classes=len(classes), image_shape=shape, seed=0, settings=settings
        ).network
        report = initialise(
            network,
            recipe.model,
            classes=classes,
            home=home,
            parent_dir=self.context.parent_dir,
            study_dir=options.get("study_dir"),
            parent_study_dirs=options.get("parent_study_dirs", ()),
            settings=settings,
        )
        if report.head != "loaded":
            raise recipe_error(
                _PATH, "conflict", f"{found.source} has no last layer for the {len(classes)} classes of the data"
            )
        network.to(self.numerics.device, memory_format=self.numerics.layout)  # type: ignore[call-overload]
        return network.eval().requires_grad_(False)


def network_settings(recipe: Recipe) -> dict[str, Any]:
    """The settings that make a recipe's network, by their last names: what stands beside its weights."""
    section = "model."
    return {
        path.removeprefix(section): value
        for path, value in recipe.values.items()
        if path.startswith(section) and path not in ("model.init", "model.trainable")
    }


def _recipe_of(found: Weights, own: Recipe, init: Any) -> Recipe:
    """The recipe of the network that the weights belong to, with the weights as its first ones.

    Raises StudyError where the JSON beside the weights says what no network here can be.
    """
    told = sidecar(found.path).get("model")
    if isinstance(told, dict):
        section = told
    elif found.arch is not None:
        section = {"arch": found.arch, "tweak": None, **found.variant}
    else:
        section = network_settings(own)
    return parse_recipe({"model": {**section, "init": init}})
