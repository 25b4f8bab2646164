"""A tuning file, read and checked: which arms of a study are tuned, over what, how, and for how much.

Every mistake of the file is reported at once, as in a study file. Nothing here knows Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablate.errors import AblateError, NotFound, Problem, StudyError, few, nearest
from ablate.study.assign.assign import read_settings
from ablate.study.designs.names import UnclearName, resolve
from ablate.study.designs.profiles import known_paths
from ablate.study.designs.seeds import read_seeds
from ablate.study.document.find import find
from ablate.study.document.keys import TUNING
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Document, read
from ablate.study.loader import Choices, load
from ablate.study.recipes.normalise import SELECTORS
from ablate.study.tuning.checks import MAX_TRIALS, check_arms, check_study
from ablate.study.tuning.scripts import check_recipe, script_recipe, tuned_metric
from ablate.study.tuning.space import read_space
from ablate.study.values.metrics import METRICS, MetricName
from ablate.study.values.study import Arm, Study
from ablate.study.values.trials import Budget, Tuning

SAMPLERS = ("tpe", "random", "grid", "cmaes", "gp")
PRUNERS = ("none", "median", "hyperband")
BUDGETS = ("trials", "minutes", "epochs")


def load_tuning(path: str | Path, profile: str | None = None, sets: tuple[str, ...] = ()) -> Tuning:
    """The tuning in a file. `profile` replaces the file's own, `sets` change its study. Raises NotFound, or StudyError with every mistake."""
    found = find(path)
    return _Reader(read(found), found.parent, profile, sets).read()


def is_tuning(data: Mapping[str, Any]) -> bool:
    """Whether a YAML mapping is a tuning file: its `study` names a file, and it has a `space`."""
    return "space" in data and str(data.get("study", "")).endswith((".yaml", ".yml"))


