"""The network that stored weights belong to, built as they were trained and set to evaluation: what a distillation learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from ablate.errors import BadData
from ablate.study.recipe import Model, Recipe
from ablate.study.records import Context
from ablate.training import sources
from ablate.training.find_weights import Weights, locate, sidecar
from ablate.training.init import initialise
from ablate.training.models import build_model
from ablate.training.numerics import Numerics
from ablate.training.registry import recipe_error


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
            raise recipe_error("distillation.teacher", "is scratch, which has learnt nothing; name a run or weights")
        classes = self.splits.classes
        if found.classes is not None and found.classes != classes:
            raise recipe_error(
                "distillation.teacher",
                f"{found.source} tells {len(found.classes)} classes apart and not those of the data ({len(classes)})",
            )
        model = _network_of(found, own)
        network = build_model(model, num_classes=len(classes), image_shape=self.shape, seed=0).network
        report = initialise(
            network,
            model,
            classes=classes,
            home=home,
            parent_dir=self.context.parent_dir,
            study_dir=options.get("study_dir"),
            parent_study_dirs=options.get("parent_study_dirs", ()),
        )
        if report.head != "loaded":
            raise recipe_error(
                "distillation.teacher", f"{found.source} has no last layer for the {len(classes)} classes of the data"
            )
        network.to(self.numerics.device, memory_format=self.numerics.layout)  # type: ignore[call-overload]
        return network.eval().requires_grad_(False)


def _network_of(found: Weights, own: Model) -> Model:
    """The model section that built the weights' network, with the weights as its first ones."""
    notes = sidecar(found.path)
    told = notes.get("model")
    if isinstance(told, dict):
        try:
            return type(own).model_validate({**told, "init": own.init})
        except ValidationError as error:
            raise BadData(
                f"{found.path.with_suffix('.json')} does not say which network its weights are of: {error.errors()[0]['msg']}"
            ) from None
    named = {"tweak": None, **found.variant} if found.arch is not None and found.variant else {}
    return own.model_copy(update={**named, **({"arch": found.arch} if found.arch else {})})
