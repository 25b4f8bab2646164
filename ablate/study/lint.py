"""Lint: what a study is allowed to do but probably should not. Warnings, never errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ablate.errors import few
from ablate.parts.packages import absent
from ablate.study.assign.metric_files import absent_package
from ablate.study.assign.selecting import selects_on_reported
from ablate.study.code.lint_scripts import lint_script
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key
from ablate.study.recipes.contradictions import dict_get
from ablate.study.tables.reported import left_out_by
from ablate.study.values.study import Arm, Claim, Factor, Level, Study, TableSpec

MIN_SEEDS = 3

BUDGETS = ("epochs", "data.fraction", "data.limit", "early_stopping.patience")
"""What decides how much training an arm gets."""

_UNSET = object()  # None is a value


def lint(problems: Problems, study: Study) -> None:
    """Add a warning for each questionable choice in a study that has been read without mistakes."""
    _confounded(problems, study)
    _single_levels(problems, study)
    _few_seeds(problems, study)
    _merged(problems, study)
    if study.trainer is None:
        _selection(problems, study)
        _budgets(problems, study)
        _packages(problems, study)
    else:
        lint_script(problems, study)
        _selecting(problems, study)
    _tables(problems, study)


def _confounded(problems: Problems, study: Study) -> None:
    for factor in study.factors:
        before = _levels_before(study, factor)
        for level, key in _single_changes(problems, factor) if not factor.together else ():
            changed = _changed(level.sets, before.get(level.name, {}))
            if len(changed) > 1:
                problems.warn(
                    key,
                    "confounded",
                    f"{level.name} changes {len(changed)} fields at once ({', '.join(changed)}): "
                    "their effects cannot be told apart; `together: true` says that they are meant as one.",
                )


def _levels_before(study: Study, factor: Factor) -> dict[str, Mapping[str, Any]]:
    """What the level before sets, for each level of a factor that a path steps to."""
    arms = {arm.name: arm for arm in study.arms}
    sets = {level.name: level.sets for level in factor.levels}
    steps = [(arm.levels[factor.name], arms[arm.previous].levels[factor.name]) for arm in study.arms if arm.previous]
    return {here: sets[before] for here, before in steps if here != before}


def _changed(sets: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """The fields that differ between two levels, one of which may set nothing."""
    return [path for path in {**sets, **before} if sets.get(path, _UNSET) != before.get(path, _UNSET)]


def _single_changes(problems: Problems, factor: Factor) -> Iterator[tuple[Level, Key]]:
    """The levels of a factor, or its members alone, each with its place."""
    for index, level in enumerate(factor.levels):
        if factor.members and len(level.members) == 1:
            yield level, ("factors", factor.name, "subsets", level.name)
        elif not factor.members:
            named: Key = ("factors", factor.name, "levels", level.name)
            yield level, named if problems.document.node(named) else ("factors", factor.name, "levels", index)


def _single_levels(problems: Problems, study: Study) -> None:
    for factor in study.factors:
        if len(factor.levels) == 1:
            message = "has only one level, so it varies nothing; move it into the recipe."
            problems.warn(("factors", factor.name), "no-effect", message)


def _few_seeds(problems: Problems, study: Study) -> None:
    if len(study.seeds) >= MIN_SEEDS:
        return
    for name, table in study.tables.items():
        if any(claim.kind != "prose" for claim in table.claims):
            message = f"claims need at least {MIN_SEEDS} seeds to be decided; the study has {len(study.seeds)}."
            problems.warn(("tables", name, "claims"), "too-few-seeds", message)


def _packages(problems: Problems, study: Study) -> None:
    """Networks of packages that are not installed here."""
    for arch in dict.fromkeys(arm.recipe.get("model.arch") for arm in study.arms):
        if trouble := absent(arch):
            problems.warn(problems.place("model.arch", arch), "not-installed", f"{trouble}.")


def _selection(problems: Problems, study: Study) -> None:
    """What selects must not be what is reported: with no test set, the validation set is both."""
    for arm in study.arms:
        patience, split = arm.recipe.get("early_stopping.patience"), arm.recipe.get("data.split")
        if arm.recipe.get("select") == "last" and patience is None:
            continue
        if split != "official" and dict_get(split, "test") is None:
            chosen = arm.recipe.get("select")
            problems.warn(
                problems.place("select", chosen)
                if chosen != "last"
                else problems.place("early_stopping.patience", patience),
                "selects-on-reported",
                f"in arm {arm.name} the validation set selects and is also reported, so its figures are optimistic; "
                "add a test set, as in data.split: {train: 0.6, val: 0.2, test: 0.2}.",
            )
            return


def _selecting(problems: Problems, study: Study) -> None:
    """The same of a script: its metrics tell which split is reported. And what reads its files."""
    if metric := selects_on_reported(study.trainer, tuple((study.trainer or {}).get("metrics") or ())):
        problems.warn(
            ("trainer", "select"),
            "selects-on-reported",
            f"{metric} selects the epoch and is also of the split that is reported, so its figures are optimistic; select by a "
            "validation metric (val_...), and report one of the test set.",
        )
    if trouble := absent_package(study.arms[0].trainer):
        problems.warn(("trainer", "metrics"), "not-installed", f"{trouble}.")


def _merged(problems: Problems, study: Study) -> None:
    merged: dict[str, list[Arm]] = {}
    for arm in study.arms:
        if arm.merged_into:
            merged.setdefault(arm.why, []).append(arm)
    for why, same in merged.items():
        shown = few([f"{arm.name} = {arm.merged_into}" for arm in same], 3)
        what = "arm is the same run as another" if len(same) == 1 else "arms are the same run as another"
        problems.warn(("factors",), "same-run", f"{len(same)} {what} ({shown}): {why}.")


def _budgets(problems: Problems, study: Study) -> None:
    for path in BUDGETS:
        values = {arm.recipe.get(path) for arm in study.arms}
        if len(values) > 1:
            ordered = sorted(values, key=lambda value: (value is None, value))
            shown = few(list(map(show, ordered)), 6)
            message = f"arms have unequal budgets, {path} {shown}; a difference may come from that alone."
            problems.warn(problems.place(path, ordered[-1]), "unequal-budgets", message)


def _tables(problems: Problems, study: Study) -> None:
    """Tables and claims about arms that the design, or a profile's rules, leave out."""
    for name, table in study.tables.items():
        shown = [arm for arm in study.arms if not left_out_by(table, arm.levels)]
        if not shown:
            message = "shows no arm: its where only selects arms that the study excludes."
            problems.warn(("tables", name), "empty", message)
            continue
        rows = {"/".join(arm.levels[factor] for factor in table.factors) for arm in shown}
        for row in table.reported if table.kind == "arms" else ():
            if row not in rows:
                message = "is not a row of the table, since the grid leaves that arm out; its figures are not shown."
                problems.warn(("tables", name, "reported", row), "not-in-grid", message)
        for index, claim in enumerate(table.claims):
            if absent := _absent(table, claim, shown):
                message = f"mentions {absent}, which is not in the grid, so it stays undecided."
                problems.warn(("tables", name, "claims", index), "not-in-grid", message)


def _absent(table: TableSpec, claim: Claim, shown: list[Arm]) -> str:
    """The first row of a claim that no arm of its table has; empty where all are there."""
    if not claim.terms:
        return ""
    names = list(claim.terms[0].levels)
    there = {tuple(arm.levels[name] for name in names) for arm in shown}
    return next((term.text for term in claim.terms if tuple(term.levels[name] for name in names) not in there), "")