class _Reader:
    def __init__(self, document: Document, folder: Path, profile: str | None, sets: tuple[str, ...]) -> None:
        self.document, self.folder, self.data = document, folder, document.data
        self.problems = Problems(document)
        self.profile, self.sets = profile, sets

    def read(self) -> Tuning:
        """In two rounds: what the file says by itself, then what it says of its study."""
        problems, data = self.problems, self.data
        if "factors" in data and "space" not in data:
            problems.add((), "wrong-file", "this is a study, not a tuning file; use `ablate grid run`.")
            problems.stop()
        problems.known_keys((), data, TUNING)
        path = self._file()
        known = None if path is None else script_recipe(path)
        problems.free = known is not None
        recipe = read_settings(problems, ("recipe",), data.get("recipe"))
        seeds = read_seeds(problems, ("seeds",), data.get("seeds", 1))
        sampler, sampler_seed = self._sampler()
        pruner = self._choice(("pruner",), data.get("pruner", "none"), PRUNERS, "pruner")
        budget = self._budget(sampler)
        study = None if path is None else self._study(path, recipe, seeds)
        if study is None:
            read_space(problems, data.get("space"), None)
            self._metric(None)
            problems.stop()
            raise AssertionError("unreachable")
        if known is not None:
            check_recipe(problems, recipe, known_paths(known, study.factors))
        space = read_space(problems, data.get("space"), study.factors)
        arms = self._arms(study)
        metric, better = self._metric(study)
        problems.stop()
        check_study(problems, study, arms, recipe, space, sampler)
        tuning = Tuning(
            self.document.file, self.document.text, study, arms, recipe, space, metric, better, sampler, sampler_seed, pruner,
            budget or Budget("trials", MAX_TRIALS), seeds, sets=self.sets,
        )  # fmt: skip
        check_arms(problems, tuning, budget)
        problems.stop()
        return _with(tuning, budget, tuple(problems.warnings))

    def _file(self) -> Path | None:
        """The file of the study that is tuned; None after a mistake."""
        name = self.problems.text(("study",), "the name of a study file")
        if not name:
            message = "is missing: name the study file whose arms are tuned, as in study: lee2024.yaml."
            self.problems.add(("study",), "missing", message)
            return None
        beside = self.folder / name
        try:
            return beside if beside.is_file() else find(name)
        except NotFound as error:
            self.problems.add(("study",), "absent-file", str(error))
        return None

    def _study(self, path: Path, recipe: Mapping[str, Any], seeds: tuple[int, ...]) -> Study | None:
        """The study that is tuned, with this file's recipe and seeds; None after a mistake. Its own are told beside ours."""
        profile = self.profile or self.problems.text(("profile",), "a profile of the study") or None
        try:
            return load(path, Choices(profile, self.sets, seeds, recipe))
        except NotFound as error:
            self.problems.add(("study",), "absent-file", str(error))
        except StudyError as error:
            self.problems.errors += error.problems
        except AblateError as error:
            self.problems.add(("study",), "unusable-study", f"the study cannot be used: {error}")
        return None

    def _arms(self, study: Study) -> tuple[Arm, ...]:
        """The distinct arms that are named; those that are one run are tuned once."""
        value = self.data.get("arms", "all")
        by_levels = {tuple(arm.levels.items()): arm for arm in study.arms}
        if value == "all":
            found = list(study.arms)
        else:
            found = []
            for index, text in enumerate(self.problems.names(("arms",), value, "all, or a list of arms")):
                key = ("arms", index) if isinstance(value, list) else ("arms",)
                try:
                    levels = resolve(text, study.factors, study.baseline, study.steps)
                except UnclearName as error:
                    self.problems.add(key, error.code, str(error))
                    continue
                arm = by_levels.get(tuple(levels.items()))
                if arm is None:
                    message = f"{text!r} is not an arm of {study.name}; its design or an exclude rule leaves it out."
                    self.problems.add(key, "not-in-grid", f"{message} Arms: {few([arm.name for arm in study.arms])}.")
                else:
                    found.append(arm)
            if value == []:
                self.problems.add(("arms",), "empty", "lists no arm; write all, or list some.")
        first = {arm.arm_id: arm for arm in reversed(study.arms)}
        return tuple({arm.arm_id: first[arm.arm_id] for arm in found}.values())

    def _metric(self, study: Study | None) -> tuple[str, str]:
        """The metric's name and direction. It must be of the validation set: what selects is not what is reported."""
        name = self.problems.text(("metric",), "a metric")
        if study is not None and study.trainer is not None:
            return tuned_metric(self.problems, study, name)
        allowed = SELECTORS
        split = MetricName.parse(name).split
        if name in SELECTORS:
            return name, METRICS[name].better
        if not name:
            message = f"is missing: name the number that is tuned, one of {', '.join(allowed)}."
        elif name in METRICS and (split == "test" or str(MetricName("val", name)) in METRICS):
            message = (
                f"{name} is measured on the split that is reported, which must not choose settings. "
                f"Allowed: {', '.join(allowed)}."
            )
        elif name in METRICS and split == "train":
            message = f"{name} is measured on training images, which says nothing about new ones. Allowed: {', '.join(allowed)}."
        else:
            message = f"{name!r} is not a validation metric.{nearest(name, allowed)} Allowed: {', '.join(allowed)}."
        self.problems.add(("metric",), "unknown-metric", message)
        return SELECTORS[0], "higher"

    def _sampler(self) -> tuple[str, int]:
        value = self.data.get("sampler", "tpe")
        if not isinstance(value, dict):
            return self._choice(("sampler",), value, SAMPLERS, "sampler"), 0
        self.problems.known_keys(("sampler",), value, ("name", "seed"))
        seed = value.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
            self.problems.refuse(("sampler", "seed"), "a whole number from 0", seed, code="out-of-range")
            seed = 0
        return self._choice(("sampler", "name"), value.get("name", "tpe"), SAMPLERS, "sampler"), seed

    def _choice(self, key: tuple[str, ...], value: object, known: Sequence[str], what: str) -> str:
        if value in known:
            return str(value)
        hint = nearest(str(value), known)
        self.problems.add(key, "wrong-value", f"unknown {what} {show(value)}.{hint} Allowed: {', '.join(known)}.")
        return known[0]

    def _budget(self, sampler: str) -> Budget | None:
        """What each arm may spend; None for a grid without one: all of its cells."""
        value = self.data.get("budget")
        if value is None and sampler == "grid":
            return None
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in BUDGETS:
            if isinstance(value, dict):
                self.problems.known_keys(("budget",), value, BUDGETS)
            if not isinstance(value, dict) or all(name in BUDGETS for name in value):
                found = "it is missing" if value is None else f"not {show(value)}"
                message = f"must be one of {{trials: N}}, {{minutes: M}} or {{epochs: E}}, for each arm; {found}."
                self.problems.add(("budget",), "wrong-value", message)
            return None
        kind, amount = next(iter(value.items()))
        whole = kind != "minutes"
        number = isinstance(amount, int if whole else int | float) and not isinstance(amount, bool)
        if not number or not math.isfinite(amount) or amount <= 0 or (kind == "trials" and amount > MAX_TRIALS):
            most = f" to {MAX_TRIALS:,}" if kind == "trials" else ""
            what = f"a whole number from 1{most}" if whole else "a number above 0"
            self.problems.refuse(("budget", kind), what, amount, code="out-of-range")
            return None
        return Budget(kind, amount)


def _with(tuning: Tuning, budget: Budget | None, warnings: tuple[Problem, ...]) -> Tuning:
    """The tuning with its warnings; a grid without a budget may try all of its cells."""
    if budget is None:
        most = max(len(tuning.cells_of(arm)) for arm in tuning.arms)
        tuning = replace(tuning, budget=Budget("trials", most))
    return replace(tuning, warnings=warnings)
