"""A study that is tuned first, compared twice: each arm as written, and at its own best of the same budget.

Both sides have the tuning's recipe, so that they see the same images and what selected is not what is reported, and the
study's own seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ablate.store.queries import TUNING
from ablate.study.designs.arms import text_of
from ablate.study.loader import Choices, load
from ablate.study.values.digits import brief
from ablate.study.values.metrics import MetricName
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Factor, Level, Study, TableSpec
from ablate.study.values.trials import Tuning, TuningResult
from ablate.tuning.recipes import parents_of, runs_of

WRITTEN, TUNED = "as written", "tuned"


def compared(tuning: Tuning, result: TuningResult, seeds: Sequence[int]) -> Study:
    """The comparison as a study with the factors `arm` and `tuning`; an arm without a complete trial is only as written."""
    base = load(tuning.study.file, replace(_choices(tuning), seeds=tuple(seeds)))
    wide = replace(tuning, study=base, seeds=tuple(seeds))
    best: dict[str, Mapping[str, Any]] = {arm.arm: arm.best.params for arm in result.arms if arm.best is not None}
    arms: list[Arm] = []
    runs: list[tuple[Run, ...]] = []
    first: dict[str, str] = {}
    for arm in tuning.arms:
        for side, params in ((WRITTEN, {}), (TUNED, best.get(arm.name))):
            if params is None:
                continue
            own = runs_of(wide, arm, params)
            name, into = f"{arm.name}, {side}", first.get(own[0].arm_id)
            first.setdefault(own[0].arm_id, name)
            levels = {"arm": arm.name, "tuning": side}
            why = "the best trial is what was written" if into else ""
            trainer = own[0].trainer
            arms.append(Arm(name, levels, own[0].arm_id, own[0].recipe, merged_into=into, why=why, trainer=trainer))
            runs.append(own)
    in_turns = {run.run_id: run for replicate in zip(*runs, strict=True) for run in replicate}
    names = tuple(arm.name for arm in tuning.arms)
    factors = (_factor("arm", names), _factor("tuning", (WRITTEN, TUNED)))
    baseline = next((arm.name for arm in tuning.arms if base.baseline.items() <= arm.levels.items()), names[0])
    return replace(
        base, name=f"{TUNING}{base.name}:compared", factors=factors, design="full", baseline={"arm": baseline, "tuning": WRITTEN},
        arms=tuple(arms), excluded=(), arms_before=len(arms),
        tables=_tables(names, reported_metric(base, tuning.metric), baseline, result.budget),
        runs=tuple(in_turns.values()), parents=parents_of(base, in_turns.values()), steps={}, warnings=(), text=text_of(arms),
    )  # fmt: skip


def costs(result: TuningResult) -> tuple[str, ...]:
    """What tuning cost, a sentence an arm and one for all: runs, epochs and seconds."""
    lines = []
    for arm in result.arms:
        best = (
            "no trial is complete"
            if arm.best is None
            else f"best {result.metric} {brief(arm.best.value)}, of trial {arm.best.number}"
        )
        lines.append(f"Tuning {arm.arm} cost {_cost([arm])}; {best}.")
    if len(result.arms) > 1:
        lines.append(f"All of the tuning cost {_cost(result.arms)}.")
    return tuple(lines)


def _cost(arms: Sequence[Any]) -> str:
    trials = [trial for arm in arms for trial in arm.trials]
    runs = len({run_id for trial in trials for run_id in trial.run_ids})
    seconds = sum(trial.seconds for trial in trials)
    return f"{runs:,} runs, {sum(trial.epochs for trial in trials):,} epochs and {seconds:,.0f} s"


def _choices(tuning: Tuning) -> Choices:
    return Choices(tuning.study.profile, tuning.sets, recipe=tuning.recipe)


def _factor(name: str, levels: Sequence[str]) -> Factor:
    return Factor(name, tuple(Level(level, {}) for level in levels))


def reported_metric(study: Study, tuned: str) -> str:
    """What is compared of arms that were tuned by a number of the validation set: the same of the reported split. A script may declare
    another for its test set: then the first of those; or none: then what it was tuned by."""
    plain = MetricName.parse(tuned).inside("val")
    if study.trainer is None:
        return plain
    splits = {name: MetricName.parse(name).split for name in study.trainer.get("metrics") or {}}
    tested = [name for name, split in splits.items() if split in (None, "test")]
    same = [name for name in (plain, str(MetricName("test", plain))) if name in tested]
    return next(iter((*same, *tested)), tuned)


def _tables(names: tuple[str, ...], reported: str, baseline: str, budget: str) -> dict[str, TableSpec]:
    """Side by side; and what tuning gave each arm."""
    everything = {"arm": names, "tuning": (WRITTEN, TUNED)}
    caption = f"each arm as written, and at its own best of {budget}"
    return {
        "tuned": TableSpec(
            "tuned", ("arm",), "arms", everything, (WRITTEN, TUNED), "tuning", reported, baseline={"arm": baseline},
            caption=f"Tuned and untuned side by side: {caption}",
        ),
        "tuning_gain": TableSpec(
            "tuning_gain", ("arm", "tuning"), "arms", everything, (reported,), baseline={"tuning": WRITTEN},
            caption=f"What tuning gave: {caption}",
        ),
    }  # fmt: skip
