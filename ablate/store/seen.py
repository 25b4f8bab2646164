"""Where runs stand as seen with a code: what another code makes of a run meanwhile takes no result away.

A run is done for a code that has done it, whoever trains it again or has failed at it since. Where no attempt of that code has
ended well, the newest done attempt of another counts, stale. A run that others start from is what its newest attempt is:
its files are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ablate.store import verified
from ablate.store.codec import chunks, from_json
from ablate.store.engine import AnyRow, Tx
from ablate.store.schema import attempts, runs
from ablate.store.transitions import UNDER_WAY
from ablate.study.code.provenance import Code, Freshness, compare, digest_of
from ablate.study.code.verified import Evidence

Codes = Mapping[str, Code] | str | None
"""The code to look with: of each run by id, one digest for all, or None for none in particular."""


@dataclass(frozen=True)
class Seen:
    """`attempt` is the done attempt that counts, None where there is none; `code` is that attempt's."""

    state: str
    attempt: int | None = None
    code: str | None = None
    freshness: Freshness = Freshness()  # noqa: RUF009 (frozen)


def code_for(codes: Codes, run_id: str) -> Code | None:
    """The code that would train this run."""
    if codes is None or isinstance(codes, str):
        return None if codes is None else Code(codes)
    return codes.get(run_id)


def one_digest(codes: Codes) -> str | None:
    """One digest for all that is asked for; None where it is not known."""
    return codes if codes is None or isinstance(codes, str) else digest_of(codes)


def look(tx: Tx, rows: Iterable[Any], codes: Codes) -> dict[int, Seen]:
    """How runs are seen, by key; `rows` have `id`, `run_id`, `state` and `attempt`."""
    found: dict[int, Seen] = {}
    for part in chunks(list(rows)):
        found.update(_Look(tx, part, codes).seen())
    return found


class _Look:
    def __init__(self, tx: Tx, rows: Sequence[Any], codes: Codes) -> None:
        self._tx = tx
        self._rows = rows
        self._codes = {row.id: code_for(codes, row.run_id) for row in rows}
        keys = [row.id for row in rows if row.attempt]
        table = attempts.c
        tried = sa.select(table.run, table.number, table.state, table.code, table.fingerprint).where(
            table.run.in_(keys)
        )
        self._tried: dict[int, list[AnyRow]] = defaultdict(list)
        for row in tx.execute(tried.order_by(table.run, table.number)) if keys else ():
            self._tried[row.run].append(row)
        ours = [row.run_id for row in rows if (code := self._codes[row.id]) is not None and not code.script]
        parents = sa.select(runs.c.parent).where(runs.c.parent.in_(ours)).distinct()
        self._evidence: Evidence | None = None
        self._parents = set(tx.connection.scalars(parents)) if ours else set()

    def seen(self) -> dict[int, Seen]:
        found: dict[int, Seen] = {}
        others: dict[int, AnyRow] = {}
        for row in self._rows:
            done = [attempt for attempt in self._tried[row.id] if attempt.state == "done"]
            code = self._codes[row.id]
            mine = [attempt for attempt in done if code is not None and attempt.code == code.digest]
            if not done or ((code is None or row.run_id in self._parents) and row.state != "done"):
                found[row.id] = Seen(row.state)
            elif code is None:
                found[row.id] = Seen("done", done[-1].number, done[-1].code)
            elif mine and row.run_id not in self._parents:
                found[row.id] = Seen("done", mine[-1].number, code.digest)
            else:
                others[row.id] = done[-1]
        environments = self._environments(others)
        for row in self._rows:
            if row.id in others:
                found[row.id] = self._other(row, others[row.id], environments.get(row.id, {}))
        return found

    def _other(self, row: AnyRow, done: AnyRow, environment: Mapping[str, object]) -> Seen:
        """A run whose newest done attempt has not the code that is looked with."""
        code = self._codes[row.id]
        assert code is not None
        freshness = self._judged(row, done, code, environment, compare(code, done.code, environment))
        result = Seen("done", done.number, done.code, freshness)
        if row.state == "done":
            return result
        newest = next(attempt for attempt in self._tried[row.id] if attempt.number == row.attempt)
        own = newest.code in (code.digest, None)  # one that ended before it noted its code may be anybody's
        at_it = row.state in UNDER_WAY and freshness.stale
        return Seen(row.state) if done.code is None or own or at_it else result

    def _judged(
        self, row: AnyRow, done: AnyRow, code: Code, environment: Mapping[str, object], told: Freshness
    ) -> Freshness:
        """A result of our own trainer is not stale where the present code is known to give it again."""
        if not told.stale or code.script:
            return told
        if self._evidence is None:
            self._evidence = Evidence(verified.read(self._tx))
        return self._evidence.judge(row.run_id, done.code, environment.get("parts"), code, done.fingerprint, told.why)

    def _environments(self, others: Mapping[int, AnyRow]) -> dict[int, Mapping[str, object]]:
        """What the attempts noted of their files or parts, which are compared where digests differ."""
        keys = [key for key in others if (code := self._codes[key]) is not None and (code.script or code.parts)]
        if not keys:
            return {}
        table = attempts.c
        rows = self._tx.execute(sa.select(table.run, table.number, table.environment).where(table.run.in_(keys)))
        return {row.run: from_json(row.environment) for row in rows if row.number == others[row.run].number}
