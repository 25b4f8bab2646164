"""A whole results database as one file of JSON lines, plain or gzip: for moving between SQLite and PostgreSQL.

The first line says what the file is, each further one is a row with its table, the last one counts them:

    {"ablate": "0.1.0", "format": "ablate results", "revision": "0001", "schema": 1}
    {"table": "arms", "id": 1, "arm_id": "5f...", "recipe": "{...}", "trainer": null}
    {"end": {"arms": 1, ...}}

Keys are those of the database that wrote it; the database that reads the file gives them its own keys. Nothing in it is ever
executed, and nothing is believed that the schema does not allow.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa

from ablate.errors import NoSpaceOrPermission, NotFound, StoreError
from ablate.store import schema
from ablate.store.backup import whole_file
from ablate.store.codec import clean, without_folder
from ablate.store.engine import Database, Tx
from ablate.store.schema import REVISIONS
from ablate.store.trials import ENDED
from ablate.study.values.run import STATES
from ablate.version import __version__

FORMAT = "ablate results"
SCHEMA = 1

ORDER = (
    schema.studies, schema.arms, schema.runs, schema.attempts, schema.final_metrics, schema.study_runs, schema.requests,
    schema.request_runs, schema.epoch_metrics, schema.confusions, schema.artifacts, schema.events, schema.trials,
    schema.verified,
)  # fmt: skip
"""The tables as they stand in a file: each after those that its rows point at."""

SUFFIXES = (".jsonl", ".jsonl.gz")

LONGEST_LINE = 1 << 28
"""Bytes of a line: more than any row has, less than a memory."""

_GZIP = b"\x1f\x8b"
_AGAIN = "Export it again with `ablate db export`."


# Writing --------------------------------------------------------------------------------------------------------------


def export_file(
    database: Database,
    target: Path,
    *,
    overwrite: bool = False,
    tables: Sequence[sa.Table] = ORDER,
    revision: str = REVISIONS[-1],
) -> dict[str, int]:
    """Write every row, as they are at one moment, to `target` (gzip where it ends in .gz); whole or not at all.

    `tables` and `revision` are those of an older database. The rows written of each table. Raises NotFound, StoreError,
    NoSpaceOrPermission.
    """
    with whole_file(target, overwrite) as part:

        def write(tx: Tx) -> dict[str, int]:
            try:
                with part.open("wb") as file:  # from its start: a read may be done again
                    return _write_rows(tx, file, tables, revision, compress=target.name.endswith(".gz"))
            except OSError as error:
                raise NoSpaceOrPermission(f"{target} cannot be written: {error.strerror}") from None

        return database.read(write)


def _write_rows(tx: Tx, file: BinaryIO, tables: Sequence[sa.Table], revision: str, *, compress: bool) -> dict[str, int]:
    raw = gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) if compress else file
    counts: dict[str, int] = {}
    with io.TextIOWrapper(raw, encoding="utf-8", newline="\n", write_through=False) as out:
        header = {"ablate": __version__, "format": FORMAT, "revision": revision, "schema": SCHEMA}
        out.write(json.dumps(header) + "\n")
        for table in tables:
            counts[table.name] = 0
            statement = sa.select(table).order_by(*table.primary_key.columns)
            for row in tx.connection.execute(statement, execution_options={"yield_per": 2_000}).mappings():
                out.write(json.dumps({"table": table.name, **without_folder(dict(row))}, allow_nan=False) + "\n")
                counts[table.name] += 1
        out.write(json.dumps({"end": counts}) + "\n")
    return counts


# Reading --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One row of a file. `at` is the number of its line, from 1."""

    at: int
    table: sa.Table
    values: dict[str, Any]


