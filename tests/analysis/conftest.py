"""Small studies and results, written by hand: two ways to say a table in a few lines."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ablate.study.records import AttemptResult, Confusion, RunResult
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Claim, Factor, Level, Reported, Study, TableSpec, Term


def arm_id(name: str) -> str:
    return f"arm {name}"


def run_id(arm: str, seed: int) -> str:
    return f"{arm}, seed {seed}"


RECIPE = {
    "data": {"name": "digits", "image_size": 8, "fraction": 1.0, "limit": None, "split": "official"},
    "early_stopping": {"metric": "val_top1", "patience": None},
    "select": "last",
    "epochs": 3,
}


def plain_factor(name: str, *levels: str) -> Factor:
    return Factor(name, tuple(Level(level, {name: level}) for level in levels))


def subset_factor(name: str, *members: str) -> Factor:
    subsets = [s for size in range(len(members) + 1) for s in itertools.combinations(members, size)]
    return Factor(name, tuple(Level("+".join(s) or "none", {}, s) for s in subsets), members)


def reported(text: str) -> Reported:
    """`0.90` or `76.21%` as the loader reads it."""
    percent = text.endswith("%")
    digits = text.rstrip("%")
    value = float(digits) / (100 if percent else 1)
    return Reported(text, value, len(digits.partition(".")[2]), percent)


@dataclass
class Made:
    """A study with its results; `of` gives the run ids of an arm, seed by seed."""

    study: Study
    results: dict[str, RunResult] = field(default_factory=dict)

    def of(self, arm: str) -> list[str]:
        key = self.study.arm(arm).arm_id
        return [run.run_id for run in self.study.runs if run.arm_id == key]

    def change(self, arm: str, seed: int, **changes: Any) -> None:
        """Alters one result."""
        key = run_id(self.study.arm(arm).arm_id, seed)
        self.results[key] = replace(self.results[key], **changes)

    def lose(self, arm: str, seed: int) -> None:
        del self.results[run_id(self.study.arm(arm).arm_id, seed)]

    def spec(self, **fields: Any) -> TableSpec:
        """A table over all levels unless `where` says otherwise; columns default to top1."""
        every = {f.name: tuple(level.name for level in f.levels) for f in self.study.factors}
        given = {"name": "t", "kind": "arms", "columns": ("top1",), "factors": tuple(every)} | fields
        given["where"] = every | dict(given.get("where", {}))
        given["reported"] = {
            row: tuple(None if text is None else reported(text) for text in texts)
            for row, texts in given.get("reported", {}).items()
        }
        return TableSpec(**given)

    def term(self, text: str, **levels: str) -> Term:
        return Term(text, levels)


Values = Mapping[str, Sequence[float]] | Mapping[str, Mapping[str, Sequence[float]]]


def make(
    factors: Sequence[Factor],
    values: Values,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    baseline: Mapping[str, str] | None = None,
    design: str = "full",
    recipe: Mapping[str, Any] | None = None,
    profile: str | None = None,
    merged: Mapping[str, str] | None = None,
    metrics: Mapping[str, str] | None = None,
) -> Made:
    """A study with one arm for each key of `values` (levels joined by `/`) and one run a value.

    values   arm -> its values of top1 by seed, or arm -> metric -> values
    merged   arm -> the arm that is the same run
    """
    merged = dict(merged or {})
    arms: list[Arm] = []
    made: dict[str, str] = {}
    for name in values:
        levels = dict(zip((f.name for f in factors), name.split("/"), strict=True))
        made[name] = made[merged[name]] if name in merged else arm_id(name)
        previous = arms[-1].name if design == "path" and arms else None
        step = name if design == "path" else None
        why = f"{name} has no effect here" if name in merged else ""
        arms.append(Arm(name, levels, made[name], {**RECIPE, **(recipe or {})}, step, previous, merged.get(name), why))
    runs = tuple(
        Run(run_id(key, seed), key, seed, {**RECIPE, **(recipe or {})})
        for seed in seeds
        for key in dict.fromkeys(made.values())
    )
    study = Study(
        name="tiny",
        file="tiny.yaml",
        about="",
        cite={},
        profile=profile,
        factors=tuple(factors),
        design=design,
        seeds=tuple(seeds),
        baseline=dict(baseline or {}),
        arms=tuple(arms),
        excluded=(),
        arms_before=len(arms),
        tables={},
        runs=runs,
        metrics=dict(metrics or {}),
    )
    results = {}
    for arm in arms:
        given = values[arm.name]
        by_metric = given if isinstance(given, Mapping) else {"top1": given}
        for index, seed in enumerate(seeds):
            found = {metric: column[index] for metric, column in by_metric.items() if index < len(column)}
            if found and arm.merged_into is None:
                run = next(r for r in runs if r.arm_id == arm.arm_id and r.seed == seed)
                results[run.run_id] = done(run, found)
    return Made(study, results)


def done(run: Run, metrics: Mapping[str, float], **fields: Any) -> RunResult:
    attempt = AttemptResult(1, "done", "w", 0.0, 1.0, None, {}, "cpu-fp32")
    given = {"attempts": (attempt,), "reported_split": "test", "seconds": 1.0, "device": "cpu"} | fields
    return RunResult(run=run, state="done", metrics=dict(metrics), **given)


def confusion(counts: Sequence[Sequence[int]], split: str = "test", at: str = "last") -> Confusion:
    names = ("cat", "dog", "fox", "owl")[: len(counts)]
    return Confusion(split, at, names, tuple(tuple(row) for row in counts))


@pytest.fixture
def maker() -> Callable[..., Made]:
    return make


@pytest.fixture
def factor() -> Callable[..., Factor]:
    return plain_factor


@pytest.fixture
def subsets() -> Callable[..., Factor]:
    return subset_factor


@pytest.fixture
def matrix() -> Callable[..., Confusion]:
    return confusion


@pytest.fixture
def claim() -> Callable[..., Claim]:
    """`claim(">", ("B", {"tweak": "B"}), ...)`: a claim from its terms."""

    def build(kind: str, *terms: tuple[str, Mapping[str, str]], **fields: Any) -> Claim:
        named = tuple(Term(text, levels) for text, levels in terms)
        return Claim(f"{kind} claim", kind, named, **fields)

    return build
