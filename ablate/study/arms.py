"""From points of a design to arms with whole recipes, and from arms to distinct runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ablate.study.assign import apply
from ablate.study.design import Point
from ablate.study.digest import arm_id, canonical_json, run_id
from ablate.study.names import arm_name
from ablate.study.normalise import contradictions, normalise
from ablate.study.problems import Problems, show
from ablate.study.recipe import fields, nest
from ablate.study.run import Run
from ablate.study.study import Arm, Factor

ResolveInit = Callable[[Any], Any]


class RecipeText:
    """Whole recipes as nested values and canonical JSON, section by section, so that large grids share what they share."""

    def __init__(self) -> None:
        sections: dict[str, list[str]] = {}
        for path in fields():
            sections.setdefault(path.partition(".")[0], []).append(path)
        self._sections = dict(sorted(sections.items()))
        self._seen: dict[tuple[Any, ...], tuple[Any, str, tuple[Any, ...]]] = {}

    def write(self, flat: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """The nested recipe, and its canonical JSON."""
        nested: dict[str, Any] = {}
        parts = []
        for name, paths in self._sections.items():
            values = tuple(flat[path] for path in paths)
            key = (name, *(id(value) for value in values))
            if key not in self._seen:
                section = nest(dict(zip(paths, values, strict=True)))[name]
                self._seen[key] = (
                    section,
                    canonical_json(section),
                    values,
                )  # values are kept, so that their ids stay theirs
            nested[name], text, _ = self._seen[key]
            parts.append(f'"{name}":{text}')
        return nested, "{" + ",".join(parts) + "}"


def build_arms(
    problems: Problems,
    points: Iterable[Point],
    factors: Sequence[Factor],
    base: Mapping[str, Any],
    resolve_init: ResolveInit,
) -> tuple[Arm, ...]:
    """Every point as an arm; arms that come to one recipe are marked as merged into the first of them."""
    text = RecipeText()
    first: dict[str, tuple[str, Mapping[str, str]]] = {}
    lookup = {factor.name: {level.name: level for level in factor.levels} for factor in factors}
    arms: list[Arm] = []
    seen: set[str] = set()
    for point in points:
        name = arm_name(point.levels)
        settings = _settings(problems, point, lookup)
        if settings is None or name in seen:
            continue
        seen.add(name)
        flat, reasons = normalise(apply(base, settings))
        for path, message in contradictions(flat):
            problems.add(_place(problems, path), f"arm {name}: {message}")
        flat["model.init"] = resolve_init(flat["model.init"])
        recipe, recipe_json = text.write(flat)
        identity = arm_id(recipe_json)
        into, why = None, ""
        if identity in first:
            into, other = first[identity]
            why = _why(other, lookup, reasons)
        else:
            first[identity] = (name, reasons)
        previous = arm_name(point.previous) if point.previous else None
        arms.append(Arm(name, point.levels, identity, recipe, point.step, previous, into, why))
        if len(problems.errors) > 20:
            break
    return tuple(arms)


def build_runs(
    arms: Sequence[Arm], seeds: Sequence[int], parent_of: Callable[[Any, int], str | None]
) -> tuple[Run, ...]:
    """Each distinct run once: the first seed of every arm, then the second of every arm, and so on."""
    distinct = [(arm, canonical_json(arm.recipe)) for arm in arms if arm.merged_into is None]
    runs = []
    for seed in seeds:
        for arm, recipe_json in distinct:
            init = arm.recipe["model"]["init"]
            parent = parent_of(init, seed) if isinstance(init, dict) and "arm" in init else None
            recipe: Mapping[str, Any] = arm.recipe
            if parent is not None:
                recipe = {**recipe, "model": {**recipe["model"], "init": {"run": parent, "weights": init["weights"]}}}
                recipe_json = canonical_json(recipe)
            runs.append(Run(run_id(recipe_json, seed), arm.arm_id, seed, recipe, None, parent))
    return tuple(runs)


def _settings(problems: Problems, point: Point, lookup: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    settings: dict[str, Any] = {}
    setter: dict[str, str] = {}
    for factor, level_name in point.levels.items():
        for path, value in lookup[factor][level_name].sets.items():
            if path in settings and settings[path] != value:
                rule = ", ".join(f"{name}: {point.levels[name]}" for name in (setter[path], factor))
                problems.add(
                    ("factors", factor),
                    f"in arm {arm_name(point.levels)}, {setter[path]} sets {path} to {show(settings[path])} and {factor} sets it to "
                    f"{show(value)}. Leave the arm out with exclude: [{{{rule}}}], or set the path in one factor only.",
                )
                return None
            settings[path] = value
            setter[path] = factor
    return settings


def _why(into: Mapping[str, str], lookup: Mapping[str, Mapping[str, Any]], reasons: Mapping[str, str]) -> str:
    """Why two arms are one run: the reasons of the settings that lost their effect, else that the levels set the same."""
    told = [
        why
        for path, why in {**into, **reasons}.items()
        if any(path in level.sets for f in lookup.values() for level in f.values())
    ]
    return "; ".join(dict.fromkeys(told)) or "their levels set the same values"


def _place(problems: Problems, path: str) -> tuple[str | int, ...]:
    """Where a recipe field was most likely written: nested, dotted, or the recipe itself."""
    section, _, leaf = path.rpartition(".")
    for key in (("recipe", path), ("recipe", section, leaf) if section else ("recipe", leaf)):
        if problems.document.node(key) is not None:
            return key
    return ("recipe",)
