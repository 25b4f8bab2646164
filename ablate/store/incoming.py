"""The requests of an export, in the database that they come to.

A request is the same wherever its study, its moment and what it says are the same; a tuning's, which grows, wherever its
study and its moment are. One that is here keeps what it says, and gets the runs that it lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from ablate.store import merge
from ablate.store.codec import without_folder
from ablate.store.engine import Tx
from ablate.store.queries import TUNING
from ablate.store.requests import positions
from ablate.store.schema import request_runs, requests, studies


class Requests:
    """Gives requests the keys of this database."""

    def __init__(self, tx: Tx, plan: merge.Plan) -> None:
        self._tx, self._plan = tx, plan
        self._known = self._read()
        self._count: Counter[tuple[Any, ...]] = Counter()
        self._here: dict[int, int] = {}
        self._old: dict[int, dict[int, int]] = {}

    def add(self, rows: list[dict[str, Any]], studies_here: Mapping[int, int]) -> None:
        """Insert those that are not here."""
        for row in rows:
            values = {**row, "study": studies_here[row["study"]]}
            own = values.pop("id")
            identity = _numbered(self._count, _identity(values, self._plan.studies[row["study"]][0]))
            if identity in self._known:
                self._here[own] = self._known[identity]
                self._old[own] = positions(self._tx, self._known[identity])
                continue
            new = sa.insert(requests).values(values).returning(requests.c.id)
            self._here[own] = int(self._tx.execute(new).scalar_one())

    def add_runs(self, rows: list[dict[str, Any]], runs_here: Mapping[int, int]) -> None:
        """Insert what they asked for. A run that goes on as the file has it is waited for as the file says."""
        new, again = [], []
        for row in rows:
            values = {**row, "request": self._here[row["request"]], "run": runs_here[row["run"]]}
            known = self._old.get(row["request"])
            if known is not None and values["run"] in known:
                if row["queued"] and self._plan.runs[row["run"]].kind == merge.ADDED:
                    again.append({"of": values["request"], "which": values["run"]})
                continue
            if known is not None:
                values["position"] = known[values["run"]] = 1 + max(known.values(), default=-1)
            new.append(values)
        self._tx.upsert(request_runs, new)
        if again:
            self._tx.execute(_WAIT, again)

    def _read(self) -> dict[tuple[Any, ...], int]:
        count: Counter[tuple[Any, ...]] = Counter()
        statement = sa.select(requests, studies.c.name).join(studies).order_by(requests.c.id)
        return {
            _numbered(count, _identity(dict(row._mapping), row.name)): row.id for row in self._tx.execute(statement)
        }


_WAIT = (
    sa.update(request_runs)
    .where(request_runs.c.request == sa.bindparam("of"), request_runs.c.run == sa.bindparam("which"))
    .values(queued=True)
)


def _identity(row: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    told = without_folder(row)  # an export leaves it out
    said = () if name.startswith(TUNING) else (told["source"], told["file"], told["settings"], told["code"])
    return (row["study"], float(row["created"]), *said)


def _numbered(count: Counter[tuple[Any, ...]], identity: tuple[Any, ...]) -> tuple[Any, ...]:
    """Two that are alike are told apart by their order."""
    count[identity] += 1
    return (*identity, count[identity])
