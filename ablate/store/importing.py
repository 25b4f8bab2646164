"""Bringing the rows of an export into a database, in one transaction, as `merge` has decided."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ablate.errors import StoreError
from ablate.store import merge, older
from ablate.store.engine import Database, Tx
from ablate.store.header import Header
from ablate.store.incoming import Requests
from ablate.store.location import HEADER, refuse_other_urls
from ablate.store.migrate import prepare
from ablate.store.portable import Export, Row, export_file
from ablate.store.schema import arms, attempts, events, request_runs, runs, studies, study_runs, trials, verified
from ablate.store.transitions import UNDER_WAY
from ablate.store.values import Imported
from ablate.study.recipes.places import is_database_url

_BATCH = 2_000


def import_from(database: Database | None, source: str, *, keep: bool = False, dry_run: bool = False) -> Imported:
    """Bring what `source` holds into the database, all or nothing; with `dry_run`, say what that would do.

    `source` is a file of `export_file`, or another results database: a SQLite file or a URL. `keep` leaves runs as they
    are here that are done in both with different results; without it they are refused. `database` None (for a dry run)
    is an empty one. Raises NotFound, StoreError, NoSpaceOrPermission.
    """
    with tempfile.TemporaryDirectory(prefix="ablate-import-") as folder:
        export = older.upgraded(Export(_as_file(source, Path(folder))), Path(folder))
        if not dry_run:
            assert database is not None
            plan = database.write(lambda tx: _import(tx, export, keep))
        elif database is None:
            plan = merge.decide(None, export)
        else:
            plan = database.read(lambda tx: merge.decide(tx, export))
        _refuse_clashes(plan, keep)
        return _summary(plan)


def _as_file(source: str, folder: Path) -> Path:
    """A database is exported first, as it is: one that others write to meanwhile may have to be read again, and one of an
    older ablate is brought up to date in a copy."""
    refuse_other_urls(source)
    if not is_database_url(source) and not _is_sqlite(Path(source)):
        return Path(source)
    database = Database(source, read_only=True)
    try:
        revision = prepare(database, older=True)
        tables = older.tables_of(database, revision)
        export_file(database, folder / "export.jsonl.gz", tables=tables, revision=revision)
    finally:
        database.close()
    return folder / "export.jsonl.gz"


def _is_sqlite(path: Path) -> bool:
    header = Header()
    try:
        return header.read(path).startswith(HEADER)
    except OSError:
        return False  # `Export` says what is wrong
    finally:
        header.release()


def _refuse_clashes(plan: merge.Plan, keep: bool) -> None:
    if plan.clashes and not keep:
        shown = "; ".join(plan.clashes[:3]) + ("; ..." if plan.clashes[3:] else "")
        raise StoreError(
            f"Runs done here and in the file have different results ({len(plan.clashes):,}): {shown}. "
            "Nothing was imported. --keep-existing keeps the ones here and imports the rest."
        )


def _summary(plan: merge.Plan) -> Imported:
    kept = [plan.studies[key] for key in plan.studies if key not in plan.new_studies]
    return Imported(
        new=len(plan.of(merge.NEW)),
        added=len(plan.of(merge.ADDED)),
        same=len(plan.of(merge.SAME)),
        kept=tuple(plan.of(merge.KEPT)),
        clashes=tuple(plan.clashes),
        studies=tuple(plan.studies[key][0] for key in sorted(plan.new_studies)),
        kept_studies=tuple(name for name, *_ in kept),
    )


def _import(tx: Tx, export: Export, keep: bool) -> merge.Plan:
    tx.dialect.lock_studies(tx.connection)
    plan = merge.decide(tx, export, lock=True)
    _refuse_clashes(plan, keep)
    writer = _Writer(tx, plan)
    for name, rows in groupby(export.rows(), key=lambda row: row.table.name):
        for batch in iter(lambda rows=rows: list(islice(rows, _BATCH)), []):  # type: ignore[misc]
            writer.write(name, batch)
    tx.execute(_NOBODY_WAITS)
    tx.dialect.after_bulk(tx.connection, (arms, runs, study_runs, request_runs))
    return plan


_UNDER_WAY = sa.exists().where(runs.c.id == request_runs.c.run, runs.c.state.in_(UNDER_WAY))
_NOBODY_WAITS = sa.update(request_runs).where(request_runs.c.queued == sa.true(), ~_UNDER_WAY).values(queued=False)
"""Requests of either side wait for a run as long as it has not ended here."""


@dataclass
class _Writer:
    """Gives rows the keys of this database and leaves out those that were not decided for."""

    tx: Tx
    plan: merge.Plan

    def __post_init__(self) -> None:
        self._keys: dict[str, dict[int, int]] = {}
        self._events = {tuple(row) for row in self.tx.execute(sa.select(*_EVENT))}
        self._tunings = set(self.tx.connection.scalars(sa.select(trials.c.tuning).distinct()))
        self._requests = Requests(self.tx, self.plan)
        self._views: dict[int, _View] = {}

    def write(self, name: str, rows: list[Row]) -> None:
        chosen = [row.values for row in rows]
        own = {"studies": self._studies, "arms": self._arms, "runs": self._runs, "study_runs": self._links,
               "events": self._history, "trials": self._trials, "verified": self._verified, "requests": self._asked,
               "request_runs": self._asked_for}.get(name)  # fmt: skip
        if own is not None:
            own(chosen)
            return
        table = rows[0].table
        number = "number" if table is attempts else "attempt"
        kept = list(self._renumbered(chosen, number))
        keys = {column.name for column in table.primary_key.columns}
        self.tx.upsert(table, kept, [column.name for column in table.columns if column.name not in keys])

    def _renumbered(self, rows: list[dict[str, Any]], number: str) -> Iterator[dict[str, Any]]:
        runs_here = self._of(runs)
        for row in rows:
            numbers = self.plan.runs[row["run"]].numbers
            if row[number] in numbers:
                yield {**row, "run": runs_here[row["run"]], number: numbers[row[number]]}

    def _of(self, table: sa.Table) -> dict[int, int]:
        """Keys here by the file's; asked for once all rows of the table are in."""
        if table.name not in self._keys:
            names: dict[str, Any] = {"arms": self.plan.arms, "runs": self.plan.ids, "studies": self.plan.studies}
            self._keys[table.name] = merge.ids_of(self.tx, table, names[table.name])
        return self._keys[table.name]

    def _studies(self, rows: list[dict[str, Any]]) -> None:
        self.tx.upsert(studies, [_without_id(row) for row in rows if row["id"] in self.plan.new_studies])

    def _arms(self, rows: list[dict[str, Any]]) -> None:
        self.tx.upsert(arms, [_without_id(row) for row in rows])

    def _runs(self, rows: list[dict[str, Any]]) -> None:
        arms_here = self._of(arms)
        new, added = [], []
        for row in rows:
            decision = self.plan.runs[row["id"]]
            values = {**_without_id(row), "arm": arms_here[row["arm"]], "attempt": decision.newest}
            if decision.kind == merge.NEW:
                new.append(values)
            elif decision.kind == merge.ADDED:
                added.append({f"new_{name}": values[name] for name in ("run_id", *_MOVED)})
        self.tx.upsert(runs, new)
        if added:
            self.tx.execute(_MOVE, added)

    def _links(self, rows: list[dict[str, Any]]) -> None:
        """A study that is here stays as it is here; where its design is the same, it gets the runs that it lacks."""
        runs_here, studies_here = self._of(runs), self._of(studies)
        links = []
        for row in rows:
            link = {**row, "run": runs_here[row["run"]], "study": studies_here[row["study"]]}
            if row["study"] not in self.plan.new_studies:
                view = self._view(link["study"])
                if link["run"] in view.runs or not view.text or view.text != self.plan.texts[row["study"]]:
                    continue
                view.end += 1
                link["position"] = view.end
            links.append(link)
        self.tx.upsert(study_runs, links)

    def _view(self, key: int) -> _View:
        if key not in self._views:
            self._views[key] = _View.read(self.tx, key)
        return self._views[key]

    def _asked(self, rows: list[dict[str, Any]]) -> None:
        self._requests.add(rows, self._of(studies))

    def _asked_for(self, rows: list[dict[str, Any]]) -> None:
        self._requests.add_runs(rows, self._of(runs))

    def _history(self, rows: list[dict[str, Any]]) -> None:
        new = []
        for row in rows:
            if not self._wanted(row):
                continue
            values = _without_id(row)
            if row["run"] is not None:
                values["run"] = self._of(runs)[row["run"]]
                values["attempt"] = self.plan.runs[row["run"]].numbers.get(row["attempt"], row["attempt"])
            if row["study"] is not None:
                values["study"] = self._of(studies)[row["study"]]
            if tuple(values[column.name] for column in _EVENT) not in self._events:
                new.append(values)
        self.tx.upsert(events, new)

    def _trials(self, rows: list[dict[str, Any]]) -> None:
        """A tuning that is here stays as it is here: its trials were asked for in the light of each other."""
        self.tx.upsert(trials, [row for row in rows if row["tuning"] not in self._tunings])

    def _verified(self, rows: list[dict[str, Any]]) -> None:
        """What was found here of the same run, codes and fingerprint stays."""
        self.tx.upsert(verified, rows)

    def _wanted(self, row: dict[str, Any]) -> bool:
        if row["run"] is not None:
            return self.plan.runs[row["run"]].kind in (merge.NEW, merge.ADDED)
        return row["study"] is None or row["study"] in self.plan.new_studies


@dataclass
class _View:
    """The design of a study that is here: its runs, and the last position."""

    text: str
    runs: set[int]
    end: int

    @classmethod
    def read(cls, tx: Tx, key: int) -> _View:
        text = tx.connection.scalar(sa.select(studies.c.text).where(studies.c.id == key)) or ""
        rows = tx.execute(sa.select(study_runs.c.run, study_runs.c.position).where(study_runs.c.study == key)).all()
        return cls(text, {row.run for row in rows}, max((row.position for row in rows), default=-1))


_EVENT = [column for column in events.columns if column.name != "id"]
_MOVED = ("state", "attempt", "counted", "kind", "error", "code")
_MOVE = (
    sa.update(runs)
    .where(runs.c.run_id == sa.bindparam("new_run_id"))
    .values({name: sa.bindparam(f"new_{name}") for name in _MOVED})
)


def _without_id(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}
