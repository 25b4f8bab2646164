"""From a study and its database to finished tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.analysis.table import Table
    from ablate.store.store import Store
    from ablate.study.records import RunResult
    from ablate.study.study import Study, TableSpec


def build(study: Study, spec: TableSpec, store: Store) -> Table:
    """One table with what the database holds now."""
    from ablate.analysis import build_table

    return build_table(study, spec, study_results(study, store))


def study_results(study: Study, store: Store) -> dict[str, RunResult]:
    """What is known of a study's runs and of the runs that they start from; `stale` where the code is another by now."""
    from ablate.study.provenance import code_version

    return store.results([run.run_id for run in (*study.runs, *study.parents)], code=code_version()["code"])


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Tables for people."""
    from ablate.report.terminal import print_table

    for table in tables:
        print_table(table, console)
