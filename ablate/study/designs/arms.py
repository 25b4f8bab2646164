"""From points of a design to arms with whole recipes, and from arms to distinct runs."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from ablate.parts.weights import same_init
from ablate.study.assign.assign import apply, overlap
from ablate.study.assign.foreign_holes import check_holes
from ablate.study.assign.foreign_recipe import Written, apply_free, nested_values, plain
from ablate.study.assign.foreign_trainer import Trainer
from ablate.study.designs.design import Point
from ablate.study.designs.names import arm_name
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import flow_scalar
from ablate.study.recipes.contradictions import contradictions
from ablate.study.recipes.digest import arm_id, canonical_json, run_id
from ablate.study.recipes.normalise import normalise
from ablate.study.recipes.recipe import fields, replaced, start_of, weights_paths, written
from ablate.study.values.recipe import recipe_of
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Factor, Level

ResolveInit = Callable[[str, Any], Any]
Values = Callable[[Mapping[str, Any]], tuple[Any, ...]]
Seen = dict[tuple[int, ...], tuple[Any, tuple[Any, ...]]]
_LEFT_OUT = object()


class RecipeText:
    """Whole recipes as nested values and canonical JSON, section by section, so that large grids share what they share."""

    def __init__(self) -> None:
        sections: dict[str, list[str]] = {}
        for path in fields():
            sections.setdefault(path.partition(".")[0], []).append(path)
        self._sections: list[tuple[str, list[str], Values, Seen]] = [
            (name, sections[name], _getter(sections[name]), {}) for name in sorted(sections)
        ]
        self._fields = len(fields())
        self._texts: dict[tuple[str, int], tuple[str, Any]] = {}

    def whole(
        self, name: str, base: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The flat recipe of the arm `name` as it is hashed, and why settings lost their value."""
        return normalise(apply(base, settings))

    def meaning(self, base: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
        """What an arm comes to, to be compared: first weights as they are named, since they are not looked for here."""
        flat, _ = self.whole("", base, settings)
        for path in weights_paths():
            if flat.get(path) is not None and not isinstance(flat[path], Written):
                flat[path] = same_init(flat[path])
        return canonical_json([self.nested(flat), self.trainer(flat)])

    def contradictions(self, flat: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What cannot be meant in a whole recipe: (path, message) for each."""
        return contradictions(flat)

    def trainer(self, flat: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is hashed beside the recipe; None for the built-in trainer."""
        return None

    def report(self, problems: Problems) -> None:
        """Mistakes that only show once all arms are known."""

    def nested(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe as it is hashed, by sections; equal sections made of the same objects are one object."""
        if len(flat) > self._fields:  # of a stored study, with settings of parts that are absent
            return dict(sorted(written(flat).items()))
        nested: dict[str, Any] = {}
        for name, paths, values_of, seen in self._sections:
            values = values_of(flat)
            key = tuple(map(id, values))
            found = seen.get(key)
            if found is None:  # the values are kept, so that their ids stay theirs
                found = seen[key] = (written(dict(zip(paths, values, strict=True))).get(name, _LEFT_OUT), values)
            if found[0] is not _LEFT_OUT:
                nested[name] = found[0]
        return nested

    def json(self, recipe: Mapping[str, Any]) -> str:
        """The canonical JSON of a recipe that `nested` made, its sections in order: that of its sections, each written once."""
        texts = []
        for name, section in recipe.items():
            found = self._texts.get((name, id(section)))
            if found is None:
                found = self._texts[name, id(section)] = (f'"{name}":{canonical_json(section)}', section)
            texts.append(found[0])
        return "{" + ",".join(texts) + "}"


class FreeText(RecipeText):
    """The same for the free recipes of another trainer: nothing is known of them but what its command asks for. `folder` is where
    its base config files lie; None: they are not looked at."""

    def __init__(self, trainer: Trainer, folder: Path | None = None) -> None:
        self._trainer = trainer
        self._folder = folder
        self._arms: dict[str, dict[str, Written]] = {}

    def whole(
        self, name: str, base: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        self._arms[name] = apply_free(base, settings)
        return dict(self._arms[name]), {}

    def contradictions(self, flat: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []

    def trainer(self, flat: Mapping[str, Any]) -> dict[str, Any] | None:
        return self._trainer.hashed(flat)

    def report(self, problems: Problems) -> None:
        check_holes(problems, self._trainer, self._arms, self._folder)

    def nested(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        return nested_values(flat)

    def json(self, recipe: Mapping[str, Any]) -> str:
        return canonical_json(recipe)


def _getter(paths: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(paths) == 1:
        return lambda flat: (flat[paths[0]],)
    return itemgetter(*paths)


def build_arms(
    problems: Problems,
    points: Iterable[Point],
    factors: Sequence[Factor],
    base: Mapping[str, Any],
    resolve_init: ResolveInit | None,
    text: RecipeText,
) -> tuple[Arm, ...]:
    """Every point as an arm; arms that come to one recipe are marked as merged into the first of them.

    `resolve_init` gives the form in which a field that names weights is hashed. It is None for another trainer's recipes: what first weights are is its own business.
    """
    first: dict[str, tuple[str, Mapping[str, Any], Mapping[str, str]]] = {}
    lookup = {factor.name: {level.name: level for level in factor.levels} for factor in factors}
    conflicts = Conflicts(lookup, free=resolve_init is None)
    trouble: dict[tuple[str, str], tuple[str, Any]] = {}
    arms: list[Arm] = []
    for point in points:
        name = arm_name(point.levels)
        settings = conflicts.settings(point.levels)
        if settings is None:
            continue
        flat, reasons = text.whole(name, base, settings)
        for path, message in text.contradictions(flat):
            trouble.setdefault((path, message), (name, flat[path]))
        if resolve_init is not None:
            flat |= {path: resolve_init(path, flat[path]) for path in weights_paths()}
        recipe, trainer = text.nested(flat), text.trainer(flat)
        identity = arm_id(text.json(recipe), _trainer_json(trainer))
        into, why = None, ""
        if identity in first:
            into, before, told = first[identity]
            why = _why({**base, **before}, {**base, **settings}, {**told, **reasons})
        else:
            first[identity] = (name, settings, reasons)
        previous = arm_name(point.previous) if point.previous else None
        arms.append(
            Arm(name, point.levels, identity, recipe_of(recipe, trainer), point.step, previous, into, why, trainer)
        )
    conflicts.report(problems)
    text.report(problems)
    for (path, message), (name, value) in trouble.items():
        problems.add(problems.place(path, value), "conflict", f"arm {name}: {message}")
    return tuple(arms)


def build_runs(
    arms: Sequence[Arm], seeds: Sequence[int], parent_of: Callable[[str, Any, int], str | None], text: RecipeText
) -> tuple[Run, ...]:
    """Each distinct run once: the first seed of every arm, then the second of every arm, and so on."""
    distinct = [
        (arm, ("", {}) if arm.trainer else start_of(arm.recipe), text.json(arm.recipe.json), _trainer_json(arm.trainer))
        for arm in arms
        if arm.merged_into is None
    ]
    runs: dict[str, Run] = {}
    for seed in seeds:
        for arm, (path, start), recipe_json, trainer_json in distinct:
            recipe = arm.recipe
            parent = parent_of(path, start, seed) if path else None
            if parent is not None:
                recipe = recipe_of(replaced(recipe.json, path, {"run": parent, "weights": start["weights"]}))
                identity = run_id(canonical_json(recipe.json), seed)
            else:
                identity = run_id(recipe_json, seed, trainer_json)
            runs.setdefault(identity, Run(identity, arm.arm_id, seed, recipe, arm.trainer, parent))
    return tuple(runs.values())


def _trainer_json(trainer: Mapping[str, Any] | None) -> str:
    return "null" if trainer is None else canonical_json(trainer)


def joined_levels(points: Iterable[Point], factors: Sequence[Factor], *, free: bool) -> list[dict[str, Any]]:
    """What the levels of each point set together; those that contradict each other are left out."""
    conflicts = Conflicts(
        {factor.name: {level.name: level for level in factor.levels} for factor in factors}, free=free
    )
    found = (conflicts.settings(point.levels) for point in points)
    return [settings for settings in found if settings is not None]


def text_of(arms: Iterable[Arm]) -> str:
    """64 hex digits for a design as resolved: which arms there are, and what each of them trains."""
    lines = sorted("\0".join([*itertools.chain(*arm.levels.items()), arm.arm_id]) for arm in arms)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Conflicts:
    """Joins the settings of an arm's levels; where two factors give one path different values, remembers which levels do."""

    def __init__(self, lookup: Mapping[str, Mapping[str, Level]], *, free: bool = False) -> None:
        self.lookup = lookup
        self.free = free
        self.found: dict[tuple[str, str], dict[str, dict[str, str]]] = {}

    def settings(self, levels: Mapping[str, str]) -> dict[str, Any] | None:
        """What the levels set together, None where two of them contradict each other."""
        settings: dict[str, Any] = {}
        setter: dict[str, str] = {}
        clash = False
        for factor, level_name in levels.items():
            for path, value in self.lookup[factor][level_name].sets.items():
                for other in self._others(settings, path):
                    if setter[other] != factor and (other != path or settings[other] != value):
                        self._remember(levels, setter[other], factor, (other, settings[other], path, value))
                        clash = True
                settings.setdefault(path, value)
                setter.setdefault(path, factor)
        return None if clash else settings

    def _others(self, settings: Mapping[str, Any], path: str) -> list[str]:
        if self.free or path.startswith("model.args"):  # elsewhere no path of ours lies inside another
            return [other for other in settings if overlap(path, other)]
        return [path] if path in settings else []

    def _remember(self, levels: Mapping[str, str], one: str, two: str, clash: tuple[str, Any, str, Any]) -> None:
        other, before, path, value = clash
        story = f"{one} sets {other} to {show(plain(before))} and {two} sets {path} to {show(plain(value))}"
        self.found.setdefault((one, two), {}).setdefault(levels[one], {}).setdefault(levels[two], story)

    def report(self, problems: Problems) -> None:
        """One problem for each pair of factors, with the exclude rules that take all of its arms out."""
        for (one, two), pairs in self.found.items():
            level, partners = next(iter(pairs.items()))
            partner, story = next(iter(partners.items()))
            together: dict[tuple[str, ...], list[str]] = {}
            for name, others in pairs.items():
                together.setdefault(tuple(others), []).append(name)
            rules = [
                f"{{{flow_scalar(one)}: {_flow_list(names)}, {flow_scalar(two)}: {_flow_list(others)}}}"
                for others, names in together.items()
            ]
            problems.add(
                ("factors", two),
                "conflict",
                f"in arms with {level} and {partner}, {story}. Leave such arms out with exclude: [{', '.join(rules)}], "
                "or set the path in one factor only.",
            )


def _flow_list(names: Sequence[str]) -> str:
    listed = ", ".join(flow_scalar(name) for name in names)
    return listed if len(names) == 1 else f"[{listed}]"


def _why(one: Mapping[str, Any], two: Mapping[str, Any], reasons: Mapping[str, str]) -> str:
    """Why two arms are one run: the reasons of the settings in which they differ, else that the levels set the same."""
    told = [why for path, why in reasons.items() if one.get(path) != two.get(path)]
    return "; ".join(dict.fromkeys(told)) or "their levels set the same values"
