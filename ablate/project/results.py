"""From a study and its database to finished tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

from ablate.analysis import build_table
from ablate.analysis.table import Table
from ablate.project.blocked import Outlook
from ablate.store.store import Store
from ablate.study.code.provenance import codes_of
from ablate.study.recipes.places import home
from ablate.study.records import RunResult
from ablate.study.values.study import Study, TableSpec


class Looks(TypedDict):
    """Arguments of `ablate.analysis.build_table`."""

    looks: int
    looks_known: bool


def build(study: Study, spec: TableSpec, store: Store) -> Table:
    """One table with what the database holds now."""
    return build_table(study, spec, study_results(study, store), **looks_of(study, store))


def looks_of(study: Study, store: Store) -> Looks:
    """How often seeds were added to the study after it had results, as `build_table` takes it."""
    found = store.looks(study.name, study.profile, study.sets, study.text)
    return {"looks": found.count, "looks_known": not found.migrated}


def study_results(study: Study, store: Store) -> dict[str, RunResult]:
    """What is known of a study's runs and of the runs that they start from; `stale` where the code has changed since.

    A run that waits and cannot start here is `blocked`, and its `error` says why in two or three words.
    """
    runs = {run.run_id: run for run in (*study.runs, *study.parents)}
    found = stored_results(study, store)
    outlook = Outlook(study, {run_id: result.state for run_id, result in found.items()}, home())
    for run_id, block in outlook.blocks.items():
        known = found.get(run_id, RunResult(runs[run_id], "queued"))
        found[run_id] = replace(known, state="blocked", error=block.note)
    return found


def stored_results(study: Study, store: Store) -> dict[str, RunResult]:
    """The same as the database has it, without a look at what could start on this machine."""
    return store.results([run.run_id for run in (*study.runs, *study.parents)], code=codes_of(study))
