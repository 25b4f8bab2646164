"""At what scale a table was measured, from which first weights, and whether the paper's figures can be held against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ablate.analysis.values import Replicates
from ablate.study.assign.trainer_title import trainer_title
from ablate.study.records import RunResult
from ablate.study.values.recipe import AnyRecipe, setting
from ablate.study.values.study import Arm, Study


def comparison(study: Study, arms: Iterable[Arm]) -> tuple[bool, str]:
    """Whether the paper's figures can be held against ours, and why not. `arms` are those whose rows have figures of the paper.

    Never under a profile, for a variant, on other data than `cite.data` names, or from first weights that a run of ours made.
    """
    if study.profile is not None:
        return False, f"profile {study.profile} is another scale than the paper's"
    if study.sets:
        return False, f"{with_sets(study)} it is another recipe than the paper's"
    held = list(arms)
    data = study.cite.get("data")
    if study.trainer is not None:
        return True, ""  # what another trainer's settings mean is not known
    if data is not None and any(arm.recipe.get("data.name") != data for arm in held):
        return False, f"the paper's data is {data}"
    if any(_parent_arm(arm) for arm in held):
        return False, "first weights from a run of ours, not the paper's"
    return True, ""


def has_paper(study: Study) -> bool:
    """Whether there is anything to compare with: a source that is cited, or figures that it reports."""
    return bool(study.cite) or any(spec.reported for spec in study.tables.values())


def with_sets(study: Study) -> str:
    """`with --set y=2`; empty for a study as its file says it."""
    return f"with --set {', '.join(study.sets)}" if study.sets else ""


def run_as(study: Study) -> str:
    """Under which profile and as which variant the runs are: `full scale`, `profile cpu with --set y=2`."""
    profile = f"profile {study.profile}" if study.profile else ""
    return " ".join(filter(None, (profile, with_sets(study)))) or "full scale"


def scale_of(study: Study, runs: Replicates, arms: Sequence[Arm]) -> str:
    """One line: profile, data, image size, share and number of images, epochs, first weights of ours, hardware."""
    if study.trainer is not None:
        return _foreign_scale(study, [result for arm in arms for result in runs.done(arm)])
    recipes = [arm.recipe for arm in arms]

    def each(path: str) -> list[Any]:
        found = [value for recipe in recipes if (value := recipe.get(path)) is not None]
        return sorted({str(value): value for value in found}.values(), key=lambda v: (isinstance(v, str), v))

    results = [result for arm in arms for result in runs.done(arm)]
    parts = [run_as(study)]
    parts += [_either(each("data.name"))]
    parts += [f"{_either(sizes)} px" for sizes in [each("data.image_size")] if sizes]
    parts += [
        f"{_either(shares)} of the training images" for shares in [each("data.fraction")] if shares not in ([], [1.0])
    ]
    parts += [f"at most {_either(limits)} training images" for limits in [each("data.limit")] if limits]
    parts += [_images(results)]
    parts += [f"{_either(epochs)} epochs" if epochs != [1] else "1 epoch" for epochs in [each("epochs")] if epochs]
    parts += first_weights(study, arms)
    parts += [_either(sorted({result.device for result in results if result.device}))]
    return ", ".join(part for part in parts if part)


def _foreign_scale(study: Study, results: Sequence[RunResult]) -> str:
    """The same for a custom trainer, whose settings have no known meaning: profile, trainer, hardware."""
    hardware = _either(sorted({result.device for result in results if result.device}))
    select = (study.arms[0].trainer or {}).get("select")
    chosen = f"best epoch by {select['metric']}" if select else ""
    return ", ".join(part for part in (run_as(study), trainer_title(study.trainer or {}), chosen, hardware) if part)


def first_weights(study: Study, arms: Sequence[Arm]) -> list[str]:
    """What the arms that start from runs of ours start from, each once: `some first weights from our resnet18 on
    caltech101, not ImageNet`."""
    recipes = {run.arm_id: run.recipe for run in (*study.parents, *study.runs)}
    parents = [_parent_arm(arm) for arm in arms]
    some = "some first weights" if None in parents else "first weights"
    said = dict.fromkeys(_network(recipes.get(parent)) for parent in parents if parent is not None)
    return [f"{some} from our {network}" for network in said]


def _parent_arm(arm: Arm) -> str | None:
    parent: str | None = arm.recipe.get("model.init.arm")
    return parent


def _network(recipe: AnyRecipe | None) -> str:
    arch, data, init = (recipe and recipe.get(path) for path in ("model.arch", "data.name", "model.init"))
    return (f"{arch} on {data}" if arch and data else "own run") + (
        "" if isinstance(init, Mapping) else ", not ImageNet"
    )


def _images(results: Sequence[RunResult]) -> str:
    """`2,493 train, 9,968 test images`, as the runs counted them: a copy of a data set may lack some of the official."""
    counts: dict[str, set[int]] = {}
    for result in results:
        for split, count in (setting(result.details, "data.images") or {}).items():
            counts.setdefault(split, set()).add(count)
    said = [f"{_counted(counts[split])} {split}" for split in ("train", "val", "test") if split in counts]
    return f"{', '.join(said)} images" if said else ""


def _counted(found: set[int]) -> str:
    low, high = min(found), max(found)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _either(values: Sequence[Any]) -> str:
    return " or ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