class Export:
    """A file that `export_file` wrote, read as often as needed. What is wrong is a StoreError with its line.

    `revision` is that of the database that it came from: `ablate.store.older` reads those that are not of today.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        first = next(self._lines(), (1, None))[1]
        if not isinstance(first, dict) or first.get("format") != FORMAT:
            raise self._foreign()
        self.revision = self._revision(first)

    def rows(self, tables: Sequence[sa.Table] = ORDER) -> Iterator[Row]:
        """Every row, tables in this order, checked against the schema, and at the end against the file's own count."""
        counts = {table.name: 0 for table in tables}
        places = {table.name: place for place, table in enumerate(tables)}
        checks = {table.name: {column.name: _check(column) for column in table.columns} for table in tables}
        position, end, at = 0, None, 1
        for at, line in self._lines(skip=1):
            if end is not None:
                raise self.wrong(at, "data follows the end")
            if not isinstance(line, dict):
                raise self.wrong(at, "is no row")
            if set(line) == {"end"}:
                end = line["end"]
                continue
            name = line.pop("table", None)
            place = places.get(name) if isinstance(name, str) else None
            if place is None:
                raise self.wrong(at, f"is not a table of results: {name!r}"[:200])
            if place < position:
                raise self.wrong(at, f"rows of {name} come before those of {tables[position].name}")
            position = place
            table = tables[position]
            problem = _problem(table.name, checks[table.name], line)
            if problem:
                raise self.wrong(at, problem)
            counts[table.name] += 1
            yield Row(at, table, line)
        if end is None:
            raise StoreError(f"{self.path} is cut off after line {at}: its end is missing. {_AGAIN}")
        if end != counts:
            raise StoreError(f"{self.path} has other rows than its last line counts. {_AGAIN}")

    def wrong(self, at: int, what: str) -> StoreError:
        return StoreError(f"{self.path}, line {at}: {what}. Nothing was imported. {_AGAIN}")

    def _foreign(self) -> StoreError:
        return StoreError(
            f"{self.path} is neither an export of `ablate db export` nor a results database. Nothing was imported."
        )

    def _revision(self, header: Mapping[str, Any]) -> str:
        revision, writer = header.get("revision"), header.get("ablate")
        if header.get("schema") == SCHEMA and revision in REVISIONS:
            return str(revision)
        raise StoreError(
            f"{self.path} was exported by a newer ablate ({writer}, schema {revision}, this one knows up to "
            f"{REVISIONS[-1]}). Update ablate to import it."
        )

    def _lines(self, skip: int = 0) -> Iterator[tuple[int, Any]]:
        """Number and JSON value of each line."""
        at = 0
        try:
            with _opened(self.path) as file:
                while text := file.readline(LONGEST_LINE):
                    at += 1
                    if at > skip:
                        yield at, self._parse(at, text)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise StoreError(f"{self.path} is cut off or damaged after line {at}. {_AGAIN}") from None

    def _parse(self, at: int, text: bytes) -> Any:
        try:
            return json.loads(text.decode("utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError):
            if at == 1:
                raise self._foreign() from None
            if not text.endswith(b"\n"):
                raise StoreError(f"{self.path} is cut off in line {at}. {_AGAIN}") from None
            raise self.wrong(at, "is no JSON") from None


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    try:
        with path.open("rb") as file:
            start = file.read(len(_GZIP))
        return gzip.open(path, "rb") if start == _GZIP else path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"{path} is not there; `ablate db export FILE` makes an export") from None
    except IsADirectoryError:
        raise StoreError(f"{path} is a folder, not an export") from None
    except OSError as error:
        raise NoSpaceOrPermission(f"{path} cannot be read: {error.strerror}") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# What a row may hold --------------------------------------------------------------------------------------------------

_JSON = frozenset((
    "settings", "set", "recipe", "trainer", "levels", "aliases", "environment", "details", "classes", "counts",
    "params", "distributions", "runs", "attributes", "parts",
))  # fmt: skip
_ATTEMPT_STATES = (*(state for state in STATES if state != "queued"), "released")
_LARGEST = 2**63


def _problem(table: str, checks: Mapping[str, Callable[[Any], bool]], values: Mapping[str, Any]) -> str:
    """What the schema does not allow in the row; empty where it is sound."""
    if values.keys() != checks.keys():
        odd = sorted(values.keys() ^ checks.keys())
        return f"{table} has columns that this ablate does not know, or lacks some: {', '.join(odd)[:200]}"
    for name, check in checks.items():
        if not check(values[name]):
            return f"{table}.{name} cannot be {str(values[name])[:80]!r}"
    return ""


def _check(column: sa.Column[Any]) -> Callable[[Any], bool]:
    kind = column.type.python_type
    nullable = bool(column.nullable)
    states = {"runs": STATES, "attempts": _ATTEMPT_STATES, "trials": ("running", *ENDED)}.get(column.table.name, ())

    def check(value: object) -> bool:
        if value is None:
            return nullable
        if kind is bool or isinstance(value, bool):
            return kind is bool and isinstance(value, bool)
        if kind is int:
            return isinstance(value, int) and -_LARGEST <= value < _LARGEST
        if kind is float:
            return isinstance(value, int | float) and abs(value) <= 1.7e308
        if not isinstance(value, str) or value != clean(value):
            return False
        if column.name in _JSON:
            return _is_json(value) and (column.name != "parts" or _are_pairs(json.loads(value)))
        return column.name != "state" or value in states

    return check


def _are_pairs(value: object) -> bool:
    """Whether it is {part: [digest then, digest now]}."""
    return isinstance(value, dict) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
        for pair in value.values()
    )


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=_refuse), dict | list)
    except (ValueError, RecursionError):
        return False
