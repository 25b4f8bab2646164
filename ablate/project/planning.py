"""The plan of a study, its runs with their state in the database: for `grid plan`, `grid run` and `status`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ablate.project.blocked import WAITING, Outlook
from ablate.project.records import is_compared, is_growing
from ablate.study.code.provenance import codes_of
from ablate.study.recipes.places import home
from ablate.study.recipes.recipe import shape_of
from ablate.study.values.run import Run
from ablate.study.values.study import Study

if TYPE_CHECKING:
    from ablate.store.store import Store
    from ablate.store.values import StoredStudy


@dataclass(frozen=True)
class PlannedRun:
    """One distinct run with its state; `arm` is the first name it has, `aliases` the others.

    `cause` is what a blocked run shares with its replicates: `why` without the parent's id. A done run is `stale` where other
    code than the present trained it, which `why` says; not `code_known`: its script is not here, so nobody can tell; `verified`
    where the present code is known to give its numbers again (`ablate.study.code.verified.HOW`).
    """

    run: Run
    arm: str
    aliases: tuple[str, ...]
    levels: Mapping[str, str]
    state: str
    why: str = ""
    cause: str = ""
    stale: bool = False
    code_known: bool = True
    verified: str = ""


@dataclass(frozen=True)
class Plan:
    """A study against its database. `seconds` is the estimate of what is left to do, None where nothing like it has run;
    it leaves out the `untimed` runs, of whose shape none is done.

    `growing` is a tuning whose budget is not spent: more runs may come. `again` are the done parents that train again
    because their weights are gone; `barred` the runs that cannot start here.
    """

    study: Study
    runs: tuple[PlannedRun, ...]
    parents: tuple[PlannedRun, ...]
    counts: Mapping[str, int]
    seconds: float | None = None
    untimed: int = 0
    again: tuple[str, ...] = ()
    barred: frozenset[str] = frozenset()
    growing: bool = False

    @property
    def to_run(self) -> int:
        return self.counts["to_run"]

    @property
    def left(self) -> bool:
        """Whether anything runs, or is left to run or to ask for."""
        return self.growing or bool(self.counts["to_run"] or self.counts["running"])


def make_plan(study: Study, store: Store | None, *, workers: int = 1) -> Plan:
    """The plan of a study; `store` is None where nothing has been recorded yet."""
    wanted = [*study.runs, *study.parents]
    states = store.states([run.run_id for run in wanted], code=codes_of(study)) if store else {}
    names: dict[str, list[str]] = {}
    levels: dict[str, Mapping[str, str]] = {}
    for arm in study.arms:
        names.setdefault(arm.arm_id, []).append(arm.name)
        levels.setdefault(arm.arm_id, arm.levels)
    outlook = Outlook(study, {run_id: found.state for run_id, found in states.items()}, home())

    def planned(run: Run) -> PlannedRun:
        found = states.get(run.run_id)
        state, why = (found.state, found.error or found.why_stale) if found else ("queued", "")
        block = outlook.blocks.get(run.run_id)
        if block is not None:
            state, why = "blocked", block.why
        elif run.run_id in outlook.again:
            state, why = "queued", "done, but the weights that another run starts from are gone: it trains again"
        all_names = names.get(run.arm_id, ["parent"])
        cause = block.cause if block else ""
        of_code = (found.stale, found.code_known, found.verified) if found and state == "done" else ()
        return PlannedRun(
            run, all_names[0], tuple(all_names[1:]), levels.get(run.arm_id, {}), state, why, cause, *of_code
        )

    parents = tuple(planned(run) for run in study.parents)
    runs = tuple(planned(run) for run in study.runs)
    counts = _counts(study, runs, parents)
    pending = [p.run for p in (*runs, *parents) if p.state in WAITING]
    seconds, untimed = _estimate(pending, store, workers, states)
    return Plan(study, runs, parents, counts, seconds, untimed, tuple(outlook.again), outlook.barred)


def tuning_plan(record: StoredStudy, queued: Study, store: Store) -> Plan:
    """As `make_plan`, of what a tuning has queued. Of its trials, one that was pruned has ended, and is not left to run; what the
    trials to come will take is not known."""
    plan = make_plan(queued, store)
    if is_compared(record):
        return plan
    counts = {**plan.counts, "to_run": sum(item.state == "queued" for item in plan.runs)}
    return replace(plan, counts=counts, seconds=None, untimed=0, growing=is_growing(record))


def is_worked_on(plan: Plan, store: Store) -> bool:
    """Whether a live worker holds a run of the plan, as far as this machine can tell."""
    running = {item.run.run_id for item in (*plan.parents, *plan.runs) if item.state == "running"}
    return bool(running - store.lapsed().keys())


NOBODY = "No worker is active."
"""Said of a study with runs left and no live lease."""


def _counts(study: Study, runs: tuple[PlannedRun, ...], parents: tuple[PlannedRun, ...]) -> dict[str, int]:
    states = Counter(planned.state for planned in runs)
    return {
        "arms_before": study.arms_before,
        "excluded": sum(rule.count for rule in study.excluded),
        "arms": len(study.arms),
        "merged": sum(arm.merged_into is not None for arm in study.arms),
        "total": len(runs),
        **{state: states[state] for state in ("done", "running", "failed", "lost", "cancelled", "blocked")},
        "to_run": states["queued"] + states["pruned"],
        "parents": len(parents),
        "stale": sum(planned.stale for planned in runs),
        "verified": sum(bool(planned.verified) for planned in runs),
    }


def _estimate(pending: list[Run], store: Store | None, workers: int, alike: Container[str]) -> tuple[float | None, int]:
    """Seconds for the pending runs by the median pace of past runs of the same shape, and how many are like none of them.

    Those are left out: a paper's scale may take a hundred times as long as the profile that has run. Of another trainer's
    runs no shape is known: the mean of those that are `alike`, the study's own.
    """
    if not pending or store is None:
        return None, 0
    if pending[0].trainer is not None:
        spent = [timing.seconds for timing in store.timings() if timing.run_id in alike]
        return (statistics.mean(spent) * len(pending) / max(1, workers), 0) if spent else (None, 0)
    paces: dict[tuple[Any, ...], list[float]] = {}
    for timing in store.timings():
        if timing.shape is not None:
            paces.setdefault(timing.shape, []).append(timing.seconds_per_epoch)
    known = [
        statistics.median(paces[shape]) * run.recipe.get("epochs")
        for run in pending
        if (shape := shape_of(run.recipe)) in paces
    ]
    return (sum(known) / max(1, workers), len(pending) - len(known)) if known else (None, 0)


def plan_document(plan: Plan) -> dict[str, Any]:
    """The JSON document of `grid plan` and `status`."""
    return {
        "schema": 1,
        "study": plan.study.name,
        "profile": plan.study.profile,
        "set": list(plan.study.sets),
        "counts": dict(plan.counts),
        "runs": [
            {
                "run_id": planned.run.run_id,
                "arm_id": planned.run.arm_id,
                "arm": planned.arm,
                "aliases": list(planned.aliases),
                "levels": dict(planned.levels),
                "seed": planned.run.seed,
                "state": planned.state,
                "why": planned.why,
                "stale": planned.stale,
                "code_known": planned.code_known,
                "verified": bool(planned.verified),
            }
            for planned in plan.runs
        ],
    }


def check_document(study: Study) -> dict[str, Any]:
    """The JSON document of `grid check`; a warning has the shape that a mistake has in an error."""
    return {
        "schema": 1,
        "study": study.name,
        "profile": study.profile,
        "profiles": list(study.profiles),
        "runs": len(study.runs),
        "tables": list(study.tables),
        "warnings": [asdict(warning) for warning in study.warnings],
    }
